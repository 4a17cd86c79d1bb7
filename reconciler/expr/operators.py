"""What operators do with values, and how members are reached. Owns no reading and no scope.

expr-lang: docs/language-definition.md. Integers have 64 bits, `/` and `**` give floats, `%` takes the sign of its left side.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from reconciler.expr.errors import Fault
from reconciler.expr.patterns import search
from reconciler.expr.values import MAX_ITEMS, Meter, describe, equal, is_number, type_name


def infix(operator: str, left: Any, right: Any, meter: Meter) -> Any:
    """The value of `left operator right`, for every operator that wants both sides. Raises Fault."""
    if operator == "==":
        return equal(left, right, meter)
    if operator == "!=":
        return not equal(left, right, meter)
    return meter.weigh(_OPERATORS[operator](left, right, meter))


def prefix(operator: str, value: Any) -> Any:
    """The value of `!value`, `-value`, `+value`."""
    if operator == "!":
        return not truth(value, "!")
    if isinstance(value, timedelta):
        return -value if operator == "-" else value
    if not is_number(value):
        raise Fault(f"{operator} takes a number, not {describe(value)}", "convert it with int() or float()")
    return -value if operator == "-" else value


def truth(value: Any, where: str) -> bool:
    """`value`, which must be a bool."""
    if not isinstance(value, bool):
        raise Fault(f"{where} takes true or false, not {describe(value)}", "compare it, for example with == or !=")
    return value


def member(base: Any, key: Any) -> Any:
    """The value under a key, nil if the map has none; an item by its number, from the end if negative."""
    if base is None:
        shown = key if isinstance(key, str) else describe(key)
        raise Fault(f'nil has no member "{shown}"', "write ?. before it, or ?? and a default after it")
    if isinstance(base, Mapping):
        return base.get(key) if isinstance(key, str | int) else None
    if isinstance(base, list):
        if not isinstance(key, int) or isinstance(key, bool):
            raise Fault(f"an item of an array is named by a number, not by {describe(key)}", "write for example [0]")
        if not -len(base) <= key < len(base):
            raise Fault(f"the array has {len(base)} items, none of them is number {key}", "use get(array, index) for nil instead")
        return base[key]
    if isinstance(base, str):
        raise Fault(f"{describe(base)} has no members", "read JSON text with fromJSON(), a part of text with [0:1]")
    raise Fault(f"{describe(base)} has no members", "refer to the map or the array that holds it")


def part(base: Any, start: Any, end: Any) -> Any:
    """`base[start:end]` of an array or a text; beyond the ends is the end."""
    if not isinstance(base, list | str):
        raise Fault(f"only arrays and strings have slices, not {describe(base)}", "remove the slice")
    size = len(base)
    first, last = (_bound(value, size, default) for value, default in ((start, 0), (end, size)))
    return base[min(first, last) : last]


def _bound(value: Any, size: int, default: int) -> int:
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool):
        raise Fault(f"a slice is bounded by whole numbers, not by {describe(value)}", "convert it with int()")
    return max(0, min(size, value + size if value < 0 else value))


def _add(left: Any, right: Any, _meter: Meter) -> Any:
    if isinstance(left, str) and isinstance(right, str):
        return left + right
    if is_number(left) and is_number(right):
        return left + right
    if isinstance(left, datetime) and isinstance(right, timedelta):
        return _time(lambda: left + right)
    if isinstance(left, timedelta) and isinstance(right, datetime | timedelta):
        return _time(lambda: left + right)
    raise _mismatch("+", left, right)


def _subtract(left: Any, right: Any, _meter: Meter) -> Any:
    if is_number(left) and is_number(right):
        return left - right
    if isinstance(left, datetime) and isinstance(right, datetime | timedelta):
        return _time(lambda: left - right)
    if isinstance(left, timedelta) and isinstance(right, timedelta):
        return _time(lambda: left - right)
    raise _mismatch("-", left, right)


def _multiply(left: Any, right: Any, _meter: Meter) -> Any:
    if isinstance(left, timedelta) and is_number(right):
        return _time(lambda: left * right)
    if is_number(left) and isinstance(right, timedelta):
        return _time(lambda: left * right)
    return _numbers("*", left, right) and left * right


def _divide(left: Any, right: Any, _meter: Meter) -> Any:
    if isinstance(left, timedelta) and is_number(right) and right:
        return _time(lambda: left / right)
    _numbers("/", left, right)
    if right == 0:
        raise Fault("a division by zero", "check the divisor first")
    return float(left) / float(right)


def _modulo(left: Any, right: Any, _meter: Meter) -> Any:
    if not all(isinstance(value, int) and not isinstance(value, bool) for value in (left, right)):
        raise _mismatch("%", left, right)
    if right == 0:
        raise Fault("a division by zero", "check the divisor first")
    return int(math.copysign(1, left)) * (abs(left) % abs(right))


def _power(left: Any, right: Any, _meter: Meter) -> Any:
    _numbers("**", left, right)
    try:
        return math.pow(left, right)
    except (ValueError, OverflowError):
        raise Fault(f"{left} ** {right} is no number", "check both sides") from None


def _range(left: Any, right: Any, _meter: Meter) -> Any:
    if not all(isinstance(value, int) and not isinstance(value, bool) for value in (left, right)):
        raise _mismatch("..", left, right)
    if right - left > MAX_ITEMS:
        raise Fault(f"a range would have more than {MAX_ITEMS} items", "let a step compute it")
    return list(range(left, right + 1))


def _in(left: Any, right: Any, meter: Meter) -> bool:
    if right is None:
        return False
    if isinstance(right, Mapping):
        return isinstance(left, str | int) and left in right
    if isinstance(right, list):
        return any(equal(left, item, meter) for item in right)
    raise Fault(f"in looks into an array or a map, not into {describe(right)}", "use contains for text")


def _textual(name: str, holds: Callable[[str, str], bool]) -> Callable[[Any, Any, Meter], bool]:
    def operator(left: Any, right: Any, meter: Meter) -> bool:
        if left is None or right is None:
            return False
        if not isinstance(left, str) or not isinstance(right, str):
            raise _mismatch(name, left, right)
        meter.spend((len(left) + len(right)) // 256)
        return holds(left, right)

    return operator


def _matches(left: Any, right: Any, meter: Meter) -> bool:
    if left is None or right is None:
        return False
    if not isinstance(left, str) or not isinstance(right, str):
        raise _mismatch("matches", left, right)
    return search(right, left, meter) is not None


def _ordering(name: str, holds: Callable[[Any, Any], bool]) -> Callable[[Any, Any, Meter], bool]:
    def operator(left: Any, right: Any, _meter: Meter) -> bool:
        alike = type(left) is type(right) and isinstance(left, str | datetime | timedelta)
        if not alike and not (is_number(left) and is_number(right)):
            raise _mismatch(name, left, right)
        return holds(left, right)

    return operator


def _time(compute: Callable[[], Any]) -> Any:
    try:
        return compute()
    except OverflowError:
        raise Fault("an instant beyond the calendar", "check the duration") from None


def _numbers(operator: str, left: Any, right: Any) -> bool:
    if not (is_number(left) and is_number(right)):
        raise _mismatch(operator, left, right)
    return True


def _mismatch(operator: str, left: Any, right: Any) -> Fault:
    shown = f"{operator} cannot take {describe(left)} and {describe(right)}"
    if {type_name(left), type_name(right)} & {"string"} and operator not in ("matches", "contains", "startsWith", "endsWith"):
        return Fault(shown, "convert one with int(), float() or string()")
    return Fault(shown, "check both sides")


_OPERATORS: Mapping[str, Callable[[Any, Any, Meter], Any]] = {
    "+": _add,
    "-": _subtract,
    "*": _multiply,
    "/": _divide,
    "%": _modulo,
    "**": _power,
    "..": _range,
    "in": _in,
    "matches": _matches,
    "contains": _textual("contains", lambda left, right: right in left),
    "startsWith": _textual("startsWith", lambda left, right: left.startswith(right)),
    "endsWith": _textual("endsWith", lambda left, right: left.endswith(right)),
    "<": _ordering("<", lambda left, right: left < right),
    "<=": _ordering("<=", lambda left, right: left <= right),
    ">": _ordering(">", lambda left, right: left > right),
    ">=": _ordering(">=", lambda left, right: left >= right),
}
