"""The page: reports for people, in one self-contained HTML file.

It loads nothing and sends nothing: style, script and rows are in the file, and its own
content security policy forbids everything but these two, by their hashes. All foreign
values are shown as text: the template escapes every value, the script writes text and
never markup. Names are masked by default.

The charts are SVG drawn by the template, so that they use the page's colors in light and
dark mode; a plotting library would bring fonts and colors of its own, at a thousand times
the size.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from importlib.resources import files
from typing import Any

from batch_resend.masking import printable
from batch_resend.preflight.preview import Preview
from batch_resend.reports.page.confirmed import Confirmed
from batch_resend.reports.page.context import context
from batch_resend.reports.page.figures import read_reports
from batch_resend.reports.page.samples import Sample
from batch_resend.reports.page.technical import moment


def page(
    reports: Sequence[str],
    *,
    summary: dict[str, Any] | None = None,
    samples: Sequence[Sample] = (),
    masked: bool = True,
    plan: Preview | None = None,
    confirmed: Confirmed | None = None,
    now: float | None = None,
) -> bytes:
    """Return the page of these reports; raises `InputError`.

    `summary` is that of one of their runs, as `Summary.as_json` returns it; `samples` and
    `plan` are those of the same run. `confirmed` is what the pool says now. `now` dates the page.
    """
    values = context(
        read_reports(reports),
        summary,
        samples,
        masked=masked,
        plan=plan,
        confirmed=confirmed,
        now=time.time() if now is None else now,
    )
    return rendered("page.html", values)


def page_name(report: str) -> str:
    """Return the name of a report's page: beside it, with the ending `.html`."""
    stem = report.removesuffix(".gz").removesuffix(".csv")
    return f"{stem}.html"


def rendered(template: str, values: Mapping[str, Any]) -> bytes:
    """Return a page, made from a template among the assets."""
    import jinja2
    from markupsafe import Markup

    folder = files("batch_resend.reports.page") / "assets"
    style, script = ((folder / name).read_text("utf-8") for name in ("style.css", "script.js"))
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: (folder / name).read_text("utf-8")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "moment": moment,
        "number": "{:,}".format,
        "printable": printable,
        "time": _time,
        "clock": partial(_time, full=False),
        "words": _words,
    }
    text = environment.get_template(template).render(
        values,
        style=Markup(style),  # noqa: S704 - our own file
        script=Markup(script),  # noqa: S704 - our own file
        style_hash=_hash(style),
        script_hash=_hash(script),
        embedded=Markup(values.get("embedded", "[]")),  # noqa: S704 - JSON without any <
    )
    return text.encode("utf-8", "backslashreplace")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _time(seconds: float, *, full: bool = True) -> Any:
    """Mark up a time in UTC, which the script turns into the reader's own."""
    from markupsafe import Markup

    at = datetime.fromtimestamp(seconds, UTC)
    day = f"{at.day} {at.strftime('%b %Y, ')}" if full else ""
    return Markup('<time datetime="{}"{}>{}</time>').format(
        at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "" if full else Markup(" data-clock"),
        day + at.strftime("%H:%M UTC"),
    )


def _words(text: str, at: float | None = None) -> Any:
    """Mark up the text between backticks as code, and `{at}` as the time `at`."""
    from markupsafe import Markup

    parts = text.split("`")
    markup = Markup("")
    for n, part in enumerate(parts):
        if n % 2:
            markup += Markup('<code class="term">{}</code>').format(part)
            continue
        before, mark, after = part.partition("{at}")
        if mark and at is not None:
            markup += Markup("{}{}{}").format(before, _time(at), after)
        else:
            markup += part
    return markup
