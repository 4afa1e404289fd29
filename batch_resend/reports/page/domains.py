"""Mail domains: which of them the page names, and which are probably typing errors. Pure.

A domain that many users share says nothing about a person; one that few have may be a
person's own. So a domain is named if at least `FEW` users of the reports have it, if it is
a large provider's, or if it is one typing error away from a large provider's. All others
are summed up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from batch_resend.reports.page.figures import Domain

FEW = 5  #: minimum users of a domain that is named
SHOWN = 12  #: domains in the table

#: Large providers whose names are long enough that one wrong letter is a typing error.
_LARGE = (
    "gmail.com", "googlemail.com", "yahoo.com", "yahoo.co.uk", "yahoo.co.jp", "yahoo.de",
    "yahoo.fr", "yahoo.es", "yahoo.it", "yahoo.in", "yahoo.com.br", "hotmail.com",
    "hotmail.co.uk", "hotmail.de", "hotmail.fr", "hotmail.es", "hotmail.it", "outlook.com",
    "outlook.de", "outlook.fr", "outlook.es", "outlook.it", "icloud.com", "protonmail.com",
    "comcast.net", "t-online.de", "freenet.de", "orange.fr", "wanadoo.fr", "libero.it",
    "naver.com", "yandex.ru", "mail.ru",
)  # fmt: skip
#: Other well-known ones, so that none of them is taken for a typing error of another.
_KNOWN = {
    *_LARGE, "mail.com", "email.com", "ymail.com", "rocketmail.com", "aol.com", "gmx.com",
    "gmx.de", "gmx.net", "gmx.at", "gmx.ch", "web.de", "live.com", "live.de", "live.co.uk",
    "msn.com", "me.com", "mac.com", "proton.me", "pm.me", "fastmail.com", "zoho.com", "qq.com",
    "163.com", "126.com", "free.fr", "sfr.fr", "laposte.net", "yandex.com", "bk.ru", "list.ru",
    "inbox.ru", "hey.com", "duck.com", "att.net", "verizon.net", "cox.net", "btinternet.com",
    "yahoo.ca", "yahoo.com.au", "hotmail.ca",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Named:
    """A domain that the page names; `probably` is the provider that was likely meant."""

    domain: Domain
    probably: str = ""


@dataclass(frozen=True, slots=True)
class Domains:
    """The domains by name, and how many others there are with how many users."""

    named: list[Named]
    others: int
    users: int
    not_sent: int

    @property
    def mistyped(self) -> list[Named]:
        """Those that are probably typing errors, those with the most users first."""
        return sorted(
            (named for named in self.named if named.probably),
            key=lambda named: -named.domain.users,
        )


def split(domains: Sequence[Domain]) -> Domains:
    """Choose the domains to name, and sum up the others."""
    named = []
    for domain in domains:
        probably = meant(domain.name)
        if domain.users >= FEW or domain.name in _KNOWN or probably:
            named.append(Named(domain, probably))
    # A typing error is named even where the table would end before it.
    first = {id(one) for one in named[:SHOWN]}
    shown = [one for one in named if id(one) in first or one.probably][: 2 * SHOWN]
    left = {domain.name: domain for domain in domains}
    for one in shown:
        del left[one.domain.name]
    return Domains(
        shown,
        len(left),
        sum(domain.users for domain in left.values()),
        sum(domain.not_sent for domain in left.values()),
    )


def meant(domain: str) -> str:
    """Return the large provider that is one typing error away; "" if none is."""
    if domain in _KNOWN:
        return ""
    return next((large for large in _LARGE if _one_error(domain, large)), "")


def _one_error(typed: str, right: str) -> bool:
    """Whether one letter is wrong, missing, too many, or swapped with the next one."""
    if abs(len(typed) - len(right)) > 1 or typed == right:
        return False
    same = next(
        (n for n, (a, b) in enumerate(zip(typed, right, strict=False)) if a != b),
        min(len(typed), len(right)),
    )
    rest, wanted = typed[same:], right[same:]
    return (
        rest[1:] == wanted[1:]
        or rest[1:] == wanted
        or rest == wanted[1:]
        or (rest[:2] == wanted[1::-1] and rest[2:] == wanted[2:])
    )
