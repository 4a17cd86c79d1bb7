"""Workers, zygotes and daemons are killed: codes are kept, nothing runs twice, what is lost is proven dead."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.model.attempt import AttemptId, Exited, Lost, Started

CHILD = Path(__file__).parent / "daemon_child.py"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def start_child(home, failpoint=None):
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    if failpoint is not None:
        env["LINECLEAR_FAILPOINT"] = failpoint
    return subprocess.Popen([sys.executable, str(CHILD), str(home)], stdout=subprocess.PIPE, env=env, start_new_session=True)


def end_child(child):
    child.kill()
    child.wait()
    child.stdout.close()


def read_outcomes(home):
    path = home / "outcomes"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_killed_worker_leaves_the_step_running_and_its_code_is_kept(machine):
    gate = machine.home / "gate"
    machine.launch(1, "sh", "-c", f"echo ran; while [ ! -e {gate} ]; do sleep 0.01; done; exit 9")
    os.kill(machine.worker_of(1), signal.SIGKILL)
    machine.turn()
    assert machine.runtime.liveness(str(machine.directory(1))).state == "alive"
    gate.touch()
    end = machine.wait_for(1)
    assert isinstance(end, Exited)
    assert (end.exit_code, end.stopped) == (9, False)
    assert machine.log(1) == "ran\n"
    assert machine.run(2, "true").exit_code == 0


def test_a_step_without_its_worker_can_be_stopped(machine):
    machine.launch(1, "sh", "-c", "trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.02; done")
    machine.wait_for_file(machine.directory(1) / "log")
    os.kill(machine.worker_of(1), signal.SIGKILL)
    machine.turn()
    machine.runtime.stop(AttemptId(1))
    end = machine.wait_for(1)
    assert (end.exit_code, end.stopped) == (5, True)


def test_a_deaf_step_without_its_worker_is_killed_after_the_grace(machine):
    machine.launch(1, "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.02; done", grace_s=0.2)
    machine.wait_for_file(machine.directory(1) / "log")
    os.kill(machine.worker_of(1), signal.SIGKILL)
    machine.turn()
    machine.runtime.stop(AttemptId(1))
    assert (machine.wait_for(1).signal, machine.seen[-1].stopped) == (9, True)


def test_workers_killed_together_each_keep_their_own_code(machine):
    gate = machine.home / "gate"
    for number in range(4):
        machine.launch(number, "sh", "-c", f"while [ ! -e {gate} ]; do sleep 0.01; done; exit {20 + number}")
    workers = [machine.worker_of(number) for number in range(4)]
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    gate.touch()
    assert [machine.wait_for(number).exit_code for number in range(4)] == [20, 21, 22, 23]


def test_a_killed_zygote_is_replaced_and_steps_go_on(machine):
    gate = machine.home / "gate"
    machine.launch(1, "sh", "-c", f"while [ ! -e {gate} ]; do sleep 0.01; done; exit 8")
    machine.wait_for(1, Started)
    old = machine.zygote()
    os.kill(old, signal.SIGKILL)
    for number in range(2, 6):
        machine.launch(number, "sh", "-c", f"while [ ! -e {gate} ]; do sleep 0.01; done; exit {number}")
    for number in range(2, 6):
        machine.wait_for(number, Started)
    gate.touch()
    assert [machine.wait_for(number).exit_code for number in range(1, 6)] == [8, 2, 3, 4, 5]
    assert old not in machine.shims()


def test_a_stopped_worker_is_alive_whatever_time_passes(machine):
    machine.launch(2, "sleep", "0.05")
    worker = machine.worker_of(2)
    os.kill(worker, signal.SIGSTOP)
    for _ in range(5):
        machine.turn()
    found = machine.runtime.liveness(str(machine.directory(2)))
    assert (found.state, found.evidence) == ("alive", "the record's lock is held")
    assert worker in found.pids
    os.kill(worker, signal.SIGCONT)
    assert machine.wait_for(2).exit_code == 0


@pytest.mark.parametrize("when", ["running", "ended"])
def test_a_detached_attempt_is_recovered_with_its_code(machine, when):
    gate = machine.home / "gate"
    machine.launch(1, "sh", "-c", f"echo ran; while [ ! -e {gate} ]; do sleep 0.01; done; exit 3")
    machine.wait_for(1, Started)
    machine.runtime.detach()
    if when == "ended":
        gate.touch()
        while machine.shims():
            pass
    machine.runtime = machine.make_runtime()
    machine.seen = []
    recovery = machine.runtime.recover(machine.rows(1))
    machine.seen += recovery.observations
    assert recovery.to_launch == ()
    machine.launch(1, "sh", "-c", "echo ran again")
    gate.touch()
    end = machine.wait_for(1)
    assert (end.exit_code, end.stopped) == (3, False)
    assert machine.log(1) == "ran\n"


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_an_adopted_attempt_can_be_stopped(machine, how):
    machine.launch(1, "sh", "-c", "echo ready; trap 'echo bye; exit 5' TERM; while :; do sleep 0.02; done", grace_s=60.0)
    machine.wait_for_file(machine.directory(1) / "log")
    machine.runtime.detach()
    machine.runtime = machine.make_runtime()
    machine.runtime.recover(machine.rows(1))
    getattr(machine.runtime, how)(AttemptId(1))
    end = machine.wait_for(1)
    assert (end.exit_code, end.stopped) == ((5, True) if how == "stop" else (137, True))


def test_recovery_tells_each_attempt_apart(machine):
    machine.run(1, "sh", "-c", "exit 4")
    machine.run(2, "no-such-command")
    assert machine.runtime.revoke(AttemptId(3), str(machine.directory(3)))
    machine.runtime.detach()
    machine.runtime = machine.make_runtime()
    recovery = machine.runtime.recover(machine.rows(1, 2, 3, 4))
    told = {one.attempt_id: type(one).__name__ for one in recovery.observations if not isinstance(one, Started)}
    assert told == {1: "Exited", 2: "NotStarted", 3: "Lost"}
    assert recovery.to_launch == (4,)


@pytest.mark.edge("E46")
def test_after_a_restart_of_the_host_what_has_no_exit_record_is_lost(machine):
    machine.run(1, "sh", "-c", "exit 4")
    machine.directory(2).mkdir()
    (machine.directory(2) / "record").write_bytes(b"\0" * 4096)
    machine.runtime.detach()
    machine.runtime = machine.make_runtime(boot_id="another-boot")
    recovery = machine.runtime.recover(machine.rows(1, 2, 3))
    ends = {one.attempt_id: one for one in recovery.observations if not isinstance(one, Started)}
    assert isinstance(ends[1], Exited)
    assert isinstance(ends[2], Lost)
    assert isinstance(ends[3], Lost)
    assert ends[2].began
    assert recovery.to_launch == ()


def test_a_damaged_exit_record_is_not_believed(machine):
    machine.run(1, "sh", "-c", "exit 4")
    machine.runtime.detach()
    record = machine.directory(1) / "record"
    page = bytearray(record.read_bytes())
    page[1024 + 20] ^= 1
    record.write_bytes(page)
    machine.runtime = machine.make_runtime(boot_id="another-boot")
    recovery = machine.runtime.recover(machine.rows(1))
    assert [type(one) for one in recovery.observations] == [Started, Lost]


@pytest.mark.parametrize("point", ["K7", "K8", "K9", "K10", "K11", "K12", "K13"])
@pytest.mark.parametrize("daemon", ["stays", "is killed too"])
def test_a_crash_at_any_point_never_runs_a_step_twice(machine, point, daemon):
    home = machine.home
    (home / "plan.json").write_text(json.dumps([["sh", "-c", f"echo start >> {home}/ran; sleep 0.05; exit 6"]]))
    crashed = home / "crashed"
    child = start_child(home, f"{point}:crash:{crashed}")
    try:
        child.stdout.readline()
        while not crashed.exists():
            pass
        if daemon == "is killed too":
            end_child(child)
            child = start_child(home)
        child.wait(timeout=30)
    finally:
        end_child(child)
    (outcome,) = read_outcomes(home)
    ran = (home / "ran").read_text().count("start") if (home / "ran").exists() else 0
    assert ran <= 1
    if outcome["kind"] == "exited":
        assert (ran, outcome["code"]) == (1, 6)
    else:
        assert outcome["kind"] == "lost"
        assert outcome["began"] or ran == 0
    always_kept = {"K7", "K13"} | ({"K10", "K11", "K12"} if daemon == "stays" else set())
    if point in always_kept:
        assert outcome["kind"] == "exited"
    if point == "K8":
        assert (outcome["kind"], outcome["began"]) == ("lost", False)


def test_a_slow_start_is_not_mistaken_for_a_death(machine):
    home = machine.home
    (home / "plan.json").write_text(json.dumps([["sh", "-c", f"echo start >> {home}/ran; exit 6"]]))
    child = start_child(home, "K8:delay=0.5")
    try:
        child.stdout.readline()
        while not (home / "attempts/0/record").exists() or not any((home / "attempts/0/record").read_bytes()):
            pass
        end_child(child)
        child = start_child(home)
        child.wait(timeout=30)
    finally:
        end_child(child)
    assert read_outcomes(home) == [{"id": 0, "kind": "exited", "code": 6}]
    assert (home / "ran").read_text() == "start\n"


def test_a_worker_without_a_daemon_pokes_the_control_socket(machine):
    gate = machine.home / "gate"
    machine.launch(1, "sh", "-c", f"while [ ! -e {gate} ]; do sleep 0.01; done")
    machine.wait_for(1, Started)
    machine.runtime.detach()
    with socket.socket(socket.AF_UNIX) as control:
        control.bind(str(machine.home / "control"))
        control.listen()
        control.settimeout(20)
        gate.touch()
        link, _ = control.accept()
        with link:
            assert link.recv(100) == b'{"verb":"poke"}\n'
    machine.runtime = machine.make_runtime()
    assert [type(one) for one in machine.runtime.recover(machine.rows(1)).observations] == [Started, Exited]


def test_a_worker_killed_while_it_reaps_leaves_code_and_no_zombie(machine, monkeypatch):
    monkeypatch.setenv("LINECLEAR_FAILPOINT", f"K13:crash:{machine.home}/crashed")
    end = machine.run(1, "sh", "-c", "exit 5")
    assert (type(end), end.exit_code) == (Exited, 5)
    monkeypatch.setenv("LINECLEAR_FAILPOINT", f"K12:crash:{machine.home}/crashed-again")
    os.kill(machine.zygote(), signal.SIGKILL)
    for number in (2, 3, 4):
        assert machine.run(number, "sh", "-c", "exit 5").exit_code == 5
    table = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    states = {pid: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] for pid in table}
    started = {str(one.pid) for one in machine.seen if isinstance(one, Started)}
    assert not started & set(states)


def test_an_endless_grace_is_borne(machine):
    machine.launch(1, "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.02; done", grace_s=float("inf"))
    machine.wait_for_file(machine.directory(1) / "log")
    machine.runtime.stop(AttemptId(1))
    machine.turn()
    os.kill(machine.worker_of(1), signal.SIGKILL)
    for _ in range(3):
        machine.turn()
    assert machine.runtime.timeout_s() <= 3600
    machine.runtime.kill(AttemptId(1))
    assert machine.wait_for(1).signal == 9
