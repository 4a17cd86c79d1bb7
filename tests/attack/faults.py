"""Faults of the host under a queue of runs: no descriptors, a full disk, folders that cannot be written, calls that fail.

A fault is a context: it begins, it is in force, it is mended. What began before, meanwhile and after must end as its steps did:
the fault is nobody's failure. Mounts are made in a namespace of their own, which goes with its last process.
"""

from __future__ import annotations

import contextlib
import errno
import json
import mmap
import os
import resource
import shutil
import struct
import subprocess
import time

from attack.apart import read_only, small_disk, why_not
from attack.campaign import Done
from attack.house import FINAL, House, mutexes, workflow
from attack.oracle import HERE, out_of_turn

LOG = "faults"
CALLS = (
    *("open", "write", "pwrite", "fsync", "fdatasync", "mkdir", "rename", "fork"),
    *("spawn", "accept", "sendmsg", "recvmsg", "pipe", "socket", "thread"),
)
ROW = struct.Struct("3i")


# faults


@contextlib.contextmanager
def limited(house, what, soft):
    """A lower limit on the living daemon; it is raised again afterwards."""
    before = resource.prlimit(house.daemon, what)
    resource.prlimit(house.daemon, what, (soft, before[1]))
    try:
        yield
    finally:
        resource.prlimit(house.daemon, what, before)


def without_descriptors(house):
    """The daemon may open nothing more than it has open now."""
    taken = {int(fd) for fd in os.listdir(f"/proc/{house.daemon}/fd")}
    lowest = next(number for number in range(len(taken) + 1) if number not in taken)
    return limited(house, resource.RLIMIT_NOFILE, lowest)


@contextlib.contextmanager
def without_inodes(house):
    """Files until there can be no more."""
    crowd = house.seen.parent / "crowd"
    crowd.mkdir()
    with contextlib.suppress(OSError):
        for number in range(1_000_000):
            (crowd / str(number)).touch()
    try:
        yield
    finally:
        shutil.rmtree(crowd)


@contextlib.contextmanager
def without_blocks(house):
    """One file until there is no room."""
    filler = house.seen.parent / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(b"\0" * 65536):
            pass
    with contextlib.suppress(OSError), filler.open("ab", buffering=0) as file:
        while file.write(b"\0"):
            pass
    try:
        yield
    finally:
        filler.unlink()


class Failing:
    """A daemon whose calls can be made to fail. `calls` maps a call to (errno, how many in a thousand)."""

    def __init__(self, house):
        self.path = house.folder / "table"
        self.path.write_bytes(bytes(ROW.size * len(CALLS)))
        program = house.folder / "failing.so"
        subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", program, HERE / "failing.c", "-ldl"], check=True)
        house.environ = {"FAILING_TABLE": str(self.path), "LD_PRELOAD": str(program)}

    @contextlib.contextmanager
    def failing(self, calls):
        with self.path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as table:
            for call, (error, permille) in calls.items():
                ROW.pack_into(table, CALLS.index(call) * ROW.size, error, permille, 0)
            try:
                yield
            finally:
                self.count = {call: ROW.unpack_from(table, CALLS.index(call) * ROW.size)[2] for call in calls}
                table[:] = bytes(len(table))


# a queue through a fault


class Queue:
    """Runs that queue for one lock, each of which says for itself that it ran."""

    def __init__(self, house, count):
        self.house, self.count, self.asked = house, count, {}

    def submit(self, *, patient=False):
        """One more run, or None if it was not taken; `patient`: until it is."""
        name = f"q{len(self.asked):04}"
        source = f"{self.house.witness(LOG, 'q', 30)}; until printf out > out; do sleep 0.1; done 2>/dev/null"
        out = {"outputs": {"parameters": [{"name": "o", "valueFrom": {"path": "out"}}]}}
        notes = {"lineclear.dev/on-failure": "Release"}  # one that fails must not hide what becomes of the others
        body = workflow(name, source, spec=mutexes("q"), template=out, annotations=notes)
        self.asked[name] = (time.monotonic_ns(), None)
        while True:
            with contextlib.suppress(OSError, AssertionError, json.JSONDecodeError):
                self.house.submit(body, within_s=10)
                self.asked[name] = (self.asked[name][0], time.monotonic_ns())
                return name
            if not patient or self.house.child.poll() is not None or name in self.house.phases():
                return None
            time.sleep(0.2)

    def go_through(self, fault, during_s):
        """A third is asked for before the fault, a third while it lasts, the rest afterwards."""
        third = max(1, self.count // 3)
        for _ in range(third):
            self.submit(patient=True)
        with fault:
            end = time.monotonic() + during_s
            for _ in range(third):
                self.submit()
            while time.monotonic() < end:
                time.sleep(0.1)
        while len(self.asked) < self.count:
            self.submit(patient=True)

    def findings(self, patience_s):
        """What is not as it should be once all is over."""

        if self.house.child.poll() is not None:
            return [f"the daemon ended with {self.house.child.returncode}: {self.house.said()[-600:]}"]
        phases = self.await_end(patience_s)
        said = self.house.testimony(LOG)
        confirmed = [run for run, (_, when) in self.asked.items() if when is not None]
        found = [f"{run} is {phases.get(run)}" for run in confirmed if phases.get(run) != "Succeeded"]
        odd = {run: phase for run, phase in phases.items() if phase != "Succeeded" and run not in confirmed}
        found += [f"{run}, never confirmed, is {phase}" for run, phase in odd.items()]
        found += [f"twice: {who}" for who in said.twice()]
        found += [f"overlap: {text}" for text in said.overlaps()]
        found += [f"out of turn: {second} before {first}" for first, second in out_of_turn(said.runs(), self.asked)]
        return found

    def await_end(self, patience_s):
        """The phases once every run has ended, or as they are when patience ends."""
        end = time.monotonic() + patience_s
        while not set((phases := self.house.phases()).values()) <= set(FINAL) and time.monotonic() < end:
            time.sleep(0.2)
        return phases


def through(house, fault, count, during_s, words="", patience_s=90):
    """What broke as a queue went through a fault in a home; `words` must be in what the daemon said of it."""
    queue = Queue(house, count)
    queue.go_through(fault, during_s)
    found = queue.findings(patience_s)
    if words and words not in house.said():
        found.append(f"the daemon never said {words!r}")
    return found


TROUBLES = (
    ("open: EMFILE", {"open": (errno.EMFILE, 1000)}),
    ("open: ENFILE now and then", {"open": (errno.ENFILE, 300)}),
    ("write: ENOSPC now and then", {"write": (errno.ENOSPC, 500), "pwrite": (errno.ENOSPC, 500)}),
    ("pwrite: EIO now and then", {"pwrite": (errno.EIO, 200)}),
    ("fsync: EIO", {"fsync": (errno.EIO, 1000), "fdatasync": (errno.EIO, 1000)}),
    ("mkdir: ENOSPC", {"mkdir": (errno.ENOSPC, 1000)}),
    ("mkdir: EACCES now and then", {"mkdir": (errno.EACCES, 500)}),
    ("rename: ENOSPC", {"rename": (errno.ENOSPC, 1000)}),
    ("fork: EAGAIN", {"fork": (errno.EAGAIN, 1000), "spawn": (errno.EAGAIN, 1000)}),
    ("accept: EMFILE now and then", {"accept": (errno.EMFILE, 700)}),
    ("sendmsg: ENOBUFS now and then", {"sendmsg": (errno.ENOBUFS, 500)}),
    ("recvmsg: ENOMEM now and then", {"recvmsg": (errno.ENOMEM, 300)}),
    ("pipe: EMFILE", {"pipe": (errno.EMFILE, 1000)}),
    ("socket: EMFILE", {"socket": (errno.EMFILE, 1000)}),
    ("thread: EAGAIN", {"thread": (errno.EAGAIN, 1000)}),
)


def rlimits():
    """(what, fault, words): limits that anybody may set on a living daemon of theirs."""
    yield "no descriptors", without_descriptors, "Too many open files"
    yield "no file may grow", lambda home: limited(home, resource.RLIMIT_FSIZE, 0), ""


def disks():
    """(what, options of the disk, fault, words)."""
    yield "no inodes", "size=300m,nr_inodes=2000", without_inodes, ""
    yield "no blocks", "size=40m", without_blocks, "no room"
    yield "runs read-only", "size=300m", lambda home: read_only(home, "runs"), "Read-only"
    yield "home read-only", "size=300m", lambda home: read_only(home, "."), "Read-only"


@contextlib.contextmanager
def starved(options=None):
    """A home with a daemon, on a disk of its own if there are options for it."""
    home = small_disk(options) if options else House()
    try:
        yield home
    finally:
        home.close()


def attack(what, count, during_s):
    """What broke as a queue of `count` runs went through one fault by its name."""
    for name, fault, words in rlimits():
        if name == what:
            with starved() as home:
                home.start()
                return through(home, fault(home), count, during_s, words)
    for name, options, fault, words in disks():
        if name == what:
            with starved(options) as home:
                home.start()
                return through(home, fault(home), count, during_s, words)
    with starved() as home:
        failing = Failing(home)
        home.start()
        return through(home, failing.failing(dict(TROUBLES)[what]), count, during_s)


def names():
    """Every fault that can be made here."""
    known = [name for name, *_ in rlimits()]
    known += () if why_not() else [name for name, *_ in disks()]
    return known + ([name for name, _ in TROUBLES] if shutil.which("gcc") else [])


def campaign(budget, dice):
    """A round is every fault, 100 runs in each; the fault is in force for half a minute."""
    count = 0
    for _ in budget:
        chosen = names()
        dice.shuffle(chosen)
        for what in chosen:
            count += 1
            yield from (f"{what}: {text}" for text in attack(what, 100, 30))
    yield Done(f"{count} faults, 100 runs in each")
