"""How good expected starts were: each wait is guessed again with what was known when it began, and nothing more."""

from __future__ import annotations

import pytest

from reconciler.views.guesses import Accuracy, Hold, accuracy, judge
from reconciler.views.instants import epoch_s

NOON = epoch_s("2026-03-01T12:00:00.000000Z")


def chain(*lengths, asked=0.0, start=0.0):
    """Holds of a mutex one after the other, all asked for at one instant; in the order of their grants."""
    found, at = [], start
    for length in lengths:
        found.append(Hold(asked, at, at + length))
        at += length
    return found


def test_equal_holds_are_guessed_exactly():
    earlier = [Hold(10.0 * n, 10.0 * n, 10.0 * n + 10) for n in range(6)]
    waits = chain(*[10.0] * 6, asked=61.0, start=70.0)
    assert judge([*earlier, Hold(60.0, 60.0, 70.0), *waits][::-1], 1) == Accuracy(6, 0.0, 0.0)


def test_a_holder_that_took_longer_than_ever_shows_as_an_error_of_those_behind():
    earlier = [Hold(10.0 * n, 10.0 * n, 10.0 * n + 10) for n in range(6)]
    slow = Hold(60.0, 60.0, 160.0)
    waits = chain(*[10.0] * 5, asked=61.0, start=160.0)
    assert judge([*earlier, slow, *waits][::-1], 1) == Accuracy(5, 90.0, 90.0)


def test_what_ended_after_a_wait_began_was_not_known_then():
    later = chain(*[10.0] * 12, asked=0.0)
    assert judge(later[::-1], 1) is None


def test_of_two_units_the_first_that_comes_free_is_expected():
    earlier = [Hold(10.0 * n, 10.0 * n, 10.0 * n + 10) for n in range(6)]
    holders = [Hold(60.0, 60.0, 70.0), Hold(65.0, 65.0, 75.0)]
    waits = [Hold(66.0, start, start + 10) for start in (70.0, 75.0, 80.0, 85.0, 90.0)]
    assert judge([*earlier, *holders, *waits][::-1], 2) == Accuracy(5, 0.0, 0.0)


@pytest.mark.parametrize("count", [0, 4])
def test_with_few_waits_nothing_is_said(count):
    earlier = [Hold(10.0 * n, 10.0 * n, 10.0 * n + 10) for n in range(6)]
    waits = chain(*[10.0] * count, asked=61.0, start=70.0)
    assert judge([*earlier, Hold(60.0, 60.0, 70.0), *waits][::-1], 1) is None


def test_the_rows_of_a_lock_are_judged(rows, reader, minute):
    lock = rows.lock("m")
    spans = [(n, n, n + 1) for n in range(6)] + [(6, 6, 7)] + [(6, 7 + n, 8 + n) for n in range(6)]
    for number, (asked, granted, released) in enumerate(spans):
        rows.epoch += 1
        values = {"epoch": rows.epoch, "granted_at": minute(granted), "released_at": minute(released)}
        rows.claim(rows.run(f"r{number}", "Succeeded"), "released", [lock], at=minute(asked), **values)
    found = accuracy(reader, lock, 1)
    assert found is not None
    assert (found.waits, found.as_object()) == (6, {"count": 6, "p50ErrorSeconds": 0.0, "p95ErrorSeconds": 0.0})
    assert found.told() == "of its last 6 waits half began within 0s of what was expected, and 95 % within 0s"
