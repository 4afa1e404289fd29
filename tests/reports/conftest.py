"""The browser that opens the pages, and a report that fills several of the table's pages."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from batch_resend.model import Reason
from tests.support.pages import result, write

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Start Chromium without a window; it records its log and its requests."""
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("chromium and chromedriver are not installed: no page is opened")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    home = tmp_path_factory.mktemp("chromium")
    for argument in (
        "--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1100,900",
        "--no-first-run", "--disable-background-networking", f"--user-data-dir={home}",
    ):  # fmt: skip
        options.add_argument(argument)
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")  # without it Chromium does not start as root
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": "UTC"})
    yield driver
    driver.quit()


@pytest.fixture
def report(tmp_path: Path) -> str:
    """Write 1,250 rows, in pages of 100: 50 not found, of one a lost answer, the rest sent."""
    rows = [
        result(n, Reason.USER_NOT_FOUND if n % 25 == 0 else Reason.ACCEPTED) for n in range(1, 1250)
    ]
    rows.append(result(1250, Reason.NO_ANSWER, username="zoe@example.net"))
    return write(tmp_path / "report.csv", rows)
