"""The whole tree of a step ends before its end is told, by itself or by request."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from reconciler.model.attempt import AttemptId, Exited, Lost, Started

ESCAPE = {
    "background": "sleep 300 & echo $! > {file}",
    "setsid": "setsid sh -c 'echo $$ > {file}; exec sleep 300' & while [ ! -s {file} ]; do sleep 0.01; done",
    "cleared": "env -i /usr/bin/setsid sh -c 'echo $$ > {file}; exec sleep 300' & while [ ! -s {file} ]; do sleep 0.01; done",
    "double fork": (
        "(setsid sh -c 'env -i /usr/bin/setsid sh -c \"echo \\$\\$ > {file}; exec sleep 300\" & exit' &)"
        " ; while [ ! -s {file} ]; do sleep 0.01; done"
    ),
    "deaf": "(trap '' TERM HUP; echo $$ > /dev/null; sh -c 'echo $$ > {file}; exec sleep 300') & "
    "while [ ! -s {file} ]; do sleep 0.01; done",
}
DEAF = "trap '' TERM; echo ready; while :; do sleep 0.05; done"
POLITE = "trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.02; done"


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.parametrize("way", ESCAPE)
def test_what_a_step_leaves_behind_is_dead_when_its_end_is_told(machine, way):
    file = machine.home / "escaped"
    end = machine.run(1, "sh", "-c", ESCAPE[way].format(file=file) + "; exit 3")
    assert isinstance(end, Exited)
    assert end.exit_code == 3
    assert not is_alive(int(file.read_text()))


@pytest.mark.parametrize("way", ESCAPE)
def test_what_a_step_leaves_behind_keeps_its_holder_unknown_if_the_worker_was_killed(bare, way):
    file = bare.home / "escaped"
    gate = bare.home / "gate"
    script = ESCAPE[way].format(file=file) + f"; while [ ! -e {gate} ]; do sleep 0.01; done; exit 3"
    bare.launch(1, "sh", "-c", script)
    bare.wait_for_file(file)
    bare.lose(1)
    gate.touch()
    escaped = int(file.read_text())
    for _ in range(5):
        bare.turn()
    assert is_alive(escaped)
    assert [one for one in bare.seen if isinstance(one, Exited | Lost)] == []
    assert bare.liveness(1).state == "unknown"
    os.kill(escaped, signal.SIGKILL)


@pytest.mark.parametrize("way", ESCAPE)
def test_what_a_step_leaves_behind_is_dead_in_a_control_group_even_if_its_worker_was_killed(grouped, way):
    file = grouped.home / "escaped"
    gate = grouped.home / "gate"
    script = ESCAPE[way].format(file=file) + f"; while [ ! -e {gate} ]; do sleep 0.01; done; exit 3"
    grouped.launch(1, "sh", "-c", script)
    grouped.wait_for_file(file)
    os.kill(grouped.worker_of(1), signal.SIGKILL)
    grouped.turn()
    gate.touch()
    end = grouped.wait_for(1)
    assert isinstance(end, Exited)
    assert end.exit_code == 3
    assert not is_alive(int(file.read_text()))


def test_children_the_daemon_made_itself_are_left_alone(bare):
    with subprocess.Popen(["sleep", "300"], start_new_session=True, env={}) as own:
        bare.launch(1, "sh", "-c", "sleep 300")
        bare.lose(1)
        bare.runtime.kill(AttemptId(1))
        bare.turn()
        assert own.poll() is None
        own.kill()


def test_a_stop_gives_a_step_the_time_to_end_by_itself(machine):
    machine.launch(1, "sh", "-c", POLITE, grace_s=60.0)
    machine.wait_for_file(machine.directory(1) / "log")
    machine.runtime.stop(AttemptId(1))
    end = machine.wait_for(1)
    assert (end.exit_code, end.signal, end.stopped) == (5, None, True)
    assert machine.log(1).endswith("bye\n")


def test_a_stop_kills_a_step_that_ignores_it_after_the_grace(machine):
    machine.launch(1, "sh", "-c", DEAF, grace_s=0.3)
    machine.wait_for_file(machine.directory(1) / "log")
    asked = time.monotonic()
    machine.runtime.stop(AttemptId(1))
    end = machine.wait_for(1)
    assert (end.exit_code, end.signal, end.stopped) == (137, 9, True)
    assert time.monotonic() - asked >= 0.3


def test_a_kill_does_not_wait_even_after_a_stop(machine):
    machine.launch(1, "sh", "-c", DEAF, grace_s=600.0)
    machine.wait_for_file(machine.directory(1) / "log")
    machine.runtime.stop(AttemptId(1))
    machine.turn()
    machine.runtime.kill(AttemptId(1))
    end = machine.wait_for(1)
    assert (end.signal, end.stopped) == (9, True)


def test_a_stop_reaches_processes_in_other_sessions_and_waits_for_them(machine):
    script = f'setsid sh -c "{POLITE.replace("$", chr(92) + "$")}" & exec sleep 300'
    machine.launch(1, "sh", "-c", script, grace_s=60.0)
    machine.wait_for_file(machine.directory(1) / "log")
    machine.runtime.stop(AttemptId(1))
    end = machine.wait_for(1)
    assert (end.signal, end.stopped) == (15, True)
    assert machine.log(1).endswith("bye\n")


def test_a_stopped_process_is_woken_to_hear_the_stop(machine):
    machine.launch(1, "sh", "-c", POLITE, grace_s=60.0)
    machine.wait_for_file(machine.directory(1) / "log")
    os.kill(machine.wait_for(1, Started).pid, signal.SIGSTOP)
    machine.runtime.stop(AttemptId(1))
    assert machine.wait_for(1).exit_code == 5


def test_a_stop_of_an_ended_attempt_does_not_touch_the_next_one(machine):
    machine.run(1, "true")
    machine.launch(2, "sh", "-c", "sleep 0.1; exit 4")
    machine.runtime.stop(AttemptId(1))
    end = machine.wait_for(2)
    assert (end.exit_code, end.stopped) == (4, False)


def test_orphans_that_end_during_the_step_are_reaped(machine):
    gate = machine.home / "gate"
    script = f"for i in 1 2 3 4 5; do (true &) ; done; while [ ! -e {gate} ]; do sleep 0.01; done"
    machine.launch(1, "sh", "-c", script)
    worker = machine.worker_of(1)
    main = machine.wait_for(1, Started).pid
    children = Path(f"/proc/{worker}/task/{worker}/children")
    deadline = time.monotonic() + 10
    while children.read_text().split() != [str(main)] and time.monotonic() < deadline:
        machine.turn()
    assert children.read_text().split() == [str(main)]
    gate.touch()
    machine.wait_for(1)


def test_a_revoked_attempt_never_begins(machine):
    assert machine.runtime.revoke(machine.intent(1))
    end = machine.wait_for(1)
    assert isinstance(end, Lost)
    assert not end.began
    machine.runtime.acknowledge([AttemptId(1)])
    machine.seen.clear()
    assert isinstance(machine.run(1, "sh", "-c", "echo ran"), Lost)
    assert not (machine.directory(1) / "log").exists()


def test_a_running_attempt_cannot_be_revoked(machine):
    machine.launch(1, "sleep", "300")
    machine.wait_for(1, Started)
    assert not machine.runtime.revoke(machine.intent(1))
    machine.runtime.kill(AttemptId(1))
    assert machine.wait_for(1).stopped
