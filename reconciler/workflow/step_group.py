"""A step group: calls side by side; it ends when all of them, and their exit handlers, have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.model.state import NodeState, NodeType, Phase
from reconciler.workflow import calls
from reconciler.workflow.ends import failed_fast
from reconciler.workflow.outcome import bad_among, group_outcome

if TYPE_CHECKING:
    from reconciler.workflow.engine import Decision


def advance(d: Decision, group: NodeState) -> None:
    """Makes the group's calls that are not there yet, as far as the template's parallelism lets it, and ends it if all ended."""
    steps = d.tree.parent(group)
    assert steps is not None
    template = d.scope.template(steps)
    number = int(group.name[len(steps.name) + 1 : -1])
    d.building.add(group.name)
    there = d.tree.made(group)
    is_over = failed_fast(d, template, group)
    for call in d.scope.steps(steps).groups[number]:
        name = f"{group.name}.{call.name}"
        if name in there:
            _go_on(d, name, *there[name])
        elif template.parallelism is None:
            calls.make(d, group, steps, call)
        elif not is_over:
            calls.make(d, group, steps, call, template.parallelism - d.tree.count_unfinished(group, template.parallelism))
    d.building.remove(group.name)
    _end_if_done(d, group)


def _go_on(d: Decision, name: str, kind: NodeType, phase: Phase) -> None:
    node = d.tree.get(name) if phase is Phase.PENDING and kind is not NodeType.POD else None
    if node is not None:
        d.start_if_granted(node)


def child_ended(d: Decision, group: NodeState, _child: NodeState) -> None:
    """A call has ended: a place may be free for the next one."""
    steps = d.tree.parent(group)
    assert steps is not None
    if group.name in d.building:
        return
    if d.scope.template(steps).parallelism is not None:
        advance(d, group)
    else:
        _end_if_done(d, group)


def _end_if_done(d: Decision, group: NodeState) -> None:
    current = d.tree.get(group.name) or group
    if current.is_final or d.tree.has_unfinished_child(group):
        return
    children = d.tree.children(group)
    bad = bad_among(children, lambda node: calls.call_of(d, node, group))
    phase, message = group_outcome(bad)
    unmade = next((child for child in bad if _could_not_be_made(d, child)), None)
    if unmade is not None:  # Argo: arguments that cannot be resolved are an Error of the group
        phase, message = Phase.ERROR, unmade.message
    d.finish(group, phase, message)


def _could_not_be_made(d: Decision, child: NodeState) -> bool:
    is_error = child.phase is Phase.ERROR and child.type is NodeType.POD
    return is_error and (child.id == 0 or d.tree.stored.attempt(child.id) is None)
