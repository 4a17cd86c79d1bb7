"""A steps node: groups one after the other; it ends with the first group that does not go well."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.model.state import GOOD, NodeState, NodeType, Phase
from reconciler.workflow import ends, step_group
from reconciler.workflow.calls import Making

if TYPE_CHECKING:
    from reconciler.workflow.engine import Decision


def advance(d: Decision, node: NodeState) -> None:
    """Starts the group after the last that went well, or ends the steps."""
    groups = d.scope.steps(node).groups
    done = d.tree.children(node)
    last = done[-1] if done else None
    if last is not None and not last.is_final:
        if last.phase is Phase.PENDING:
            d.start_if_granted(last)
        return
    if last is not None and last.phase not in GOOD:
        d.finish(node, Phase.FAILED, last.message)
    elif len(done) == len(groups):
        ends.succeed(d, node)
    else:
        index = len(done)
        making = Making(name=f"{node.name}[{index}]", parent=node, display=f"[{index}]")
        group = d.create(making, NodeType.STEP_GROUP, "", {})
        step_group.advance(d, d.tree.update(group, Phase.RUNNING))


def child_ended(d: Decision, node: NodeState, _child: NodeState) -> None:
    """A group has ended."""
    advance(d, node)
