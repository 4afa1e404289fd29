"""`init` at a real terminal and without one: the file it writes, and what it never replaces."""

from __future__ import annotations

import json
import stat
import tomllib
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal
from hypothesis import given
from hypothesis import strategies as st

from batch_resend.cli.init import INIT
from batch_resend.cli.new_config import new_config, next_commands
from batch_resend.simulator.pool import Pool
from batch_resend.simulator.rules import Cognito
from batch_resend.simulator.setup import Client, PoolSettings
from tests.support.program import CLIENT, Program, in_dialogue, serving

KEYS = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
POOL = "us-east-1_Simulated"


def written(program: Program, name: str = "batch-resend.toml") -> dict[str, Any]:
    return tomllib.loads((program.folder / name).read_text("utf-8"))


def test_init_asks_and_writes_a_file_that_a_run_uses(
    program: Program, elsewhere: BlockingPortal
) -> None:
    program.env |= KEYS
    cognito = Cognito(Pool(), client=Client(CLIENT), settings=PoolSettings(POOL))
    with serving(elsewhere, cognito) as url:
        answers = {
            "User pool": [POOL], "App client": [CLIENT], "Maximum": ["2"], "Minimum": ["72h"],
        }  # fmt: skip
        done = in_dialogue(program, answers, "init", "--endpoint-url", url)
        checked = program("check", "--config", "batch-resend.toml")
    assert done.code == checked.code == 0, done.err
    assert written(program) == {
        "user-pool-id": POOL, "client-id": CLIENT, "endpoint-url": url, "max-sends": 2,
        "cooldown": "72h",
    }  # fmt: skip
    assert "Written: batch-resend.toml\n" in done.err
    assert f"ok       App client {CLIENT} belongs to the pool." in done.err
    assert "\n  batch-resend check --config batch-resend.toml\n" in done.err
    assert stat.S_IMODE((program.folder / "batch-resend.toml").stat().st_mode) == 0o600
    assert cognito.requests == 0
    shown = json.loads(program("config", "show", "--config", "batch-resend.toml", "--json").out)
    assert shown["settings"]["max-sends"] == {
        "value": 2, "origin": "file", "where": "batch-resend.toml",
    }  # fmt: skip


def test_wrong_answer_is_asked_again_with_the_reason(program: Program) -> None:
    """The client is needed, so Enter is not enough; the cap must be a number."""
    answers = {
        "AWS Region": ["eu-west-1"], "Maximum": ["two", "1"], "App client": ["", "abc"],
    }  # fmt: skip
    done = in_dialogue(program, answers, "init", "--no-check")
    assert (done.code, done.err.count("This is needed.")) == (0, 1)
    assert written(program) == {"region": "eu-west-1", "client-id": "abc", "max-sends": 1}
    assert "--max-sends 'two' is not a valid whole number." in done.err


def test_ctrl_d_leaves_no_file(program: Program) -> None:
    done = in_dialogue(program, {"App client": ["\x04"]}, "init")
    assert done.code == 2
    assert done.err.endswith("Error: No file was written: the questions were not answered.\n")
    assert not (program.folder / "batch-resend.toml").exists()


def test_file_that_exists_is_never_replaced(program: Program) -> None:
    (program.folder / "mine.toml").write_text("share = 0.1\n")
    done = program("init", "mine.toml", "--client-id", "abc", "--region", "eu-west-1")
    assert (done.code, written(program, "mine.toml")) == (2, {"share": 0.1})
    assert "mine.toml exists. Choose another name: batch-resend init FILE." in done.err


def test_init_without_a_terminal_takes_options_only(program: Program) -> None:
    lacking = program("init", "--region", "eu-west-1")
    assert lacking.code == 2
    assert "--client-id is missing. There is no terminal to ask at." in lacking.err
    wrong = program("init", "--client-id", "abc", "--region", "eu-west-1", "--cooldown", "3")
    assert wrong.code == 2
    assert "--cooldown '3' is not a valid duration." in wrong.err
    assert list(program.folder.glob("*.toml")) == []
    done = program("init", "a b.toml", "--client-id", "abc", "--region", "eu-west-1")
    assert (done.code, done.out) == (0, "")
    assert "  batch-resend run users.csv --config 'a b.toml' --dry-run\n" in done.err
    assert written(program, "a b.toml") == {"client-id": "abc", "region": "eu-west-1"}


def test_settings_that_cannot_work_leave_the_file_to_correct(program: Program) -> None:
    program.env |= KEYS
    nowhere = "http://127.0.0.1:9"
    done = program("init", "--client-id", "abc", "--user-pool-id", POOL, "--endpoint-url", nowhere)
    assert done.code == 4
    assert "Correct batch-resend.toml, then:\n  batch-resend check --config" in done.err
    assert written(program)["user-pool-id"] == POOL


@given(st.dictionaries(st.sampled_from([row.key for row in INIT if row.metavar]), st.text()))
def test_any_answer_comes_back_from_the_file(answers: dict[str, str]) -> None:
    options = {key: text for key, text in answers.items() if key != "file"}
    settings = tomllib.loads(new_config(options, "2026-11-28"))
    assert {key: str(value) for key, value in settings.items()} == options


def test_every_option_of_init_has_its_place_in_the_file() -> None:
    keys = {row.key for row in INIT if row.panel != "Guards" and row.key != "file"}
    text = new_config({}, "2026-11-28")
    uncommented = [line.removeprefix("# ") for line in text.splitlines() if " = " in line]
    assert keys <= set(tomllib.loads("\n".join(uncommented)))
    assert tomllib.loads(text) == {}


@pytest.mark.parametrize("folder", ["/srv/a b", "/srv/100%"])
def test_cron_line_is_whole_and_escaped(folder: str) -> None:
    line = next_commands("b.toml", folder, listing=True)[-1]
    assert line.startswith("  17 * * * * cd ")
    assert "%" not in line.replace(r"\%", "")
