"""Many locks: as many locks as runs, two steps at a time."""

from __future__ import annotations

import time

from bench.home import MUTEX_PER_RUN, Served, template
from bench.measure import Place, Report, most_at_once
from bench.one_lock import warm_up

RUNS = 1000
AT_ONCE = 2


def run(place: Place, report: Report) -> None:
    """Rows: time per run in floors; steps above the cap."""
    count = report.size(RUNS)
    served = Served(place, settings=f"parallelism = {AT_ONCE}\n")
    served.seed({"many.yaml": template(place, "many", MUTEX_PER_RUN)})
    served.start()
    warm_up(place, served, "many")
    with place.beside_floor() as beside:
        place.clear()
        began = time.monotonic_ns()
        for number in range(count):
            served.submit("many", number)
        events = place.wait_events(count)
    per_run = (max(e.at_ns for e in events) - began) / 1e6 / count
    most = most_at_once(events)
    report.row("many_locks", per_run / beside.mean_ms, "floors", (3, 2), beside=beside, ms=per_run, at_once=most)
    report.row("many_locks.above_cap", max(0, most - AT_ONCE), "runs", (0, 0))
