"""Workers in control groups of their own: entered before the first attempt, told in each claim, gone with the worker."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from reconciler.model.attempt import Exited
from reconciler.runtime import groups, wire
from reconciler.runtime.grouping import find_grouping
from reconciler.runtime.leftovers import sweep_leftovers


def wait_until(condition, what):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.005)
    raise AssertionError(f"not seen: {what}")


@pytest.fixture
def home_group(machine):
    """Where the workers of the machine's home have their groups."""
    grouping = find_grouping(machine.home)
    if not grouping.places:
        pytest.skip(grouping.problem)
    return grouping.places[0].home


def claim_of(machine, number):
    return wire.unpack_slot((machine.directory(number) / "record").read_bytes(), wire.CLAIM)


def members(group):
    return set(map(int, Path(group, "cgroup.procs").read_text().split()))


def test_a_claim_names_the_group_that_worker_and_step_are_in(machine, home_group):
    machine.launch(1, "sh", "-c", "env -i setsid sh -c 'echo $$; exec sleep 600' & wait", grace_s=0)
    child = int(machine.wait_for_file(machine.directory(1) / "log"))
    claim = claim_of(machine, 1)
    group, group_id = claim["group"], int(claim["group_id"])
    assert os.path.dirname(group) == home_group
    assert {machine.worker_of(1), child} <= members(group)
    assert groups.look(group, group_id) == groups.POPULATED
    assert groups.kill(group, group_id)
    machine.wait_for(1)
    wait_until(lambda: not os.path.exists(group), "the end of the group")


def test_attempts_of_one_worker_name_one_group(machine, home_group):
    machine.run(1, "true")
    machine.run(2, "true")
    assert claim_of(machine, 1)["group"] == claim_of(machine, 2)["group"]


def test_the_last_worker_takes_the_homes_group_with_it(machine, home_group):
    for number in range(4):
        machine.launch(number, "sleep", "0.05")
    for number in range(4):
        assert isinstance(machine.wait_for(number), Exited)
    assert os.path.isdir(home_group)
    machine.runtime.detach()
    machine.runtime = machine.make_runtime()
    wait_until(lambda: not os.path.exists(home_group), "the end of the home's group")


def test_a_worker_whose_group_is_swept_before_it_is_in_makes_it_anew(machine, home_group):
    stopped = time.monotonic() + 0.5
    number = 0
    while time.monotonic() < stopped:
        groups.sweep(home_group)
        number += 1
        machine.launch(number, "true")
        machine.turn()
    for one in range(1, number + 1):
        assert machine.wait_for(one).exit_code == 0
        assert claim_of(machine, one)["group"]


def test_a_step_that_kills_its_worker_leaves_a_group_that_says_when_all_are_gone(machine, home_group):
    machine.launch(1, "sh", "-c", "env -i setsid sleep 600 & echo $PPID; sleep 600", grace_s=0)
    worker = int(machine.wait_for_file(machine.directory(1) / "log"))
    claim = claim_of(machine, 1)
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: worker not in members(claim["group"]), "the worker's end")
    assert groups.look(claim["group"], int(claim["group_id"])) in (groups.POPULATED, groups.EMPTY)
    groups.kill(claim["group"], int(claim["group_id"]))
    wait_until(lambda: groups.look(claim["group"], int(claim["group_id"])) == groups.EMPTY, "the tree's end")


def test_what_a_killed_worker_leaves_goes_once_the_end_of_its_attempt_is_written(machine, home_group):
    machine.launch(1, "sleep", "600", grace_s=0)
    worker = machine.worker_of(1)
    claim = claim_of(machine, 1)
    record = machine.directory(1) / "record"
    places = find_grouping(machine.home).places
    os.kill(worker, signal.SIGSTOP)  # nobody writes the end meanwhile
    page = record.read_bytes()
    assert groups.kill(claim["group"], int(claim["group_id"]))
    wait_until(lambda: groups.look(claim["group"], int(claim["group_id"])) == groups.EMPTY, "the end of all in the group")
    sweep_leftovers(places, [str(machine.directory(1))])
    assert os.path.isdir(claim["group"]), "it is what proves the end"
    torn = bytearray(page)
    torn[wire.SLOT.size] ^= 1
    record.write_bytes(torn)
    sweep_leftovers(places, [str(machine.directory(1))])
    assert os.path.isdir(claim["group"]), "a record that cannot be read may need any group"
    record.write_bytes(page)
    machine.wait_for(1)
    sweep_leftovers(places, [str(machine.directory(1))])
    assert not os.path.exists(claim["group"])


def test_idle_workers_that_are_killed_leave_nothing_behind_a_sweep(machine, home_group):
    machine.run(1, "true")
    machine.wait_for_shims(2)
    left = {entry.path for entry in os.scandir(home_group) if entry.is_dir()}
    for pid, parent in machine.shims().items():
        if parent != os.getpid():
            os.kill(pid, signal.SIGKILL)

    def are_empty():
        machine.turn()
        return all(groups.look(one, os.stat(one).st_ino) == groups.EMPTY for one in left)

    wait_until(are_empty, "their end")
    sweep_leftovers(find_grouping(machine.home).places, [])
    assert not any(map(os.path.exists, left))
    assert machine.run(2, "true").exit_code == 0
