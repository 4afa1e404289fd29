"""Which column is what, by the headings or by an option. Pure.

The promise: the username's column is never guessed. A heading that may be a user, several
columns without a heading, and duplicate headings are refused; the message names the options
that decide.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from batch_resend.errors import InputError
from batch_resend.masking import mask, mask_within, printable
from batch_resend.sources.cells import AROUND_NAMES

#: The headings that name the username, in the order in which they are looked for.
KNOWN = ("username", "cognito:username", "user_name", "user", "sub", "email")

#: Other names of a user that a list of names may hold.
OTHER_NAMES = ("sub", "email", "phone_number")

#: Delimiters that are detected.
DELIMITERS = ",;\t|"
_ODD_DELIMITERS = "^:~\x1f\uff0c\uff1b\u3001"

# The columns that mean what they mean in a listing.
_STATUS = ("userstatus", "cognito:user_status")
_ENABLED = ("enabled",)
_CREATED = ("usercreatedate",)

# How the program's own files start: a report, an export of the ledger, rows saved from a page.
_OWN = (
    ["row", "username", "outcome", "reason"],
    ["run", "username", "state", "reason"],
    ["report", "row", "user", "outcome", "reason"],
)

# In Cognito's own format for an import a comma within a value is written as `\,`.
_IMPORT_FORMAT = "cognito:username"

_LIKE_A_HEADING = re.compile(r"[a-z][a-z0-9_.:-]*|[0-9]{0,3}")
_LIKE_A_USER = re.compile(
    r"""@                                                   # an address,
    | ^\+[0-9]{6,}$                                         # a telephone number,
    | ^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-     # a `sub`
    """,
    re.VERBOSE | re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """The columns of an input; places are counted from 0."""

    names: tuple[str, ...]
    headed: bool  #: whether the first record of the input is the header
    username: int
    others: tuple[int, ...] = ()  #: other names of the user
    status: int | None = None
    enabled: int | None = None
    created: int | None = None
    own: bool = False  #: written by this program, which guards cells with an apostrophe

    @property
    def shown(self) -> str | None:
        """The username's heading; None where it need not be shown."""
        if len(self.names) > 1 or (self.headed and not places_of_username(self.names)):
            return mask_within(self.names[self.username])
        return None

    def as_in_a_listing(self, *, dates: bool) -> tuple[str, ...]:
        """Return the names of the columns that decide as in a listing, the date where needed."""
        places = (self.status, self.enabled, self.created if dates else None)
        return tuple(mask_within(self.names[place]) for place in places if place is not None)

    def selection(self, keep: frozenset[str] | None) -> list[tuple[str, int]]:
        """Return the columns that become attributes: those in `keep`, or all but the username's."""
        places: dict[str, int] = {}
        for place, name in enumerate(self.names):
            if name:
                places.setdefault(name, place)  # of two columns with one name the first
        if keep is None:
            return [(name, place) for name, place in places.items() if place != self.username]
        return [(name, place) for name, place in places.items() if name in keep]


def headed(file: str, names: Sequence[str], wanted: str | None) -> Columns:
    """Return the columns of an input whose first record is a header; raises `InputError`."""
    plains = [plain(name) for name in names]
    username = _username(file, names, wanted)
    return Columns(
        names=tuple(names),
        headed=True,
        username=username,
        others=tuple(
            place for place, name in enumerate(plains) if name in OTHER_NAMES and place != username
        ),
        status=_first(plains, _STATUS, username),
        enabled=_first(plains, _ENABLED, username),
        created=_first(plains, _CREATED, username),
        own=any(plains[: len(own)] == own for own in _OWN),
    )


def numbered(file: str, width: int, wanted: str | None) -> Columns:
    """Return the columns of an input without a header; raises `InputError`.

    A bare list has one name a line. In several columns the username's is not guessed.
    """
    names = [str(number) for number in range(1, width + 1)]
    if wanted is None and width > 1:
        raise InputError(
            f"{file} has {width} columns and no header. Use --username-column 1 (or another"
            " number), or put one name on each line."
        )
    place = 0 if wanted is None else _username(file, names, wanted)
    return Columns(names=tuple(names), headed=False, username=place)


def of_a_list(file: str, names: Sequence[str]) -> Columns:
    """Return the columns of a list of names, which has a header if it has a known heading."""
    if places_of_username(names) or any(plain(name) in OTHER_NAMES for name in names):
        own = places_of_username(names)
        return headed(file, names, None if own else _other(names))
    if len(names) > 1:
        # As a bare list, the wrong column would be read without any message.
        raise InputError(
            f"{file} has several columns and none with a heading such as {KNOWN[0]!r}. Give"
            " one column such a heading, or put one name on each line."
        )
    return Columns(names=("1",), headed=False, username=0)


def _other(names: Sequence[str]) -> str:
    return next(name for name in names if plain(name) in OTHER_NAMES)


def is_import_format(names: Iterable[str]) -> bool:
    r"""Whether the headings are those of Cognito's import, where `\,` is a comma."""
    return _IMPORT_FORMAT in map(plain, names)


def plain(name: str) -> str:
    """Return a heading as it is compared: without whitespace, whatever its case."""
    return "".join(name.split()).casefold()


def places_of_username(names: Iterable[str]) -> list[int]:
    """Return the places of the first known heading that occurs, if any."""
    plains = [plain(name) for name in names]
    return next((places for headings in KNOWN if (places := _places(plains, headings))), [])


def _username(file: str, names: Sequence[str], wanted: str | None) -> int:
    if wanted is None:
        places = places_of_username(names)
    else:
        places = _places(names, wanted.strip()) or _places(map(plain, names), plain(wanted))
    if len(places) > 1:
        raise InputError(
            f"{file} has {len(places)} columns called {mask_within(names[places[0]])!r}. Rename"
            " all but one, or choose another column with --username-column."
        )
    if places:
        return places[0]
    if names[0].startswith("#TYPE"):
        raise InputError(
            f"{file} starts with PowerShell's #TYPE line. Remove line 1, or export with"
            " -NoTypeInformation."
        )
    if any(map(_LIKE_A_USER.search, names)):
        raise InputError(
            f"{file} starts with a line that looks like a user, not like a header. Use --no-header."
        )
    if wanted is None and len(names) == 1:
        raise InputError(_one_unknown(file, names[0]))
    missing = "no username column" if wanted is None else f"no column {printable(wanted)!r}"
    # Where no heading is known and they look like values, the first line may be a user.
    is_header = places_of_username(names) or all(map(_LIKE_A_HEADING.fullmatch, names))
    hide = mask_within if is_header else mask
    shown = ", ".join([repr(hide(name)) for name in names if name][:10])
    more = ", …" if len(names) > 10 else ""
    raise InputError(
        f"{file} has {missing}. Choose one of its columns with --username-column ({shown}{more})."
    )


def _one_unknown(file: str, heading: str) -> str:
    for delimiter in DELIMITERS + _ODD_DELIMITERS:
        if delimiter in heading and places_of_username(heading.split(delimiter)):
            if delimiter in DELIMITERS:
                return (
                    f"{file} has its whole header in one cell. Remove the quotes around whole"
                    f" lines, or the ones of the header: {delimiter!r} delimits its columns."
                )
            return (
                f"{file} seems to be delimited by {printable(delimiter)!r}. Use --delimiter"
                f" {printable(delimiter)!r}."
            )
    return (
        f"{file} has one column, and its first line ({mask(heading)}) may be a heading or a"
        " user. Use --no-header if it is a user, or --username-column with the heading."
    )


def _places(names: Iterable[str], wanted: str) -> list[int]:
    return [place for place, name in enumerate(names) if name == wanted]


def _first(plains: Sequence[str], headings: Sequence[str], but: int) -> int | None:
    for name in headings:
        for place in _places(plains, name):
            if place != but:
                return place
    return None


def trimmed(record: Iterable[str]) -> list[str]:
    """Return headings without the whitespace and marks around them."""
    return [name.strip(AROUND_NAMES) for name in record]
