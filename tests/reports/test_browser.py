"""The page in a real browser: it works, loads nothing and fits."""

import itertools
from pathlib import Path
from typing import Any

import pytest

from batch_resend.model import Reason
from batch_resend.reports.page.render import page
from tests.support.browser import Opened
from tests.support.pages import HOSTILE, result, summary, write


def test_page_opens_without_errors_or_requests(browser: Any, tmp_path: Path, report: str) -> None:
    opened = Opened(browser, tmp_path / "page.html", page([report]))
    assert browser.get_log("browser") == []
    assert opened.requested <= {"file", "data"}
    assert browser.title == "Resend report: report.csv"
    assert opened.js("return getComputedStyle(document.body).maxWidth") != "none"  # style allowed
    assert opened.status == "1 to 100 of 1,250 rows"
    assert opened.js("return document.querySelectorAll('[role=img]').length") == 2
    assert opened.js("return document.querySelector('details').open") is False


def test_rows_can_be_searched_filtered_and_paged(browser: Any, tmp_path: Path, report: str) -> None:
    opened = Opened(browser, tmp_path / "page.html", page([report], masked=False))
    assert opened.column(".row")[:2] == ["25", "50"]
    opened.type("#search", "ZOE@example")
    assert (opened.status, opened.column(".name")) == (
        "1 matching of 1,250 rows",
        ["zoe@example.net"],
    )
    opened.type("#search", "user10")
    opened.type("#outcome", "failed")
    assert opened.column(".row") == ["100", "1000", "1025", "1050", "1075"]
    opened.click("button[type=reset]")
    opened.js("return new Promise(done => setTimeout(done))")
    assert opened.status == "1 to 100 of 1,250 rows"
    opened.click("a[data-reason=no-answer]")
    assert opened.column(".row") == ["1250"]
    opened.type("#reason", "accepted")
    assert opened.status == "1 to 100 of 1,200 matching of 1,250 rows"
    for _ in range(11):
        opened.click("#on")
    assert opened.status == "1,101 to 1,200 of 1,200 matching of 1,250 rows"
    assert opened.js("return document.getElementById('on').disabled")
    opened.click("#back")
    assert opened.js("return document.getElementById('page').textContent") == "Page 11 of 12"
    assert browser.get_log("browser") == []


def test_script_shows_the_rows_of_the_plain_page(browser: Any, tmp_path: Path, report: str) -> None:
    for reports in ([report], [report, write(tmp_path / "b.csv", [result(1, Reason.REJECTED)])]):
        opened = Opened(browser, tmp_path / "page.html", page(reports))
        rows = "document.querySelector('#table tbody').innerHTML.trim().replace(/>\\s+</g, '><')"
        scripted = opened.js(f"return {rows}")
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
        try:
            opened = Opened(browser, tmp_path / "page.html", page(reports))
            assert opened.js(f"return {rows}") == scripted
        finally:
            browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


@pytest.mark.parametrize("masked", [True, False])
def test_browser_shows_hostile_names_as_text(browser: Any, tmp_path: Path, masked: bool) -> None:
    rows = [
        result(n, Reason.REJECTED, username=text, error_code=text, error_message=text)
        for n, text in enumerate(HOSTILE, 1)
    ]
    path = write(tmp_path / "report.csv", rows)
    opened = Opened(browser, tmp_path / "page.html", page([path], masked=masked))
    opened.type("#search", "a")
    opened.type("#search", "")
    assert browser.get_log("browser") == []
    assert opened.requested <= {"file", "data"}
    assert browser.title == "Resend report: report.csv"
    assert opened.js("return document.querySelectorAll('img, #table script').length") == 0
    shown = opened.column(".name")
    assert len(shown) == len(HOSTILE)
    if not masked:
        assert shown[:2] == list(HOSTILE[:2])
        assert shown[6] == "\\u202egnirts\\u202c@example.com"


def test_headings_are_in_order_and_fields_have_labels(
    browser: Any, tmp_path: Path, report: str
) -> None:
    other = write(tmp_path / "other.csv", [result(1, Reason.CONNECTION)])
    opened = Opened(browser, tmp_path / "page.html", page([report, other]))
    levels = opened.js(
        "return [...document.querySelectorAll('h1,h2,h3,h4')].map(h => Number(h.tagName[1]))"
    )
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
    assert opened.js("return document.documentElement.lang") == "en"
    nameless = opened.js(
        "return [...document.querySelectorAll('input, select')].filter(f => !f.labels.length)"
        ".length"
    )
    assert nameless == 0
    opened.js("for (const one of document.querySelectorAll('details')) one.open = true")
    nodes = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    charts = [node for node in nodes if node.get("role", {}).get("value") in {"image", "img"}]
    assert len(charts) == 3
    for chart in charts:
        assert "over time" in chart["name"]["value"] or "by response" in chart["name"]["value"]
    ids = opened.js("return [...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("width", [320, 390, 1100])
def test_page_fits_the_width_of_a_phone(
    browser: Any, tmp_path: Path, report: str, width: int
) -> None:
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    try:
        facts = summary({Reason.ACCEPTED: 1250}, next_command="batch-resend run " + "x" * 200)
        every = [  # with the longest title
            result(n, reason, username=f"other{n}@example.com")
            for n, reason in enumerate(Reason, 1)
        ]
        reports = [report, write(tmp_path / "every.csv", every)]
        opened = Opened(browser, tmp_path / "page.html", page(reports, summary=facts))
        sizes = opened.js(
            "const page = document.documentElement; return [page.scrollWidth, page.clientWidth]"
        )
        assert sizes[0] == sizes[1] <= width
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_page_follows_dark_mode_and_prints_light(browser: Any, tmp_path: Path, report: str) -> None:
    data = page([report])
    grounds = {}
    for media, scheme in (("screen", "light"), ("screen", "dark"), ("print", "dark")):
        browser.execute_cdp_cmd(
            "Emulation.setEmulatedMedia",
            {"media": media, "features": [{"name": "prefers-color-scheme", "value": scheme}]},
        )
        opened = Opened(browser, tmp_path / "page.html", data)
        grounds[media, scheme] = opened.js("return getComputedStyle(document.body).backgroundColor")
        hidden = opened.js("return getComputedStyle(document.querySelector('.filters')).display")
        assert (hidden == "none") == (media == "print")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
    assert grounds["screen", "light"] == grounds["print", "dark"] == "rgb(255, 255, 255)"
    assert grounds["screen", "dark"] == "rgb(20, 23, 28)"
