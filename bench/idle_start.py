"""Idle start: from a request to an idle daemon to the step's first instruction."""

from __future__ import annotations

import statistics
import time

from bench.home import Served, template
from bench.measure import Place, Report
from bench.one_lock import warm_up

RUNS = 30
PAUSE_S = 0.1


def run(place: Place, report: Report) -> None:
    """One row: the median in floors."""
    served = Served(place)
    served.seed({"one.yaml": template(place, "one")})
    served.start()
    warm_up(place, served, "one")
    times = []
    with place.beside_floor() as beside:
        for number in range(report.size(RUNS)):
            time.sleep(PAUSE_S)
            place.clear()
            began = time.monotonic_ns()
            served.submit("one", number)
            events = place.wait_events(1)
            times.append((events[0].at_ns - began) / 1e6)
    times.sort()
    more = {"ms": statistics.median(times), "p90_ms": times[len(times) * 9 // 10]}
    report.row("idle_start", more["ms"] / beside.mean_ms, "floors", (5, 3), beside=beside, **more)
