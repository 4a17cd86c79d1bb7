from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from reconciler.cron.schedule import Calendar, Every, Schedule, load_zone, parse_schedule
from reconciler.model.duration import parse_go_duration

ALL_DAYS = frozenset(range(1, 32))
ALL_MONTHS = frozenset(range(1, 13))
ALL_WEEKDAYS = frozenset(range(7))
KNOWN = "@yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly, @every <duration>"
FIVE = "not the 5 of minute hour day-of-month month day-of-week"


def a_calendar(**changed: object) -> Calendar:
    values: dict[str, object] = {
        "minutes": (0,),
        "days": ALL_DAYS,
        "months": ALL_MONTHS,
        "weekdays": ALL_WEEKDAYS,
        "either_day": False,
    }
    return Calendar(**{**values, **changed})  # type: ignore[arg-type]


CALENDARS = [
    ("0 0 * * *", a_calendar()),
    ("  0\t0  * * * ", a_calendar()),
    ("0 0 ? * ?", a_calendar()),
    ("* * * * *", a_calendar(minutes=tuple(range(1440)))),
    ("*/20 1,3 * * *", a_calendar(minutes=(60, 80, 100, 180, 200, 220))),
    ("5-20/5 0 * * *", a_calendar(minutes=(5, 10, 15, 20))),
    ("50/5 0 * * *", a_calendar(minutes=(50, 55))),
    ("0/999 0 * * *", a_calendar()),
    ("0 0 * jan-MAR,Dec *", a_calendar(months=frozenset({1, 2, 3, 12}))),
    ("0 0 * * mon-FRI", a_calendar(weekdays=frozenset({1, 2, 3, 4, 5}))),
    ("0 0 * * sun,6", a_calendar(weekdays=frozenset({0, 6}))),
    ("0 0 13 * 5", a_calendar(days=frozenset({13}), weekdays=frozenset({5}), either_day=True)),
    ("0 0 */1 * 5", a_calendar(weekdays=frozenset({5}))),
    ("0 0 */15 * 5", a_calendar(days=frozenset({1, 16, 31}), weekdays=frozenset({5}), either_day=True)),
    ("0 0 *,3 * 5", a_calendar(weekdays=frozenset({5}))),
    ("0 0 13 * ?", a_calendar(days=frozenset({13}))),
    ("@yearly", a_calendar(days=frozenset({1}), months=frozenset({1}))),
    ("@annually", a_calendar(days=frozenset({1}), months=frozenset({1}))),
    ("@monthly", a_calendar(days=frozenset({1}))),
    ("@weekly", a_calendar(weekdays=frozenset({0}))),
    ("@daily", a_calendar()),
    ("@midnight", a_calendar()),
    ("@hourly", a_calendar(minutes=tuple(range(0, 1440, 60)))),
]


@pytest.mark.parametrize(("text", "calendar"), CALENDARS)
def test_five_fields_and_descriptors_are_read_as_argo_reads_them(text: str, calendar: Calendar) -> None:
    assert parse_schedule(text) == Schedule(text=text, zone=None, rule=calendar)


@pytest.mark.parametrize("prefix", ["CRON_TZ=", "TZ="])
@pytest.mark.parametrize("rest", ["0 0 * * *", " @daily"])
def test_a_zone_prefix_applies_to_fields_and_descriptors(prefix: str, rest: str) -> None:
    text = f"{prefix}Asia/Kolkata {rest}"
    assert parse_schedule(text) == Schedule(text=text, zone=ZoneInfo("Asia/Kolkata"), rule=a_calendar())


@pytest.mark.parametrize(
    ("text", "pause"),
    [
        ("@every 1h30m", timedelta(minutes=90)),
        ("@every 90s", timedelta(seconds=90)),
        ("@every 1.9s", timedelta(seconds=1)),
        ("@every 2500ms", timedelta(seconds=2)),
        ("@every 10ms", timedelta(seconds=1)),
    ],
)
def test_every_is_cut_to_whole_seconds_and_lasts_one_at_least(text: str, pause: timedelta) -> None:
    assert parse_schedule(text) == Schedule(text=text, zone=None, rule=Every(pause=pause))


ERRORS = [
    ("61 * * * *", "minute 61 is not in 0-59"),
    ("0 24 * * *", "hour 24 is not in 0-23"),
    ("0 0 0 * *", "day of month 0 is not in 1-31"),
    ("0 0 32 * *", "day of month 32 is not in 1-31"),
    ("0 0 * 13 *", "month 13 is not in 1-12"),
    ("0 0 * 0 *", "month 0 is not in 1-12"),
    ("0 0 * * 7", "day of week 7 is not in 0-6; Sunday is 0"),
    ("0 0 * * 5-7", "day of week 7 is not in 0-6; Sunday is 0"),
    ("0 5-3 * * *", "hour range 5-3 runs backwards"),
    ("0 0 * * fri-mon", "day of week range fri-mon runs backwards"),
    ("*/0 * * * *", "minute step 0 is not above 0"),
    ("*/ * * * *", 'minute step "" is not a number'),
    ("*/x * * * *", 'minute step "x" is not a number'),
    ("*/2/3 * * * *", 'minute step "2/3" is not a number'),
    ("1-2-3 * * * *", 'minute "2-3" is not a number'),
    ("-5 * * * *", 'minute "-5" is not a number'),
    ("5- * * * *", 'minute "5-" is not a number'),
    ("+5 * * * *", 'minute "+5" is not a number'),
    ("*-5 * * * *", 'minute "*" is not a number'),
    ("\u0665 * * * *", 'minute "\u0665" is not a number'),
    ("9999999999 * * * *", 'minute "9999999999" is not a number'),
    ("mon * * * *", 'minute "mon" is not a number'),
    ("0 0 L * *", 'day of month "L" is not a number'),
    ("0 0 15W * *", 'day of month "15W" is not a number'),
    ("0 0 * * 5#3", 'day of week "5#3" is not a number or a name'),
    ("0 0 * january *", 'month "january" is not a number or a name'),
    ("1,,2 * * * *", "minute has an empty list item"),
    ("1, * * * *", "minute has an empty list item"),
    ("", f"0 fields, {FIVE}"),
    ("* * * *", f"4 fields, {FIVE}"),
    ("0 * * * * *", f"6 fields, {FIVE}"),
    ("CRON_TZ=UTC", f"0 fields, {FIVE}"),
    ("CRON_TZ=UTC TZ=UTC * * * * *", f"6 fields, {FIVE}"),
    ("@Daily", f'descriptor "@Daily" is not known; use one of {KNOWN}'),
    ("@reboot", f'descriptor "@reboot" is not known; use one of {KNOWN}'),
    ("@every", f'descriptor "@every" is not known; use one of {KNOWN}'),
    ("@every 5", '"5" is not a duration like 1h30m'),
    ("@every 1h 30m", '"1h 30m" is not a duration like 1h30m'),
    ("@every 1d", '"1d" is not a duration like 1h30m'),
    ("@every 0s", "@every 0s is not a positive duration"),
    ("@every 1ns", "@every 1ns is not a positive duration"),
    ("@every -5m", "@every -5m is not a positive duration"),
    ("@every 9999999h", 'duration "9999999h" is longer than 292 years'),
    (
        "TZ=Mars/Base * * * * *",
        'time zone "Mars/Base" is not known; use an IANA name such as Europe/Berlin',
    ),
]


@pytest.mark.parametrize(("text", "clause"), ERRORS)
def test_a_wrong_schedule_is_refused_with_the_value_seen(text: str, clause: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_schedule(text)
    assert str(caught.value) == f'schedule "{text}": {clause}'


@pytest.mark.parametrize("name", ["", "Europe", "../UTC", "/etc/localtime", "europe berlin", "Nowhere", "a\0b"])
def test_a_name_that_is_no_zone_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not known; use an IANA name"):
        load_zone(name)


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("0", timedelta(0)),
        ("-0", timedelta(0)),
        ("1h2m3s4ms5us", timedelta(hours=1, minutes=2, seconds=3, microseconds=4005)),
        ("1.5h", timedelta(minutes=90)),
        (".5s", timedelta(milliseconds=500)),
        ("1.s", timedelta(seconds=1)),
        ("+2m", timedelta(minutes=2)),
        ("-1m1s", timedelta(seconds=-61)),
        ("1\u00b5s1\u03bcs", timedelta(microseconds=2)),
        ("1999ns", timedelta(microseconds=1)),
    ],
)
def test_go_durations_are_read(text: str, duration: timedelta) -> None:
    assert parse_go_duration(text) == duration


@pytest.mark.parametrize("text", ["", "-", "s", "1", "1 s", "1h-2m", "1e3s", "1hh", "\u0661s", "1" * 64 + "s"])
def test_what_go_does_not_read_as_a_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_go_duration(text)
    assert str(caught.value) == f'"{text}" is not a duration like 1h30m'
