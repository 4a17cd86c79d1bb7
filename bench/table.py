"""Rows as a Markdown table, with the machine that they were measured on."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
from collections.abc import Mapping, Sequence

_OWN_COLUMNS = ("row", "value", "unit", "must", "aim", "met", "reached", "floor_ms")


def print_table(rows: Sequence[Mapping[str, object]]) -> None:
    """Prints the machine, then a line for each row."""
    print(machine())
    print()
    print("| workload | value | unit | must | aim | met | floor before, after (ms) | beside it |")
    print("| --- | ---: | --- | ---: | ---: | --- | --- | --- |")
    for row in rows:
        floors = row.get("floor_ms") or ()
        beside = ", ".join(f"{key} {value}" for key, value in row.items() if key not in _OWN_COLUMNS)
        cells = (
            row["row"],
            _number(row["value"]),
            row["unit"],
            _number(row["must"]),
            _number(row["aim"]),
            _verdict(row),
            ", ".join(map(_number, floors)),
            beside,
        )
        print("| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |")


def _number(value: object) -> str:
    return "-" if value is None else f"{value:g}"


def _verdict(row: Mapping[str, object]) -> str:
    if row["met"] is None:
        return "-"
    if not row["met"]:
        return "**no**"
    return "aim" if row["reached"] else "yes"


def machine() -> str:
    """What the numbers depend on."""
    git = subprocess.run(["git", "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]
    return (
        f"{os.cpu_count()} cores ({_processor()}), Linux {platform.release()}, Python {platform.python_version()},"
        f" SQLite {sqlite3.sqlite_version}, git {git}; load {os.getloadavg()[0]:.1f} at the end."
    )


def _processor() -> str:
    with open("/proc/cpuinfo") as file:
        names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    return names[0] if names else platform.machine()
