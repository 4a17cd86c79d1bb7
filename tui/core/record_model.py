"""The values of the record, of the source and of the crons, and a run's identity; `model` hands them on.

As there: instants are aware datetimes in UTC, texts are as the store has them, uncleaned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple


class RunKey(NamedTuple):
    """A run's identity on the screen; cursors and marks follow it."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalRow:
    """One line of the record. `subject` is a lock's key, a definition or a commit; `run` '' if it is about none.

    `text` is one line for people; `detail` all that was written, in the order in which it was written.
    """

    seq: int
    at: datetime
    kind: str
    actor: str
    namespace: str
    run: str
    subject: str
    text: str
    detail: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class CronRow:
    """One CronWorkflow. `last_decision` is of the latest tick ('' if none); `ticks` the latest decisions, newest first.

    `is_override`: an operator suspended or resumed it against its definition. `active` counts runs that are not over or hold.
    """

    namespace: str
    name: str
    schedules: tuple[str, ...]
    timezone: str
    policy: str
    suspended: bool
    is_override: bool
    next_at: datetime | None
    last_at: datetime | None
    last_decision: str
    active: int
    ticks: tuple[str, ...] = ()
    stale: str = ""

    @property
    def key(self) -> RunKey:
        """Its identity, in the shape that runs have."""
        return RunKey(namespace=self.namespace, name=self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitRow:
    """One revision of the branch. `state` is 'applied', 'held' or 'superseded'; `outcome` what it brought, counted, in words."""

    id: int
    sha: str
    author: str
    subject: str
    state: str
    seen_at: datetime
    applied_at: datetime | None
    message: str = ""
    outcome: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What is wrong with a file at the branch's head; `line` 0 for the whole file. `severity` is 'error' or 'warning'."""

    path: str
    line: int
    column: int
    rule: str
    severity: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncState:
    """The source at a glance. `head` is the newest revision seen, `applied` the newest applied; None before any.

    `held` waits for `sync approve`. `bad_files` counts files whose newest version is refused.
    """

    head: CommitRow | None = None
    applied: CommitRow | None = None
    held: CommitRow | None = None
    bad_files: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class GitDetail:
    """The source's page: revisions newest first, findings by path and line, all (path, kind, namespace/name) that are live."""

    sync: SyncState
    commits: tuple[CommitRow, ...]
    findings: tuple[Finding, ...]
    definitions: tuple[tuple[str, str, str], ...] = ()
