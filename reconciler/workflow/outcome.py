"""How an end follows from other ends: of a process, a step group, a DAG and a run."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.model.spec import WorkflowSpec
from reconciler.model.state import GOOD, AttemptPhase, AttemptState, NodeState, Phase


def pod_phase(attempt: AttemptState) -> Phase | None:
    """The phase that a Pod takes from its process, or None while that has not ended.

    Argo: exit 0 is Succeeded, any other code Failed; a process whose outcome is unknown is Error. One that was asked to end
    is Failed, whatever code it chose.
    """
    if attempt.state is AttemptPhase.EXITED:
        return Phase.SUCCEEDED if attempt.exit_code == 0 and not attempt.stop else Phase.FAILED
    if attempt.state in (AttemptPhase.LOST, AttemptPhase.REVOKED):
        return Phase.FAILED if attempt.stop else Phase.ERROR
    return None


def exit_message(attempt: AttemptState) -> str:
    """What a person reads beside the phase."""
    if attempt.state is AttemptPhase.EXITED:
        return "" if attempt.exit_code == 0 and not attempt.stop else f"Error (exit code {attempt.exit_code})"
    return "the process was lost: its outcome is unknown"


def group_outcome(children: Sequence[NodeState]) -> tuple[Phase, str]:
    """A step group's end. Argo: Error of a child makes the group Failed."""
    bad = [child for child in children if child.phase not in GOOD]
    return (Phase.FAILED, f"child '{bad[0].display}' failed") if bad else (Phase.SUCCEEDED, "")


def dag_outcome(children: Sequence[NodeState]) -> tuple[Phase, str]:
    """A DAG's end: Failed if a task failed, else Error if one erred. Omitted tasks follow the branch that omitted them."""
    for phase in (Phase.FAILED, Phase.ERROR):
        bad = [child for child in children if child.phase is phase]
        if bad:
            return phase, f"child '{bad[0].display}' {'failed' if phase is Phase.FAILED else 'errored'}"
    return Phase.SUCCEEDED, ""


def run_end(root: NodeState, handler: NodeState | None, shutdown: str, *, expired: bool) -> tuple[Phase, str]:
    """A run's end. Argo: a failing exit handler fails a run that had succeeded; it never mends one that had failed.

    A run whose main part had succeeded before it was asked to end has succeeded.
    """
    if shutdown and root.phase not in GOOD:
        return Phase.FAILED, f"Stopped with strategy '{shutdown}'"
    if root.phase not in GOOD:
        message = "Step exceeded its deadline" if expired else root.message
        return (Phase.ERROR if root.phase is Phase.ERROR else Phase.FAILED), message
    if handler is not None and handler.phase not in GOOD:
        phase = Phase.ERROR if handler.phase is Phase.ERROR else Phase.FAILED
        return phase, f"error in exit template execution: {handler.message}"
    return Phase.SUCCEEDED, ""


def ttl_s(spec: WorkflowSpec, phase: Phase) -> int | None:
    """Seconds after the end at which ttlStrategy ends the run for good. Argo: the outcome's own value wins."""
    if spec.ttl is None:
        return None
    own = spec.ttl.after_success_s if phase is Phase.SUCCEEDED else spec.ttl.after_failure_s
    return spec.ttl.after_completion_s if own is None else own
