"""A corpus' index: which rows there are and what each expects."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

RUNNABLE = "process-runnable"
DEFAULT_SECONDS = 2.0
DECIDABLE = ("Succeeded", "Failed", "Error")
ISOLATED = frozenset({"fs-root", "fs-tmp", "fs-host", "mount-ns", "cwd-root", "argosay-abs", "netns"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the index. `requires` are the files to bring along; `seconds` is how long it takes alone."""

    file: Path
    name: str
    kind: str
    row_class: str
    tier: str
    shims: frozenset[str]
    expected: str
    confidence: str
    requires: tuple[Path, ...]
    seconds: float

    @property
    def limit_s(self) -> float:
        """How long it may take."""
        return 3 * self.seconds + 20

    @property
    def is_runnable(self) -> bool:
        """True if processes of this machine can do all that it asks for."""
        return self.row_class == RUNNABLE

    @property
    def is_decidable(self) -> bool:
        """True if its one phase is known with some confidence."""
        is_sure = self.confidence in ("high", "medium") and self.expected in DECIDABLE
        return is_sure and self.is_runnable and self.kind != "CronWorkflow"

    @property
    def needs_isolation(self) -> bool:
        """True if its steps write where they would see each other."""
        return bool(self.shims & ISOLATED)


def read_index(folder: Path, pattern: str = "*") -> list[Row]:
    """The rows of `folder`/index.csv whose file's name fits the pattern; one without wildcards is searched for in the name."""
    wanted = pattern if set(pattern) & set("*?[") else f"*{pattern}*"
    with open(folder / "index.csv", encoding="utf-8", newline="") as file:
        lines = {line["file"]: line for line in csv.DictReader(file)}
    return [_row(folder, line, lines) for name, line in lines.items() if fnmatchcase(name, wanted)]


def _requires(line: Mapping[str, str], lines: Mapping[str, Mapping[str, str]]) -> list[str]:
    """The files that a row names, and those that the rows of these files name."""
    found: list[str] = []
    waiting = line["requires"].split(";")
    while waiting:
        name = waiting.pop(0)
        if name and name not in found and name != line["file"]:
            found.append(name)
            own = lines.get(name) or lines.get(name.rpartition("/")[2])
            waiting += own["requires"].split(";") if own is not None else []
    return found


def _row(folder: Path, line: Mapping[str, str], lines: Mapping[str, Mapping[str, str]]) -> Row:
    return Row(
        file=folder / line["file"],
        name=line["file"],
        kind=line["kind"],
        row_class=line["class"],
        tier=line["tier"] or "-",
        shims=frozenset(filter(None, line["shims"].split(";"))),
        expected=line["expected_phase"],
        confidence=line["confidence"],
        requires=tuple(folder / name for name in _requires(line, lines)),
        seconds=float(line["approx_seconds"] or DEFAULT_SECONDS),
    )
