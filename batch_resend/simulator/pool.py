"""The users of the simulated pool, and what their names make happen.

As with the mailbox simulator of Amazon SES, a user's name can choose the answer: the
marker `+KIND` before the `@`, or at the end of a name that has none, as in
`ada+confirmed@example.com` and `bob+lost`. `Kind` lists them.
"""

from __future__ import annotations

import random
import re
import uuid
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from batch_resend.masking import mask


class Kind(StrEnum):
    """The fate of a user's request; the value is the marker, the sentence explains it."""

    sentence: str

    def __new__(cls, value: str, sentence: str) -> Kind:
        """Return a member with its explanation."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.sentence = sentence
        return member

    EMAIL = "email", "A code goes out by mail; so it does for every name without a marker."
    SMS = "sms", "A code goes out by text message."
    BOUNCE = "bounce", "A code goes out, and bounces: Amazon SES suppresses the address."
    COMPLAINT = "complaint", "A code goes out, and is reported as spam: SES suppresses the address."
    OPTOUT = "optout", "A code goes out by text message, and the user opts out of others."

    # Cognito says no, and nothing goes out.
    CONFIRMED = "confirmed", "The user is confirmed already."
    MISSING = "missing", "There is no such user."
    DISABLED = "disabled", "The user is disabled."
    TIRED = "tired", "The user's attempt limit is used up."
    UNDELIVERABLE = "undeliverable", "Amazon SES refuses the mail."
    TRIGGER = "trigger", "The pool's Lambda trigger refuses the user."
    LAMBDA = "lambda", "The pool's Lambda trigger cannot be run."

    # Something else answers instead of Cognito, and nothing goes out.
    WAF = "waf", "AWS WAF blocks the request."
    BUSY = "busy", "The first request gets AWS's 429 without a body, the next ones a code by mail."
    ERROR = "error", "500 InternalErrorException."
    UNAVAILABLE = "unavailable", "503 and a page of HTML."
    HTML = "html", "200 and a page of HTML, as a captive portal sends."
    EMPTY = "empty", "200 and an empty body."
    REDIRECT = "redirect", "307 to another address."
    ENDLESS = "endless", "200 and a body that never ends."
    SILENT = "silent", "The request is lost: no code, and no answer ever."

    # The code goes out, but the answer does not say so.
    NODETAILS = "nodetails", "A code goes out, and the answer is 200 without CodeDeliveryDetails."
    GATEWAY = "gateway", "A code goes out, and the answer is 504."
    PROXY = "proxy", "A code goes out, and a proxy answers 403 in Cognito's place."
    LOST = "lost", "A code goes out, and the answer never comes."
    FIN = "fin", "A code goes out, and the connection is closed without an answer."
    RST = "rst", "A code goes out, and the connection is reset without an answer."
    HALF = "half", "A code goes out, and the connection is closed after half the answer."

    @classmethod
    def of(cls, name: str) -> Kind:
        """Read the marker in a user's name."""
        local = name.rpartition("@")[0] if "@" in name else name
        _, plus, marker = local.rpartition("+")
        return cls.__members__.get(marker.upper(), cls.EMAIL) if plus else cls.EMAIL


@dataclass(frozen=True, slots=True)
class User:
    """A user of the pool; `created` is in seconds since the epoch."""

    username: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    status: str = "UNCONFIRMED"
    enabled: bool = True
    created: float = 0.0

    def __repr__(self) -> str:
        """Show a masked name: a simulated run may use the names of real people."""
        return f"User(username={mask(self.username)!r}, status={self.status})"

    @property
    def kind(self) -> Kind:
        """The kind that the Username chooses or else, as it may be a UUID, the address."""
        kind = Kind.of(self.username)
        return Kind.of(self.attributes.get("email", "")) if kind is Kind.EMAIL else kind


class Pool:
    """The users, found by Username or by address, and listed in the order of Usernames.

    `open_to_all` makes an existing, unconfirmed user of every name that is asked for.
    """

    def __init__(self, users: Iterable[User] = (), *, open_to_all: bool = False) -> None:
        self._users = {user.username: user for user in users}
        self._order = sorted(self._users)
        self._open = open_to_all
        self._aliases: dict[str, str] = {}
        for user in self._users.values():
            self._name(user)

    def __len__(self) -> int:
        """Return the number of listed users."""
        return len(self._users)

    def find(self, name: str) -> User | None:
        """Find a user by Username, sub, email or phone_number."""
        user = self._users.get(name) or self._users.get(self._aliases.get(name, ""))
        return User(name) if user is None and self._open else user

    def put(self, user: User) -> None:
        """Add a user, or change the one with this Username."""
        self.remove(user.username)
        self._users[user.username] = user
        self._order.insert(bisect_left(self._order, user.username), user.username)
        self._name(user)

    def remove(self, username: str) -> None:
        """Delete the user with this Username, if there is one."""
        user = self._users.pop(username, None)
        if user is None:
            return
        del self._order[bisect_left(self._order, username)]
        for alias in _aliases(user):
            if self._aliases.get(alias) == username:
                del self._aliases[alias]

    def after(self, username: str) -> Iterator[User]:
        """Yield the users whose Usernames come later than this one, in order."""
        for index in range(bisect_right(self._order, username), len(self._order)):
            yield self._users[self._order[index]]

    def _name(self, user: User) -> None:
        for alias in _aliases(user):
            self._aliases.setdefault(alias, user.username)


def _aliases(user: User) -> list[str]:
    aliases = (user.attributes.get(name) for name in ("sub", "email", "phone_number"))
    return [alias for alias in aliases if alias]


_FILTER = re.compile(r'\s*([\w:]+)\s*(\^?=)\s*"((?:[^"\\]|\\.)*)"\s*', re.DOTALL)
_ATTRIBUTES = {
    *("username", "sub", "email", "phone_number", "preferred_username"),
    *("name", "given_name", "family_name", "cognito:user_status", "status"),
}


def parse_filter(text: str) -> Callable[[User], bool]:
    """Read the filter of ListUsers: `attribute = "value"`, `^=` for a prefix, or nothing.

    Raises:
        ValueError: it is none, in the words of the service.
    """
    if not text:
        return lambda _: True
    match = _FILTER.fullmatch(text)
    if match is None:
        raise ValueError("Error while parsing filter.")
    attribute, operator, quoted = match.groups()
    if attribute not in _ATTRIBUTES:
        raise ValueError(f"Invalid search attribute: {attribute}")
    wanted = re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL)
    if attribute == "cognito:user_status":
        wanted = wanted.upper()  # the only attribute that is compared without regard to case

    def fits(user: User) -> bool:
        value = _value(user, attribute)
        if value is None:
            return False
        return value.startswith(wanted) if operator == "^=" else value == wanted

    return fits


def _value(user: User, attribute: str) -> str | None:
    if attribute == "username":
        return user.username
    if attribute == "cognito:user_status":
        return user.status
    if attribute == "status":
        return "Enabled" if user.enabled else "Disabled"
    return user.attributes.get(attribute)


_NAMES = ("Ada", "Björn", "Chloé", "Dmitri", "Eun-ji", "Fatima", "Goran", "Hồng", "Íñigo", "José")
_LOCALES = ("de-DE", "en-US", "fr-FR", "es-ES", "ja-JP", "pt-BR")
_DAY = 86400.0


def make_users(count: int, *, seed: int = 0, now: float) -> list[User]:
    """Make up users, the same ones for the same arguments.

    They signed up with an email address, so that their Usernames are UUIDs. Of each
    hundred 20 are CONFIRMED, 4 are disabled and 10 have a telephone number; they were
    created up to 90 days ago, but 10 of them within the last hour and 10 some years ago.
    """
    rng = random.Random(seed)  # noqa: S311 - for made-up people, and repeatable on purpose
    users = []
    for number in range(1, count + 1):
        username = str(uuid.UUID(int=rng.getrandbits(128), version=4))
        name = rng.choice(_NAMES)
        attributes = {
            "sub": username,
            "email": f"user{number}@example.com",
            "name": name,
            "locale": rng.choice(_LOCALES),
        }
        if number % 10 == 3:
            attributes["phone_number"] = f"+1555{number:07d}"
        age = rng.uniform(_DAY / 24, 90 * _DAY)
        if number % 10 == 1:
            age = rng.uniform(0, _DAY / 24)
        elif number % 10 == 2:
            age = rng.uniform(2 * 365 * _DAY, 4 * 365 * _DAY)
        users.append(
            User(
                username,
                attributes,
                status="CONFIRMED" if number % 5 == 0 else "UNCONFIRMED",
                enabled=number % 25 != 7,
                created=now - age,
            )
        )
    return users
