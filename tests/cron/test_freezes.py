"""Freeze windows as pure arithmetic: which instants lie in one, and when that changes."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.cron.freezes import Frost, frost_at
from reconciler.model.own_kinds import FreezeWindow

HOUR = 3600
WEEKEND = FreezeWindow("0 18 * * 5", 62 * HOUR, "Europe/Berlin", "weekend")


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "until", "next_at"),
    [
        ("2026-03-06T16:59:59", None, "2026-03-06T17:00:00"),
        ("2026-03-06T17:00:00", "2026-03-09T07:00:00", "2026-03-09T07:00:00"),
        ("2026-03-09T06:59:59", "2026-03-09T07:00:00", "2026-03-09T07:00:00"),
        ("2026-03-09T07:00:00", None, "2026-03-13T17:00:00"),
        ("2026-03-28T12:00:00", "2026-03-30T07:00:00", "2026-03-30T07:00:00"),  # 62 hours have passed, though it is 09:00 there
        ("2026-04-03T16:00:00", "2026-04-06T06:00:00", "2026-04-06T06:00:00"),
    ],
)
def test_a_window_has_its_first_instant_and_not_its_last(now, until, next_at):
    end = None if until is None else at(until)
    assert frost_at([WEEKEND], at(now)) == Frost(until=end, reason="weekend" if until else "", next_at=at(next_at))


def test_windows_that_overlap_or_touch_are_one_and_the_end_is_the_last_ones():
    windows = [FreezeWindow(f"0 {hour} * * *", 2 * HOUR, "UTC", f"from {hour}") for hour in (8, 9, 11)]
    assert frost_at(windows, at("2026-03-06T08:30:00")).until == at("2026-03-06T13:00:00")
    assert frost_at(windows, at("2026-03-06T13:00:00")).until is None


def test_without_windows_or_with_one_that_never_comes_nothing_is_ever_due():
    assert frost_at([], at("2026-03-06T00:00:00")) == Frost()
    assert frost_at([FreezeWindow("0 0 30 2 *", HOUR, "UTC", "")], at("2026-03-06T00:00:00")) == Frost()


def test_windows_that_never_end_are_looked_at_again_and_not_for_ever_at_once():
    frost = frost_at([FreezeWindow("0 * * * *", 2 * HOUR, "UTC", "always")], at("2026-03-06T00:30:00"))
    assert frost.until == frost.next_at > at("2026-03-08T00:00:00")


WINDOWS = st.builds(
    FreezeWindow,
    st.sampled_from(["0 18 * * 5", "30 2 * * *", "*/20 * * * *", "0 0 1 * *", "15 1 * 3,10 0"]),
    st.integers(1, 5 * 24 * HOUR),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"]),
    st.just("why"),
)


@given(st.lists(WINDOWS, max_size=3), st.integers(0, 365 * 24 * HOUR), st.integers(1, 10**6))
def test_nothing_changes_between_a_look_and_the_next_that_is_due(windows, offset, fraction):
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=offset)
    frost = frost_at(windows, now)
    assert frost.next_at is None or frost.next_at > now
    end = frost.next_at or now + timedelta(days=3)
    between = now + (end - now) * (fraction % 1000) / 1000
    assert (frost_at(windows, between).until is None) == (frost.until is None)
