"""What the database itself refuses, whatever a program asks of it."""

import sqlite3

import pytest
from loop_harness import job, pod, spec, steps

T = "'2026-03-01T12:00:00.000000Z'"


@pytest.fixture
def two_runs(world):
    """A holder and a waiter of mutex m, and a failed run that has ended."""
    world.submit(job("m"), "holder")
    world.submit(job("m"), "waiter")
    world.submit(job(), "ended")
    world.exits("ended", "", 1)
    return world


def refused(world, sql):
    """The text of the constraint that forbids the statement."""
    with pytest.raises(sqlite3.IntegrityError) as seen:
        world.writer.db.execute(sql)
    return str(seen.value)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE claim_lock SET state = 'held' WHERE state = 'waiting'",  # a second holder of a mutex
        "UPDATE lock SET capacity = 2 WHERE kind = 'Mutex'",
        "UPDATE lock SET capacity = NULL WHERE kind = 'Mutex'",
        "UPDATE lock SET kind = 'Semaphore'",
        "UPDATE lock SET blocked_head = 2",
        "INSERT INTO lock (key, kind, namespace, name, capacity) SELECT key, kind, namespace, name, capacity FROM lock",
        # one open claim of an owner
        ("INSERT INTO claim (run_id, level, state, queue_order, requested_at)"
        f" SELECT run_id, 'run', 'waiting', 1, {T} FROM claim WHERE state = 'waiting'"),
        ("INSERT INTO claim (run_id, level, state, queue_order, requested_at)"
        f" SELECT run_id, 'run', 'waiting', 1, {T} FROM claim WHERE state = 'held'"),
        # an epoch belongs to one grant, and a grant has one
        f"UPDATE claim SET state = 'held', granted_at = {T}, epoch = (SELECT max(epoch) FROM claim) WHERE state = 'waiting'",
        f"UPDATE claim SET state = 'held', granted_at = {T} WHERE state = 'waiting'",
        "UPDATE claim SET epoch = NULL WHERE state = 'held'",
        "UPDATE claim SET granted_at = NULL WHERE state = 'held'",
        # states of a claim and their instants
        "UPDATE claim SET state = 'released' WHERE state = 'held'",
        f"UPDATE claim SET released_at = {T} WHERE state = 'held'",
        "UPDATE claim SET state = 'lost' WHERE state = 'held'",
        "UPDATE claim SET level = 'node'",
        "UPDATE claim SET node_id = 1",
        "UPDATE claim SET level = 'team'",
        "UPDATE claim_lock SET state = 'lost'",
        "UPDATE claim_lock SET nested = -1",
        "UPDATE claim_lock SET mutex = 2",
        "INSERT INTO claim_lock SELECT * FROM claim_lock",
        # runs
        "UPDATE run SET phase = 'Skipped'",
        "UPDATE run SET phase = 'succeeded'",
        "UPDATE run SET finished_at = NULL WHERE name = 'ended'",
        f"UPDATE run SET finished_at = {T} WHERE name = 'holder'",
        "UPDATE run SET phase = 'Succeeded' WHERE name = 'holder'",
        "UPDATE run SET started_at = NULL WHERE name = 'holder'",
        "UPDATE run SET name = 'holder' WHERE name = 'waiter'",
        "UPDATE run SET shutdown = 'Kill'",
        "UPDATE run SET origin = 'elsewhere'",
        "UPDATE run SET spec_digest = 'unknown'",
        "UPDATE run SET removed = 2",
        # nodes and attempts
        "UPDATE node SET phase = 'Unknown'",
        "UPDATE node SET type = 'Container'",
        f"UPDATE node SET finished_at = {T} WHERE finished_at IS NULL",
        "UPDATE node SET phase = 'Failed' WHERE finished_at IS NULL",
        ("INSERT INTO node (run_id, name, display, type, phase, created_at)"
        f" SELECT run_id, name, '', 'Pod', 'Pending', {T} FROM node LIMIT 1"),
        f"INSERT INTO node (run_id, name, display, type, phase, created_at) VALUES (99, '', '', 'Pod', 'Pending', {T})",
        "UPDATE attempt SET state = 'gone'",
        "UPDATE attempt SET state = 'exited' WHERE finished_at IS NULL",
        f"UPDATE attempt SET finished_at = {T} WHERE finished_at IS NULL",
        "UPDATE attempt SET stop = 'please'",
        ("INSERT INTO attempt (run_id, node_id, state, queue_order, queued_at)"
        f" SELECT run_id, node_id, 'queued', 1, {T} FROM attempt LIMIT 1"),  # a second process of a node
    ],
)
def test_a_state_that_must_not_be_cannot_be_written(two_runs, sql):
    assert "constraint failed" in refused(two_runs, sql)


def test_a_strict_table_takes_no_text_for_a_number(two_runs):
    assert "cannot store TEXT" in refused(two_runs, "UPDATE run SET priority = 'high'")


def test_a_turn_inside_a_holding_ancestor_has_one_holder(world):
    world.submit(spec(steps("main", ["a", "b"]), pod("a", "m"), pod("b", "m"), locks=["m"]), "run")
    sql = "UPDATE claim_lock SET state = 'held' WHERE state = 'waiting' AND nested > 0"
    assert "UNIQUE constraint failed: claim_lock.lock_id, claim_lock.nested" in refused(world, sql)


CONFIGMAP = (
    "INSERT INTO definition (kind, namespace, name, path, doc_index, line, digest, commit_sha, body_json, applied_at, retired_at)"
    " VALUES ('ConfigMap', 'default', 'limits', 'x.yaml', 0, 1, 'd', 'c', '{}', " + T + ", "
)


def test_a_definition_lives_once_and_may_have_been_retired_often(world):
    world.limits(s0=1)
    assert "UNIQUE constraint failed" in refused(world, CONFIGMAP + "NULL)")
    world.writer.db.execute(CONFIGMAP + T + ")")
    world.writer.db.execute(CONFIGMAP + T + ")")
    assert "CHECK constraint failed" in refused(world, "UPDATE definition SET kind = 'Secret'")


def test_an_instant_of_a_cron_is_decided_once(world):
    sql = f"INSERT INTO tick (namespace, cron, due_at, decision, decided_at) VALUES ('default', 'c', {T}, '%s', {T})"
    world.writer.db.execute(sql % "ran")
    assert "UNIQUE constraint failed" in refused(world, sql % "missed")
    assert "CHECK constraint failed" in refused(world, "UPDATE tick SET decision = 'perhaps'")


def test_at_most_one_revision_is_held(world):
    sql = f"INSERT INTO revision (sha, seen_at, state) VALUES ('%s', {T}, '%s')"
    world.writer.db.execute(sql % ("a", "held"))
    assert "UNIQUE constraint failed" in refused(world, sql % ("b", "held"))
    assert "CHECK constraint failed" in refused(world, sql % ("b", "applied"))  # without the instant
    assert "CHECK constraint failed" in refused(world, sql % ("b", "lost"))


def test_a_lock_in_use_cannot_be_removed(two_runs):
    assert "FOREIGN KEY constraint failed" in refused(two_runs, "DELETE FROM lock")


def test_a_number_of_a_run_or_claim_is_never_used_again(world):
    first = world.submit(job("m"))
    world.exits(first, "")
    number, claim = world.one("SELECT max(id) FROM run")[0], world.one("SELECT max(id) FROM claim")[0]
    world.must("delete", run=first)
    world.crash()
    world.submit(job("m"))
    assert world.one("SELECT id FROM run")[0] > number
    assert world.one("SELECT id FROM claim")[0] > claim
