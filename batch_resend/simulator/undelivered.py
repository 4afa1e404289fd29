"""Who gets nothing: SES's suppression list and SNS's opted-out numbers of the simulated account.

A mail that bounces, or that its reader reports as spam, puts the address on the list; so does
a request of a user whose marker says so. As with AWS, Cognito does not notice: it accepts the
next request too. `list_suppressed` and `list_opted_out` answer by the rules of their
documentation, the time is handed in, and every code still counts as one that Cognito sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from batch_resend.simulator.pool import Kind, User

REASONS = {Kind.BOUNCE: "BOUNCE", Kind.COMPLAINT: "COMPLAINT"}
PAGE = 1000  #: suppressed addresses
NUMBERS = 100  #: on a page of opted-out numbers. SNS API reference


class Undelivered:
    """The lists; `denied` are the operations that the caller may not use."""

    def __init__(self, *, denied: Sequence[str] = ()) -> None:
        self.denied = denied
        self.suppressed: dict[str, tuple[str, float]] = {}  #: why, and since when
        self.opted_out: list[str] = []

    def note(self, user: User, kind: Kind, now: float) -> None:
        """Note what becomes of a message that went out."""
        if kind in REASONS:
            self.suppressed[address_of(user).lower()] = (REASONS[kind], now)
        elif kind is Kind.OPTOUT and (number := number_of(user)) not in self.opted_out:
            self.opted_out.append(number)

    def list_suppressed(self, query: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """Return a response to ListSuppressedDestinations, by its query."""
        reasons = query.get("Reason") or list(REASONS.values())
        since = (
            datetime.fromisoformat(query["StartDate"][0]).timestamp() if "StartDate" in query else 0
        )
        size = min(PAGE, int(query.get("PageSize", [str(PAGE)])[0]))
        summaries = [
            {"EmailAddress": address, "Reason": reason, "LastUpdateTime": at}
            for address, (reason, at) in self.suppressed.items()
            if reason in reasons and at >= since
        ]
        start = int(query.get("NextToken", ["0"])[0])
        page: dict[str, Any] = {"SuppressedDestinationSummaries": summaries[start : start + size]}
        if start + size < len(summaries):
            page["NextToken"] = str(start + size)
        return page

    def list_opted_out(self, token: str = "") -> tuple[list[str], str]:
        """Return a page of ListPhoneNumbersOptedOut: the numbers, and the next token or ""."""
        start = int(token or 0)
        after = start + NUMBERS
        return self.opted_out[start:after], str(after) if after < len(self.opted_out) else ""


def address_of(user: User) -> str:
    """Return where a user's mail goes."""
    name = user.username
    return user.attributes.get("email") or (name if "@" in name else f"{name}@example.com")


def number_of(user: User) -> str:
    """Return where a user's text message goes."""
    if user.username.startswith("+") and not user.attributes:
        return user.username  # a name of the open pool is all that is known
    # A number of the block that is reserved for stories, where the user has none.
    return user.attributes.get("phone_number") or "+15550100"


def unreachable(users: Sequence[User], now: float) -> Undelivered:
    """Return the lists of made-up users: one in fifty has bounced, one has opted out."""
    lists = Undelivered()
    for user in users[8::50]:
        lists.note(user, Kind.BOUNCE, now - 86400)
    for user in users[12::50]:
        lists.note(user, Kind.OPTOUT, now - 86400)
    return lists
