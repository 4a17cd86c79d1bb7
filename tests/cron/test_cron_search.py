"""Ticks against a walk over every minute, which knows nothing of days, windows or offsets."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reconciler.cron.schedule import latest_between, next_after, parse_schedule

MINUTE = timedelta(minutes=1)
WALK = timedelta(days=3)

# Instants at or near which the clocks of a zone change: by an hour, by half an hour, at midnight, by a whole day.
CHANGES = {
    "Europe/Berlin": (datetime(2024, 3, 31, 1, tzinfo=UTC), datetime(2024, 10, 27, 1, tzinfo=UTC)),
    "America/New_York": (datetime(2024, 3, 10, 7, tzinfo=UTC), datetime(2024, 11, 3, 6, tzinfo=UTC)),
    "Australia/Lord_Howe": (datetime(2024, 10, 5, 15, 30, tzinfo=UTC), datetime(2024, 4, 6, 15, tzinfo=UTC)),
    "Asia/Kolkata": (datetime(2024, 2, 28, 18, 30, tzinfo=UTC), datetime(2024, 12, 31, 18, 30, tzinfo=UTC)),
    "Pacific/Apia": (datetime(2011, 12, 30, 10, tzinfo=UTC), datetime(2012, 3, 31, 14, tzinfo=UTC)),
    "America/St_Johns": (datetime(2006, 4, 2, 3, 31, tzinfo=UTC), datetime(2006, 10, 29, 2, 31, tzinfo=UTC)),
    "America/Sao_Paulo": (datetime(2017, 10, 15, 3, tzinfo=UTC), datetime(2018, 2, 18, 2, tzinfo=UTC)),
    "America/Havana": (datetime(2024, 3, 10, 5, tzinfo=UTC), datetime(2024, 11, 3, 5, tzinfo=UTC)),
    "UTC": (datetime(2024, 2, 29, tzinfo=UTC), datetime(2023, 2, 28, tzinfo=UTC)),
}


@st.composite
def fields(draw, lowest, highest):
    if draw(st.booleans()):
        return "*", set(range(lowest, highest + 1))
    numbers = draw(st.sets(st.integers(lowest, highest), min_size=1, max_size=4))
    return ",".join(map(str, sorted(numbers))), numbers


@st.composite
def schedules(draw):
    """Text and the predicate on a local time that it stands for, written from the rules and not from the parser."""
    minute, hour = draw(fields(0, 59)), draw(fields(0, 23))
    day, month = draw(fields(1, 31)), draw(fields(1, 12))
    weekday = draw(fields(0, 6))

    def fires_at(local):
        in_month, in_week = local.day in day[1], local.isoweekday() % 7 in weekday[1]
        open_day = "*" in (day[0], weekday[0])
        return (
            local.second == 0
            and local.minute in minute[1]
            and local.hour in hour[1]
            and local.month in month[1]
            and ((in_month and in_week) if open_day else (in_month or in_week))
        )

    return " ".join((minute[0], hour[0], day[0], month[0], weekday[0])), fires_at


@st.composite
def moments(draw):
    zone = draw(st.sampled_from(sorted(CHANGES)))
    change = draw(st.sampled_from(CHANGES[zone]))
    return zone, change + timedelta(seconds=draw(st.integers(-36 * 3600, 36 * 3600)))


def whole_minutes(start, count):
    first = start.replace(second=0, microsecond=0)
    return (first + MINUTE * number for number in range(count))


@settings(deadline=None, max_examples=300)
@given(schedules(), moments())
def test_the_next_tick_is_the_one_a_walk_over_minutes_finds(schedule, moment):
    text, fires_at = schedule
    zone, instant = ZoneInfo(moment[0]), moment[1]
    walked = (m for m in whole_minutes(instant, int(WALK / MINUTE)) if m > instant)
    expected = next((m for m in walked if fires_at(m.astimezone(zone))), None)
    found = next_after(parse_schedule(text), instant, zone)
    if expected is None:
        assert found is None or found >= instant.replace(second=0) + WALK
    else:
        assert found == expected


@settings(deadline=None, max_examples=300)
@given(schedules(), moments(), st.integers(0, int(WALK / MINUTE)))
def test_the_latest_tick_is_the_one_a_walk_over_minutes_finds(schedule, moment, length):
    text, fires_at = schedule
    zone, until = ZoneInfo(moment[0]), moment[1]
    after = until - MINUTE * length
    walked = [m for m in whole_minutes(after, length + 1) if after < m <= until]
    expected = max((m for m in walked if fires_at(m.astimezone(zone))), default=None)
    assert latest_between(parse_schedule(text), after, until, zone) == expected


@settings(deadline=None, max_examples=200)
@given(schedules(), moments(), st.integers(0, 400))
@example(("0 0 29 2 *", None), ("UTC", datetime(2024, 2, 28, tzinfo=UTC)), 400)
def test_walking_forwards_and_searching_backwards_agree(schedule, moment, days):
    rule, zone = parse_schedule(schedule[0]), ZoneInfo(moment[0])
    after = moment[1]
    found = next_after(rule, after, zone)
    until = after + timedelta(days=days)
    if found is None or found > until:
        assert latest_between(rule, after, until, zone) is None
    else:
        assert latest_between(rule, after, found, zone) == found
        latest = latest_between(rule, after, until, zone)
        assert found <= latest <= until
        following = next_after(rule, latest, zone)
        assert following is None or following > until


ARGO_DST = [  # Argo: docs/cron-workflows.md, Daylight Saving, for America/Los_Angeles
    ("59 1 * * *", "2020-03-08T00:00-08:00", ("03-08T09:59", "03-09T08:59", "03-10T08:59")),
    ("0 2 * * *", "2020-03-08T00:00-08:00", ("03-09T09:00", "03-10T09:00", "03-11T09:00")),
    ("1 2 * * *", "2020-03-08T00:00-08:00", ("03-09T09:01", "03-10T09:01", "03-11T09:01")),
    ("59 1 * * *", "2020-11-01T00:00-07:00", ("11-01T08:59", "11-01T09:59", "11-02T09:59")),
    ("0 2 * * *", "2020-11-01T00:00-07:00", ("11-01T10:00", "11-02T10:00", "11-03T10:00")),
    ("1 2 * * *", "2020-11-01T00:00-07:00", ("11-01T10:01", "11-02T10:01", "11-03T10:01")),
]


@pytest.mark.edge("E97")
@pytest.mark.parametrize(("text", "start", "expected"), ARGO_DST)
def test_skipped_local_times_do_not_run_and_repeated_ones_run_twice(text, start, expected):
    rule, instant = parse_schedule(f"CRON_TZ=America/Los_Angeles {text}"), datetime.fromisoformat(start)
    found = []
    for _ in expected:
        instant = next_after(rule, instant, UTC)
        found.append(instant)
    assert [moment.strftime("%m-%dT%H:%M") for moment in found] == list(expected)
    assert all(moment.tzinfo is UTC for moment in found)


@pytest.mark.parametrize(
    ("text", "after", "expected"),
    [
        ("* * * * *", "2024-01-01T00:00:00", "2024-01-01T00:01:00"),
        ("* * * * *", "2024-01-01T00:00:59.999999", "2024-01-01T00:01:00"),
        ("* * * * *", "2024-12-31T23:59:00", "2025-01-01T00:00:00"),
        ("0 0 29 2 *", "2024-03-01T00:00:00", "2028-02-29T00:00:00"),
        ("0 0 29 2 *", "2096-03-01T00:00:00", "2104-02-29T00:00:00"),
        ("0 0 31 * *", "2024-01-31T00:00:00", "2024-03-31T00:00:00"),
        ("0 0 13 * 5", "2024-09-10T00:00:00", "2024-09-13T00:00:00"),
        ("0 0 13 * 5", "2024-09-13T00:00:00", "2024-09-20T00:00:00"),
        ("0 0 30 2 *", "2024-01-01T00:00:00", None),
        ("0 0 31 4,6,9,11 *", "2024-01-01T00:00:00", None),
        ("0 0 1 1 *", "9998-06-01T00:00:00", None),
    ],
)
def test_the_next_tick_is_later_than_the_instant_or_none(text, after, expected):
    instant = datetime.fromisoformat(after).replace(tzinfo=UTC)
    wanted = None if expected is None else datetime.fromisoformat(expected).replace(tzinfo=UTC)
    assert next_after(parse_schedule(text), instant, UTC) == wanted


def test_a_day_that_a_zone_leaves_out_has_no_ticks():
    apia = ZoneInfo("Pacific/Apia")
    before = datetime(2011, 12, 29, 12, tzinfo=apia)
    found = next_after(parse_schedule("0 12 * * *"), before, apia)
    assert found.astimezone(apia).isoformat() == "2011-12-31T12:00:00+14:00"


def test_repeated_minutes_around_midnight_come_in_the_order_of_time():
    """St John's went from 00:01 back to 23:01: the repeated evening lies after the first minute of the next day."""
    zone = ZoneInfo("America/St_Johns")
    rule, instant = parse_schedule("0,30 0,23 * * *"), datetime(2006, 10, 29, 2, 0, tzinfo=UTC)
    found = []
    for _ in range(4):
        instant = next_after(rule, instant, zone)
        found.append(instant.astimezone(zone).isoformat())
    assert found == [
        "2006-10-29T00:00:00-02:30",
        "2006-10-28T23:30:00-03:30",
        "2006-10-29T00:00:00-03:30",
        "2006-10-29T00:30:00-03:30",
    ]


ANCHOR = datetime(2024, 5, 1, 12, 0, 7, 900_000, tzinfo=UTC)
COUNTED = ANCHOR.replace(microsecond=0)


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (COUNTED - timedelta(days=1), timedelta(seconds=90)),
        (COUNTED, timedelta(seconds=90)),
        (COUNTED + timedelta(seconds=89), timedelta(seconds=90)),
        (COUNTED + timedelta(seconds=90), timedelta(seconds=180)),
        (COUNTED + timedelta(days=365), timedelta(days=365, seconds=90)),
    ],
)
def test_every_counts_from_the_whole_second_of_its_anchor(after, expected):
    rule = parse_schedule("@every 1m30.7s")
    assert next_after(rule, after, UTC, anchor=ANCHOR) == COUNTED + expected


@pytest.mark.parametrize(
    ("after_s", "until_s", "expected_s"),
    [(-90, 89, None), (0, 90, 90), (0, 179, 90), (90, 179, None), (90, 180, 180), (0, 90 * 10**6, 90 * 10**6)],
)
def test_the_latest_tick_of_every_is_computed_from_its_anchor(after_s, until_s, expected_s):
    after, until = (COUNTED + timedelta(seconds=s) for s in (after_s, until_s))
    expected = None if expected_s is None else COUNTED + timedelta(seconds=expected_s)
    assert latest_between(parse_schedule("@every 90s"), after, until, UTC, anchor=ANCHOR) == expected


class CountingZone(ZoneInfo):
    """Counts how often anybody asks for an offset, which every step of a search has to."""

    asked = 0

    def utcoffset(self, moment):
        CountingZone.asked += 1
        return super().utcoffset(moment)


@pytest.mark.edge("E108")
@pytest.mark.parametrize("years", [1, 1000])
def test_a_search_over_years_asks_the_zone_as_often_as_one_over_a_day(years):
    zone, until = CountingZone.no_cache("Europe/Berlin"), datetime(2024, 5, 1, 12, 0, 30, tzinfo=UTC)
    CountingZone.asked = 0
    found = latest_between(parse_schedule("* * * * *"), until - timedelta(days=365 * years), until, zone)
    assert (found, CountingZone.asked <= 10) == (until.replace(second=0), True)
