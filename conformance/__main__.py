"""`python -m conformance`: reads the index, runs its rows side by side, writes the CSV and prints the summary."""

from __future__ import annotations

import argparse
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from conformance.corpus import Row, read_index
from conformance.machine import Machine, prepare, root_argosay
from conformance.report import decidable, percent, summary, write_csv
from conformance.rows import Result, run_row
from reconciler.errors import LineclearError

DEFAULT_JOBS = 4

BROKEN = (LineclearError, OSError, sqlite3.Error, subprocess.SubprocessError, ValueError, LookupError)


def main() -> int:
    """0, whatever the rows came to, unless --require asks for more; 2 if the harness itself cannot work."""
    options = _options()
    try:
        rows = read_index(options.corpus, options.rows)
    except (OSError, KeyError, ValueError) as error:
        print(f"conformance: could not read the index of {options.corpus}: {error}", file=sys.stderr)
        return 2
    if not rows:
        print(f"conformance: no row of {options.corpus} fits {options.rows!r}", file=sys.stderr)
        return 2
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")  # not below /tmp: a sandbox has its own
    cache.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="lineclear-conformance-", dir=cache))
    try:
        with root_argosay(cache) as note:
            machine = prepare(work, options.runtime)
            results = _run_all(rows, machine, options.jobs)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    write_csv(options.out, results)
    print(summary(results, [*machine.notes, note]), end="")
    return 1 if percent(decidable(results)) < options.require else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m conformance", description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True, metavar="DIR", help="a folder with index.csv and its manifests")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the CSV to write")
    parser.add_argument("--rows", default="*", metavar="PATTERN", help="only rows whose file's name fits or holds this")
    parser.add_argument("--jobs", type=int, default=DEFAULT_JOBS, help="how many rows run at once")
    parser.add_argument("--runtime", choices=("sandbox", "host"), default="sandbox", help="what runs the corpus' images")
    parser.add_argument("--require", type=float, default=0.0, metavar="PERCENT", help="exit 1 if fewer decidable rows are right")
    return parser.parse_args()


def _run_all(rows: list[Row], machine: Machine, jobs: int) -> list[Result]:
    """The results in the order of the index; the longest rows begin first, so that none is left alone at the end."""
    done = 0
    lock = threading.Lock()
    results: dict[int, Result] = {}

    def one(number: int) -> None:
        nonlocal done
        try:
            result = run_row(rows[number], machine, number)
        except BROKEN as error:  # one row that cannot be tried says so, and the others go on
            result = Result(row=rows[number], got="NotTried", seconds=0.0, reason=f"{type(error).__name__}: {error}")
        with lock:
            done += 1
            results[number] = result
            told = f"{done}/{len(rows)} {result.verdict:<7} {result.row.name}: {result.got}"
            told += f", expected {result.row.expected}" if result.verdict != "right" else ""
            print(f"{told} ({result.seconds:.1f} s) {result.reason[:160]}", file=sys.stderr, flush=True)

    order = sorted(range(len(rows)), key=lambda number: -rows[number].seconds)
    with ThreadPoolExecutor(max_workers=max(1, jobs)) as pool:
        for future in [pool.submit(one, number) for number in order]:
            future.result()
    return [results[number] for number in range(len(rows))]


if __name__ == "__main__":
    sys.exit(main())
