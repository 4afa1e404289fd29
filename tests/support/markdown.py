"""The pages: their text, tables and blocks, each found once over all pages."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def _pages() -> dict[str, str]:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "*.md"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return {
        name: (ROOT / name).read_text("utf-8")
        for name in sorted(listed.stdout.splitlines())
        if (ROOT / name).is_file()
    }


PAGES = _pages()  #: by path from the root
README = PAGES["README.md"]
ALL = "\n".join(PAGES.values())


def headings(text: str) -> list[str]:
    """Return the anchors of a page's headings."""
    return [
        re.sub(r"[^\w -]", "", line.lstrip("# ")).lower().replace(" ", "-")
        for line in _prose(text)
        if re.match(r"#+ ", line)
    ]


def _prose(text: str) -> list[str]:
    """Return the lines of a page, those of code blocks emptied."""
    inside, lines = False, []
    for line in text.splitlines():
        fence = line.startswith("```")
        lines.append("" if inside or fence else line)
        inside ^= fence
    return lines


def section(title: str, text: str = ALL) -> str:
    """Return the text below a heading, up to the next one of its rank or above."""
    lines, prose = text.splitlines(), _prose(text)
    start = next(n for n, line in enumerate(prose) if re.fullmatch(rf"#+ {title}", line))
    rank = prose[start].index(" ")
    ends = (
        n for n, line in enumerate(prose[start + 1 :], start + 1)
        if re.match(rf"#{{1,{rank}}} ", line)
    )  # fmt: skip
    return "\n".join(lines[start + 1 : next(ends, len(lines))])


def tables(text: str) -> list[list[list[str]]]:
    """Return all tables of a text: rows of cells, the heading's row first."""
    result: list[list[list[str]]] = []
    before = ""
    for line in text.splitlines():
        if line.startswith("|"):
            if not before.startswith("|"):
                result.append([])
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            if not set("".join(cells)) <= set("- "):
                result[-1].append(cells)
        before = line
    return result


def table(first: str, text: str = ALL) -> list[list[str]]:
    """Return the rows of the one table whose heading begins with this cell."""
    result = [rows[1:] for rows in tables(text) if rows[0][0] == first]
    assert len(result) == 1, f"{len(result)} tables begin with {first!r}"
    return result[0]


def code(cell: str) -> list[str]:
    """Return the texts in backticks."""
    return re.findall(r"`([^`]+)`", cell)


def block(marker: str, text: str = ALL) -> list[str]:
    """Return the lines of the code block after a marker."""
    lines = text.splitlines()
    start = lines.index(f"<!-- {marker} -->") + 1
    assert lines[start].startswith("```")
    return lines[start + 1 : lines.index("```", start)]


def documented(rows: list[list[str]]) -> dict[str, list[str]]:
    """Return the rows of a table of options by the option."""
    return {code(row[0])[0].split(" ")[0]: row for row in rows if code(row[0])}
