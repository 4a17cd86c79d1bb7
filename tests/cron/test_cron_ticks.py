"""What a due tick does: one table per rule, then properties over any sequence of looks."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.cron.ticks import COUNT_LIMIT, GRACE, decide_ticks, history_to_remove, run_name
from reconciler.cron.timetable import count_ticks, iterate_ticks, latest_tick, next_tick, read_timetable
from reconciler.model.concurrency import ActiveRun, ConcurrencyPolicy
from reconciler.model.cron import (
    CronSpec,
    FinishedRun,
    TickDecision,
    TickFacts,
    TickPlan,
    TickRecord,
    Withheld,
)

NOON = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOURLY = CronSpec(schedules=("0 * * * *",))
RUNNING = ActiveRun(name="nightly-1714557600", state_text="running")
QUEUED = ActiveRun(name="nightly-1714561200", state_text="waiting for lock db/prod")
BROKEN = ActiveRun(name="nightly-1714554000", state_text="failed", holds_for_failure=True)
FORBID, REPLACE = ConcurrencyPolicy.FORBID, ConcurrencyPolicy.REPLACE


def seconds(count):
    return timedelta(seconds=count)


def an_hourly(**changed):
    return replace(HOURLY, **changed)


def facts(**changed):
    """A cron seen for a year and last decided at 11:00, so that noon is the one tick due at noon."""
    known = TickFacts(watermark=NOON - HOUR, since=NOON - timedelta(days=365))
    return replace(known, **changed)


def decide(spec, known, now):
    return decide_ticks(spec, known, now=now, local_zone=UTC)


def a_record(decision, reason, *, at=NOON, first_at=None, count=1, **rest):
    first_at = at if first_at is None else first_at
    if count > 1:
        reason = f"{reason} ({count} ticks since 2024-05-01T{first_at:%H:%M:%SZ})"
    return TickRecord(decision=decision, reason=reason, first_at=first_at, last_at=at, count=count, **rest)


def a_plan(*records, watermark=NOON, next_at=NOON + HOUR):
    return TickPlan(records=records, watermark=watermark, next_at=next_at)


ON_TIME = a_record(TickDecision.RAN, "on time")
TOO_LATE_REASON = "more than 10 s late, and startingDeadlineSeconds is not set"
TOO_LATE = a_record(TickDecision.MISSED, TOO_LATE_REASON)


def test_nothing_is_due_between_two_ticks():
    assert decide(HOURLY, facts(), NOON - seconds(1)) == a_plan(watermark=NOON - HOUR, next_at=NOON)


@pytest.mark.parametrize("policy", list(ConcurrencyPolicy))
@pytest.mark.parametrize("lag", [seconds(0), seconds(0.5), GRACE])
def test_a_tick_seen_within_the_grace_runs_without_a_deadline(policy, lag):
    assert decide(an_hourly(concurrency_policy=policy), facts(), NOON + lag) == a_plan(ON_TIME)


@pytest.mark.parametrize("deadline", [None, timedelta(0)])
@pytest.mark.parametrize("active", [(), (RUNNING,)])
def test_a_missed_tick_is_not_run_without_a_deadline(deadline, active):
    spec = an_hourly(starting_deadline=deadline, concurrency_policy=FORBID)
    assert decide(spec, facts(active=active), NOON + GRACE + seconds(0.001)) == a_plan(TOO_LATE)


@pytest.mark.edge("E95")
@pytest.mark.parametrize(
    ("deadline_s", "decision", "reason"),
    [
        (35, TickDecision.CAUGHT_UP, "30 s late, within startingDeadlineSeconds 35"),
        (31, TickDecision.CAUGHT_UP, "30 s late, within startingDeadlineSeconds 31"),
        (30, TickDecision.MISSED, "later than startingDeadlineSeconds 30"),
        (25, TickDecision.MISSED, "later than startingDeadlineSeconds 25"),
    ],
)
def test_a_tick_missed_by_30_seconds_is_caught_up_within_the_deadline_only(deadline_s, decision, reason):
    spec = an_hourly(starting_deadline=seconds(deadline_s))
    assert decide(spec, facts(), NOON + seconds(30)) == a_plan(a_record(decision, reason))


def test_a_deadline_below_the_grace_does_not_shorten_it():
    assert decide(an_hourly(starting_deadline=seconds(5)), facts(), NOON + seconds(8)) == a_plan(ON_TIME)


def test_only_the_latest_of_several_missed_ticks_is_caught_up():
    spec = an_hourly(starting_deadline=timedelta(days=1))
    plan = decide(spec, facts(watermark=NOON - 6 * HOUR), NOON + timedelta(minutes=15))
    assert plan == a_plan(
        a_record(
            TickDecision.MISSED,
            "only the latest missed tick is run",
            first_at=NOON - 5 * HOUR,
            at=NOON - HOUR,
            count=5,
        ),
        a_record(TickDecision.CAUGHT_UP, "0:15:00 late, within startingDeadlineSeconds 86400"),
    )
    assert [record.creates_run for record in plan.records] == [False, True]


def test_ticks_older_than_an_on_time_one_are_missed_and_it_runs():
    plan = decide(HOURLY, facts(watermark=NOON - 2 * HOUR), NOON)
    missed = a_record(TickDecision.MISSED, "only the latest missed tick is run", at=NOON - HOUR)
    assert plan == a_plan(missed, ON_TIME)


def test_all_missed_ticks_beyond_the_deadline_are_one_record():
    plan = decide(HOURLY, facts(watermark=NOON - 10 * HOUR), NOON + seconds(60))
    assert plan == a_plan(a_record(TickDecision.MISSED, TOO_LATE_REASON, first_at=NOON - 9 * HOUR, count=10))


@pytest.mark.parametrize("schedule", ["* * * * *", "@every 1s"])
def test_a_year_away_makes_one_record_with_a_bounded_count_and_one_run(schedule):
    known = facts(watermark=NOON - timedelta(days=365), since=NOON - timedelta(days=400))
    plan = decide(CronSpec(schedules=(schedule,)), known, NOON)
    missed, ran = plan.records
    assert ran == ON_TIME
    assert (missed.decision, missed.count, missed.is_exact) == (TickDecision.MISSED, COUNT_LIMIT, False)
    since = f"{missed.first_at:%Y-%m-%dT%H:%M:%SZ}"
    assert missed.reason == f"only the latest missed tick is run (1000 or more ticks since {since})"
    assert missed.first_at > known.watermark
    assert missed.last_at < NOON


def test_a_count_at_the_limit_is_exact():
    known = facts(watermark=NOON - timedelta(minutes=COUNT_LIMIT + 1))
    missed = decide(CronSpec(schedules=("* * * * *",)), known, NOON).records[0]
    assert (missed.count, missed.is_exact) == (COUNT_LIMIT, True)


@pytest.mark.parametrize("since", [NOON, NOON + seconds(5)])
def test_nothing_up_to_the_first_sight_of_a_cron_is_due(since):
    plan = decide(an_hourly(starting_deadline=HOUR), TickFacts(watermark=None, since=since), since)
    assert plan == a_plan(watermark=None)


def test_the_first_tick_after_the_first_sight_runs():
    assert decide(HOURLY, TickFacts(watermark=None, since=NOON - seconds(1)), NOON) == a_plan(ON_TIME)


def test_an_edited_schedule_never_makes_a_time_before_the_edit_due():
    edited = CronSpec(schedules=("30 * * * *",), starting_deadline=HOUR)
    plan = decide(edited, facts(since=NOON - timedelta(minutes=10)), NOON)
    assert plan == a_plan(watermark=NOON - HOUR, next_at=NOON + timedelta(minutes=30))


def test_every_counts_from_the_first_sight_and_not_from_the_last_run():
    since = NOON - timedelta(minutes=100)
    plan = decide(CronSpec(schedules=("@every 50m",)), facts(since=since, watermark=NOON - timedelta(minutes=20)), NOON)
    assert plan == a_plan(ON_TIME, next_at=NOON + timedelta(minutes=50))


def test_two_schedules_on_one_instant_are_one_tick():
    spec = CronSpec(schedules=("0 * * * *", "0 12 * * *", "TZ=Europe/Berlin 0 14 * * *"))
    assert decide(spec, facts(), NOON) == a_plan(ON_TIME)


def test_the_next_look_is_the_earliest_of_all_schedules():
    spec = CronSpec(schedules=("0 0 30 2 *", "45 * * * *", "15 * * * *"))
    plan = decide(spec, facts(watermark=NOON), NOON)
    assert plan == a_plan(next_at=NOON + timedelta(minutes=15))


def test_a_schedule_that_never_fires_is_never_due():
    plan = decide(CronSpec(schedules=("0 0 30 2 *",)), facts(), NOON)
    assert plan == a_plan(watermark=NOON - HOUR, next_at=None)


@pytest.mark.parametrize(
    ("active", "reason"),
    [
        ((RUNNING,), "run nightly-1714557600 is running"),
        ((QUEUED,), "run nightly-1714561200 is waiting for lock db/prod"),
        ((BROKEN,), "run nightly-1714554000 is failed and holds its locks for the failure"),
        (
            (BROKEN, RUNNING, QUEUED, RUNNING, RUNNING),
            (
                "run nightly-1714554000 is failed and holds its locks for the failure; "
                "run nightly-1714557600 is running; run nightly-1714561200 is waiting for lock db/prod; "
                "and 2 more"
            ),
        ),
    ],
)
def test_forbid_skips_behind_an_active_run_and_names_it(active, reason):
    plan = decide(an_hourly(concurrency_policy=FORBID), facts(active=active), NOON)
    assert plan == a_plan(a_record(TickDecision.FORBIDDEN, f"concurrencyPolicy Forbid: {reason}"))
    assert not plan.records[0].creates_run


@pytest.mark.edge("E85")
@pytest.mark.parametrize("deadline", [None, HOUR])
def test_a_forbidden_tick_is_not_run_when_the_active_run_ends(deadline):
    spec = an_hourly(concurrency_policy=FORBID, starting_deadline=deadline)
    forbidden = decide(spec, facts(active=(RUNNING,)), NOON)
    later = decide(spec, facts(watermark=forbidden.watermark), NOON + seconds(5))
    assert later == a_plan()


def test_forbid_applies_to_a_late_tick_too():
    spec = an_hourly(concurrency_policy=FORBID, starting_deadline=HOUR)
    plan = decide(spec, facts(active=(RUNNING,)), NOON + seconds(60))
    reason = "concurrencyPolicy Forbid: run nightly-1714557600 is running"
    assert plan == a_plan(a_record(TickDecision.FORBIDDEN, reason))


def test_forbid_runs_when_the_last_run_has_ended_or_was_deleted():
    assert decide(an_hourly(concurrency_policy=FORBID), facts(active=()), NOON) == a_plan(ON_TIME)


def test_replace_terminates_every_active_run_and_creates_one():
    plan = decide(an_hourly(concurrency_policy=REPLACE), facts(active=(BROKEN, QUEUED)), NOON)
    reason = (
        "on time; concurrencyPolicy Replace: run nightly-1714554000 is failed and holds its locks for the failure; "
        "run nightly-1714561200 is waiting for lock db/prod"
    )
    replaced = a_record(TickDecision.REPLACED, reason, terminate=(BROKEN.name, QUEUED.name))
    assert plan == a_plan(replaced)
    assert plan.records[0].creates_run


def test_replace_with_a_deadline_never_replaces_its_own_run():
    spec = an_hourly(concurrency_policy=REPLACE, starting_deadline=HOUR)
    first = decide(spec, facts(active=(RUNNING,)), NOON + seconds(60))
    reason = "60 s late, within startingDeadlineSeconds 3600; concurrencyPolicy Replace: run nightly-1714557600 is running"
    assert first == a_plan(a_record(TickDecision.REPLACED, reason, terminate=(RUNNING.name,)))
    own = ActiveRun(name=run_name("nightly", NOON), state_text="running")
    assert decide(spec, facts(watermark=first.watermark, active=(RUNNING, own)), NOON + seconds(61)) == a_plan()


def test_allow_runs_beside_an_active_run():
    assert decide(HOURLY, facts(active=(RUNNING, BROKEN)), NOON) == a_plan(ON_TIME)


@pytest.mark.parametrize("decision", [TickDecision.WHEN_FALSE, TickDecision.ERROR])
def test_a_withheld_run_is_recorded_before_the_policy_is_asked(decision):
    withheld = Withheld(decision=decision, reason="when: 1 > 2 is false")
    spec = an_hourly(concurrency_policy=REPLACE)
    plan = decide(spec, facts(withheld=withheld, active=(RUNNING,)), NOON)
    assert plan == a_plan(a_record(decision, "when: 1 > 2 is false"))
    assert not plan.records[0].creates_run


def test_a_suspended_cron_records_its_ticks_as_one_and_asks_for_no_wake_up():
    plan = decide(an_hourly(suspend=True), facts(watermark=NOON - 3 * HOUR), NOON)
    record = a_record(TickDecision.SUSPENDED, "suspended", first_at=NOON - 2 * HOUR, count=3)
    assert plan == a_plan(record, next_at=None)


def test_ticks_inside_the_deadline_stay_open_during_a_suspension():
    spec = an_hourly(suspend=True, starting_deadline=90 * timedelta(minutes=1))
    plan = decide(spec, facts(watermark=NOON - 3 * HOUR), NOON)
    record = a_record(TickDecision.SUSPENDED, "suspended", at=NOON - 2 * HOUR)
    assert plan == a_plan(record, watermark=NOON - 2 * HOUR, next_at=None)


def test_resuming_inside_the_deadline_runs_the_latest_tick_once():
    spec, resumed_at = an_hourly(starting_deadline=90 * timedelta(minutes=1)), NOON + seconds(30)
    plan = decide(spec, facts(watermark=NOON - 2 * HOUR, resumed_at=resumed_at), resumed_at)
    assert plan == a_plan(
        a_record(TickDecision.SUSPENDED, "suspended at the time", at=NOON - HOUR),
        a_record(TickDecision.CAUGHT_UP, "30 s late, within startingDeadlineSeconds 5400"),
    )
    assert decide(spec, facts(watermark=plan.watermark, resumed_at=resumed_at), resumed_at) == a_plan()


@pytest.mark.parametrize("resumed_at", [NOON, NOON + seconds(2)])
def test_resuming_right_after_a_tick_without_a_deadline_does_not_run_it(resumed_at):
    plan = decide(HOURLY, facts(resumed_at=resumed_at), resumed_at)
    assert plan == a_plan(a_record(TickDecision.SUSPENDED, "suspended at the time"))


def test_ticks_after_a_suspension_are_missed_and_those_within_it_suspended():
    known = facts(watermark=NOON - 4 * HOUR, resumed_at=NOON - 90 * timedelta(minutes=1))
    assert decide(HOURLY, known, NOON + seconds(60)) == a_plan(
        a_record(
            TickDecision.SUSPENDED,
            "suspended at the time",
            first_at=NOON - 3 * HOUR,
            at=NOON - 2 * HOUR,
            count=2,
        ),
        a_record(TickDecision.MISSED, TOO_LATE_REASON, first_at=NOON - HOUR, count=2),
    )


def test_an_old_suspension_changes_nothing():
    assert decide(HOURLY, facts(resumed_at=NOON - timedelta(days=9)), NOON) == a_plan(ON_TIME)


@pytest.mark.parametrize("suspend", [False, True])
def test_a_stopped_cron_records_why_and_asks_for_no_wake_up(suspend):
    plan = decide(an_hourly(suspend=suspend), facts(stopped="stopStrategy: succeeded >= 1"), NOON)
    assert plan == a_plan(a_record(TickDecision.STOPPED, "stopStrategy: succeeded >= 1"), next_at=None)


def test_a_clock_that_goes_back_repeats_no_tick():
    assert decide(HOURLY, facts(watermark=NOON), NOON - 3 * HOUR) == a_plan()
    assert decide(an_hourly(suspend=True), facts(watermark=NOON), NOON - 3 * HOUR) == a_plan(next_at=None)


@pytest.mark.edge("E97")
@pytest.mark.parametrize(("lag", "is_run"), [(seconds(0), True), (seconds(11), False)])
def test_both_of_two_repeated_local_times_run(lag, is_run):
    berlin = CronSpec(schedules=("30 2 * * *",), timezone="Europe/Berlin")
    first = datetime(2024, 10, 27, 0, 30, tzinfo=UTC)
    known = TickFacts(watermark=first - HOUR, since=first - timedelta(days=9))
    for tick in (first, first + HOUR):
        plan = decide(berlin, known, tick + lag)
        assert [(r.last_at, r.creates_run) for r in plan.records] == [(tick, is_run)]
        known = replace(known, watermark=plan.watermark)


def test_a_local_zone_serves_a_spec_without_one():
    kolkata = ZoneInfo("Asia/Kolkata")
    plan = decide_ticks(CronSpec(schedules=("30 17 * * *",)), facts(), now=NOON, local_zone=kolkata)
    assert plan == a_plan(ON_TIME, next_at=NOON + timedelta(days=1))


@pytest.mark.edge("E99")
@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (CronSpec(schedules=()), "schedules is empty: a CronWorkflow needs at least one"),
        (
            CronSpec(schedules=("0 * * * *", "61 * * * *")),
            'schedule "61 * * * *": minute 61 is not in 0-59',
        ),
        (
            CronSpec(schedules=("0 * * * *",), timezone="Mars/Base"),
            'time zone "Mars/Base" is not known; use an IANA name such as Europe/Berlin',
        ),
        (
            CronSpec(schedules=("0 * * * *", "TZ=UTC @daily"), timezone="Europe/Berlin"),
            'schedule "TZ=UTC @daily": has a zone of its own beside timezone "Europe/Berlin"; keep one of them',
        ),
    ],
)
def test_one_wrong_part_refuses_the_whole_cron(spec, message):
    with pytest.raises(ValueError) as caught:
        read_timetable(spec, local_zone=UTC)
    assert str(caught.value) == message
    with pytest.raises(ValueError):
        decide(spec, facts(), NOON)


def test_the_ticks_of_a_timetable_are_listed_in_order_each_once():
    table = read_timetable(CronSpec(schedules=("0 * * * *", "*/30 13 * * *")), local_zone=UTC)
    ticks = [tick.strftime("%H:%M") for tick in iterate_ticks(table, NOON, NOON + 3 * HOUR)]
    assert ticks == ["13:00", "13:30", "14:00", "15:00"]
    assert latest_tick(table, NOON, NOON + 2 * HOUR - seconds(1)) == NOON + 90 * timedelta(minutes=1)


@settings(deadline=None)
@given(st.integers(-500, 500), st.integers(-500, 500), st.integers(1, 90), st.integers(1, 30))
def test_a_lone_every_is_counted_as_it_would_be_walked(after_s, until_s, pause_s, limit):
    table = read_timetable(CronSpec(schedules=(f"@every {pause_s}s",)), local_zone=UTC, anchor=NOON + seconds(0.9))
    after, until = NOON + seconds(after_s), NOON + seconds(until_s)
    walked = len(list(iterate_ticks(table, after, until)))
    assert count_ticks(table, after, until, limit=limit) == min(limit, walked)


SPECS = st.builds(
    CronSpec,
    schedules=st.lists(
        st.sampled_from(["* * * * *", "*/7 * * * *", "0 * * * *", "@every 45s", "@every 3s"]),
        min_size=1,
        max_size=2,
    ).map(tuple),
    concurrency_policy=st.sampled_from(list(ConcurrencyPolicy)),
    starting_deadline=st.sampled_from([None, seconds(5), seconds(90), HOUR]),
    suspend=st.booleans(),
)
LOOKS = st.lists(
    st.tuples(
        st.integers(-20, 700).map(seconds),
        SPECS,
        st.sampled_from([(), (RUNNING,), (BROKEN, QUEUED)]),
        st.sampled_from([None, -30, 0, 30]),
    ),
    min_size=1,
    max_size=6,
)


@settings(deadline=None, max_examples=150)
@given(LOOKS)
def test_whatever_is_looked_at_no_instant_is_decided_twice(looks):
    now, watermark, decided_to = NOON, None, NOON
    for step, spec, active, resumed in looks:
        now += step
        resumed_at = None if resumed is None else now + seconds(resumed)
        known = TickFacts(watermark=watermark, since=NOON, active=active, resumed_at=resumed_at)
        plan = decide(spec, known, now)
        for record in plan.records:
            assert decided_to < record.first_at <= record.last_at <= now
            decided_to = record.last_at
        assert sum(record.creates_run for record in plan.records) <= (0 if spec.suspend else 1)
        assert all(record.count == 1 for record in plan.records if record.creates_run)
        assert plan.next_at is None or plan.next_at > now
        watermark = plan.watermark
        again = decide(spec, replace(known, watermark=watermark), now)
        assert again == replace(plan, records=())


@settings(deadline=None, max_examples=150)
@given(SPECS, st.integers(0, 4000), st.sampled_from([(), (RUNNING,)]), st.sampled_from([None, 100, 2000]))
def test_an_awake_cron_decides_every_tick_up_to_now_exactly_once(spec, away_s, active, resumed):
    now, known = NOON + seconds(away_s), TickFacts(watermark=NOON, since=NOON, active=active)
    if resumed is not None:
        known = replace(known, resumed_at=NOON + seconds(resumed))
    awake = replace(spec, suspend=False)
    table = read_timetable(awake, local_zone=UTC, anchor=NOON)
    plan = decide(awake, known, now)
    ticks = list(iterate_ticks(table, NOON, now))
    assert all(record.is_exact or record.count == COUNT_LIMIT for record in plan.records)
    if all(record.is_exact for record in plan.records):
        assert sum(record.count for record in plan.records) == len(ticks)
    assert [plan.records[0].first_at, plan.records[-1].last_at] == [ticks[0], ticks[-1]] if ticks else not plan.records
    assert plan.next_at == next_tick(table, now)


def test_a_run_is_named_after_its_tick():
    assert run_name("nightly", NOON) == "nightly-1714564800"
    assert run_name("nightly", NOON.astimezone(ZoneInfo("Asia/Kolkata"))) == "nightly-1714564800"


def finished(name, minutes_ago, *, succeeded=True, is_pinned=False):
    finished_at = NOON - timedelta(minutes=minutes_ago)
    return FinishedRun(name=name, finished_at=finished_at, succeeded=succeeded, is_pinned=is_pinned)


GOOD = tuple(finished(f"good-{n}", n) for n in (4, 1, 5, 2, 3))
BAD = tuple(finished(f"bad-{n}", n, succeeded=False) for n in (2, 3, 1))


@pytest.mark.parametrize(
    ("successful_limit", "failed_limit", "removed"),
    [
        (3, 1, ("good-4", "good-5", "bad-2", "bad-3")),
        (-1, -7, ("good-4", "good-5", "bad-2", "bad-3")),
        (0, 0, ("good-1", "good-2", "good-3", "good-4", "good-5", "bad-1", "bad-2", "bad-3")),
        (5, 3, ()),
        (99, 2, ("bad-3",)),
    ],
)
def test_history_keeps_the_newest_of_each_kind(successful_limit, failed_limit, removed):
    found = history_to_remove(GOOD + BAD, successful_limit=successful_limit, failed_limit=failed_limit)
    assert found == removed


def test_the_default_history_is_three_successful_and_one_failed():
    assert history_to_remove(GOOD + BAD) == ("good-4", "good-5", "bad-2", "bad-3")


def test_a_run_that_holds_or_waits_is_never_removed_and_takes_a_place():
    runs = (finished("held-new", 1, is_pinned=True), finished("b", 2), finished("held-old", 3, is_pinned=True))
    assert history_to_remove(runs, successful_limit=1) == ("b",)
    assert history_to_remove(runs, successful_limit=0) == ("b",)


def test_runs_finished_at_one_instant_are_removed_in_a_stated_order():
    runs = (finished("a", 1), finished("c", 1), finished("b", 1))
    assert history_to_remove(runs, successful_limit=1) == ("b", "a")
