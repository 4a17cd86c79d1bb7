"""What the machine withholds: descriptors, room, inodes, processes. What did not begin has not failed, nor what succeeded."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from reconciler.model.attempt import AttemptId, Exited, Hindered, HolderFound, HolderUnknown, Lost, NotStarted
from reconciler.runtime.faults import MachineFault
from reconciler.runtime.launching import read_secret
from reconciler.runtime.outputs import read_parameter, read_result
from reconciler.runtime.records import parse_record

CHILD = Path(__file__).with_name("ordinary_child.py")
NOBODY = 65534
LONELY = 61_234  # an account that has no other process, so that a limit counts ours alone


@contextlib.contextmanager
def no_descriptors(*, spare=0):
    """This process has no descriptor left, but for some."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    taken = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 8, hard))
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))
        for _ in range(spare):
            os.close(taken.pop())
        yield
    finally:
        for fd in taken:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own, of 1 MB and 64 inodes; ends empty-handed where nobody may mount one."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=64,mode=755", "none", str(place)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(place):
    """Not a byte is left."""
    with contextlib.suppress(OSError), (place / "fill").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def use_inodes(place):
    """Not a file more can be made."""
    with contextlib.suppress(OSError):
        for number in range(1000):
            (place / f"inode{number}").touch()


def free(place):
    for path in place.glob("inode*"):
        path.unlink()
    (place / "fill").unlink(missing_ok=True)


def test_steps_that_find_no_descriptor_wait_and_begin_once_when_there_are_some(machine):
    machine.run(1, "true")
    numbers = range(2, 8)
    with no_descriptors():
        for number in numbers:  # those for whom a worker is idle run: nothing has to be opened for them
            machine.launch(number, "sh", "-c", "echo ran")
        told = machine.wait_for(7, Hindered)
        assert "Too many open files" in told.message
        assert not told.began
    assert [machine.wait_for(number).exit_code for number in numbers] == [0] * len(numbers)
    assert [machine.log(number) for number in numbers] == ["ran\n"] * len(numbers)


def test_a_secret_that_no_descriptor_is_left_for_is_waited_for_and_a_missing_one_is_not(machine):
    secret = machine.home / "key"
    secret.write_text("v\n")
    secret.chmod(0o600)
    machine.run(1, "true")
    with no_descriptors():
        with pytest.raises(MachineFault, match=r"cannot read secret .*Too many open files"):
            read_secret(str(secret))
        machine.launch(2, "sh", "-c", 'echo "$KEY"', extra_env_from=(("KEY", str(secret)),))
        assert "cannot read secret" in machine.wait_for(2, Hindered).message
    assert machine.wait_for(2).exit_code == 0
    assert machine.log(2) == "v\n"
    machine.launch(3, "true", extra_env_from=(("KEY", str(machine.home / "none")),))
    assert isinstance(machine.wait_for(3), NotStarted)


def test_output_that_no_descriptor_is_left_for_is_no_missing_output(machine):
    machine.run(1, "sh", "-c", "echo said; echo -n left > o", keep_stdout=True)
    directory = str(machine.directory(1))
    with no_descriptors():
        with pytest.raises(MachineFault, match="Too many open files"):
            read_result(directory)
        with pytest.raises(MachineFault, match="cannot read the output o: Too many open files"):
            read_parameter(directory, "o", sandboxed=False)
    assert read_result(directory) == "said"
    assert read_parameter(directory, "o", sandboxed=False) == "left"


def test_a_record_that_cannot_be_read_now_is_read_later(grouped):
    grouped.launch(1, "sh", "-c", "echo up; exec sleep 300")
    grouped.wait_for_file(grouped.directory(1) / "log")
    worker, record = grouped.worker_of(1), grouped.directory(1) / "record"
    kept = record.rename(record.with_name("kept"))
    record.symlink_to(kept)  # what is not there by its own name proves nothing
    os.kill(worker, signal.SIGKILL)
    grouped.wait_for(1, HolderUnknown)
    record.unlink()
    kept.rename(record)
    grouped.wait_for(1, HolderFound)
    grouped.runtime.kill(AttemptId(1))
    assert isinstance(grouped.wait_for(1), Exited)


@pytest.mark.parametrize("use_up", [fill, use_inodes])
def test_a_step_that_finds_no_room_waits_begins_once_and_leaves_no_trace_of_the_tries(machine, small_disk, use_up):
    machine.runtime.close()
    machine.home = small_disk
    machine.runtime = machine.make_runtime()
    machine.run(1, "true")
    use_up(small_disk)
    machine.launch(2, "sh", "-c", "echo ran", source="echo once >> $1\n" * 2000)
    told = machine.wait_for(2, Hindered)
    assert "No space left on device" in told.message
    record = machine.directory(2) / "record"
    assert not record.exists() or not parse_record(record.read_bytes()).is_claimed
    free(small_disk)
    assert machine.wait_for(2).exit_code == 0
    assert machine.log(2) == "ran\n"


def test_an_end_is_recorded_on_a_full_disk_and_output_waits_for_room(machine, small_disk):
    machine.runtime.close()
    machine.home = small_disk
    machine.runtime = machine.make_runtime()
    gate = small_disk / "gate"
    gate.touch()
    shut = f"while [ -e {gate} ]; do sleep 0.01; done"
    machine.launch(1, "sh", "-c", f"{shut}; exit 3")
    machine.launch(2, "sh", "-c", f"echo said; {shut}", keep_stdout=True)
    machine.wait_for_file(machine.directory(2) / "log")
    fill(small_disk)
    use_inodes(small_disk)
    gate.unlink()
    use_inodes(small_disk)
    assert machine.wait_for(1).exit_code == 3
    assert parse_record((machine.directory(1) / "record").read_bytes()).end is not None
    told = machine.wait_for(2, Hindered)
    assert told.began
    assert "cannot keep the step's standard output" in told.message
    free(small_disk)
    end = machine.wait_for(2)
    assert (end.exit_code, end.message) == (0, "")
    assert read_result(str(machine.directory(2))) == "said"


def test_a_step_that_waits_for_room_can_be_ended_on_the_full_disk(machine, small_disk):
    machine.runtime.close()
    machine.home = small_disk
    machine.runtime = machine.make_runtime()
    machine.run(1, "true")
    use_inodes(small_disk)
    machine.launch(2, "true")
    machine.wait_for(2, Hindered)
    machine.runtime.stop(AttemptId(2))
    end = machine.wait_for(2)
    assert isinstance(end, Lost)
    assert not end.began


def ordinary(fault, uid):
    """What a runtime of an ordinary user tells; skips where no other user can run this project."""
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONDONTWRITEBYTECODE": "1"}
    start = [] if os.geteuid() else ["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups"]
    code = "import os, sys, reconciler.runtime.host; sys.exit(not os.access(sys.executable, os.X_OK))"
    for python in (sys.executable, "/usr/bin/python3"):  # another account may not get at the first
        if subprocess.run([*start, python, "-c", code], env=env, capture_output=True, check=False).returncode == 0:
            break
    else:
        pytest.skip("no Python can be used with this project by another account")
    home = tempfile.mkdtemp(prefix="lc")
    try:
        os.chown(home, uid if not os.geteuid() else -1, -1)
        argv = [*start, python, str(CHILD), fault, home]
        done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=False)
    finally:
        shutil.rmtree(home)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_folder_that_may_not_be_written_to_is_the_machines_fault():
    assert ordinary("folder", NOBODY) == ["Hindered cannot make its record: Permission denied", "ended 0"]


def test_a_machine_on_which_no_process_can_be_made_is_waited_for():
    told, ended = ordinary("processes", LONELY)
    assert told.startswith("Hindered cannot make a process for it: ")
    assert ended == "ended 0"


def test_manifests_faults_stay_the_runs_own(machine):
    machine.launch(1, "no-such-program")
    assert isinstance(machine.wait_for(1), NotStarted)
    machine.launch(2, "true", cwd="/no/such/folder")
    assert isinstance(machine.wait_for(2), NotStarted)
    machine.launch(3, "echo", "x" * 300_000)
    end = machine.wait_for(3)
    assert isinstance(end, NotStarted)
    assert "Argument list too long" in end.message


def test_an_end_is_seen_without_descriptors(machine):
    machine.launch(1, "sh", "-c", "read x < gate; exit 4", cwd=str(machine.home))
    os.mkfifo(machine.home / "gate")
    with no_descriptors(spare=1):
        fd = os.open(machine.home / "gate", os.O_RDWR)
        os.write(fd, b"go\n")
        end = machine.wait_for(1)
        os.close(fd)
    assert isinstance(end, Exited)
    assert end.exit_code == 4


def test_a_log_keeps_its_beginning_and_the_step_writes_on(machine):
    script = "i=0; while [ $i -lt 3000 ]; do echo 0123456789; i=$((i + 1)); done; echo unheard; exit 5"
    machine.launch(1, "sh", "-c", script, log_bytes=1100)
    assert machine.wait_for(1).exit_code == 5
    log = machine.log(1)
    assert log.startswith("0123456789\n" * 100)
    assert log[1100:] == "\n[lineclear: the log keeps 1100 bytes (limits.log_mb); what came after was dropped]\n"


def test_a_log_is_cut_while_its_step_still_writes(machine):
    gate = machine.home / "gate"
    machine.launch(1, "sh", "-c", f"head -c 100000 /dev/zero; while [ ! -e {gate} ]; do sleep 0.01; done", log_bytes=1000)
    log = machine.directory(1) / "log"
    machine.wait_for_file(log)
    assert log.stat().st_size < 1200
    gate.touch()
    assert machine.wait_for(1).exit_code == 0
