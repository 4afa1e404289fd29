"""What CONTRIBUTING says of the size of files, classes and functions, and of names of tests."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = sorted((ROOT / "batch_resend").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))

LINES_OF_A_FILE = 400
LINES_OF_A_TEST_FILE = 500
LINES_OF_A_CLASS = 300
LINES_OF_A_FUNCTION = 50
PARAMETERS = 12
LETTERS_OF_A_TEST = 60


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def nodes(path: Path) -> Iterator[ast.AST]:
    yield from ast.walk(ast.parse(path.read_text(encoding="utf-8")))


def too_large(path: Path) -> Iterator[str]:
    """Yield what is too large in a file of the package."""
    for node in nodes(path):
        if isinstance(node, ast.ClassDef):
            most = LINES_OF_A_CLASS
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            most = LINES_OF_A_FUNCTION
            arguments = node.args
            count = len(arguments.posonlyargs) + len(arguments.args) + len(arguments.kwonlyargs)
            if count > PARAMETERS:
                yield f"{relative(path)}: {node.name} has {count} parameters"
        else:
            continue
        size = (node.end_lineno or node.lineno) - node.lineno + 1
        if size > most:
            yield f"{relative(path)}: {node.name} has {size} lines"


def test_no_file_is_too_long() -> None:
    long = {relative(path): lines(path) for path in PACKAGE if lines(path) > LINES_OF_A_FILE}
    long |= {relative(path): lines(path) for path in TESTS if lines(path) > LINES_OF_A_TEST_FILE}
    assert long == {}
    assert median(map(lines, PACKAGE)) < 150


def test_no_class_or_function_is_too_large() -> None:
    assert [one for path in PACKAGE for one in too_large(path)] == []


def test_no_name_of_a_test_is_too_long() -> None:
    names = [
        f"{relative(path)}: {node.name}"
        for path in TESTS
        for node in nodes(path)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and len(node.name) > LETTERS_OF_A_TEST
    ]
    assert names == []


def test_no_test_module_imports_another() -> None:
    imports = [
        f"{relative(path)}: {node.module}"
        for path in TESTS
        for node in nodes(path)
        if isinstance(node, ast.ImportFrom)
        and node.module
        and node.module.startswith("tests.")
        and node.module.rsplit(".", 1)[1].startswith("test_")
    ]
    assert imports == []


@pytest.mark.parametrize(
    ("source", "faults"),
    [
        ("def small() -> None: ...", 0),
        ("def large():\n" + "    pass\n" * LINES_OF_A_FUNCTION, 1),
        ("class Large:\n" + "    a = 1\n" * LINES_OF_A_CLASS, 1),
        (f"def many({', '.join(f'a{i}' for i in range(13))}): ...", 1),
    ],
)
def test_what_is_too_large_is_found(
    source: str, faults: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    (path := tmp_path / "a.py").write_text(source)
    assert len(list(too_large(path))) == faults
