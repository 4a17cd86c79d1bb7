"""A Pod: one process, asked for when its locks are granted; its end is the node's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.errors import ManifestError
from reconciler.model.spec import Program, Template
from reconciler.model.state import NO_OUTPUTS, AttemptPhase, AttemptState, ClaimPhase, NodeState, Outputs, Phase
from reconciler.workflow.calls import limit_s
from reconciler.workflow.ends import output_value
from reconciler.workflow.outcome import exit_message, pod_phase
from reconciler.workflow.program import render

if TYPE_CHECKING:
    from reconciler.workflow.engine import Decision

OVERDUE = "Pod was active on the node longer than the specified deadline"


def start(d: Decision, node: NodeState, template: Template) -> NodeState:
    """Asks for the process; a tag without a value, or a limit of no time, is an Error before anything starts."""
    assert isinstance(template.body, Program)
    try:
        scope = d.scope.of(node)
        render(template.body, scope)
        limit_s(template.active_deadline, scope, "activeDeadlineSeconds")
    except ManifestError as error:
        return d.finish(node, Phase.ERROR, str(error))
    d.tree.queue_attempt(node)
    return node


def advance(d: Decision, node: NodeState) -> None:
    """Starts a Pod whose locks are granted, or takes over what became of its process."""
    attempt = d.tree.stored.attempt(node.id) if node.id else None
    if attempt is not None:
        take_over(d, node)
        return
    claim = d.tree.stored.claim(node.id) if node.id else None
    if claim is not ClaimPhase.WAITING and not d.tree.is_asked(node.name) and not d.tree.is_queued(node):
        start(d, node, d.scope.template(node))


def child_ended(_d: Decision, _node: NodeState, _child: NodeState) -> None:
    """It has no children."""


def take_over(d: Decision, node: NodeState) -> None:
    """Ends the node as its process ended; nothing while that runs."""
    attempt = d.tree.stored.attempt(node.id) if node.id else None
    phase = pod_phase(attempt) if attempt is not None else None
    if attempt is None or phase is None:
        return
    message = node.message or exit_message(attempt)
    outputs, problem = _outputs(d, node, attempt, phase)
    if problem and phase is Phase.SUCCEEDED:  # Argo: a failed process outranks a missing output
        phase, message = Phase.ERROR, problem
    d.finish(node, phase, message, attempt.exit_code, outputs)


def _outputs(d: Decision, node: NodeState, attempt: AttemptState, phase: Phase) -> tuple[Outputs, str]:
    """What the process left, and what the template says beside it; why it is not all there."""
    computed = [p for p in d.scope.template(node).outputs if p.value_from is None or not p.value_from.path]
    if not computed or phase is not Phase.SUCCEEDED:
        return (attempt.outputs if phase is Phase.SUCCEEDED or attempt.outputs != NO_OUTPUTS else NO_OUTPUTS), attempt.problem
    scope = d.scope.of(node)
    parameters = dict(attempt.outputs.parameters)
    try:
        for parameter in computed:
            value = output_value(parameter, scope)
            if value is not None:
                parameters[parameter.name] = value
    except ManifestError as error:
        return attempt.outputs, str(error)
    return Outputs(parameters=parameters, result=attempt.outputs.result), attempt.problem


def halt(d: Decision, node: NodeState, message: str) -> None:
    """Ends a Pod that may not go on: withdraws its process, or asks it to end and waits for that."""
    attempt = d.tree.stored.attempt(node.id) if node.id else None
    if attempt is None:
        if d.tree.is_queued(node):
            d.tree.revoke_attempt(node)
        d.finish(node, Phase.FAILED, message)
    elif attempt.state is AttemptPhase.QUEUED:
        d.tree.revoke_attempt(node)
        d.finish(node, Phase.FAILED, message)
    elif attempt.state in (AttemptPhase.INTENDED, AttemptPhase.LIVE):
        if not attempt.stop:
            d.tree.stop_attempt(node, "stop")
    elif attempt.stop:
        own = OVERDUE if not d.run.shutdown and node.deadline_at is not None and d.now >= node.deadline_at else message
        d.finish(node, pod_phase(attempt) or Phase.FAILED, node.message or own, attempt.exit_code, attempt.outputs)
    else:  # it ended before it was asked to: that is what it is
        take_over(d, node)
