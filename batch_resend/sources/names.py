"""Lists of names, such as that of --exclude: a bare list, or a file with a known heading."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from batch_resend.sources.file import FileSource
from batch_resend.sources.text_input import Opener


async def read_names(
    path: str, opener: Opener | None = None
) -> AsyncGenerator[tuple[str, ...], None]:
    """Yield the names of each row of a list: the username, then `sub`, `email`, `phone_number`.

    A header without rows is an empty list; an empty file is refused, because it may be an
    export that failed.
    """
    source = FileSource(path, header=None, keep=frozenset(), opener=opener)
    try:
        await source.open()
        async with aclosing(source.batches()) as batches:
            async for batch in batches:
                for user in batch:
                    names = dict.fromkeys((user.username, *user.aliases, *user.contacts))
                    if row := tuple(filter(None, names)):
                        yield row
    finally:
        await source.aclose()
