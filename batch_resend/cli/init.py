"""`batch-resend init`: write a configuration file, by options and by questions at a terminal."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from batch_resend.cli import options
from batch_resend.cli.command import check_variables
from batch_resend.cli.option import Option, Values, taking
from batch_resend.errors import Exit, Refused, UsageError
from batch_resend.masking import printable

if TYPE_CHECKING:
    from batch_resend.settings import Settings

_FILE = "batch-resend.toml"

# fmt: off
INIT = (
    Option(
        flag="FILE", metavar="FILE", otherwise=_FILE,
        help="The file to write; one that exists is never replaced.",
    ),
    options.CLIENT_ID,
    options.USER_POOL_ID,
    options.CLIENT_SECRET_FILE,
    options.REGION,
    options.CLIENT_SECRET_ID,
    options.FETCH_CLIENT_SECRET,
    options.MAX_SENDS,
    options.COOLDOWN,
    options.OLDER_THAN,
    options.NEWER_THAN,
    options.PROFILE,
    options.ENDPOINT_URL,
    Option(
        flag="--no-check", panel=options.GUARDS, environment=False,
        help="Do not test the settings in AWS.",
    ),
)
# fmt: on
_QUESTIONS: tuple[tuple[Option, str], ...] = (
    (
        options.USER_POOL_ID,
        "User pool ID, such as eu-west-1_AbCdEf123 (Enter: users come from files)",
    ),
    (options.CLIENT_ID, "App client ID"),
    (options.REGION, "AWS Region of the pool, such as eu-west-1"),
    (options.CLIENT_SECRET_FILE, "File with the app client's secret (Enter: it has none)"),
    (options.MAX_SENDS, "Maximum messages per user over all runs (Enter: 1)"),
    (options.COOLDOWN, "Minimum time between two messages to a user (Enter: 24h)"),
)  # fmt: skip


@taking(*INIT)
def init(context: typer.Context, typed: Values) -> int:
    """Write a configuration file, and test it as check does. Sends nothing.

    At a terminal it asks for what no option says.
    """
    check_variables(context)
    path = typed["file"] or _FILE
    if Path(path).exists():
        raise UsageError(f"{printable(path)} exists. Choose another name: batch-resend init FILE.")
    answers = _answers(typed)
    arguments = {row.name: None for row in options.RUN} | answers
    if not answers.get("user_pool_id"):
        arguments["users"] = "-"  # the file does not say which; each run does
    settings = options.read_settings(arguments)
    _write(path, {row.key: _text(answers[row.name]) for row in INIT if answers.get(row.name)})
    code = Exit.DONE
    if settings.user_pool_id and not typed["no_check"]:
        code = _checked(settings)
    _say(*_ending(path, code, listing=bool(settings.user_pool_id)))
    return int(code)


def _answers(typed: Values) -> dict[str, str | bool]:
    """Return what was typed after options, and in answer to the questions; raises `UsageError`."""
    answers: dict[str, str | bool] = {
        row.name: typed[row.name]
        for row in INIT
        if row.panel != options.GUARDS and row.name != "file" and typed[row.name]
    }
    for row in INIT:
        if row.name in answers:
            row.read(answers[row.name])
    from batch_resend.console.console import can_ask, forget_typed_ahead

    if can_ask():
        forget_typed_ahead()
        for row, question in _QUESTIONS:
            if row.name not in answers and _is_due(row, answers):
                answer = _ask(row, question)
                if answer:
                    answers[row.name] = answer
    if "client_id" not in answers:
        raise UsageError("--client-id is missing. There is no terminal to ask at.")
    return answers


def _is_due(row: Option, answers: Values) -> bool:
    """Whether a question has not been answered by another one."""
    if row is options.REGION:
        return "user_pool_id" not in answers
    if row is options.CLIENT_SECRET_FILE:
        return not {"client_secret_id", "fetch_client_secret"} & set(answers)
    if row is options.COOLDOWN:
        return str(answers.get("max_sends", "1")) != "1"
    return True


def _ask(row: Option, question: str) -> str:
    """Ask until the answer can be read; Ctrl-D gives up. Returns "" for none."""
    while True:
        sys.stderr.write(f"{question}: ")
        sys.stderr.flush()
        line = sys.stdin.readline()
        if not line:
            raise Refused("No file was written: the questions were not answered.")
        answer = line.strip()
        if not answer and row in {options.CLIENT_ID, options.REGION}:
            _say("  This is needed.")
            continue
        try:
            if answer:
                row.read(answer)
        except UsageError as error:
            _say(f"  {error}")
            continue
        return answer


def _write(path: str, values: Values) -> None:
    """Write the file, unless there is one by now."""
    from batch_resend.cli.new_config import new_config

    text = new_config(values, time.strftime("%Y-%m-%d", time.gmtime()))
    if not text.isascii() and text.encode("utf-8", "replace").decode() != text:
        raise UsageError(f"{printable(path)} is not written: an answer is not valid UTF-8.")
    try:
        with open(path, "x", encoding="utf-8", opener=_for_the_owner) as file:
            file.write(text)
    except OSError as error:
        raise UsageError(f"{printable(path)} cannot be written ({error.strerror}).") from None
    _say(f"Written: {printable(path)}")


def _for_the_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _checked(settings: Settings) -> Exit:
    """Show what a check finds; return its exit code, also where it cannot be made."""
    from batch_resend.cli.check import shown
    from batch_resend.cli.event_loop import in_loop
    from batch_resend.errors import BatchResendError

    async def work() -> int:
        from batch_resend.run.preflight import check_pool

        checked = await check_pool(settings, _say)
        _say("", shown(checked, as_json=False, coloured_for=sys.stderr), "")
        return int(checked.exit_code)

    try:
        return Exit(in_loop(work))
    except BatchResendError as error:
        _say(f"The settings could not be checked: {error}")
        return error.exit_code


def _ending(path: str, code: Exit, *, listing: bool) -> list[str]:
    from batch_resend.cli.new_config import next_commands

    lines = next_commands(path, os.getcwd(), listing=listing)  # noqa: PTH109 - as the shell shows it
    if code is Exit.SETTINGS:
        return [f"Correct {printable(path)}, then:", *lines[1:2]]
    return lines


def _text(value: str | bool) -> str:
    return "true" if value is True else str(value)


def _say(*lines: str) -> None:
    sys.stderr.write("".join(f"{line}\n" for line in lines))
