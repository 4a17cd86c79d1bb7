"""One schedule: reading it, and the instants it fires at. Owns the arithmetic of calendars and zones.

The rule, for every zone and every change of its clock: a schedule fires at each UTC instant at which a wall clock in its
zone comes to show a matching minute. So a local time that a change skips does not run, and one that is shown twice runs
twice (Argo: docs/cron-workflows.md, Daylight Saving). It must never ask what time it is, and never walk from tick to tick.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import MAXYEAR, UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from reconciler.cron.fields import DAY_OF_MONTH, DAY_OF_WEEK, HOUR, MINUTE, MONTH, parse_field
from reconciler.model.duration import parse_go_duration

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)
_INSTANT = timedelta.resolution
# The longest pause between two ticks is that of 29 February over a year like 2100: eight years.
_HORIZON_YEARS = 9

_DESCRIPTORS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_EVERY = "@every "


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """Matching local minutes: `minutes` of the day, ascending, on the days that `has_day` accepts. Sunday is 0.

    `either_day`: both day fields restrict, and one of them suffices.
    """

    minutes: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool

    def has_day(self, day: date) -> bool:
        """True if the schedule fires on this local day at all."""
        if day.month not in self.months:
            return False
        in_month, in_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return (in_month or in_week) if self.either_day else (in_month and in_week)


@dataclass(frozen=True, slots=True, kw_only=True)
class Every:
    """A fixed pause in whole seconds, at least one; the first tick is one pause after the anchor."""

    pause: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A schedule that was read. `zone` is that of its CRON_TZ= prefix, None if it has no prefix."""

    text: str
    zone: ZoneInfo | None
    rule: Calendar | Every


@lru_cache(maxsize=4096)
def parse_schedule(text: str) -> Schedule:
    """The schedule that `text` stands for, as robfig/cron v3 reads it for Argo.

    Five fields, descriptors and `@every <Go duration>`, each after an optional `CRON_TZ=Zone ` or `TZ=Zone `. As there, 7
    is no day of the week, a step on a star counts as a restriction, and a part of a second is cut from `@every`, down to
    one second. Unlike there, what can only be a slip is refused: an empty list item, `*-5`, `+5`, and a pause that is
    not positive. A schedule such as `0 0 30 2 *` is valid and never fires.

    Raises ValueError in the form `schedule "61 * * * *": minute 61 is not in 0-59`.
    """
    try:
        zone, rest = _split_zone(text.strip())
        return Schedule(text=text, zone=zone, rule=_parse_rule(rest))
    except ValueError as error:
        raise ValueError(f'schedule "{text}": {error}') from None


def load_zone(name: str) -> ZoneInfo:
    """The zone with this IANA name. Raises ValueError with the clause `time zone "Mars/Base" is not known`."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # OSError: the name of a folder of zones, such as America
        raise ValueError(f'time zone "{name}" is not known; use an IANA name such as Europe/Berlin') from None


def next_after(schedule: Schedule, instant: datetime, zone: tzinfo, *, anchor: datetime = EPOCH) -> datetime | None:
    """The first tick later than `instant` (aware UTC in and out), None if the schedule never fires.

    `zone` is for schedules without a prefix; `anchor` is what `@every` counts from. Cost does not depend on how long ago
    anything was.
    """
    rule = schedule.rule
    if isinstance(rule, Calendar):
        return _next_in_calendar(rule, instant, schedule.zone or zone)
    start = anchor.replace(microsecond=0)
    return start + rule.pause * max(1, (instant - start) // rule.pause + 1)


def latest_between(
    schedule: Schedule, after: datetime, until: datetime, zone: tzinfo, *, anchor: datetime = EPOCH
) -> datetime | None:
    """The last tick in (after, until], None if there is none (aware UTC in and out). Searches backwards from `until`.

    `zone` and `anchor` are as in `next_after`.
    """
    rule = schedule.rule
    if isinstance(rule, Calendar):
        found = _latest_in_calendar(rule, after, until, schedule.zone or zone)
    else:
        start = anchor.replace(microsecond=0)
        pauses = (until - start) // rule.pause
        found = start + rule.pause * pauses if pauses >= 1 else None
    return found if found is not None and found > after else None


def _split_zone(text: str) -> tuple[ZoneInfo | None, str]:
    if not text.startswith(("TZ=", "CRON_TZ=")):
        return None, text
    prefix, _, rest = text.partition(" ")
    return load_zone(prefix.partition("=")[2]), rest.strip()


def _parse_rule(text: str) -> Calendar | Every:
    if text.startswith(_EVERY):
        return _parse_every(text.removeprefix(_EVERY))
    if text.startswith("@"):
        if text not in _DESCRIPTORS:
            known = ", ".join((*_DESCRIPTORS, "@every <duration>"))
            raise ValueError(f'descriptor "{text}" is not known; use one of {known}')
        return _parse_calendar(_DESCRIPTORS[text])
    return _parse_calendar(text)


def _parse_every(text: str) -> Every:
    pause = parse_go_duration(text)
    if pause <= timedelta(0):
        raise ValueError(f"@every {text} is not a positive duration")
    return Every(pause=max(_SECOND, pause // _SECOND * _SECOND))


def _parse_calendar(text: str) -> Calendar:
    fields = text.split()
    if len(fields) != 5:
        raise ValueError(f"{len(fields)} fields, not the 5 of minute hour day-of-month month day-of-week")
    minute, hour = parse_field(fields[0], MINUTE), parse_field(fields[1], HOUR)
    day, month = parse_field(fields[2], DAY_OF_MONTH), parse_field(fields[3], MONTH)
    weekday = parse_field(fields[4], DAY_OF_WEEK)
    return Calendar(
        minutes=tuple(sorted(h * 60 + m for h in hour.numbers for m in minute.numbers)),
        days=day.numbers,
        months=month.numbers,
        weekdays=weekday.numbers,
        either_day=not (day.is_star or weekday.is_star),
    )


def _next_in_calendar(calendar: Calendar, instant: datetime, zone: tzinfo) -> datetime | None:
    earliest = instant.astimezone(UTC).replace(microsecond=0) + _SECOND
    horizon = date(min(earliest.year + _HORIZON_YEARS, MAXYEAR - 1), 12, 31)
    day = earliest.date()
    # A UTC day shows local times of the day before to the day after, whatever the zone.
    while (match := _first_day(calendar, day - _DAY, horizon)) is not None:
        day = max(day, match - _DAY)
        for start, end, offset in _segments(max(earliest, _midnight(day)), _midnight(day + _DAY), zone):
            found = _first_local(calendar, _wall(start, offset), _wall(end, offset))
            if found is not None:
                return found.replace(tzinfo=UTC) - offset
        day += _DAY
    return None


def _latest_in_calendar(calendar: Calendar, after: datetime, until: datetime, zone: tzinfo) -> datetime | None:
    beyond = until.astimezone(UTC) + _INSTANT
    horizon = after.astimezone(UTC).date() - _DAY
    day = until.astimezone(UTC).date()
    while (match := _last_day(calendar, day + _DAY, horizon)) is not None:
        day = min(day, match + _DAY)
        for start, end, offset in reversed(tuple(_segments(_midnight(day), min(beyond, _midnight(day + _DAY)), zone))):
            found = _last_local(calendar, _wall(start, offset), _wall(end, offset))
            if found is not None:
                return found.replace(tzinfo=UTC) - offset
        day -= _DAY
    return None


def _first_day(calendar: Calendar, day: date, last: date) -> date | None:
    while day <= last:
        if calendar.has_day(day):
            return day
        if day.month in calendar.months:
            day += _DAY
        else:
            day = (day.replace(day=1) + 31 * _DAY).replace(day=1)
    return None


def _last_day(calendar: Calendar, day: date, first: date) -> date | None:
    while day >= first:
        if calendar.has_day(day):
            return day
        day = day - _DAY if day.month in calendar.months else day.replace(day=1) - _DAY
    return None


def _segments(start: datetime, beyond: datetime, zone: tzinfo) -> Iterator[tuple[datetime, datetime, timedelta]]:
    """[start, beyond) cut where the zone's offset changes, each with its offset.

    `start` is on a whole second, the span is a day at most, and no zone changes and changes back within one.
    """
    while start < beyond:
        offset = _offset_at(start, zone)
        end = beyond
        if _offset_at(beyond, zone) != offset:
            end = min(beyond, _change_after(start, beyond, zone))
        yield start, end, offset
        start = end


def _change_after(start: datetime, beyond: datetime, zone: tzinfo) -> datetime:
    offset = _offset_at(start, zone)
    seconds = range((beyond - start) // _SECOND + 2)
    return start + _SECOND * bisect_left(
        seconds, True, key=lambda second: _offset_at(start + _SECOND * second, zone) != offset
    )


def _first_local(calendar: Calendar, start: datetime, beyond: datetime) -> datetime | None:
    """The first matching minute in [start, beyond) of a wall clock that runs without a change."""
    is_whole = start.second == 0 and start.microsecond == 0
    index = bisect_left(calendar.minutes, start.hour * 60 + start.minute + (0 if is_whole else 1))
    day = start.date()
    while datetime.combine(day, time()) < beyond:
        if index < len(calendar.minutes) and calendar.has_day(day):
            found = datetime.combine(day, time()) + timedelta(minutes=calendar.minutes[index])
            return found if found < beyond else None
        day, index = day + _DAY, 0
    return None


def _last_local(calendar: Calendar, start: datetime, beyond: datetime) -> datetime | None:
    """The last matching minute in [start, beyond) of a wall clock that runs without a change."""
    latest = beyond - _INSTANT
    index = bisect_right(calendar.minutes, latest.hour * 60 + latest.minute) - 1
    day = latest.date()
    while day >= start.date():
        if index >= 0 and calendar.has_day(day):
            found = datetime.combine(day, time()) + timedelta(minutes=calendar.minutes[index])
            return found if found >= start else None
        day, index = day - _DAY, len(calendar.minutes) - 1
    return None


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _wall(instant: datetime, offset: timedelta) -> datetime:
    return instant.replace(tzinfo=None) + offset


def _offset_at(instant: datetime, zone: tzinfo) -> timedelta:
    offset = instant.astimezone(zone).utcoffset()
    assert offset is not None, f"zone {zone} has no offset at {instant}"
    return offset
