"""The errors that end a run, each with its sentence for a person and its exit code.

What goes wrong with one user is a value (`model.Reason`); what goes wrong with the run
is one of these. They are raised by the part that knows, and caught once, in `cli`.
"""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """The exit codes of the program."""

    DONE = 0  #: every user was sent a code or skipped
    SOME_FAILED = 1  #: finished, but some users failed or are unknown, or a file is not in place
    USAGE = 2  #: wrong usage, unreadable input, or refused without --yes
    STOPPED = 3  #: stopped early on purpose: run again to continue
    SETTINGS = 4  #: settings that cannot work
    LEDGER_HELD = 5  #: another run holds this ledger
    HANGUP = 129
    INTERRUPT = 130
    TERMINATED = 143


def place_of(error: BaseException) -> str:
    """Name an unexpected error and its place; never its text, which may hold anything."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return type(error).__name__
    file = trace.tb_frame.f_code.co_filename.rpartition("/")[2]
    return f"{type(error).__name__} at {file}:{trace.tb_lineno}"


class BatchResendError(Exception):
    """A sentence for a person: what, where, why, what now. Never a secret or a whole name."""

    exit_code = Exit.SETTINGS


class UsageError(BatchResendError):
    """An option or a combination of options makes no sense."""

    exit_code = Exit.USAGE


class InputError(BatchResendError):
    """The users cannot be read; no messages were sent."""

    exit_code = Exit.USAGE


class StaleListing(InputError):
    """A listing can no longer be continued: discard it and start again."""


class OutOfTime(InputError):
    """The users were not listed within --deadline; no messages were sent."""

    exit_code = Exit.STOPPED


class Refused(BatchResendError):
    """The run was not confirmed; no messages were sent."""

    exit_code = Exit.USAGE


class NotConfirmed(Refused):
    """The answer to the question was not yes."""

    def __init__(self) -> None:
        super().__init__("Cancelled; nothing was sent.")


class ReportError(BatchResendError):
    """A report cannot be written."""

    exit_code = Exit.USAGE


class SettingsError(BatchResendError):
    """Settings that cannot work: client, secret, credentials, endpoint."""


class LedgerError(BatchResendError):
    """The ledger cannot be trusted or written; sending stops at once."""


class LedgerHeld(LedgerError):
    """Another run holds this ledger; this one made no request."""

    exit_code = Exit.LEDGER_HELD
