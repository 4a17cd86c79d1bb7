"""Random kills of daemons, workers and zygotes; the oracle is what the steps themselves wrote."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from reconciler.runtime.grouping import find_grouping

CHILD = Path(__file__).parent / "daemon_child.py"
STEPS = 120
KILLS = 40
STEP = "echo start {number} >> {home}/ran; sleep {pause}; echo end {number} >> {home}/ran; exit {code}"


def make_plan(home, dice):
    steps = []
    for number in range(STEPS):
        pause = dice.choice(["0.002", "0.01", "0.05", "0.1"])
        script = STEP.format(number=number, home=home, pause=pause, code=number % 7)
        steps.append(["sh", "-c", script])
    (home / "plan.json").write_text(json.dumps(steps))


def start_daemon(home, groups):
    env = {**os.environ, "WITH_GROUPS": groups, "WITH_PERSON": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    child = subprocess.Popen([sys.executable, str(CHILD), str(home)], stdout=subprocess.PIPE, env=env, start_new_session=True)
    child.stdout.readline()
    return child


def find_shims(home):
    found = []
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if name.isdigit() and str(home / "control").encode() in Path(f"/proc/{name}/cmdline").read_bytes():
                found.append(int(name))
    return found


def read_marks(home, word):
    counts = {}
    for line in (home / "ran").read_text().splitlines():
        if line.startswith(word + " "):
            number = int(line.split()[1])
            counts[number] = counts.get(number, 0) + 1
    return counts


def carriers(home):
    """Living processes that were started in this home's attempts, whatever they became."""
    found = []
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if name.isdigit() and os.readlink(f"/proc/{name}/cwd").startswith(str(home / "attempts")):
                found.append(int(name))
    return found


def torture(home, dice, groups):
    """Kill at random until the plan is done; how often each kind was killed."""
    killed = {"daemon": 0, "worker": 0, "both": 0}
    child = start_daemon(home, groups)
    try:
        for _ in range(KILLS):
            time.sleep(dice.uniform(0.0, 0.12))  # the moment is what is random here, nothing is waited for
            kind = dice.choice(["daemon", "daemon", "worker", "both"])
            shims = find_shims(home)
            if kind != "daemon" and shims:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(dice.choice(shims), signal.SIGKILL)
            if kind != "worker":
                child.kill()
                child.wait()
                child.stdout.close()
                child = start_daemon(home, groups)
            killed[kind] += 1
        child.wait(timeout=60)
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    return killed


@pytest.mark.torture
@pytest.mark.parametrize("seed", [1, 20])
@pytest.mark.parametrize("groups", ["", "groups"])
def test_random_kills_lose_no_attempt_and_run_none_twice(machine, seed, groups):
    home = machine.home
    if groups and not find_grouping(home).places:
        pytest.skip(find_grouping(home).problem)
    dice = random.Random(seed)
    make_plan(home, dice)
    killed = torture(home, dice, groups)
    outcomes = {}
    for line in (home / "outcomes").read_text().splitlines():
        row = json.loads(line)
        outcomes.setdefault(row["id"], []).append(row)
    starts, ends = read_marks(home, "start"), read_marks(home, "end")
    lost = [number for number, rows in outcomes.items() if rows[0]["kind"] == "lost"]
    print(f"seed {seed}: killed {killed}, lost {len(lost)}")

    assert sorted(outcomes) == list(range(STEPS))
    assert all(len(rows) == 1 for rows in outcomes.values())
    assert max(starts.values()) == 1
    for number, (row,) in outcomes.items():
        if row["kind"] == "exited":
            assert row["code"] == number % 7 or row["code"] == 137
            assert row["code"] == 137 or ends[number] == 1
        elif row["kind"] == "lost":
            assert groups or not row["began"]
            assert row["began"] or number not in starts
        else:
            assert (row["kind"], groups) == ("let-go", "")
    assert len(lost) <= killed["worker"] + killed["both"]
    assert carriers(home) == []
