"""The table in a real browser: states, sorting, links, downloads, copies and times."""

import csv
import io
from pathlib import Path
from typing import Any

import anyio
import pytest

from batch_resend.masking import cell
from batch_resend.model import Reason
from batch_resend.reports.page.render import page
from tests.support.browser import Opened
from tests.support.pages import NOON, result, summary, write


def test_no_match_offers_to_clear_the_filters(browser: Any, tmp_path: Path, report: str) -> None:
    opened = Opened(browser, tmp_path / "page.html", page([report]))
    hidden = "return ['empty', 'scroll'].map(id => document.getElementById(id).hidden)"
    opened.type("#search", "no such user")
    assert (opened.status, opened.column(".name")) == ("0 matching of 1,250 rows", [])
    assert opened.js(hidden) == [False, True]
    opened.click("#clear")
    assert opened.status == "1 to 100 of 1,250 rows"
    assert opened.js(hidden) == [True, False]


def test_columns_can_be_sorted_both_ways(browser: Any, tmp_path: Path, report: str) -> None:
    opened = Opened(browser, tmp_path / "page.html", page([report], masked=False))
    opened.click("th[data-sort='1'] button")
    assert opened.column(".row")[:3] == ["1", "2", "3"]
    opened.click("th[data-sort='1'] button")
    assert opened.column(".row")[:3] == ["1250", "1249", "1248"]
    opened.click("th[data-sort='2'] button")
    assert opened.column(".name")[0] == "user1000@example.com"
    assert opened.js(
        "return [...document.querySelectorAll('[aria-sort]')]"
        ".map(e => [e.dataset.sort, e.getAttribute('aria-sort')])"
    ) == [["2", "ascending"]]


def test_link_leads_to_one_row(browser: Any, tmp_path: Path, report: str) -> None:
    path = tmp_path / "page.html"
    opened = Opened(browser, path, page([report]))
    browser.get(f"{path.as_uri()}#row=28")
    assert opened.column(".row") == ["28"]
    assert opened.status == "1 matching of 1,250 rows (row 28)"
    opened.click("button[type=reset]")
    opened.js("return new Promise(done => setTimeout(done))")
    assert opened.status == "1 to 100 of 1,250 rows"
    assert opened.js("return document.querySelector('#table .row a').hash") == "#row=25"


def test_link_names_the_report_among_several(browser: Any, tmp_path: Path) -> None:
    paths = [
        write(tmp_path / f"{n}.csv", [result(7, username=f"user{n}@example.com")]) for n in (1, 2)
    ]
    opened = Opened(browser, tmp_path / "page.html", page(paths, masked=False))
    opened.js("location.hash = document.querySelectorAll('#table .row a')[1].hash")
    opened.js("return new Promise(done => setTimeout(done))")
    assert opened.column(".name") == ["user2@example.com"]


def test_download_guards_formulas_as_the_report(browser: Any, tmp_path: Path) -> None:
    """A card downloads its own rows, the table those that match; both are read back."""
    rows = [
        result(1, Reason.REJECTED, username="=1+1", error_message='say "no", please'),
        result(2, Reason.USER_NOT_FOUND),
        result(3),
    ]
    path = write(tmp_path / "report.csv", rows)
    opened = Opened(browser, tmp_path / "page.html", page([path], masked=False))
    opened.js(
        "window.saved = []; URL.createObjectURL = blob => { window.blob = blob; return '#' };"
        "HTMLAnchorElement.prototype.click = function () {"
        " saved.push([this.download, window.blob]) }"
    )

    def saved(number: int) -> list[dict[str, str]]:
        text = opened.js("return saved[arguments[0]][1].text()", number)
        return list(csv.DictReader(io.StringIO(text)))

    opened.click(".save[data-reasons='user-not-found']")
    assert opened.js("return saved[0][0]") == "user-not-found.csv"
    (only,) = saved(0)
    assert (only["row"], only["reason"], only["outcome"]) == ("2", "user-not-found", "failed")
    assert only["finished_at"] == "2027-01-15T08:00:00Z"
    opened.type("#search", "please")
    opened.click("#save")
    (formula,) = saved(1)
    assert (formula["user"], formula["message"]) == ("'=1+1", 'say "no", please')


@pytest.mark.parametrize(
    "name",
    [
        "=1+1",
        "'=1",
        "  -1",
        "@x",
        "+1x",
        "\uff1d1",
        "a;=1",
        "a;\"'=1",
        "a;b",
        "x\ty",
        "\r=1",
        "\t=1",
    ],
)
def test_saved_cell_is_the_one_of_the_report(browser: Any, tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "report.csv", [result(1, Reason.REJECTED, username=name)])
    opened = Opened(browser, tmp_path / "page.html", page([path], masked=False))
    opened.js(
        "URL.createObjectURL = blob => { window.blob = blob; return '#' };"
        "HTMLAnchorElement.prototype.click = function () {}"
    )
    opened.click("#save")
    (saved,) = csv.DictReader(io.StringIO(opened.js("return blob.text()")))
    assert saved["user"] == cell(name)


async def _exists(path: Path) -> None:
    with anyio.fail_after(600):
        while not path.exists():
            await anyio.sleep(0.05)


def test_download_arrives_from_a_page_on_disk(browser: Any, tmp_path: Path, report: str) -> None:
    folder = tmp_path / "downloads"
    folder.mkdir()
    browser.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)}
    )
    opened = Opened(browser, tmp_path / "page.html", page([report]))
    opened.type("#outcome", "failed")
    opened.click("#save")
    anyio.run(_exists, folder / "rows.csv")
    assert (folder / "rows.csv").read_text().count("\n") == 50
    assert browser.get_log("browser") == []


def test_command_is_copied_in_one_line(browser: Any, tmp_path: Path, report: str) -> None:
    command = "batch-resend run users.csv --report " + "x" * 200
    facts = summary({Reason.ACCEPTED: 1250}, next_command=command, unknown_in_ledger=1)
    opened = Opened(browser, tmp_path / "page.html", page([report], summary=facts))
    opened.js("window.copied = []; navigator.clipboard.writeText = async text => copied.push(text)")
    opened.click(".copy")
    assert opened.js("return new Promise(done => setTimeout(() => done(copied)))") == [command]
    assert opened.js("return document.querySelector('.copy').textContent") == "Copied"


@pytest.mark.parametrize(
    ("zone", "created", "name", "settled"),
    [
        ("Asia/Kolkata", "15 Jan 2027, 13:30 GMT+5:30", "(GMT+5:30)", "2027-01-15 13:30:02"),
        ("America/New_York", "15 Jan 2027, 03:00 GMT-5", "(GMT-5)", "2027-01-15 03:00:02"),
    ],
)
def test_times_are_in_the_zone_of_the_reader(
    browser: Any, tmp_path: Path, report: str, zone: str, created: str, name: str, settled: str
) -> None:
    browser.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": zone})
    try:
        opened = Opened(browser, tmp_path / "page.html", page([report], now=NOON))
        assert opened.js("return document.querySelector('footer time').textContent") == created
        assert opened.js("return document.getElementById('zone').textContent") == name
        assert opened.column(".time")[0] == settled
    finally:
        browser.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": "UTC"})
