"""CBOR (RFC 8949), as far as the AWS SDK's newest protocol needs it."""

from __future__ import annotations

import struct
from datetime import datetime
from typing import Any

_BREAK = object()
_SIMPLE = {20: False, 21: True, 22: None, 23: None}
_FLOATS = {25: ">e", 26: ">f", 27: ">d"}


def loads(data: bytes) -> Any:
    """Decode a value; a tag, such as that of a time, is omitted."""
    value, end = _read(data, 0)
    assert end == len(data)
    return value


def _read(data: bytes, at: int) -> tuple[Any, int]:
    kind, info = data[at] >> 5, data[at] & 31
    at += 1
    if kind == 7:
        if info == 31:
            return _BREAK, at
        if info in _FLOATS:
            size = struct.calcsize(_FLOATS[info])
            return struct.unpack(_FLOATS[info], data[at : at + size])[0], at + size
        return _SIMPLE[info], at
    count: int | None = info
    if 24 <= info <= 27:
        size = 1 << (info - 24)
        count, at = int.from_bytes(data[at : at + size], "big"), at + size
    elif info == 31:
        count = None  # until a break
    if kind in {0, 1}:
        assert count is not None
        return (count if kind == 0 else -1 - count), at
    if kind == 6:
        return _read(data, at)
    if kind in {2, 3} and count is not None:
        piece = data[at : at + count]
        return (piece if kind == 2 else piece.decode()), at + count
    items: list[Any] = []
    left = None if count is None else count * (2 if kind == 5 else 1)
    while left is None or len(items) < left:
        item, at = _read(data, at)
        if item is _BREAK:
            break
        items.append(item)
    if kind in {2, 3}:
        return (b"" if kind == 2 else "").join(items), at
    return (dict(zip(items[::2], items[1::2], strict=True)) if kind == 5 else items), at


def dumps(value: Any) -> bytes:
    """Encode a value."""
    if isinstance(value, bool):
        return b"\xf5" if value else b"\xf4"
    if value is None:
        return b"\xf6"
    if isinstance(value, datetime):
        return _head(6, 1) + dumps(value.timestamp())
    if isinstance(value, float):
        return b"\xfb" + struct.pack(">d", value)
    if isinstance(value, int):
        return _head(0, value) if value >= 0 else _head(1, -1 - value)
    if isinstance(value, str):
        return _head(3, len(value.encode())) + value.encode()
    if isinstance(value, dict):
        pairs = (dumps(key) + dumps(one) for key, one in value.items())
        return _head(5, len(value)) + b"".join(pairs)
    return _head(4, len(value)) + b"".join(map(dumps, value))


def _head(kind: int, count: int) -> bytes:
    if count < 24:
        return bytes([kind << 5 | count])
    return bytes([kind << 5 | 27]) + count.to_bytes(8, "big")
