"""Duration, deciding limit and possible cost of a run. Pure: the time is a parameter.

Rough on purpose, and every figure comes with its assumption: an estimate helps a person to
decide before the run; it does not predict a bill. Times are in seconds since the epoch,
rates in requests per second, prices in US dollars.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from batch_resend.wording import per_second

#: Mails per day by Cognito's own sender, for the whole account; not adjustable, reset at
#: 09:00 UTC. Cognito Developer Guide, "Quotas".
OWN_SENDER_A_DAY = 50
_OWN_DAY_BEGINS = 9 * 3600.0

DAY = 86400.0

#: Amazon SES's price for outbound mail, the same in all Regions.
MAIL_PRICE = 0.10 / 1000
#: The minimum price of a text message; it depends on the country, up to thirty times
#: this. AWS End User Messaging's price list.
TEXT_PRICE_FROM = 0.01
#: A monthly active user above the free ones, by the pool's feature plan. Amazon Cognito's
#: price page, 2026-09.
ACTIVE_USER_PRICE = {"LITE": 0.0055, "ESSENTIALS": 0.015, "PLUS": 0.020}


@dataclass(frozen=True, slots=True, kw_only=True)
class MailQuota:
    """The mails that a day allows, and how many are left today, where that is known.

    `rolling`: the last 24 hours count (Amazon SES); else the day begins at 09:00 UTC
    (Cognito's own sender). `a_second` is the sender's own rate.
    """

    whose: str
    a_day: int
    left: int
    rolling: bool
    a_second: float | None = None

    def finished_at(self, mails: int, now: float) -> float:
        """Return when the last of the mails can leave at the fastest rate of the quota."""
        if mails <= self.left:
            return now
        days = math.ceil((mails - self.left) / self.a_day)
        if self.rolling:
            return now + days * DAY
        begun = now - (now - _OWN_DAY_BEGINS) % DAY
        return begun + days * DAY


def own_sender(left: int = OWN_SENDER_A_DAY) -> MailQuota:
    """Return the quota of Cognito's own sender; no API reports how much is left."""
    return MailQuota(whose="Cognito's own sender", a_day=OWN_SENDER_A_DAY, left=left, rolling=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Messages:
    """Counts of messages by kind; `either` if it depends on the user."""

    mail: int = 0
    text: int = 0
    either: int = 0
    unknown: int = 0

    @property
    def mail_at_most(self) -> int:
        """The maximum number of mails."""
        return self.mail + self.either + self.unknown


def messages(users: int, verifies: Sequence[str] | None, telephones: int | None = None) -> Messages:
    """Count users by the kind of message they get.

    `verifies` is the pool's AutoVerifiedAttributes. If the pool verifies both, users with a
    telephone number get a text message (API reference of ResendConfirmationCode);
    `telephones` is how many have one, None if that is not known.
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
    """A bound of the job: in words, and when the job would end under it alone."""

    words: str
    finished_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The minimum that sending a code to this many users takes."""

    users: int
    rate: float
    now: float
    sent: Messages
    quota: float | None = None  #: requests per second, where it is known
    mail: MailQuota | None = None  #: None where no mail quota is known
    max_sent: int | None = None  #: --max-sent
    deadline: float | None = None  #: --deadline
    tier: str = ""  #: the pool's feature plan, "" where it is not known
    by_ses: bool | None = None  #: whether mail goes through Amazon SES; None: not known

    @property
    def seconds(self) -> float:
        """The duration at the pace alone, in seconds."""
        return max(0, self.users - 1) / self.pace

    @property
    def pace(self) -> float:
        """The possible requests per second: the rate, or the quota if that is lower."""
        return self.rate if self.quota is None else min(self.rate, self.quota)

    @property
    def binding(self) -> Limit:
        """The limit under which the job ends last."""
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
        """Whether another limit than the pace binds."""
        return self.binding.finished_at > self.now + self.seconds

    @property
    def finished_on(self) -> str:
        """The earliest day (UTC) on which all users have been sent a code."""
        return day(self.binding.finished_at)

    @property
    def finished_by(self) -> str:
        """When all users have been sent a code: the time if that is today, else the day."""
        at = self.binding.finished_at
        if day(at) != day(self.now):
            return self.finished_on
        return datetime.fromtimestamp(math.ceil(at / 60) * 60, UTC).strftime("%H:%M UTC")

    @property
    def reached(self) -> tuple[int, str]:
        """The maximum number of users that this run reaches, and what ends it then."""
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
        """The possible costs: an amount and its assumption, for each kind."""
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
    """Return the day of a time, in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")


def dollars(amount: float) -> str:
    """Return a rough amount of money as text."""
    return "less than $0.01" if 0 < amount < 0.01 else f"${amount:,.2f}"
