"""What a run says of the infrastructure that it deploys to, before any tag of it has a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.model.locks import LockRef


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentRequest:
    """The annotations of a run, read: names only. Without a service or with `is_locked` False no infrastructure is locked."""

    service: str = ""
    infrastructures: tuple[str, ...] = ()
    is_locked: bool = True
    pre_deployment: str = ""
    constraints: tuple[LockRef, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Infrastructure:
    """An InfrastructureDefinition as it was when the run was made: its fields may hold tags. `place` is path:line."""

    name: str
    place: str
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What is frozen with a run: the template to run first ('' for none), the infrastructures to lock, constraints to take."""

    service: str = ""
    infrastructures: tuple[Infrastructure, ...] = ()
    pre_deployment: str = ""
    constraints: tuple[LockRef, ...] = ()

    @property
    def asks_with_run(self) -> bool:
        """True if its locks are part of the run's own claim: nothing has to run before they have a name."""
        return not self.pre_deployment and bool(self.infrastructures or self.constraints)

    @property
    def asks_apart(self) -> bool:
        """True if it has a node that asks for its locks; without one they are asked for with those of the run."""
        return bool(self.infrastructures) or bool(self.pre_deployment and self.constraints)
