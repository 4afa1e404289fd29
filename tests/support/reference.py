"""The tables of options in the manual, made of the rows that the commands are made of.

    python -m tests.support.reference

writes them into their pages; the tests of the pages say when that is due.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from batch_resend.cli import options
from batch_resend.cli.check import CHECK
from batch_resend.cli.init import INIT
from batch_resend.cli.ledger import EXPORT, FORGET, PURGE
from batch_resend.cli.option import Option
from batch_resend.cli.reconcile import RECONCILE
from batch_resend.cli.report import REPORT
from batch_resend.cli.simulate import SIMULATE
from batch_resend.cli.status import STATUS
from tests.support.markdown import ROOT

_LEDGER = {
    "status": STATUS,
    "export": EXPORT,
    "forget": FORGET,
    "purge": PURGE,
}

# What is typed, which Markdown shows as code.
_AS_TYPED = re.compile(
    r"(?<![\w`-])(--[a-z][a-z-]*|BATCH_RESEND_\w+|\w+://[\w/]+|(?:KEY=)?@NAME|- (?=for|reads)"
    r"|pools\.NAME|\d{4}-\d\d-\d\d|10,100,rest|365d)"
)


def tables() -> Mapping[tuple[str, str], list[str]]:
    """Return the lines of each table, by its page and the first cell of its heading."""
    return {
        ("cli", "option"): _table(options.RUN, panels=True),
        ("cli", "option of `init`"): _table(INIT),
        ("preflight", "option of `check`"): _table(CHECK),
        ("reports", "option of `report`"): _table(REPORT),
        ("reconcile", "option of `reconcile`"): _table(RECONCILE),
        ("simulator", "option of `simulate`"): _table(SIMULATE),
        ("ledger", "option of `status`, `ledger`"): _of_the_ledger(),
    }


def _table(rows: Iterable[Option], *, panels: bool = False) -> list[str]:
    lines, panel = [], ""
    for row in rows:
        if row.is_argument:
            continue
        if panels and row.panel != panel:
            panel = row.panel
            lines.append(f"| **{panel}** | | |")
        lines.append(_line(_names(row), _default(row), _meaning(row)))
    return lines


def _of_the_ledger() -> list[str]:
    """Return one line per option, with the commands that have it unless all do."""
    commands: dict[str, list[str]] = {}
    rows: dict[str, Option] = {}
    for command, its in _LEDGER.items():
        for row in its:
            if not row.is_argument:
                commands.setdefault(row.flag, []).append(command)
                rows.setdefault(row.flag, row)
    shown = {
        flag: "" if names == list(_LEDGER) else " ".join(f"`{name}`" for name in names)
        for flag, names in commands.items()
    }
    return [_line(_names(row), shown[flag], _meaning(row)) for flag, row in rows.items()]


def _line(*cells: str) -> str:
    return "|" + "".join(f" {cell} |" if cell else " |" for cell in cells)


def _names(row: Option) -> str:
    names = [f"`{name}`" for name in (*row.flag.split("/"), row.short) if name]
    if not row.is_switch:
        names[0] = f"`{row.flag} {row.metavar}`".replace("|", "\\|")
    return ", ".join(names)


def _default(row: Option) -> str:
    text = row.default_text()
    if not text and not set('<"') & set(row.otherwise):
        return row.otherwise
    return f"`{text or row.otherwise}`"


def _meaning(row: Option) -> str:
    text = _AS_TYPED.sub(
        lambda match: f"`{match[0].strip()}`" + " " * match[0].count(" "), row.help
    )
    return f"{text} {row.note}".strip().replace("|", "\\|")


def pages() -> dict[str, str]:
    """Return the pages as they should be, by their paths."""
    texts: dict[str, str] = {}
    for (folder, first), table in tables().items():
        path = f"batch_resend/{folder}/README.md"
        lines = texts.get(path, (ROOT / path).read_text("utf-8")).split("\n")
        start = next(n for n, line in enumerate(lines) if line.startswith(f"| {first} |")) + 2
        end = next(n for n in range(start, len(lines)) if not lines[n].startswith("|"))
        texts[path] = "\n".join([*lines[:start], *table, *lines[end:]])
    return texts


if __name__ == "__main__":
    for path, text in pages().items():
        (ROOT / path).write_text(text, "utf-8")
