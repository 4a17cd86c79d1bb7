"""The variables of a run, and the resolution of arguments, inputs and lock names.

Argo: docs/variables.md. One pass only: a value that holds a tag is not looked into again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from reconciler.errors import ManifestError
from reconciler.expr.errors import AbsentValue
from reconciler.expr.language import evaluate, to_text
from reconciler.expr.tags import UnresolvedTag, Variables, resolve, substitute
from reconciler.model.locks import LockRef, WholeLock
from reconciler.model.spec import Parameter, ValueFrom
from reconciler.model.state import NodeState, ResolvedLock, RunState
from reconciler.model.whole import WHOLE
from reconciler.workflow.tree import Stored

Values = Variables | Mapping[str, str]
ConfigValue = Callable[[str, str], str | None]
EXIT_NODE = ".onExit"
PRE_DEPLOYMENT = ".preDeployment"
ACQUIRE = ".acquireResourceLock"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_TURN = re.compile(r"\([^()]*\)")
_HANDLER = re.compile(r"(?:^|[^\]])\.onExit$")
_IN_HANDLER = re.compile(r"(?:^|[^\]])\.onExit(?=$|[\[.(])")


def is_in_handler(name: str) -> bool:
    """True for an exit handler's node, of the run or of a call, and those below it; a task `onExits` is another."""
    return ".onExit" in name and _IN_HANDLER.search(_TURN.sub("", name)) is not None


def is_handler(name: str) -> bool:
    """True for an exit handler's own node, none of those below it; a step `onExit` is another."""
    return _HANDLER.search(name.rpartition(")")[2]) is not None


def is_in_run_handler(name: str) -> bool:
    """True for the run's own exit handler and the nodes below it."""
    return name == EXIT_NODE or name.startswith((f"{EXIT_NODE}[", f"{EXIT_NODE}.", f"{EXIT_NODE}("))


def is_before_main(name: str) -> bool:
    """True for the nodes that stand before a run's main part, and those below them."""
    return name.startswith((PRE_DEPLOYMENT, ACQUIRE))


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


def input_values(inputs: Mapping[str, str]) -> dict[str, str]:
    """The `inputs.*` variables inside a template."""
    values = {f"inputs.parameters.{key}": value for key, value in inputs.items()}
    values["inputs.parameters"] = json.dumps([{"name": key, "value": value} for key, value in inputs.items()])
    return values


def resolve_arguments(
    declared: Sequence[Parameter], given: Mapping[str, str], owner: str, config: ConfigValue | None = None
) -> dict[str, str]:
    """A workflow's arguments: given values over declared ones, over a ConfigMap's, over defaults.

    `config` gives the value of a ConfigMap's (name, key), or None. Raises ManifestError for a declared parameter without any
    value, for a given one that is not declared, and for a value outside `enum`.
    """
    names = {parameter.name for parameter in declared}
    for name in given:
        if name not in names:
            known = ", ".join(sorted(names)) or "none"
            raise ManifestError(f"{owner}: parameter {name!r} is not declared in spec.arguments; declared: {known}")
    found: dict[str, str] = {}
    for parameter in declared:
        value = given.get(parameter.name, parameter.value)
        if value is None and parameter.value_from is not None:
            scope = {f"workflow.parameters.{name}": value for name, value in found.items()}
            value = _from_source(parameter.value_from, scope, config)
        found[parameter.name] = _checked(parameter, value, owner)
    return found


def resolve_inputs(  # every place that a value may come from
    declared: Sequence[Parameter],
    arguments: Sequence[Parameter],
    scope: Values,
    owner: str,
    config: ConfigValue | None = None,
    known: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """A template's inputs: the caller's arguments, in the caller's scope, over `known` values and the template's own.

    An argument that refers to an output that was never made leaves the template's default standing. Raises ManifestError if
    one has no value, and UnresolvedTag if an argument names an unknown variable.
    """
    given = dict(known or {})
    absent: dict[str, AbsentValue] = {}
    for argument in arguments:
        try:
            value = argument_value(argument, scope, config)
        except AbsentValue as error:
            absent[argument.name] = error
        else:
            if value is not None:
                given[argument.name] = value
    inputs = {}
    for parameter in declared:
        inputs[parameter.name] = _input(parameter, given, absent, scope, owner, config)
    return inputs


def _input(  # one parameter against everything that may give it a value
    parameter: Parameter,
    given: Mapping[str, str],
    absent: Mapping[str, AbsentValue],
    scope: Values,
    owner: str,
    config: ConfigValue | None,
) -> str:
    if parameter.name in given:
        return _checked(parameter, given[parameter.name], owner)
    own = parameter.value if parameter.value is not None else None
    if own is None and parameter.value_from is not None:
        own = _from_source(parameter.value_from, scope, config)
    if own is None:
        own = parameter.default
    if own is None and parameter.name in absent:
        raise absent[parameter.name]
    return _checked(parameter, None if own is None else substitute(own, scope), owner)


def argument_value(argument: Parameter, scope: Values, config: ConfigValue | None = None) -> str | None:
    """What an argument is in a scope: its value, or what its source gives; None if it says nothing."""
    if argument.value is not None:
        return substitute(argument.value, scope)
    if argument.value_from is not None:
        return _from_source(argument.value_from, scope, config)
    return None if argument.default is None else substitute(argument.default, scope)


def _from_source(source: ValueFrom, scope: Values, config: ConfigValue | None) -> str | None:
    """The value that a source gives, else its default; None if there is neither."""
    try:
        if source.parameter:
            return substitute(source.parameter, scope)
        if source.expression:
            return to_text(evaluate(source.expression, tree_of(scope)))
    except AbsentValue:
        if source.default is None:
            raise
        return source.default
    if source.configmap is not None:
        name, key = (substitute(part, scope) for part in source.configmap)
        value = None if config is None else config(name, key)
        if value is None and source.default is None:
            raise ManifestError(f'ConfigMap "{name}" has no key "{key}" here; push one that has, or give a default')
        return value if value is not None else source.default
    return source.default


def tree_of(scope: Values) -> Mapping[str, object]:
    """A scope as an expression sees it."""
    if isinstance(scope, Mapping):
        from reconciler.expr.tags import nest

        return nest(scope)
    return scope.tree()


def _checked(parameter: Parameter, value: str | None, owner: str) -> str:
    if value is None:
        value = parameter.default
    if value is None:
        raise ManifestError(f"{owner}: parameter {parameter.name!r} has no value; give one with -p {parameter.name}=VALUE")
    if parameter.enum and value not in parameter.enum:
        allowed = ", ".join(parameter.enum)
        raise ManifestError(f"{owner}: parameter {parameter.name!r} is {value!r}; it must be one of {allowed}")
    return value


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


def whole_locks(locks: Iterable[WholeLock]) -> tuple[ResolvedLock, ...]:
    """What a maintenance hold asks for: each of its locks with all the units that there may ever be."""
    return tuple(ResolvedLock(one.key, one.kind.value, one.namespace, one.name, one.name, (), units=WHOLE) for one in locks)


def _resolve_lock(ref: LockRef, scope: Values, own_namespace: str) -> ResolvedLock:
    namespace, _ = resolve(ref.namespace, scope) if ref.namespace else (own_namespace, ())
    template = ref.written
    name, values = resolve(template, scope)
    if not name.strip("/ "):
        raise ManifestError(f"lock name {template!r} is empty once its variables have values; give every variable a value")
    for part in (namespace, name):
        check_plain(f"lock name {template!r}", part)
    key = f"{namespace}/{ref.kind.value}/{name}"
    return ResolvedLock(key, ref.kind.value, namespace, name, template, values, units=ref.units)


def check_plain(what: str, value: str) -> None:
    """Raises ManifestError for a part of a lock's key that is no plain text."""
    if _CONTROL.search(value):
        raise ManifestError(f"{what} is {value!r}, which holds control characters; give it plain text")


__all__ = [
    "UnresolvedTag",
    "exit_values",
    "input_values",
    "resolve_arguments",
    "resolve_inputs",
    "resolve_locks",
]
