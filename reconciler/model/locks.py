"""What a lock is, and how a manifest asks for one, its name still templated."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class LockKind(StrEnum):
    """What a lock is; part of its identity. Argo's database locks are locks of their own, whatever others are called."""

    MUTEX = "Mutex"
    SEMAPHORE = "ConfigMap"
    DATABASE_MUTEX = "DatabaseMutex"
    DATABASE = "Database"
    POLICY = "Policy"
    INFRASTRUCTURE = "Infrastructure"
    CONSTRAINT = "Constraint"

    @property
    def is_mutex(self) -> bool:
        """True for a lock whose limit is always 1."""
        return self in (LockKind.MUTEX, LockKind.DATABASE_MUTEX, LockKind.INFRASTRUCTURE)


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeLock:
    """A lock that a maintenance hold takes whole, named as the lock table names it: `key` is NAMESPACE/KIND/NAME."""

    key: str
    kind: LockKind
    namespace: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LockRef:
    """One wanted lock, its name still templated.

    A semaphore of a ConfigMap has `configmap` and `key`, every other lock has `name`; a constraint is NAME or NAME/QUEUE.
    `namespace` None means the run's own.
    """

    kind: LockKind
    name: str = ""
    configmap: str = ""
    key: str = ""
    namespace: str | None = None
    units: int = 1

    @property
    def written(self) -> str:
        """The lock's name as it is written: NAME, or CONFIGMAP/KEY."""
        return f"{self.configmap}/{self.key}" if self.kind is LockKind.SEMAPHORE else self.name
