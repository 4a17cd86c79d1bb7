"""A loop of a dag: one node for each item; its phase follows from theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.model.spec import Call
from reconciler.model.state import NodeState
from reconciler.workflow import calls
from reconciler.workflow.ends import failed_fast
from reconciler.workflow.outcome import bad_among, loop_outcome
from reconciler.workflow.turns import kept_items, make_missing

if TYPE_CHECKING:
    from reconciler.workflow.engine import Decision


def advance(d: Decision, group: NodeState) -> None:
    """Makes the turns that are not there yet, as far as the template's parallelism lets it, and ends the loop if all ended."""
    dag, call = _call(d, group)
    template = d.scope.template(dag)
    d.building.add(group.name)
    parts = [(call, group.name, kept_items(group.item_json))]
    if make_missing(d, group, dag, parts, 0 if failed_fast(d, template, group) else template.parallelism):
        d.building.discard(group.name)
        _end_if_done(d, group)


def child_ended(d: Decision, group: NodeState, _child: NodeState) -> None:
    """A turn has ended: a place may be free for the next one."""
    if group.name in d.building:
        return
    dag, _ = _call(d, group)
    if d.scope.template(dag).parallelism is not None:
        advance(d, group)
    else:
        _end_if_done(d, group)


def _call(d: Decision, group: NodeState) -> tuple[NodeState, Call]:
    dag = d.tree.parent(group)
    assert dag is not None
    return dag, d.scope.dag(dag).by_name[group.name[len(dag.name) + 1 :]]


def _end_if_done(d: Decision, group: NodeState) -> None:
    current = d.tree.get(group.name) or group
    if group.name in d.building or current.is_final or d.tree.has_unfinished_child(current):
        return
    phase, message = loop_outcome(bad_among(d.tree.bad(current), lambda name: calls.call_of(d, name, current)))
    d.finish(current, phase, message)
