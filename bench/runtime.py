"""What a step costs above the least that is possible: one durable commit, one spawn, one wait.

Run as `python -m bench.runtime`; prints medians in ms and in floors. A step here is a grant commit, launch, collect and
a finish commit, one after the other (seq) or two at a time (par 2).
"""

from __future__ import annotations

import os
import select
import shutil
import sqlite3
import statistics
import tempfile
import time
from pathlib import Path

from reconciler.clock import SystemClock
from reconciler.model.attempt import AttemptId, Launch, Started
from reconciler.runtime.grouping import find_grouping
from reconciler.runtime.host import HostRuntime

BLOCKS = 8
STEPS = 60
TRUE = "/bin/true"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id").read_text().strip()


class Bench:
    def __init__(self, home):
        self.home = home
        self.numbers = iter(range(1_000_000))
        self.database = sqlite3.connect(home / "db", isolation_level=None)
        self.database.execute("PRAGMA journal_mode=WAL")
        self.database.execute("PRAGMA synchronous=FULL")
        self.database.execute("CREATE TABLE t(id INTEGER, what TEXT)")
        self.runtime = HostRuntime(
            home, poke_path=home / "control", clock=SystemClock(), boot_id=BOOT_ID, grouping=find_grouping(home)
        )
        self.runtime.open()

    def commit(self, number, what):
        self.database.execute("INSERT INTO t VALUES (?, ?)", (number, what))

    def floor(self):
        number = next(self.numbers)
        self.commit(number, "all")
        pid = os.posix_spawn(TRUE, [TRUE], {})
        os.waitpid(pid, 0)

    def start(self):
        number = next(self.numbers)
        self.commit(number, "grant")
        directory = str(self.home / "attempts" / str(number))
        self.runtime.launch(Launch(attempt_id=AttemptId(number), directory=directory, argv=(TRUE,), env={}))

    def ends(self):
        """Wait for at least one end; all that are there are stored and acknowledged."""
        while True:
            select.select(self.runtime.fds(), [], [], self.runtime.timeout_s())
            ends = [one for one in self.runtime.collect() if not isinstance(one, Started)]
            if ends:
                for one in ends:
                    self.commit(one.attempt_id, "finish")
                self.runtime.acknowledge([one.attempt_id for one in ends])
                return len(ends)

    def sequential(self):
        self.start()
        self.ends()

    def parallel(self, count):
        running = 0
        started = 0
        while started < count or running:
            while running < 2 and started < count:
                self.start()
                running += 1
                started += 1
            running -= self.ends()


def measure(count, action):
    begin = time.perf_counter()
    action()
    return (time.perf_counter() - begin) * 1000 / count


def repeat(action):
    for _ in range(STEPS):
        action()


def main():
    home = Path(tempfile.mkdtemp(prefix="bench-runtime-"))
    bench = Bench(home)
    repeat(bench.sequential)
    kinds = {"seq": lambda: repeat(bench.sequential), "par 2": lambda: bench.parallel(STEPS)}
    times = {kind: [] for kind in kinds}
    floors = {kind: [] for kind in kinds}
    all_floors = []
    for _ in range(BLOCKS):
        for kind, action in kinds.items():
            floor = measure(STEPS, lambda: repeat(bench.floor))
            took = measure(STEPS, action)
            all_floors.append(floor)
            times[kind].append(took)
            floors[kind].append(took / floor)
    bench.runtime.close()
    bench.database.close()
    shutil.rmtree(home)
    print(f"floor  {statistics.median(all_floors):.2f} ms")
    for kind in kinds:
        print(f"{kind:6} {statistics.median(times[kind]):.2f} ms  {statistics.median(floors[kind]):.2f} floors")


if __name__ == "__main__":
    main()
