"""A dag: each task starts when its `depends` holds, or is omitted once it can no longer hold.

Argo: docs/enhanced-depends-logic.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.errors import ManifestError
from reconciler.expr.depends import parse_depends
from reconciler.model.spec import Call, Dag
from reconciler.model.state import FINAL, NodeState, NodeType, Phase
from reconciler.workflow import calls, ends, hooks
from reconciler.workflow.calls import Making
from reconciler.workflow.loops import frozen
from reconciler.workflow.outcome import dag_outcome, task_is

if TYPE_CHECKING:
    from reconciler.workflow.engine import Decision

_FEW = 8  # more are looked up in one read
_EDGES_A_LOOK = 32  # so many dependencies cost as much to decide as one look at a node
_NOT_MADE = (NodeType.SKIPPED, Phase.PENDING)  # no stored node is both


def advance(d: Decision, node: NodeState) -> None:
    """Takes up every task, and ends the dag if nothing is left."""
    try:
        targets(d, node)
    except ManifestError as error:
        d.finish(node, Phase.ERROR, str(error))
        return
    d.building.discard(node.name)
    _go_on(d, node, _open(d, node))
    _end_if_done(d, node)


def child_ended(d: Decision, node: NodeState, child: NodeState) -> None:
    """A task, or its exit handler, has ended: what depends on it may start."""
    dag = d.scope.dag(node)
    if d.scope.template(node).parallelism is not None:
        _go_on(d, node, _open(d, node))
    else:
        task = child.name[len(node.name) + 1 :].partition(".")[0]
        needed = _needed(dag, targets(d, node))
        _go_on(d, node, [t for t in dag.dependents.get(task, ()) if needed is None or t.name in needed])
    _end_if_done(d, node)


def targets(d: Decision, node: NodeState) -> tuple[str, ...]:
    """The dag's targets by name; none means all tasks. Raises ManifestError for one that is no task."""
    dag = d.scope.dag(node)
    if not dag.target:
        return ()
    found = tuple(calls.resolved(dag.target, d.scope.of(node)).split())
    for name in found:
        if name not in dag.by_name:
            raise ManifestError(f"target {name!r} of the dag is none of its tasks; name one of {', '.join(dag.by_name)}")
    return found


def wanted(d: Decision, node: NodeState) -> Sequence[Call]:
    """The tasks that are to run: all, or those that the targets need."""
    dag = d.scope.dag(node)
    needed = _needed(dag, targets(d, node))
    return dag.tasks if needed is None else [task for task in dag.tasks if task.name in needed]


def _needed(dag: Dag, targets: Sequence[str]) -> set[str] | None:
    """The targets and all that they depend on; None is all tasks."""
    if not targets:
        return None
    found: set[str] = set()
    waiting = list(targets)
    while waiting:
        task = dag.by_name.get(waiting.pop())
        if task is not None and task.name not in found:
            found.add(task.name)
            waiting += task.after
    return found


def _open(d: Decision, node: NodeState) -> list[Call]:
    """The tasks that wait for their locks, then those that may be decided: one read for all, however many there are."""
    there = d.tree.made(node)
    waiting, undecided = [], []
    for task in wanted(d, node):
        kind, phase = there.get(f"{node.name}.{task.name}", _NOT_MADE)
        if (kind, phase) == _NOT_MADE:
            if all(_has_ended(there, node, name) for name in task.after):
                undecided.append(task)
        elif phase is Phase.PENDING and kind is not NodeType.POD:
            waiting.append(task)
    return waiting + undecided


def _has_ended(there: Mapping[str, tuple[NodeType, Phase]], node: NodeState, task: str) -> bool:
    return there.get(f"{node.name}.{task}", _NOT_MADE)[1] in FINAL


def _go_on(d: Decision, node: NodeState, tasks: Iterable[Call]) -> None:
    """Starts each task that may start, and omits each that no longer can; what follows from that too."""
    outermost = node.name not in d.building
    d.building.add(node.name)
    dag = d.scope.dag(node)
    template = d.scope.template(node)
    needed = _needed(dag, targets(d, node))
    is_cut = False
    waiting = list(tasks)[::-1]
    while waiting and not is_cut:
        task = waiting.pop()
        made = d.tree.get(f"{node.name}.{task.name}")
        if made is None:
            if template.parallelism is not None and _is_full(d, node, template.parallelism):
                break
            is_cut = d.is_cut(node)
            made = None if is_cut else _decide(d, node, task)
            if made is not None and made.is_final:
                hooks.fire_beside(d, made, node)
                waiting += [t for t in dag.dependents.get(task.name, ()) if needed is None or t.name in needed]
        elif made.phase is Phase.PENDING and made.type is not NodeType.POD:
            d.start_if_granted(made)
    if outermost and not is_cut:
        d.building.remove(node.name)


def _is_full(d: Decision, node: NodeState, parallelism: int) -> bool:
    return ends.failed_fast(d, d.scope.template(node), node) or d.tree.count_unfinished(node) >= parallelism


def _decide(d: Decision, node: NodeState, task: Call) -> NodeState | None:
    """Makes the task's node if everything before it has ended; None if it has to wait."""
    d.budget.look(len(task.after) // _EDGES_A_LOOK)
    if _has_to_wait(d, node, task):
        return None
    making = Making(name=f"{node.name}.{task.name}", parent=node, display=task.name)
    try:
        holds = _holds(d, node, task)
    except ManifestError as error:
        return d.stillborn(making, task, str(error))
    if not holds:
        return calls.skip(d, making, task, "omitted: depends condition not met", Phase.OMITTED)
    if task.is_loop:
        _make_loop(d, making, node, task)
    else:
        calls.make(d, node, node, task)
    return d.tree.get(making.name)


def _has_to_wait(d: Decision, node: NodeState, task: Call) -> bool:
    if len(task.after) > _FEW:
        there = d.tree.made(node)
        is_early = not all(_has_ended(there, node, name) for name in task.after)
    else:
        before = [d.tree.get(f"{node.name}.{name}") for name in task.after]
        is_early = not all(other is not None and other.is_final for other in before)
    return is_early or any(_has_open_hook(d, node, name) for name in task.after)


def _has_open_hook(d: Decision, node: NodeState, task: str) -> bool:
    call = d.scope.dag(node).by_name.get(task)
    names = () if call is None else tuple("onExit" if name == "exit" else f"hooks.{name}" for name in call.hooks)
    found = [d.tree.get(f"{node.name}.{task}.{name}") for name in names]
    return any(hook is not None and not hook.is_final for hook in found)


def _make_loop(d: Decision, making: Making, node: NodeState, task: Call) -> None:
    turns = calls.turns_of(d, making, task, d.scope.for_call(node, task))
    if turns is not None:
        kept = replace(making, item_json=json.dumps(frozen(turns), ensure_ascii=False))
        group = d.create(kept, NodeType.TASK_GROUP, task.template, {})
        d.start(group, d.scope.template(node))


def _holds(d: Decision, node: NodeState, task: Call) -> bool:
    dag = d.scope.dag(node)

    def lookup(name: str, suffix: str) -> bool:
        before = d.tree.get(f"{node.name}.{name}")
        call = dag.by_name.get(name)
        if before is None or call is None:
            return False
        return task_is(before, suffix, call, lambda: d.tree.children(before))

    if task.depends:
        return parse_depends(task.depends).holds(lookup)
    return all(lookup(name, "") for name in task.dependencies)


def _end_if_done(d: Decision, node: NodeState) -> None:
    current = d.tree.get(node.name) or node
    if node.name in d.building or current.is_final or d.tree.has_unfinished_child(current):
        return
    there = d.tree.made(current)
    found = targets(d, node)
    phase, message = dag_outcome(d.scope.dag(node), lambda name: there.get(f"{node.name}.{name}", _NOT_MADE)[1], found)
    if phase is Phase.SUCCEEDED:
        ends.succeed(d, current)
    else:
        d.finish(current, phase, message)
