"""Holds what is in the wheel and in the sdist against the files that git knows.

The long description must have no link to a file: on a package index it would lead nowhere.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile

FOLDERS = {
    ".whl": ("batch_resend/",),
    ".gz": ("batch_resend/", "examples/", "tests/", ".ci/", "README.md", "LICENSE"),
}


def main(wheel: str, sdist: str) -> int:
    """Print what is missing or too much; return how many files that are."""
    listed = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True)  # noqa: S607
    tracked = set(listed.stdout.splitlines())
    with zipfile.ZipFile(wheel) as archive:
        in_wheel = {name for name in archive.namelist() if ".dist-info/" not in name}
        (metadata,) = [name for name in archive.namelist() if name.endswith("/METADATA")]
        links = re.findall(r"\]\((?!https?:|#)[^)]*\)", archive.read(metadata).decode())
    with tarfile.open(sdist) as tar:
        in_sdist = {name.partition("/")[2] for name in tar.getnames()}
    for link in links:
        print(f"The long description of {wheel} has the link {link}.", file=sys.stderr)
    wrong = len(links)
    for what, found, allowed in (
        (wheel, in_wheel, set[str]()),
        (sdist, in_sdist, {"PKG-INFO", "pyproject.toml", ".gitignore"}),
    ):
        folders = FOLDERS["." + what.rpartition(".")[2]]
        wanted = {name for name in tracked if name.startswith(folders)}
        if what.endswith(".whl"):
            wanted = {name for name in wanted if not name.endswith("README.md")}
        for name in sorted(wanted - found):
            print(f"{what} lacks {name}", file=sys.stderr)
        for name in sorted(found - wanted - allowed):
            print(f"{what} has {name}, which is not in git", file=sys.stderr)
        wrong += len(wanted ^ (found - allowed))
    for name in ("py.typed", "aws/models/", "reports/page/assets/"):
        if not any(file.startswith(f"batch_resend/{name}") for file in in_wheel):
            print(f"{wheel} lacks batch_resend/{name}", file=sys.stderr)
            wrong += 1
    return wrong


if __name__ == "__main__":
    sys.exit(min(main(*sys.argv[1:]), 1))
