"""CloudTrail's files: every shape that it writes, and every way in which they are broken."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_resend.errors import InputError
from batch_resend.reconcile import event_files
from batch_resend.reconcile.event_files import read_events

RECORDS: list[dict[str, Any]] = [
    {"eventName": "ResendConfirmationCode", "userAgent": f"agent {n}", "text": 'é"\\\n{[]}'}
    for n in range(5)
]


def looked_up(records: list[dict[str, Any]]) -> str:
    """Return events as the AWS CLI prints them."""
    events = [{"EventId": "1", "CloudTrailEvent": json.dumps(record)} for record in records]
    return json.dumps({"Events": events}, indent=4)


def trail(records: list[dict[str, Any]]) -> str:
    return json.dumps({"Records": records}, separators=(",", ":"))


def lines(records: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def several(records: list[dict[str, Any]]) -> str:
    return trail(records[:2]) + "\n" + looked_up(records[2:])


def bare(records: list[dict[str, Any]]) -> str:
    """Return events as `--query Events` prints them."""
    return json.dumps(records)


SHAPES = [looked_up, trail, lines, several, bare]


def read(content: bytes, name: str = "events.json") -> list[object]:
    return list(read_events(io.BytesIO(content), name))


@pytest.fixture(params=SHAPES)
def shape(request: pytest.FixtureRequest) -> Callable[[list[dict[str, Any]]], str]:
    chosen: Callable[[list[dict[str, Any]]], str] = request.param
    return chosen


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_every_shape_is_read(
    shape: Callable[[list[dict[str, Any]]], str],
    encoding: str,
    pack: Callable[[bytes], bytes],
) -> None:
    assert read(pack(shape(RECORDS).encode(encoding))) == RECORDS


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_pieces_may_end_anywhere(
    shape: Callable[[list[dict[str, Any]]], str], size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_files, "_PIECE", size)
    assert read(shape(RECORDS).encode()) == RECORDS
    assert read(gzip.compress(shape(RECORDS).encode())) == RECORDS


def test_several_gzip_files_may_follow_each_other() -> None:
    assert read(gzip.compress(trail(RECORDS[:2]).encode()) * 2) == RECORDS[:2] * 2


@pytest.mark.parametrize("text", ['{"Events": []}', '{"Records": []}', "[]", '{"Events":[]} [ ]'])
def test_file_without_events_is_empty(text: str) -> None:
    assert read(text.encode()) == []


def test_other_keys_may_stand_around_the_list() -> None:
    text = json.dumps({"RequestId": {"a": [1]}, "Events": RECORDS, "NextToken": None})
    assert read(text.encode()) == RECORDS


def test_list_that_goes_on_elsewhere_is_refused() -> None:
    """`--max-items` cuts a listing: the record that is looked for may be in the rest."""
    text = json.dumps({"Events": RECORDS, "NextToken": "eyJ"})
    with pytest.raises(InputError, match=r"^events.json holds only the newest events.*max-items"):
        read(text.encode())


def test_event_that_holds_no_json_is_none() -> None:
    text = json.dumps({"Events": [{"CloudTrailEvent": "{"}, {"CloudTrailEvent": "[" * 10_000}]})
    assert read(text.encode()) == [None, None]


BROKEN = [
    b"",
    b" \n",
    b"\xef\xbb\xbf",
    b"\x00\x01",
    b"\xff\xfe",
    b"hello",
    b"7",
    b'"Records"',
    b'{"Records": [{}',
    b'{"Records": [{}, ]}',
    b'{"Records": [{} {}]}',
    b'{"Records" [{}]}',
    b'{"a": 1,}',
    b"{1: 2}",
    b'{"Records": [}',
    b'{"Records": [' + b"[" * 200_000,
    b'{"Records": [' + b"9" * 10_000 + b"]}",
    b'{"Records": ["\x1b"]}',
    b'{"Records": ["\xe9"]}',
    b'{"Records": [{"a": NOPE}]}',
    b'{"Records": [{}]} }',
    b"eventName,eventTime\nResendConfirmationCode,2026\n",
    gzip.compress(b'{"Records": [{}]}')[:-9],
    gzip.compress(b'{"Records": [{}]}')[:12] + b"junk" * 9,
    gzip.compress(b'{"Records": [{}]}') + b"junk",
    b"\x1f\x8b",
]


@pytest.mark.parametrize("content", BROKEN, ids=range(len(BROKEN)))
def test_broken_file_is_refused_in_a_sentence(content: bytes) -> None:
    with pytest.raises(InputError) as refused:
        read(content, "trail.json.gz")
    text = str(refused.value)
    assert text.startswith("trail.json.gz ")
    assert text.endswith(".")
    assert text.isprintable()
    assert len(text) < 300


@given(st.data())
def test_file_cut_off_anywhere_is_refused(data: st.DataObject) -> None:
    shape = data.draw(st.sampled_from([looked_up, trail, bare]))
    packs: list[Callable[[bytes], bytes]] = [bytes, gzip.compress]
    pack = data.draw(st.sampled_from(packs))
    whole = pack(shape(RECORDS).encode())
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(InputError):
        read(whole[:cut])


@given(st.binary(max_size=200) | st.text(alphabet='{}[]",:\\ REcords1', max_size=60))
def test_any_content_is_read_or_refused(content: bytes | str) -> None:
    with contextlib.suppress(InputError):
        read(content if isinstance(content, bytes) else content.encode())


def test_unreadable_disk_is_said() -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(InputError, match=r"^x cannot be read \(Input/output error\)\.$"):
        list(read_events(Broken(), "x"))


class Endless(io.RawIOBase):
    """A large number of bytes, created as they are read: no test has the room for them."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    def read(self, size: int = -1, /) -> bytes:
        return next(self._pieces, b"")


def repeated(piece: bytes, times: int) -> Iterator[bytes]:
    yield b'{"Records": ['
    for _ in range(times):
        yield piece
    yield b"{}]}"


def peak_of(file: Any) -> int:
    tracemalloc.start()
    try:
        with contextlib.suppress(InputError):
            for _ in read_events(file, "events.json"):
                pass
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return peak


@pytest.mark.parametrize(
    ("piece", "times", "records"),
    [
        (b"{}," * 20_000, 3, 2),
        (b'"' + b"x" * 60_000 + b'",', 300, 16),
        (b'"' + b"x" * 60_000, 300, 16),
        (b"[" * 60_000, 300, 16),
        (b" " * 60_000, 300, 16),
        (b"9" * 60_000, 300, 16),
    ],
    ids=["many records", "many long strings", "one huge string", "deep", "blanks", "digits"],
)
def test_memory_is_flat_however_long_the_file_is(piece: bytes, times: int, records: int) -> None:
    """Of megabytes, no more than a few times the longest record is ever held."""
    assert peak_of(Endless(repeated(piece, times))) < records * event_files.LONGEST


def test_memory_is_flat_for_many_keys() -> None:
    def keys() -> Iterator[bytes]:
        yield b"{"
        for n in range(100):
            yield b"".join(b'"k%d-%d":1,' % (n, m) for m in range(1000))

    assert peak_of(Endless(keys())) < 16 * event_files.LONGEST


def test_gzip_bomb_is_unpacked_a_piece_at_a_time() -> None:
    bomb = gzip.compress(b'{"Records": [' + b" " * 30_000_000 + b"]}")
    assert len(bomb) < 60_000
    assert peak_of(io.BytesIO(bomb)) < 4 * event_files.LONGEST
