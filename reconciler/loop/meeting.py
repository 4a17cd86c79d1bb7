"""What a person may do about a run that waits at a barrier: let it pass alone, with a reason. Everybody else goes on waiting."""

from __future__ import annotations

from reconciler.loop.context import Context
from reconciler.model.barrier import BarrierPhase, barrier_of
from reconciler.model.state import NodeState, NodeType, RunState
from reconciler.store import barriers
from reconciler.store.nodes import StoredNodes


def waits_at(ctx: Context, run: RunState) -> dict[str, str]:
    """The barriers at which a run waits, by the name of the node that does."""
    if run.pipeline is None:
        return {}
    standings = barriers.standings(ctx.writer, run.id).items()
    here = {name for name, standing in standings if standing.phase is BarrierPhase.ARRIVED}
    templates = ctx.specs.get(run.spec_digest).templates
    nodes = StoredNodes(ctx.writer, run.id).suspended() if here else ()
    at = {node.name: barrier_of(templates[node.template]) for node in nodes if node.type is NodeType.SUSPEND}
    return {node: name for node, name in at.items() if name in here}


def how_to_let_pass(ctx: Context, run: RunState, node: NodeState, barrier: str) -> str:
    """For whom the run waits there, and the command that lets it go on without them."""
    others = ", ".join(barriers.awaited_at(ctx.writer, run.id, barrier))
    select = f"--node-field-selector displayName={node.display}"
    return (
        f'{run.name} waits at barrier "{barrier}" for {others}; to let it pass alone say why:'
        f" `lineclear node set {run.name} {select} --phase Succeeded --message REASON`"
    )


def let_pass(ctx: Context, run: RunState, barrier: str, reason: str) -> None:
    """Lets it go on without the others; for them it has come."""
    who = ctx.writer.actor or "a person"
    barriers.let_pass(ctx.writer, run, barrier, f"let pass by {who}: {reason}")
    barriers.mark_pauses(ctx.writer, run.id)
