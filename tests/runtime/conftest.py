"""A runtime over real processes, and what its tests ask of the machine."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from pathlib import Path

import pytest

from reconciler.clock import SystemClock
from reconciler.model.attempt import AttemptId, Exited, HolderUnknown, Intent, Launch, Lost, NotStarted, Started
from reconciler.runtime.grouping import NO_GROUPS, find_grouping
from reconciler.runtime.host import HostRuntime

BOOT_ID = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
ENV = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
DEADLINE_S = 60.0


def wait_until(condition, what):
    """The first true value of `condition`; fails after a deadline."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.002)
    raise AssertionError(f"not seen within {DEADLINE_S} s: {what}")


class Machine:
    """One home's runtime, driven as the control thread drives it."""

    def __init__(self, home, *, has_groups):
        self.home = home
        self.has_groups = has_groups
        self.runtime = self.make_runtime()
        self.seen = []

    def make_runtime(self, boot_id=BOOT_ID):
        grouping = find_grouping(self.home) if self.has_groups else NO_GROUPS
        return HostRuntime(self.home, poke_path=self.home / "control", clock=SystemClock(), boot_id=boot_id, grouping=grouping)

    def directory(self, number):
        return self.home / "attempts" / str(number)

    def make_launch(self, number, *argv, **more):
        values = {"env": ENV, "directory": str(self.directory(number)), **more}
        return Launch(attempt_id=AttemptId(number), argv=argv, **values)

    def launch(self, number, *argv, **more):
        self.runtime.launch(self.make_launch(number, *argv, **more))

    def turn(self, at_most_s=0.05):
        """Wait as the loop does, then collect."""
        due = self.runtime.timeout_s()
        poll = select.poll()
        for fd in self.runtime.fds():
            poll.register(fd, select.POLLIN)
        poll.poll(1000 * (at_most_s if due is None else min(due, at_most_s)))
        self.seen += self.runtime.collect()

    def wait_for(self, number, *kinds):
        """The attempt's first observation of these kinds; any end is the default."""
        wanted = kinds or (Exited, NotStarted, Lost)

        def find():
            self.turn()
            return next((one for one in self.seen if one.attempt_id == number and isinstance(one, wanted)), None)

        return wait_until(find, f"{wanted} of attempt {number}")

    def wait_for_file(self, path):
        """The text of a file that a step writes, once it ends with a newline."""

        def find():
            self.turn(0.005)
            return path.exists() and path.read_text().endswith("\n") and path.read_text()

        return wait_until(find, f"a whole line in {path}")

    def run(self, number, *argv, **more):
        self.launch(number, *argv, **more)
        end = self.wait_for(number)
        self.runtime.acknowledge([AttemptId(number)])
        return end

    def log(self, number):
        return (self.directory(number) / "log").read_text()

    def rows(self, *numbers, boot_id=BOOT_ID):
        return [self.intent(number, boot_id=boot_id) for number in numbers]

    def intent(self, number, **more):
        """What the row of an attempt would say of it."""
        return Intent(**{"attempt_id": AttemptId(number), "directory": str(self.directory(number)), "boot_id": BOOT_ID, **more})

    def liveness(self, number):
        return self.runtime.liveness(self.intent(number))

    def lose(self, number):
        """Kill the attempt's worker; what its runtime tells of it then."""
        os.kill(self.worker_of(number), signal.SIGKILL)
        return self.wait_for(number, HolderUnknown)

    def shims(self):
        """Zygote and workers of this home, by pid."""
        return find_shims(self.home)

    def wait_for_shims(self, count):
        """At least so many shims: a spare is forked beside the steps, so a busy machine shows it a little later."""

        def is_there():
            self.turn(0.01)
            return len(self.shims()) >= count

        wait_until(is_there, f"{count} shims")

    def worker_of(self, number):
        """The worker that serves the attempt now: the parent of its main process."""
        started = self.wait_for(number, Started)
        return int(Path(f"/proc/{started.pid}/stat").read_text().rpartition(")")[2].split()[1])

    def zygote(self):
        """The one shim that forks the others, once there is one."""

        def find():
            self.turn(0.01)
            return self.runtime._pool._zygote_pid

        return wait_until(find, "a zygote")


def find_shims(home):
    """Living zygotes and workers of a home: pid to parent's pid."""
    found = {}
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if name.isdigit() and str(home / "control").encode() in Path(f"/proc/{name}/cmdline").read_bytes():
                fields = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
                if fields[0] not in "ZX" and b"LINECLEAR_SHIM=1" in Path(f"/proc/{name}/environ").read_bytes():
                    found[int(name)] = int(fields[1])
    return found


@contextlib.contextmanager
def working(home, *, has_groups):
    made = Machine(home, has_groups=has_groups)
    yield made
    made.runtime.forget(tuple(made.runtime._cases))
    made.runtime.close()
    for pid in find_shims(home):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGUSR1)  # to a worker: end the step at once; it reports to nobody and leaves
    wait_until(lambda: not find_shims(home), "the end of every worker")


@pytest.fixture
def machine(tmp_path):
    """With control groups where they can be had."""
    with working(tmp_path, has_groups=True) as made:
        yield made


@pytest.fixture
def bare(tmp_path):
    """As on a machine where no worker can have a control group."""
    with working(tmp_path, has_groups=False) as made:
        yield made


@pytest.fixture
def grouped(machine):
    """With control groups, or not at all."""
    if not find_grouping(machine.home).places:
        pytest.skip(find_grouping(machine.home).problem)
    return machine
