"""The functions of expr-lang, and those that Argo adds beside them. Owns the table BUILTINS.

expr-lang: docs/language-definition.md. Argo: docs/variables.md. Functions with a closure are in closures.py; `now` needs the
surroundings and is answered by the evaluation.
"""

from __future__ import annotations

import base64
import json
import math
import statistics
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from reconciler.errors import UsageError
from reconciler.expr import gotime, jsonpath
from reconciler.expr.closures import is_descending, ordered
from reconciler.expr.errors import Fault
from reconciler.expr.registry import Table
from reconciler.expr.values import MAX_ITEMS, MAX_TEXT, Meter, describe, equal, is_number, to_go, to_json, type_name

BUILTINS = Table()
_add = BUILTINS.add
_WHITE = " \t\n\v\f\r\x85\xa0"


def to_int(value: Any) -> int:
    """A number cut to its whole part, or the number that a text says. Raises Fault."""
    try:
        if isinstance(value, str):
            found = int(value, 10) if len(value) < 40 and "_" not in value and value == value.strip() else None
        else:
            found = int(value) if is_number(value) else None
    except (ValueError, OverflowError):
        found = None
    if found is None:
        raise Fault(f"{describe(value)} is no whole number", "give it digits only")
    return found


def to_float(value: Any) -> float:
    """The float of a number or of a text. Raises Fault."""
    try:
        found = float(value) if is_number(value) or (isinstance(value, str) and "_" not in value) else None
    except ValueError:
        found = None
    if found is None or (isinstance(value, str) and value != value.strip()):
        raise Fault(f"{describe(value)} is no number", "give it digits")
    return found


def from_json(text: str) -> Any:
    """The value that a JSON text says: whole numbers are ints. Raises Fault."""

    def refuse(word: str) -> Any:
        raise ValueError(f"{word} is no number of JSON")

    try:
        return json.loads(text, parse_constant=refuse, parse_int=_whole_number)
    except (ValueError, RecursionError) as error:
        raise Fault(f"{describe(text)} is no JSON: {str(error)[:80]}", "give it JSON text") from None


def _whole_number(digits: str) -> int | float:
    return int(digits) if len(digits) < 19 else float(digits)


def repeat(text: str, times: int) -> str:
    """`text` so often. Raises Fault if the result would be too long."""
    if times < 0 or len(text) * times > MAX_TEXT:
        raise Fault(f"a text of {len(text)} characters cannot be repeated {times} times", f"stay within {MAX_TEXT} characters")
    return text * times


def replace(text: str, old: str, new: str, limit: int = -1) -> str:
    """`text` with `old` replaced. Raises Fault if the result would be too long."""
    found = text.count(old) if limit < 0 else min(limit, text.count(old))
    if len(text) + found * (len(new) - len(old)) > MAX_TEXT:
        raise Fault(f"a text would be longer than {MAX_TEXT} characters", "replace by something shorter")
    return text.replace(old, new, limit)


def split(text: str, separator: str, limit: int = -1, *, keeps: bool = False) -> list[str]:
    """As Go's Split: an empty separator gives the characters, a limit of 0 nothing."""
    if limit == 0:
        return []
    if separator:
        parts = text.split(separator, limit - 1 if limit > 0 else -1)
    else:
        parts = list(text) if limit < 0 or limit > len(text) else [*text[: limit - 1], text[limit - 1 :]]
    return [part + separator for part in parts[:-1]] + parts[-1:] if keeps else parts


def first(items: list[Any]) -> Any:
    """The first item, or nil."""
    return items[0] if items else None


def last(items: list[Any]) -> Any:
    """The last item, or nil."""
    return items[-1] if items else None


def uniq(meter: Meter, items: list[Any]) -> list[Any]:
    """The items without repetitions, in their order."""
    kept: list[Any] = []
    for item in items:
        if not any(equal(item, other, meter) for other in kept):
            kept.append(item)
    return kept


def flatten(meter: Meter, items: list[Any]) -> list[Any]:
    """Items of arrays in arrays, however deep."""
    flat: list[Any] = []
    for item in items:
        meter.spend()
        flat += flatten(meter, item) if isinstance(item, list) else [item]
    if len(flat) > MAX_ITEMS:
        raise Fault(f"a list would have more than {MAX_ITEMS} items", "let a step compute it")
    return flat


def concat(*arrays: list[Any]) -> list[Any]:
    """One array after the other."""
    return [item for array in arrays for item in array]


def _joined(meter: Meter, items: list[Any], separator: str = "") -> str:
    for item in items:
        if not isinstance(item, str):
            raise Fault(f"join takes strings, not {describe(item)}", "convert them: map(array, string(#))")
        meter.spend(1 + (len(item) + len(separator)) // 32)
    return separator.join(items)


def _get(value: Any, key: Any) -> Any:
    if isinstance(value, Mapping):
        return value.get(key) if isinstance(key, str | int) else None
    if isinstance(value, list) and isinstance(key, int):
        return value[key] if -len(value) <= key < len(value) else None
    if value is None:
        return None
    raise Fault(f"get takes an array or a map, not {describe(value)}", "give it one")


def _numbers(arguments: tuple[Any, ...], name: str) -> list[Any]:
    flat = [item for argument in arguments for item in (argument if isinstance(argument, list) else [argument])]
    wrong = next((item for item in flat if not is_number(item)), None)
    if wrong is not None or not flat:
        raise Fault(f"{name} takes numbers, not {describe(wrong)}", "give it numbers or an array of them")
    return flat


def _mean(*arguments: Any) -> float:
    numbers = _numbers(arguments, "mean")
    return float(sum(numbers) / len(numbers))


def _median(*arguments: Any) -> float:
    return float(statistics.median(_numbers(arguments, "median")))


def _round(value: float) -> float:
    return math.copysign(float(math.floor(abs(value) + 0.5)), value) if abs(value) < 1 << 52 else float(value)


def _sort(meter: Meter, items: list[Any], *order: str) -> list[Any]:
    return sorted(ordered(items, meter), reverse=is_descending(list(order)))


def _from_pairs(pairs: list[Any]) -> dict[str, Any]:
    if not all(isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) for pair in pairs):
        raise Fault("fromPairs takes an array of [key, value]", "give it what toPairs() gives")
    return {key: value for key, value in pairs}  # noqa: C416 - says that a pair has two parts


def _date(text: str, layout: str = "", zone: str = "") -> datetime:
    for each in [layout] if layout else gotime.LAYOUTS:
        found = gotime.parse_time(text, each, gotime.find_zone(zone))
        if found is not None:
            return found
    where = f" in the layout {layout}" if layout else ""
    raise Fault(f"{describe(text)} is no instant{where}", 'write it as "2006-01-02T15:04:05Z"')


def _jsonpath(data: Any, path: str) -> Any:
    value = from_json(data) if isinstance(data, str) else data
    try:
        return jsonpath.query(path, value)
    except UsageError as error:
        raise Fault(str(error), "correct the path") from None
    except LookupError:
        raise Fault(f'nothing is at "{path}"', "correct the path, or ask with contains first") from None


def _whole(kind: Callable[[float], int]) -> Callable[[float], float]:
    return lambda value: float(kind(value)) if isinstance(value, float) else float(value)


def _shift(compute: Callable[[int, int], int]) -> Callable[[int, int], int]:
    def shifted(value: int, by: int) -> int:
        if by < 0:
            raise Fault(f"a shift by {by}", "shift by 0 or more")
        return _signed(compute(value, min(by, 64)))

    return shifted


def _signed(value: int) -> int:
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def _from_base64(text: str) -> str:
    return base64.b64decode(text, validate=True).decode()


_add("len", "string|array|map", len, "how many characters, items or keys")
_add("type", "any", type_name, 'the name of the type: `"int"`, `"string"`, `"array"`, ...')
_add("int", "any", to_int, "a whole number from a number or a text")
_add("asInt", "any", to_int, "Argo's name for `int`")
_add("float", "any", to_float, "a float from a number or a text")
_add("asFloat", "any", to_float, "Argo's name for `float`")
_add("string", "any", lambda meter, value: to_go(value, meter), "the value as Go prints it", needs_meter=True)
_add("abs", "number", abs, "the number without its sign")
_add("ceil", "number", _whole(math.ceil), "the next whole number above, as a float")
_add("floor", "number", _whole(math.floor), "the next whole number below, as a float")
_add("round", "number", _round, "the nearest whole number, halves away from zero, as a float")
_add("max", "any any...", lambda *values: max(_numbers(values, "max")), "the greatest of numbers or of arrays of them")
_add("min", "any any...", lambda *values: min(_numbers(values, "min")), "the smallest")
_add("mean", "any any...", _mean, "the average")
_add("median", "any any...", _median, "the middle one")
_add("trim", "string string?", lambda text, chars=_WHITE: text.strip(chars), "without spaces, or those characters, at its ends")
_add("trimPrefix", "string string", str.removeprefix, "the text without that beginning")
_add("trimSuffix", "string string", str.removesuffix, "the text without that end")
_add("upper", "string", str.upper, "in capitals")
_add("lower", "string", str.lower, "in small letters")
_add("split", "string string int?", split, "the parts between separators, so many at most")
_add("splitAfter", "string string int?", lambda *a: split(*a, keeps=True), "as `split`, each part with its separator")
_add("replace", "string string string int?", replace, "the text with every occurrence, or so many, replaced")
_add("repeat", "string int", repeat, "the text so often")
_add("indexOf", "string string", str.find, "where a text occurs first, or -1")
_add("lastIndexOf", "string string", str.rfind, "where a text occurs last, or -1")
_add("hasPrefix", "string string", str.startswith, "whether the text begins so")
_add("hasSuffix", "string string", str.endswith, "whether the text ends so")
_add("join", "array string?", _joined, "strings in one, with a separator between them", needs_meter=True)
_add("toJSON", "any", lambda meter, value: to_json(value, meter, "  "), "JSON text, one item per line", needs_meter=True)
_add("toJson", "any", lambda meter, value: to_json(value, meter), "Argo's: compact JSON text", needs_meter=True)
_add("fromJSON", "string", from_json, "the value that a JSON text says")
_add("toBase64", "string", lambda text: base64.b64encode(text.encode()).decode(), "the text in base 64")
_add("fromBase64", "string", _from_base64, "the text that base 64 says")
_add("first", "array", first, "the first item, or nil")
_add("last", "array", last, "the last item, or nil")
_add("take", "array int", lambda items, count: items[: max(0, count)], "the first so many items")
_add("get", "any any", _get, "the item or the key's value, nil if there is none")
_add("keys", "map", lambda value: sorted(value, key=str), "the keys, sorted")
_add("values", "map", lambda value: [value[key] for key in sorted(value, key=str)], "the values, by key")
_add("toPairs", "map", lambda value: [[key, value[key]] for key in sorted(value, key=str)], "an array of [key, value], by key")
_add("fromPairs", "array", _from_pairs, "the map that those pairs make")
_add("concat", "array array...", concat, "one array after the other")
_add("flatten", "array", flatten, "items of arrays in arrays, in one array", needs_meter=True)
_add("uniq", "array", uniq, "the items without repetitions", needs_meter=True)
_add("reverse", "array", lambda items: items[::-1], "the items from the last to the first")
_add("sort", "array string?", _sort, 'the items in order; `"desc"` for the other order', needs_meter=True)
_add("date", "string string? string?", _date, "the instant that a text names, in a layout of Go's and a time zone")
_add("duration", "string", gotime.parse_duration, "the duration that a text says: `1h30m`")
_add("timezone", "string", gotime.find_zone, "a time zone, for `In`")
_add("jsonpath", "any string", _jsonpath, "Argo's: what a JSONPath finds in JSON text or in a value")
_add("bitand", "int int", lambda a, b: a & b, "bits that both have")
_add("bitor", "int int", lambda a, b: a | b, "bits that one has")
_add("bitxor", "int int", lambda a, b: a ^ b, "bits that only one has")
_add("bitnand", "int int", lambda a, b: a & ~b, "bits that the first has and the second has not")
_add("bitnot", "int", lambda a: ~a, "the other bits")
_add("bitshl", "int int", _shift(lambda a, by: a << by), "shifted to the left")
_add("bitshr", "int int", _shift(lambda a, by: a >> by), "shifted to the right, keeping the sign")
_add("bitushr", "int int", _shift(lambda a, by: (a & (1 << 64) - 1) >> by), "shifted to the right, filled with zeros")
