"""What a setting may be given as from Python, and what it is kept as."""

import dataclasses
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from batch_resend.errors import UsageError
from batch_resend.job.summary import MaxFailures
from batch_resend.settings import Settings

DAY = 86400.0
START = datetime(2026, 11, 1, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("users", Path("a/users.csv"), "a/users.csv"),
        ("ledger", Path("ledger.sqlite3"), "ledger.sqlite3"),
        ("report", None, None),
        ("older_than", timedelta(days=1), DAY),
        ("older_than", 60, 60.0),
        ("cooldown", timedelta(hours=1), 3600.0),
        ("since", date(2026, 11, 1), START),
        ("since", datetime(2026, 11, 1), START),  # noqa: DTZ001 - UTC without a zone
        ("since", START, START),
        ("max_failures", 5, MaxFailures(number=5)),
        ("max_failures", "50%", MaxFailures(part=0.5)),
        ("metadata", {"locale": "@locale"}, (("locale", "@locale"),)),
        ("metadata", [("a", "b")], (("a", "b"),)),
        ("match", {"email": "@x$"}, (("email", re.compile("@x$")),)),
        ("match", (("email", re.compile("@x$")),), (("email", re.compile("@x$")),)),
    ],
)
def test_setting_is_kept_as_one_type(name: str, value: Any, expected: Any) -> None:
    settings = Settings(client_id="abc", **{name: value})
    assert getattr(settings, name) == expected
    assert type(getattr(settings, name)) is type(expected)
    assert dataclasses.replace(settings, concurrency=1) == dataclasses.replace(
        settings, concurrency=1, **{name: expected}
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("users", b"users.csv"),
        ("report", 1),
        ("older_than", "1d"),
        ("older_than", True),
        ("timeout", float("nan")),
        ("since", "yesterday"),
        ("max_failures", "many"),
        ("max_failures", 1.5),
        ("metadata", {"locale": 1}),
        ("metadata", "locale=de"),
        ("match", {"email": "("}),
        ("match", {"email": 1}),
        ("client_secret", 1),
    ],
)
def test_other_types_are_refused_with_the_option(name: str, value: Any) -> None:
    with pytest.raises(UsageError, match="^--" + name.replace("_", "-")):
        Settings(client_id="abc", **{name: value})


def test_settings_stay_frozen_and_hashable() -> None:
    settings = Settings(client_id="abc", match={"a": "b"}, metadata={"c": "d"})
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.users = "other.csv"  # type: ignore[misc]
    assert hash(settings) == hash(dataclasses.replace(settings))


def test_secret_is_shown_nowhere() -> None:
    settings = Settings(client_id="abc", client_secret="s3cret")
    assert "s3cret" not in repr(settings)
    assert "s3cret" not in repr(vars(settings))
