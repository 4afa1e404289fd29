"""Reading a response up to a bound: a server that is not AWS may send without an end."""

from __future__ import annotations

import aiohttp


async def read_within(response: aiohttp.ClientResponse, longest: int) -> bytes | None:
    """Return the body, or None if it is longer than so many bytes; then it is closed."""
    pieces, size = [], 0
    async for piece in response.content.iter_any():
        pieces.append(piece)
        size += len(piece)
        if size > longest:
            response.close()
            return None
    return b"".join(pieces)
