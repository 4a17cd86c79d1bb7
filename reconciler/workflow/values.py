"""What `{{tags}}` mean: the variables of a run and of a node, and the resolution of arguments, inputs and lock names.

Argo: docs/variables.md. One pass only: a value that holds a tag is not looked into again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from reconciler.errors import ManifestError
from reconciler.expr.tags import UnresolvedTag, resolve, substitute
from reconciler.model.spec import LockKind, LockRef, Parameter, WorkflowSpec
from reconciler.model.state import NodeState, ResolvedLock, RunState
from reconciler.workflow.tree import Stored

Values = Mapping[str, str]
EXIT_NODE = ".onExit"


def is_in_handler(name: str) -> bool:
    """True for the exit handler's node and those below it; a task `onExits` is another."""
    return name == EXIT_NODE or name.startswith((f"{EXIT_NODE}[", f"{EXIT_NODE}.", f"{EXIT_NODE}("))


def workflow_values(run: RunState, spec: WorkflowSpec) -> dict[str, str]:
    """The `workflow.*` variables that are known before the run has ended."""
    values = {f"workflow.parameters.{name}": value for name, value in run.arguments.items()}
    values |= {f"workflow.labels.{name}": value for name, value in run.labels.items()}
    values |= {f"workflow.annotations.{name}": value for name, value in run.annotations.items()}
    values["workflow.name"] = run.name
    values["workflow.namespace"] = run.namespace
    values["workflow.uid"] = run.uid
    values["workflow.priority"] = str(run.priority)
    values["workflow.mainEntrypoint"] = spec.entrypoint
    values["workflow.serviceAccountName"] = "default"
    values["workflow.creationTimestamp"] = run.created_at[:19] + "Z"
    values["workflow.creationTimestamp.RFC3339"] = run.created_at[:19] + "Z"
    if run.scheduled_at:
        values["workflow.scheduledTime"] = run.scheduled_at[:19] + "Z"
    parameters = [{"name": name, "value": value} for name, value in run.arguments.items()]
    values["workflow.parameters"] = values["workflow.parameters.json"] = json.dumps(parameters)
    return values


def exit_values(root: NodeState, stored: Stored, run: RunState) -> dict[str, str]:
    """What an exit handler knows besides: how the main part ended and which of its processes failed."""
    failures = [node for node in stored.failed_pods() if not is_in_handler(node.name)]
    listed = [
        {
            "displayName": node.display,
            "message": node.message,
            "templateName": node.template,
            "phase": node.phase.value,
            "podName": run.name + node.name,
            "finishedAt": node.finished_at or "",
        }
        for node in failures
    ]
    return {"workflow.status": root.phase.value, "workflow.failures": json.dumps(json.dumps(listed))}


def node_values(base: Values, run: RunState, name: str, inputs: Values) -> dict[str, str]:
    """The variables inside one node's template: the run's, its inputs, and its own name."""
    values = dict(base)
    for key, value in inputs.items():
        values[f"inputs.parameters.{key}"] = value
    values["inputs.parameters"] = json.dumps([{"name": k, "value": v} for k, v in inputs.items()])
    values["pod.name"] = values["node.name"] = run.name + name
    return values


def resolve_arguments(declared: Sequence[Parameter], given: Mapping[str, str], owner: str) -> dict[str, str]:
    """A workflow's arguments: given values over declared ones over defaults.

    Raises ManifestError for a declared parameter without any value, for a given one that is not declared, and for a value
    outside `enum`.
    """
    names = {parameter.name for parameter in declared}
    for name in given:
        if name not in names:
            known = ", ".join(sorted(names)) or "none"
            raise ManifestError(f"{owner}: parameter {name!r} is not declared in spec.arguments; declared: {known}")
    return {parameter.name: _value_of(parameter, given.get(parameter.name), owner) for parameter in declared}


def resolve_inputs(declared: Sequence[Parameter], arguments: Sequence[Parameter], scope: Values, owner: str) -> dict[str, str]:
    """A template's inputs: the caller's arguments, in the caller's scope, over the template's own values and defaults.

    Raises ManifestError if one has no value, and UnresolvedTag if an argument names an unknown variable.
    """
    given = {argument.name: substitute(argument.value, scope) for argument in arguments if argument.value is not None}
    inputs = {}
    for parameter in declared:
        raw = _value_of(parameter, given.get(parameter.name), owner)
        inputs[parameter.name] = raw if parameter.name in given else substitute(raw, scope)
    return inputs


def _value_of(parameter: Parameter, given: str | None, owner: str) -> str:
    for candidate in (given, parameter.value, parameter.default):
        if candidate is not None:
            if parameter.enum and candidate not in parameter.enum:
                allowed = ", ".join(parameter.enum)
                raise ManifestError(f"{owner}: parameter {parameter.name!r} is {candidate!r}; it must be one of {allowed}")
            return candidate
    raise ManifestError(f"{owner}: parameter {parameter.name!r} has no value; give one with -p {parameter.name}=VALUE")


def resolve_locks(refs: Sequence[LockRef], scope: Values, namespace: str) -> tuple[ResolvedLock, ...]:
    """The locks that the references mean now, in spec order, each once.

    Raises UnresolvedTag if a name holds an unknown variable, ManifestError if a name is empty after resolution or if two
    entries resolve to the same lock.
    """
    found: dict[str, ResolvedLock] = {}
    for ref in refs:
        lock = _resolve_lock(ref, scope, namespace)
        if lock.key in found:
            raise ManifestError(f"lock {lock.key} is named twice in one synchronization block; remove one of the two")
        found[lock.key] = lock
    return tuple(found.values())


def _resolve_lock(ref: LockRef, scope: Values, own_namespace: str) -> ResolvedLock:
    namespace, _ = resolve(ref.namespace, scope) if ref.namespace else (own_namespace, ())
    template = ref.name if ref.kind is LockKind.MUTEX else f"{ref.configmap}/{ref.key}"
    name, values = resolve(template, scope)
    if not name.strip("/ "):
        raise ManifestError(f"lock name {template!r} is empty once its variables have values; give every variable a value")
    return ResolvedLock(f"{namespace}/{ref.kind.value}/{name}", ref.kind.value, namespace, name, template, values)


__all__ = [
    "UnresolvedTag",
    "exit_values",
    "node_values",
    "resolve_arguments",
    "resolve_inputs",
    "resolve_locks",
    "workflow_values",
]
