"""Plans to preview, with every number given."""

from __future__ import annotations

from batch_resend.model import Reason
from batch_resend.preflight.estimate import Estimate, Messages, own_sender
from batch_resend.preflight.policy_words import Memory, policy_words
from batch_resend.preflight.preview import Preview
from tests.support.infos import info

NOW = 1795435200.0  #: 2026-11-23 12:00 UTC


INFO = info(user_pool_id="eu-west-1_AbCdEf123", account="123456789012", ledger="reminders.sqlite3")


ESTIMATE = Estimate(
    users=1200,
    rate=25.0,
    quota=50.0,
    now=NOW,
    sent=Messages(mail=1000, text=200),
    mail=own_sender(),
    max_sent=40,
    tier="ESSENTIALS",
    by_ses=False,
)


PREVIEW = Preview(
    counts={
        Reason.ELIGIBLE: 1200, Reason.INVALID_USERNAME: 1, Reason.SEND_CAP: 12,
        Reason.DUPLICATE: 3, Reason.DISABLED: 0,
    },
    examples=["ada@example.com", "bob", "cid"],
    estimate=ESTIMATE,
    info=INFO,
    policy=policy_words(
        max_sends=3, cooldown=3 * 86400.0, older_than=86400.0, newer_than=14 * 86400.0
    ),
    memory=Memory(people=748, last_run=NOW - 71760.0),
)  # fmt: skip


PLAIN = Preview(
    counts={Reason.ELIGIBLE: 5},
    examples=["ada@example.com", "bob", "cid"],
    estimate=Estimate(users=5, rate=25.0, now=NOW, sent=Messages(unknown=5)),
    info=info(),
)
