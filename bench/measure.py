"""What every workload measures with: a step that notes its first and last instruction, the floor, medians, rows of results."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise

STEP_C = r"""
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
/* step LOG ID [SECONDS]: appends "S ID ns" and "E ID ns" of the monotonic clock, and sleeps in between. */
static void note(int fd, char what, const char *id) {
    struct timespec now; char line[128];
    clock_gettime(CLOCK_MONOTONIC, &now);
    int n = snprintf(line, sizeof line, "%c %s %lld\n", what, id, now.tv_sec * 1000000000LL + now.tv_nsec);
    if (write(fd, line, n) != n) _exit(3);
}
int main(int argc, char **argv) {
    if (argc < 3) return 2;
    int fd = open(argv[1], O_WRONLY | O_CREAT | O_APPEND, 0644);
    note(fd, 'S', argv[2]);
    unsigned seconds = 0;
    if (argc > 3 && sscanf(argv[3], "%u", &seconds) == 1) sleep(seconds);
    note(fd, 'E', argv[2]);
    return 0;
}
"""
FLOOR_BLOCKS = 5
FLOOR_STEPS = 60


@dataclass(frozen=True, slots=True)
class Event:
    """A step's first ("S") or last ("E") instruction; `number` is the run's place in the order of submission."""

    what: str
    number: int
    at_ns: int


@dataclass(slots=True)
class Beside:
    """The floor just before and just after something was measured."""

    before_ms: float
    after_ms: float = 0.0

    @property
    def mean_ms(self) -> float:
        return (self.before_ms + self.after_ms) / 2


class Place:
    """A temporary folder with the compiled step and its log. What needs ending is ended in reverse order by `close`."""

    def __init__(self) -> None:
        self.root = tempfile.mkdtemp(prefix="lcb")
        os.chmod(self.root, 0o755)  # a peer's server may run as another user
        self.step = self.path("step")
        with open(self.step + ".c", "w") as file:
            file.write(STEP_C)
        subprocess.run([shutil.which("cc") or "gcc", "-O2", "-o", self.step, self.step + ".c"], check=True)
        self.log = self.path("steps.log")
        self._ends: list[Callable[[], None]] = []

    def path(self, *parts: str) -> str:
        return os.path.join(self.root, *parts)

    def at_end(self, end: Callable[[], None]) -> None:
        self._ends.append(end)

    def close(self) -> None:
        while self._ends:
            with suppress(OSError, subprocess.SubprocessError):
                self._ends.pop()()
        self._end_steps()
        for folder, _, _ in os.walk(self.root):
            with suppress(OSError):
                os.chmod(folder, 0o700)
        shutil.rmtree(self.root, ignore_errors=True)

    def _end_steps(self) -> None:
        """A step that still sleeps outlives its daemon, as it should."""
        for name in os.listdir("/proc"):
            if name.isdigit():
                with suppress(OSError), open(f"/proc/{name}/cmdline", "rb") as file:
                    if file.read().startswith(os.fsencode(self.step) + b"\0"):
                        os.kill(int(name), signal.SIGTERM)

    def floor_ms(self) -> float:
        """One durable commit, one spawn and one wait of the step, from Python: the median of five blocks of sixty."""
        db = sqlite3.connect(self.path("floor.db"), isolation_level=None)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("CREATE TABLE IF NOT EXISTS t (i INTEGER PRIMARY KEY, v INTEGER)")
        db.execute("INSERT OR IGNORE INTO t VALUES (1, 0)")
        argv = [self.step, self.path("floor.log"), "0"]
        blocks = []
        for _ in range(FLOOR_BLOCKS):
            began = time.monotonic_ns()
            for _ in range(FLOOR_STEPS):
                db.execute("BEGIN IMMEDIATE")
                db.execute("UPDATE t SET v = v + 1 WHERE i = 1")
                db.execute("COMMIT")
                os.waitpid(os.posix_spawn(self.step, argv, os.environ), 0)
            blocks.append((time.monotonic_ns() - began) / FLOOR_STEPS / 1e6)
        db.close()
        return statistics.median(blocks)

    @contextmanager
    def beside_floor(self) -> Iterator[Beside]:
        """Whatever is measured inside has the floor of its own minute."""
        beside = Beside(self.floor_ms())
        yield beside
        beside.after_ms = self.floor_ms()

    def clear(self) -> None:
        """Forgets the steps so far."""
        with open(self.log, "w"):
            pass

    def wait_events(self, count: int, what: str = "E", timeout_s: float = 45.0) -> list[Event]:
        """All events, once `count` steps have ended (or, with "S", begun). Raises TimeoutError."""
        found: list[Event] = []
        rest, left = "", count
        deadline = time.monotonic() + timeout_s
        with open(self.log) as file:
            while left > 0:
                *lines, rest = (rest + file.read()).split("\n")
                for line in lines:
                    kind, number, at_ns = line.split()
                    found.append(Event(kind, int(number), int(at_ns)))
                    left -= kind == what
                if left > 0:
                    if time.monotonic() > deadline:
                        raise TimeoutError(f"{count - left} of {count} steps after {timeout_s:g} s")
                    time.sleep(0.01 if count > 1 else 0.0005)
        return found


def most_at_once(events: Sequence[Event]) -> int:
    """How many steps were under way together at most."""
    now = most = 0
    for event in sorted(events, key=lambda e: (e.at_ns, e.what)):  # an end at the same instant comes first
        now += 1 if event.what == "S" else -1
        most = max(most, now)
    return most


def inversions(events: Sequence[Event]) -> int:
    """How many steps began before one that was submitted earlier."""
    order = [e.number for e in sorted(events, key=lambda e: e.at_ns) if e.what == "S"]
    return sum(later < earlier for earlier, later in pairwise(order))


def elapsed_ms(action: Callable[[], object]) -> float:
    """How long the action takes."""
    began = time.monotonic_ns()
    action()
    return (time.monotonic_ns() - began) / 1e6


def command_ms(command: Sequence[str]) -> float:
    """How long a whole process takes. Raises CalledProcessError if it fails.

    Without a timeout of its own: `subprocess` would then look for the end every 50 ms only.
    """
    quiet = subprocess.DEVNULL
    return elapsed_ms(lambda: subprocess.run(command, check=True, stdin=quiet, stdout=quiet, stderr=quiet))


def python_pass() -> list[str]:
    """The bare interpreter's command."""
    return [sys.executable, "-c", "pass"]


def interleaved(cases: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """The median of each case, one of each per round, so that noise meets all alike; the first round is not counted."""
    found: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(rounds + 1):
        for name, measure in cases.items():
            value = measure()
            if number:
                found[name].append(value)
    return {name: statistics.median(values) for name, values in found.items()}


@dataclass(slots=True)
class Report:
    """Prints a line of JSON for each row, and keeps them. `scale` makes workloads smaller while they are written."""

    scale: float = 1.0
    quiet: bool = False
    rows: list[dict[str, object]] = field(default_factory=list)

    def size(self, whole: int) -> int:
        """A workload's size at this scale."""
        return max(2, round(whole * self.scale))

    def row(
        self,
        name: str,
        value: float | None,
        unit: str,
        bounds: tuple[float, float | None] | None,
        *,
        beside: Beside | None = None,
        **more: object,
    ) -> None:
        """A result with its (must, aim); both are the highest values allowed. None: not measured, `note` says why."""
        must, aim = bounds or (None, None)
        row: dict[str, object] = {"row": name, "value": _rounded(value), "unit": unit}
        row |= {"must": _rounded(must), "aim": _rounded(aim)}
        row["met"] = None if value is None or must is None else value <= must
        row["reached"] = None if value is None or aim is None else value <= aim
        if beside is not None:
            row["floor_ms"] = [_rounded(beside.before_ms), _rounded(beside.after_ms)]
        row |= {key: _rounded(one) if isinstance(one, float) else one for key, one in more.items()}
        if self.scale != 1.0:
            row["scale"] = self.scale
        self.rows.append(row)
        if not self.quiet:
            print(json.dumps(row), flush=True)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
