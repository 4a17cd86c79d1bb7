"""Commits: how many durable commits a run of one step costs, from its request to its end, in a busy queue."""

from __future__ import annotations

import signal
import sys
import time

from bench.home import Served, template
from bench.measure import Place, Report
from bench.one_lock import warm_up

RUNS = 500
SETTLED_S = 0.6  # what the daemon puts off is written by then
_COUNTING = """
import signal, sys
from reconciler import daemon, engine
opened = []
def open_writer(path, open_it=engine.open_writer):
    opened.append(open_it(path))
    return opened[-1]
engine.open_writer = open_writer
signal.signal(signal.SIGUSR1, lambda *_: print(opened[0].commits, flush=True))
sys.exit(daemon.serve(sys.argv[1]))
"""


def run(place: Place, report: Report) -> None:
    """One row. The daemon is the real one; it prints its writer's count when it is signalled."""
    count = report.size(RUNS)
    served = Served(place)
    served.seed({"one.yaml": template(place, "one")})
    served.start([sys.executable, "-c", _COUNTING, served.root])
    warm_up(place, served, "one")
    with place.beside_floor() as beside:
        before = commits_of(served)
        place.clear()
        for number in range(count):
            served.submit("one", number)
        place.wait_events(count)
        after = commits_of(served)
    report.row("commits", (after - before) / count, "commits a run", (4, 2), beside=beside, runs=count)


def commits_of(served: Served) -> int:
    """The writer's commits so far, once nothing is under way."""
    time.sleep(SETTLED_S)
    process = served.process
    assert process is not None
    assert process.stdout is not None
    process.send_signal(signal.SIGUSR1)
    return int(process.stdout.readline())
