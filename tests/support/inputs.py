"""Read an input of users to its end, or get the sentence that refuses it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from batch_resend.errors import Exit, InputError
from batch_resend.model import Candidate
from batch_resend.sources.file import FileSource


async def read(path: Path | str, **options: Any) -> tuple[FileSource, list[Candidate]]:
    source = FileSource(str(path), **options)
    try:
        await source.open()
        return source, [candidate async for batch in source.batches() for candidate in batch]
    finally:
        await source.aclose()


async def names(path: Path | str, **options: Any) -> list[str]:
    return [candidate.username for candidate in (await read(path, **options))[1]]


async def refusal(path: Path | str, **options: Any) -> str:
    with pytest.raises(InputError) as refused:
        await read(path, **options)
    assert refused.value.exit_code == Exit.USAGE
    sentence = str(refused.value)
    assert sentence.startswith(str(path))
    assert sentence.isprintable()
    return sentence.removeprefix(str(path))
