"""Sprig's functions over numbers, versions and time. Owns these; sprig: docs/math.md, docs/semver.md, docs/date.md."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from reconciler.expr import gotime
from reconciler.expr.errors import Fault
from reconciler.expr.registry import Table
from reconciler.expr.values import MAX_ITEMS, describe, go_duration, is_number

_VERSION = re.compile(r"v?(\d{1,18})(?:\.(\d{1,18}))?(?:\.(\d{1,18}))?(?:-([0-9A-Za-z.-]+))?(?:\+([0-9A-Za-z.-]+))?")


def to_int64(value: Any) -> int:
    """A whole number from anything: 0 for what is none, as sprig has it."""
    if isinstance(value, bool):
        return int(value)
    if is_number(value):
        return int(value) if math.isfinite(value) else 0
    text = value.strip() if isinstance(value, str) and len(value) < 60 else ""
    try:
        return int(text, 0) if re.match(r"[+-]?0[xXbBoO]", text) else int(text.replace("_", ""), 10)
    except ValueError:
        return int(to_float64(text)) if "." in text else 0


def to_float64(value: Any) -> float:
    """A float from anything: 0 for what is none."""
    if isinstance(value, str):
        return float(value) if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", value.strip()) else 0.0
    return float(value) if isinstance(value, bool | int | float) else 0.0


def _int_fold(compute: Callable[[int, int], int]) -> Callable[..., int]:
    def fold(*values: Any) -> int:
        total, *others = (to_int64(value) for value in values)
        for other in others:
            total = compute(total, other)
            if not -(1 << 63) <= total < 1 << 63:
                raise Fault("a number does not fit into 64 bits", "use the functions that end in f")
        return total

    return fold


def _float_fold(compute: Callable[[float, float], float]) -> Callable[..., float]:
    def fold(*values: Any) -> float:
        total, *others = (to_float64(value) for value in values)
        for other in others:
            total = compute(total, other)
        return total

    return fold


def _div(left: int, right: int) -> int:
    if right == 0:
        raise Fault("a division by zero", "check the divisor first")
    whole = abs(left) // abs(right)
    return whole if (left < 0) == (right < 0) else -whole


def _mod(left: int, right: int) -> int:
    return left - _div(left, right) * right


def _divf(left: float, right: float) -> float:
    if right == 0:
        raise Fault("a division by zero", "check the divisor first")
    return left / right


def _round(value: Any, places: int, *half: float) -> float:
    if abs(places) > 15:
        raise Fault(f"a number cannot be rounded to {places} places", "stay within 15")
    scale = 10.0**places
    whole = to_float64(value) * scale
    rest = whole - math.floor(whole)
    return float(math.ceil(whole) if rest >= (half[0] if half else 0.5) else math.floor(whole)) / scale


def _until(*bounds: int) -> list[int]:
    start, stop, step = bounds if len(bounds) == 3 else (0, bounds[0], 1 if bounds[0] >= 0 else -1)
    numbers = range(start, stop, step) if step else range(0)
    if len(numbers) > MAX_ITEMS:
        raise Fault(f"a list would have more than {MAX_ITEMS} items", "let a step compute it")
    return list(numbers)


def _seq(*bounds: int) -> str:
    first, step, end = {1: (1, 0, bounds[-1]), 2: (bounds[0], 0, bounds[-1]), 3: bounds}.get(len(bounds), (1, 1, 0))
    step = step or (1 if end >= first else -1)
    return " ".join(map(str, _until(first, end + (1 if step > 0 else -1), step)))


def _version(text: str) -> tuple[int, int, int, str, str]:
    match = _VERSION.fullmatch(text)
    if match is None:
        raise Fault(f"{describe(text)} is no semantic version", "write for example 1.2.3")
    major, minor, patch, pre, meta = match.groups()
    return int(major), int(minor or 0), int(patch or 0), pre or "", meta or ""


def _semver(text: str) -> dict[str, Any]:
    major, minor, patch, pre, meta = _version(text)
    return {"Major": major, "Minor": minor, "Patch": patch, "Prerelease": pre, "Metadata": meta, "Original": text}


def _rank(text: str) -> tuple[Any, ...]:
    major, minor, patch, pre, _ = _version(text)
    parts = [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in pre.split(".")] if pre else []
    return (major, minor, patch, not pre, parts)


def _semver_compare(constraint: str, version: str) -> bool:
    rank = _rank(version)
    choices = [re.findall(r"(>=|<=|!=|=|>|<|~|\^)?\s*(v?[\w.+*-]+)", each) for each in constraint.split("||")]
    if not all(choices):
        raise Fault(f"{describe(constraint)} is no version constraint", 'write for example ">=1.2.0"')
    return any(all(_satisfies(rank, sign, wanted, version) for sign, wanted in choice) for choice in choices)


def _satisfies(rank: tuple[Any, ...], sign: str, wanted: str, version: str) -> bool:
    parts = [part for part in wanted.removeprefix("v").split(".") if part not in ("x", "X", "*")]
    if not parts:
        return True
    low = _rank(".".join(parts))
    if not rank[3] and low[3] and "-" in version:
        return sign == "!="
    fixed = {"~": min(len(parts), 2), "^": 1 if low[0] else 2 if low[1] else 3}.get(sign, len(parts) if len(parts) < 3 else 0)
    within = rank >= low and rank[:fixed] == low[:fixed]
    return {
        "": within if fixed else rank == low, "=": within if fixed else rank == low, "~": within, "^": within,
        "!=": rank != low, ">": rank > low, ">=": rank >= low, "<": rank < low, "<=": rank <= low,
    }[sign]  # fmt: skip


def _instant(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    if is_number(value):
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=value)
    raise Fault(f"{describe(value)} is no instant", "give it now(), date() or toDate()")


def _date(layout: str, value: Any) -> str:
    return gotime.format_time(_instant(value).astimezone(UTC), layout)


def _date_in_zone(layout: str, value: Any, zone: str) -> str:
    return gotime.format_time(_instant(value).astimezone(gotime.find_zone(zone)), layout)


def _to_date(layout: str, text: str) -> datetime:
    found = gotime.parse_time(text, layout)
    if found is None:
        raise Fault(f"{describe(text)} is no instant in the layout {layout}", "write it as the layout shows")
    return found


def _date_modify(span: str, value: Any) -> datetime:
    return _instant(value) + gotime.parse_duration(span)


def _duration_round(value: Any) -> str:
    seconds = abs(value / timedelta(seconds=1)) if isinstance(value, timedelta) else abs(to_float64(value))
    for unit, size in (("y", 31_536_000), ("mo", 2_592_000), ("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{int(seconds)}s"


def register(table: Table) -> None:
    """Adds these to the table."""
    add = table.add
    add("int", "any", to_int64, "a whole number; 0 for what is none")
    add("int64", "any", to_int64, "as `int`")
    add("float64", "any", to_float64, "a float; 0 for what is none")
    add("atoi", "string", to_int64, "the whole number that a text says, or 0")
    add("toDecimal", "any", lambda value: int(str(value), 8), "the number that octal digits say")
    add("add", "any...", lambda *values: _int_fold(int.__add__)(0, *values), "the sum, in whole numbers")
    add("add1", "any", lambda value: to_int64(value) + 1, "one more")
    add("sub", "any any", _int_fold(int.__sub__), "the difference")
    add("mul", "any any...", _int_fold(int.__mul__), "the product")
    add("div", "any any", _int_fold(_div), "the quotient, cut to a whole number")
    add("mod", "any any", _int_fold(_mod), "the remainder")
    add("max", "any any...", _int_fold(max), "the greatest, in whole numbers")
    add("min", "any any...", _int_fold(min), "the smallest")
    add("addf", "any...", lambda *values: _float_fold(float.__add__)(0.0, *values), "the sum, in floats")
    add("add1f", "any", lambda value: to_float64(value) + 1, "one more, as a float")
    add("subf", "any any...", _float_fold(float.__sub__), "the difference, in floats")
    add("mulf", "any any...", _float_fold(float.__mul__), "the product, in floats")
    add("divf", "any any...", _float_fold(_divf), "the quotient, in floats")
    add("maxf", "any any...", _float_fold(max), "the greatest, in floats")
    add("minf", "any any...", _float_fold(min), "the smallest, in floats")
    add("ceil", "any", lambda value: float(math.ceil(to_float64(value))), "the next whole number above")
    add("floor", "any", lambda value: float(math.floor(to_float64(value))), "the next whole number below")
    add("round", "any int number?", _round, "rounded to so many places")
    add("until", "int", _until, "the whole numbers from 0 up to, and without, the bound")
    add("untilStep", "int int int", _until, "from start up to stop by step")
    add("seq", "int...", _seq, "numbers in a text, as the shell's `seq`")
    add("semver", "string", _semver, "a version's parts: `Major`, `Minor`, `Patch`, `Prerelease`, `Metadata`")
    add("semverCompare", "string string", _semver_compare, "whether the version is within the constraint")
    add("date", "string any", _date, "an instant in a layout of Go's, in UTC")
    add("dateInZone", "string any string", _date_in_zone, "as `date`, in a time zone")
    add("date_in_zone", "string any string", _date_in_zone, "as `dateInZone`")
    add("htmlDate", "any", lambda value: _date("2006-01-02", value), "the day: `2006-01-02`")
    add("dateModify", "string any", _date_modify, "an instant moved by a duration")
    add("date_modify", "string any", _date_modify, "as `dateModify`")
    add("mustDateModify", "string any", _date_modify, "as `dateModify`")
    add("toDate", "string string", _to_date, "the instant that a text names in a layout")
    add("mustToDate", "string string", _to_date, "as `toDate`")
    add("unixEpoch", "time", lambda value: str(int(value.timestamp() // 1)), "the seconds since 1970, as a text")
    add("duration", "any", lambda value: go_duration(timedelta(seconds=to_int64(value))), "seconds as `1h2m3s`")
    add("durationRound", "any", _duration_round, "a duration by its largest unit: `2h`")
