"""The `when` field after its tags were replaced: govaluate's language, as Argo uses it.

Owns its grammar and its evaluation. Bare words are strings, numbers are floats, a quoted text that reads as a date is its second
since 1970. Operators of one row bind from the left, `**` and `?:` too. Argo: docs/conditionals.md.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from reconciler.expr.errors import ExpressionError, Fault, refuse
from reconciler.expr.grammar import MAX_DEPTH, MAX_KEPT, make_parser
from reconciler.expr.values import describe, go_float

GRAMMAR = r"""
start: values
?values: choice ("," choice)*
choice: either ((QUESTION | COLON | COALESCE) either)*
either: both (OR both)*
both: comparison (AND comparison)*
comparison: bits (COMPARATOR bits)*
bits: shifted (BITS shifted)*
shifted: sum (SHIFT sum)*
sum: product (SUM product)*
product: power (PRODUCT power)*
power: operand (POWER operand)*
?operand: (SUM | NOT | TILDE) operand -> prefix
    | NUMBER -> number | STRING -> string | WORD -> word | ESCAPED -> escaped | "(" [values] ")" -> paren

QUESTION: "?"
COLON: ":"
COALESCE: "??"
OR: "||"
AND: "&&"
COMPARATOR.2: /==|!=|=~|!~|>=|<=|>|<|(?:in|IN)(?![\w.])/
BITS: /\|(?!\|)|&(?!&)|\^/
SHIFT.3: /<<|>>/
SUM: /[+\-]/
PRODUCT: /\*(?!\*)|\/|%/
POWER: "**"
NOT: /!(?![=~])/
TILDE: "~"
NUMBER.2: /0x[\da-fA-F]+|(?:\d[\d.]*|\.\d[\d.]*)/
WORD: /[^\W\d_](?:[\w.]|\\.)*/
ESCAPED: /\[(?:[^\]\\]|\\.)*\]/s
STRING: /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'/s
%ignore /\s+/
"""

_MAX_TEXT = 256 << 10
_WORDS = {"true": True, "false": False}
# (depth, value of the part)
_Compute = Callable[[], Any]
_Part = tuple[int, _Compute]


class _Refused(Exception):
    """What the builder refuses: offset, why, what to do."""


def condition(text: str) -> bool:
    """Whether the step runs; an empty text is true. Raises ExpressionError with the column, and for a result that is no bool."""
    if not text.strip():
        return True
    found = _evaluate(text)
    if not isinstance(found, bool):
        shown = "nil" if found is None else describe(found)
        raise refuse(text, 0, f"it gives {shown}, not true or false", "compare it, for example with == or !=")
    return found


def check_condition(text: str) -> None:
    """Raises ExpressionError, with the column, if the text cannot be read."""
    if text.strip():
        _parse(text)


def _evaluate(text: str) -> Any:
    try:
        return _parse(text)[1]()
    except _Refused as error:
        offset, why, advice = error.args
        raise refuse(text, offset, why, advice) from None
    except RecursionError:
        raise refuse(text, 0, "too many parts stand inside each other", "simplify it") from None


def _parse(text: str) -> _Part:
    return _kept(text) if len(text) <= MAX_KEPT else _read(text)


def _read(text: str) -> _Part:
    try:
        part: _Part = _parser()(text)
    except _Refused as error:
        offset, why, advice = error.args
        raise refuse(text, offset, why, advice) from None
    except ExpressionError as error:
        raise _with_hint(text, error) from None
    return part


_kept = functools.lru_cache(maxsize=1024)(_read)


def _with_hint(text: str, error: ExpressionError) -> ExpressionError:
    """A value that stands bare where it needs quotes is the usual cause."""
    at = error.column - 1
    if at < len(text) and "quote" not in str(error) and text[at] not in "=&":
        return refuse(text, at, f'unexpected "{text[at : at + 20]}"', "put values into quotes, or remove it")
    return error


@functools.cache
def _parser() -> Callable[[str], Any]:
    return make_parser(GRAMMAR, _Builder())


class _Builder:
    """One method per rule; a part is its depth and the function that computes it."""

    def start(self, children: list[Any]) -> _Part:
        part: _Part = children[0]
        return part

    def values(self, children: list[Any]) -> _Part:
        computes = [child[1] for child in children]
        return _depth(children), lambda: [compute() for compute in computes]

    def row(self, children: list[Any]) -> _Part:
        """Operands and operators in turn, bound from the left."""
        if len(children) == 1:
            only: _Part = children[0]
            return only
        first = children[0][1]
        steps = [(token, part[1]) for token, part in zip(children[1::2], children[2::2], strict=True)]

        def compute() -> Any:
            found = first()
            for token, right in steps:
                found = _apply(token, found, right)
            return found

        return _depth(children[::2]), compute

    choice = either = both = comparison = bits = shifted = sum = product = power = row

    def prefix(self, children: list[Any]) -> _Part:
        token, (_, operand) = children
        return _depth([children[1]]), lambda: _prefixed(token, operand())

    def number(self, children: list[Any]) -> _Part:
        (token,) = children
        try:
            value = float(int(token, 0)) if token.startswith("0x") else float(token)
        except (ValueError, OverflowError):
            value = math.inf
        if math.isinf(value):
            raise _Refused(token.start_pos, f'"{token[:40]}" is no number', "put it into quotes")
        return 1, lambda: value

    def string(self, children: list[Any]) -> _Part:
        text = _plain(children[0][1:-1])
        value = _date(text)
        return 1, lambda: text if value is None else value

    def escaped(self, children: list[Any]) -> _Part:
        text = _plain(children[0][1:-1])
        return 1, lambda: text

    def word(self, children: list[Any]) -> _Part:
        (token,) = children
        text = _plain(token)
        if token in _WORDS:
            value = _WORDS[token]
            return 1, lambda: value
        if "." in token:
            raise _Refused(token.start_pos, f'"{token[:40]}" is read as a member of something', "put it into quotes")
        return 1, lambda: text

    def paren(self, children: list[Any]) -> _Part:
        if children[0] is None:
            raise _Refused(0, "a pair of parentheses holds nothing", "complete it")
        part: _Part = children[0]
        return part


def _depth(parts: list[_Part]) -> int:
    deepest = 1 + max(part[0] for part in parts)
    if deepest > MAX_DEPTH:
        raise _Refused(0, f"more than {MAX_DEPTH} parts stand inside each other", "simplify it")
    return deepest


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


def _date(text: str) -> float | None:
    """The second since 1970 of a text that govaluate takes for a date, in UTC."""
    if len(text) < 6 or not any(char.isdigit() for char in text):
        return None
    from reconciler.expr.gotime import CONDITION_LAYOUTS, parse_time

    for layout in CONDITION_LAYOUTS:
        found = parse_time(text, layout)
        if found is not None:
            return float(found.timestamp() // 1)
    return None


def _apply(token: Any, left: Any, right: _Compute) -> Any:
    """One step of a row; the right side is computed only where it counts."""
    operator = str(token)
    if operator in ("&&", "||"):
        if _truth(token, left) is (operator == "||"):
            return left
        return _truth(token, right())
    if operator == "?":
        return right() if _truth(token, left) else None
    if operator in (":", "??"):
        return right() if left is None else left
    try:
        return _OPERATORS[operator.lower()](token, left, right())
    except Fault as fault:
        raise _Refused(token.start_pos, fault.why, fault.advice) from None


def _truth(token: Any, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _Refused(token.start_pos, f"{token} takes true or false, not {describe(value)}", "compare it with == or !=")
    return value


def _prefixed(token: Any, value: Any) -> Any:
    operator = str(token)
    if operator == "!":
        return not _truth(token, value)
    if operator == "+" or not isinstance(value, float):
        raise _Refused(token.start_pos, f"{token} cannot stand before {describe(value)}", "put values into quotes")
    return -value if operator == "-" else float(~int(value))


def _equal(left: Any, right: Any) -> bool:
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_equal, left, right))
    return type(left) is type(right) and bool(left == right)


def _numeric(compute: Callable[[float, float], float]) -> Callable[[Any, Any, Any], Any]:
    def operator(token: Any, left: Any, right: Any) -> float:
        if not isinstance(left, float) or not isinstance(right, float):
            wrong = right if isinstance(left, float) else left
            advice = "put values with hyphens into quotes" if str(token).startswith("-") else "put values into quotes"
            raise Fault(f"{token} takes numbers, not {describe(wrong)}", advice)
        try:
            return compute(left, right)
        except (ArithmeticError, ValueError):
            raise Fault(f"{token} cannot take {describe(left)} and {describe(right)}", "check both sides") from None

    return operator


def _add(token: Any, left: Any, right: Any) -> Any:
    if isinstance(left, str) or isinstance(right, str):
        text = _printed(left) + _printed(right)
        if len(text) > _MAX_TEXT:
            raise Fault(f"a text would be longer than {_MAX_TEXT} characters", "compare its parts")
        return text
    return _numeric(lambda one, other: one + other)(token, left, right)


def _printed(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return go_float(value, is_json=False)
    return value if isinstance(value, str) else describe(value)


def _ordering(holds: Callable[[Any, Any], bool]) -> Callable[[Any, Any, Any], bool]:
    def operator(token: Any, left: Any, right: Any) -> bool:
        if type(left) is not type(right) or not isinstance(left, str | float):
            raise Fault(f"{token} cannot order {describe(left)} and {describe(right)}", "compare two numbers or two strings")
        return holds(left, right)

    return operator


def _found(token: Any, left: Any, right: Any) -> bool:
    from reconciler.expr.patterns import search
    from reconciler.expr.values import Meter

    if not isinstance(left, str) or not isinstance(right, str):
        raise Fault(f"{token} takes strings, not {describe(left)} and {describe(right)}", "put values into quotes")
    return search(right, left, Meter()) is not None


def _in(token: Any, left: Any, right: Any) -> bool:
    if not isinstance(right, list):
        raise Fault(f"{token} takes a list of two values or more, not {describe(right)}", 'write ("a", "b"), or ==')
    return any(_equal(left, item) for item in right)


def _whole(compute: Callable[[int, int], int]) -> Callable[[Any, Any, Any], Any]:
    def wrapped(left: float, right: float) -> float:
        value = compute(int(left), int(right)) & (1 << 64) - 1
        return float(value - (1 << 64) if value >> 63 else value)

    return _numeric(wrapped)


def _shifted(compute: Callable[[int, int], int]) -> Callable[[Any, Any, Any], Any]:
    def bounded(left: int, right: int) -> int:
        return compute(left & (1 << 64) - 1, min(right, 64)) if right >= 0 else 0

    return _whole(bounded)


_OPERATORS: Mapping[str, Callable[[Any, Any, Any], Any]] = {
    "==": lambda _, left, right: _equal(left, right),
    "!=": lambda _, left, right: not _equal(left, right),
    "=~": _found,
    "!~": lambda token, left, right: not _found(token, left, right),
    "in": _in,
    ">": _ordering(lambda left, right: left > right),
    ">=": _ordering(lambda left, right: left >= right),
    "<": _ordering(lambda left, right: left < right),
    "<=": _ordering(lambda left, right: left <= right),
    "+": _add,
    "-": _numeric(lambda left, right: left - right),
    "*": _numeric(lambda left, right: left * right),
    "/": _numeric(lambda left, right: left / right),
    "%": _numeric(math.fmod),
    "**": _numeric(math.pow),
    "&": _whole(lambda left, right: left & right),
    "|": _whole(lambda left, right: left | right),
    "^": _whole(lambda left, right: left ^ right),
    "<<": _shifted(lambda left, right: left << right),
    ">>": _shifted(lambda left, right: left >> right),
}
