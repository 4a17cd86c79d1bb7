"""How an end follows from other ends: of a process, a step group, a loop, a DAG and a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from reconciler.model.spec import Call, Dag, WorkflowSpec
from reconciler.model.state import GOOD, AttemptPhase, AttemptState, NodeState, Phase
from reconciler.workflow.tree import BAD, BadChild


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


def bad_among(children: Iterable[BadChild], call_of: Callable[[str], Call | None]) -> Iterator[BadChild]:
    """The children that went wrong and count: no exit handler, and none that is to be continued on."""
    found = (child for child in children if not is_hook(child.name))
    return (child for child in found if not continues_on(call_of(child.name), child.phase))


def group_outcome(bad: Sequence[BadChild]) -> tuple[Phase, str]:
    """A step group's end. Argo: Error of a child makes the group Failed."""
    return (Phase.FAILED, f"child '{bad[0].display}' failed") if bad else (Phase.SUCCEEDED, "")


def loop_outcome(bad: Iterable[BadChild]) -> tuple[Phase, str]:
    """The end of a loop of a dag: Error if a turn erred, else Failed if one failed."""
    failed = None
    for child in bad:
        if child.phase is Phase.ERROR:
            return Phase.ERROR, f"child '{child.display}' errored"
        failed = failed or child
    return (Phase.SUCCEEDED, "") if failed is None else (Phase.FAILED, f"child '{failed.display}' failed")


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


def dag_outcome(dag: Dag, find: Callable[[str], Phase], targets: Sequence[str]) -> tuple[Phase, str]:
    """A DAG's end: that of its targets, or without any of the tasks on which no other depends. `find` gives a task's phase.

    Argo: one that was omitted or skipped takes the end of its branch, with preference for the worse; one that is continued
    on does not count.
    """
    deciding = targets or [task.name for task in dag.tasks if not dag.dependents.get(task.name)]
    known: dict[str, tuple[str, Phase] | None] = {}
    ends = [_worst_of_branch(dag, name, find, known) for name in deciding]
    bad = [end for end in ends if end is not None]
    if not bad:
        return Phase.SUCCEEDED, ""
    name, phase = next((end for end in bad if end[1] is Phase.FAILED), bad[0])
    return phase, f"child '{name}' {'failed' if phase is Phase.FAILED else 'errored'}"


def _worst_of_branch(
    dag: Dag, start: str, find: Callable[[str], Phase], known: dict[str, tuple[str, Phase] | None]
) -> tuple[str, Phase] | None:
    """The task that gives a branch its bad end; None if the branch went well. Without recursion: a branch may be long."""
    waiting = [start]
    open_names: set[str] = set()
    while waiting:
        name = waiting[-1]
        if name in known:
            waiting.pop()
            continue
        phase, task = find(name), dag.by_name.get(name)
        if phase in (Phase.SUCCEEDED, *BAD):
            known[name] = (name, phase) if phase in BAD and not continues_on(task, phase) else None
            waiting.pop()
            continue
        before = task.after if task is not None else ()
        open_names.add(name)
        missing = [other for other in before if other not in known and other not in open_names]
        if missing:
            waiting += missing
            continue
        bad = [end for end in (known.get(other) for other in before) if end is not None]
        known[name] = next((end for end in bad if end[1] is Phase.FAILED), bad[0] if bad else None)
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
