"""Settings: checked once, each mistake in one sentence that names the option."""

import math
import re
from pathlib import Path
from typing import Any

import pytest

from batch_resend.cli import parsing
from batch_resend.errors import UsageError
from batch_resend.job.summary import MaxFailures
from batch_resend.reconcile.ledger_books import FLIGHT
from batch_resend.run.open_ledger import state_folder
from batch_resend.settings import Settings

CSV: dict[str, Any] = {"users": "users.csv", "client_id": "abc"}
LISTING: dict[str, Any] = {"user_pool_id": "eu-west-1_AbC", "client_id": "abc"}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("15m", 900),
        ("24h", 86400),
        ("7d", 604800),
        ("0.5s", 0.5),
        (" 1h ", 3600),
        ("2w", 1209600),
        ("1h30m", 5400),
        ("500ms", 0.5),
        ("1d12h", 129600),
        ("1m0.5s", 60.5),
    ],
)
def test_a_duration_is_a_number_and_a_unit(text: str, seconds: float) -> None:
    assert seconds == parsing.duration("--timeout", text)


@pytest.mark.parametrize(
    "text", ["", "10", "s", "-1s", "1y", "30m1h", "1h30", "1h1h", "1e3s", "ten s"]
)
def test_other_texts_are_refused_as_a_duration(text: str) -> None:
    with pytest.raises(UsageError, match="--timeout"):
        parsing.duration("--timeout", text)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-01", 1793491200.0),
        ("2026-11-01T09:30Z", 1793525400.0),
        ("2026-11-01T09:30+01:00", 1793521800.0),
    ],
)
def test_since_is_a_date_in_utc(text: str, moment: float) -> None:
    assert parsing.moment("--since", text) == moment


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "1.11.2026"])
def test_since_refuses_other_text(text: str) -> None:
    with pytest.raises(UsageError, match="--since"):
        parsing.moment("--since", text)


def test_format_is_one_of_four() -> None:
    assert [parsing.file_format("--format", name) for name in ("csv", "json", "jsonl", "xlsx")]
    with pytest.raises(UsageError, match="--format 'xls'"):
        parsing.file_format("--format", "xls")


@pytest.mark.parametrize(("text", "rate"), [("auto", None), ("25", 25.0), ("0.5", 0.5)])
def test_rate_is_auto_or_requests_per_second(text: str, rate: float | None) -> None:
    assert rate == parsing.rate("--rate", text)


@pytest.mark.parametrize("text", ["", "0", "-1", "fast", "nan", "inf", "1e9"])
def test_other_texts_are_refused_as_a_rate(text: str) -> None:
    with pytest.raises(UsageError, match="--rate"):
        parsing.rate("--rate", text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5%", MaxFailures(part=0.05)),
        ("0.5%", MaxFailures(part=0.005)),
        ("100%", MaxFailures(part=1.0)),
        ("0", MaxFailures(number=0)),
        ("20", MaxFailures(number=20)),
    ],
)
def test_failures_are_a_number_or_a_part(text: str, expected: MaxFailures) -> None:
    assert expected == parsing.max_failures("--max-failures", text)


@pytest.mark.parametrize("text", ["", "101%", "-1", "five", "%", "1.5", "²"])
def test_other_texts_are_refused_as_a_number_of_failures(text: str) -> None:
    with pytest.raises(UsageError, match="--max-failures"):
        parsing.max_failures("--max-failures", text)


@pytest.mark.parametrize(
    ("text", "waves"),
    [
        ("10,100,rest", (10, 100, None)),
        (" 10 , rest ", (10, None)),
        ("10,100", (10, 100)),
        ("rest", (None,)),
    ],
)
def test_waves_are_numbers_of_users_and_the_rest(text: str, waves: tuple[int | None, ...]) -> None:
    assert waves == parsing.waves("--waves", text)


@pytest.mark.parametrize("text", ["", "10,", "ten", "10%,rest", "-1", "1.5", "10;20", "²"])
def test_other_texts_are_refused_as_waves(text: str) -> None:
    with pytest.raises(UsageError, match="--waves"):
        parsing.waves("--waves", text)


@pytest.mark.parametrize(
    ("arguments", "limit", "sample"),
    [
        ({"waves": (10, 100, None)}, None, None),
        ({"waves": (10, 100)}, 110, None),
        ({"waves": (10, 100), "limit": 50}, 50, None),
        ({"waves": (10, 100), "limit": 500}, 110, None),
        ({"waves": (10, 100), "sample": 50}, None, 50),
        ({"waves": (10, 100), "sample": 500}, None, 110),
        ({"waves": (10, None), "sample": 500}, None, 500),
    ],
)
def test_no_more_are_chosen_than_the_waves_have_room_for(
    arguments: dict[str, Any], limit: int | None, sample: int | None
) -> None:
    selection = Settings(**CSV, **arguments).selection
    assert (selection.limit, selection.sample) == (limit, sample)


def test_timeout_is_no_longer_than_a_record_is_looked_for() -> None:
    assert Settings(**CSV, timeout=FLIGHT).timeout == FLIGHT
    with pytest.raises(
        UsageError, match=r"--timeout 5m1s is too long. With this ledger the maximum is 5m"
    ):
        Settings(**CSV, timeout=FLIGHT + 1)
    with pytest.raises(UsageError, match="the maximum is 2m"):
        Settings(**CSV, ledger="dynamodb://table", timeout=121.0)


def test_pairs_are_split_at_the_first_equals_sign() -> None:
    assert [parsing.key_value("--metadata", text) for text in ("a=1", "b=x=y", "c=")] == [
        ("a", "1"), ("b", "x=y"), ("c", ""),
    ]  # fmt: skip
    for text in ("a", "=1", ""):
        with pytest.raises(UsageError, match="--metadata"):
            parsing.key_value("--metadata", text)


def test_conditions_are_a_name_and_a_pattern() -> None:
    assert parsing.match("--match", "lang=^de") == ("lang", re.compile("^de"))
    assert parsing.match("--match", "x=a=b") == ("x", re.compile("a=b"))
    for text in ("lang", "=x", "lang=("):
        with pytest.raises(UsageError, match="--match"):
            parsing.match("--match", text)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"users": "users.csv"}, "--client-id is missing"),
        (CSV | {"client_id": "bad-id!"}, "--client-id"),
        (CSV | {"user_pool_id": "AbC"}, "--user-pool-id"),
        (CSV | {"user_pool_id": "eu-west-1_Ab-C"}, "--user-pool-id"),
        (CSV | {"user": ("ada",)}, "--user and users.csv cannot be combined"),
        ({"client_id": "abc", "user": (" ",)}, "--user is empty"),
        ({"client_id": "abc", "user": ("ada",), "format": "csv"}, "--format describes a file"),
        (LISTING | {"user": ("ada",), "since": 1.0}, "--since needs a listing or a file"),
        (CSV | {"filter": 'email = "a"'}, "--filter needs a listing"),
        (LISTING | {"older_than": 2.0, "newer_than": 1.0}, "exclude every user"),
        (CSV | {"limit": 1, "sample": 1}, "--limit and --sample"),
        (CSV | {"limit": 0}, "--limit 0"),
        (CSV | {"waves": (0, None)}, "--waves 0,rest"),
        (CSV | {"waves": (None, 10)}, "--waves rest,10"),
        (CSV | {"waves": (10, -1)}, "--waves 10,-1"),
        (CSV | {"max_sends": -1}, "--max-sends -1"),
        (CSV | {"concurrency": 0}, "--concurrency 0"),
        (CSV | {"max_attempts": 0}, "--max-attempts 0"),
        (CSV | {"max_sent": 0}, "--max-sent 0"),
        (CSV | {"timeout": 0.0}, "--timeout"),
        (CSV | {"give_up_after": 0.0}, "--give-up-after"),
        (CSV | {"client_secret_file": "a", "report": "a"}, "is --client-secret-file too"),
        (CSV | {"metadata": (("a", "1"), ("a", "2"))}, "--metadata a is given twice"),
        (CSV | {"share": 0.0}, "--share"),
        (CSV | {"share": 1.1}, "--share"),
        (CSV | {"client_secret_file": "f", "client_secret_id": "i"}, "cannot be combined"),
        (CSV | {"fetch_client_secret": True}, "needs --user-pool-id"),
        (CSV | {"report": "users.csv"}, "--report users.csv is the input too"),
        (CSV | {"report": "./users.csv"}, "is the input too"),
        (CSV | {"report": "-", "summary": "-"}, "--summary - is --report too"),
        (CSV | {"report": "/dev/stdout", "summary": "-"}, "--summary - is --report too"),
        (CSV | {"report": "/dev/fd/1", "summary": "/dev/stdout"}, "/dev/stdout is --report too"),
        (CSV | {"report": "/dev/stdout", "html": "h.html"}, "--report cannot be -"),
        (CSV | {"failed": "a", "report": "a"}, "is --report too"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_sentence(
    arguments: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(UsageError) as refused:
        Settings(**arguments)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "arguments",
    [
        CSV,
        LISTING,
        {"client_id": "abc", "user": ("ada", "ada")},
        LISTING | {"since": 1793491200.0},
        LISTING | {"older_than": 1.0, "filter": "", "one_per_address": True},
        {"simulate": True},
        CSV | {"users": "-", "report": "-"},
        CSV | {"report": "/dev/null", "failed": "/dev/null"},
        CSV | {"exclude": "users.csv"},
    ],
)
def test_what_makes_sense_is_accepted(arguments: dict[str, Any]) -> None:
    Settings(**arguments)


def test_the_region_is_the_given_one_else_that_of_the_pool() -> None:
    assert Settings(**LISTING).pool_region == "eu-west-1"
    assert Settings(**LISTING, region="us-east-1").pool_region == "us-east-1"
    assert Settings(**CSV).pool_region == ""
    assert Settings(**CSV | {"user_pool_id": "us-gov-west-1_A"}).pool_region == "us-gov-west-1"


def test_auto_takes_its_share_of_the_default_quota() -> None:
    assert Settings(**CSV).limits.rate == 25.0
    assert Settings(**CSV, share=0.2).limits.rate == 10.0
    assert Settings(**CSV, share=0.2, rate=40.0).limits.rate == 40.0


def test_names_that_the_settings_refer_to_are_known() -> None:
    settings = Settings(
        **CSV,
        match=(parsing.match("--match", "lang=de"),),
        metadata=(("a", "@one"), ("b", "two")),
        ip_address="@ip",
    )
    assert settings.names == {"lang", "one", "ip"}


@pytest.mark.parametrize(
    ("state", "folder"),
    [("/srv/state", "/srv/state/batch-resend"), ("", ".local/state/batch-resend")],
)
def test_the_state_folder_is_the_users_own(
    monkeypatch: pytest.MonkeyPatch, state: str, folder: str
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", state)
    monkeypatch.setenv("HOME", "/home/ada")
    assert state_folder() == Path("/home/ada") / folder


@pytest.mark.parametrize(
    "wrong",
    [
        {"rate": 0.0}, {"rate": math.nan}, {"cooldown": -5.0}, {"deadline": math.nan},
        {"timeout": math.inf}, {"older_than": -1.0, "users": None, "user_pool_id": "eu-west-1_A"},
    ],
    ids=str,
)  # fmt: skip
def test_numbers_that_mean_nothing_are_refused_from_python_too(wrong: dict[str, Any]) -> None:
    option = "--" + next(iter(wrong)).replace("_", "-")
    with pytest.raises(UsageError, match=f"{option} .*(not valid|not a valid)"):
        Settings(**{"users": "users.csv", "client_id": "web", **wrong})
