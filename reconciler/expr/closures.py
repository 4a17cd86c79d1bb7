"""The functions that are given a closure: it is evaluated once for each item. Owns these and how `#` is bound in them.

expr-lang: docs/language-definition.md, "Predicate".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from reconciler.expr.errors import Fault
from reconciler.expr.nodes import Call
from reconciler.expr.operators import infix, truth
from reconciler.expr.values import Meter, describe, is_number

if TYPE_CHECKING:
    from reconciler.expr.evaluation import Evaluation, Scope

# The closure as a function of an item, its number, and what was gathered so far.
_Each = Callable[..., Any]
_Rest = list[Any]


def call(evaluation: Evaluation, node: Call, scope: Scope) -> Any:
    """The value of one call. Raises Fault for wrong arguments."""
    check_count(node.name, len(node.arguments))
    body = CLOSURES[node.name][2]
    items = evaluation.value(node.arguments[0], scope)
    if not isinstance(items, list):
        raise Fault(f"{node.name} goes over an array, not over {describe(items)}", "give it an array; JSON text needs fromJSON()")
    inner = type(scope)
    closure = node.arguments[1] if len(node.arguments) > 1 else None

    def each(item: Any, index: int, acc: Any = None) -> Any:
        return item if closure is None else evaluation.value(closure, inner(scope.names, item, index, acc))

    rest = [evaluation.value(argument, scope) for argument in node.arguments[2:]]
    return body(items, each, rest, evaluation.meter)


def check_count(name: str, count: int) -> None:
    """Raises Fault if the function takes another number of arguments."""
    least, most = CLOSURES[name][:2]
    if not least <= count <= most:
        wanted = str(least) if least == most else f"{least} to {most}"
        raise Fault(f"{name} takes {wanted} arguments, not {count}", "give it an array and a closure")


def _holding(items: list[Any], each: _Each, name: str) -> Any:
    return (index for index, item in enumerate(items) if truth(each(item, index), name))


def _all(items: list[Any], each: _Each, _rest: _Rest, _meter: Any) -> bool:
    return all(truth(each(item, index), "all") for index, item in enumerate(items))


def _any(items: list[Any], each: _Each, _rest: _Rest, _meter: Any) -> bool:
    return any(True for _ in _holding(items, each, "any"))


def _one(items: list[Any], each: _Each, _rest: _Rest, _meter: Any) -> bool:
    return sum(1 for _ in _holding(items, each, "one")) == 1


def _none(items: list[Any], each: _Each, _rest: _Rest, _meter: Any) -> bool:
    return not any(True for _ in _holding(items, each, "none"))


def _map(items: list[Any], each: _Each, _rest: _Rest, _meter: Any) -> list[Any]:
    return [each(item, index) for index, item in enumerate(items)]


def _filter(items: list[Any], each: _Each, _rest: _Rest, _meter: Any) -> list[Any]:
    return [items[index] for index in _holding(items, each, "filter")]


def _find(items: list[Any], each: _Each, _rest: _Rest, _meter: Any) -> Any:
    return next((items[index] for index in _holding(items, each, "find")), None)


def _find_index(items: list[Any], each: _Each, _rest: _Rest, _meter: Any) -> Any:
    return next(_holding(items, each, "findIndex"), -1)


def _find_last_index(items: list[Any], each: _Each, _rest: _Rest, _meter: Any) -> Any:
    backwards = range(len(items) - 1, -1, -1)
    return next((index for index in backwards if truth(each(items[index], index), "findLastIndex")), -1)


def _find_last(items: list[Any], each: _Each, rest: _Rest, meter: Any) -> Any:
    index = _find_last_index(items, each, rest, meter)
    return None if index < 0 else items[index]


def _count(items: list[Any], each: _Each, _rest: _Rest, _meter: Any) -> int:
    return sum(1 for _ in _holding(items, each, "count"))


def _sum(items: list[Any], each: _Each, _rest: _Rest, meter: Any) -> Any:
    total: Any = 0
    for index, item in enumerate(items):
        total = infix("+", total, each(item, index), meter)
    return total


def _group_by(items: list[Any], each: _Each, _rest: _Rest, _meter: Any) -> dict[Any, Any]:
    groups: dict[Any, list[Any]] = {}
    for index, item in enumerate(items):
        key = each(item, index)
        if not isinstance(key, str) and not is_number(key):
            raise Fault(f"groupBy names groups by strings and numbers, not by {describe(key)}", "convert it with string()")
        groups.setdefault(key, []).append(item)
    return groups


def _sort_by(items: list[Any], each: _Each, rest: _Rest, meter: Any) -> list[Any]:
    keys = [each(item, index) for index, item in enumerate(items)]
    order = sorted(range(len(items)), key=ordered(keys, meter).__getitem__, reverse=is_descending(rest))
    return [items[index] for index in order]


def _reduce(items: list[Any], each: _Each, rest: _Rest, meter: Any) -> Any:
    if not rest and not items:
        raise Fault("reduce has no items and no value to begin with", "give it a third argument")
    acc = rest[0] if rest else items[0]
    for index, item in list(enumerate(items))[0 if rest else 1 :]:
        acc = meter.weigh(each(item, index, acc))
    return acc


def ordered(values: list[Any], meter: Meter) -> list[Any]:
    """`values`, which must be all numbers, all strings, or all of one other kind that has an order. Raises Fault."""
    meter.spend(sum(1 + len(value) // 64 if isinstance(value, str) else 1 for value in values))
    if all(is_number(value) for value in values):
        return values
    kinds = {type(value) for value in values}
    if len(kinds) > 1 or not kinds <= {str, bool, datetime, timedelta}:
        raise Fault("values of different types have no order", "sort by something that is a number or a string")
    return values


def is_descending(rest: list[Any]) -> bool:
    """Whether the optional order is "desc". Raises Fault for anything else than asc and desc."""
    if rest and rest[0] not in ("asc", "desc"):
        raise Fault(f"an order is asc or desc, not {describe(rest[0])}", 'write "asc" or "desc"')
    return rest == ["desc"]


_Body = Callable[[list[Any], _Each, _Rest, Any], Any]

# (least arguments, most arguments, body, sentence for the reference)
CLOSURES: Mapping[str, tuple[int, int, _Body, str]] = {
    "all": (2, 2, _all, "whether the closure holds for every item"),
    "any": (2, 2, _any, "whether it holds for one item or more"),
    "count": (1, 2, _count, "for how many items it holds; without a closure, how many are true"),
    "filter": (2, 2, _filter, "the items for which it holds"),
    "find": (2, 2, _find, "the first item for which it holds, or nil"),
    "findIndex": (2, 2, _find_index, "the number of the first item for which it holds, or -1"),
    "findLast": (2, 2, _find_last, "the last item for which it holds, or nil"),
    "findLastIndex": (2, 2, _find_last_index, "the number of the last item for which it holds, or -1"),
    "groupBy": (2, 2, _group_by, "a map from the closure's value to the items that gave it"),
    "map": (2, 2, _map, "the closure's values"),
    "none": (2, 2, _none, "whether it holds for no item"),
    "one": (2, 2, _one, "whether it holds for exactly one item"),
    "reduce": (2, 3, _reduce, "what is left when the closure has taken `#acc` and `#` for every item; the third argument begins"),
    "sortBy": (2, 3, _sort_by, 'the items ordered by the closure\'s values; the third argument is "asc" or "desc"'),
    "sum": (1, 2, _sum, "the sum of the closure's values, or of the items"),
}
