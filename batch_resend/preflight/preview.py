"""What is about to happen, in words that a person can approve. Pure.

`confirmation_lines` is what stands before the question: a heading, five lines, and what was
odd about the input.
`plan_lines` is the same in full, for a dry run: why who is not written to, and the
assumptions behind every figure. Both fit 80 columns.
"""

from __future__ import annotations

import textwrap
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from batch_resend.masking import mask, printable
from batch_resend.model import Reason, RunInfo
from batch_resend.preflight.estimate import Estimate, Messages
from batch_resend.reasons import ADVICE
from batch_resend.wording import some, span

TYPED_FROM = 1000  #: users above which the number must be typed
_WIDTH = 80
_INDENT = 13


class Approval(ABC):
    """What a person is asked before anybody is written to, and what the answer means."""

    __slots__ = ()

    @property
    @abstractmethod
    def eligible(self) -> int:
        """How many are to be sent a code."""

    @property
    def question(self) -> str:
        """Ask whether to send so many codes."""
        if self.eligible > TYPED_FROM:
            return f"Type {self.eligible} to send {self.eligible} codes: "
        return f"Send {some(self.eligible, 'code')}? [y/N] "

    def approved(self, answer: str) -> bool:
        """Whether an answer to the question is a yes."""
        given = answer.strip().lower()
        if self.eligible > TYPED_FROM:
            return given == str(self.eligible)
        return given in {"y", "yes"}

    def mistyped(self, answer: str) -> bool:
        """Whether an answer that is no yes was hardly meant as a no either."""
        return self.eligible > TYPED_FROM and answer.strip().lower() not in {"", "n", "no"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview(Approval):
    """What is about to happen: shown before anybody is written to."""

    counts: dict[Reason, int]
    first: list[str]  #: a few of the names
    estimate: Estimate
    info: RunInfo
    waves: Sequence[int] = ()  #: users in each
    notes: Sequence[str] = ()  #: what was odd about the input, in sentences

    @property
    def eligible(self) -> int:
        """How many are to be sent a code."""
        return self.estimate.users

    @property
    def rate(self) -> float:
        """Requests a second at most."""
        return self.estimate.rate

    @property
    def seconds(self) -> float:
        """How long it takes at least, at this pace."""
        return self.estimate.seconds


def confirmation_lines(preview: Preview, *, masked: bool = True) -> list[str]:
    """Say in a heading and five lines what is about to happen."""
    estimate = preview.estimate
    lines = _heading(preview)
    medium, names = _medium(estimate.sent) + _waves(preview), _names(preview, masked=masked)
    lines += _line(
        "to send", f"{some(preview.eligible, 'code')}{medium}{f' ({names})' if names else ''}"
    )
    if others := _others(preview):
        reasons = ", ".join(f"{reason} {count}" for reason, count in others.items())
        lines += _line("not sent", f"{sum(others.values())} ({reasons})")
    if preview.eligible:
        lines += _line("takes", " ".join(_how_long(estimate, short=True)))
    if estimate.costs:
        lines += _line("may cost", ", ".join(amount for amount, _ in estimate.costs))
    return lines + _notes(preview)


def plan_lines(preview: Preview, *, masked: bool = True) -> list[str]:
    """Say all that a person needs to approve a run."""
    estimate = preview.estimate
    lines = _heading(preview)
    medium = _medium(estimate.sent) + _waves(preview)
    lines += _line("to send", f"{some(preview.eligible, 'code')}{medium}")
    if names := _names(preview, masked=masked):
        lines += _line("the first", names)
    others = _others(preview)
    if others:
        lines += _line("not sent", str(sum(others.values())))
        width = max(len(str(count)) for count in others.values())
        longest = max(map(len, others))
        for reason, count in others.items():
            lines.append(f"    {count:>{width}}  {reason:<{longest}}  {ADVICE[reason].brief}")
    if preview.eligible:
        for n, sentence in enumerate(_how_long(estimate)):
            lines += _line("" if n else "takes", sentence)
    for n, (amount, assumption) in enumerate(estimate.costs):
        lines += _line("" if n else "may cost", f"{amount} ({assumption})")
    return lines + _notes(preview)


def _heading(preview: Preview) -> list[str]:
    info = preview.info
    pool = f"pool {info.user_pool_id}, " if info.user_pool_id else ""
    where = [info.endpoint.removeprefix("https://") if info.endpoint_is_aws else info.endpoint]
    if not info.simulated:
        where.insert(0, info.region)
    if info.account:
        where.insert(0, f"account {info.account}")
    column = f", column {info.username_column}" if info.username_column else ""
    return [
        f"Plan for {info.input}{column}: {pool}client {info.client_id}",
        *_line("where", ", ".join(where)),
    ]


def _notes(preview: Preview) -> list[str]:
    """Say what was odd about the input, before the question."""
    return [line for note in preview.notes for line in _line("note", note)]


def _medium(sent: Messages) -> str:
    told = [
        f"{count} {how}"
        for count, how in (
            (sent.mail, "by mail"),
            (sent.text, "by text message"),
            (sent.either, "by mail or text message"),
        )
        if count
    ]
    if len(told) == 1:
        return " " + told[0].split(" ", 1)[1]
    return f": {', '.join(told)}" if told else ""


def _waves(preview: Preview) -> str:
    if len(preview.waves) < 2:
        return ""
    *first, last = map(str, preview.waves)
    return f", in waves of {', '.join(first)} and {last}"


def _names(preview: Preview, *, masked: bool) -> str:
    names = [mask(name) if masked else printable(name) for name in preview.first]
    return ", ".join([*names, *(["..."] if names and preview.eligible > len(names) else [])])


def _others(preview: Preview) -> Mapping[Reason, int]:
    order = list(Reason)
    others = {r: n for r, n in preview.counts.items() if r is not Reason.ELIGIBLE and n}
    return dict(sorted(others.items(), key=lambda pair: order.index(pair[0])))


def _how_long(estimate: Estimate, *, short: bool = False) -> list[str]:
    binding = estimate.binding
    takes = span(binding.finished_at - estimate.now)
    told = [f"{takes}, done on {estimate.finished_on}: {binding.words} binds."]
    if estimate.held_back and not short:
        told.append(f"The pace of {estimate.pace:g} a second would take {span(estimate.seconds)}.")
    reached, why = estimate.reached
    if why:
        told.append(f"This run reaches {reached} of them at most ({why}).")
    return told


def _line(label: str, text: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=f"  {label:<{_INDENT - 2}}",
        subsequent_indent=" " * _INDENT,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
    ) or [f"  {label}"]
