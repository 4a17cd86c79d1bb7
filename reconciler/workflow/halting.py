"""How nodes end that may not go on: the run is asked to end, its time is up, or that of a node around them.

A node ends here once nothing of it is left; a process is asked to end, and its end is waited for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.model.state import NodeState, NodeType, Phase
from reconciler.workflow import pods
from reconciler.workflow.values import is_handler, is_in_handler

if TYPE_CHECKING:
    from reconciler.workflow.engine import Decision


def is_halting(d: Decision, node: NodeState) -> bool:
    """True for a node that may not go on: the run is asked to end, or a deadline around the node has passed."""
    if d.run.shutdown == "Terminate":
        return True
    return (d.is_ending and not is_in_handler(node.name)) or is_overdue(d, node)


def is_overdue(d: Decision, node: NodeState) -> bool:
    """True if the node's own deadline has passed, or one around it; an exit handler has only its own."""
    above: NodeState | None = node
    while above is not None:
        if above.deadline_at is not None and d.now >= above.deadline_at:
            return True
        is_outermost = not d.spec.has_timeouts or is_handler(above.name)
        above = None if is_outermost else d.tree.parent(above)
    return False


def halt(d: Decision, node: NodeState) -> None:
    """Ends a node that may not go on, once nothing of it is left."""
    message = d.why_stopped() if d.run.shutdown else "Step exceeded its deadline"
    if node.phase is Phase.PENDING and node.message:  # its wait for locks was refused
        message = node.message
    if node.type is NodeType.POD:
        pods.halt(d, node, message)
    elif node.type is NodeType.LOCK:
        if node.id and d.tree.stored.claim(node.id) is not None:
            d.tree.end_claim(node.name, message)
        d.finish(node, Phase.FAILED, message)
    elif node.type is NodeType.SUSPEND:
        d.finish(node, Phase.FAILED, node.message or message)
    elif not d.tree.has_unfinished_child(node):
        d.finish(node, Phase.FAILED, message)
