"""What one step may use, kept by the kernel and told with its end; and trees that only their group can end."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from reconciler.clock import SystemClock
from reconciler.model.attempt import Exited, StepLimits
from reconciler.runtime import groups, wire
from reconciler.runtime.grouping import find_grouping
from reconciler.runtime.host import HostRuntime

BOOT_ID = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
WANTED = frozenset({"memory", "pids", "cpu"})
EAT = "import sys; held = bytearray(int(sys.argv[1]) << 20); print('had')"
FORKS = """
import os, time
made = 0
for _ in range(30):
    try:
        if os.fork() == 0:
            time.sleep(600)
    except BlockingIOError:
        break
    made += 1
print(made)
"""
FORKER = "import os\nwhile True:\n    if os.fork():\n        os._exit(0)\n"  # never the same process twice


@pytest.fixture
def limited(machine):
    """The machine with a runtime that can keep every limit."""
    grouping = find_grouping(machine.home, wanted=WANTED)
    if grouping.controllers != WANTED:
        pytest.skip(grouping.problem)
    machine.runtime.close()
    machine.runtime = HostRuntime(
        machine.home, poke_path=machine.home / "control", clock=SystemClock(), boot_id=BOOT_ID, grouping=grouping
    )
    return machine


def run(machine, number, *argv, **limits):
    end = machine.run(number, *argv, limits=StepLimits(**limits))
    assert isinstance(end, Exited)
    return end


def eat(machine, number, megabytes, **limits):
    return run(machine, number, sys.executable, "-I", "-S", "-c", EAT, str(megabytes), **limits)


def test_a_step_within_its_memory_runs_and_one_above_is_ended_and_told(limited):
    within = eat(limited, 1, 30, memory_mb=64)
    assert (within.exit_code, within.message) == (0, "")
    above = eat(limited, 2, 200, memory_mb=64)
    assert (above.exit_code, above.signal) == (137, 9)
    assert above.message == "one of its processes was ended by the memory limit of 64 MB"


def test_the_worker_outlives_its_steps_memory_and_serves_the_next_without_a_limit(limited):
    workers = set()
    for number in range(3):
        assert eat(limited, number, 200, memory_mb=64).exit_code == 137
        claim = wire.unpack_slot((limited.directory(number) / "record").read_bytes(), wire.CLAIM)
        workers.add(claim["worker"])
    assert len(workers) == 1
    free = eat(limited, 9, 200)
    assert (free.exit_code, free.message) == (0, "")


def test_what_an_earlier_step_left_in_memory_is_not_the_next_ones_to_answer_for(limited):
    if not os.path.isdir("/dev/shm"):
        pytest.skip("this machine has no /dev/shm")
    left = f"/dev/shm/lc-test-{os.getpid()}"
    try:
        script = f"head -c 50000000 /dev/zero > {left}"
        assert run(limited, 1, "sh", "-c", script, memory_mb=64).exit_code == 0
        assert eat(limited, 2, 40, memory_mb=64).exit_code == 0
    finally:
        os.unlink(left)


def test_a_step_at_its_limit_of_processes_is_refused_more_and_told(limited):
    end = run(limited, 1, sys.executable, "-I", "-S", "-c", FORKS, pids=5)
    assert limited.log(1) == "4\n"
    assert end.message == "it reached its limit of 5 processes: new ones were refused 1 times"


def test_a_step_gets_no_more_than_its_share_of_the_processors(limited):
    busy = "import time\nend = time.monotonic() + 0.5\nwhile time.monotonic() < end: pass\nprint(time.process_time())"
    run(limited, 1, sys.executable, "-I", "-S", "-c", busy, cpus=0.1)
    assert float(limited.log(1)) < 0.4


def test_a_limit_that_cannot_be_kept_is_told_with_the_end(machine):
    end = run(machine, 1, "true", memory_mb=64, pids=5)
    assert end.message == (
        "no limit of memory could be kept: there is no control group for it; "
        "no limit of pids could be kept: there is no control group for it"
    )


def test_a_tree_that_forks_for_ever_is_ended_with_its_step(machine):
    if not find_grouping(machine.home).places:
        pytest.skip("no control group can be had here")
    forker = f"{sys.executable} -I -S -c '{FORKER}'"
    end = machine.run(1, "sh", "-c", f"{forker} & exit 3")
    assert end.exit_code == 3
    assert machine.run(2, "true").exit_code == 0
    claims = [wire.unpack_slot((machine.directory(n) / "record").read_bytes(), wire.CLAIM) for n in (1, 2)]
    assert claims[0]["worker"] == claims[1]["worker"]
    assert claims[1]["group"], "the worker came back into a group of its own"
    assert groups.look(claims[1]["group"], int(claims[1]["group_id"])) == groups.POPULATED


def test_groups_that_a_step_makes_in_its_own_are_gone_before_the_next_step(machine):
    if not find_grouping(machine.home).places:
        pytest.skip("no control group can be had here")
    machine.run(1, "true")
    claim = wire.unpack_slot((machine.directory(1) / "record").read_bytes(), wire.CLAIM)
    script = f"mkdir -p {claim['group']}/a/b && echo $$ > {claim['group']}/a/b/cgroup.procs && sleep 600 & exit 0"
    assert machine.run(2, "sh", "-c", script).exit_code == 0
    assert machine.run(3, "true").exit_code == 0
    assert not os.path.isdir(f"{claim['group']}/a")


def test_what_a_steps_processes_have_used_is_told_with_its_end(machine):
    busy = "import time\nwhile time.process_time() < 0.2: pass\nheld = bytearray(60 << 20)"
    end = machine.run(1, "sh", "-c", f"{sys.executable} -I -S -c '{busy}' & wait")
    assert 200 <= end.cpu_ms < 5000
    assert 60 << 10 < end.memory_kb < 200 << 10
    left_behind = machine.run(2, "sh", "-c", f"setsid {sys.executable} -I -S -c '{busy}' & exec sleep 0")
    assert left_behind.cpu_ms < 5000
    small = machine.run(3, "true")
    assert small.memory_kb is None, "no more than what it was made from"
    assert small.cpu_ms < 200
