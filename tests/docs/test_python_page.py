"""The snippets of the page for Python run, each in what it is written for."""

import ast
import dataclasses
import os
import re
import subprocess
import sys
import typing
from pathlib import Path
from typing import Any

import anyio
import pytest

import batch_resend
from batch_resend.conversion import Converted
from tests.support.markdown import PAGES, ROOT, block, code, table

PAGE = "batch_resend/run/README.md"
REAL = 'client_id="1example23456789"'


def snippet(name: str) -> str:
    """A snippet as it stands, but simulated."""
    text = "\n".join(block(name, PAGES[PAGE]))
    assert text.count(REAL) == 1
    return text.replace(REAL, "simulate=True")


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def test_page_names_what_is_public() -> None:
    named = {
        re.search(r"\w+(?=\()", row[0])[0]  # type: ignore[index]
        for row in table("function", PAGES[PAGE])
    }
    assert named == {"run", "arun", "open_run", "to_frame"} & set(batch_resend.__all__)
    for event in typing.get_args(batch_resend.Event):
        assert f"`{event.__name__}`" in PAGES[PAGE]


def test_page_names_settings_that_exist() -> None:
    fields = dataclasses.fields(batch_resend.Settings)
    named = {name for row in table("setting", PAGES[PAGE]) for name in code(row[0])}
    assert named <= {field.name for field in fields}
    assert {field.name for field in fields if isinstance(default_of(field), Converted)} <= named


def default_of(field: dataclasses.Field[Any]) -> object:
    return vars(batch_resend.Settings)[field.name]


SITE = """
import sys
import django
from django.conf import settings

settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "codes"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "site.sqlite3"}},
    USE_TZ=True,
)
django.setup()
from django.core.management import call_command, execute_from_command_line

call_command("migrate", verbosity=0)
from django.contrib.auth.models import User

for n, name in enumerate(("ada", "bob+missing", "cid")):
    User.objects.create(username=name, email=f"{name}@x", is_active=n == 2)
execute_from_command_line(["manage.py", "resend_codes", *sys.argv[1:]])
"""


@pytest.mark.parametrize(
    ("arguments", "ended", "out"),
    [([], 1, "1 sent\n1 failed\n"), (["--dry-run"], 0, "2 planned\n")],
    ids=["run", "dry-run"],
)
def test_django_command_runs_over_a_queryset(
    tmp_path: Path, arguments: list[str], ended: int, out: str
) -> None:
    commands = tmp_path / "codes" / "management" / "commands"
    commands.mkdir(parents=True)
    for folder in (commands, commands.parent, commands.parent.parent):
        (folder / "__init__.py").touch()
    (commands / "resend_codes.py").write_text(snippet("django"))
    done = subprocess.run(
        [sys.executable, "-c", SITE, *arguments],
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{tmp_path}"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (ended, out), done.stderr


def test_celery_task_runs_in_a_worker() -> None:
    script = snippet("celery") + (
        "\nfrom celery.contrib.testing.worker import start_worker\n"
        "with start_worker(app, perform_ping_check=False):\n"
        "    print(resend_codes.delay(['ada', 'bob+missing']).get(timeout=600)['counts'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    counts = ast.literal_eval(done.stdout.strip())
    assert (counts["sent"], counts["failed"]) == (1, 1)


def test_prefect_task_runs() -> None:
    pytest.importorskip("prefect", reason="Prefect is too large for the test tools")
    names: dict[str, Any] = {}
    exec(compile(snippet("prefect"), "snippet", "exec"), names)
    assert names["resend_codes"].retries == names["clean_up"].retries == 0
    assert names["resend_codes"].fn(["ada"])["counts"]["sent"] == 1


def test_notebook_cell_shows_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    tree = ast.parse(snippet("notebook"))
    last = tree.body.pop()
    assert isinstance(last, ast.Expr), "a cell shows what its last line is"
    names: dict[str, Any] = {}
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT

    async def cell() -> Any:
        await eval(compile(tree, "cell", "exec", flags), names)
        return eval(compile(ast.Expression(last.value), "cell", "eval", flags), names)

    assert anyio.run(cell).to_dict() == {("sent", "accepted"): 2}
    assert capsys.readouterr().out == "2 users will be sent a code\n"
