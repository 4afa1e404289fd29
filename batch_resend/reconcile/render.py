"""A reconciliation as people and programs read it. Pure."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from batch_resend.masking import mask, printable
from batch_resend.model import Outcome
from batch_resend.reconcile.findings import Finding, Why, unrecorded_at_most
from batch_resend.reconcile.records import EVENT_NAME
from batch_resend.reconcile.settle import Progress, Reconciliation
from batch_resend.reconcile.windows import Window
from batch_resend.wording import grouped, some, span

SCHEMA = 1
_SETTLED = (Outcome.SENT, Outcome.FAILED, Outcome.SKIPPED, Outcome.NOT_ATTEMPTED)
_WINDOWS_SHOWN = 5  #: lookups that are printed one by one, for others to run


@dataclass(frozen=True, slots=True)
class Scene:
    """The source of a reconciliation, as it is shown; `region` empty: from files."""

    ledger: str
    region: str = ""
    files: int = 0
    dry_run: bool = False

    @property
    def source(self) -> str:
        """Where the records came from."""
        return f"CloudTrail, {self.region}" if self.region else some(self.files, "file")


def lines(scene: Scene, result: Reconciliation) -> list[str]:
    """Return the report for people."""
    unknown = list(result.unknown())
    settled = len(result.findings) - len(unknown)
    text = [f"Ledger {scene.ledger}: {grouped(len(result.findings), 'unknown outcome')}"]
    if not result.findings:
        return [f"{text[0]}. Nothing to settle."]
    windows = "" if not scene.region else f" in {grouped(len(result.windows), 'time window')}"
    text.append(
        f"{scene.source}: {grouped(result.records, 'record')} of resends read{windows},"
        f" {span(result.seconds)}"
    )
    text.append(f"{'Would settle' if scene.dry_run else 'Settled'} {settled:,}")
    text += _settled_lines(list(result.settled()))
    text.append(f"Still unknown {len(unknown):,}")
    text += _unknown_lines(result)
    if scene.dry_run:
        text.append("Dry run: nothing was written to the ledger.")
    return text


def _settled_lines(settled: list[Finding]) -> Iterator[str]:
    by_outcome = Counter(finding.outcome for finding in settled)
    for outcome in _SETTLED:
        if not (count := by_outcome[outcome]):
            continue
        reasons = Counter(str(one.reason) for one in settled if one.outcome is outcome)
        why = "" if outcome is Outcome.SENT else f" ({_counted(reasons)})"
        again = outcome in {Outcome.FAILED, Outcome.NOT_ATTEMPTED}
        more = "; the next run includes them" if again else ""
        yield f"  {outcome:<14}{count:>7,}{why}{more}"


def _unknown_lines(result: Reconciliation) -> Iterator[str]:
    for why in Why:
        findings = list(result.unknown(why))
        if findings:
            yield f"  {why:<14}{len(findings):>7,}  {_EXPLAINED[why](result, findings)}"


def _not_recorded(result: Reconciliation, findings: Sequence[Finding]) -> str:
    new = [one for one in findings if one.changes]
    if not new:
        return "found earlier. To send to them again: run --resend-unknown not-recorded"
    share = f"{unrecorded_at_most(result.controls):.2%}"
    return (
        f"no record, while all {result.controls:,} answered requests around them have one: at most"
        f" {share} of calls are unrecorded (95%). To send to them again: run --resend-unknown"
        " not-recorded"
    )


def _too_early(result: Reconciliation, findings: Sequence[Finding]) -> str:
    del result
    return f"no record yet. Run again after {_minute(due(findings) or 0.0)}"


def _no_controls(result: Reconciliation, findings: Sequence[Finding]) -> str:
    del findings
    if result.missing_controls:
        return (
            f"no record, but {result.missing_controls:,} of {result.controls:,} answered requests"
            " around them have none either. Check the account, the Region, and proxies that"
            " change the User-Agent"
        )
    return (
        f"no record, and too few answered requests around them to compare with"
        f" ({result.controls:,}). --controls N accepts fewer"
    )


def _no_result(result: Reconciliation, findings: Sequence[Finding]) -> str:
    del result
    reasons = Counter(str(one.reason or "open") for one in findings)
    return f"the records do not decide it ({_counted(reasons)})"


_EXPLAINED: dict[Why, Callable[[Reconciliation, Sequence[Finding]], str]] = {
    Why.NOT_RECORDED: _not_recorded,
    Why.TOO_EARLY: _too_early,
    Why.NO_CONTROLS: _no_controls,
    Why.NO_RESULT: _no_result,
    Why.TOO_OLD: lambda _f, _o: (
        "older than CloudTrail's 90 days. A trail's files can be given with --events"
    ),
    Why.OTHER_USER: lambda _f, _o: (
        "the record with our mark names another user. Please report this"
    ),
}


def due(findings: Iterable[Finding]) -> float | None:
    """Return when all of these that are too early can be concluded, if any is."""
    return max((one.due for one in findings if one.due is not None), default=None)


def as_json(
    scene: Scene, result: Reconciliation, *, exit_code: int, masked: bool = True
) -> dict[str, Any]:
    """Return the report for programs."""
    reasons = Counter(f"{one.outcome}/{one.reason}" for one in result.settled())
    return {
        "schema": SCHEMA,
        "ledger": scene.ledger,
        "source": "cloudtrail" if scene.region else "files",
        "region": scene.region or None,
        "files": scene.files,
        "dry_run": scene.dry_run,
        "unknown_before": len(result.findings),
        "settled": sum(reasons.values()),
        "settled_reasons": dict(reasons),
        "unknown": sum(1 for _ in result.unknown()),
        "unknown_causes": dict(Counter(str(one.why) for one in result.unknown())),
        "windows": len(result.windows),
        "records": result.records,
        "controls": result.controls,
        "missing_controls": result.missing_controls,
        "unrecorded_at_most": unrecorded_at_most(result.controls),
        "again_after": due(result.findings),
        "seconds": round(result.seconds, 3),
        "exit_code": exit_code,
        "findings": [_finding(one, masked=masked) for one in result.findings],
    }


def _finding(one: Finding, *, masked: bool) -> dict[str, Any]:
    name = one.doubt.name
    return {
        "username": mask(name) if masked and name is not None else name,
        "intended_at": one.doubt.intended_at,
        "outcome": str(one.outcome),
        "reason": str(one.reason) if one.reason else None,
        "cause": str(one.why) if one.why else None,
        "evidence": one.evidence or None,
        "again_after": one.due,
    }


def progress(now: Progress) -> str:
    """Return a line for the terminal."""
    return (
        f"Time window {now.window} of {now.windows}: {grouped(now.records, 'record')},"
        f" {now.matches:,} of {now.doubts:,} unknown outcomes recorded"
    )


def commands(searched: Sequence[Window], region: str, reconcile: Sequence[str]) -> list[str]:
    """Return the commands that make the files, and the one that uses them."""
    spans = [(window.start, window.end) for window in searched]
    if len(spans) > _WINDOWS_SHOWN:
        spans = [(spans[0][0], spans[-1][1])]
    names = (
        ["events.json"] if len(spans) == 1 else [f"events-{n + 1}.json" for n in range(len(spans))]
    )
    text = [
        "aws cloudtrail lookup-events"
        f" --lookup-attributes AttributeKey=EventName,AttributeValue={EVENT_NAME}"
        f" --start-time {_iso(start)} --end-time {_iso(end + 1)} --region {region}"
        f" --output json > {name}"
        for (start, end), name in zip(spans, names, strict=True)
    ]
    events = [part for name in names for part in ("--events", name)]
    return [*text, shlex.join([*reconcile, *events])]


def _counted(reasons: Counter[str]) -> str:
    return ", ".join(f"{printable(reason)} {count:,}" for reason, count in reasons.most_common())


def _minute(at: float) -> str:
    return datetime.fromtimestamp(at + 59, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
