"""A step group: calls side by side; it ends when all of them, and their exit handlers, have."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from reconciler.model.spec import Call, Template
from reconciler.model.state import NodeState, NodeType, Phase
from reconciler.workflow import calls
from reconciler.workflow.calls import Making
from reconciler.workflow.ends import failed_fast
from reconciler.workflow.loops import Item, frozen, thawed
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
    kept: dict[str, list[Any]] = json.loads(group.item_json) if group.item_json else {}
    for call in d.scope.steps(steps).groups[number]:
        name = f"{group.name}.{call.name}"
        if name in there:
            calls.go_on(d, name, *there[name])
            continue
        budget = 0 if is_over else _room(d, group, template)
        if call.is_loop:
            _go_round(d, group, steps, call, kept, budget)
        elif budget is None or budget > 0:
            calls.make(d, group, steps, call)
    if kept and d.tree.is_new(group):
        d.tree.keep_items(group, json.dumps(kept, ensure_ascii=False))
    d.building.remove(group.name)
    _end_if_done(d, group)


def _room(d: Decision, group: NodeState, template: Template) -> int | None:
    """How many children may be made; None for any number."""
    most = template.parallelism
    return None if most is None else most - d.tree.count_unfinished(group, most)


def _go_round(  # the place, the call, what was decided about it and how far to go
    d: Decision, group: NodeState, steps: NodeState, call: Call, kept: dict[str, list[Any]], budget: int | None
) -> None:
    """Makes turns of a loop. Its condition and its items are decided at the group's first look, for all later ones."""
    turns: list[Item] | None
    if call.name in kept:
        turns = thawed(kept[call.name])
    else:
        making = Making(name=f"{group.name}.{call.name}", parent=group, display=call.name)
        turns = calls.turns_of(d, making, call, d.scope.for_call(steps, call))
    if turns is not None:
        kept[call.name] = frozen(turns)
        calls.make_turns(d, group, steps, call, turns, budget)


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
