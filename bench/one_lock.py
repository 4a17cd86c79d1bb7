"""One lock: runs of one step that does nothing, all on one mutex, one request each over one connection."""

from __future__ import annotations

import time

from bench import peer
from bench.home import Served, template
from bench.measure import Place, Report, inversions, most_at_once

RUNS = 1000


def run(place: Place, report: Report) -> None:
    """Rows: time per run in floors, inversions, overlaps, and the time as a part of a peer's."""
    count = report.size(RUNS)
    served = Served(place)
    served.seed({"one.yaml": template(place, "one")})
    served.start()
    warm_up(place, served, "one")
    with place.beside_floor() as beside:
        place.clear()
        began = time.monotonic_ns()
        for number in range(count):
            served.submit("one", number)
        submitted = time.monotonic_ns()
        events = place.wait_events(count)
    per_run = (max(e.at_ns for e in events) - began) / 1e6 / count
    submit_ms = (submitted - began) / 1e6 / count
    more = {"ms": per_run, "submit_ms": submit_ms, "runs": count}
    report.row("one_lock", per_run / beside.mean_ms, "floors", (4, 3), beside=beside, **more)
    report.row("one_lock.inversions", inversions(events), "runs", (0, 0))
    report.row("one_lock.overlaps", most_at_once(events) - 1, "runs", (0, 0))
    served.stop()
    compare(place, report, per_run, count)


def warm_up(place: Place, served: Served, name: str) -> None:
    """A few runs before the clock starts: the commit's tree is made, caches are filled."""
    place.clear()
    for number in range(10):
        served.submit(name, number)
    place.wait_events(10)


def compare(place: Place, report: Report, own_ms: float, count: int) -> None:
    """The same runs through procrastinate on PostgreSQL, with one worker that runs one at a time."""
    name, bounds = "one_lock.against_procrastinate", (1.0, None)
    missing = peer.why_missing()
    if missing:
        report.row(name, None, "x", bounds, note=f"peer not installed: {missing}")
        return
    with place.beside_floor() as beside:
        place.clear()
        began = peer.run_queue(place, count)
        events = place.wait_events(count)
    peer_ms = (max(e.at_ns for e in events) - began) / 1e6 / count
    more = {"peer_ms": peer_ms, "peer_floors": peer_ms / beside.mean_ms, "peer_inversions": inversions(events)}
    report.row(name, own_ms / peer_ms, "x", bounds, beside=beside, **more)
