"""What is about to happen, in words that a person can approve. Pure.

`confirmation_lines` is what stands before the question. `plan_lines` is the same in full, for
a dry run, with the assumptions behind every figure. Both fit 80 columns.
"""

from __future__ import annotations

import textwrap
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from batch_resend.masking import mask_destination, printable
from batch_resend.model import Reason, RunInfo
from batch_resend.preflight.estimate import Estimate, Messages
from batch_resend.preflight.policy_words import Memory, memory_words
from batch_resend.reasons import ADVICE
from batch_resend.wording import per_second, some, span

TYPED_FROM = 1000  #: users above which the number must be typed
_WIDTH = 80
_INDENT = 18


class Approval(ABC):
    """The question before the first message, and what the answer means."""

    __slots__ = ()

    @property
    @abstractmethod
    def eligible(self) -> int:
        """How many are to be sent a code."""

    @property
    def question(self) -> str:
        """The question whether to send that many codes."""
        if self.eligible > TYPED_FROM:
            return f"Send {some(self.eligible, 'code')}? Type {self.eligible} to confirm: "
        return f"Send {some(self.eligible, 'code')}? [y/N] "

    def approved(self, answer: str) -> bool:
        """Whether an answer to the question is a yes."""
        text = answer.strip().lower()
        if self.eligible > TYPED_FROM:
            return text == str(self.eligible)
        return text in {"y", "yes"}

    @property
    def correction(self) -> str:
        """What to type, after a number that is not the right one."""
        return f"That is not {self.eligible}. Type {self.eligible}, or press Enter to cancel."

    def mistyped(self, answer: str) -> bool:
        """Whether the answer is neither a confirmation nor an explicit no (a typo)."""
        return self.eligible > TYPED_FROM and answer.strip().lower() not in {"", "n", "no"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview(Approval):
    """The plan, as shown before the first message."""

    counts: dict[Reason, int]
    examples: Sequence[str]  #: a few of the users, by address where one is known
    estimate: Estimate
    info: RunInfo
    waves: Sequence[int] = ()  #: users in each
    notes: Sequence[str] = ()  #: what was odd about the input, in sentences
    policy: str = ""  #: how many messages a user may get, in words
    memory: Memory | None = None  #: what the ledger remembers; None where it was not looked up

    @property
    def eligible(self) -> int:
        """How many are to be sent a code."""
        return self.estimate.users

    @property
    def rate(self) -> float:
        """Maximum requests per second."""
        return self.estimate.rate

    @property
    def seconds(self) -> float:
        """The minimum duration at this rate."""
        return self.estimate.seconds


def confirmation_lines(preview: Preview, *, masked: bool = True) -> list[str]:
    """Return what is about to happen, in the lines before the question."""
    estimate = preview.estimate
    lines = _start(preview, masked=masked)
    if preview.eligible:
        lines += _line("Duration", " ".join(_how_long(estimate, short=True)))
    if estimate.costs:
        lines += _line("Estimated cost", ", ".join(amount for amount, _ in estimate.costs))
    return lines + _notes(preview)


def plan_lines(preview: Preview, *, masked: bool = True) -> list[str]:
    """Return the plan in full, with the assumptions behind its figures."""
    estimate = preview.estimate
    lines = _start(preview, masked=masked)
    if preview.eligible:
        for n, sentence in enumerate(_how_long(estimate)):
            lines += _line("" if n else "Duration", sentence)
    for n, (amount, assumption) in enumerate(estimate.costs):
        lines += _line("" if n else "Estimated cost", f"{amount} ({assumption})")
    return lines + _notes(preview)


def fitting(lines: Sequence[str], columns: int) -> list[str]:
    """Return a plan's lines for a terminal; each paragraph in one line if it has to wrap them."""
    if columns >= _WIDTH:
        return list(lines)
    whole: list[str] = []
    for line in lines:
        if whole and line.startswith(" " * _INDENT):
            whole[-1] += f" {line.strip()}"
        else:
            whole.append(line)
    return whole


def _start(preview: Preview, *, masked: bool) -> list[str]:
    """Return where the messages go and who is skipped: the same in both plans."""
    lines = _heading(preview)
    medium = _medium(preview.estimate.sent) + _waves(preview)
    lines += _line("Will send", f"{some(preview.eligible, 'code')}{medium}")
    if preview.examples:
        lines += _line("For example", _examples(preview, masked=masked))
    if others := _others(preview):
        lines += _line("Will skip", f"{sum(others.values()):,}")
        width = max(len(f"{count:,}") for count in others.values())
        for reason, count in others.items():
            lines.append(f"    {count:>{width},}  {ADVICE[reason].brief} ({reason})")
    if preview.policy:
        lines += _line("Policy", preview.policy)
    return lines + _ledger(preview)


def _heading(preview: Preview) -> list[str]:
    info = preview.info
    named = info.user_pool_id and info.user_pool_id not in info.input
    pool = f"pool {info.user_pool_id}, " if named else ""
    where = [info.endpoint.removeprefix("https://") if info.endpoint_is_aws else info.endpoint]
    if not info.simulated:
        where.insert(0, info.region)
    if info.account:
        where.insert(0, f"account {info.account}")
    column = f", column {info.username_column}" if info.username_column else ""
    return [
        f"Plan for {info.input}{column}: {pool}client {info.client_id}",
        *_line("Where", ", ".join(where)),
    ]


def _ledger(preview: Preview) -> list[str]:
    """Return which ledger decides who was sent a code already, and what it remembers."""
    ledger = preview.info.ledger
    if preview.memory is None:
        return []
    if ledger is None:
        return _line("Ledger", "none is kept: this simulation is not remembered")
    words = memory_words(preview.memory, preview.estimate.now)
    return _line("Ledger", f"{printable(ledger)}: {words}" if words else printable(ledger))


def _notes(preview: Preview) -> list[str]:
    """Return what was odd about the input, before the question."""
    return [line for note in preview.notes for line in _line("Note", note)]


def _medium(sent: Messages) -> str:
    media = [
        (count, how)
        for count, how in (
            (sent.mail, "by mail"),
            (sent.text, "by text message"),
            (sent.either, "by mail or text message"),
        )
        if count
    ]
    if len(media) == 1:
        return f" {media[0][1]}"
    return ": " + ", ".join(f"{count:,} {how}" for count, how in media) if media else ""


def _waves(preview: Preview) -> str:
    if len(preview.waves) < 2:
        return ""
    *first, last = (f"{size:,}" for size in preview.waves)
    return f", in waves of {', '.join(first)} and {last}"


def _examples(preview: Preview, *, masked: bool) -> str:
    hide = mask_destination if masked else printable
    names = [hide(name) for name in preview.examples]
    return ", ".join([*names, *(["..."] if preview.eligible > len(names) else [])])


def _others(preview: Preview) -> Mapping[Reason, int]:
    order = list(Reason)
    others = {r: n for r, n in preview.counts.items() if r is not Reason.ELIGIBLE and n}
    return dict(sorted(others.items(), key=lambda pair: order.index(pair[0])))


def _how_long(estimate: Estimate, *, short: bool = False) -> list[str]:
    binding = estimate.binding
    takes = span(binding.finished_at - estimate.now)
    sentences = [f"{takes}, done by {estimate.finished_by} (limited by {binding.words})."]
    if estimate.held_back and not short:
        sentences.append(
            f"At {per_second(estimate.pace)} alone it would take {span(estimate.seconds)}."
        )
    reached, why = estimate.reached
    if why:
        sentences.append(f"This run stops after {reached:,} ({why}).")
    return sentences


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
