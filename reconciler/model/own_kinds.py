"""The kinds of `lineclear.dev`, as values: infrastructure that is locked, constraints with units, and policies of locks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

NO_BOUND = 2**31 - 1
OVERRIDE_FREEZE = "lineclear.dev/override-freeze"  # on a run: why freeze windows do not stop it


class Overflow(StrEnum):
    """Who goes when a queue is full: the newcomer, the waiter that came first, or every waiter but the newcomer."""

    REJECT_NEW = "RejectNew"
    DROP_OLDEST = "DropOldest"
    KEEP_LATEST = "KeepLatest"


class OnFailure(StrEnum):
    """What a run that failed by itself does with a workflow-level lock."""

    HOLD = "Hold"
    RELEASE = "Release"


@dataclass(frozen=True, slots=True)
class FreezeWindow:
    """A window in which a lock admits nobody: it begins at each tick of a schedule and lasts so many seconds."""

    schedule: str
    duration_s: int
    timezone: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LockPolicy:
    """How the locks behave whose name fits one of `locks` (shell patterns; `KIND/PATTERN` for one kind). None: no such rule.

    `queue_limit` counts holders and waiters; its last `reserved` places are for runs that a person submitted. `hold_for_s` is how
    long a failed run keeps a lock; `ends_hold` says that a hold beyond `hold_limit_s` is ended, not only told. `overtake` is how
    often a waiter that cannot go may be passed by later ones that can. `fails_youngest`: of runs that wait for one another the
    youngest is ended. `freeze`: windows in which nobody is admitted.
    """

    locks: tuple[str, ...] = ()
    on_failure: OnFailure | None = None
    hold_for_s: int | None = None
    queue_limit: int | None = None
    overflow: Overflow = Overflow.REJECT_NEW
    reserved: int = 0
    wait_limit_s: int | None = None
    hold_limit_s: int | None = None
    ends_hold: bool = False
    overtake: int = 0
    fails_youngest: bool = False
    freeze: tuple[FreezeWindow, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class InfrastructureDefinition:
    """Where something is deployed to: named fields, whose values may hold tags of the workflow that deploys."""

    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceConstraint:
    """Something with `capacity` units. `passes` is how often a waiter may be overtaken: 0 for FIFO, no bound for ASAP."""

    capacity: int = 0
    passes: int = 0


OwnKind = LockPolicy | InfrastructureDefinition | ResourceConstraint

# What an infrastructure lock does where no policy says otherwise: twenty places, the holder's included, and a week of patience.
INFRASTRUCTURE_POLICY = LockPolicy(on_failure=OnFailure.RELEASE, queue_limit=20, wait_limit_s=7 * 24 * 3600)
CONSTRAINT_POLICY = LockPolicy(on_failure=OnFailure.RELEASE)
