"""`--config`, `--pool` and `config show`: the precedence, and the messages for mistakes."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from batch_resend import cli
from tests.support.program import Ended, Program, tallied, without_times

FILE = """
share = 0.25
timeout = "3s"
[pools.shop]
client-id = "ofthefile"
user-pool-id = "eu-west-1_AbC"
limit = 2
dry-run = true
metadata = { locale = "@locale", from = "file" }
[pools.blog]
client-id = "another"
"""


@pytest.fixture
def program(tmp_path: Path) -> Any:
    instance = Program(tmp_path)
    (tmp_path / "my.toml").write_text(FILE)
    instance.users([f"user{n}" for n in range(5)])
    yield instance
    instance.end()


def shown(ended: Ended) -> dict[str, tuple[Any, str, str | None]]:
    assert (ended.code, ended.err) == (0, "")
    content = json.loads(ended.out)
    assert content["schema"] == 1
    return {
        name: (entry["value"], entry["origin"], entry["where"])
        for name, entry in content["settings"].items()
    }


def test_flag_beats_variable_beats_file_beats_default(
    program: Program,
) -> None:
    env = {"BATCH_RESEND_LIMIT": "3", "BATCH_RESEND_SHARE": "0.1", "BATCH_RESEND_DRY_RUN": "0"}
    result = shown(
        program(
            *("config", "show", "users.csv", "--config", "my.toml", "--pool", "shop"),
            *("--limit", "4", "--json", "-q"),
            env=env,
        )
    )
    pool = "my.toml [pools.shop]"
    assert result["users"] == ("users.csv", "flag", None)
    assert result["limit"] == (4, "flag", None)
    assert result["quiet"] == (True, "flag", None)
    assert result["share"] == (0.1, "variable", "BATCH_RESEND_SHARE")
    assert result["dry-run"] == (False, "variable", "BATCH_RESEND_DRY_RUN")
    assert result["client-id"] == ("ofthefile", "file", pool)
    assert result["metadata"] == (["locale=@locale", "from=file"], "file", pool)
    assert result["timeout"] == ("3s", "file", "my.toml")
    assert result["max-sends"] == (1, "default", None)
    assert result["client-secret"] == (None, "default", None)


def test_a_run_goes_by_the_file_of_its_pool(program: Program) -> None:
    (program.folder / "users.csv").write_text("username,locale\na,de\nb,de\nc,de\n")
    ended = program(
        *("run", "users.csv", "--config", "my.toml", "--pool", "shop", "--simulate"),
        *("--report", "report.csv", "--summary", "summary.json"),
    )
    assert ended.code == 0, ended.err
    assert tallied(program.report()) == {"planned/eligible": 2, "skipped/over-limit": 1}
    summary = program.summary()
    assert (summary["client_id"], summary["user_pool_id"]) == ("ofthefile", "eu-west-1_AbC")


def test_variables_name_file_and_pool_and_file_names_users(
    program: Program,
) -> None:
    (program.folder / "my.toml").write_text(f"{FILE}users = '~/mine.csv'\n")
    (program.folder / "home" / "mine.csv").write_text("username\na\nb\n")
    env = {"BATCH_RESEND_CONFIG": "my.toml", "BATCH_RESEND_POOL": "blog"}
    ended = program("run", "--simulate", "--report", "report.csv", env=env)
    assert ended.code == 0, ended.err
    assert tallied(program.report()) == {"sent/accepted": 2}
    assert shown(program("config", "show", "--json", env=env))["users"] == (
        str(program.folder / "home" / "mine.csv"), "file", "my.toml [pools.blog]",
    )  # fmt: skip


def test_the_settings_are_shown_in_lines_and_the_secret_is_not(program: Program) -> None:
    secret = "a-secret-of-the-client"
    ended = program(
        *("config", "show", "--config=my.toml", "--pool=shop", "--filter", "a\x1b[31m\nb"),
        env={"BATCH_RESEND_CLIENT_SECRET": secret},
    )
    assert (ended.code, ended.err) == (0, "")
    assert secret not in ended.out
    lines = [line.split() for line in ended.out.splitlines()]
    assert ["client-secret", "set", "variable", "BATCH_RESEND_CLIENT_SECRET"] in lines
    assert ["limit", "2", "file", "my.toml", "[pools.shop]"] in lines
    assert ["dry-run", "true", "file", "my.toml", "[pools.shop]"] in lines
    assert ["filter", "a\\x1b[31m\\nb", "flag"] in lines
    assert ["sample", "default"] in lines
    assert [line for line in ended.out.splitlines() if line != line.rstrip()] == []


def test_changed_settings_are_shown_with_what_they_come_to(program: Program) -> None:
    """The Region is the pool's, and the ledger that of Region and client; AWS is not asked."""
    ended = program("config", "show", "--config=my.toml", "--pool=shop", "--changed", "--limit=3")
    assert (ended.code, ended.err) == (0, "")
    lines = {line.split()[0]: line.split()[1:] for line in ended.out.splitlines()}
    assert set(lines) == {
        "client-id", "user-pool-id", "limit", "dry-run", "metadata", "share", "timeout", "config",
        "pool", "region", "ledger", "create-ledger",
    }  # fmt: skip
    assert lines["limit"] == ["3", "flag"]
    assert lines["region"] == ["eu-west-1", "default"]
    assert lines["ledger"][0].endswith("/eu-west-1-ofthefile.sqlite3")
    content = json.loads(program("config", "show", "--changed", "--json", "--client-id=x").out)
    assert set(content["settings"]) == {"client-id", "create-ledger"}, "no Region is known"
    nothing = program("config", "show", "--changed", env={"BATCH_RESEND_CREATE_LEDGER": ""})
    assert (nothing.code, nothing.out, nothing.err) == (0, "", "")
    everything = program("config", "show").out
    assert "report " in everything
    assert "(resend-report-<UTC time>.csv)" in everything


def test_every_setting_of_a_run_is_shown(program: Program) -> None:
    result = shown(program("config", "show", "--json", env={"BATCH_RESEND_CREATE_LEDGER": ""}))
    run = cli.typer.main.get_command(cli.app).commands["run"]  # type: ignore[attr-defined]
    assert set(result) == {
        parameter.opts[0].lstrip("-") for parameter in run.params if parameter.name != "help"
    } | {"client-secret"}
    assert {origin for _, origin, _ in result.values()} == {"default"}


POOL = ("--config", "my.toml", "--pool", "shop")
WRONG: dict[str, tuple[str, tuple[str, ...], dict[str, str]]] = {
    "no pool chosen": ("choose with --pool (shop, blog)", ("--config", "my.toml"), {}),
    "a pool without a file": ("--pool shop needs --config", ("--pool", "shop"), {}),
    "a dry run of one of two pools": (
        "Pool shop: dry-run is for all pools of a run", (*POOL, "--pool", "blog"), {},
    ),
    "an unknown pool": ("did you mean shop?", ("--pool", "shpo", "--config", "my.toml"), {}),
    "a missing file": ("--config nowhere.toml cannot be read", ("--config", "nowhere.toml"), {}),
    "a mistyped variable": (
        "did you mean BATCH_RESEND_CONFIG?", ("--yes",), {"BATCH_RESEND_CONFG": "my.toml"},
    ),
    "a variable that makes no sense": (
        "--share 7 is not a valid share. Use a number above 0, up to 1."
        " --share is set by BATCH_RESEND_SHARE.",
        POOL, {"BATCH_RESEND_SHARE": "7"},
    ),
    "a variable that is not a number": (
        "--limit is set by BATCH_RESEND_LIMIT.", POOL, {"BATCH_RESEND_LIMIT": "ten"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_with_the_place_where_it_was_set(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sentence, arguments, env = WRONG[name]
    assert sentence in complaint(FILE, arguments, env, tmp_path, monkeypatch, capsys)


WRONG_FILES = {
    "a bad number": ("limit = 'ten'", "--limit is set in my.toml [pools.shop]."),
    "half a user": ("limit = 2.5", "--limit is set in my.toml [pools.shop]."),
    "a bad duration": (
        "timeout = 10",
        "--timeout '10' is not a valid duration. Use for example 90s, 15m, 24h, 7d or 1h30m."
        " --timeout is set in my.toml [pools.shop].",
    ),
    "a bad rate": ("rate = 0", "--rate is set in my.toml [pools.shop]."),
    "two that exclude each other": (
        "limit = 1\nsample = 1",
        "--limit is set in my.toml [pools.shop]. --sample is set in my.toml [pools.shop].",
    ),
    "an unknown key": ("max_sent = 1", "[pools.shop]: 'max_sent' is not an option: did you mean"),
    "a file in a file": ("config = 'x'", "'config' is not an option"),
    "a secret": ("client-secret = 'x'", "client-secret-file"),
    "a text for a switch": ("yes = 'no'", "my.toml [pools.shop]: yes takes true or false."),
}


@pytest.mark.parametrize("name", WRONG_FILES)
def test_what_is_wrong_in_the_file_is_said_with_its_table(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    content, sentence = WRONG_FILES[name]
    file = f"[pools.shop]\n{content}\n"
    assert sentence in complaint(file, POOL, {}, tmp_path, monkeypatch, capsys)


def complaint(
    file: str,
    arguments: tuple[str, ...],
    env: dict[str, str],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> str:
    """Return the one line that a run writes; nothing is sent."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    Path("my.toml").write_text(file)
    Path("users.csv").write_text("username\nada\n")
    for variable, value in env.items():
        monkeypatch.setenv(variable, value)
    code = cli.program(["run", "users.csv", "--simulate", *arguments])
    out, err = capsys.readouterr()
    (line,) = without_times(err).splitlines()
    assert (code, out) == (2, "")
    assert line.startswith("Error: ")
    assert line.endswith((".", "?"))
    assert sorted(path.name for path in folder.iterdir()) == ["my.toml", "users.csv"]
    return line


def test_what_was_typed_needs_no_origin(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BATCH_RESEND_SHARE", "0.5")
    assert cli.program(["run", "x.csv", "--client-id", "a", "--share", "7", "--yes"]) == 2
    assert without_times(capsys.readouterr().err) == (
        "Error: --share 7 is not a valid share. Use a number above 0, up to 1.\n"
    )


def test_what_config_show_does_not_know_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.program(["config", "show", "--colour", "red"]) == 2
    err = capsys.readouterr().err
    assert "--colour" in err
    assert "config show --help" in err
