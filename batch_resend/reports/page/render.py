"""The page: reports for people, in one HTML file that needs nothing else.

It loads nothing and sends nothing: style, script and rows are in the file, and its own
content security policy forbids everything but these two, by their hashes. Whatever comes
from outside stands in it as text: the template escapes every value, the script writes
text and never markup. Names are masked unless asked otherwise.

The charts are SVG drawn by the template, so that they take on the page's colours by day
and by night; a plotting library would bring fonts and colours of its own, at a thousand
times the size.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from batch_resend.masking import printable
from batch_resend.reports.page.context import context, moment
from batch_resend.reports.page.figures import read_reports
from batch_resend.reports.page.samples import Sample


def page(
    reports: Sequence[str],
    *,
    summary: dict[str, Any] | None = None,
    samples: Sequence[Sample] = (),
    masked: bool = True,
) -> bytes:
    """Make the page of these reports; raises `InputError`.

    `summary` is that of one of their runs, as `Summary.as_json` gives it, and `samples`
    are those of the same run.
    """
    return _rendered(context(read_reports(reports), summary, samples, masked=masked))


def page_name(report: str) -> str:
    """Name the page of a report: beside it, with `.html` in place of its ending."""
    stem = report.removesuffix(".gz").removesuffix(".csv")
    return f"{stem}.html"


def _rendered(values: dict[str, Any]) -> bytes:
    import jinja2
    from markupsafe import Markup

    folder = files("batch_resend.reports.page") / "assets"
    style, script, template = (
        (folder / name).read_text("utf-8") for name in ("style.css", "script.js", "page.html")
    )
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "arguments": _arguments,
        "moment": moment,
        "number": "{:,}".format,
        "printable": printable,
        "words": _words,
    }
    text = environment.from_string(template).render(
        values,
        style=Markup(style),  # noqa: S704 - our own file
        script=Markup(script),  # noqa: S704 - our own file
        style_hash=_hash(style),
        script_hash=_hash(script),
        embedded=Markup(values["embedded"]),  # noqa: S704 - JSON in which no < is left
    )
    return text.encode("utf-8", "backslashreplace")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _words(text: str) -> Any:
    """Mark up what stands between backticks as code."""
    from markupsafe import Markup

    parts = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if n % 2 else part for n, part in enumerate(parts)
    )


def _arguments(command: str) -> Any:
    """Keep each option of a command in one piece: lines break between them only."""
    from markupsafe import Markup

    pieces = re.split(" (?=--)", command)
    return Markup(" ").join(Markup("<span>{}</span>").format(piece) for piece in pieces)
