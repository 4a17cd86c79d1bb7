"""One row: the product's own `run` in a process of its own, what a person would do meanwhile, and the phase that came of it."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from conformance.corpus import Row
from conformance.machine import Machine, parameters_for
from conformance.outside import LIMIT, from_outside, shared_keys
from reconciler.control import client
from reconciler.errors import LineclearError
from reconciler.home import Home
from reconciler.store import read_runs
from reconciler.store.read import Reader, open_read
from reconciler.views.progress import waits_for_person

LINT_ERROR = "LintError"
SUSPENDED = "Running(suspended)"
UNTIL_STOPPED = "Running(until stopped)"
STILL_RUNNING = "Running"
LIBRARY = "n/a(library)"
LOOK_EVERY_S = 0.03
RUNS_ON_AFTER_S = 3.0  # a run that is to go on until it is stopped goes on for at least this long
GRACE_S = 45.0  # beyond the limit, for the run's own end
_BY_HAND = (SUSPENDED, UNTIL_STOPPED, STILL_RUNNING)
_REFUSED = (2, 3)
_TIMED_OUT = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of a row: the phase or what else is said of it, the time it took, and why in one line."""

    row: Row
    got: str
    seconds: float
    reason: str = ""

    @property
    def verdict(self) -> str:
        """`right`, `wrong`, or `refused` for a manifest that was not taken though it should run."""
        if self.row.is_runnable or self.row.expected == LINT_ERROR:
            if self.got in self.row.expected.split("|"):
                return "right"
            return "refused" if self.got == LINT_ERROR else "wrong"
        return "right" if self.got == LINT_ERROR else "wrong"


@dataclass(slots=True)
class Person:
    """What is done by hand while a row runs, and what was seen."""

    row: Row
    home: Home
    seen: str = ""
    did: str = ""
    running_since: float | None = None
    reader: Reader | None = None
    resumed: set[int] = field(default_factory=set)
    is_waiting: bool = False
    look_at: float = 0.0

    def look(self) -> None:
        """Looks at the run once and does what the row's expectation calls for."""
        if self.row.expected in _BY_HAND or time.monotonic() >= self.look_at:
            self.look_at = time.monotonic() + 1.0
            with suppress(LineclearError, sqlite3.Error):  # the home may still be in the making
                self._look()

    def _look(self) -> None:
        self.reader = self.reader or open_read(self.home.database)
        run = read_runs.find_latest_run(self.reader, None)
        if run is None or run["finished_at"] is not None:
            return
        nodes = read_runs.list_nodes(self.reader, run["id"])
        self.is_waiting = waits_for_person(run, nodes)
        if self.row.expected == SUSPENDED:
            waiting = {node["id"] for node in nodes if node["type"] == "Suspend" and node["finished_at"] is None} or {0}
            if self.is_waiting and waiting - self.resumed:
                self.seen = SUSPENDED
                self.resumed |= waiting
                self._ask("resume", run["namespace"], run["name"])
            return
        if self.row.expected in _BY_HAND and any(node["attempt_state"] == "live" for node in nodes):
            self.running_since = self.running_since or time.monotonic()
        if self.running_since is not None and not self.seen and time.monotonic() - self.running_since > RUNS_ON_AFTER_S:
            self.seen = self.row.expected
            self._ask("stop" if self.row.expected == UNTIL_STOPPED else "terminate", run["namespace"], run["name"])

    def _ask(self, verb: str, namespace: str, run: str) -> None:
        try:
            client.request(self.home.root, verb, {"namespace": namespace, "run": run})
            self.did = verb
        except LineclearError as error:
            self.did = f"{verb} was refused: {error}"


def run_row(row: Row, machine: Machine, number: int) -> Result:
    """Runs one row to its end, or to the end of its time."""
    started = time.monotonic()
    if row.expected == LIBRARY:
        got, reason = _lint(row, machine)
        return Result(row=row, got=got, seconds=time.monotonic() - started, reason=reason)
    home = Home(str(machine.work / f"home-{number}"))
    out, err, outside = (machine.work / f"{number}-{what}" for what in ("out", "err", "outside.yaml"))
    outside.write_text(from_outside((row.file, *row.requires)), encoding="utf-8")
    person = Person(row, home)
    with open(out, "wb") as out_file, open(err, "wb") as err_file:
        process = subprocess.Popen(
            _command(row, machine, home, outside), stdin=subprocess.DEVNULL, stdout=out_file, stderr=err_file, env=_environment()
        )
        code = _wait(process, person, row.limit_s + GRACE_S)
    seconds = time.monotonic() - started
    got, reason = _outcome(code, out, err, person)
    if person.reader is not None:
        person.reader.close()
    shutil.rmtree(home.root, ignore_errors=True)
    for path in (out, err, outside):
        path.unlink()
    return Result(row=row, got=got, seconds=seconds, reason=reason)


def _environment() -> dict[str, str]:
    env = {key: value for key, value in os.environ.items() if not key.startswith("LINECLEAR_")}
    return {**env, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)}


def _command(row: Row, machine: Machine, home: Home, outside: Path) -> list[str]:
    words = [sys.executable, "-m", "reconciler", "run", str(row.file), "-o", "json", "--keep", home.root]
    words += ["--settings", str(machine.settings), "--timeout", f"{row.limit_s:g}"]
    for path in (*row.requires, *([outside] if outside.stat().st_size else [])):
        words += ["--with", str(path)]
    for key in shared_keys((row.file, *row.requires)):
        words += ["--limit", f"{key}={LIMIT}"]
    for name, value in parameters_for(row.name).items():
        words += ["-p", f"{name}={value}"]
    return words


def _wait(process: subprocess.Popen[bytes], person: Person, limit_s: float) -> int:
    """The exit code; a process that does not end in time is killed, and its guard ends its steps."""
    deadline = time.monotonic() + limit_s
    while True:
        try:
            return process.wait(LOOK_EVERY_S)
        except subprocess.TimeoutExpired:
            person.look()
        if time.monotonic() > deadline:
            process.kill()
            return process.wait()


def _lint(row: Row, machine: Machine) -> tuple[str, str]:
    """A library has no entrypoint: it is only checked."""
    from reconciler.model.images import Images
    from reconciler.oneshot import Job, load_job
    from reconciler.settings import parse

    files = [(str(path), path.read_bytes()) for path in (row.file, *row.requires)]
    try:
        settings = parse(machine.settings.read_text(encoding="utf-8"), machine.settings.name)
        errors = load_job(Job(files=files), Images(mapped=settings.images)).errors
    except LineclearError as error:
        return LINT_ERROR, str(error)
    return (LINT_ERROR, str(errors[0])) if errors else (LIBRARY, "")


def _outcome(code: int, out: Path, err: Path, person: Person) -> tuple[str, str]:
    told = err.read_text(encoding="utf-8", errors="replace").splitlines()
    if code in _REFUSED:
        return LINT_ERROR, _first_error(told)
    if code == _TIMED_OUT:
        late = ("Timeout", _failed_node(out) or "it did not end in time")
        return (SUSPENDED, "nobody resumed it") if person.is_waiting else late
    try:
        run = json.loads(out.read_text(encoding="utf-8", errors="replace"))
        phase = str(run["status"]["phase"])
    except (ValueError, KeyError):
        last = next((line for line in reversed(told) if line.strip()), "")
        phase = _phase_of_removed(told)
        return (phase, last) if phase else ("Crash", f"exit code {code}: {last}")
    if person.seen:
        return person.seen, f"then {person.did}; {phase} in the end"
    return phase, "" if phase == "Succeeded" else _why(run)


def _phase_of_removed(told: list[str]) -> str:
    """The phase that `run` tells of a run that was removed the moment it ended; '' if it told none."""
    for line in told:
        for phase in ("Succeeded", "Failed", "Error"):
            if f" {phase}; it is set to be removed" in line:
                return phase
    return ""


def _first_error(told: list[str]) -> str:
    errors = [line for line in told if ": error LC" in line] or [line for line in told if line.startswith("lineclear: ")]
    return errors[0] if errors else (told[-1] if told else "")


def _failed_node(out: Path) -> str:
    with suppress(ValueError, KeyError):
        return _why(json.loads(out.read_text(encoding="utf-8", errors="replace")))
    return ""


def _why(run: dict[str, dict[str, dict[str, dict[str, str]]]]) -> str:
    """The run's message and that of the first process or call that went wrong."""
    status = run["status"]
    texts = [str(status.get("message", ""))]
    for node in status.get("nodes", {}).values():
        if node["phase"] in ("Failed", "Error") and node["type"] not in ("Steps", "DAG", "StepGroup", "TaskGroup"):
            texts.append(f"{node['displayName']} {node['phase']}: {node.get('message', '')}")
            break
    return "; ".join(text for text in texts if text)
