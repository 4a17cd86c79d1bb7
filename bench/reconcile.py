"""Reconciling: 1,000 manifests from Git to rows, and a restart with nothing changed, beside PyYAML on the same files."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

from bench import peer
from bench.desk import Desk
from bench.home import Served, template
from bench.measure import Place, Report, elapsed_ms
from reconciler.store.writer import open_writer

FILES = 1000
ROUNDS = 3
_SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "peers", "parse_yaml.py")
_MANIFEST = """\
apiVersion: argoproj.io/v1alpha1
kind: CronWorkflow
metadata:
  name: report-{number}
  namespace: finance
  labels:
    team: ledger
    tier: "2"
  annotations:
    contact: ledger@localhost  # where people look first
spec:
  schedules:
    - "{minute} 4 * * 1-5"
  timezone: Europe/Berlin
  concurrencyPolicy: Forbid
  startingDeadlineSeconds: 120
  workflowSpec:
    entrypoint: report
    synchronization:
      mutexes:
        - name: ledger-{lock}
    arguments:
      parameters:
        - name: day
          value: "2026-01-31"
    templates:
      - name: report
        steps:
          - - name: collect
              template: command
              arguments:
                parameters: [{{name: verb, value: collect}}]
          - - name: print
              template: command
              arguments:
                parameters: [{{name: verb, value: print}}]
      - name: command
        inputs:
          parameters: [{{name: verb}}]
        container:
          image: host
          command: [echo]
          args: ["{{{{inputs.parameters.verb}}}}", "{{{{workflow.parameters.day}}}}"]
"""


def run(place: Place, report: Report) -> None:
    """Rows: the first reconcile and the restart, in times of PyYAML's fastest parser; plain milliseconds without it."""
    count = report.size(FILES)
    files = {f"crons/report-{n}.yaml": _MANIFEST.format(number=n, minute=n % 60, lock=n % 7) for n in range(count)}
    folder = place.path("plain")
    os.mkdir(folder)
    for number, text in enumerate(files.values()):
        with open(os.path.join(folder, f"{number}.yaml"), "w") as file:
            file.write(text)
    with_peer = peer.has_module("yaml")
    first, restart, yaml = [], [], []
    with place.beside_floor() as beside:
        for number in range(ROUNDS):
            warm = Served(place, f"warm{number}")
            warm.seed({"one.yaml": template(place, "one")})
            if with_peer:
                yaml.append(_yaml_ms(folder))
            served = Served(place, f"home{number}")
            served.seed(files)
            first.append(_reconcile_ms(warm, served))
            restart.append(_reconcile_ms(warm, served))
    lines = _MANIFEST.count("\n")
    _rows(report, "reconcile.first", statistics.median(first), yaml, (4, 2.6), beside=beside, manifests=count, lines=lines)
    _rows(report, "reconcile.restart", statistics.median(restart), yaml, (0.2, 0.1), beside=beside, manifests=count)


def _rows(report: Report, name: str, took_ms: float, yaml: list[float], bounds: tuple[float, float], **more: object) -> None:
    if yaml:
        base = statistics.median(yaml)
        report.row(name, took_ms / base, "x CSafeLoader", bounds, ms=took_ms, yaml_ms=base, **more)
    else:
        note = "peer not installed: no PyYAML in BENCH_PEERS, so no ratio"
        report.row(name, None, "x CSafeLoader", bounds, ms=took_ms, note=note, **more)


def _reconcile_ms(warm: Served, served: Served) -> float:
    """In a process of its own, as a daemon's start is. Imports and a new database's tables come first, uncounted."""
    words = [sys.executable, "-m", "bench.reconcile", warm.root, served.root]
    return float(subprocess.run(words, check=True, capture_output=True, text=True, timeout=60).stdout)


def _yaml_ms(folder: str) -> float:
    interpreter = peer.python()
    assert interpreter is not None
    words = [interpreter, _SCRIPT, folder]
    return float(subprocess.run(words, check=True, capture_output=True, text=True, timeout=60).stdout)


def _reconcile(root: str) -> None:
    desk = Desk(root)
    desk.reconcile()
    desk.close()


def _main(warm_root: str, root: str) -> None:
    _reconcile(warm_root)
    open_writer(os.path.join(root, "state.db")).close()
    print(elapsed_ms(lambda: _reconcile(root)))


if __name__ == "__main__":
    _main(*sys.argv[1:3])
