"""The address to which a user would be sent the code, as far as the input shows it. Pure.

Whether that address gets anything is known when the lists of SES and SNS have been read,
which may be after the last row: until then the spool keeps both addresses of each row.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from batch_resend.model import Candidate

_NUMBER = re.compile(r"\+\d{5,15}")


@dataclass(frozen=True, slots=True)
class Lists:
    """The messages that the lists are about: mails, text messages or both.

    `both` says that the pool sends a text message to users with a number, and mail to others.
    """

    mail: bool = False
    text: bool = False
    both: bool = False


#: Asks for what was listed; None where no list was asked for.
ListsRead = Callable[[], Awaitable[Lists | None]]


def mail_of(candidate: Candidate) -> str:
    """Return a user's email address, or an empty text."""
    return next((name for name in _names(candidate) if "@" in name), "")


def number_of(candidate: Candidate) -> str:
    """Return a user's telephone number, or an empty text."""
    return next((name for name in _names(candidate) if _NUMBER.fullmatch(name)), "")


def address_of(candidate: Candidate) -> str:
    """Return the address that other accounts of one person share, or an empty text.

    The Username is not one: it belongs to one account only.
    """
    attributes = candidate.attributes
    names = (*candidate.aliases, *candidate.contacts)
    return (
        attributes.get("email")
        or next((name for name in names if "@" in name), "")
        or attributes.get("phone_number")
        or next((name for name in names if _NUMBER.fullmatch(name)), "")
    )


def _names(candidate: Candidate) -> tuple[str, ...]:
    # The attributes come first: a Username that looks like an address need not be the user's.
    return (*candidate.aliases, *candidate.contacts, candidate.username)
