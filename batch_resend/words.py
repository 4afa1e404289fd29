"""Counts and lists as sentences have them. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def some(count: int, thing: str) -> str:
    """Count things: `1 user`, `2 users`."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def listed(words: Sequence[str]) -> str:
    """List them: `one, two and three`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
