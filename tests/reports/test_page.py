"""The page: text stays text, nothing is loaded, and its sentences follow from the reports."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_resend.model import Delivery, Reason
from batch_resend.reasons import ADVICE
from batch_resend.reports.page import render, table
from batch_resend.reports.page.render import page, page_name
from batch_resend.reports.page.samples import Sample, Samples
from tests.support.language import BANNED, faults
from tests.support.pages import HOSTILE, NOON, result, summary, write


class Text(HTMLParser):
    """The text that a reader sees, and the tags of the page."""

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


def test_page_shows_numbers_reasons_and_advice(tmp_path: Path) -> None:
    reasons = {Reason.ACCEPTED: 3, Reason.USER_NOT_FOUND: 1, Reason.NO_ANSWER: 1}
    rows = [reason for reason, count in reasons.items() for _ in range(count)]
    path = write(tmp_path / "report.csv", [result(n, r) for n, r in enumerate(rows, 1)])
    facts = summary(reasons, unknown_in_ledger=4, account="123456789012")
    text = Text(page([path], summary=facts, now=NOON + 3600)).text
    for expected in (
        "3 of 5 people were sent a new code",
        "15 Jan 2027, 08:00 UTC to 08:01 UTC",
        "User pool eu-west-1_AbCdEf123, app client 1example23456789, account 123456789012, eu-west",
        "1 could not be sent a code. Not in the user pool.",
        "1 may have been sent a code, or not: the outcome is unknown. Response lost.",
        "5 rows",
        "9 requests in 75 seconds, 2 of them throttled.",
        "3 sent, 2 not sent; 2 throttled",
        "the limit was 25 requests per second (far above, so not drawn).",
        "5 requests: median 60 ms, p95 60 ms, p99 60 ms, longest 60 ms.",
        "Not in the user pool failed · user-not-found",
        "Over all runs of the ledger, 4 are unknown.",
        "Made 15 Jan 2027, 09:00 UTC by batch-resend",
        "keep it as private as the report",
    ):
        assert expected in text
    for reason in reasons:
        for part in (ADVICE[reason].meaning, ADVICE[reason].action):
            words = re.sub(r"\s+", " ", part.replace("`", " ")).strip()
            assert words.lower() in text.lower()


def test_page_is_in_plain_words(tmp_path: Path) -> None:
    """No word that names the person something did not happen to, for any reason."""
    rows = [result(n, reason) for n, reason in enumerate(Reason, 1)]
    text = Text(page([write(tmp_path / "report.csv", rows)])).text
    assert (
        faults(text, BANNED | {r"\b(unsettled|asked for)\b|a second\b": "see the glossary"}) == []
    )


def test_every_reason_has_advice() -> None:
    assert set(ADVICE) == set(Reason)


def test_page_masks_names_unless_asked_otherwise(tmp_path: Path) -> None:
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


@pytest.mark.parametrize(
    ("reasons", "sentence"),
    [
        ([], "There are no users in the report"),
        ([Reason.ACCEPTED], "The only user was sent a new code"),
        ([Reason.ACCEPTED] * 2, "All 2 people were sent a new code"),
        ([Reason.ACCEPTED, Reason.DUPLICATE], "The only user was sent a new code"),
        ([Reason.ACCEPTED, Reason.REJECTED], "1 of 2 people was sent a new code"),
        ([Reason.REJECTED] * 1200, "None of 1,200 people were sent a new code"),
        ([Reason.REJECTED], "The only user was not sent a new code"),
        ([Reason.ELIGIBLE], "The only user would be sent a new code"),
        ([Reason.ELIGIBLE, Reason.DISABLED], "1 of 2 people would be sent a new code"),
    ],
)
def test_headline_says_how_it_went(tmp_path: Path, reasons: list[Reason], sentence: str) -> None:
    path = write(tmp_path / "report.csv", [result(n, r) for n, r in enumerate(reasons, 1)])
    assert f"<h1>{sentence}</h1>" in page([path]).decode()


def test_domains_are_named_from_five_users_on(tmp_path: Path) -> None:
    """On a masked page too: a domain of many is not a person's."""
    names = [f"u{n}@firm.example" for n in range(5)] + ["a@smith.example", "b@gmial.com"]
    rows = [result(n, Reason.REJECTED, username=name) for n, name in enumerate(names, 1)]
    text = Text(page([write(tmp_path / "r.csv", rows)])).text
    assert "firm.example" in text
    assert "gmial.com: 1 user , probably gmail.com" in text
    assert "1 other domain: 1 user, 1 of them failed or unknown" in text
    assert "smith" not in text


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
    parsed_page = Text(data)
    # Rows more, but no kind of tag and no attribute that an ordinary page has not.
    assert set(parsed_page.tags) <= set(expected.tags)
    assert parsed_page.tags.count("script") == expected.tags.count("script")
    assert parsed_page.tags.count("style") == 1
    assert {name for name, _ in parsed_page.attributes} <= {name for name, _ in expected.attributes}
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u2028\x1b\x00]", data.decode())
    assert len(json.loads(parsed_page.embedded["data"])) == len(HOSTILE)
    if not masked:
        assert "<script>alert(1)</script>" in parsed_page.text


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.text(), st.text()), min_size=1, max_size=5))
def test_any_name_adds_no_tag_to_the_page(
    people: list[tuple[str, str]],
) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        rows = [
            result(n, Reason.REJECTED, username=name, error_message=text)
            for n, (name, text) in enumerate(people, 1)
        ]
        path = write(Path(folder) / "report.csv", rows)
        parsed_page = Text(page([path], masked=False))
    assert parsed_page.tags.count("script") == 3
    assert parsed_page.tags.count("bdi") == 2 * len(people)
    rows_there = json.loads(parsed_page.embedded["data"])
    assert [row[1] for row in rows_there] == list(range(1, len(people) + 1))


def test_page_policy_allows_only_its_own_style_and_script(tmp_path: Path) -> None:
    text = page([write(tmp_path / "r.csv", [result(1)])]).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    parts = dict(part.strip().split(" ", 1) for part in policy[1].split(";"))
    assert parts["default-src"] == "'none'"
    for kind, pattern in (
        ("style", r"<style>(.*?)</style>"),
        ("script", r"<script>(.*?)</script>"),
    ):
        match = re.search(pattern, text, re.DOTALL)
        assert match
        assert parts[f"{kind}-src"].strip("'") == render._hash(match[1])
    assert not re.search(r"https?://|//[a-z]", text.split("<body>")[0].replace("// ", ""))
    assert not re.search(r'\son\w+="|style="|src="', text)


@pytest.mark.parametrize(
    ("reason", "arguments", "sentence"),
    [
        (Reason.ACCEPTED, {"simulated": True}, "Simulated No messages were sent to real users."),
        (Reason.ELIGIBLE, {"dry_run": True}, "Dry run Nothing was sent."),
        (Reason.ACCEPTED, {"endpoint_is_aws": False, "endpoint": "https://p.example"},
         "Not AWS The requests went to another endpoint: https://p.example"),
        (Reason.ELIGIBLE, None, "Dry run Nothing was sent."),
    ],
)  # fmt: skip
def test_warnings_come_before_the_next_steps(
    tmp_path: Path, reason: Reason, arguments: dict[str, Any] | None, sentence: str
) -> None:
    path = write(tmp_path / "report.csv", [result(1, reason)])
    facts = None if arguments is None else summary({reason: 1}, **arguments)
    text = Text(page([path], summary=facts)).text
    assert sentence in text
    assert text.index(sentence) < text.index("What to do next")


def test_simulated_report_is_known_without_summary(tmp_path: Path) -> None:
    made_up = result(1, request_id="00000000-0000-4000-8000-000000000001")
    path = write(tmp_path / "report.csv", [made_up])
    other = write(tmp_path / "real.csv", [result(2, request_id="r-2")])
    assert (
        "Simulated No messages were sent to real users: the request IDs" in Text(page([path])).text
    )
    assert (
        "the request IDs in report.csv are those of a simulation" in Text(page([path, other])).text
    )
    assert "Simulated" not in Text(page([other])).text


def test_summary_of_another_run_is_noticed(tmp_path: Path) -> None:
    path = write(tmp_path / "report.csv", [result(1), result(2)])
    text = Text(page([path], summary=summary({Reason.ACCEPTED: 3}))).text
    assert "The summary counts 3 rows, but report.csv has 2. They may not belong together." in text


def test_summary_belongs_to_the_report_it_names(tmp_path: Path) -> None:
    first = write(tmp_path / "report.csv", [result(1), result(2)])
    second = write(tmp_path / "later.csv", [result(3)])
    text = Text(page([first, second], summary=summary({Reason.ACCEPTED: 2}))).text
    assert "may not belong together" not in text
    assert "3 users in 3 rows of 2 reports" in text


def test_samples_are_drawn_as_throttles_and_pace(tmp_path: Path) -> None:
    path = write(tmp_path / "report.csv", [result(n) for n in range(1, 50)])
    samples = Samples()
    for second in range(5):
        samples.add(Sample(NOON + second, second // 2, 9.0, 12.0))
    facts = summary({Reason.ACCEPTED: 49}, ceiling=12.0)
    text = page([path], summary=facts, samples=samples.taken).decode()
    for kind in ("throttled", "pace", "ceiling"):
        assert f'class="{kind}"' in text
    assert "Earlier attempts" not in text
    again = write(tmp_path / "report.csv", [result(1, attempts=3)])
    assert "Earlier attempts (throttled, or without a connection)" in Text(page([again])).text


def test_page_limits_its_rows_and_counts_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "LARGEST_TABLE", 2000)
    path = write(tmp_path / "r.csv", [result(n, Reason.REJECTED) for n in range(1, 101)])
    parsed_page = Text(page([path]))
    shown = len(json.loads(parsed_page.embedded["data"]))
    assert 10 < shown < 40
    assert len(parsed_page.embedded["data"].encode()) <= 2000
    assert f"{shown} of 100 rows are on this page" in parsed_page.text
    assert f"Only in the report: {100 - shown} failed." in parsed_page.text


def test_page_is_named_after_its_report() -> None:
    assert page_name("out/report.csv") == "out/report.html"
    assert page_name("report.csv.gz") == "report.html"
    assert page_name("report") == "report.html"


def _colours(text: str) -> dict[str, str]:
    return dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", text))


def _contrast(one: str, other: str) -> float:
    """Return the contrast by the Web Content Accessibility Guidelines."""

    def light(colour: str) -> float:
        parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted([light(one), light(other)])
    return (high + 0.05) / (low + 0.05)


def test_text_contrast_meets_level_aa_in_light_and_dark() -> None:
    style = (Path(render.__file__).parent / "assets" / "style.css").read_text("utf-8")
    day, night = style.split("@media screen and (prefers-color-scheme: dark)")
    assert _contrast("#000000", "#ffffff") == pytest.approx(21)
    for colours in (_colours(day), _colours(day) | _colours(night)):
        for text, ground in (
            ("ink", "paper"), ("soft", "paper"), ("accent", "paper"), ("ink", "raised"),
            ("ink", "warn"), ("soft", "raised"), ("accent", "raised"),
        ):  # fmt: skip
            assert _contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
        for shape in ("accent", "planned", "failed", "unknown", "later", "rest", "edge"):
            assert _contrast(colours[shape], colours["paper"]) >= 3, shape
        outcomes = ("accent", "planned", "failed", "unknown", "later", "rest")
        assert len({colours[name] for name in outcomes}) == len(outcomes)
