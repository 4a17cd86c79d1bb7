"""A step group: calls side by side; it ends when all of them, and their exit handlers, have."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from reconciler.model.spec import Call
from reconciler.model.state import NodeState, NodeType, Phase
from reconciler.workflow import calls
from reconciler.workflow.calls import Making
from reconciler.workflow.ends import failed_fast
from reconciler.workflow.loops import frozen
from reconciler.workflow.outcome import bad_among, group_outcome
from reconciler.workflow.tree import BadChild
from reconciler.workflow.turns import kept_by_call, make_missing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reconciler.workflow.engine import Decision


def advance(d: Decision, group: NodeState) -> None:
    """Makes the group's calls that are not there yet, as far as the template's parallelism lets it, and ends it if all ended."""
    steps = d.tree.parent(group)
    assert steps is not None
    template = d.scope.template(steps)
    number = int(group.name[len(steps.name) + 1 : -1])
    its_calls = d.scope.steps(steps).groups[number]
    d.building.add(group.name)
    kept = _decide_loops(d, group, steps, its_calls)
    if kept is None:
        return
    group = d.tree.get(group.name) or group
    parts = [(call, f"{group.name}.{call.name}", kept.get(call.name, []) if call.is_loop else None) for call in its_calls]
    if make_missing(d, group, steps, parts, 0 if failed_fast(d, template, group) else template.parallelism):
        d.building.discard(group.name)
        _end_if_done(d, group)


def _decide_loops(
    d: Decision, group: NodeState, steps: NodeState, its_calls: Sequence[Call]
) -> Mapping[str, Sequence[Any]] | None:
    """What the group's loops run over, decided at its first look, for all later ones; None if that is to be gone on with."""
    kept = kept_by_call(group.item_json)
    missing = [call for call in its_calls if call.is_loop and call.name not in kept]
    there = d.tree.made(group) if missing else {}
    found: dict[str, list[Any]] = {}
    is_cut = False
    for call in missing:
        name = f"{group.name}.{call.name}"
        if name in there:  # one node stands for all turns
            continue
        is_cut = d.is_cut(group)
        if is_cut:
            break
        turns = calls.turns_of(d, Making(name=name, parent=group, display=call.name), call, d.scope.for_call(steps, call))
        if turns is not None:
            found[call.name] = frozen(turns)
            d.foresee(sum(map(len, kept.values())) + sum(map(len, found.values())))
    if found:
        kept = {**kept, **found}
        d.tree.note_loops(group, made=group.made, items=json.dumps(kept, ensure_ascii=False))
    return None if is_cut else kept


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
    if group.name in d.building or current.is_final or d.tree.has_unfinished_child(current):
        return
    bad = list(bad_among(d.tree.bad(current), lambda name: calls.call_of(d, name, current)))
    phase, message = group_outcome(bad)
    unmade = next((child for child in bad if _could_not_be_made(child)), None)
    if unmade is not None:  # Argo: arguments that cannot be resolved are an Error of the group
        phase, message = Phase.ERROR, unmade.message
    d.finish(current, phase, message)


def _could_not_be_made(child: BadChild) -> bool:
    return child.phase is Phase.ERROR and child.type is NodeType.POD and not child.began
