"""expr-lang, the language of `{{=...}}` tags and `expression` fields: read, checked and evaluated.

Owns the entrance to it and the text that Argo makes of a result. It reads no clock, no environment and no file: what an
expression may see is in `env`, and what it may cost is bounded.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

from reconciler.expr.calls import check_calls
from reconciler.expr.errors import AbsentValue, ExpressionError, Fault, UnknownVariable, refuse
from reconciler.expr.evaluation import CLOCK, Evaluation, Scope
from reconciler.expr.grammar import MAX_KEPT
from reconciler.expr.nodes import Chain, Let, Literal, Member, Method, Name, Node, children_of
from reconciler.expr.syntax import parse
from reconciler.expr.values import ABSENT, Meter, to_json

__all__ = ["ABSENT", "CLOCK", "AbsentValue", "ExpressionError", "UnknownVariable", "check", "evaluate", "names", "to_text"]


_NO_SCOPE = Scope({})


def evaluate(source: str, env: Mapping[str, Any]) -> Any:
    """The expression's value; `env` holds its variables and is asked only for those that it names.

    A missing key of a map is nil. `now()` is the instant under `__now__`. Raises AbsentValue if it uses a variable that is
    ABSENT outside of `??`, UnknownVariable for a name that is nowhere, ExpressionError for everything else.
    """
    node = parse(source)
    try:
        return Evaluation(source, env).value(node, _NO_SCOPE)
    except RecursionError:
        raise refuse(source, 0, "values stand too deeply inside each other", "flatten them") from None


def check(source: str) -> None:
    """Raises ExpressionError, with the column, if the expression cannot be read, or calls a function that does not exist or
    takes another number of arguments. Which variables there are is not asked: see `names`.
    """
    check_calls(source, parse(source))


def names(source: str) -> tuple[tuple[str, ...], ...]:
    """The paths from free variables that the expression refers to, sorted, each once: `("steps", "a-b", "status")`.

    Indexing with a constant string counts as a member. A path ends where its next key is computed. Raises ExpressionError.
    """
    return _kept_names(source) if len(source) <= MAX_KEPT else _names(source)


def _names(source: str) -> tuple[tuple[str, ...], ...]:
    return tuple(sorted(set(_paths(parse(source), frozenset()))))


_kept_names = functools.lru_cache(maxsize=1024)(_names)


def to_text(value: Any) -> str:
    """What `{{=...}}` leaves in a text: strings as they are, everything else as compact JSON. Raises ExpressionError.

    Argo: util/template. Its JSON has sorted keys, and whole floats have no decimal point.
    """
    if isinstance(value, str):
        return value
    try:
        return to_json(value, Meter())
    except Fault as fault:
        raise ExpressionError(f"a result cannot be written: {fault.why}; {fault.advice}") from None
    except RecursionError:
        raise ExpressionError("a result cannot be written: values stand too deeply inside each other; flatten them") from None


def _paths(node: Node, own: frozenset[str]) -> Iterator[tuple[str, ...]]:
    path = _path(node)
    if path:
        if path[0] not in own and path[0] != "$env":
            yield path
        elif path[0] == "$env" and len(path) > 1:
            yield path[1:]
        return
    if isinstance(node, Let):
        yield from _paths(node.value, own)
        yield from _paths(node.body, own | {node.name})
        return
    skipped = node.base if isinstance(node, Method) and _path(node.base) == ("sprig",) else None
    for child in children_of(node):
        if child is not skipped:
            yield from _paths(child, own)


def _path(node: Node) -> tuple[str, ...]:
    match node:
        case Name(name=name):
            return (name,)
        case Chain(inner=inner):
            return _path(inner)
        case Member(base=base, key=Literal(value=str(key))):
            before = _path(base)
            return (*before, key) if before else ()
    return ()

