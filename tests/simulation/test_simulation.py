"""Many lives of one home in a second: random work, ends, requests, crashes at every boundary, and time that jumps.

LINECLEAR_SEED moves all the dice; a failing seed is in the test's name.
"""

from __future__ import annotations

import json
import os
import random
from datetime import timedelta

import pytest

from reconciler.manifest import parse_file
from reconciler.store.read import Reader
from reconciler.views.chain import check_chain

BASE = int(os.environ.get("LINECLEAR_SEED", "0"))
FINAL = ("Succeeded", "Failed", "Error")


@pytest.fixture
def shapes(make_shape):
    return (
        make_shape("a", mutexes=("a",)),
        make_shape("b", mutexes=("b",), codes=(0, 0, 0, 1)),
        make_shape("ab", mutexes=("a", "b"), nodes=2),
        make_shape("s", semaphores=("s",), nodes=2, codes=(0, 0, 0, 2)),
        make_shape("as", mutexes=("a",), semaphores=("s",)),
        make_shape("t", node_mutexes=("t",), nodes=3, codes=(0, 0, 0, 0, 1)),
        make_shape("lost", mutexes=("c",), codes=(0, -1)),
        make_shape("d", mutexes=("c",), deadline_s=3, seconds=3),
        make_shape("ttl", mutexes=("e",), codes=(0, 1), ttl_s=20),
        make_shape("rel", mutexes=("e",), codes=(0, 1), releases=True),
    )


@pytest.fixture
def crons(make_shape):
    return (
        make_shape("forbid", policy="Forbid", seconds=60),
        make_shape("replace", policy="Replace", seconds=60),
        make_shape("allow", policy="Allow", seconds=60, mutexes=("f",)),
    )


class Life:
    """What people and the machine do to it, by the dice."""

    def __init__(self, machine, dice, shapes):
        self.machine, self.dice, self.shapes = machine, dice, shapes
        self.names = []
        self.submitted = []

    def submit(self):
        shape = self.dice.choice(self.shapes)
        name = f"{shape.name}-{len(self.names)}"
        self.names.append(name)
        document = self.parse(shape.workflow(name))
        self.submitted.append((name, self.machine.ask("submit", documents=[document])))

    def parse(self, body):
        return parse_file("x.yaml", "", json.dumps(body).encode()).documents[0]

    def some_run(self):
        rows = self.machine.rows("SELECT name FROM run ORDER BY id DESC LIMIT 12")
        return self.dice.choice(rows)[0] if rows else None

    def end_one(self):
        name = self.some_run()
        if name is not None:
            self.clear(name, self.dice.choice(("stop", "terminate", "terminate")))

    def clear(self, name, verb="terminate"):
        self.machine.books.cleared.add(name)
        self.machine.ask(verb, run=name)

    def retry_one(self):
        """Only runs that hold what they need, or nothing at all, can be retried; the books begin anew with them."""
        name = self.some_run()
        phase = self.machine.rows("SELECT phase FROM run WHERE name = ?", name) if name else []
        if phase in ([("Failed",)], [("Error",)]):
            self.machine.books.retried.add(name)
            if name not in self.machine.books.cleared:
                self.machine.ask("retry", run=name)

    def clear_failed(self):
        held = "SELECT run_id FROM claim WHERE state = 'held' AND level = 'run'"
        sql = f"SELECT name FROM run WHERE finished_at IS NOT NULL AND id IN ({held}) ORDER BY id LIMIT 3"
        for (name,) in self.machine.rows(sql):
            self.clear(name)

    def step(self):
        acts = [(self.submit, 0.35), (self.end_one, 0.04), (self.retry_one, 0.03), (self.clear_failed, 0.08)]
        for act, chance in acts:
            if self.dice.random() < chance:
                act()
        until = self.machine.clock.mono + self.dice.expovariate(1.0)
        while (left_s := until - self.machine.clock.mono) > 0.000_01:
            self.machine.turn(left_s)

    def drain(self):
        """No crash and nothing new: everything ends."""
        machine = self.machine
        machine.crash_chance = 0.0
        for (name,) in machine.rows("SELECT name FROM cron"):
            machine.ask("cron_suspend", name=name)
        for _ in range(3000):
            machine.turn()
            self.clear_failed()
            open_runs = machine.rows("SELECT count(*) FROM run WHERE finished_at IS NULL")[0][0]
            held = machine.rows("SELECT count(*) FROM claim WHERE state <> 'released'")[0][0]
            if open_runs == held == 0 and not machine.inbox._messages:
                return
        left = machine.rows("SELECT name, phase, message FROM run WHERE finished_at IS NULL")
        raise AssertionError(f"it does not come to an end: {left}")


def check_end(life):
    check_ends(life)
    machine, created = life.machine, created_in(life.machine)
    for lock in ("a", "e"):
        own = [n for n in machine.books.order if lock in machine.shape_of(n).mutexes and n not in machine.books.retried]
        assert own == sorted(own, key=created.index), f"{lock}: not first come, first served"


def created_in(machine):
    return [name for (name,) in machine.rows("SELECT run FROM journal WHERE kind = 'run.created' ORDER BY seq")]


def check_ends(life):
    """Everything but the order of those who took one mutex: a policy hands places on."""
    machine = life.machine
    created = created_in(machine)
    assert len(set(created)) == len(created)
    for name, replies in life.submitted:
        if replies and "ok" in replies[0]:
            assert name in created, f"{name} was acknowledged and is lost"
    for name in created:
        kinds = [k for (k,) in machine.rows("SELECT kind FROM journal WHERE run = ? ORDER BY seq", name) if k.startswith("run.")]
        assert kinds.count("run.finished") == 1 + kinds.count("run.retried"), f"{name}: {kinds}"
    assert all(process.end is not None for process in machine.books.processes.values())
    epochs = [e for (e,) in machine.rows("SELECT json_extract(detail_json, '$.epoch') FROM journal WHERE kind = 'claim.granted'")]
    assert epochs == sorted(set(epochs))
    doubled = machine.rows("SELECT cron, scheduled_at FROM run WHERE cron <> '' GROUP BY 1, 2 HAVING count(*) > 1")
    assert doubled == []
    assert machine.rows("PRAGMA integrity_check") == [("ok",)]
    assert check_chain(Reader("", machine.writer.db), ()).misfits == ()


def limits(value):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "limits"}, "data": {"s": str(value)}}


@pytest.mark.parametrize("seed", range(BASE, BASE + 12))
def test_random_work_with_crashes_at_every_boundary_keeps_all_promises(make_machine, shapes, seed):
    dice = random.Random(seed)
    machine = make_machine(dice, shapes)
    machine.books.limits["s"] = 2
    machine.push("limits.yaml", limits(2))
    life = Life(machine, dice, shapes)
    machine.crash_chance = 0.03

    for _ in range(250):
        life.step()
    life.drain()

    assert machine.crashes > 5
    check_end(life)


@pytest.mark.parametrize("seed", range(BASE, BASE + 6))
def test_crons_keep_their_policy_over_crashes(make_machine, shapes, crons, seed):
    dice = random.Random(seed)
    machine = make_machine(dice, shapes, crons)
    machine.push("crons.yaml", *(shape.cron() for shape in crons))
    life = Life(machine, dice, shapes)
    machine.crash_chance = 0.05

    for _ in range(150):
        machine.turn()
        life.clear_failed()
    life.drain()

    check_end(life)
    ran = machine.rows("SELECT cron, count(*) FROM tick WHERE run_name <> '' GROUP BY cron ORDER BY cron")
    assert [name for name, _ in ran] == ["allow", "forbid", "replace"]


@pytest.mark.parametrize("seed", range(BASE, BASE + 6))
def test_workflows_keep_their_policy_over_crashes(make_machine, make_shape, seed):
    dice = random.Random(seed)
    shapes = (
        make_shape("only", policy="Forbid", codes=(0, 1), seconds=8),
        make_shape("swap", policy="Replace", mutexes=("a",), codes=(0, 1), seconds=8),
        make_shape("newest", policy="Latest", mutexes=("b",), codes=(0, 0, 1), seconds=8),
        make_shape("plain", mutexes=("a", "b")),
    )
    machine = make_machine(dice, shapes)
    life = Life(machine, dice, shapes)
    machine.crash_chance = 0.05

    for _ in range(150):
        life.step()
        waiting = "SELECT policy_group FROM run WHERE phase = 'Pending' AND policy <> '' GROUP BY 1 HAVING count(*) > 1"
        assert machine.rows(waiting) == [], "more than one waits"
    life.drain()

    check_ends(life)
    ended = {by for (by,) in machine.rows("SELECT DISTINCT ended_by FROM run")}
    forbidden = any("error" in reply for _, replies in life.submitted for reply in replies)
    assert forbidden or ended & {"replace", "superseded"}, "no policy ever had to decide anything"


@pytest.mark.parametrize("seed", range(BASE, BASE + 4))
def test_a_clock_that_jumps_releases_nothing_and_starts_nothing_twice(make_machine, shapes, crons, seed):
    dice = random.Random(seed)
    steady = tuple(shape for shape in shapes if shape.ttl_s is None and shape.deadline_s is None)
    machine = make_machine(dice, steady, crons)
    machine.books.limits["s"] = 2
    machine.push("limits.yaml", limits(2), *(shape.cron() for shape in crons))
    life = Life(machine, dice, steady)
    machine.crash_chance = 0.01

    for _ in range(120):
        life.step()
        if dice.random() < 0.05:
            machine.clock.at += timedelta(seconds=dice.choice((-86400, -3600, -1, 1, 3600, 86400, 3650 * 86400)))
            machine.clock.at = max(machine.clock.at, machine.clock.at.replace(year=2020))
    life.drain()

    check_end(life)


def run_until(machine, condition):
    for _ in range(500):
        if condition():
            return
        machine.turn()
    raise AssertionError("not seen")


def phase(machine, name):
    found = machine.rows("SELECT phase FROM run WHERE name = ?", name)
    return found[0][0] if found else None


def test_a_run_that_is_retried_and_terminated_at_once_starts_nothing(make_machine, make_shape):
    shape = make_shape("x", mutexes=("a",), codes=(1,))
    machine = make_machine(random.Random(1), (shape,))
    life = Life(machine, machine.dice, (shape,))
    life.submit()
    run_until(machine, lambda: phase(machine, "x-0") == "Failed")

    machine.ask("retry", run="x-0")
    machine.ask("terminate", run="x-0")
    machine.turn()

    assert phase(machine, "x-0") == "Failed"
    assert len(machine.books.processes) == 1
    assert machine.rows("SELECT count(*) FROM claim WHERE state <> 'released'") == [(0,)]


@pytest.mark.parametrize("policy", ["Forbid", "Replace"])
def test_a_retried_run_of_a_cron_is_under_its_policy_again(make_machine, make_shape, policy):
    shape = make_shape("tick", policy=policy, codes=(1,), seconds=5)
    machine = make_machine(random.Random(1), (), (shape,))
    machine.push("cron.yaml", shape.cron())
    run_until(machine, lambda: machine.rows("SELECT 1 FROM run WHERE phase = 'Failed'"))
    ((first,),) = machine.rows("SELECT name FROM run")
    run_until(machine, lambda: machine.rows("SELECT 1 FROM run WHERE phase = 'Running'"))

    refused = machine.ask("retry", run=first)
    machine.turn()
    run_until(machine, lambda: not machine.rows("SELECT 1 FROM run WHERE phase = 'Running'"))
    machine.books.retried.add(first)
    allowed = machine.ask("retry", run=first)
    machine.turn()

    assert refused[0]["error"]["code"] == 4
    assert "cannot go on" in refused[0]["error"]["message"]
    assert "ok" in allowed[0]
    held = "SELECT run_id FROM claim WHERE level = 'policy' AND state = 'held'"
    assert machine.rows(f"SELECT name FROM run WHERE id IN ({held})") == [(first,)]
