"""The idle daemon: what it and the processes that it keeps ready use when there is nothing to do, and with many runs waiting."""

from __future__ import annotations

import os
import time
from contextlib import suppress

from bench.home import Served, submission, template
from bench.measure import Place, Report
from bench.one_lock import warm_up

WATCHED_S = 20.0
FIRST = 2_000  # they fill the caches, whose size is fixed
WAITING = 10_000
AT_A_TIME = 50
HOLDS_S = 300


def run(place: Place, report: Report) -> None:
    """Rows: CPU, memory, growth of memory per waiting run."""
    served = Served(place)
    served.seed({"one.yaml": template(place, "one")})
    served.start()
    warm_up(place, served, "one")
    with place.beside_floor() as beside:
        time.sleep(1)
        pids = family(_pid(served))
        cpu_s, began = sum(map(cpu_of, pids)), time.monotonic()
        time.sleep(max(1.0, WATCHED_S * report.scale))
        pids = family(_pid(served))
        cpu = 100 * (sum(map(cpu_of, pids)) - cpu_s) / (time.monotonic() - began)
        resident = sum(map(resident_kb, pids))
    report.row("idle_daemon.cpu", cpu, "%", (0.2, 0), beside=beside)
    shared = sum(map(proportional_kb, pids)) / 1024
    report.row("idle_daemon.memory", resident / 1024, "MB", (60, 45), processes=len(pids), pss_mb=shared)
    waiting(served, report)


def waiting(served: Served, report: Report) -> None:
    """One run holds the mutex, the others wait; then the same after a restart, which looks at every open run."""
    count = report.size(WAITING)
    served.stop()
    served.start()
    served.submit("one", 0, HOLDS_S)
    fresh = resident_kb(_pid(served))
    submit_many(served, report.size(FIRST))
    before = resident_kb(_pid(served))
    submit_many(served, count)
    grown = resident_kb(_pid(served)) - before
    served.stop()
    served.start()
    restarted = resident_kb(_pid(served)) - fresh
    more = {"runs": count, "after_restart_kb": restarted / count}
    report.row("idle_daemon.memory_per_run", max(0.0, grown / count), "KB", (1, 0), **more)


def submit_many(served: Served, count: int) -> None:
    """Submits runs that will wait, some at a time over one connection."""
    for first in range(0, count, AT_A_TIME):
        numbers = range(first, min(first + AT_A_TIME, count))
        served.send([("submit", submission("one", number)) for number in numbers])
        for _ in numbers:
            served.receive()


def _pid(served: Served) -> int:
    assert served.process is not None
    return served.process.pid


def family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    parents: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError), open(f"/proc/{name}/stat") as file:
                parents.setdefault(int(file.read().rpartition(")")[2].split()[1]), []).append(int(name))
    found = [pid]
    for one in found:
        found.extend(parents.get(one, ()))
    return found


def cpu_of(pid: int) -> float:
    """Seconds on a CPU, all threads together, to the nanosecond."""
    total = 0
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/schedstat") as file:
                total += int(file.read().split()[0])
    return total / 1e9


def resident_kb(pid: int) -> int:
    """Resident memory, shared pages counted in full."""
    return _rollup(pid, "Rss:")


def proportional_kb(pid: int) -> int:
    """Resident memory, shared pages counted in part."""
    return _rollup(pid, "Pss:")


def _rollup(pid: int, key: str) -> int:
    with suppress(OSError), open(f"/proc/{pid}/smaps_rollup") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(key))
    return 0
