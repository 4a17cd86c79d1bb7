"""Hooks: what else a call or a run starts, at its end (`exit`) or once an expression turns true (any other name).

Argo: docs/lifecyclehook.md. A hook that fires has a node of its own beside the one that it belongs to; its end changes nothing
for that node, but whatever comes after waits for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from reconciler.errors import ManifestError
from reconciler.expr.language import evaluate
from reconciler.model.spec import Call, Hook
from reconciler.model.state import FINAL, NodeState, NodeType, Phase
from reconciler.workflow.calls import Making, call_of, skip
from reconciler.workflow.halting import is_halting
from reconciler.workflow.outcome import is_hook
from reconciler.workflow.values import EXIT_NODE, Values, is_handler
from reconciler.workflow.variables import Variables

if TYPE_CHECKING:
    from reconciler.workflow.engine import Decision

EXIT = "exit"
RUN = ".hooks."
NOT_NOW = "its expression evaluated false"


def fire(d: Decision, node: NodeState, parent: NodeState) -> None:
    """Starts the hooks of a call whose time has come: at its end the exit handler, the others when their expressions hold.

    Nothing for a call that never took place, nor after terminate. Hooks by expression are a part of the run: none of them
    starts where all is to end.
    """
    if node.phase in (Phase.PENDING, Phase.OMITTED) or node.type in (NodeType.SKIPPED, NodeType.TASK_GROUP):
        return
    call = call_of(d, node.name, parent)
    if call is None or not call.hooks or d.run.shutdown == "Terminate":
        return
    owner = parent if parent.type is NodeType.DAG else d.tree.parent(parent)
    assert owner is not None
    is_over = is_halting(d, parent)
    for name, hook in call.hooks.items():
        if is_over if name != EXIT else not node.is_final:
            continue
        suffix = ".onExit" if name == EXIT else f".hooks.{name}"
        making = Making(name=node.name + suffix, parent=parent, display=node.display + suffix)
        if d.tree.get(making.name) is None:
            handler = Call(name=call.name, template=hook.template, arguments=hook.arguments or call.arguments)
            _fire_if(d, making, handler, hook, d.scope.for_hook(owner, call, node))


def fire_beside(d: Decision, node: NodeState, parent: NodeState) -> None:
    """Starts the hooks by expression of the calls beside a node that has begun or ended, where they speak of it."""
    own = call_of(d, node.name, parent) if d.spec.has_running_hooks else None
    if own is None or parent.type is NodeType.TASK_GROUP or is_halting(d, parent):
        return
    is_outermost = parent.name not in d.building
    d.building.add(parent.name)
    for call in _calls_of(d, parent):
        if call is not own and any(name != EXIT and own.name in hook.expression for name, hook in call.hooks.items()):
            for other, place in _nodes_of(d, call, parent):
                fire(d, other, place)
    if is_outermost:
        d.building.remove(parent.name)


def _nodes_of(d: Decision, call: Call, parent: NodeState) -> list[tuple[NodeState, NodeState]]:
    """The nodes of a call, each with the one that it stands under; those of all turns of a loop."""
    name = f"{parent.name}.{call.name}"
    node = d.tree.get(name)
    if node is not None and node.type is NodeType.TASK_GROUP:
        return [(turn, node) for turn in d.tree.children(node)]
    found = [node] if node is not None else d.tree.expanded(parent, name) if call.is_loop else []
    return [(other, parent) for other in found]


def catch_up(d: Decision, owner: NodeState) -> None:
    """Starts the hooks of children that ended while nothing of the run might begin."""
    if d.run.shutdown == "Terminate" or not any(call.hooks for call in _calls_of(d, owner)):
        return
    there = d.tree.made(owner)
    is_outermost = owner.name not in d.building
    d.building.add(owner.name)
    for name, (_, phase) in list(there.items()):
        if phase in FINAL and not is_hook(name) and f"{name}.onExit" not in there:
            child = d.tree.get(name)
            if child is not None:
                fire(d, child, owner)
    if is_outermost:
        d.building.discard(owner.name)


def _calls_of(d: Decision, owner: NodeState) -> Sequence[Call]:
    if owner.type is NodeType.DAG:
        return d.scope.dag(owner).tasks
    above = d.tree.parent(owner)
    if owner.type is NodeType.STEP_GROUP and above is not None:
        return d.scope.steps(above).groups[int(owner.name[len(above.name) + 1 : -1])]
    if owner.type is NodeType.TASK_GROUP and above is not None:
        return [d.scope.dag(above).by_name[owner.name[len(above.name) + 1 :]]]
    return ()


def fire_for_run(d: Decision, scope: Variables) -> bool:
    """Starts the run's own hooks whose expressions hold; True if all that were started have ended."""
    done = True
    for name, hook in d.spec.hooks.items():
        making = Making(name=RUN + name, parent=None, display=f"{d.run.name}{RUN}{name}")
        node = d.tree.get(making.name)
        if node is None and not d.is_ending:
            _fire_if(d, making, Call(name=name, template=hook.template, arguments=hook.arguments), hook, scope)
            node = d.tree.get(making.name)
        done = done and (node is None or node.is_final)
    return done


def _fire_if(d: Decision, making: Making, handler: Call, hook: Hook, scope: Values) -> None:
    assert isinstance(scope, Variables)
    if hook.expression:
        try:
            if evaluate(hook.expression, scope.tree()) is not True:
                if is_handler(making.name):  # it is decided once, at the end of what it belongs to
                    skip(d, making, handler, NOT_NOW)
                return
        except ManifestError as error:
            d.stillborn(making, handler, str(error))
            return
    d.enter(making, handler, scope)


def enter_handler(d: Decision, hook: Hook) -> NodeState | None:
    """Makes the run's exit handler, or the Skipped node of one whose expression does not hold."""
    scope = d.scope.outside(EXIT_NODE)
    making = Making(name=EXIT_NODE, parent=None, display=f"{d.run.name}.onExit")
    call = Call(name=EXIT_NODE, template=hook.template, arguments=hook.arguments)
    if hook.expression:
        try:
            if evaluate(hook.expression, scope.tree()) is not True:
                return skip(d, making, call, NOT_NOW)
        except ManifestError as error:
            return d.stillborn(making, call, str(error))
    return d.enter(making, call, scope)
