# ruff: noqa: INP001  # a module beside the pages that it writes
"""The page of lock cases: the table in lock_cases.toml, and beside each case the tests that are marked with its number."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

DOCS = Path(__file__).parent
TESTS = DOCS.parent / "tests"
_HEAD = """# Lock edge cases

What happens to locks, queues and crons where engines like this one get it wrong, and the test that shows what Lineclear does.
The last column but one says how upstream Argo differs, and is empty where it does the same. Reasons for the differences are
in [where it differs from Argo](../explanation/deviations.md). This page is made by `make docs` from the table of cases and
from the marks of the tests; a case without a test, or a mark without a case, fails the tests.
"""


def cases() -> list[tuple[str, list[tuple[str, str, str, str]]]]:
    """By part: its title, and its cases as (number, case, what Lineclear does, how Argo differs)."""
    table = tomllib.loads((DOCS / "lock_cases.toml").read_text(encoding="utf-8"))
    return [(part["title"], [(row[0], row[1], row[2], row[3]) for row in part["cases"]]) for part in table["part"]]


def marked_tests() -> dict[str, list[tuple[str, str]]]:
    """By case, the tests that are marked with it: (path below tests/, name), in the order of the paths and of the file."""
    found: dict[str, list[tuple[str, str]]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        text = path.read_text(encoding="utf-8")
        if "mark.edge(" in text:
            for name, case in _marks(ast.parse(text)):
                found.setdefault(case, []).append((path.relative_to(TESTS).as_posix(), name))
    return found


def _marks(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for function in tree.body:
        if isinstance(function, ast.FunctionDef):
            for mark in function.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.edge":
                    yield from ((function.name, ast.literal_eval(value)) for value in mark.args)


def edge_cases_page() -> str:
    """The page as text."""
    tests = marked_tests()
    parts = [_HEAD]
    for title, rows in cases():
        parts.append(f"## {title}\n\n| case | what happens | Lineclear | upstream Argo | tests |\n|---|---|---|---|---|\n")
        for number, case, does, argo in rows:
            links = "<br>".join(f"[`{name}`](../../tests/{path})" for path, name in tests.get(number, ()))
            parts[-1] += f"| {number} | {case} | {does} | {argo} | {links} |\n"
    return "\n".join(parts)
