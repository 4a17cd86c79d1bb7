"""The methods of instants and durations, as Go names them: `now().Format("2006")`, `duration("1h").Seconds()`.

Owns these two tables and nothing else; other values have no methods.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from reconciler.expr.errors import Fault
from reconciler.expr.gotime import format_time
from reconciler.expr.values import Meter, describe, go_duration, to_go

_SECOND = timedelta(seconds=1)


class _Methods(dict[str, tuple[tuple[type, ...], Callable[..., Any]]]):
    """(types of the arguments, body) by name."""



def add_date(instant: datetime, years: int, months: int, days: int) -> datetime:
    """As Go's AddDate: a day that the month has not runs over into the next month."""
    if max(abs(years), abs(months), abs(days)) > 1_000_000:
        raise OverflowError
    year, month = divmod(instant.month - 1 + months + 12 * (instant.year + years), 12)
    return instant.replace(year=year, month=month + 1, day=1) + timedelta(days=instant.day - 1 + days)


def _truncated(instant: datetime, span: timedelta) -> datetime:
    if span <= timedelta():
        return instant
    return instant - (instant - datetime(1, 1, 1, tzinfo=UTC)) % span


_TIME = _Methods({
    "Add": ((timedelta,), lambda t, span: t + span),
    "AddDate": ((int, int, int), add_date),
    "After": ((datetime,), lambda t, other: t > other),
    "Before": ((datetime,), lambda t, other: t < other),
    "Day": ((), lambda t: t.day),
    "Equal": ((datetime,), lambda t, other: t == other),
    "Format": ((str,), format_time),
    "Hour": ((), lambda t: t.hour),
    "In": ((tzinfo,), lambda t, zone: t.astimezone(zone)),
    "Minute": ((), lambda t: t.minute),
    "Month": ((), lambda t: t.month),
    "Nanosecond": ((), lambda t: t.microsecond * 1000),
    "Second": ((), lambda t: t.second),
    "Sub": ((datetime,), lambda t, other: t - other),
    "Truncate": ((timedelta,), _truncated),
    "UTC": ((), lambda t: t.astimezone(UTC)),
    "Unix": ((), lambda t: int(t.timestamp() // 1)),
    "UnixMilli": ((), lambda t: (t - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)),
    "UnixNano": ((), lambda t: (t - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000),
    "Weekday": ((), lambda t: t.isoweekday() % 7),
    "Year": ((), lambda t: t.year),
    "YearDay": ((), lambda t: t.timetuple().tm_yday),
})  # fmt: skip
_DURATION = _Methods({
    "Abs": ((), abs),
    "Hours": ((), lambda span: span / _SECOND / 3600),
    "Microseconds": ((), lambda span: span // timedelta(microseconds=1)),
    "Milliseconds": ((), lambda span: span // timedelta(milliseconds=1)),
    "Minutes": ((), lambda span: span / _SECOND / 60),
    "Nanoseconds": ((), lambda span: span // timedelta(microseconds=1) * 1000),
    "Seconds": ((), lambda span: span / _SECOND),
    "String": ((), go_duration),
})  # fmt: skip
METHODS: Mapping[type, _Methods] = {datetime: _TIME, timedelta: _DURATION}


def check_method(name: str, count: int) -> None:
    """Raises Fault for a method that no value has, or that takes another number of arguments wherever it is one."""
    wanted = {len(methods[name][0]) for methods in METHODS.values() if name in methods}
    if not wanted:
        from reconciler.manifest.reading import find_near

        near = find_near(name[:100], {each for methods in METHODS.values() for each in methods})
        raise Fault(f'no value has a method "{name}"', f"did you mean {near}?" if near else "call a function: name(value)")
    if count not in wanted:
        raise Fault(f"{name} takes {min(wanted)} arguments, not {count}", "give it as many")


def call_method(base: Any, name: str, arguments: list[Any], meter: Meter) -> Any:
    """The method's value. Raises Fault for a value without it, and for arguments of the wrong number or type."""
    methods = next((table for kind, table in METHODS.items() if isinstance(base, kind)), None)
    if methods is None:
        if base is None:
            raise Fault(f'nil has no method "{name}"', "write ?. before it")
        raise Fault(f'{describe(base)} has no method "{name}"', "call a function: name(value)")
    if name == "String" and isinstance(base, datetime) and not arguments:
        return to_go(base, meter)
    if name not in methods:
        raise Fault(f'{describe(base)} has no method "{name}"', f"there are {', '.join(methods)}")
    kinds, body = methods[name]
    if len(arguments) != len(kinds):
        raise Fault(f"{name} takes {len(kinds)} arguments, not {len(arguments)}", "give it as many")
    for argument, kind in zip(arguments, kinds, strict=True):
        if not isinstance(argument, kind):
            raise Fault(f"{name} cannot take {describe(argument)}", f"give it a {kind.__name__}")
    try:
        return meter.weigh(body(base, *arguments))
    except (OverflowError, ValueError):
        raise Fault("an instant beyond the calendar", "check the duration") from None
