"""What the steps themselves wrote, and what it proves: who lived when, who began twice, who came out of turn.

This is the only thing that the attacks believe about steps. It never reads the product's database, log or answers.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
FIELDS = 10


class Line(NamedTuple):
    """One thing that a process said: `at` is the monotonic clock in ns, `ticks` when the process began, since boot."""

    kind: str
    at: int
    pid: int
    parent: int
    ticks: int
    run: str
    node: str
    attempt: str
    epoch: str
    tag: str


class Span(NamedTuple):
    """From the first to the last sign of life of any process of one attempt."""

    run: str
    node: str
    attempt: str
    first: int
    last: int

    def __str__(self):
        return f"{self.node} (attempt {self.attempt}) from {self.first / 1e9:.3f} to {self.last / 1e9:.3f}"


class Testimony:
    """The lines of one file, in the order in which they were written."""

    __test__ = False

    def __init__(self, lines):
        self.lines = tuple(lines)

    @classmethod
    def read(cls, path):
        """What is in a file; a last line that is cut short says nothing. No file: nobody has begun."""
        try:
            text = Path(path).read_text()
        except FileNotFoundError:
            return cls(())
        whole = text[: text.rfind("\n") + 1].splitlines()
        return cls(parse(line) for line in whole)

    def of(self, tag):
        """Only the lines that speak of one lock."""
        return Testimony(line for line in self.lines if line.tag == tag)

    def where(self, **wanted):
        """The lines with these values, such as kind="B"."""
        return [line for line in self.lines if all(getattr(line, name) == value for name, value in wanted.items())]

    def runs(self):
        """Runs by their first step."""
        return list(dict.fromkeys(line.run for line in self.lines if line.kind == "B"))

    def spans(self):
        """One for each attempt, by its beginning."""
        found = defaultdict(list)
        for line in self.lines:
            found[line.run, line.node, line.attempt].append(line.at)
        return sorted((Span(*who, min(times), max(times)) for who, times in found.items()), key=lambda span: span.first)

    def overlaps(self, limit=1):
        """Each attempt that began while `limit` others still lived, with those."""
        spans = self.spans()
        found = []
        for number, span in enumerate(spans):
            living = [other for other in spans[:number] if other.last > span.first]
            if len(living) >= limit:
                found.append(f"{span} began while there was {', '.join(map(str, living))}")
        return found

    def twice(self):
        """Attempts that began more than once, and nodes that had more than one attempt."""
        begun = [line for line in self.lines if line.kind == "B"]
        attempts = Counter((line.run, line.node, line.attempt) for line in begun)
        nodes = Counter((line.run, line.node) for line in {(line.run, line.node, line.attempt): line for line in begun}.values())
        return sorted(str(who) for who, count in [*attempts.items(), *nodes.items()] if count > 1)

    def ended(self):
        """Runs with a step that came to its own end."""
        return {line.run for line in self.lines if line.kind == "E"}


def parse(text):
    """One line as a value."""
    fields = text.split("\t")
    assert len(fields) == FIELDS, f"not a line of a witness: {text!r}"
    kind, at, pid, parent, ticks, *rest = fields
    return Line(kind, int(at), int(pid), int(parent), int(ticks), *rest)


def out_of_turn(began, asked):
    """Pairs of runs of one lock that began in the wrong order.

    `asked` maps a run to when it was asked for and when that was confirmed: one that was confirmed before the other was even
    asked for must begin first. Of requests that crossed each other nothing is known.
    """
    place = {run: number for number, run in enumerate(began)}
    known = [run for run in asked if run in place]
    return [
        (first, second)
        for first in known
        for second in known
        if asked[first][1] is not None and asked[first][1] < asked[second][0] and place[first] > place[second]
    ]


@functools.cache
def witness():
    """The argv of a witness, made once for each process: C where there is a compiler, which starts in a millisecond."""
    folder = Path(tempfile.mkdtemp(prefix="lcw"))
    folder.chmod(0o755)
    if shutil.which("gcc"):
        program = folder / "witness"
        subprocess.run(["gcc", "-O2", "-o", str(program), str(HERE / "witness.c")], check=True)
        program.chmod(0o755)
        return (str(program),)
    copy = shutil.copy(HERE / "witness.py", folder)
    Path(copy).chmod(0o644)
    return (sys.executable, "-I", "-S", str(copy))


def forget_witness():
    """Removes what `witness` made."""
    if witness.cache_info().currsize:
        argv = witness()
        shutil.rmtree(Path(argv[-1]).parent, ignore_errors=True)
        witness.cache_clear()
