"""What the runtime holds: descriptors, workers, memory of what it imports."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reconciler.clock import SystemClock
from reconciler.model.attempt import AttemptId, Exited, HolderUnknown, Started
from reconciler.runtime import wire
from reconciler.runtime.host import HostRuntime
from reconciler.runtime.records import parse_record

BOOT_ID = Path("/proc/sys/kernel/random/boot_id").read_text().strip()


class LeapingClock(SystemClock):
    """The machine's clock, and a leap that a test asks for."""

    def __init__(self):
        self.leap_s = 0.0

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return super().monotonic() + self.leap_s


def count_descriptors():
    return len(os.listdir("/proc/self/fd"))


def wait_for_shims(machine, count):
    for _ in range(2000):
        machine.turn(0.01)
        if len(machine.shims()) == count:
            return
    raise AssertionError(f"{machine.shims()} instead of {count} shims")


def test_idle_workers_beyond_the_spare_leave_after_ten_seconds(machine):
    clock = LeapingClock()
    machine.runtime.close()
    machine.runtime = HostRuntime(machine.home, poke_path=machine.home / "control", clock=clock, boot_id=BOOT_ID)
    for number in range(6):
        machine.launch(number, "sleep", "0.05")
    for number in range(6):
        machine.wait_for(number)
    machine.runtime.acknowledge([AttemptId(number) for number in range(6)])
    wait_for_shims(machine, 8)  # the zygote, six workers, a spare
    assert 0 < machine.runtime.timeout_s() <= 10
    clock.leap_s = 10.0
    wait_for_shims(machine, 2)
    assert machine.run(10, "true").exit_code == 0


def test_no_descriptor_is_left_behind_by_steps_kills_and_restarts(bare):
    bare.run(0, "sleep", "0.2")  # long enough for a spare to be made beside it
    wait_for_shims(bare, 3)  # the zygote, the worker, a spare
    before = count_descriptors()
    for number in range(1, 8):
        bare.launch(number, "sh", "-c", "sleep 0.05")
        bare.lose(number)
        bare.runtime.forget([AttemptId(number)])
        os.kill(bare.zygote(), signal.SIGKILL)
        bare.run(100 + number, "true")
    bare.zygote()
    wait_for_shims(bare, 3)
    assert count_descriptors() <= before + 1  # the zygote may be a new one on its way
    bare.runtime.detach()
    bare.runtime = bare.make_runtime()
    bare.runtime.recover(bare.rows(*range(8)))
    bare.runtime.acknowledge([AttemptId(number) for number in range(8)])
    bare.runtime.close()
    after = count_descriptors()
    bare.runtime = bare.make_runtime()
    assert after < before


def test_an_unacknowledged_end_is_made_durable_by_its_worker_which_is_then_free(machine):
    machine.launch(1, "true")
    machine.wait_for(1)
    record = machine.directory(1) / "record"
    for _ in range(1000):
        machine.turn(0.01)
        if len(machine.runtime._pool._idle) == 2:
            break
    assert parse_record(record.read_bytes()).end is not None
    machine.launch(2, "sh", "-c", "echo $PPID")
    machine.launch(3, "sh", "-c", "echo $PPID")
    machine.wait_for(2)
    machine.wait_for(3)
    assert len(machine.shims()) <= 4


def test_liveness_names_the_evidence(machine):
    runtime = machine.runtime
    assert machine.liveness(1).state == "unknown"
    machine.launch(1, "sh", "-c", "echo ready; sleep 300")
    machine.wait_for_file(machine.directory(1) / "log")
    step = machine.wait_for(1, Started).pid
    found = machine.liveness(1)
    assert found.state == "alive"
    assert {step, machine.worker_of(1)} <= set(found.pids)
    assert machine.make_runtime(boot_id="another-boot").liveness(machine.intent(1)).state == "dead"
    runtime.kill(AttemptId(1))
    machine.wait_for(1)
    assert machine.liveness(1).evidence == "the record tells the end: exited"


def test_a_record_of_an_unknown_version_is_unknown_never_dead(machine):
    machine.run(1, "true")
    record = machine.directory(1) / "record"
    record.write_bytes(record.read_bytes().replace(b"LCR1", b"LCR9"))
    assert machine.liveness(1).state == "unknown"
    machine.runtime.detach()
    machine.runtime = machine.make_runtime()
    recovery = machine.runtime.recover(machine.rows(1))
    assert [type(one) for one in recovery.observations] == [HolderUnknown]
    assert recovery.to_launch == ()


def test_the_record_survives_what_people_write_in_a_message():
    page = bytearray(wire.RECORD_BYTES)
    fields = {"kind": "not-started", "code": 64, "message": "a=b\nkind=exited ä\udcff" + "x" * 5000, "at": "1.5"}
    slot = wire.pack_slot(wire.END, fields)
    page[wire.END : wire.END + len(slot)] = slot
    end = parse_record(bytes(page)).end
    assert end is not None
    assert end["kind"] == "not-started"
    assert end["message"].startswith("a=b kind=exited ä")
    assert len(slot) < wire.RECORD_BYTES - wire.END


@pytest.mark.parametrize("size", [0, 1, 100, 450, 1030, 4095, 5000])
def test_a_record_of_any_size_and_content_is_read_without_error(size):
    for byte in (b"\0", b"\xff", b"L"):
        record = parse_record(byte * size)
        assert record.end is None
        assert record.start is None


def test_workers_import_little():
    program = "import sys; sys.path.append(sys.argv[1]); import reconciler.runtime.zygote; print(*sorted(sys.modules))"
    root = str(Path(__file__).parents[2])
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program, root], capture_output=True, text=True, check=True)
    modules = set(done.stdout.split())
    ours = ("bounds", "box", "faults", "groups", "job", "membership", "processes", "shim", "tee", "wire", "zygote")
    own = {"reconciler", "reconciler.runtime", *(f"reconciler.runtime.{name}" for name in ours)}
    assert {name for name in modules if name.startswith("reconciler")} == own
    assert not modules & {"re", "json", "typing", "dataclasses", "pathlib", "subprocess", "threading", "logging", "datetime"}


def test_a_worker_that_is_asked_to_end_while_idle_does_so(machine):
    machine.run(1, "true")
    for pid, parent in machine.shims().items():
        if parent != os.getpid():
            os.kill(pid, signal.SIGTERM)
    end = machine.run(2, "true")
    assert isinstance(end, Exited)
