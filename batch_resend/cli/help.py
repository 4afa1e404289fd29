"""The help of a command, made of its rows: options in panels, examples, exit codes.

Written as plain text, so that it reads the same in every release of the parser, in a pipe
and at a terminal; examples are never wrapped, for people copy them.
"""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batch_resend.cli.option import Option

_OPTION_WIDTH = 28
_WIDEST = 100

EXAMPLES: dict[str, Sequence[tuple[str, str]]] = {
    "": (
        ("Try it, without AWS", "batch-resend run --simulate"),
        (
            "See what would happen",
            "batch-resend run --user-pool-id eu-west-1_AbCdEf123 --client-id ID --dry-run",
        ),
        ("The options of a command", "batch-resend run --help"),
    ),
    "init": (
        ("Answer a few questions", "batch-resend init"),
        (
            "Without questions",
            "batch-resend init shop.toml --user-pool-id eu-west-1_AbCdEf123 --client-id ID",
        ),
        (
            "With reminders, and without a test in AWS",
            "batch-resend init --user-pool-id eu-west-1_AbCdEf123 --client-id ID --max-sends 2"
            " --cooldown 72h --no-check",
        ),
    ),
    "run": (
        (
            "See who would be sent a code",
            "batch-resend run --user-pool-id eu-west-1_AbCdEf123 --client-id ID --dry-run",
        ),
        (
            "Send to ten users first, then to the rest: those ten are skipped",
            "batch-resend run users.csv --client-id ID --region eu-west-1 --limit 10",
        ),
        (
            "Remind users who signed up 1 to 14 days ago, at most twice, from cron",
            "batch-resend run --config batch-resend.toml --newer-than 14d --older-than 24h"
            " --max-sends 2 --yes",
        ),
    ),
    "check": (
        (
            "Check a pool and its app client",
            "batch-resend check --user-pool-id eu-west-1_AbCdEf123 --client-id ID",
        ),
        (
            "Check for a file of users, with the secret",
            "batch-resend check users.csv --user-pool-id eu-west-1_AbCdEf123 --client-id ID"
            " --client-secret-file secret.txt",
        ),
        (
            "For a script: one JSON object",
            "batch-resend check --user-pool-id eu-west-1_AbCdEf123 --client-id ID --json",
        ),
    ),
    "status": (
        ("The only ledger on this machine", "batch-resend status"),
        ("What one user was sent", "batch-resend status ada@example.com --client-id ID"),
        (
            "How many have confirmed since",
            "batch-resend status --user-pool-id eu-west-1_AbCdEf123 --client-id ID",
        ),
    ),
    "reconcile": (
        ("What would be settled", "batch-resend reconcile --client-id ID --dry-run"),
        ("Settle, the morning after a run", "batch-resend reconcile --client-id ID"),
        (
            "By a file that a colleague made",
            "batch-resend reconcile --ledger ledger.sqlite3 --events events.json",
        ),
    ),
    "report": (
        ("A page beside the report", "batch-resend report resend-report.csv"),
        ("Several runs as one clean-up", "batch-resend report monday.csv tuesday.csv -o page.html"),
        (
            "With the next command, and who has confirmed since",
            "batch-resend report report.csv --summary summary.json --user-pool-id"
            " eu-west-1_AbCdEf123",
        ),
    ),
    "simulate": (
        ("Until Ctrl-C", "batch-resend simulate"),
        ("A larger pool with a small quota", "batch-resend simulate --users 5000 --rate 10"),
        ("A daily mail quota that runs out", "batch-resend simulate --mail-quota 50"),
    ),
    "ledger export": (
        ("All messages", "batch-resend ledger export --output ledger.csv"),
        ("Unknown outcomes only", "batch-resend ledger export --unknown"),
        (
            "From a shared ledger",
            "batch-resend ledger export --ledger dynamodb://TABLE --region eu-west-1",
        ),
    ),
    "ledger forget": (
        ("A list of users", "batch-resend ledger forget --from erase.txt"),
        ("From another program", "cat erase.txt | batch-resend ledger forget -"),
        ("One user, of a named ledger", "batch-resend ledger forget ada --ledger ledger.sqlite3"),
    ),
    "ledger purge": (
        ("Erase names older than a year", "batch-resend ledger purge --older-than 365d"),
        (
            "Delete the messages too, after a question",
            "batch-resend ledger purge --older-than 365d --entirely",
        ),
        (
            "Of one app client, without a question",
            "batch-resend ledger purge --older-than 52w --entirely --client-id ID --yes",
        ),
    ),
    "config show": (
        ("What a run would use", "batch-resend config show --config batch-resend.toml --pool shop"),
        ("What differs from the defaults", "batch-resend config show --changed --client-id ID"),
        ("For a script: one JSON object", "batch-resend config show --json"),
    ),
}

_USAGE = (2, "wrong usage or unreadable input")
_SETTINGS = (4, "settings that cannot work")
_UNUSABLE = (4, "a ledger that cannot be used")
_LEDGER = ((0, "done"), _USAGE, _UNUSABLE, (5, "a run holds the ledger"))
EXIT_CODES: dict[str, Sequence[tuple[int | str, str]]] = {
    "init": (
        (0, "the file is written, and its settings work"),
        (2, "wrong usage, a file that exists, or unanswered questions"),
        (4, "the file is written, but its settings cannot work"),
    ),
    "run": (
        (0, "every user was sent a code or skipped"),
        (1, "finished, but some users failed or are unknown"),
        (2, "wrong usage, unreadable input, or not confirmed"),
        (3, "stopped early on purpose: run again to continue"),
        _SETTINGS,
        (5, "another run holds this ledger"),
        ("129, 130, 143", "interrupted, after settling requests in flight: run again to continue"),
    ),
    "check": (
        (0, "ready to run, warnings included"),
        (1, "with --strict: there are warnings"),
        _USAGE,
        _SETTINGS,
    ),
    "status": (
        (0, "done"), (1, "the user is not in the ledger"), _USAGE, _UNUSABLE,
    ),
    "reconcile": (
        (0, "no outcome is unknown any more"),
        (1, "some outcomes are still unknown"),
        (2, "wrong usage, or a file that is not CloudTrail's"),
        (4, "not permitted, or a ledger that cannot be used"),
        (5, "a run holds the ledger"),
    ),
    "report": ((0, "done"), _USAGE),
    "simulate": (_USAGE, ("129, 130, 143", "stopped by a signal, such as Ctrl-C")),
    "ledger export": _LEDGER,
    "ledger forget": (*_LEDGER, (1, "users not in the ledger")),
    "ledger purge": _LEDGER,
    "config show": ((0, "done"), _USAGE),
}  # fmt: skip


def help_text(command: str, usage: str, about: str, rows: Iterable[Option], others: Any) -> str:
    """Return the help of the command that is called so.

    `others` are the pairs of name and text that no row stands for: of commands, and options
    of the parser itself.
    """
    width = min(shutil.get_terminal_size().columns, _WIDEST)
    lines = [*textwrap.wrap(f"Usage: {usage}", width, subsequent_indent=" " * 7), ""]
    for paragraph in about.split("\n\n"):
        lines += [*_wrapped(" ".join(paragraph.split()), width, 0), ""]
    panels: dict[str, list[tuple[str, str]]] = {}
    for row in rows:
        title = "Arguments" if row.is_argument else row.panel or "Options"
        panels.setdefault(title, []).append((row.shown, row.help_with_default()))
    for title, entries in others.items():
        panels.setdefault(title, []).extend(entries)
    for title, entries in panels.items():
        lines += _panel(title, entries, width, 12 if title == "Commands" else _OPTION_WIDTH)
    if examples := EXAMPLES.get(command):
        lines += [_strong("Examples")]
        for what, line in examples:
            lines += [f"  {what}:", f"    {line}"]
        lines += [""]
    if codes := EXIT_CODES.get(command):
        lines += _panel("Exit codes", [(str(code), what) for code, what in codes], width, 15)
    return "\n".join(lines).rstrip("\n") + "\n"


def _panel(title: str, entries: Iterable[tuple[str, str]], width: int, column: int) -> list[str]:
    lines = [_strong(title)]
    for name, text in entries:
        first = f"  {name}"
        wrapped = _wrapped(text, width, column + 2)
        if len(first) < column + 1:
            wrapped[0] = f"{first:<{column + 2}}" + wrapped[0].lstrip()
        else:
            lines.append(first)
        lines += wrapped
    return [*lines, ""]


def _wrapped(text: str, width: int, indent: int) -> list[str]:
    room = max(width, indent + 20)
    return textwrap.wrap(
        text, room, initial_indent=" " * indent, subsequent_indent=" " * indent,
        break_long_words=False, break_on_hyphens=False,
    ) or [""]  # fmt: skip


def _strong(text: str) -> str:
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return text if plain or not sys.stdout.isatty() else f"\x1b[1m{text}\x1b[0m"
