"""The page: text stays text, nothing is loaded, and a real browser can use it."""

import itertools
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_resend.errors import Exit, InputError
from batch_resend.job.outcome import Stop
from batch_resend.job.summary import Summary
from batch_resend.model import Delivery, Outcome, Reason, Result
from batch_resend.reasons import ADVICE
from batch_resend.reports.page import render
from batch_resend.reports.page.render import page, page_name, read_summary
from batch_resend.reports.page.samples import Sample, Samples
from batch_resend.reports.private_file import PrivateFile
from batch_resend.reports.results_csv import CsvReport

NOON = 1_800_000_000.0
FACTS: dict[str, Any] = {
    "version": "0.1.0",
    "input": "users.csv",
    "user_pool_id": "eu-west-1_AbCdEf123",
    "client_id": "1example23456789",
    "region": "eu-west-1",
    "endpoint": "https://cognito-idp.eu-west-1.amazonaws.com",
    "endpoint_is_aws": True,
    "simulated": False,
    "dry_run": False,
    "report": "report.csv",
    "next_command": "batch-resend run users.csv --client-id 1example23456789",
}
HOSTILE = (
    "<script>alert(1)</script>",
    "</script><script>document.title='got you'</script>@example.com",
    '"><img src=x onerror=alert(1)>',
    "'onmouseover='alert(1)'@example.org",
    "<!--<script>",
    "]]>&lt;b&gt;\u2028",
    "\u202egnirts\u202c@example.com",
    "\x1b[31mred\x00",
    "{{ 7 * 7 }}{% raw %}",
    "=HYPERLINK(0)",
)


def result(row: int, reason: Reason = Reason.ACCEPTED, **given: Any) -> Result:
    asked = reason.outcome not in {Outcome.SKIPPED, Outcome.PLANNED, Outcome.NOT_ATTEMPTED}
    facts: dict[str, Any] = {
        "username": f"user{row}@example.com",
        "finished_at": NOON + row / 10,
        "attempts": int(asked),
        "latency": 0.06 if asked else None,
    }
    return Result(row, reason=reason, **(facts | given))


def write(path: Path, results: Iterable[Result]) -> str:
    with PrivateFile(str(path), what="--report", overwrite=True) as file:
        report = CsvReport(file)
        for one in results:
            report.write(one)
    return str(path)


def summary(reasons: dict[Reason, int], **given: Any) -> dict[str, Any]:
    facts = {key: given.pop(key) for key in list(given) if key in FACTS}
    numbers: dict[str, Any] = {
        "requests": 9, "throttled": 2, "seconds": 75.0, "started_at": NOON, "ceiling": 25.0,
    }  # fmt: skip
    return Summary(reasons=reasons, facts=FACTS | facts, **(numbers | given)).as_json()


class Text(HTMLParser):
    """What a reader sees, and the tags there are."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.parts: list[str] = []
        self.inside = ""
        self.embedded: dict[str, str] = {}
        self.feed(data.decode())
        self.close()
        self.text = re.sub(r"\s+", " ", " ".join(self.parts))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag in {"script", "style"}:
            self.inside = dict(attrs).get("id") or tag

    def handle_endtag(self, tag: str) -> None:
        if tag in {"script", "style"}:
            self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.embedded[self.inside] = data
        else:
            self.parts.append(data)


def test_a_summary_of_a_run_whose_ledger_could_not_be_read_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    told = summary({Reason.ACCEPTED: 1}, unknown_in_ledger=None)
    path.write_text(json.dumps(told), "utf-8")
    assert read_summary(str(path)) == told


def test_the_numbers_reasons_and_advice_of_a_run_are_there(tmp_path: Path) -> None:
    reasons = {Reason.ACCEPTED: 3, Reason.USER_NOT_FOUND: 1, Reason.NO_ANSWER: 1}
    rows = [reason for reason, count in reasons.items() for _ in range(count)]
    path = write(tmp_path / "report.csv", [result(n, r) for n, r in enumerate(rows, 1)])
    told = summary(reasons, stopped_by=Stop.DEADLINE, unknown_in_ledger=4)
    text = Text(page([path], summary=told)).text
    for expected in (
        "5 rows",
        "9 requests in 75 seconds, 2 of them throttled.",
        "Pool eu-west-1_AbCdEf123, client 1example23456789, eu-west-1",
        "The run stopped early. The time of --deadline is over.",
        "To ask again for the 1 user who failed (once the causes below are mended, whoever",
        "To write again to the 1 unknown user too",
        "batch-resend run users.csv --client-id 1example23456789 --resend-unknown all",
        "3 codes sent, 2 users asked for in vain; 2 throttled",
        "the ceiling was 25 a second (far above, so not drawn).",
        "5 requests: median 60 ms, p95 60 ms, p99 60 ms, longest 60 ms.",
        "row 5: u***@e***",
        "Over all runs of the ledger there are 4.",
        "keep it as private as the report",
    ):
        assert expected in text
    for reason in reasons:
        for part in (ADVICE[reason].meaning, ADVICE[reason].action):
            assert re.sub(r"\s+", " ", part.replace("`", " ")).strip() in re.sub(r"\s+", " ", text)


def test_there_is_advice_for_every_reason() -> None:
    assert set(ADVICE) == set(Reason)


def test_names_are_masked_everywhere_unless_asked_otherwise(tmp_path: Path) -> None:
    rows = [
        result(1, Reason.REJECTED, username="ada.lovelace@example.com",
               error_message="ada.lovelace@example.com is not for bob@example.net",
               error_code="ada.lovelace@example.comException"),
        result(2, Reason.NO_ANSWER, username="grace"),
        result(3, delivery=Delivery("EMAIL", "g***@e***", "email"), username="+15550101"),
        result(4, delivery=Delivery("SMS", "+49 151 1234567", "phone_number"), username="hal"),
    ]  # fmt: skip
    path = write(tmp_path / "report.csv", rows)
    masked = page([path]).decode()
    for secret in (
        "ada.",
        "lovelace",
        "example.com",
        "example.net",
        "grace",
        "15550101",
        "1234567",
    ):
        assert secret not in masked
    assert "a***@e***" in masked
    assert "Names are masked" in masked
    full = page([path], masked=False).decode()
    assert "ada.lovelace@example.com is not for bob@example.net" in full
    assert "+15550101" in full
    assert "Names are masked" not in full


@pytest.mark.parametrize("masked", [True, False])
def test_hostile_names_and_messages_stay_text(tmp_path: Path, masked: bool) -> None:
    plain = write(tmp_path / "plain.csv", [result(1, Reason.REJECTED)])
    expected = Text(page([plain], masked=False))
    rows = [
        result(n, Reason.REJECTED, username=text, error_code=text, error_message=text)
        for n, text in enumerate(HOSTILE, 1)
    ]
    path = write(tmp_path / "hostile<img src=x>.csv", rows)
    data = page([path], masked=masked)
    found = Text(data)
    # Rows more, but no kind of tag and no attribute that an ordinary page has not.
    assert set(found.tags) <= set(expected.tags)
    assert found.tags.count("script") == expected.tags.count("script")
    assert found.tags.count("style") == 1
    assert {name for name, _ in found.attributes} <= {name for name, _ in expected.attributes}
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u2028\x1b\x00]", data.decode())
    assert len(json.loads(found.embedded["data"])) == len(HOSTILE)
    if not masked:
        assert "<script>alert(1)</script>" in found.text


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.text(), st.text()), min_size=1, max_size=5))
def test_whatever_people_are_called_the_page_has_its_own_tags_only(
    people: list[tuple[str, str]],
) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        rows = [
            result(n, Reason.REJECTED, username=name, error_message=text)
            for n, (name, text) in enumerate(people, 1)
        ]
        path = write(Path(folder) / "report.csv", rows)
        found = Text(page([path], masked=False))
    assert found.tags.count("script") == 3
    assert found.tags.count("bdi") == 2 * len(people)
    rows_there = json.loads(found.embedded["data"])
    assert [row[1] for row in rows_there] == list(range(1, len(people) + 1))


def test_the_page_forbids_itself_everything_but_its_own_style_and_script(tmp_path: Path) -> None:
    text = page([write(tmp_path / "r.csv", [result(1)])]).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    parts = dict(part.strip().split(" ", 1) for part in policy[1].split(";"))
    assert parts["default-src"] == "'none'"
    for kind, pattern in (
        ("style", r"<style>(.*?)</style>"),
        ("script", r"<script>(.*?)</script>"),
    ):
        found = re.search(pattern, text, re.DOTALL)
        assert found
        assert parts[f"{kind}-src"].strip("'") == render._hash(found[1])
    assert not re.search(r"https?://|//[a-z]", text.split("<body>")[0].replace("// ", ""))
    assert not re.search(r'\son\w+="|style="|src="', text)


@pytest.mark.parametrize(
    ("reason", "given", "told"),
    [
        (Reason.ACCEPTED, {"simulated": True}, "Simulated No real person was written to."),
        (Reason.ELIGIBLE, {"dry_run": True}, "Dry run Nobody was asked for"),
        (Reason.ACCEPTED, {"endpoint_is_aws": False, "endpoint": "https://p.example"},
         "Not AWS The endpoint was not AWS's own: https://p.example"),
        (Reason.ELIGIBLE, None, "Dry run Nobody was asked for"),
    ],
)  # fmt: skip
def test_what_must_not_be_overlooked_stands_at_the_top(
    tmp_path: Path, reason: Reason, given: dict[str, Any] | None, told: str
) -> None:
    path = write(tmp_path / "report.csv", [result(1, reason)])
    facts = None if given is None else summary({reason: 1}, **given)
    text = Text(page([path], summary=facts)).text
    assert told in text
    assert text.index(told) < text.index("What to do next")


def test_a_simulated_report_says_so_without_its_summary(tmp_path: Path) -> None:
    made_up = result(1, request_id="00000000-0000-4000-8000-000000000001")
    path = write(tmp_path / "report.csv", [made_up])
    other = write(tmp_path / "real.csv", [result(2, request_id="r-2")])
    assert "Simulated No real person was written to: the request ids" in Text(page([path])).text
    assert "the request ids in report.csv are made up" in Text(page([path, other])).text
    assert "Simulated" not in Text(page([other])).text


@pytest.mark.parametrize(
    ("reasons", "given", "told"),
    [
        ([Reason.ACCEPTED], {}, ["Nobody is left to be asked for."]),
        ([Reason.ELIGIBLE], {}, ["To send the codes that were planned:"]),
        ([Reason.STOPPED], {"stopped_by": Stop.MAX_SENT}, ["The run stopped early.", "To go on"]),
        ([Reason.STOPPED], {"stopped_by": Stop.WRONG_SECRET}, ["When that is put right, to ask"]),
        (
            [Reason.ATTEMPT_LIMIT],
            {},
            ["To ask again for the 1 user who failed (an hour later, whoever"],
        ),
        ([Reason.OVER_LIMIT], {}, ["To go on with the 1 user left out by the limit:"]),
        ([Reason.OUTCOME_UNKNOWN], {}, ["Nobody is left", "write again to the 1 unknown user"]),
    ],
)
def test_what_to_do_next_follows_from_what_happened(
    tmp_path: Path, reasons: list[Reason], given: dict[str, Any], told: list[str]
) -> None:
    path = write(tmp_path / "report.csv", [result(n, r) for n, r in enumerate(reasons, 1)])
    text = Text(page([path], summary=summary(dict.fromkeys(reasons, 1), **given))).text
    assert [sentence for sentence in told if sentence not in text] == []
    bare = Text(page([path])).text
    assert "batch-resend run users.csv" not in bare


def test_a_summary_of_another_run_is_noticed(tmp_path: Path) -> None:
    path = write(tmp_path / "report.csv", [result(1), result(2)])
    text = Text(page([path], summary=summary({Reason.ACCEPTED: 3}))).text
    assert "The summary counts 3 rows and report.csv has 2: they may not belong together." in text


def test_a_summary_belongs_to_the_report_that_it_names(tmp_path: Path) -> None:
    first = write(tmp_path / "report.csv", [result(1), result(2)])
    second = write(tmp_path / "later.csv", [result(3)])
    text = Text(page([first, second], summary=summary({Reason.ACCEPTED: 2}))).text
    assert "may not belong together" not in text
    assert "3 users, in 3 rows of 2 reports" in text


def test_throttled_requests_of_the_samples_are_drawn_with_the_pace(tmp_path: Path) -> None:
    path = write(tmp_path / "report.csv", [result(n) for n in range(1, 50)])
    samples = Samples()
    for second in range(5):
        samples.add(Sample(NOON + second, second // 2, 9.0, 12.0))
    told = summary({Reason.ACCEPTED: 49}, ceiling=12.0)
    text = page([path], summary=told, samples=samples.taken).decode()
    for kind in ("throttled", "pace", "ceiling"):
        assert f'class="{kind}"' in text
    assert "Earlier tries" not in text
    again = write(tmp_path / "report.csv", [result(1, attempts=3)])
    assert "Earlier tries (throttled, or without a connection)" in Text(page([again])).text


def test_a_page_stays_small_and_says_what_it_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render, "LARGEST_TABLE", 2000)
    path = write(tmp_path / "r.csv", [result(n, Reason.REJECTED) for n in range(1, 101)])
    found = Text(page([path]))
    shown = len(json.loads(found.embedded["data"]))
    assert 10 < shown < 40
    assert len(found.embedded["data"].encode()) <= 2000
    assert f"{shown} of 100 rows are here" in found.text
    assert f"Left out, and only in the report: {100 - shown} failed." in found.text


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", "{", "[" * 100_000, '{"schema": 2}', '{"schema": 1}', "\x00\xff"],
)
def test_what_is_no_summary_gets_a_sentence(tmp_path: Path, content: str) -> None:
    path = tmp_path / "summary.json"
    path.write_text(content, "latin-1")
    with pytest.raises(InputError, match=r"--summary .*(no summary|another version)"):
        read_summary(str(path))
    with pytest.raises(InputError, match="cannot be read"):
        read_summary(str(tmp_path / "missing.json"))


def test_a_summary_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    told = summary({Reason.ACCEPTED: 1}, stopped_by=Stop.SIGINT)
    path.write_text(json.dumps(told))
    assert read_summary(str(path)) == told
    assert told["exit_code"] == Exit.INTERRUPT
    path.write_text(json.dumps(told | {"throttled": "many"}))
    with pytest.raises(InputError, match="another version"):
        read_summary(str(path))


def test_a_page_lies_beside_its_report() -> None:
    assert page_name("out/report.csv") == "out/report.html"
    assert page_name("report.csv.gz") == "report.html"
    assert page_name("report") == "report.html"


def _colours(text: str) -> dict[str, str]:
    return dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", text))


def _contrast(one: str, other: str) -> float:
    """As the Web Content Accessibility Guidelines define it."""

    def light(colour: str) -> float:
        parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted([light(one), light(other)])
    return (high + 0.05) / (low + 0.05)


def test_every_text_has_the_contrast_of_level_aa_by_day_and_by_night() -> None:
    style = (Path(render.__file__).parent / "assets" / "style.css").read_text("utf-8")
    day, night = style.split("@media screen and (prefers-color-scheme: dark)")
    assert _contrast("#000000", "#ffffff") == pytest.approx(21)
    for colours in (_colours(day), _colours(day) | _colours(night)):
        for text, ground in (
            ("ink", "paper"), ("soft", "paper"), ("accent", "paper"), ("ink", "raised"),
            ("ink", "warn"),
        ):  # fmt: skip
            assert _contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
        for shape in ("accent", "failed", "unknown", "rest", "edge"):
            assert _contrast(colours[shape], colours["paper"]) >= 3, shape


# -- in a real browser ---------------------------------------------------------------

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium without a window, which notes what it logs and asks the network for."""
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
    yield driver
    driver.quit()


class Opened:
    """A page in the browser."""

    def __init__(self, browser: Any, path: Path, data: bytes) -> None:
        path.write_bytes(data)
        self.browser = browser
        browser.get("about:blank")  # leaves the browser's own first page
        browser.get_log("browser")
        browser.get_log("performance")
        browser.get(path.as_uri())

    def js(self, script: str, *given: Any) -> Any:
        return self.browser.execute_script(script, *given)

    def type(self, css: str, text: str) -> None:
        """Set a field as a person would, events and all."""
        self.js(
            "const field = document.querySelector(arguments[0]); field.value = arguments[1];"
            "field.dispatchEvent(new Event('input', {bubbles: true}))",
            css,
            text,
        )

    def click(self, css: str) -> None:
        self.js("document.querySelector(arguments[0]).click()", css)

    def column(self, css: str) -> list[str]:
        found: list[str] = self.js(
            "return [...document.querySelectorAll('#table tbody ' + arguments[0])]"
            ".map(cell => cell.textContent)",
            css,
        )
        return found

    @property
    def found(self) -> str:
        return str(self.js("return document.getElementById('found').textContent"))

    @property
    def asked(self) -> set[str]:
        """The kinds of addresses that were asked for."""
        messages = (
            json.loads(entry["message"])["message"] for entry in self.browser.get_log("performance")
        )
        return {
            message["params"]["request"]["url"].partition(":")[0]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        }


@pytest.fixture
def report(tmp_path: Path) -> str:
    """1,250 rows, in pages of 100: 50 not found, of one a lost answer, the rest sent."""
    rows = [
        result(n, Reason.USER_NOT_FOUND if n % 25 == 0 else Reason.ACCEPTED) for n in range(1, 1250)
    ]
    rows.append(result(1250, Reason.NO_ANSWER, username="zoe@example.net"))
    return write(tmp_path / "report.csv", rows)


def test_it_opens_without_an_error_and_without_a_request(
    browser: Any, tmp_path: Path, report: str
) -> None:
    opened = Opened(browser, tmp_path / "page.html", page([report]))
    assert browser.get_log("browser") == []
    assert opened.asked <= {"file", "data"}
    assert browser.title == "Resend report: report.csv"
    assert opened.js("return getComputedStyle(document.body).maxWidth") != "none"  # style allowed
    assert opened.found == "1 to 100 of 1,250 rows"
    assert opened.js("return document.querySelectorAll('[role=img]').length") == 2


def test_rows_are_searched_filtered_and_paged(browser: Any, tmp_path: Path, report: str) -> None:
    opened = Opened(browser, tmp_path / "page.html", page([report], masked=False))
    assert opened.column(".row")[:2] == ["25", "50"]
    opened.type("#search", "ZOE@example")
    assert (opened.found, opened.column(".name")) == (
        "1 to 1 of 1 rows found among 1,250",
        ["zoe@example.net"],
    )
    opened.type("#search", "nobody is called so")
    assert (opened.found, opened.column(".name")) == ("0 rows found among 1,250", [])
    opened.type("#search", "user10")
    opened.type("#outcome", "failed")
    assert opened.column(".row") == ["100", "1000", "1025", "1050", "1075"]
    opened.click("button[type=reset]")
    opened.js("return new Promise(done => setTimeout(done))")
    assert opened.found == "1 to 100 of 1,250 rows"
    opened.click("a[data-reason=no-answer]")
    assert opened.column(".row") == ["1250"]
    opened.type("#reason", "accepted")
    assert opened.found == "1 to 100 of 1,200 rows found among 1,250"
    for _ in range(11):
        opened.click("#on")
    assert opened.found == "1,101 to 1,200 of 1,200 rows found among 1,250"
    assert opened.js("return document.getElementById('on').disabled")
    opened.click("#back")
    assert opened.js("return document.getElementById('page').textContent") == "Page 11 of 12"
    assert browser.get_log("browser") == []


def test_the_script_shows_the_same_rows_as_the_page_without_it(
    browser: Any, tmp_path: Path, report: str
) -> None:
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
def test_hostile_names_show_as_text_in_the_browser(
    browser: Any, tmp_path: Path, masked: bool
) -> None:
    rows = [
        result(n, Reason.REJECTED, username=text, error_code=text, error_message=text)
        for n, text in enumerate(HOSTILE, 1)
    ]
    path = write(tmp_path / "report.csv", rows)
    opened = Opened(browser, tmp_path / "page.html", page([path], masked=masked))
    opened.type("#search", "a")
    opened.type("#search", "")
    assert browser.get_log("browser") == []
    assert opened.asked <= {"file", "data"}
    assert browser.title == "Resend report: report.csv"
    assert opened.js("return document.querySelectorAll('img, #table script').length") == 0
    shown = opened.column(".name")
    assert len(shown) == len(HOSTILE)
    if not masked:
        assert shown[:2] == list(HOSTILE[:2])
        assert shown[6] == "\\u202egnirts\\u202c@example.com"


def test_headings_are_in_order_and_everything_has_a_name(
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
    nodes = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    charts = [node for node in nodes if node.get("role", {}).get("value") in {"image", "img"}]
    assert len(charts) == 3
    for chart in charts:
        assert "over time" in chart["name"]["value"] or "how long" in chart["name"]["value"]
    ids = opened.js("return [...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("width", [320, 390, 1100])
def test_it_fits_the_width_of_a_telephone(
    browser: Any, tmp_path: Path, report: str, width: int
) -> None:
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    try:
        told = summary({Reason.ACCEPTED: 1250}, next_command="batch-resend run " + "x" * 200)
        opened = Opened(browser, tmp_path / "page.html", page([report], summary=told))
        sizes = opened.js(
            "const page = document.documentElement; return [page.scrollWidth, page.clientWidth]"
        )
        assert sizes[0] == sizes[1] <= width
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_it_takes_on_the_dark_and_prints_light(browser: Any, tmp_path: Path, report: str) -> None:
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
