"""CloudTrail records from files: the output of lookup-events, and the files of a trail.

Three formats are supported, and recognized by their content, not by their names:

    {"Events": [{"CloudTrailEvent": "..."}, ...]}   `aws cloudtrail lookup-events > FILE`
    {"Records": [{...}, ...]}                       a trail's file in S3
    {...} {...} ...                                 one record after the other

as UTF-8, or UTF-16 with a byte order mark (as PowerShell redirects), gzip or not. A file is
read a piece at a time; what is held at once is one record, however many there are and however
long. A file that is cut off or damaged is refused as a whole, before anything is concluded
from it: in what is missing there may be the record that is looked for.
"""

from __future__ import annotations

import codecs
import json
import re
import zlib
from collections.abc import Iterator
from itertools import chain
from typing import IO, Any, NoReturn

from batch_resend.errors import InputError

#: Characters of the longest record; CloudTrail's are at most 256 KB, and JSON in JSON takes more.
LONGEST = 1 << 20

_PIECE = 1 << 16
_LISTS = {"Events", "Records"}
_MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_BLANKS = re.compile(r"[ \t\r\n]*")  # which fits everywhere
_GZIP = b"\x1f\x8b"


def read_events(file: IO[bytes], name: str) -> Iterator[object]:
    """Yield the records of a file, as they were parsed; anything may be in them.

    Raises `InputError`, which calls the file `name`.
    """
    yield from _Reader(_texts(_unpacked(file, name), name), name).records()


def _pieces(file: IO[bytes], name: str) -> Iterator[bytes]:
    try:
        while piece := file.read(_PIECE):
            yield piece
    except OSError as error:
        raise InputError(f"{name} cannot be read ({error.strerror}).") from error


def _unpacked(file: IO[bytes], name: str) -> Iterator[bytes]:
    pieces = _pieces(file, name)
    first = _first(pieces)
    if not first.startswith(_GZIP):
        yield first
        yield from pieces
        return
    unpacker = zlib.decompressobj(wbits=31)
    try:
        for piece in chain([first], pieces):
            rest = piece
            while rest:
                if unpacker.eof:  # one gzip file may follow the other
                    unpacker = zlib.decompressobj(wbits=31)
                if text := unpacker.decompress(rest, _PIECE):
                    yield text
                rest = unpacker.unconsumed_tail or unpacker.unused_data
        while not unpacker.eof and (left := unpacker.decompress(b"", _PIECE)):
            yield left
    except zlib.error as error:
        raise InputError(f"{name} is damaged: its gzip data cannot be unpacked.") from error
    if not unpacker.eof:
        raise InputError(f"{name} is cut off: its gzip data ends too early. Copy it again.")


def _first(pieces: Iterator[bytes]) -> bytes:
    """Return the beginning, which shows the kind of the file."""
    first = b""
    while len(first) < len(_GZIP) and (piece := next(pieces, b"")):
        first += piece
    return first


def _texts(pieces: Iterator[bytes], name: str) -> Iterator[str]:
    first = _first(pieces)
    encoding = _MARKS.get(first[:2], "utf-8-sig")
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for piece in chain([first], pieces):
            yield decoder.decode(piece)
        yield decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise InputError(f"{name} is not text in {encoding.removesuffix('-sig')}.") from error


class _Reader:
    """JSON, a value at a time, out of a text that comes in pieces."""

    def __init__(self, texts: Iterator[str], name: str) -> None:
        self._texts = texts
        self._name = name
        self._held = ""
        self._at = 0
        self._dropped = 0  #: characters before those that are held
        self._ended = False
        self._decoder = json.JSONDecoder()

    def records(self) -> Iterator[object]:
        """Yield the records; whole documents may follow each other."""
        if self._next() == "":
            raise InputError(f"{self._name} is empty: it holds no CloudTrail events.")
        while start := self._next():
            if start == "[":
                yield from map(_record, self._elements())
            elif start == "{":
                yield from self._document()
            else:
                self._refuse()

    def _document(self) -> Iterator[object]:
        """Read an object: the lists of records in it, or else it is a record itself."""
        own: dict[str, Any] = {}
        has_list, size = False, 0
        for key in self._keys():
            if key in _LISTS and self._next() == "[":
                has_list = True
                yield from map(_record, self._elements())
            else:
                before = self._read
                own[key] = self._value()
                size += len(key) + self._read - before
                if size > LONGEST:
                    self._refuse()
        if not has_list:
            yield _record(own)
        elif own.get("NextToken") is not None:
            raise InputError(
                f"{self._name} holds only the newest events: it ends with a NextToken. Run"
                " lookup-events again without --max-items and --no-paginate."
            )

    def _keys(self) -> Iterator[str]:
        self._expect("{")
        if self._next() == "}":
            self._expect("}")
            return
        while True:
            key = self._value()
            if not isinstance(key, str):
                self._refuse()
            self._expect(":")
            yield key
            if self._expect(",}") == "}":
                return

    def _elements(self) -> Iterator[object]:
        self._expect("[")
        if self._next() == "]":
            self._expect("]")
            return
        while True:
            yield self._value()
            if self._expect(",]") == "]":
                return

    def _value(self) -> Any:
        """Read one value, however many pieces it spans."""
        self._next()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._held, self._at)
                # A number at the very end may go on in the next piece.
                if end < len(self._held) or self._ended:
                    self._at = end
                    return value
            except (ValueError, RecursionError):
                if self._ended:
                    self._refuse()
            if len(self._held) - self._at > LONGEST:
                self._refuse()
            self._read_on()

    def _expect(self, characters: str) -> str:
        character = self._next()
        if character == "" or character not in characters:
            self._refuse()
        self._at += 1
        return character

    def _next(self) -> str:
        """Return the next character that is not whitespace; an empty text at the end."""
        while True:
            self._at = _BLANKS.match(self._held, self._at).end()  # type: ignore[union-attr]
            if self._at < len(self._held):
                return self._held[self._at]
            if self._ended:
                return ""
            self._read_on()

    @property
    def _read(self) -> int:
        return self._dropped + self._at

    def _read_on(self) -> None:
        text = next(self._texts, None)
        if text is None:
            self._ended = True
            return
        self._dropped += self._at
        self._held = self._held[self._at :] + text
        self._at = 0

    def _refuse(self) -> NoReturn:
        raise InputError(
            f"{self._name} is cut off, damaged or not a file of CloudTrail events (at character"
            f" {self._read + 1}). Expected is what `aws cloudtrail lookup-events` prints, a"
            " trail's file, or one record per line."
        )


def _record(element: object) -> object:
    """Unwrap an event of lookup-events: the record is JSON inside the JSON."""
    if isinstance(element, dict) and isinstance(text := element.get("CloudTrailEvent"), str):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return None
    return element
