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


GIT_ROOM = ROOT / "reconciler/source/plumbing.py"


def calls_of_git(path: Path) -> list[str]:
    """Where a module imports GitPython, or begins a command's words with git."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        words = node.elts[:1] if isinstance(node, ast.List | ast.Tuple) else node.args[:1] if isinstance(node, ast.Call) else []
        texts = [word.value for word in words if isinstance(word, ast.Constant) and isinstance(word.value, str)]
        is_program = any(Path((text.split() or [""])[0]).name in ("git", "git-receive-pack", "git-upload-pack") for text in texts)
        spawns = isinstance(node, ast.List) or (
            isinstance(node, ast.Call) and ast.unparse(node.func).startswith(("os.", "subprocess."))
        )
        if any(name.partition(".")[0] == "git" for name in names) or (is_program and spawns):
            found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    return found


def test_git_is_called_in_one_room():
    assert [place for path in SOURCES if path != GIT_ROOM for place in calls_of_git(path)] == []
    assert len(calls_of_git(GIT_ROOM)) >= 3
    starts = [n for n in ast.walk(ast.parse(GIT_ROOM.read_text())) if isinstance(n, ast.Call) and "Popen" in ast.unparse(n.func)]
    assert len(starts) == 1
