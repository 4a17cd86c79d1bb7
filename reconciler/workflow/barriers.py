"""A suspend node that is a barrier, and what a decision about a run means for the barriers that are ahead of it.

Owns what one run does: it arrives, it is let go on or fails, or it turns out that it will never come. Who else waits there is
known to the store, and the loop says when all may pass. Source: barriers in Harness, with a wait that is bounded.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from reconciler.model.barrier import BARRIER_TIMEOUT, DEFAULT_TIMEOUT, BarrierNews, BarrierPhase, Standing, barrier_of
from reconciler.model.duration import parse_argo_duration
from reconciler.model.spec import Call, Template
from reconciler.model.state import GOOD, NodeState, NodeType, Phase
from reconciler.workflow.outcome import is_hook
from reconciler.workflow.values import is_in_handler

if TYPE_CHECKING:
    from reconciler.workflow.engine import Decision

_OPEN = (BarrierPhase.ABSENT, BarrierPhase.ARRIVED)
_NOBODY = Standing(phase=BarrierPhase.PASSED)  # nobody else has it: nothing to wait for


def standing_of(d: Decision, node: NodeState, barrier: str) -> Standing:
    """Where the run stands with a barrier that a node has come to; one that no other run has, or in a handler, is passed."""
    if d.run.pipeline is None or _is_aside(node):
        return _NOBODY
    return d.tree.stored.barriers().get(barrier, _NOBODY)


def _is_aside(node: NodeState) -> bool:
    return is_hook(node.name) or is_in_handler(node.name)


def fate(d: Decision, node: NodeState, template: Template) -> tuple[Phase, str] | None:
    """How a node at a barrier ends now, and what it says; None while it waits. A wait begins here, with its limit."""
    barrier = barrier_of(template)
    standing = standing_of(d, node, barrier)
    if standing.phase is BarrierPhase.FAILED:
        return Phase.FAILED, f'barrier "{barrier}" failed: {standing.message}'
    if standing.phase not in _OPEN:
        return Phase.SUCCEEDED, standing.message or node.message
    text = template.annotations.get(BARRIER_TIMEOUT) or DEFAULT_TIMEOUT
    if node.wake_at is not None:
        if d.now < node.wake_at:
            return None
        names = ", ".join(d.tree.stored.awaited_at(barrier))
        return Phase.FAILED, f'gave up at barrier "{barrier}" after {text}: {names or "somebody"} had not arrived'
    try:
        limit_s = parse_argo_duration(text).total_seconds()
    except ValueError as error:
        return Phase.ERROR, f"annotation {BARRIER_TIMEOUT}: {error}; correct it"
    d.tree.update(node, node.phase, node.message, wake_s=max(0.001, limit_s))
    return None


# what it means for the others --------------------------------------------------------------------------------------------


def report(d: Decision) -> tuple[BarrierNews, ...]:
    """What this decision changes about the run's open barriers: it has come to one, has failed at it, or comes no more."""
    if d.run.pipeline is None:
        return ()
    found = []
    for barrier, standing in d.tree.stored.barriers().items():
        if standing.phase in _OPEN:
            news = _news(d, barrier, standing)
            if news is not None:
                found.append(news)
    return tuple(found)


def _news(d: Decision, barrier: str, standing: Standing) -> BarrierNews | None:
    leading = [node for node in d.tree.changed() if _leads(d, node.template, barrier) and not _is_aside(node)]
    here = [node for node in leading if node.type is NodeType.SUSPEND and _is_barrier(d, node, barrier)]
    if standing.phase is BarrierPhase.ARRIVED:
        here = [node for node in here if node.name == standing.node]
        leading = here
    for node in here:
        if not node.is_final:
            continue
        if node.phase in GOOD:
            return BarrierNews(barrier=barrier, phase=BarrierPhase.REACHED)
        return BarrierNews(barrier=barrier, phase=BarrierPhase.FAILED, message=f"{d.run.name}: {node.message}")
    if standing.phase is BarrierPhase.ARRIVED:
        return None
    waiting = [node for node in here if node.phase is Phase.RUNNING]
    if waiting:
        return BarrierNews(barrier=barrier, phase=BarrierPhase.ARRIVED, node=waiting[0].name)
    ended = [node for node in leading if node.is_final]
    if not ended or _may_still_come(d, barrier):
        return None
    failed = next((node for node in ended if _has_failed(d, node)), None)
    if failed is None:
        return BarrierNews(barrier=barrier, phase=BarrierPhase.REACHED, message="skipped by a condition")
    where = failed.display or d.run.name
    return BarrierNews(
        barrier=barrier, phase=BarrierPhase.FAILED, message=f"{d.run.name} comes no more: {where} ended {failed.phase.value}"
    )


def _leads(d: Decision, key: str, barrier: str) -> bool:
    return "{{" in key or barrier in d.spec.barriers.get(key, ())


def _is_barrier(d: Decision, node: NodeState, barrier: str) -> bool:
    template = d.spec.templates.get(node.template)
    return template is not None and barrier_of(template) == barrier


def _has_failed(d: Decision, node: NodeState) -> bool:
    """True unless a condition kept it away: a task is omitted for a failure too, and then the others must not go on."""
    if node.phase is not Phase.OMITTED:
        return node.phase not in GOOD
    parent = d.tree.parent(node)
    return parent is not None and any(phase in (Phase.FAILED, Phase.ERROR) for _, phase in d.tree.made(parent).values())


def _may_still_come(d: Decision, barrier: str) -> bool:
    """True while something of the run that has not ended, or was not made yet, leads to the barrier."""
    if d.tree.get("") is None and _leads(d, d.spec.entrypoint, barrier):
        return True
    return any(_may_lead(d, node, barrier) for node in d.tree.unfinished() if not _is_aside(node))


def _may_lead(d: Decision, node: NodeState, barrier: str) -> bool:
    if node.type is NodeType.STEP_GROUP or not _leads(d, node.template, barrier):
        return False
    if node.phase is Phase.PENDING:
        return True
    if node.type is NodeType.STEPS:
        groups = enumerate(d.scope.steps(node).groups)
        return any(_is_to_come(d, f"{node.name}[{number}]", group, barrier) for number, group in groups)
    if node.type is NodeType.DAG:
        return _is_to_come(d, node.name, d.scope.dag(node).tasks, barrier)
    return True


def _is_to_come(d: Decision, above: str, calls: Iterable[Call], barrier: str) -> bool:
    """True if one of the calls leads to the barrier and may still be made; one that was made stands for itself."""
    group = d.tree.get(above)
    if group is not None and group.is_final:
        return False
    return any(_leads(d, call.template, barrier) and d.tree.get(f"{above}.{call.name}") is None for call in calls)
