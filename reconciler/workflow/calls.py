"""How a call becomes nodes: its turns, its condition, its inputs and its locks.

A call is a step or a task; the entrypoint and the exit handler are made the same way. What the nodes do then is not its
business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.errors import ManifestError
from reconciler.expr.tags import substitute
from reconciler.model.duration import parse_argo_duration
from reconciler.model.plan import ClaimRequest
from reconciler.model.spec import Call, Dag, Program, Steps, Suspend, Template
from reconciler.model.state import NodeState, NodeType, Phase
from reconciler.workflow.bounds import LOOK, MAKE
from reconciler.workflow.loops import Item, items_of, mentions_item
from reconciler.workflow.values import Values, input_values, resolve_inputs
from reconciler.workflow.variables import Variables

if TYPE_CHECKING:
    from reconciler.workflow.engine import Decision

_ITEMS_A_LOOK = 64  # so many items cost as much to read as one look at a node
TYPES = {Program: NodeType.POD, Steps: NodeType.STEPS, Dag: NodeType.DAG, Suspend: NodeType.SUSPEND}


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """The place of a node that is to be made. `parent` None: the root or the run's exit handler."""

    name: str
    parent: NodeState | None
    display: str
    item_json: str = ""


def resolved(text: str, scope: Values) -> str:
    """A text with its tags replaced. Raises ManifestError for one that has no value."""
    return substitute(text, scope)


def can_be_tried(template: Template) -> bool:
    """True for a template that the workflow's own retryStrategy also holds for."""
    return not isinstance(template.body, Suspend)


# turns ----------------------------------------------------------------------------------------------------------------------


def make(d: Decision, parent: NodeState, owner: NodeState, call: Call) -> None:
    """Makes the node of a call that is no loop under `parent`. `owner` is the steps or dag node whose call it is."""
    making = Making(name=f"{parent.name}.{call.name}", parent=parent, display=call.name)
    enter(d, making, call, d.scope.for_call(owner, call))


def turns_of(d: Decision, making: Making, call: Call, scope: Variables) -> list[Item] | None:
    """The turns of a loop; None if one node stands for all of them: skipped, or in error."""
    if d.tree.get(making.name) is not None:
        return None
    try:
        if call.when and not mentions_item(call.when) and not d.holds(call.when, scope):
            skip(d, making, call, f"when '{resolved(call.when, scope)}' evaluated false")
            return None
        turns = items_of(call, scope, d.rules.loop_items)
    except ManifestError as error:
        d.stillborn(making, call, str(error))
        return None
    if not turns:
        skip(d, making, call, "Skipped, empty params")
        return None
    d.budget.spend(LOOK + len(turns) // _ITEMS_A_LOOK)
    return turns


# one node -------------------------------------------------------------------------------------------------------------------


def enter(d: Decision, making: Making, call: Call, scope: Variables) -> NodeState:
    """Makes the node of a call, or of one turn, and starts it if it need not wait for locks."""
    try:
        if call.when and not d.holds(call.when, scope):
            return skip(d, making, call, f"when '{resolved(call.when, scope)}' evaluated false")
        key = substitute(call.template, scope)
        template = d.spec.templates.get(key)
        if template is None:
            return d.stillborn(making, call, f"template {key!r} is not in this workflow")
        deepest = d.rules.depth
        if making.name.count(".") > deepest and _depth(d, making.parent) >= deepest:
            told = f"calls are nested {deepest} deep here (limits.depth): give the call that repeats itself a `when`"
            return d.stillborn(making, call, told)
        inputs = resolve_inputs(
            template.inputs,
            call.arguments,
            scope,
            f"template {template.name!r}",
            lambda name, key: d.tree.stored.config_value(d.run.namespace, name, key),
            _of_run(d, call, scope) if making.parent is None else None,
        )
        inside = Variables(input_values(inputs), outer=scope if template.is_inline else d.scope.outside(making.name))
        deadline_s = limit_s(template.timeout, inside, "timeout")
        locks = d.scope.locks_of(template, inside, making.parent)
    except ManifestError as error:
        return d.stillborn(making, call, str(error))
    kind = NodeType.RETRY if d.retry_of(template) else TYPES[type(template.body)]
    node = d.create(making, kind, template.name, inputs, deadline_s=deadline_s)
    if locks:
        d.budget.spend(MAKE * (1 + len(locks)))
        d.tree.request(ClaimRequest(node=making.name, locks=locks))
        return node
    return d.start(node, template)


def _depth(d: Decision, node: NodeState | None) -> int:
    """How many steps and dag nodes stand above a place."""
    found = 0
    while node is not None:
        found += node.type in (NodeType.STEPS, NodeType.DAG)
        node = d.tree.parent(node)
    return found


def _of_run(d: Decision, call: Call, scope: Variables) -> dict[str, str]:
    """The entrypoint takes the workflow's arguments of the same names, and so does an exit handler that is given none.

    Argo: a tag of the run in them, such as `{{workflow.scheduledTime}}`, is put in; any other text is only a value.
    """
    own = {argument.name for argument in call.arguments}
    return {name: substitute(value, scope, keep_unknown=True) for name, value in d.run.arguments.items() if name not in own}


def seconds(text: str, scope: Values) -> float | None:
    """A duration of a manifest in seconds; None if there is none. Raises ManifestError for text that is no duration."""
    if not text:
        return None
    try:
        return parse_argo_duration(substitute(text, scope)).total_seconds()
    except ValueError as error:
        raise ManifestError(f"{error}; correct it") from None


def limit_s(text: str, scope: Values, name: str) -> float | None:
    """A limit of a manifest in seconds; None if there is none. Raises ManifestError for one that leaves no time at all."""
    found = seconds(text, scope)
    if found is not None and found <= 0:
        raise ManifestError(f"{name} is {substitute(text, scope)!r}, which leaves no time at all; give it more than 0 seconds")
    return found


def skip(d: Decision, making: Making, call: Call, message: str, phase: Phase = Phase.SKIPPED) -> NodeState:
    """A node for a call that does not take place."""
    node = d.create(making, NodeType.SKIPPED, call.template, {})
    return d.tree.update(node, phase, message)


# back again --------------------------------------------------------------------------------------------------------------


def call_of(d: Decision, child: str, parent: NodeState) -> Call | None:
    """The call that a node, or a turn, of that name was made by; None for a handler, a group or a try."""
    owner = parent if parent.type is NodeType.DAG else d.tree.parent(parent)
    if parent.type not in (NodeType.DAG, NodeType.STEP_GROUP, NodeType.TASK_GROUP) or owner is None:
        return None
    if parent.type is NodeType.TASK_GROUP:
        name = parent.name[len(owner.name) + 1 :]
        rest = child[len(parent.name) :]
    else:
        name, paren, tail = child[len(parent.name) + 1 :].partition("(")
        rest = paren + tail
    if rest and not rest.endswith(")"):
        return None
    if owner.type is NodeType.DAG:
        return d.scope.dag(owner).by_name.get(name)
    found = d.scope.steps(owner).by_name.get(name)
    return found[1] if found else None
