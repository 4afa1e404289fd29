"""What is imported is declared, and what is declared is imported."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

#: Found by name and not imported: `importlib.util.find_spec`.
OPTIONAL_LOOP = {"uvloop"}


def plain(name: str) -> str:
    """A distribution's name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(requirements: list[str]) -> set[str]:
    return {plain(re.split(r"[^\w.-]", one, maxsplit=1)[0]) for one in requirements}


def is_for_types_only(node: ast.If) -> bool:
    return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imported(node: ast.AST) -> set[str]:
    """The top-level modules that a tree imports when it runs."""
    if isinstance(node, ast.If) and is_for_types_only(node):
        return set()
    packages = set().union(*map(imported, ast.iter_child_nodes(node)))
    if isinstance(node, ast.Import):
        packages |= {name.name.partition(".")[0] for name in node.names}
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        packages.add(node.module.partition(".")[0])
    return packages


def test_imports_and_declarations_agree() -> None:
    trees = [ast.parse(path.read_text("utf-8")) for path in (ROOT / "batch_resend").rglob("*.py")]
    modules = set().union(*map(imported, trees)) - sys.stdlib_module_names - {"batch_resend"}
    of_modules = packages_distributions()
    distributions = {plain(of_modules[module][0]) for module in modules}
    optional = declared(PROJECT["optional-dependencies"]["excel"])
    assert distributions == (declared(PROJECT["dependencies"]) | optional) - OPTIONAL_LOOP


def test_no_dependency_has_an_upper_bound() -> None:
    """None is known to break; `.ci/newest-sdk` and the weekly workflow would show it."""
    for requirement in PROJECT["dependencies"]:
        assert "<" not in requirement.partition(";")[0]


def test_versions_with_advisories_are_excluded() -> None:
    lowest = dict(
        re.findall(r"^([\w-]+)>=([\d.]+)", "\n".join(PROJECT["dependencies"]), re.MULTILINE)
    )
    assert tuple(map(int, lowest["aiohttp"].split("."))) >= (3, 14, 3)
    assert tuple(map(int, lowest["jinja2"].split("."))) >= (3, 1, 6)
