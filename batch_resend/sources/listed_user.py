"""A user as Cognito lists it, as a candidate. Pure.

The promise: a user without the form of ListUsers raises `NotListed`; no name and no state
is ever guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from batch_resend.model import Candidate
from batch_resend.sources import cells
from batch_resend.sources.columns import OTHER_NAMES

USERNAME = "username"
UNCONFIRMED = "UNCONFIRMED"  #: the status of users who are sent a code


class NotListed(ValueError):
    """The fault of a listed user, without any of its values."""


def listed_user(row: int, user: object, *, keep: Sequence[str] | None, raw: str = "") -> Candidate:
    """Return a listed user as a candidate; raises `NotListed`.

    `keep` names the attributes that the candidate carries, `username` among them is the
    Username; None means all attributes.
    """
    if not isinstance(user, Mapping):
        raise NotListed("is not an object")
    username = user.get("Username")
    if not isinstance(username, str) or not username:
        raise NotListed("has no Username that is text")
    # AdminGetUser calls them UserAttributes.
    attributes = _attributes(user.get("Attributes", user.get("UserAttributes", ())))
    others = dict.fromkeys(attributes[name] for name in OTHER_NAMES if attributes.get(name))
    others.pop(username, None)
    values = attributes | {USERNAME: username}
    status, enabled = user.get("UserStatus"), user.get("Enabled")
    if status is not None and not isinstance(status, str):
        raise NotListed("has a UserStatus that is not text")
    if enabled is not None and not isinstance(enabled, bool):
        raise NotListed("has an Enabled that is neither true nor false")
    try:
        created, _ = cells.created(user.get("UserCreateDate"))
    except ValueError as error:
        raise NotListed(f"has a UserCreateDate that {error}") from None
    return Candidate(
        row,
        username,
        attributes if keep is None else {name: values[name] for name in keep if name in values},
        raw,
        tuple(others),
        status,
        enabled,
        created,
    )


def is_listed(user: object) -> bool:
    """Whether an object has the shape of a listed user."""
    return isinstance(user, Mapping) and "Username" in user


def _attributes(pairs: object) -> dict[str, str]:
    if not isinstance(pairs, Sequence) or isinstance(pairs, str):
        raise NotListed("has Attributes that are not a list")
    attributes: dict[str, str] = {}
    for pair in pairs:
        name = pair.get("Name") if isinstance(pair, Mapping) else None
        value = pair.get("Value", "") if isinstance(pair, Mapping) else None
        if not isinstance(name, str) or not isinstance(value, str):
            raise NotListed("has an attribute that is not a name and a text")
        attributes[name] = value
    return attributes
