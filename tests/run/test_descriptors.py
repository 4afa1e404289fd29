"""File descriptors: few of them make a run slower and fail no user."""

from __future__ import annotations

import resource

import pytest

from batch_resend.errors import SettingsError
from batch_resend.run import descriptors
from tests.support.sentences import is_one_sentence

ENDLESS = resource.RLIM_INFINITY


class Limits:
    """The limit of the system, and the number of open descriptors."""

    def __init__(self, soft: int, hard: int, used: int | None = 20) -> None:
        self.soft, self.hard, self.used = soft, hard, used

    def use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(resource, "getrlimit", lambda _: (self.soft, self.hard))
        monkeypatch.setattr(resource, "setrlimit", self._set)
        monkeypatch.setattr(descriptors, "_in_use", lambda: self.used)

    def _set(self, _: int, limits: tuple[int, int]) -> None:
        assert limits[1] == self.hard
        assert limits[0] > self.soft
        self.soft = limits[0]


@pytest.mark.parametrize(
    ("limits", "fitting", "soft"),
    [
        (Limits(1024, 4096), 64, 1024),
        (Limits(100, 100), 64, 100),
        (Limits(99, 99), 63, 99),
        (Limits(64, 64), 28, 64),
        (Limits(36, 36), 1, 36),
        (Limits(32, 32), 1, 32),
        (Limits(9, 9), 1, 9),
        (Limits(64, 4096), 64, 100),
        (Limits(64, 80), 44, 80),
        (Limits(64, ENDLESS), 64, 100),
        (Limits(ENDLESS, ENDLESS), 64, ENDLESS),
        (Limits(64, 64, used=None), 64, 64),
    ],
)
def test_concurrency_is_what_descriptors_allow(
    limits: Limits, fitting: int, soft: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits.use(monkeypatch)
    assert descriptors.affordable(64) == fitting
    assert limits.soft == soft


def test_a_ledger_on_a_table_needs_twice_as_many(monkeypatch: pytest.MonkeyPatch) -> None:
    Limits(100, 100).use(monkeypatch)
    assert descriptors.affordable(64, each=2) == 32


def test_open_descriptors_are_counted() -> None:
    before = descriptors._in_use()
    assert before is not None
    with open("/dev/null") as _:  # noqa: PTH123
        assert descriptors._in_use() == before + 1


@pytest.mark.parametrize(
    ("limits", "enough"),
    [
        (Limits(31, 31), False),
        (Limits(32, 32), True),
        (Limits(9, 31), False),
        (Limits(9, 32), True),
        (Limits(9, ENDLESS), True),
        (Limits(ENDLESS, ENDLESS), True),
    ],
)
def test_too_few_descriptors_are_refused(
    limits: Limits, enough: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits.use(monkeypatch)
    if enough:
        descriptors.check()
        assert limits.soft == ENDLESS or limits.soft >= descriptors.NEEDED
        return
    with pytest.raises(SettingsError, match="Only 31 files may be open here") as caught:
        descriptors.check()
    assert is_one_sentence(caught.value)
