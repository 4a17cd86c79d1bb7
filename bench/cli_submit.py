"""From the shell: from the start of `lineclear submit` to the step's first instruction, less the bare interpreter."""

from __future__ import annotations

import subprocess
import time

from bench.home import Served, template
from bench.measure import Place, Report, command_ms, interleaved, python_pass
from bench.one_lock import warm_up

ROUNDS = 25


def run(place: Place, report: Report) -> None:
    """One row, in milliseconds."""
    served = Served(place)
    served.seed({"one.yaml": template(place, "one")})
    served.start()
    warm_up(place, served, "one")
    command = served.command("submit", "--from", "workflowtemplate/one")

    def submit() -> float:
        place.clear()
        began = time.monotonic_ns()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=30)
        return (place.wait_events(1)[0].at_ns - began) / 1e6

    with place.beside_floor() as beside:
        found = interleaved({"pass": lambda: command_ms(python_pass()), "submit": submit}, report.size(ROUNDS))
    more = {"submit_ms": found["submit"], "pass_ms": found["pass"]}
    report.row("cli_submit", found["submit"] - found["pass"], "ms", (30, 20), beside=beside, **more)
