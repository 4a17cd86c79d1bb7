"""All schedules of one cron taken together: one line of UTC instants, each of them once. Never asks what time it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from itertools import islice

from reconciler.cron.schedule import (
    EPOCH,
    Every,
    Schedule,
    latest_between,
    load_zone,
    next_after,
    parse_schedule,
)
from reconciler.model.cron import CronSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Timetable:
    """The schedules of a cron with the zone they are read in and the instant that `@every` counts from."""

    schedules: tuple[Schedule, ...]
    zone: tzinfo
    anchor: datetime


def read_timetable(spec: CronSpec, *, local_zone: tzinfo, anchor: datetime = EPOCH) -> Timetable:
    """The timetable of `spec`; `local_zone` is the machine's, for a spec without one.

    Raises ValueError for the first thing that is wrong: no schedule, an unknown zone, one bad schedule of several, or a
    prefix beside `timezone` (Argo puts the zone in front of the schedule, and two prefixes do not parse). One bad part
    refuses the whole cron, as in Argo.
    """
    if not spec.schedules:
        raise ValueError("schedules is empty: a CronWorkflow needs at least one")
    zone = load_zone(spec.timezone) if spec.timezone else local_zone
    schedules = tuple(parse_schedule(text) for text in spec.schedules)
    for schedule in schedules:
        if spec.timezone and schedule.zone is not None:
            raise ValueError(
                f'schedule "{schedule.text}": has a zone of its own beside timezone "{spec.timezone}"; keep one of them'
            )
    return Timetable(schedules=schedules, zone=zone, anchor=anchor)


def next_tick(timetable: Timetable, after: datetime) -> datetime | None:
    """The first tick of any schedule later than `after`, None if none ever fires."""
    ticks = (next_after(schedule, after, timetable.zone, anchor=timetable.anchor) for schedule in timetable.schedules)
    return min((tick for tick in ticks if tick is not None), default=None)


def latest_tick(timetable: Timetable, after: datetime, until: datetime) -> datetime | None:
    """The last tick of any schedule in (after, until], None if there is none."""
    ticks = (
        latest_between(schedule, after, until, timetable.zone, anchor=timetable.anchor) for schedule in timetable.schedules
    )
    return max((tick for tick in ticks if tick is not None), default=None)


def iterate_ticks(timetable: Timetable, after: datetime, until: datetime) -> Iterator[datetime]:
    """Every tick in (after, until], in the order of time, each once. Lazy: the caller bounds how many it takes."""
    tick = next_tick(timetable, after)
    while tick is not None and tick <= until:
        yield tick
        tick = next_tick(timetable, tick)


def count_ticks(timetable: Timetable, after: datetime, until: datetime, *, limit: int) -> int:
    """How many ticks lie in (after, until]; `limit` if there are as many or more. A lone `@every` is never walked."""
    match timetable.schedules:
        case (Schedule(rule=Every(pause=pause)),):
            start = timetable.anchor.replace(microsecond=0)
            passed = (until - start) // pause - (max(start, after) - start) // pause
            return max(0, min(limit, passed))
        case _:
            return sum(1 for _ in islice(iterate_ticks(timetable, after, until), limit))


def until_before(instant: datetime) -> datetime:
    """The latest bound that does not include `instant`: intervals here are open below and closed above."""
    return instant - timedelta.resolution
