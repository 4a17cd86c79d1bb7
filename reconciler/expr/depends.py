"""The `depends` field of a DAG's task: which other tasks must have ended, and how.

Owns its grammar: `&&`, `||`, `!`, parentheses, and names with an optional suffix. What a suffix means for a task is the caller's.
Argo: docs/enhanced-depends-logic.md. A name may hold hyphens and may be a function's name elsewhere; it is always a task.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from reconciler.expr.errors import ExpressionError, refuse
from reconciler.expr.grammar import MAX_DEPTH, MAX_KEPT, make_parser

SUFFIXES = ("Succeeded", "Failed", "Errored", "Skipped", "Omitted", "Daemoned", "AnySucceeded", "AllFailed")

GRAMMAR = r"""
start: either
?either: both ("||" both)*
?both: operand ("&&" operand)*
?operand: NOT operand -> negation | "(" either ")" | REFERENCE -> reference
NOT: "!"
REFERENCE: /[\w.\-]+/
%ignore /\s+/
"""

_WORDS = {"and": "&&", "or": "||", "not": "!"}

Lookup = Callable[[str, str], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A task and how it must have ended; an empty suffix for the bare name."""

    task: str
    suffix: str
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Logic:
    """`operator` is `&&`, `||` or `!` over its parts."""

    operator: str
    parts: tuple[Reference | Logic, ...]
    depth: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Depends:
    """A read `depends`: `tasks` in order of appearance, each once."""

    tasks: tuple[str, ...]
    logic: Reference | Logic

    def holds(self, lookup: Lookup) -> bool:
        """Whether it is fulfilled; `lookup(task, suffix)` is asked from the left, and only as far as needed."""
        return _holds(self.logic, lookup)


class _Refused(Exception):
    """What the builder refuses: offset, why, what to do."""


def parse_depends(text: str) -> Depends:
    """The text as a value. Raises ExpressionError with the column."""
    return _kept(text) if len(text) <= MAX_KEPT else _read(text)


def _read(text: str) -> Depends:
    if not text.strip():
        raise refuse(text, 0, "it names no task", "remove depends, or name one")
    try:
        logic: Reference | Logic = _parser()(text)
        tasks = tuple(dict.fromkeys(_tasks(logic)))
    except _Refused as error:
        offset, why, advice = error.args
        raise refuse(text, offset, why, advice) from None
    except ExpressionError as error:
        word = text[error.column - 1 :].partition(" ")[0]
        if word not in _WORDS:
            raise
        raise refuse(text, error.column - 1, f'unexpected "{word}"', f"write {_WORDS[word]}") from None
    return Depends(tasks=tasks, logic=logic)


_kept = functools.lru_cache(maxsize=1024)(_read)


@functools.cache
def _parser() -> Callable[[str], Any]:
    return make_parser(GRAMMAR, _Builder())


class _Builder:
    """One method per rule."""

    def start(self, children: list[Any]) -> Any:
        return children[0]

    def either(self, children: list[Any]) -> Logic:
        return _logic("||", children)

    def both(self, children: list[Any]) -> Logic:
        return _logic("&&", children)

    def negation(self, children: list[Any]) -> Logic:
        return _logic("!", children[1:])

    def reference(self, children: list[Any]) -> Reference:
        (token,) = children
        task, dot, suffix = token.partition(".")
        at = token.start_pos
        if not task or not (task[0].isascii() and (task[0].isalpha() or task[0] == "_")) or not task.isascii():
            raise _Refused(at, f'"{token[:60]}" is no name of a task', "begin the task's name with a letter")
        if dot and suffix not in SUFFIXES:
            raise _Refused(at + len(task) + 1, f'unknown suffix "{suffix[:60]}"', _suffix_advice(suffix))
        return Reference(task=str(task), suffix=suffix, at=at)


def _logic(operator: str, parts: list[Any]) -> Logic:
    depth = 1 + max(part.depth if isinstance(part, Logic) else 0 for part in parts)
    if depth > MAX_DEPTH:
        raise _Refused(0, f"more than {MAX_DEPTH} parts stand inside each other", "simplify it")
    return Logic(operator=operator, parts=tuple(parts), depth=depth)


def _suffix_advice(suffix: str) -> str:
    import difflib

    close = difflib.get_close_matches(suffix[:40].capitalize(), SUFFIXES, 1, 0.5)
    return f"did you mean {close[0]}?" if close else f"there are {', '.join(SUFFIXES)}"


def _tasks(logic: Reference | Logic) -> list[str]:
    if isinstance(logic, Reference):
        return [logic.task]
    return [task for part in logic.parts for task in _tasks(part)]


def _holds(logic: Reference | Logic, lookup: Lookup) -> bool:
    if isinstance(logic, Reference):
        return lookup(logic.task, logic.suffix)
    if logic.operator == "!":
        return not _holds(logic.parts[0], lookup)
    combine = all if logic.operator == "&&" else any
    return combine(_holds(part, lookup) for part in logic.parts)
