"""Retention of the record: whole segments go, the chain goes on from their heads, and the record itself says what is gone."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from loop_harness import job

from reconciler.clock import to_text
from reconciler.store.read import open_read
from reconciler.store.segments import MOST_AT_ONCE, Retention, close_segments, drop_segments
from reconciler.views.chain import Witness, check_chain, verdict_text

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SMALL = Retention(age=timedelta(days=30), rows=1000, segment_rows=10)


class Keeper:
    """A record over days."""

    def __init__(self, world):
        self.writer = world.writer
        self.path = world.path

    def write(self, count, day=0):
        with self.writer.write(to_text(NOON + timedelta(days=day))):
            for number in range(count):
                self.writer.journal(f"k{number}", run="ship")

    def sweep(self, keep=SMALL, day=0):
        """True if more is left to drop."""
        with self.writer.write(to_text(NOON + timedelta(days=day))):
            close_segments(self.writer, keep)
            return drop_segments(self.writer, keep)

    def segments(self):
        """(first, last, whether it is dropped) of each."""
        sql = "SELECT first_seq, last_seq, dropped_at IS NOT NULL FROM segment ORDER BY number"
        return self.writer.db.execute(sql).fetchall()

    def seqs(self):
        return [seq for (seq,) in self.writer.db.execute("SELECT seq FROM journal ORDER BY seq")]

    def verdict(self, *heads):
        reader = open_read(self.path)
        with reader:
            found = check_chain(reader, [Witness(head, "a friend") for head in heads])
        reader.close()
        return found

    def misfits(self, *heads):
        return [(found.kind, found.row) for found in self.verdict(*heads).misfits]


@pytest.fixture
def keeper(world):
    return Keeper(world)


def test_a_full_stretch_is_closed_and_the_rest_stays_open(keeper):
    keeper.write(25)
    keeper.sweep()
    assert keeper.segments() == [(1, 10, 0), (11, 20, 0)]
    keeper.sweep()
    assert keeper.segments() == [(1, 10, 0), (11, 20, 0)]
    assert keeper.misfits() == []


def test_an_old_stretch_is_closed_and_an_empty_one_never(keeper):
    keeper.write(3)
    keeper.sweep(day=1)
    assert keeper.segments() == []
    keeper.sweep(day=2)
    assert keeper.segments() == [(1, 3, 0)]
    before = keeper.writer.db.total_changes
    for day in range(3, 30):
        keeper.sweep(day=day)
    assert keeper.segments() == [(1, 3, 0)]
    assert keeper.writer.db.total_changes == before, "a home in which nothing happens writes nothing"


def test_old_segments_are_dropped_whole_and_the_record_says_so(keeper):
    keeper.write(20)
    keeper.sweep()
    keeper.write(5, day=31)
    keeper.sweep(day=33)
    assert keeper.segments() == [(1, 10, 1), (11, 20, 1), (21, 25, 0)]
    assert keeper.seqs() == [21, 22, 23, 24, 25, 26]
    head = keeper.writer.db.execute("SELECT head FROM segment WHERE number = 2").fetchone()[0]
    (detail,) = keeper.writer.db.execute("SELECT detail_json FROM journal WHERE kind = 'journal.dropped'").fetchone()
    assert json.loads(detail) == {
        "through": 20,
        "head": head.hex(),
        "rows": 20,
        "segments": [1, 2],
        "until": to_text(NOON),
        "reason": "retention: 30 days, 1000 rows",
    }


def test_a_record_whose_beginning_was_dropped_is_sound_and_goes_on(keeper):
    keeper.write(25)
    early = keeper.writer.head()
    keeper.sweep(day=2)
    keeper.write(7, day=40)
    assert keeper.sweep(day=42), "one more is left"
    keeper.sweep(day=42)
    late = keeper.writer.head()
    found = keeper.verdict(early, late)
    assert (found.misfits, found.first, found.dropped, found.agreed) == ((), 26, 3, 2)
    assert "rows 26 to 34 fit; 3 of 4 segments were dropped by retention; 2 heads kept elsewhere agree" in verdict_text(found, [])


def test_a_clock_that_was_set_wrong_for_an_hour_drops_nothing(keeper):
    keeper.write(25)
    keeper.sweep()
    keeper.write(2, day=4000)
    keeper.sweep(day=4000)
    keeper.sweep(day=4000)
    keeper.write(25)
    keeper.sweep()
    assert keeper.seqs() == list(range(1, 53))


def test_everything_may_be_dropped_and_numbers_never_come_again(keeper, world):
    keeper.write(10)
    keeper.sweep(Retention(rows=0, segment_rows=10))
    assert keeper.seqs() == [11]
    keeper.writer.db.execute("DELETE FROM journal")
    assert keeper.misfits() == [("tail", 11)]
    world.crash()
    keeper.writer = world.writer
    keeper.write(1)
    assert keeper.seqs() == [11]
    assert keeper.misfits() == [("missing", 1)]


def test_the_number_of_rows_is_a_bound_and_more_than_one_transaction_can_take_is_dropped_in_several(keeper):
    keep = replace(SMALL, rows=20)
    keeper.write(100)
    assert keeper.sweep(keep)
    assert len(keeper.seqs()) == 100 - 10 * MOST_AT_ONCE + 1
    while keeper.sweep(keep):
        pass
    assert len(keeper.seqs()) <= 20
    assert keeper.misfits() == []


def test_by_age_nothing_is_dropped_that_may_tell_of_an_open_claim(keeper, world):
    world.submit(job("m"), "holder")
    world.tick()
    asked = world.one("SELECT requested_at FROM claim")[0]
    day = (datetime.fromisoformat(asked) - NOON).days
    keeper.write(15, day=day)
    keeper.sweep(day=day)
    keeper.write(15, day=day + 400)
    count = len(keeper.seqs())
    keeper.sweep(day=day + 402)
    assert len(keeper.seqs()) == count
    keeper.sweep(replace(SMALL, rows=0), day=day + 402)
    assert len(keeper.seqs()) < count, "the number of rows is a bound, whatever is open"
    assert keeper.misfits() == []


FORGERIES = {
    "a segment that is only said to be dropped": (
        ["DELETE FROM journal WHERE seq <= 10", "UPDATE segment SET dropped_at = closed_at WHERE number = 1"],
        [("missing", 1)],
    ),
    "a segment with another head": (["UPDATE segment SET head = zeroblob(32) WHERE number = 2"], [("segment", 20)]),
    "a segment that is gone": (["DELETE FROM segment WHERE number = 1"], [("segment", 11)]),
    "a drop out of turn": (["UPDATE segment SET dropped_at = closed_at WHERE number = 2"], [("segment", 1), ("segment", 11)]),
    "no row at all": (["DELETE FROM journal"], [("tail", 10), ("tail", 20)]),
    "a tail that a segment knows": (["DELETE FROM journal WHERE seq > 15"], [("tail", 20)]),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_retention_is_found(keeper, name):
    statements, expected = FORGERIES[name]
    keeper.write(25)
    keeper.sweep()
    for statement in statements:
        keeper.writer.db.execute(statement)
    assert keeper.misfits() == expected


def test_a_retention_that_was_made_longer_by_hand_is_found(keeper):
    keeper.write(30)
    keeper.sweep()
    keeper.sweep(replace(SMALL, rows=25))
    assert keeper.misfits() == []
    keeper.writer.db.execute("UPDATE segment SET dropped_at = closed_at WHERE number = 2")
    keeper.writer.db.execute("DELETE FROM journal WHERE seq <= 20")
    assert keeper.misfits() == [("missing", 1)]


def test_a_sweep_of_the_loop_closes_and_drops_and_comes_again_soon_if_more_is_left(world, keeper):
    world.loop._options = replace(world.options, keep=Retention(rows=0, segment_rows=10))
    keeper.write(100)
    world.tick(601)
    assert world.one("SELECT count(*) FROM segment WHERE dropped_at IS NOT NULL")[0] == MOST_AT_ONCE
    while world.loop.pause_s() < 5:
        world.tick(1)
    assert world.one("SELECT count(*) FROM segment WHERE dropped_at IS NULL")[0] == 0
    assert keeper.misfits() == []


def test_segments_that_another_hand_bent_stop_nothing_else(world, keeper):
    world.loop._options = replace(world.options, keep=Retention(segment_rows=10))
    keeper.write(25)
    world.tick(601)
    world.writer.db.execute("UPDATE segment SET first_seq = 21, last_seq = 25 WHERE number = 1")
    keeper.write(10)
    world.submit(job("m"), "ship")
    world.clock.at += timedelta(seconds=601)
    world.loop.tick(world.runtime, world.effects)
    assert any("journal verify" in text for text in world.errors.texts)
    world.errors.texts.clear()
    world.exits("ship", "")
    assert world.one("SELECT phase FROM run WHERE name = 'ship'") == ("Succeeded",)
    assert "segment" in {kind for kind, _ in keeper.misfits()}


def test_a_crash_amid_retention_leaves_the_record_whole(world, keeper):
    world.loop._options = replace(world.options, keep=Retention(rows=0, segment_rows=10))
    keeper.write(50)
    head = world.writer.head()
    for point in ("retention", "before-commit"):
        world.dying(point, lambda: world.tick(601))
        keeper.writer = world.writer
        world.loop._options = replace(world.options, keep=Retention(rows=0, segment_rows=10))
        assert keeper.misfits(head) == []
        assert len(keeper.seqs()) == 50
    world.tick(601)
    assert len(keeper.seqs()) < 50
    assert keeper.misfits(head) == []
