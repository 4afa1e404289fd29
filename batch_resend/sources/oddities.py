"""Oddities of an input that was accepted, for a person to approve.

Each kind keeps its count and the places of the first few, so that memory stays flat.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from batch_resend.wording import listed

_SHOWN = 3  #: places named of each kind


class Odd(Enum):
    """A kind of oddity: one, several, and what its places are called."""

    SHORT_ROW = (
        "row has fewer cells than the header; the missing cells count as empty",
        "rows have fewer cells than the header; the missing cells count as empty",
        "row",
    )
    REPEATED_HEADER = (
        "line repeats the header and is skipped",
        "lines repeat the header and are skipped",
        "line",
    )
    SPREADSHEET_FORM = (
        "name is written as a spreadsheet protects it and read as it was meant",
        "names are written as a spreadsheet protects them and read as they were meant",
        "row",
    )
    NUMBER = (
        "username is a number in the sheet; leading zeros or a + may be lost",
        "usernames are numbers in the sheet; leading zeros or a + may be lost",
        "row",
    )
    HEADING = (
        "username looks like a heading",
        "usernames look like a heading",
        "row",
    )
    FOLDED = (
        "row counts as a duplicate, because the name is that of an earlier row once Unicode's"
        " letters are folded, such as ß and ss; use --case-sensitive if they are two users",
        "rows count as duplicates, because their names are those of earlier rows once Unicode's"
        " letters are folded, such as ß and ss; use --case-sensitive if they are other users",
        "row",
    )
    UNICODE_FORM = (
        "name differs from that of an earlier row only in its Unicode form; for Cognito they are"
        " two users",
        "names differ from those of earlier rows only in their Unicode form; for Cognito they are"
        " different users",
        "row",
    )
    NO_TIME_ZONE = (
        "date has no time zone and counts as UTC",
        "dates have no time zone and count as UTC",
        "row",
    )


@dataclass(frozen=True, slots=True)
class Oddity:
    """The count of one kind of oddity, and its first places."""

    kind: Odd
    count: int
    places: tuple[int, ...]

    def __str__(self) -> str:
        """Return a sentence."""
        one, many, place = self.kind.value
        first = [str(number) for number in self.places]
        places = f"{place}s" if self.count > 1 else place
        if self.count > len(first):
            where = f"{places} {', '.join(first)} and {self.count - len(first)} more"
        else:
            where = f"{places} {listed(first)}"
        return f"{self.count:,} {one if self.count == 1 else many} ({where})."


class Oddities:
    """The oddities of one input."""

    def __init__(self) -> None:
        self._places: dict[Odd, list[int]] = {}
        self._counts: dict[Odd, int] = {}

    def note(self, kind: Odd, place: int) -> None:
        """Count one, at a row or line."""
        self._counts[kind] = self._counts.get(kind, 0) + 1
        places = self._places.setdefault(kind, [])
        if len(places) < _SHOWN:
            places.append(place)

    def seen(self) -> tuple[Oddity, ...]:
        """Return what was collected so far, in the order of the kinds."""
        return tuple(
            Oddity(kind, self._counts[kind], tuple(self._places[kind]))
            for kind in Odd
            if kind in self._counts
        )
