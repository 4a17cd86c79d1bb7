"""Requests about pauses: suspend and resume a run, resume or end single suspend nodes, supply their outputs.

A node is ended by the engine, not here: the request writes down what is wanted and when (now), so that whatever follows from
it happens as it does for any other end. Argo: docs/walk-through/suspending.md, docs/intermediate-inputs.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from reconciler.errors import Refused, UsageError
from reconciler.loop import meeting
from reconciler.loop.context import Context
from reconciler.model.spec import Template
from reconciler.model.state import NodeState, Outputs, Phase, RunState
from reconciler.store import runs
from reconciler.store.nodes import StoredNodes
from reconciler.workflow.producers import default_of

Args = Mapping[str, Any]
Answer = dict[str, Any]
_SET = {"": "set", "Succeeded": "set and ended well", "Failed": "ended as Failed"}
_SHOWN = 20  # nodes in an answer
_INPUT = "inputs.parameters."
_FIELDS: Mapping[str, Callable[[RunState, NodeState], str]] = {
    "displayName": lambda _run, node: node.display,
    "name": lambda run, node: run.name + node.name,
    "templateName": lambda _run, node: node.template.rpartition(":")[2],
    "phase": lambda _run, node: node.phase.value,
    "type": lambda _run, node: node.type.value,
    "id": lambda run, node: run.name + node.name,
}


def suspend(ctx: Context, run: RunState) -> Answer:
    """Nothing more of the run begins; what runs goes on, and it keeps its locks and its places in queues."""
    if run.is_final:
        raise Refused(f"{run.name} has ended ({run.phase.value}): there is nothing to suspend")
    if run.suspended:
        raise Refused(f"{run.name} is suspended already; `lineclear resume {run.name}` lets it go on")
    runs.set_suspended(ctx.writer, run, suspended=True)
    return {"run": run.id, "message": "suspended"}


def resume(ctx: Context, run: RunState, args: Args) -> Answer:
    """Lets a suspended run go on, and ends its suspend nodes; with a selector only those that it fits."""
    if run.is_final:
        raise Refused(f"{run.name} has ended ({run.phase.value}): there is nothing to resume")
    selector = _checked(args)
    suspended = _suspended(ctx, run)
    ended = {node.id for node in suspended if node.deadline_at is not None and node.deadline_at <= ctx.writer.now}
    barriers = meeting.waits_at(ctx, run)
    waiting = [node for node in suspended if node.id not in ended and _fits(run, node, selector)]
    there = [node for node in waiting if node.name in barriers]
    waiting = [node for node in waiting if node.name not in barriers]
    if there and not waiting and (selector or not run.suspended):
        raise Refused(meeting.how_to_let_pass(ctx, run, there[0], barriers[there[0].name]))
    if not waiting and (selector or not run.suspended):
        where = f" that fits {selector!r}" if selector else ""
        raise Refused(f"{run.name} is not suspended and no suspend node{where} waits in it; see `lineclear get {run.name}`")
    for node in waiting:
        _require_outputs(ctx, run, node, node.outputs.parameters)
    if run.suspended and not selector:
        runs.set_suspended(ctx.writer, run, suspended=False)
    runs.wake_nodes(ctx.writer, run, waiting, "node.resumed")
    names = _listed(waiting)
    return {"run": run.id, "message": f"resumed{': ' + names if names else ''}"}


def set_node(ctx: Context, run: RunState, args: Args) -> Answer:
    """Supplies outputs of suspend nodes, changes their message, or ends them in a phase."""
    phase = str(args.get("phase") or "")
    if phase not in ("", "Succeeded", "Failed"):
        raise UsageError(f"phase {phase!r}: a suspend node can be set to Succeeded or Failed")
    selector = _checked(args)
    nodes = [node for node in _suspended(ctx, run) if _fits(run, node, selector)]
    if not nodes:
        raise Refused(f"{run.name} has no suspend node that waits and fits {selector!r}; `lineclear get {run.name}` shows them")
    given = {str(key): str(value) for key, value in (args.get("outputs") or {}).items()}
    message = str(args.get("message") or "")
    barriers = meeting.waits_at(ctx, run)
    there = [node for node in nodes if node.name in barriers]
    if there and phase == "Succeeded" and not message:
        raise Refused(meeting.how_to_let_pass(ctx, run, there[0], barriers[there[0].name]))
    for node in nodes:
        _require_declared(ctx, run, node, given)
        parameters = {**node.outputs.parameters, **given}
        if phase == "Succeeded":
            _require_outputs(ctx, run, node, parameters)
        runs.supply_outputs(ctx.writer, run, node, Outputs(parameters=parameters), message)
        if phase == "Succeeded" and node in there:
            meeting.let_pass(ctx, run, barriers[node.name], message)
        elif phase == "Succeeded":
            runs.wake_node(ctx.writer, run, node, "node.set")
        elif phase == "Failed":
            runs.fail_node(ctx.writer, run, node)
    names = _listed(nodes)
    return {"run": run.id, "message": f"{_SET[phase]}: {names}"}


def _listed(nodes: Sequence[NodeState]) -> str:
    """The names of nodes as an answer tells them."""
    names = ", ".join(node.display for node in nodes[:_SHOWN])
    return names if len(nodes) <= _SHOWN else f"{names} and {len(nodes) - _SHOWN} more"


def fail_nodes(ctx: Context, run: RunState, selector: str, message: str) -> Answer:
    """Ends the suspend nodes that a selector fits as Failed: `stop` of a part of a run."""
    return set_node(ctx, run, {"selector": selector, "phase": "Failed", "message": message or "stopped by an operator"})


def _suspended(ctx: Context, run: RunState) -> list[NodeState]:
    return [node for node in StoredNodes(ctx.writer, run.id).suspended() if node.phase is Phase.RUNNING]


def _checked(args: Args) -> str:
    """The selector of a request. Raises UsageError for one that no node could ever fit."""
    selector = str(args.get("selector") or "")
    for name, _, sign in _parts(selector):
        if not sign:
            raise UsageError(f"node selector {name!r}: it is FIELD=VALUE, such as displayName=approve")
        if name not in _FIELDS and not (name.startswith(_INPUT) and len(name) > len(_INPUT)):
            raise UsageError(f"node selector: there is no field {name!r}; use {', '.join(_FIELDS)} or {_INPUT}NAME.value")
    return selector


def _parts(selector: str) -> list[tuple[str, str, str]]:
    """(field, value, sign) of each part; the sign is '=', '!=' or '' where there is none."""
    found = []
    for part in filter(None, (piece.strip() for piece in selector.split(","))):
        name, sign, value = part.partition("=")
        found.append((name.rstrip("!").strip(), value.lstrip("=").strip(), sign and ("!=" if name.endswith("!") else "=")))
    return found


def _fits(run: RunState, node: NodeState, selector: str) -> bool:
    """Whether `field=value,field!=value` fits a node."""
    return all((_field(run, node, name) == value) is (sign == "=") for name, value, sign in _parts(selector))


def _field(run: RunState, node: NodeState, name: str) -> str:
    if name in _FIELDS:
        return _FIELDS[name](run, node)
    return node.inputs.get(name[len(_INPUT) :].removesuffix(".value"), "")


def _template(ctx: Context, run: RunState, node: NodeState) -> Template:
    return ctx.specs.get(run.spec_digest).templates[node.template]


def _require_declared(ctx: Context, run: RunState, node: NodeState, given: Mapping[str, str]) -> None:
    declared = [p.name for p in _template(ctx, run, node).outputs if p.value_from is not None and p.value_from.supplied]
    for name in given:
        if name not in declared:
            known = ", ".join(declared) or "none"
            raise Refused(f"suspend node {node.display!r} has no output parameter {name!r} to supply; it has {known}")


def _require_outputs(ctx: Context, run: RunState, node: NodeState, parameters: Mapping[str, str]) -> None:
    declared = _template(ctx, run, node).outputs
    missing = [p.name for p in declared if p.name not in parameters and default_of(p) is None]
    if missing:
        raise Refused(
            f"suspend node {node.display!r} waits for {', '.join(missing)}: supply it first with"
            f" `lineclear node set {run.name} --output-parameter {missing[0]}=VALUE`"
        )


