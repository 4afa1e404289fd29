"""What may be shown of people's names and of texts that strangers wrote.

User names come from sign-ups and error texts from Lambda triggers: both are hostile
until made printable. `mask` hides a person, `printable` disarms a text, `cell` disarms
a spreadsheet's cell.
"""

from __future__ import annotations

import re
import unicodedata

_PLAIN = re.compile(r"[ -~]*")
_TELEPHONE = re.compile(r"\+[0-9]{3,15}")  # E.164, as Cognito wants them
_PART = r"[^\s@<>\"',;:()]"
# From the start of a word on and without going back, so that a long text takes linear time.
_ADDRESS = re.compile(rf"(?<!{_PART}){_PART}++@{_PART}+")
_FORMULA = r"[=+\-@\uff1d\uff0b\uff0d\uff20]"
_AFTER_SEMICOLON = re.compile(rf""";(?=["'\s]*{_FORMULA})""")
_AT_START = re.compile(rf"(?=['\s]*{_FORMULA})")
_GUARDS = re.compile(rf"""^'(?=['\s]*{_FORMULA})|(?<=;)'(?=["'\s]*{_FORMULA})""")
_ENDINGS = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson", ".xlsx", ".xls", ".gz", ".toml")
_LONGEST_DOMAIN = 40  #: characters of a domain that are shown
_NUMBER = re.compile(r"\+[0-9](?:[ ().-]{0,2}[0-9]){5,}")


def mask(name: str) -> str:
    """Hide all but the first character of each part, as Cognito does: a***@e***."""
    local, at, domain = name.partition("@")
    return _initial(local) + "***" + (f"@{_initial(domain)}***" if at else "")


def mask_destination(name: str) -> str:
    """Hide a person, but not the domain or the country: a***@example.com, +15***."""
    local, at, domain = name.partition("@")
    if at:
        return f"{_initial(local)}***@{printable(domain[:_LONGEST_DOMAIN])}"
    return f"{name[:3]}***" if _TELEPHONE.fullmatch(name) else mask(name)


def _initial(text: str) -> str:
    """Return the first character, or its escape where no terminal could show it."""
    first = printable(text[:1])
    return first if first.isprintable() else first.encode("unicode_escape").decode("ascii")


def mask_within(text: str, *names: str) -> str:
    """Make a foreign text printable and mask names, addresses and numbers in it."""
    for name in names:
        if len(name) > 1:
            text = text.replace(name, mask(name))
    text = _ADDRESS.sub(lambda match: mask(match[0]), text)
    return printable(_NUMBER.sub(lambda match: match[0][:2] + "***", text))


def mask_typed(text: str) -> str:
    """Mask addresses and numbers in a sentence that quotes what was typed; paths stay."""
    return _ADDRESS.sub(_unless_path, _NUMBER.sub(lambda match: match[0][:2] + "***", text))


def mask_argument(text: str) -> str:
    """Return what was typed in place of a file: masked where it may be a person's name."""
    is_file = "/" in text or text.startswith("-") or text.lower().endswith(_ENDINGS)
    return printable(text) if is_file else mask(text)


def _unless_path(match: re.Match[str]) -> str:
    local = match[0].partition("@")[0]
    # A path may hold an @, and a pattern such as email=@example.com names no person.
    if "/" in match[0] or local.endswith("="):
        return match[0]
    address = match[0].rstrip(".")
    return mask(address) + match[0][len(address) :]


def printable(text: str) -> str:
    r"""Write control, format, surrogate and line-separator characters as escapes.

    Terminal escapes, C1 codes, bidirectional marks and line ends become `\x1b`,
    `\x9b`, `\u202e`, `\n`: one text, one line, nothing executed and nothing forged.
    """
    if _PLAIN.fullmatch(text):
        return text
    return "".join(
        c.encode("unicode_escape").decode("ascii")
        if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"}
        else c
        for c in text
    )


def cell(text: str) -> str:
    """Make a text safe as a CSV cell: one line, and no formula for a spreadsheet.

    A cell that begins with `=`, `+`, `-` or `@` (or their full-width forms, or with
    apostrophes before them) gets a leading apostrophe; telephone numbers do not, for
    `+1555...` is a user name. So does one after a semicolon: where that is the list
    separator, a spreadsheet opens the file by splitting there, and heeds no quote that
    does not begin a cell. `without_guard` is the exact inverse.
    """
    text = _AFTER_SEMICOLON.sub(r";'", printable(text))
    if _AT_START.match(text) and not _TELEPHONE.fullmatch(text):
        return "'" + text
    return text


def without_guard(text: str) -> str:
    """Remove the apostrophes that `cell` added to a text: return the original."""
    return _GUARDS.sub("", text) if "'" in text else text
