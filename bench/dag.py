"""A dag of tasks that do nothing: side by side, one after the other, and ten times as many."""

from __future__ import annotations

import time

from bench.home import Served
from bench.measure import Place, Report
from bench.one_lock import warm_up

TASKS = 1000
_HEAD = """\
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata:
  name: {name}
spec:
  entrypoint: main
  arguments:
    parameters: [{{name: id, value: "0"}}, {{name: seconds, value: "0"}}]
  templates:
    - name: nothing
      container:
        image: host
        command: ["{step}", "{log}", "0"]
    - name: main
      dag:
        tasks:
"""
_TASK = "          - {{name: t{number}, template: nothing{after}}}\n"


def run(place: Place, report: Report) -> None:
    """Rows: time per task in floors, of a wide dag and of a chain; a wide one ten times as large against the first."""
    count = report.size(TASKS)
    served = Served(place)
    files = {
        "wide.yaml": dag(place, "wide", count),
        "chain.yaml": dag(place, "chain", count, chained=True),
        "large.yaml": dag(place, "large", 10 * count),
        "warm.yaml": dag(place, "warm", 1),
    }
    served.seed(files)
    served.start()
    warm_up(place, served, "warm")
    wide_ms = _measure(place, served, report, "wide", count)
    _measure(place, served, report, "chain", count)
    large_ms = _measure(place, served, report, "large", 10 * count)
    report.row("dag.large_against_wide", large_ms / wide_ms, "x", (1.3, None), tasks=10 * count)


def _measure(place: Place, served: Served, report: Report, name: str, count: int) -> float:
    with place.beside_floor() as beside:
        place.clear()
        began = time.monotonic_ns()
        served.submit(name, 0)
        events = place.wait_events(count)
    per_task = (max(e.at_ns for e in events) - began) / 1e6 / count
    bounds = (4, None) if name != "large" else (None, None)
    report.row(f"dag.{name}", per_task / beside.mean_ms, "floors", bounds, beside=beside, ms=per_task, tasks=count)
    return per_task / beside.mean_ms


def dag(place: Place, name: str, count: int, *, chained: bool = False) -> str:
    """A WorkflowTemplate whose entrypoint is a dag of `count` tasks."""
    lines = [_HEAD.format(name=name, step=place.step, log=place.log)]
    for number in range(count):
        after = f", dependencies: [t{number - 1}]" if chained and number else ""
        lines.append(_TASK.format(number=number, after=after))
    return "".join(lines)
