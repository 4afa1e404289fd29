"""The items of the table, and what they mean for a user. Pure.

One item for each name that was sent to, and for each other name of a listed user:

  id     `user#` and the keyed hash of the name, case folded
  v      a stamp, new with every intent that concerns the name: the condition of a write
         is the stamp that was read, so of two machines one is refused
  m#...  a message to this name; what follows `m#` is its owner's token
  of     ids of users with sent messages who also have this name

`meta` holds the schema, the keys of the hashes and of the marks, the first run whose
requests carry marks, the client for which the ledger was created, whether it is a
simulation's, the number of the newest run and the newest time; `run#...` is a run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from batch_resend.ledger import Identity, Message
from batch_resend.ledger.hashing import hashes
from batch_resend.ledger.policy import Earlier, History, history_of

SCHEMA = 2
READABLE = (1, 2)  #: version 1 is brought up to date by the next run
META = "meta"
USER = "user#"
RUN = "run#"
MESSAGE = "m#"

#: Seconds after which an open intent is treated as left by a dead run. Longer than any
#: request, and than clocks can differ: DynamoDB refuses a signature from a clock that is
#: 5 minutes late ("... - 5 min.") or 15 early ("... + 15 min.").
#: https://github.com/aws/aws-sdk-js/issues/527, https://github.com/aws/aws-sdk-js/issues/2565
IN_FLIGHT = 1800.0

#: Users noted under another name of theirs; an item of DynamoDB has room for 400 KB.
MOST_USERS = 2000

#: Names in the condition of an intent: "up to 100 action requests" are a transaction.
#: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
MOST_NAMES = 100

Raw = Mapping[str, Any]  #: an item as the SDK's client returns it


@dataclass(frozen=True, slots=True)
class Record:
    """A message as stored in the table; `others` are the hashes of the user's other names."""

    message: Message
    exact: bytes
    others: frozenset[tuple[bytes, bytes]] = frozenset()


@dataclass(frozen=True, slots=True)
class Item:
    """All that is stored under one name. `stamp` None: nothing is."""

    id: str
    stamp: str | None = None
    messages: Mapping[str, Record] = field(default_factory=dict)  #: by token
    users: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Match:
    """A message and its place in the table."""

    id: str
    token: str
    record: Record


@dataclass(frozen=True, slots=True)
class Hashed:
    """A user's names as they are looked up: id and hashes of each, the one sent to first."""

    own: tuple[str, tuple[bytes, bytes]]
    others: tuple[tuple[str, tuple[bytes, bytes]], ...] = ()
    listed: bool = False

    @property
    def ids(self) -> list[str]:
        """The ids of all names, each once."""
        return list(dict.fromkeys([self.own[0], *(one for one, _ in self.others)]))


def hashed(secret: bytes, names: Identity) -> Hashed:
    """Hash a user's names."""
    own, *others = (
        (id_of(both[0]), both)
        for both in (hashes(secret, name) for name in (names.username, *names.aliases))
    )
    return Hashed(own, tuple(others), names.listed)


def id_of(key: bytes) -> str:
    """Return the ID of the item for a name's hash."""
    return USER + key.hex()


def message_name(token: str) -> str:
    """Return the name of a message's attribute."""
    return MESSAGE + token


def run_id(number: int) -> str:
    """Return the ID of a run's item."""
    return f"{RUN}{number:09}"


def names_of(
    user: Hashed, items: Mapping[str, Item], *, case_sensitive: bool
) -> list[tuple[str, tuple[bytes, bytes]]]:
    """Return a user's names, each once, as in `ledger.Identity`: ID and hashes.

    `items` hold those of `Hashed.ids`, and of all other users with the name sent to.
    """
    owners = _owners(user, items, case_sensitive)
    names = [*owners, *(user.others if user.listed else ())]
    for id_, owner in owners:
        for record in _sent_to(owner, items[id_], case_sensitive).values():
            names += [(id_of(noted[0]), noted) for noted in sorted(record.others)]
    return list(dict.fromkeys(names))


def look_up(user: Hashed, items: Mapping[str, Item], *, case_sensitive: bool) -> list[Match]:
    """Find the messages to a user, each once; `items` hold those of all `names_of`."""
    owners = _owners(user, items, case_sensitive)
    matches = {
        token: Match(id_, token, record)
        for id_, name in names_of(user, items, case_sensitive=case_sensitive)
        for token, record in _sent_to(name, items[id_], case_sensitive).items()
        # What notes other names was sent to an account, and this may be another one.
        if not record.others or (id_, name) in owners
    }
    return list(matches.values())


def _owners(
    user: Hashed, items: Mapping[str, Item], case_sensitive: bool
) -> list[tuple[str, tuple[bytes, bytes]]]:
    """Return the accounts that a user can be, each once, by the name sent to."""
    own, name = user.own
    if user.listed:
        return [user.own]
    others = (
        (other, (record.message.user, record.exact))
        for other in sorted(items[own].users)
        for record in items[other].messages.values()
        if any(_same(name, noted, case_sensitive) for noted in record.others)
    )
    return list(dict.fromkeys([user.own, *others]))


def _sent_to(name: tuple[bytes, bytes], item: Item, case_sensitive: bool) -> Mapping[str, Record]:
    if not case_sensitive:
        return item.messages
    return {token: record for token, record in item.messages.items() if record.exact == name[1]}


def _same(one: tuple[bytes, bytes], two: tuple[bytes, bytes], case_sensitive: bool) -> bool:
    return one == two if case_sensitive else one[0] == two[0]


def history(matches: Iterable[Match], now: float) -> History:
    """Return what these messages mean to a plan; `now` in seconds since the epoch."""
    return history_of(
        Earlier(
            message.state,
            message.reason,
            message.at,
            in_flight=is_in_flight(message, now),
            interrupted=is_left(message, now),
            evidence=message.settled_by,
        )
        for message in (one.record.message for one in matches)
    )


def is_in_flight(message: Message, now: float) -> bool:
    """Whether another machine may be sending it now."""
    return message.state == "open" and now - message.intended_at < IN_FLIGHT


def is_left(message: Message, now: float) -> bool:
    """Whether it was left by a run that died."""
    return message.state == "open" and not is_in_flight(message, now)


# -- as stored in the table------------------------------------------------------------


def intended(run: int, user: Hashed, name: str, at: float) -> dict[str, Any]:
    """Write a new message as an attribute's value."""
    value: dict[str, Any] = {
        "run": {"N": str(run)},
        "exact": {"B": user.own[1][1]},
        "name": {"B": name.encode("utf-8", "surrogatepass")},
        "state": {"S": "open"},
        "intended_at": number(at),
    }
    if user.others:
        value["others"] = {"BS": sorted({key + exact for _, (key, exact) in user.others})}
    return {"M": value}


def number(value: float) -> dict[str, str]:
    """Write a number, to its last digit."""
    return {"N": repr(value)}


def read(raw: Raw) -> Item:
    """Read a user's item."""
    id_ = raw["id"]["S"]
    user = bytes.fromhex(id_.removeprefix(USER))
    return Item(
        id_,
        raw["v"]["S"] if "v" in raw else None,
        {
            name.removeprefix(MESSAGE): _stored(user, value["M"])
            for name, value in raw.items()
            if name.startswith(MESSAGE)
        },
        frozenset(raw["of"]["SS"]) if "of" in raw else frozenset(),
    )


def read_all(raws: Iterable[Raw]) -> Iterator[Item]:
    """Read the users' items among these."""
    return (read(raw) for raw in raws if raw["id"]["S"].startswith(USER))


def _stored(user: bytes, value: Raw) -> Record:
    name = value.get("name")
    return Record(
        Message(
            run=int(value["run"]["N"]),
            user=user,
            name=None if name is None else bytes(name["B"]).decode("utf-8", "surrogatepass"),
            state=value["state"]["S"],
            reason=_text(value, "reason"),
            intended_at=float(value["intended_at"]["N"]),
            settled_at=_number(value, "settled_at"),
            request_id=_text(value, "request_id"),
            evidence=_text(value, "evidence"),
            reconciled_at=_number(value, "reconciled_at"),
        ),
        bytes(value["exact"]["B"]),
        frozenset(
            (bytes(both[:16]), bytes(both[16:])) for both in map(bytes, value["others"]["BS"])
        )
        if "others" in value
        else frozenset(),
    )


def _text(value: Raw, name: str) -> str | None:
    return str(value[name]["S"]) if name in value else None


def _number(value: Raw, name: str) -> float | None:
    return float(value[name]["N"]) if name in value else None
