"""The one writer: whole transactions, epochs that never come back, an honest record."""

import sqlite3

import pytest
from loop_harness import job

from reconciler.clock import to_text
from reconciler.errors import Refused, Unreachable
from reconciler.store.writer import open_writer


class Broken(Exception):
    """Something went wrong half way."""


def fails(part, act):
    """Does something in a part of a transaction that breaks."""

    def whole():
        with part:
            act()

    with pytest.raises(Broken):
        whole()


def test_a_failed_transaction_leaves_no_row_and_no_mark(world):
    def act():
        world.writer.journal("test", run="x")
        world.writer.marks.run(7, "node")
        world.writer.marks.slots = True
        raise Broken

    fails(world.writer.write(to_text(world.clock.at)), act)
    assert world.journal("test") == []
    assert world.writer.marks.is_empty()


def test_a_part_can_fail_alone(world):
    with world.writer.write(to_text(world.clock.at)):
        world.writer.journal("kept", run="x")

        def act():
            world.writer.journal("lost", run="x")
            raise Broken

        fails(world.writer.savepoint(), act)
    assert (len(world.journal("kept")), world.journal("lost")) == (1, [])


def test_an_epoch_of_a_rolled_back_transaction_is_not_skipped_and_a_committed_one_never_returns(world):
    def act():
        world.writer.next_epoch()
        raise Broken

    fails(world.writer.write(to_text(world.clock.at)), act)
    with world.writer.write(to_text(world.clock.at)):
        used = world.writer.next_epoch()
    world.crash()
    with world.writer.write(to_text(world.clock.at)):
        assert world.writer.next_epoch() == used + 1


def test_epochs_grow_over_every_grant_and_crash(world):
    for number in range(4):
        world.submit(job("m"), f"r{number}")
    for number in range(4):
        world.crash()
        world.exits(f"r{number}", "")
    epochs = [row[0] for row in world.rows("SELECT epoch FROM claim ORDER BY granted_at, id")]
    assert epochs == sorted(set(epochs)) == list(range(1, 5))


def test_a_newer_schema_is_refused(world):
    world.writer.db.execute("PRAGMA user_version = 999")
    with pytest.raises(Refused, match="schema 999 is newer"):
        open_writer(world.path)


def test_a_file_that_is_no_database_is_named(tmp_path):
    path = tmp_path / "state.db"
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(Unreachable, match="could not be opened"):
        open_writer(str(path))


def test_a_second_connection_cannot_write_within_a_transaction(world):
    with world.writer.write(to_text(world.clock.at)):
        other = sqlite3.connect(world.path, timeout=0, isolation_level=None)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        other.close()
