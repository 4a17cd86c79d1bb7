"""What stands before the main part of a run that deploys: Pre-Deployment, then Acquire Resource Lock.

Source: the queueing of deployments in Harness. The lock's key is the service with the resolved fields of the infrastructure, so
the same service in another place never waits. Without a pre-deployment the run's own claim has these locks too: all or none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from reconciler.errors import ManifestError
from reconciler.expr.tags import resolve
from reconciler.model.deployment import Infrastructure
from reconciler.model.locks import LockKind
from reconciler.model.plan import ClaimRequest
from reconciler.model.spec import Call
from reconciler.model.state import GOOD, ClaimPhase, InfraMapping, NodeState, NodeType, Phase, ResolvedLock
from reconciler.workflow import calls
from reconciler.workflow.values import ACQUIRE, PRE_DEPLOYMENT, Values, check_plain, resolve_locks, whole_locks

if TYPE_CHECKING:
    from reconciler.workflow.engine import Decision

_DISPLAY = "Acquire Resource Lock"


def locks_of(d: Decision) -> tuple[ResolvedLock, ...]:
    """The infrastructures and constraints that the run wants, resolved now. Raises ManifestError if one cannot be named."""
    deployment = d.spec.deployment
    if deployment is None:
        return ()
    found = {}
    for infrastructure in deployment.infrastructures:
        lock = _infrastructure_lock(deployment.service, infrastructure, d.scope.base, d.run.namespace)
        if lock.key in found:
            raise ManifestError(f"two infrastructures of the run are the same place, {lock.name}; name one of them")
        found[lock.key] = lock
    constraints = resolve_locks(deployment.constraints, d.scope.base, d.run.namespace)
    return (*found.values(), *constraints)


def _infrastructure_lock(service: str, infrastructure: Infrastructure, scope: Values, namespace: str) -> ResolvedLock:
    name, values = _part(service, scope, "the service")
    fields = []
    for field in sorted(infrastructure.fields):
        value, more = _part(infrastructure.fields[field], scope, f"field {field} of infrastructure {infrastructure.name!r}")
        fields.append((field, value))
        values += more
    where = ",".join(f"{field}={quote(value, safe=' :@+')}" for field, value in fields)
    full = f"{quote(name, safe=' :@+')}/{where}"
    return ResolvedLock(
        key=f"{namespace}/{LockKind.INFRASTRUCTURE.value}/{full}",
        kind=LockKind.INFRASTRUCTURE.value,
        namespace=namespace,
        name=full,
        template=f"{service} on {infrastructure.name} ({infrastructure.place})",
        values=tuple(dict.fromkeys(values)),
        mapping=InfraMapping(definition=infrastructure.name, service=name, fields=tuple(fields)),
    )


def _part(text: str, scope: Values, what: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    value, values = resolve(text, scope)
    value = value.strip()
    if not value:
        raise ManifestError(f"{what} is empty once its variables have values ({text!r}); give every variable a value")
    check_plain(what, value)
    return value, values


# with the run's own claim ----------------------------------------------------------------------------------------------------


def asks_with_run(d: Decision) -> bool:
    """True for a run whose infrastructure and constraints are part of its own claim: nothing has to run before it."""
    return d.spec.deployment is not None and d.spec.deployment.asks_with_run


def ask_with_run(d: Decision) -> str:
    """Asks for all that the run holds as a whole; why that cannot be named, '' if it can."""
    try:
        locks = whole_locks(d.spec.hold) or resolve_locks(d.spec.locks, d.scope.base, d.run.namespace)
        if asks_with_run(d):
            locks += locks_of(d)
    except ManifestError as error:
        return f"its locks could not be named: {error}"
    if asks_with_run(d):
        make_waiting(d)
    d.tree.request(ClaimRequest(node=None, locks=locks, wait_limit_s=d.patience_s()))
    return ""


# the nodes -----------------------------------------------------------------------------------------------------------------


def make_waiting(d: Decision) -> None:
    """The node that shows the wait for the run's own claim."""
    deployment = d.spec.deployment
    if deployment is not None and deployment.infrastructures and d.tree.get(ACQUIRE) is None:
        _make(d)


def _make(d: Decision) -> NodeState:
    return d.create(calls.Making(name=ACQUIRE, parent=None, display=_DISPLAY), NodeType.LOCK, "", {})


def stopped_by(d: Decision) -> NodeState | None:
    """The node before the main part that ended badly, so that the main part never begins; None if none did."""
    if d.spec.deployment is None:
        return None
    for name in (PRE_DEPLOYMENT, ACQUIRE):
        node = d.tree.get(name)
        if node is not None and node.is_final and node.phase not in GOOD:
            return node
    return None


def was_clear(d: Decision) -> bool:
    """True if nothing is before the main part any more."""
    if d.spec.deployment is None:
        return True
    node = d.tree.get(ACQUIRE)
    return node is not None and node.phase is Phase.SUCCEEDED


def is_busy(d: Decision) -> bool:
    """True while a node before the main part has not ended."""
    nodes = [d.tree.get(name) for name in (PRE_DEPLOYMENT, ACQUIRE)] if d.spec.deployment is not None else []
    return any(node is not None and not node.is_final for node in nodes)


def is_clear(d: Decision) -> bool:
    """True once the main part may begin, or go on; makes what is still missing before it."""
    deployment = d.spec.deployment
    if deployment is None:
        return True
    if deployment.pre_deployment and not _is_prepared(d, deployment.pre_deployment):
        return False
    if not deployment.asks_apart:
        return True
    node = d.tree.get(ACQUIRE)
    if node is None:
        if not d.is_ending:
            _ask(d)
        return False
    return node.phase is Phase.SUCCEEDED or (not node.is_final and _is_granted(d, node))


def _is_prepared(d: Decision, template: str) -> bool:
    node = d.tree.get(PRE_DEPLOYMENT)
    if node is None:
        if d.is_ending:
            return False
        making = calls.Making(name=PRE_DEPLOYMENT, parent=None, display="Pre-Deployment")
        node = d.enter(making, Call(name=PRE_DEPLOYMENT, template=template), d.scope.base)
    return node.is_final and node.phase in GOOD


def _ask(d: Decision) -> None:
    """Asks for the locks with a claim of the node: they could not be named before, or a retried run let them go."""
    node = _make(d)
    try:
        locks = locks_of(d)
    except ManifestError as error:
        d.tree.update(node, Phase.ERROR, f"its locks could not be named: {error}")
        return
    d.tree.request(ClaimRequest(node=ACQUIRE, locks=locks, wait_limit_s=d.patience_s()))


def _is_granted(d: Decision, node: NodeState) -> bool:
    """True, and the node has ended well, if its own claim is granted, or the run's that has the same locks."""
    if d.tree.is_asked(ACQUIRE) or d.is_ending:
        return False
    own = d.tree.stored.claim(node.id) if node.id else None
    if own is ClaimPhase.WAITING:
        return False
    keys = d.tree.stored.held_keys(node.id if own is ClaimPhase.HELD else None)
    told = ", ".join(key for key in keys if f"/{LockKind.INFRASTRUCTURE.value}/" in key)
    d.tree.update(node, Phase.SUCCEEDED, f"ACTIVE: {told}")
    return True


def advance(d: Decision, node: NodeState) -> None:
    """`is_clear` looks after it."""


def child_ended(_d: Decision, _node: NodeState, _child: NodeState) -> None:
    """It has no children."""
