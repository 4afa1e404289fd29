"""What a cell means: names as spreadsheets write them, and the columns of a listing. Pure.

A cell whose value was lost is never guessed: it raises a `ValueError` that describes the
fault, without the cell's text.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from batch_resend.masking import cell

# Pasted names bring along no-break spaces and byte order marks; no username has any.
AROUND_NAMES = " \t\r\n\u00a0\ufeff"
AROUND_CELLS = " \t"

# What a spreadsheet makes of a long number (by its locale with a comma) ...
_SHORTENED = re.compile(r"[+-]?[0-9](?:[.,][0-9]+)?E\+[0-9]{2,3}")
# ... of a formula that fails, and of a column that is too narrow for its number.
_BROKEN = re.compile(r"#(?:N/A|REF!|VALUE!|NAME\?|DIV/0!|NUM!|NULL!|#+)")
# How people keep it from doing so: a formula that is a text, or the mark of a text.
_AS_FORMULA = re.compile(r'="((?:[^"]|"")*)"')
_AS_TEXT = re.compile(r"'(\+?[0-9]+)")

_TRUE, _FALSE = {"true", "1", "yes"}, {"false", "0", "no"}
_MILLISECONDS = 1e11  #: a time above is in milliseconds: as seconds it is the year 5138


def restored(name: str) -> str:
    """Return the name that was entered in the spreadsheet; raises `ValueError` if it is lost."""
    if _SHORTENED.fullmatch(name):
        raise ValueError(
            "is a number that a spreadsheet has shortened: its digits are lost. Format the"
            " column as text, and export it again."
        )
    if _BROKEN.fullmatch(name):
        raise ValueError("is a spreadsheet's error. Correct the sheet, and export it again.")
    if form := _AS_FORMULA.fullmatch(name):
        return form[1].replace('""', '"').strip(AROUND_NAMES)
    if form := _AS_TEXT.fullmatch(name):
        return form[1]
    return name


def as_read_back(name: str) -> str:
    """Return a cell of which `restored` makes the name, whatever the name looks like.

    A spreadsheet shows it as the text that it is, and runs none of it.
    """
    try:
        is_plain = restored(name) == name and name.casefold() != "username" and cell(name) == name
    except ValueError:
        is_plain = False
    return name if is_plain else '="' + name.replace('"', '""') + '"'


def status(text: str) -> str | None:
    """Return a user's status, None where the cell is empty."""
    return text.upper() or None


def enabled(text: str) -> bool | None:
    """Return whether a user is enabled, None where the cell is empty; raises `ValueError`."""
    plain = text.casefold()
    if not plain:
        return None
    if plain in _TRUE:
        return True
    if plain in _FALSE:
        return False
    raise ValueError("is neither true nor false")


def created(value: object) -> tuple[float | None, bool]:
    """Return when a user signed up, in seconds since the epoch, and whether in a time zone.

    A date is ISO 8601 or a number of seconds (or milliseconds) since the epoch, as the
    AWS CLI prints it. None where there is none; raises `ValueError`.
    """
    if value is None or value == "":
        return None, True
    if isinstance(value, str):
        value = _from_text(value)
    if isinstance(value, datetime):
        zoned = value.tzinfo is not None
        try:
            return (value if zoned else value.replace(tzinfo=UTC)).timestamp(), zoned
        except (OverflowError, ValueError, OSError):
            raise ValueError("is not a date that can be") from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("is not a date")  # noqa: TRY004 - one kind of error for a bad cell
    if not 0 <= value < 1e15:
        raise ValueError("is not a date that can be")
    return (value / 1000 if value >= _MILLISECONDS else float(value)), True


def _from_text(text: str) -> float | datetime:
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("is not a date such as 2026-11-27T09:30:00+00:00") from None
