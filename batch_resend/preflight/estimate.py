"""How long it takes, which limit decides, and what it may cost. Pure: the time is handed in.

Rough on purpose, and every figure with the assumption behind it: an estimate is there so
that a person can say no, not so that a bill can be paid from it. Times are in seconds
since the epoch, rates in requests a second, prices in US dollars.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from batch_resend.wording import per_second

#: Mails a day by Cognito's own sender, for the whole account; not adjustable, counted anew
#: from 09:00 UTC. Cognito Developer Guide, "Quotas".
OWN_SENDER_A_DAY = 50
_OWN_DAY_BEGINS = 9 * 3600.0

DAY = 86400.0

#: Amazon SES's price for outbound mail, the same in all Regions.
MAIL_PRICE = 0.10 / 1000
#: A text message costs at least about so much; the country decides, and some cost thirty
#: times that. AWS End User Messaging's price list.
TEXT_PRICE_FROM = 0.01
#: A monthly active user above the free ones, by the pool's feature plan. Amazon Cognito's
#: price page, 2026-09.
ACTIVE_USER_PRICE = {"LITE": 0.0055, "ESSENTIALS": 0.015, "PLUS": 0.020}


@dataclass(frozen=True, slots=True, kw_only=True)
class MailQuota:
    """What a day allows in mails, and what is left of today, as far as is known.

    `rolling`: the last 24 hours count (Amazon SES); else the day begins at 09:00 UTC
    (Cognito's own sender). `a_second` is the sender's own rate.
    """

    whose: str
    a_day: int
    left: int
    rolling: bool
    a_second: float | None = None

    def finished_at(self, mails: int, now: float) -> float:
        """When the last of so many mails can leave, sent as fast as the quota allows."""
        if mails <= self.left:
            return now
        days = math.ceil((mails - self.left) / self.a_day)
        if self.rolling:
            return now + days * DAY
        begun = now - (now - _OWN_DAY_BEGINS) % DAY
        return begun + days * DAY


def own_sender(left: int = OWN_SENDER_A_DAY) -> MailQuota:
    """Give the quota of Cognito's own sender; what is left of it nobody can be asked."""
    return MailQuota(whose="Cognito's own sender", a_day=OWN_SENDER_A_DAY, left=left, rolling=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Messages:
    """How many messages of which kind; `either` where it depends on the user."""

    mail: int = 0
    text: int = 0
    either: int = 0
    unknown: int = 0

    @property
    def mail_at_most(self) -> int:
        """How many may be mails."""
        return self.mail + self.either + self.unknown


def messages(users: int, verifies: Sequence[str] | None, telephones: int | None = None) -> Messages:
    """Sort users by the message they get. `verifies` is the pool's AutoVerifiedAttributes.

    Where the pool verifies both, whoever has a telephone number gets a text message
    (API reference of ResendConfirmationCode); `telephones` is how many have one, None
    where nobody knows.
    """
    if verifies is None:
        return Messages(unknown=users)
    if "phone_number" not in verifies:
        return Messages(mail=users)
    if "email" not in verifies:
        return Messages(text=users)
    if telephones is None:
        return Messages(either=users)
    return Messages(mail=users - telephones, text=telephones)


@dataclass(frozen=True, slots=True)
class Limit:
    """Something that bounds the job: in words, and when the job is over under it alone."""

    words: str
    finished_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What sending a code to so many users takes at least."""

    users: int
    rate: float
    now: float
    sent: Messages
    quota: float | None = None  #: requests a second, where it is known
    mail: MailQuota | None = None  #: None where no mail quota is known
    max_sent: int | None = None  #: --max-sent
    deadline: float | None = None  #: --deadline
    tier: str = ""  #: the pool's feature plan, "" where it is not known
    by_ses: bool | None = None  #: whether mail goes through Amazon SES; None: not known

    @property
    def seconds(self) -> float:
        """How long it takes at the pace, were that the only limit."""
        return max(0, self.users - 1) / self.pace

    @property
    def pace(self) -> float:
        """Requests a second that are possible: no quota gives more than it has."""
        return self.rate if self.quota is None else min(self.rate, self.quota)

    @property
    def binding(self) -> Limit:
        """The limit that lets the job end last."""
        what = "rate" if self.pace == self.rate else "quota"
        limits = [Limit(f"the {what} of {per_second(self.pace)}", self.now + self.seconds)]
        if self.mail is not None:
            mails = self.sent.mail_at_most
            if self.mail.a_second:
                limits.append(
                    Limit(
                        f"{self.mail.whose}'s rate of {per_second(self.mail.a_second)}",
                        self.now + max(0, mails - 1) / self.mail.a_second,
                    )
                )
            limits.append(
                Limit(
                    f"the mail quota of {self.mail.a_day:,} per day",
                    self.mail.finished_at(mails, self.now),
                )
            )
        return max(limits, key=lambda limit: limit.finished_at)

    @property
    def held_back(self) -> bool:
        """Whether something else than the pace binds."""
        return self.binding.finished_at > self.now + self.seconds

    @property
    def finished_on(self) -> str:
        """The day (UTC) on which all would have been sent a code, at the earliest."""
        return day(self.binding.finished_at)

    @property
    def finished_by(self) -> str:
        """When all would have been sent a code: the hour where that is today, else the day."""
        at = self.binding.finished_at
        if day(at) != day(self.now):
            return self.finished_on
        return datetime.fromtimestamp(math.ceil(at / 60) * 60, UTC).strftime("%H:%M UTC")

    @property
    def reached(self) -> tuple[int, str]:
        """How many of the users this one run reaches at most, and what ends it then."""
        ends = [(self.users, "")]
        if self.max_sent is not None:
            ends.append((self.max_sent, "--max-sent"))
        if self.deadline is not None:
            ends.append((1 + int(self.deadline * self.pace), "--deadline"))
        if self.mail is not None and self.sent.mail_at_most > self.mail.left:
            others = self.users - self.sent.mail_at_most
            ends.append((others + self.mail.left, "the mail quota"))
        return min(ends, key=lambda end: end[0])

    @property
    def costs(self) -> list[tuple[str, str]]:
        """What it may cost: an amount and the assumption behind it, for each kind."""
        amounts = []
        if self.sent.mail_at_most and self.by_ses:
            price = self.sent.mail_at_most * MAIL_PRICE
            amounts.append((f"{dollars(price)} for mail", "Amazon SES, $0.10 per thousand"))
        elif self.sent.mail_at_most and self.by_ses is False:
            amounts.append(("nothing for mail", "Cognito's own sender is free"))
        texts = self.sent.text + self.sent.either
        if texts:
            if_all = ", if every user gets one" if self.sent.either else ""
            amounts.append(
                (
                    f"from {dollars(texts * TEXT_PRICE_FROM)} for text messages",
                    f"$0.01 each{if_all}; the price depends on the country, and can be far higher",
                )
            )
        if self.users and self.tier in ACTIVE_USER_PRICE:
            price = ACTIVE_USER_PRICE[self.tier]
            amounts.append(
                (
                    f"up to {dollars(self.users * price)} in monthly active users",
                    f"{self.tier.capitalize()}, ${price:g} each, if all confirm and none is free",
                )
            )
        return amounts


def day(at: float) -> str:
    """Write a time as its day in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")


def dollars(amount: float) -> str:
    """Write a rough amount of money."""
    return "less than $0.01" if 0 < amount < 0.01 else f"${amount:,.2f}"
