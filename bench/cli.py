"""The command line: whole processes, less the bare interpreter."""

from __future__ import annotations

import time
from collections.abc import Callable

from bench.clones import clone_run
from bench.home import LINECLEAR, Served, template
from bench.measure import Place, Report, command_ms, interleaved, python_pass

RUNS = 10_000
ROUNDS = 25


def run(place: Place, report: Report) -> None:
    """Rows: `--version`, `locks` and `list` in a home with many runs, half of them ended, half waiting for a lock."""
    served = Served(place)
    served.seed({"one.yaml": template(place, "one")})
    served.start()
    place.clear()
    served.submit("one", 0)
    place.wait_events(1)
    while not served.rows("SELECT 1 FROM run WHERE phase = 'Succeeded'"):
        time.sleep(0.01)
    served.submit("one", 1, seconds=300)
    served.submit("one", 2)
    place.wait_events(2, "S")
    served.stop()
    copies = report.size(RUNS) // 2
    clone_run(served.database, 1, copies)
    clone_run(served.database, 3, copies)
    served.start()
    cases = {
        "pass": python_pass(),
        "version": [LINECLEAR, "--version"],
        "locks": served.command("locks"),
        "list": served.command("list"),
    }
    with place.beside_floor() as beside:
        found = interleaved({name: _timer(words) for name, words in cases.items()}, report.size(ROUNDS))
    bounds = {"version": (15, 10), "locks": (40, 30), "list": (40, 30)}
    for name, both in bounds.items():
        more = {"whole_ms": found[name], "pass_ms": found["pass"]}
        report.row(f"cli.{name}", found[name] - found["pass"], "ms", both, beside=beside, **more)


def _timer(words: list[str]) -> Callable[[], float]:
    return lambda: command_ms(words)
