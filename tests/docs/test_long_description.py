"""The long description on a package index: the README, without links that lead nowhere there."""

from __future__ import annotations

import re
import tomllib

from tests.support.markdown import README, ROOT

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
HOOK = PYPROJECT["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]


def long_description() -> str:
    """Return what the build makes of the README; `.ci/contents.py` checks the result."""
    text = README
    for rule in HOOK["substitutions"]:
        text = re.sub(rule["pattern"], rule["replacement"], text)
    return text


def test_no_link_leads_to_a_file() -> None:
    assert re.findall(r"\]\((?!https?:|#)", README), "the README has such links"
    assert re.findall(r"\]\((?!https?:|#)[^)]*\)", long_description()) == []


def test_words_of_a_link_stay_and_pictures_go() -> None:
    text = long_description()
    assert "| Apache 2.0" not in text
    assert "Apache 2.0." in text
    assert "terminal.svg" not in text
    assert "report.png" not in text
    assert "| a careful clean-up |" in text


def test_commands_of_the_readme_stay_as_they_are() -> None:
    blocks = re.compile(r"```.*?```", re.DOTALL)
    assert blocks.findall(long_description()) == blocks.findall(README)


def test_no_address_of_the_project_is_invented() -> None:
    """None is known before the first release."""
    assert "urls" not in PYPROJECT["project"]
