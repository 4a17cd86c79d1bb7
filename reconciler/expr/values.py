"""What values are called, when two are equal, and how Go writes them. Owns no operator and no function.

Values are None, bool, int (64 bits), float, str, list, dict or Mapping, datetime (aware) and timedelta. Everything that could
grow is written through a Meter, so that no value costs more than its budget, however often it contains itself.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from reconciler.expr.errors import Fault

MAX_TEXT = 256 << 10
MAX_ITEMS = 100_000
_STEPS = 1_000_000
_CHARACTERS_PER_STEP = 32


class _Absent:
    """The value of an output that was never made: using it raises AbsentValue."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT = _Absent()


class Meter:
    """How much work one evaluation may still do."""

    def __init__(self, steps: int = _STEPS) -> None:
        self._left = steps
        self._paid: set[str] = set()

    def spend(self, steps: int = 1) -> None:
        """Raises Fault when the budget is used up."""
        self._left -= steps
        if self._left < 0:
            raise Fault("the expression does too much work", "let a step compute it")

    def spend_once(self, key: str, steps: int) -> None:
        """As `spend`, for what is kept after its first use."""
        if key not in self._paid:
            self._paid.add(key)
            self.spend(steps)

    def weigh(self, value: Any) -> Any:
        """`value`, paid for by its size. Raises Fault for a text or a list beyond the limits, and for a number beyond 64 bits."""
        if isinstance(value, str):
            if len(value) > MAX_TEXT:
                raise Fault(f"a text would be longer than {MAX_TEXT} characters", "pass large data in a file")
            self.spend(1 + len(value) // _CHARACTERS_PER_STEP)
        elif isinstance(value, list | dict):
            if len(value) > MAX_ITEMS + 1:
                raise Fault(f"a list or map would have more than {MAX_ITEMS} items", "let a step compute it")
            self.spend(1 + len(value))
        elif isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
            raise Fault("a number does not fit into 64 bits", "compute with decimal points")
        return value


def type_name(value: Any) -> str:
    """As expr-lang's `type` says it."""
    if value is None:
        return "nil"
    for kind, name in (
        (bool, "bool"), (int, "int"), (float, "float"), (str, "string"), (list, "array"), (Mapping, "map"),
        (datetime, "time.Time"), (timedelta, "time.Duration"),
    ):  # fmt: skip
        if isinstance(value, kind):
            return name
    return type(value).__name__


def describe(value: Any) -> str:
    """A value for an error message: its type, and itself where that is short."""
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"{type_name(value)} {go_float(value, is_json=False) if isinstance(value, float) else value}"
    if isinstance(value, str):
        return "string " + json.dumps(value[:40], ensure_ascii=False)
    return type_name(value)


def is_number(value: Any) -> bool:
    """True for int and float; a bool is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def equal(left: Any, right: Any, meter: Meter) -> bool:
    """Values of different types are unequal, but for int and float; lists and maps by their items."""
    meter.spend()
    if is_number(left) and is_number(right):
        return bool(left == right)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(equal(one, other, meter) for one, other in zip(left, right, strict=True))
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return len(left) == len(right) and all(key in right and equal(left[key], right[key], meter) for key in left)
    if isinstance(left, str) and isinstance(right, str):
        meter.spend(len(left) // 512)
    return type(left) is type(right) and bool(left == right)


def go_float(value: float, *, is_json: bool = True) -> str:
    """The shortest decimal that reads back the same; an exponent where Go writes one, which JSON does later than `%v`."""
    if not math.isfinite(value):
        if is_json:
            raise Fault(f"{value} is no number of JSON", "check the division")
        return {math.inf: "+Inf", -math.inf: "-Inf"}.get(value, "NaN")
    if value == 0:
        return "-0" if math.copysign(1, value) < 0 else "0"
    sign, digits, exponent = _decimal(value)
    low, high = (-7, 21) if is_json else (-5, 6)
    if low < exponent < high:
        return sign + _plain(digits, exponent)
    power = f"{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    power = power.replace("-0", "-") if is_json else power
    return sign + digits[0] + ("." + digits[1:] if digits[1:] else "") + "e" + power


def _decimal(value: float) -> tuple[str, str, int]:
    """(sign, digits without zeros around them, exponent of the first digit)."""
    mantissa, _, power = f"{value!r}e".partition("e")
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    exponent = int(power.rstrip("e") or 0) + len(whole) - 1
    digits = whole + fraction
    leading = len(digits) - len(digits.lstrip("0"))
    return sign, digits.strip("0"), exponent - leading


def _plain(digits: str, exponent: int) -> str:
    if exponent < 0:
        return "0." + "0" * (-exponent - 1) + digits
    if len(digits) <= exponent + 1:
        return digits + "0" * (exponent + 1 - len(digits))
    return digits[: exponent + 1] + "." + digits[exponent + 1 :]


def to_json(value: Any, meter: Meter, indent: str = "") -> str:
    """Compact JSON with sorted keys, as Go's encoder writes maps; with `indent`, one item per line."""
    text = "".join(_json(value, meter, indent, ""))
    return str(meter.weigh(text))


def _json(value: Any, meter: Meter, indent: str, margin: str) -> list[str]:
    scalar = _scalar_json(value, meter)
    if scalar is not None:
        return [scalar]
    is_list = isinstance(value, list)
    opening, closing = "[]" if is_list else "{}"
    if not value:
        return [opening + closing]
    inner = margin + indent
    gap = "\n" + inner if indent else ""
    parts = [opening]
    for item in value if is_list else sorted(value, key=str):
        parts.append(("," if len(parts) > 1 else "") + gap)
        if not is_list:
            parts.append(_quoted(str(item)) + (": " if indent else ":"))
        parts += _json(item if is_list else value[item], meter, indent, inner)
        meter.spend(1 + len(parts) // 64)
    return [*parts, ("\n" + margin if indent else "") + closing]


def _scalar_json(value: Any, meter: Meter) -> str | None:
    meter.spend()
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return _quoted(str(meter.weigh(value)))
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return go_float(value)
    if isinstance(value, list | Mapping):
        return None
    if isinstance(value, datetime):
        return _quoted(rfc3339(value))
    if isinstance(value, timedelta):
        return str(round(value / timedelta(microseconds=1)) * 1000)
    raise Fault(f"a value of type {type_name(value)} cannot be written", "refer to one value in it")


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def rfc3339(instant: datetime) -> str:
    """As Go's RFC3339Nano: no fraction if it is zero, Z for UTC."""
    text = instant.isoformat(timespec="microseconds")
    whole, fraction, zone = text[:19], text[19:26].rstrip("0").rstrip("."), text[26:]
    return whole + fraction + ("Z" if zone == "+00:00" else zone[:6])


def to_go(value: Any, meter: Meter) -> str:
    """As Go's `%v` prints it: `<nil>`, `[1 2]`, `map[a:1]`."""
    return str(meter.weigh("".join(_go(value, meter))))


def _go(value: Any, meter: Meter) -> list[str]:
    meter.spend()
    if value is None:
        return ["<nil>"]
    if isinstance(value, str):
        return [str(meter.weigh(value))]
    if isinstance(value, float):
        return [go_float(value, is_json=False)]
    if isinstance(value, list):
        return _joined("[", (_go(item, meter) for item in value), meter)
    if isinstance(value, Mapping):
        return _joined("map[", ([f"{key}:", *_go(value[key], meter)] for key in sorted(value, key=str)), meter)
    if isinstance(value, timedelta):
        return [go_duration(value)]
    if isinstance(value, datetime):
        offset = value.strftime("%z") or "+0000"
        return [rfc3339(value)[:19].replace("T", " ") + f" {offset[:5]} {value.tzname() or 'UTC'}"]
    return [_scalar_json(value, meter) or ""]


def _joined(opening: str, items: Any, meter: Meter) -> list[str]:
    parts = [opening]
    for item in items:
        parts += ([" "] if len(parts) > 1 else []) + item
        meter.spend(1 + len(item) // 8)
    return [*parts, "]"]


def go_duration(span: timedelta) -> str:
    """As Go prints a duration: `1h30m0s`, `1.5s`, `20ms`, `0s`."""
    micros = round(span / timedelta(microseconds=1))
    sign, micros = ("-" if micros < 0 else ""), abs(micros)
    if micros < 1_000_000:
        unit, scale = ("ms", 1000) if micros >= 1000 else ("µs", 1)
        return sign + (go_float(micros / scale) + unit if micros else "0s")
    seconds, fraction = divmod(micros, 1_000_000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    last = go_float(seconds + fraction / 1_000_000) + "s"
    return sign + (f"{hours}h{minutes}m{last}" if hours else f"{minutes}m{last}" if minutes else last)
