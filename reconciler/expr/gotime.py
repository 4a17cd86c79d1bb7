"""Go's way with time: layouts such as `2006-01-02`, durations such as `1h30m`, the zones by name.

Owns formatting and parsing; it never asks for the present instant. Fractions beyond microseconds are cut off.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from reconciler.expr.errors import Fault

RFC3339 = "2006-01-02T15:04:05Z07:00"
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_UNITS = {"ns": 1e-3, "us": 1.0, "µs": 1.0, "μs": 1.0, "ms": 1e3, "s": 1e6, "m": 60e6, "h": 3600e6}
_DURATION = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_ELEMENT = re.compile(
    r"January|Jan|Monday|Mon|2006|Z07:00|Z0700|-07:00|-0700|-07|MST|002|01|02|03|04|05|06|15|_2|PM|pm|[.,]0+(?!\d)|[.,]9+(?!\d)"
    r"|1|2|3|4|5"
)
# What expr-lang's date() tries when it is given no layout.
LAYOUTS = (
    "2006-01-02", "15:04:05", "2006-01-02 15:04:05", RFC3339, "02 Jan 06 15:04 MST", "02 Jan 06 15:04 -0700",
    "Monday, 02-Jan-06 15:04:05 MST", "Mon, 02 Jan 2006 15:04:05 MST", "Mon, 02 Jan 2006 15:04:05 -0700",
)  # fmt: skip
# What govaluate tries with every quoted text.
CONDITION_LAYOUTS = (
    "Mon Jan _2 15:04:05 2006", "Mon Jan _2 15:04:05 MST 2006", "Mon Jan 02 15:04:05 -0700 2006", "3:04PM", RFC3339,
    "2006-01-02", "2006-01-02 15:04", "2006-01-02 15:04:05", "2006-01-02 15:04:05-07:00", "2006-01-02T15Z0700",
    "2006-01-02T15:04Z0700", "2006-01-02T15:04:05Z0700",
)  # fmt: skip


def parse_duration(text: str) -> timedelta:
    """`1h30m`, `-1.5s`, `0`. Raises Fault."""
    rest = text.lstrip("+-") if text[:1] in ("+", "-") else text
    parts = _DURATION.findall(rest)
    if rest == "0":
        return timedelta()
    if not parts or "".join(number + unit for number, unit in parts) != rest or len(text) > 100:
        raise Fault(f'"{text[:40]}" is no duration', 'write for example "1h30m"')
    try:
        span = timedelta(microseconds=sum(float(number) * _UNITS[unit] for number, unit in parts))
    except OverflowError:
        raise Fault(f'the duration "{text[:40]}" is too long', "write a shorter one") from None
    return -span if text.startswith("-") else span


def find_zone(name: str) -> tzinfo:
    """The zone of that name. Raises Fault."""
    if name in ("", "UTC"):
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Fault(f'there is no time zone "{name[:40]}"', 'write for example "Europe/Zurich"') from None


def _hour12(instant: datetime) -> int:
    return instant.hour % 12 or 12


def _offset(instant: datetime, separator: str, *, is_zulu: bool = False) -> str:
    minutes = round((instant.utcoffset() or timedelta()) / timedelta(minutes=1))
    if is_zulu and not minutes:
        return "Z"
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours:02d}{separator}{rest:02d}"


_WRITERS: Mapping[str, Callable[[datetime], str]] = {
    "January": lambda t: _MONTHS[t.month - 1], "Jan": lambda t: _MONTHS[t.month - 1][:3],
    "Monday": lambda t: _DAYS[t.weekday()], "Mon": lambda t: _DAYS[t.weekday()][:3],
    "2006": lambda t: f"{t.year:04d}", "06": lambda t: f"{t.year % 100:02d}",
    "01": lambda t: f"{t.month:02d}", "1": lambda t: str(t.month),
    "02": lambda t: f"{t.day:02d}", "_2": lambda t: f"{t.day:2d}", "2": lambda t: str(t.day),
    "002": lambda t: f"{t.timetuple().tm_yday:03d}",
    "15": lambda t: f"{t.hour:02d}", "03": lambda t: f"{_hour12(t):02d}", "3": lambda t: str(_hour12(t)),
    "04": lambda t: f"{t.minute:02d}", "4": lambda t: str(t.minute),
    "05": lambda t: f"{t.second:02d}", "5": lambda t: str(t.second),
    "PM": lambda t: "PM" if t.hour >= 12 else "AM", "pm": lambda t: "pm" if t.hour >= 12 else "am",
    "MST": lambda t: t.tzname() or "UTC",
    "Z07:00": lambda t: _offset(t, ":", is_zulu=True), "Z0700": lambda t: _offset(t, "", is_zulu=True),
    "-07:00": lambda t: _offset(t, ":"), "-0700": lambda t: _offset(t, ""), "-07": lambda t: _offset(t, "")[:3],
}  # fmt: skip


def format_time(instant: datetime, layout: str) -> str:
    """`instant` written as the layout shows Go's reference instant."""

    def written(match: re.Match[str]) -> str:
        element = match[0]
        if element[0] in ".,":
            digits = f"{instant.microsecond:06d}000"[: len(element) - 1].ljust(len(element) - 1, "0")
            digits = digits.rstrip("0") if element[1] == "9" else digits
            return element[0] + digits if digits else ""
        return _WRITERS[element](instant)

    return _ELEMENT.sub(written, layout)


_READERS = {
    "January": "(?P<month_name>[A-Za-z]+)", "Jan": "(?P<month_short>[A-Za-z]{3})", "Monday": "[A-Za-z]+", "Mon": "[A-Za-z]{3}",
    "2006": r"(?P<year>\d{4})", "06": r"(?P<year2>\d\d)", "01": r"(?P<month>\d\d)", "1": r"(?P<month>\d\d?)",
    "02": r"(?P<day>\d\d)", "_2": r" ?(?P<day>\d\d?)", "2": r"(?P<day>\d\d?)", "002": r"(?P<yearday>\d{3})",
    "15": r"(?P<hour>\d\d)", "03": r"(?P<hour12>\d\d)", "3": r"(?P<hour12>\d\d?)", "04": r"(?P<minute>\d\d)",
    "4": r"(?P<minute>\d\d?)", "05": r"(?P<second>\d\d)(?P<fraction>[.,]\d+)?", "5": r"(?P<second>\d\d?)(?P<fraction>[.,]\d+)?",
    "PM": "(?P<half>AM|PM)", "pm": "(?P<half>am|pm)", "MST": "(?P<zone_name>[A-Z]{3,5})",
    "Z07:00": r"(?P<offset>Z|[+-]\d\d:\d\d)", "Z0700": r"(?P<offset>Z|[+-]\d{4})", "-07:00": r"(?P<offset>[+-]\d\d:\d\d)",
    "-0700": r"(?P<offset>[+-]\d{4})", "-07": r"(?P<offset>[+-]\d\d)",
}  # fmt: skip


def parse_time(text: str, layout: str, zone: tzinfo = UTC) -> datetime | None:
    """The instant that `text` names in that layout, in `zone` where it says none; None if it does not fit."""
    match = _read(text, layout)
    if match is None:
        return None
    found = {key: value for key, value in match.groupdict().items() if value is not None}
    try:
        instant = datetime(
            _year(found), _month(found), int(found.get("day", 1)), _hour(found), int(found.get("minute", 0)),
            int(found.get("second", 0)), int(found.get("fraction", ".0")[1:7].ljust(6, "0")), _zone(found, zone),
        )  # fmt: skip
    except (ValueError, StopIteration):
        return None
    return instant + timedelta(days=int(found["yearday"]) - 1) if "yearday" in found else instant


def _read(text: str, layout: str) -> re.Match[str] | None:
    if len(text) > 200 or len(layout) > 200:
        return None
    pattern, end = "", 0
    seen: set[str] = set()
    for element in _ELEMENT.finditer(layout):
        reader = _READERS.get(element[0], r"(?:[.,]\d+)?")
        if element[0][0] in ".," and pattern.endswith(r"(?P<fraction>[.,]\d+)?"):
            reader = ""
        names = re.findall(r"\?P<(\w+)>", reader)
        if seen & set(names):
            reader = re.sub(r"\?P<\w+>", "?:", reader)
        seen |= set(names)
        pattern += re.escape(layout[end : element.start()]) + reader
        end = element.end()
    return re.fullmatch(pattern + re.escape(layout[end:]), text, re.ASCII)


def _year(found: Mapping[str, str]) -> int:
    if "year2" in found:
        short = int(found["year2"])
        return short + (1900 if short >= 69 else 2000)
    return int(found.get("year", 1)) or 1


def _month(found: Mapping[str, str]) -> int:
    name = found.get("month_name") or found.get("month_short")
    if name is None:
        return int(found.get("month", 1))
    return next(number for number, month in enumerate(_MONTHS, 1) if month[: max(3, len(name))] == name)


def _hour(found: Mapping[str, str]) -> int:
    if "hour12" not in found:
        return int(found.get("hour", 0))
    return int(found["hour12"]) % 12 + (12 if found.get("half", "").upper() == "PM" else 0)


def _zone(found: Mapping[str, str], zone: tzinfo) -> tzinfo:
    offset = found.get("offset", "").replace(":", "")
    if not offset:
        return UTC if found.get("zone_name") in ("UTC", "GMT") else zone
    if offset == "Z":
        return UTC
    minutes = int(offset[1:3]) * 60 + int(offset[3:5] or 0)
    return timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes)) if minutes else UTC
