"""How an end follows from other ends: of a process, a step group, a loop, a DAG and a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from reconciler.model.spec import Call, Dag, WorkflowSpec
from reconciler.model.state import GOOD, AttemptPhase, AttemptState, NodeState, Phase

BAD = (Phase.FAILED, Phase.ERROR)


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


def continues_on(call: Call | None, phase: Phase) -> bool:
    """True if the call's author wants the rest to go on after such an end. Argo: docs/fields.md, ContinueOn."""
    if call is None:
        return False
    return (phase is Phase.FAILED and call.continue_on_failed) or (phase is Phase.ERROR and call.continue_on_error)


def is_hook(name: str) -> bool:
    """True for a hook's node, `X.onExit` or `X.hooks.NAME`, whatever X's items are called."""
    tail = name.rpartition(")")[2]
    return tail.endswith(".onExit") or ".hooks." in tail


def bad_among(children: Sequence[NodeState], call_of: Callable[[NodeState], Call | None]) -> list[NodeState]:
    """The children that went wrong and count: no exit handler, and none that is to be continued on."""
    found = [child for child in children if child.phase in BAD and not is_hook(child.name)]
    return [child for child in found if not continues_on(call_of(child), child.phase)]


def group_outcome(bad: Sequence[NodeState]) -> tuple[Phase, str]:
    """A step group's end. Argo: Error of a child makes the group Failed."""
    return (Phase.FAILED, f"child '{bad[0].display}' failed") if bad else (Phase.SUCCEEDED, "")


def loop_outcome(bad: Sequence[NodeState]) -> tuple[Phase, str]:
    """The end of a loop of a dag: Error if a turn erred, else Failed if one failed."""
    for phase in (Phase.ERROR, Phase.FAILED):
        found = [node for node in bad if node.phase is phase]
        if found:
            return phase, f"child '{found[0].display}' {'failed' if phase is Phase.FAILED else 'errored'}"
    return Phase.SUCCEEDED, ""


def task_is(node: NodeState, suffix: str, call: Call, turns: Callable[[], Sequence[NodeState]]) -> bool:
    """Whether an ended task is what `depends` asks for. A bare name: Succeeded, Skipped, or an end that is continued on."""
    match suffix:
        case "":
            return node.phase in GOOD or continues_on(call, node.phase)
        case "Succeeded":
            return node.phase is Phase.SUCCEEDED
        case "Failed":
            return node.phase is Phase.FAILED
        case "Errored":
            return node.phase is Phase.ERROR
        case "Skipped":
            return node.phase is Phase.SKIPPED
        case "Omitted":
            return node.phase is Phase.OMITTED
        case "AnySucceeded":
            return any(turn.phase is Phase.SUCCEEDED for turn in turns() if turn.name.endswith(")"))
        case "AllFailed":
            found = [turn for turn in turns() if turn.name.endswith(")")]
            return bool(found) and all(turn.phase is Phase.FAILED for turn in found)
        case _:
            return False  # Daemoned: there are none


def dag_outcome(dag: Dag, find: Callable[[str], NodeState | None], targets: Sequence[str]) -> tuple[Phase, str]:
    """A DAG's end: that of its targets, or without any of the tasks on which no other depends.

    Argo: one that was omitted or skipped takes the end of its branch, with preference for the worse; one that is continued
    on does not count.
    """
    deciding = targets or [task.name for task in dag.tasks if not dag.dependents.get(task.name)]
    known: dict[str, NodeState | None] = {}
    bad = []
    for name in deciding:
        worst = _worst_of_branch(dag, name, find, known)
        if worst is not None:
            bad.append(worst)
    bad.sort(key=lambda node: node.phase is not Phase.ERROR)
    bad = [node for node in bad if node.phase in BAD]
    if not bad:
        return Phase.SUCCEEDED, ""
    node = next((node for node in bad if node.phase is Phase.FAILED), bad[0])
    return node.phase, f"child '{node.display}' {'failed' if node.phase is Phase.FAILED else 'errored'}"


def _worst_of_branch(
    dag: Dag, start: str, find: Callable[[str], NodeState | None], known: dict[str, NodeState | None]
) -> NodeState | None:
    """The node that gives a task's branch its bad end; None if the branch went well. Without recursion: a branch may be long."""
    waiting = [start]
    open_names: set[str] = set()
    while waiting:
        name = waiting[-1]
        if name in known:
            waiting.pop()
            continue
        node, task = find(name), dag.by_name.get(name)
        if node is not None and node.phase in (Phase.SUCCEEDED, *BAD):
            known[name] = node if node.phase in BAD and not continues_on(task, node.phase) else None
            waiting.pop()
            continue
        before = task.after if task is not None else ()
        open_names.add(name)
        missing = [other for other in before if other not in known and other not in open_names]
        if missing:
            waiting += missing
            continue
        found = [known.get(other) for other in before]
        bad = [other for other in found if other is not None]
        known[name] = next((other for other in bad if other.phase is Phase.FAILED), bad[0] if bad else None)
        waiting.pop()
    return known[start]


def run_end(root: NodeState, handler: NodeState | None, stopped: str, *, expired: bool) -> tuple[Phase, str]:
    """A run's end; `stopped` says how it was asked to end, '' if it was not.

    Argo: a failing exit handler fails a run that had succeeded; it never mends one that had failed. A run whose main part had
    succeeded before it was asked to end has succeeded.
    """
    if stopped and root.phase not in GOOD:
        return Phase.FAILED, stopped
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
