"""`python -m bench [WORKLOAD ...]`: runs workloads one after the other; a line of JSON for each row, or a table of all."""

from __future__ import annotations

import argparse
import importlib
import json
import signal
import subprocess
import sys
import traceback

from bench.measure import Place, Report
from bench.table import print_table

WORKLOADS = (
    "one_lock",
    "many_locks",
    "dag",
    "idle_start",
    "cli_submit",
    "depth",
    "commits",
    "idle_daemon",
    "cli",
    "tui",
    "push",
    "reconcile",
)
LIMIT_S = 120
FAILURES = (OSError, RuntimeError, subprocess.SubprocessError, ValueError, LookupError)


def main() -> int:
    """0 if every row was measured; whether the bounds were met is said by the rows."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("workloads", nargs="*", choices=[[], *WORKLOADS], metavar="WORKLOAD", help=", ".join(WORKLOADS))
    parser.add_argument("--table", action="store_true", help="print a Markdown table at the end instead of lines of JSON")
    parser.add_argument("--rows", metavar="FILE", help="measure nothing: print the table of the lines of JSON in FILE")
    parser.add_argument("--scale", type=float, default=1.0, help="a part of the sizes, to try a workload out")
    args = parser.parse_args()
    if args.rows:
        with open(args.rows) as file:
            print_table([json.loads(line) for line in file if line.startswith("{")])
        return 0
    report = Report(scale=args.scale, quiet=args.table)
    failed = [name for name in args.workloads or WORKLOADS if not run_workload(name, report)]
    if args.table:
        print_table(report.rows)
    return 1 if failed else 0


def run_workload(name: str, report: Report) -> bool:
    """Runs one workload in a place of its own, ended after two minutes; False if it failed."""
    module = importlib.import_module(f"bench.{name}")
    signal.signal(signal.SIGALRM, _too_long)
    place = Place()
    try:
        signal.alarm(LIMIT_S)
        module.run(place, report)
    except FAILURES as error:
        traceback.print_exc()
        if isinstance(error, subprocess.CalledProcessError):
            print(error.stderr or "", file=sys.stderr)
        report.row(name, None, "", None, note=f"failed: {type(error).__name__}: {error}")
        return False
    finally:
        signal.alarm(0)
        place.close()
    return True


def _too_long(number: int, frame: object) -> None:
    del number, frame
    raise TimeoutError(f"not done after {LIMIT_S} s")


if __name__ == "__main__":
    sys.exit(main())
