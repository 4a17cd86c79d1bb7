"""One process of a node, as the loop asks for it and as the runtime reports it.

The runtime knows attempts by id alone. It never learns of runs, nodes or locks: what it needs is in `Launch`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NewType

AttemptId = NewType("AttemptId", int)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLimits:
    """What one attempt may use at most, all its processes together; 0 is without a limit."""

    memory_mb: int = 0
    pids: int = 0
    cpus: float = 0.0


NO_LIMITS = StepLimits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """Everything a runtime needs to start one attempt, once.

    `directory` is absolute and the attempt's own: record, log, work/ and tmp/ lie in it. `argv[0]` is looked up on
    the PATH of `env`. `source`, when not None, is written to the file `script` (mode 0700) in `directory` and its path is
    appended to argv. `cwd` None means the attempt's work/. `env` is complete: nothing else is inherited.
    `extra_env_from` names secrets as (variable, file): read just before the start, stored nowhere. `keep_stdout`: standard
    output goes to the file `stdout` in `directory` as well as to the log. `sandbox`: the step sees a private copy of the file
    system; `shown` are folders outside it that it sees as they are
    and cannot change. `reserved`: see `Intent`.
    """

    attempt_id: AttemptId
    directory: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    source: str | None = None
    cwd: str | None = None
    grace_s: float = 10.0
    extra_env_from: tuple[tuple[str, str], ...] = ()
    keep_stdout: bool = False
    log_bytes: int = 0  # what the log keeps of its beginning; 0: all of it
    sandbox: bool = False
    shown: tuple[str, ...] = ()
    limits: StepLimits = NO_LIMITS
    reserved: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The step's process exists. A cache of what the record says; no decision depends on it."""

    attempt_id: AttemptId
    pid: int
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Exited:
    """The whole tree is gone and the main process' outcome is known.

    `exit_code` is 0-255, or 128 + the signal's number; `signal` is that number or None. `stopped` is True if the end
    followed a request to stop. `message` is for people ('' when the code says all). `cpu_ms` is the processor time of all its
    processes, `memory_kb` the most that one of them had; None is unknown.
    """

    attempt_id: AttemptId
    exit_code: int
    signal: int | None
    at: datetime
    stopped: bool = False
    message: str = ""
    cpu_ms: int | None = field(default=None, compare=False)
    memory_kb: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class NotStarted:
    """The step could not be started and never ran: no such command, bad directory, missing secret, NUL in an argument.

    A fault of the machine is never told so: see Hindered.
    """

    attempt_id: AttemptId
    exit_code: int
    at: datetime
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """The shim is gone without an exit record, and every process of the attempt is proven gone. Never relaunched by itself.

    `began` False means it is proven that no step process was ever made.
    """

    attempt_id: AttemptId
    at: datetime
    began: bool
    evidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hindered:
    """The machine keeps the attempt from beginning, or its end from being stored; the runtime tries again. It ends nothing.

    `began` False: no process was made. `message` says what the machine lacks.
    """

    attempt_id: AttemptId
    at: datetime
    began: bool
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderUnknown:
    """Nobody is left who could tell the attempt's end, and nothing proves it: its processes may act on. No end at all.

    `evidence` says why, `pids` are processes of it that could be found. An end, or `HolderFound`, may still follow.
    """

    attempt_id: AttemptId
    at: datetime
    evidence: str
    pids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderFound:
    """The attempt, unknown before, has a living shim: its end will be told."""

    attempt_id: AttemptId
    at: datetime


End = Exited | NotStarted | Lost
Observation = Started | Hindered | End | HolderUnknown | HolderFound


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What the rows say of an attempt that a runtime is to take up or to revoke.

    `reserved`: its record was made before the row was written, so a missing one was taken away. `began`: a process of it was
    seen. `is_unknown`: it was told to be unknown.
    """

    attempt_id: AttemptId
    directory: str
    boot_id: str
    reserved: bool = False
    began: bool = False
    is_unknown: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Liveness:
    """What can be said of an attempt's processes now: state is 'alive', 'dead' or 'unknown'; `pids` are those seen."""

    state: str
    pids: tuple[int, ...]
    evidence: str
