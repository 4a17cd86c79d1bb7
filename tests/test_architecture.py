"""The house rules that a machine can hold: sizes of functions and files. Import direction is `lint-imports`."""

import ast
import statistics
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted([*ROOT.glob("reconciler/**/*.py"), *ROOT.glob("tui/**/*.py")])


def function_lengths(path: Path) -> list[tuple[int, str]]:
    tree = ast.parse(path.read_text())
    found = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [((n.end_lineno or n.lineno) - n.lineno + 1, f"{path.relative_to(ROOT)}:{n.lineno} {n.name}") for n in found]


def test_no_function_is_longer_than_sixty_lines():
    too_long = [f"{where}: {length}" for path in SOURCES for length, where in function_lengths(path) if length > 60]
    assert too_long == []


def test_nine_functions_of_ten_are_shorter_than_thirty_lines():
    lengths = [length for path in SOURCES for length, _ in function_lengths(path)]
    assert statistics.quantiles(lengths, n=10)[8] <= 30


def test_no_file_is_longer_than_four_hundred_lines():
    too_long = [f"{path.relative_to(ROOT)}: {lines}" for path in SOURCES if (lines := len(path.read_text().splitlines())) > 400]
    assert too_long == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_module_says_what_it_owns(path):
    assert ast.get_docstring(ast.parse(path.read_text()))


def test_no_marks_of_unfinished_work_are_left():
    marks = ("TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK")
    texts = {path: path.read_text() for path in [*SOURCES, *ROOT.glob("docs/**/*.md"), ROOT / "README.md"]}
    assert [str(path) for path, text in texts.items() if any(mark in text for mark in marks)] == []
