"""A steps node: groups one after the other; it ends with the first group that does not go well."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.model.state import GOOD, NodeState, NodeType, Phase
from reconciler.workflow import ends, step_group
from reconciler.workflow.calls import Making

if TYPE_CHECKING:
    from reconciler.workflow.engine import Decision


def advance(d: Decision, node: NodeState) -> None:
    """Starts the groups after the last that went well, one by one as far as they end at once, or ends the steps."""
    groups = d.scope.steps(node).groups
    last = d.tree.last_child(node)
    count = 0 if last is None else int(last.name[len(node.name) + 1 : -1]) + 1
    d.building.add(node.name)
    if last is not None and last.phase is Phase.PENDING:
        d.start_if_granted(last)
        last = d.tree.get(last.name)
    while count < len(groups) and (last is None or last.phase in GOOD):
        if d.is_cut(node):
            return
        last = _begin(d, node, count)
        count += 1
    d.building.discard(node.name)
    current = d.tree.get(node.name) or node
    if current.is_final or (last is not None and not last.is_final):
        return
    if last is not None and last.phase not in GOOD:
        d.finish(current, Phase.FAILED, last.message)
    else:
        ends.succeed(d, current)


def _begin(d: Decision, node: NodeState, index: int) -> NodeState | None:
    making = Making(name=f"{node.name}[{index}]", parent=node, display=f"[{index}]")
    group = d.create(making, NodeType.STEP_GROUP, "", {})
    step_group.advance(d, d.tree.update(group, Phase.RUNNING))
    return d.tree.get(making.name)


def child_ended(d: Decision, node: NodeState, _child: NodeState) -> None:
    """A group has ended; `advance` itself sees those that end at once."""
    if node.name not in d.building:
        advance(d, node)
