"""The README's picture of the page: redrawn by `python -m tests.benchmarks.picture_of_page`.

A simulated run of made-up users, of which some fail; then its page in Chromium, from the top
down to the reasons.
"""

from __future__ import annotations

import base64
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "examples" / "report.png"
WIDTH = 960
KINDS = {"missing": 30, "confirmed": 25, "undeliverable": 14, "tired": 9, "lost": 3}


def main() -> None:
    """Run, open the page, and write the picture."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "users.csv").write_text("\n".join(["username", *users(1500)]) + "\n", "utf-8")
        subprocess.run(
            [
                *(sys.executable, "-m", "batch_resend", "run", "users.csv", "--simulate"),
                *("--rate", "60", "--timeout", "2s", "--report", "report.csv"),
                *("--html", "report.html", "--ledger", "demo.sqlite3", "--create-ledger"),
            ],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            check=False,  # some users fail on purpose
        )
        PICTURE.write_bytes(picture(folder / "report.html", folder / "profile"))
    sys.stdout.write(f"{PICTURE.relative_to(ROOT)}: {PICTURE.stat().st_size:,} bytes\n")


def users(count: int) -> list[str]:
    """Return made-up names, the same each time."""
    rng = random.Random(7)
    kinds = [kind for kind, n in KINDS.items() for _ in range(n)]
    kinds += [""] * (count - len(kinds))
    rng.shuffle(kinds)
    domains = ["example.com"] * 50 + ["example.org"] * 30 + ["example.net"] * 10 + ["gmial.com"]
    return [
        f"user{n}{'+' if kind else ''}{kind}@{rng.choice(domains)}"
        for n, kind in enumerate(kinds, 1)
    ]


def picture(page: Path, profile: Path) -> bytes:
    """Return the page's upper part as a PNG."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    for argument in ("--headless=new", "--hide-scrollbars", f"--user-data-dir={profile}"):
        options.add_argument(argument)
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")  # without it Chromium does not start as root
    service = webdriver.ChromeService(shutil.which("chromedriver") or "chromedriver")
    driver = webdriver.Chrome(options=options, service=service)
    try:
        size = {"width": WIDTH, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        driver.get(page.as_uri())
        end = driver.execute_script("return document.getElementById('reasons').offsetTop - 24")
        clip = {"x": 0, "y": 0, "width": WIDTH, "height": end, "scale": 1}
        shot = driver.execute_cdp_cmd(
            "Page.captureScreenshot", {"format": "png", "captureBeyondViewport": True, "clip": clip}
        )
        return base64.b64decode(shot["data"])
    finally:
        driver.quit()


if __name__ == "__main__":
    main()
