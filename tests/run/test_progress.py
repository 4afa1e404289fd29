"""What is being done before the plan, in words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from batch_resend.job.spool import Spool
from batch_resend.model import Planned, Reason
from batch_resend.observer import Event, Preparing
from batch_resend.observer import Planned as PlannedEvent
from batch_resend.run.prepare import prepare
from batch_resend.run.progress import Preparation
from batch_resend.settings import Settings
from tests.support.findings import own_sender

LISTING = Settings(user_pool_id="eu-west-1_AbCdEf123", client_id="abc")


def test_listing_names_the_pool_and_its_size_once_known() -> None:
    with Spool() as spool:
        preparation = Preparation(LISTING, spool)
        assert preparation() == "Listing users of eu-west-1_AbCdEf123 ... 0"
        rows = (Planned(row=row, username=f"u{row}", reason=Reason.ELIGIBLE) for row in range(1200))
        spool.add((row, "", None) for row in rows)
        facts = own_sender()
        preparation.learn(facts)
        expected = f", of about {facts.pool.users:,} in the pool"  # type: ignore[union-attr]
        assert preparation().endswith(f" ... 1,200 so far{expected}")
        preparation.is_read = True
        assert preparation() == "Checking the pool, the client and the account ..."


@pytest.mark.parametrize(("users", "name"), [("users.csv", "users.csv"), ("-", "standard input")])
def test_reading_names_the_file(users: str, name: str) -> None:
    with Spool() as spool:
        preparation = Preparation(replace(LISTING, users=users), spool)
        assert preparation() == f"Reading {name} ... 0 rows"


@pytest.mark.anyio
async def test_preparing_is_observed_before_the_plan() -> None:
    events: list[Event] = []
    settings = Settings(user=("ada",), simulate=True, dry_run=True, report="/dev/null")
    async with prepare(settings, observe=events.append):
        pass
    kinds = [type(event) for event in events]
    assert kinds.index(Preparing) < kinds.index(PlannedEvent)
