"""A suspend node: it waits for a person or for its duration. Argo: docs/walk-through/suspending.md."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.errors import ManifestError
from reconciler.model.barrier import barrier_of
from reconciler.model.spec import Parameter, Suspend, Template
from reconciler.model.state import NodeState, NodeType, Outputs, Phase
from reconciler.workflow import barriers
from reconciler.workflow.calls import seconds
from reconciler.workflow.producers import default_of

if TYPE_CHECKING:
    from reconciler.workflow.engine import Decision


def advance(d: Decision, node: NodeState) -> None:
    """Begins the pause, and ends it when its time has come."""
    if node.type is not NodeType.SUSPEND:
        return
    template = d.scope.template(node)
    assert isinstance(template.body, Suspend)
    if barrier_of(template):
        _at_barrier(d, node, template)
        return
    if node.wake_at is not None:
        if d.now >= node.wake_at:
            _time_is_up(d, node, template.outputs)
        return
    if not template.body.duration or node.started_at is not None:
        return
    try:
        length = seconds(template.body.duration, d.scope.of(node))
    except ManifestError as error:
        d.finish(node, Phase.ERROR, str(error))
        return
    d.tree.update(node, node.phase, wake_s=max(0.001, length or 0.0))


def _at_barrier(d: Decision, node: NodeState, template: Template) -> None:
    fate = barriers.fate(d, node, template)
    if fate is None:
        return
    phase, message = fate
    if phase is Phase.SUCCEEDED:
        _time_is_up(d, replace(node, message=message), template.outputs)
    else:
        d.finish(node, phase, message)


def child_ended(_d: Decision, _node: NodeState, _child: NodeState) -> None:
    """It has no children."""


def _time_is_up(d: Decision, node: NodeState, declared: tuple[Parameter, ...]) -> None:
    """Nobody came: what was to be supplied takes its default, and without one the node has failed."""
    parameters = {**{p.name: default_of(p) for p in declared}, **node.outputs.parameters}
    missing = [name for name, value in parameters.items() if value is None]
    if missing:
        d.finish(node, Phase.FAILED, f"Step exceeded its deadline: nobody supplied {', '.join(missing)}")
        return
    found = {name: value for name, value in parameters.items() if value is not None}
    d.finish(node, Phase.SUCCEEDED, node.message, outputs=Outputs(parameters=found))
