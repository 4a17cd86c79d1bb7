"""Workers, zygotes and daemons are killed: codes are kept, nothing runs twice, what is lost is proven dead."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from reconciler.errors import Transient
from reconciler.model.attempt import AttemptId, Exited, HolderFound, HolderUnknown, Lost, Started
from reconciler.runtime.grouping import find_grouping
from reconciler.runtime.poller import wait_for_end
from reconciler.runtime.records import parse_record, reserve_record

CHILD = Path(__file__).parent / "daemon_child.py"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def start_child(home, failpoint=None, groups=""):
    env = {**os.environ, "WITH_GROUPS": groups, "PYTHONPATH": str(Path(__file__).parents[2])}
    if failpoint is not None:
        env["LINECLEAR_FAILPOINT"] = failpoint
    return subprocess.Popen([sys.executable, str(CHILD), str(home)], stdout=subprocess.PIPE, env=env, start_new_session=True)


def end_child(child):
    child.kill()
    child.wait()
    child.stdout.close()


def read_outcomes(home, name="outcomes"):
    path = home / name
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def wait_until(condition, what):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
    raise AssertionError(f"not seen: {what}")


def read_slots(machine, number):
    return parse_record((machine.directory(number) / "record").read_bytes())


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def has_ended(machine, number):
    record = machine.directory(number) / "record"
    return record.exists() and read_slots(machine, number).seen


def flip(record, offset):
    page = bytearray(record.read_bytes())
    page[offset] ^= 1
    record.write_bytes(page)


def test_a_lost_worker_leaves_its_holder_unknown_whatever_its_step_does_then(bare):
    gate = bare.home / "gate"
    bare.launch(1, "sh", "-c", f"echo ran; while [ ! -e {gate} ]; do sleep 0.01; done; exit 9")
    step = bare.wait_for(1, Started).pid
    told = bare.lose(1)
    assert told.evidence == "its shim was lost and nothing proves that its processes ended"
    assert step in told.pids
    gate.touch()
    wait_until(lambda: (bare.turn(), read_slots(bare, 1).seen)[1], "the code of the main process")
    assert read_slots(bare, 1).seen.exit_code == 9
    assert not is_running(step)
    bare.turn()
    assert [one for one in bare.seen if isinstance(one, Exited | Lost)] == []
    assert bare.liveness(1).state == "unknown"
    assert bare.log(1) == "ran\n"
    assert bare.run(2, "true").exit_code == 0


def test_another_daemon_finds_the_holder_as_unknown_as_it_was(bare):
    bare.launch(1, "sleep", "300")
    step = bare.wait_for(1, Started).pid
    bare.lose(1)
    os.kill(step, signal.SIGKILL)
    wait_until(lambda: not is_running(step), "the step's end")
    bare.runtime.detach()
    bare.runtime = bare.make_runtime()
    found = bare.runtime.recover(bare.rows(1))
    assert [type(one) for one in found.observations] == [Started, HolderUnknown]
    assert found.observations[1].pids == ()
    assert found.to_launch == ()
    assert bare.liveness(1).state == "unknown"
    bare.launch(1, "sh", "-c", "echo ran again")
    bare.turn()
    assert not (bare.directory(1) / "log").read_text()


def test_after_another_boot_the_holder_is_lost(bare):
    bare.launch(1, "sleep", "300")
    step = bare.wait_for(1, Started).pid
    bare.lose(1)
    os.kill(step, signal.SIGKILL)
    bare.runtime.detach()
    bare.runtime = bare.make_runtime(boot_id="another-boot")
    found = bare.runtime.recover(bare.rows(1))
    assert [type(one) for one in found.observations] == [Started, Lost]
    assert found.observations[1].began


def test_a_stop_reaches_what_can_be_found_of_an_unknown_holder_and_proves_nothing(bare):
    bare.launch(1, "sh", "-c", "trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.02; done")
    bare.wait_for_file(bare.directory(1) / "log")
    bare.lose(1)
    bare.runtime.stop(AttemptId(1))
    wait_until(lambda: (bare.turn(), read_slots(bare, 1).seen)[1], "the code of the main process")
    assert read_slots(bare, 1).seen.exit_code == 5
    assert [one for one in bare.seen if isinstance(one, Exited | Lost)] == []


def test_what_can_be_found_is_killed_after_the_grace(bare):
    bare.launch(1, "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.02; done", grace_s=0.2)
    bare.wait_for_file(bare.directory(1) / "log")
    bare.lose(1)
    bare.runtime.stop(AttemptId(1))
    wait_until(lambda: (bare.turn(), read_slots(bare, 1).seen)[1], "the code of the main process")
    assert read_slots(bare, 1).seen.signal == 9
    assert bare.liveness(1).pids == ()


def test_workers_killed_together_each_leave_their_own_code(bare):
    gate = bare.home / "gate"
    for number in range(4):
        bare.launch(number, "sh", "-c", f"while [ ! -e {gate} ]; do sleep 0.01; done; exit {20 + number}")
    for worker in [bare.worker_of(number) for number in range(4)]:
        os.kill(worker, signal.SIGKILL)
    gate.touch()
    for number in range(4):
        wait_until(lambda n=number: (bare.turn(), read_slots(bare, n).seen)[1], "a code")
    assert [read_slots(bare, number).seen.exit_code for number in range(4)] == [20, 21, 22, 23]


def test_a_forgotten_holder_is_told_no_more_and_what_was_found_of_it_is_killed(bare):
    bare.launch(1, "sleep", "300")
    step = bare.wait_for(1, Started).pid
    bare.lose(1)
    bare.seen.clear()
    bare.runtime.forget([AttemptId(1)])
    wait_until(lambda: not is_running(step), "the step's end")
    bare.turn()
    assert bare.seen == []


def test_a_killed_worker_leaves_the_step_running_and_its_code_is_kept(grouped):
    gate = grouped.home / "gate"
    grouped.launch(1, "sh", "-c", f"echo ran; while [ ! -e {gate} ]; do sleep 0.01; done; exit 9")
    os.kill(grouped.worker_of(1), signal.SIGKILL)
    grouped.turn()
    assert grouped.liveness(1).state == "alive"
    gate.touch()
    end = grouped.wait_for(1)
    assert isinstance(end, Exited)
    assert (end.exit_code, end.stopped) == (9, False)
    assert grouped.log(1) == "ran\n"
    assert grouped.run(2, "true").exit_code == 0


def test_a_step_without_its_worker_can_be_stopped(grouped):
    grouped.launch(1, "sh", "-c", "trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.02; done")
    grouped.wait_for_file(grouped.directory(1) / "log")
    os.kill(grouped.worker_of(1), signal.SIGKILL)
    grouped.turn()
    grouped.runtime.stop(AttemptId(1))
    end = grouped.wait_for(1)
    assert (end.exit_code, end.stopped) == (5, True)


def test_a_deaf_step_without_its_worker_is_killed_after_the_grace(grouped):
    grouped.launch(1, "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.02; done", grace_s=0.2)
    grouped.wait_for_file(grouped.directory(1) / "log")
    os.kill(grouped.worker_of(1), signal.SIGKILL)
    grouped.turn()
    grouped.runtime.stop(AttemptId(1))
    assert (grouped.wait_for(1).signal, grouped.seen[-1].stopped) == (9, True)


def test_workers_killed_together_each_keep_their_own_code(grouped):
    gate = grouped.home / "gate"
    for number in range(4):
        grouped.launch(number, "sh", "-c", f"while [ ! -e {gate} ]; do sleep 0.01; done; exit {20 + number}")
    workers = [grouped.worker_of(number) for number in range(4)]
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    gate.touch()
    assert [grouped.wait_for(number).exit_code for number in range(4)] == [20, 21, 22, 23]


DAMAGE = {
    "removed": lambda record: record.unlink(),
    "the whole folder removed": lambda record: shutil.rmtree(record.parent),
    "emptied": lambda record: os.truncate(record, 0),
    "cut short": lambda record: os.truncate(record, 600),
    "zeroed": lambda record: record.write_bytes(bytes(4096)),
    "torn claim": lambda record: flip(record, 20),
    "made a folder": lambda record: (record.unlink(), record.mkdir()),
    "made a link": lambda record: (record.unlink(), record.symlink_to("/etc/hostname")),
}


def end_process(pid):
    """Kills it, and waits until that has happened: until then it keeps its locks."""
    pidfd = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    assert wait_for_end(pidfd, 20_000)
    os.close(pidfd)


@pytest.mark.parametrize("way", DAMAGE)
def test_a_damaged_record_is_unknown_and_never_begun_again(bare, way):
    reserve_record(str(bare.directory(1)))
    bare.launch(1, "sh", "-c", "echo ran; exec sleep 300", reserved=True)
    bare.wait_for_file(bare.directory(1) / "log")
    step, worker = bare.wait_for(1, Started).pid, bare.worker_of(1)
    bare.runtime.detach()
    end_process(worker)
    end_process(step)
    DAMAGE[way](bare.directory(1) / "record")
    bare.runtime = bare.make_runtime()
    intent = bare.intent(1, reserved=True)
    found = bare.runtime.recover([intent])
    assert type(found.observations[-1]) is HolderUnknown, found
    assert found.to_launch == ()
    with contextlib.suppress(Transient):
        assert not bare.runtime.revoke(intent)
    assert bare.runtime.liveness(intent).state == "unknown"


def test_a_record_that_was_never_reserved_is_missed_once_its_step_was_seen(machine):
    found = machine.runtime.recover([machine.intent(1, began=True)])
    assert [type(one) for one in found.observations] == [HolderUnknown]
    assert machine.runtime.recover([machine.intent(2)]).to_launch == (2,)


def test_a_reserved_record_that_nobody_claimed_is_begun(machine):
    reserve_record(str(machine.directory(1)))
    assert machine.runtime.recover([machine.intent(1, reserved=True)]).to_launch == (1,)
    assert machine.run(1, "sh", "-c", "exit 4", reserved=True).exit_code == 4


def test_a_record_that_is_put_back_tells_the_end(machine):
    machine.launch(1, "sh", "-c", "exit 4")
    machine.wait_for(1)
    aside = machine.home / "aside"
    machine.directory(1).rename(aside)
    machine.runtime.detach()
    machine.runtime = machine.make_runtime()
    machine.seen = [*machine.runtime.recover([machine.intent(1, began=True)]).observations]
    assert [type(one) for one in machine.seen] == [HolderUnknown]
    aside.rename(machine.directory(1))
    assert machine.wait_for(1).exit_code == 4


def test_a_living_worker_is_found_again_when_its_record_is_put_back(machine):
    gate = machine.home / "gate"
    machine.launch(1, "sh", "-c", f"while [ ! -e {gate} ]; do sleep 0.01; done; exit 4")
    machine.wait_for(1, Started)
    aside = machine.home / "aside"
    machine.directory(1).rename(aside)
    machine.runtime.detach()
    machine.runtime = machine.make_runtime()
    machine.seen = [*machine.runtime.recover([machine.intent(1, began=True)]).observations]
    assert [type(one) for one in machine.seen] == [HolderUnknown]
    aside.rename(machine.directory(1))
    machine.wait_for(1, HolderFound)
    gate.touch()
    assert machine.wait_for(1).exit_code == 4


def test_who_keeps_the_lock_of_a_record_without_a_word_is_unknown(machine):
    reserve_record(str(machine.directory(1)))
    with open(machine.directory(1) / "record", "rb+") as record:
        fcntl.flock(record, fcntl.LOCK_EX)
        machine.seen += machine.runtime.recover([machine.intent(1, reserved=True)]).observations
        told = machine.wait_for(1, HolderUnknown)
        assert told.evidence == "somebody holds the lock of its record and has not said who"


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
    found = machine.liveness(2)
    assert (found.state, found.evidence) == ("alive", "its shim is alive: it holds the record's lock")
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
    assert machine.runtime.revoke(machine.intent(3))
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
@pytest.mark.parametrize("groups", ["", "groups"])
def test_a_crash_at_any_point_never_runs_a_step_twice(machine, point, daemon, groups):
    home = machine.home
    if groups and not find_grouping(home).places:
        pytest.skip(find_grouping(home).problem)
    (home / "plan.json").write_text(json.dumps([["sh", "-c", f"echo start >> {home}/ran; sleep 0.05; exit 6"]]))
    crashed = home / "crashed"
    child = start_child(home, f"{point}:crash:{crashed}", groups)
    try:
        child.stdout.readline()
        while not crashed.exists():
            pass
        if daemon == "is killed too":
            end_child(child)
            child = start_child(home, groups=groups)
        wait_until(lambda: child.poll() is not None or read_outcomes(home, "unknown"), "an end, or that it is unknown")
    finally:
        end_child(child)
    outcomes, unknown = read_outcomes(home), read_outcomes(home, "unknown")
    ran = (home / "ran").read_text().count("start") if (home / "ran").exists() else 0
    assert ran <= 1
    if point in {"K7", "K13"}:
        assert outcomes == [{"id": 0, "kind": "exited", "code": 6}]
    elif point == "K8":
        assert [(one["kind"], one["began"]) for one in outcomes] == [("lost", False)]
    elif groups:
        assert unknown == []
        kinds = {"exited"} if daemon == "stays" else {"lost"}
        (outcome,) = outcomes
        assert outcome["kind"] in (kinds if point != "K9" else {"exited", "lost"}), outcomes  # K9: it may not be found in time
        assert outcomes[0].get("code", 6) == 6
    else:
        assert (outcomes, unknown[0]["id"]) == ([], 0)


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


def test_a_worker_killed_while_it_reaps_leaves_code_and_no_zombie(bare, monkeypatch):
    monkeypatch.setenv("LINECLEAR_FAILPOINT", f"K13:crash:{bare.home}/crashed")
    end = bare.run(1, "sh", "-c", "exit 5")
    assert (type(end), end.exit_code) == (Exited, 5)
    monkeypatch.setenv("LINECLEAR_FAILPOINT", f"K12:crash:{bare.home}/crashed-again")
    os.kill(bare.zygote(), signal.SIGKILL)
    for number in (2, 3, 4):
        bare.launch(number, "sh", "-c", "exit 5")
        wait_until(lambda n=number: (bare.turn(), has_ended(bare, n))[1], "its end, or its code")
    table = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    states = {pid: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] for pid in table}
    started = {str(one.pid) for one in bare.seen if isinstance(one, Started)}
    assert not started & set(states)


def test_an_endless_grace_is_borne(bare):
    bare.launch(1, "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.02; done", grace_s=float("inf"))
    bare.wait_for_file(bare.directory(1) / "log")
    bare.runtime.stop(AttemptId(1))
    bare.turn()
    os.kill(bare.worker_of(1), signal.SIGKILL)
    for _ in range(3):
        bare.turn()
    assert bare.runtime.timeout_s() <= 3600
    bare.runtime.kill(AttemptId(1))
    wait_until(lambda: (bare.turn(), read_slots(bare, 1).seen)[1], "the code of the main process")
