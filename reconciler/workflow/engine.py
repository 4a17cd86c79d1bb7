"""Decides what one run does next: nodes to create, processes to ask for or to end, locks to ask for, and its end.

`decide` is level-triggered: called with every unfinished node as changed it finds what a lost mark would have hidden, and where
nothing is to be done its plan is empty. Work follows the changed nodes and what depends on them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from reconciler.errors import ManifestError
from reconciler.expr.tags import UnresolvedTag
from reconciler.model.plan import ClaimRequest, NewNode, RunPlan, RunUpdate
from reconciler.model.spec import Call, Dag, Parameter, Program, Steps, Template, WorkflowSpec
from reconciler.model.state import GOOD, AttemptPhase, ClaimPhase, NodeState, NodeType, Phase, RunState
from reconciler.workflow.outcome import dag_outcome, exit_message, group_outcome, pod_phase, run_end, ttl_s
from reconciler.workflow.program import render
from reconciler.workflow.scope import Scope
from reconciler.workflow.tree import Stored, Tree
from reconciler.workflow.values import EXIT_NODE, Values, is_in_handler, node_values, resolve_inputs, resolve_locks

ON_FAILURE = "lineclear.dev/on-failure"
BODY_TYPES = {Program: NodeType.POD, Steps: NodeType.STEPS, Dag: NodeType.DAG}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Settings that a decision depends on. `keep_locks`: a run that fails by itself keeps its workflow-level locks."""

    keep_locks: bool = True


def decide(
    run: RunState, spec: WorkflowSpec, stored: Stored, changed: Iterable[str], now: str, rules: Rules | None = None
) -> RunPlan:
    """The plan for one run, given the names of its nodes that changed. `now` is RFC 3339 text in UTC.

    A name that the run does not have is ignored. An ended run's plan is empty.
    """
    if run.is_final or (run.successor_of is not None and not run.shutdown):
        return RunPlan()
    decision = _Decision(run, spec, stored, now, rules or Rules())
    return decision.pending() if run.phase is Phase.PENDING else decision.running(changed)


class _Decision:
    """One decision about one run; lives as long as the call."""

    def __init__(self, run: RunState, spec: WorkflowSpec, stored: Stored, now: str, rules: Rules) -> None:
        self.run = run
        self.spec = spec
        self.tree = Tree(stored)
        self.rules = rules
        self.expired = run.deadline_at is not None and now >= run.deadline_at
        self.scope = Scope(run, spec, self.tree)
        self.update: RunUpdate | None = None
        self._building: set[str] = set()  # parents whose children are still being made: they may not end yet

    # the run itself ------------------------------------------------------------------------------------------------

    def pending(self) -> RunPlan:
        """Asks for the run's locks, or starts it when it has them, or ends it before it ever started."""
        claim = self.tree.stored.claim(None)
        if self.run.shutdown:
            if claim is not None:
                self.tree.end_claim(None, self.run.ended_by or "shutdown")
            for node in self.tree.stored.unfinished():  # a retried run has some
                self._halt(self.tree.get(node.name) or node)
            return self._end(Phase.FAILED, f"Stopped with strategy '{self.run.shutdown}'", keeps=False)
        if claim is ClaimPhase.WAITING:
            return RunPlan()
        if claim is None and self.spec.locks:
            return self._ask_for_locks()
        self.update = RunUpdate(
            expected=Phase.PENDING, phase=Phase.RUNNING, deadline_s=self.spec.active_deadline_s
        )
        return self.running([node.name for node in self.tree.stored.unfinished()])

    def _ask_for_locks(self) -> RunPlan:
        try:
            locks = resolve_locks(self.spec.locks, self.scope.base, self.run.namespace)
        except (UnresolvedTag, ManifestError) as error:
            return self._end(Phase.ERROR, f"its locks could not be named: {error}", keeps=False)
        self.tree.request(ClaimRequest(node=None, locks=locks))
        return self.tree.plan(None)

    def running(self, changed: Iterable[str]) -> RunPlan:
        """Makes the root if there is none, and carries every change as far as it goes."""
        if self.tree.get("") is None:
            if self.run.shutdown:  # a retried run that is to end before its root is made again
                return self._end(Phase.FAILED, f"Stopped with strategy '{self.run.shutdown}'", keeps=False)
            self._enter("", None, self.run.name, Call(name="", template=self.spec.entrypoint), self.scope.base)
        for name in changed:
            node = self.tree.get(name)
            if node is not None:
                self._advance(node)
        self._after_root()
        return self.tree.plan(self.update)

    def _after_root(self) -> None:
        """Runs the exit handler once the root has ended, and ends the run once that has ended too."""
        root = self.tree.get("")
        if root is None or not root.is_final:
            return
        handler = self.tree.get(EXIT_NODE)
        if handler is None and self.spec.on_exit and self.run.shutdown != "Terminate":
            call = Call(name=EXIT_NODE, template=self.spec.on_exit)
            handler = self._enter(EXIT_NODE, None, f"{self.run.name}.onExit", call, self.scope.outside(EXIT_NODE))
        if handler is None or handler.is_final:
            phase, message = run_end(root, handler, self.run.shutdown, expired=self.expired)
            self._end(phase, message, keeps=phase is not Phase.SUCCEEDED and self._keeps_locks())

    def _keeps_locks(self) -> bool:
        """True for a run that fails by itself: a half-done migration wants eyes first, unless its author said otherwise."""
        by_itself = self.run.shutdown == "" and self.run.ended_by == ""
        return by_itself and self.rules.keep_locks and self.run.annotations.get(ON_FAILURE, "Hold") != "Release"

    def _end(self, phase: Phase, message: str, *, keeps: bool) -> RunPlan:
        self.update = RunUpdate(
            expected=self.run.phase, phase=phase, message=message, ttl_s=ttl_s(self.spec, phase), keep_locks=keeps
        )
        return self.tree.plan(self.update)

    # nodes ---------------------------------------------------------------------------------------------------------

    def _advance(self, node: NodeState) -> None:
        if node.is_final:
            self._child_ended(node)
        elif self._is_halting(node):
            self._halt(node)
        elif node.phase is Phase.PENDING and node.type is not NodeType.POD:
            self._start_if_granted(node)
        elif node.type is NodeType.POD:
            self._advance_pod(node)
        elif node.type is NodeType.DAG:
            self._dag_tasks(node, self.scope.dag(node).tasks)
            self._finish_dag(node)
        elif node.type is NodeType.STEPS:
            self._next_group(node)
        elif node.type is NodeType.STEP_GROUP:
            self._fill_group(node)
        else:
            self._next_try(node)

    def _is_halting(self, node: NodeState) -> bool:
        in_handler = is_in_handler(node.name)
        return self.run.shutdown == "Terminate" or (not in_handler and (self.run.shutdown != "" or self.expired))

    def _halt(self, node: NodeState) -> None:
        """Ends a node that may not go on: withdraws waits, asks processes to end, and fails it once nothing of it is left."""
        message = f"Stopped with strategy '{self.run.shutdown}'" if self.run.shutdown else "Step exceeded its deadline"
        if node.type is not NodeType.POD:
            if not self.tree.has_unfinished_child(node):
                self._finish(node, Phase.FAILED, message)
            return
        attempt = self.tree.stored.attempt(node.id) if node.id else None
        if attempt is None:
            if self.tree.is_queued(node):
                self.tree.revoke_attempt(node)
            self._finish(node, Phase.FAILED, message)
        elif attempt.state is AttemptPhase.QUEUED:
            self.tree.revoke_attempt(node)
            self._finish(node, Phase.FAILED, message)
        elif attempt.state in (AttemptPhase.INTENDED, AttemptPhase.LIVE):
            if not attempt.stop:
                self.tree.stop_attempt(node, "stop")
        else:  # it ended before it was asked to: that is what it is
            phase = pod_phase(attempt) or Phase.FAILED
            self._finish(node, phase, node.message or (exit_message(attempt) if not attempt.stop else message), attempt.exit_code)

    def _enter(self, name: str, parent: NodeState | None, display: str, call: Call, scope: Values) -> NodeState:
        """Makes the node of a call, resolves its inputs and starts it, or asks for its locks first."""
        template = self.spec.templates.get(call.template)
        if template is None:
            return self._stillborn(name, parent, display, call, f"template {call.template!r} is not in this workflow")
        try:
            inputs = resolve_inputs(template.inputs, self._arguments(call, parent), scope, f"template {template.name!r}")
            values = node_values(scope, self.run, name, inputs)
            locks = self.scope.locks_of(template, values, parent)
        except (UnresolvedTag, ManifestError) as error:
            return self._stillborn(name, parent, display, call, str(error))
        kind = NodeType.RETRY if template.retry_limit is not None else BODY_TYPES[type(template.body)]
        node = self._create(name, parent, display, kind, template.name, inputs)
        if locks:
            self.tree.request(ClaimRequest(node=name, locks=locks))
            return node
        return self._start(node, template)

    def _arguments(self, call: Call, parent: NodeState | None) -> tuple[Parameter, ...]:
        if parent is None:  # the entrypoint and the exit handler take the workflow's arguments of the same names
            return tuple(Parameter(name=name, value=value) for name, value in self.run.arguments.items())
        return call.arguments

    def _create(
        self, name: str, parent: NodeState | None, display: str, kind: NodeType, template: str, inputs: Values
    ) -> NodeState:
        above = None if parent is None else parent.name
        return self.tree.create(
            NewNode(name=name, parent=above, display=display, type=kind, template=template, phase=Phase.PENDING, inputs=inputs)
        )

    def _stillborn(self, name: str, parent: NodeState | None, display: str, call: Call, message: str) -> NodeState:
        node = self._create(name, parent, display, NodeType.POD, call.template, {})
        return self.tree.update(node, Phase.ERROR, message)

    def _start_if_granted(self, node: NodeState) -> None:
        parent = self.tree.parent(node)
        if self.tree.is_asked(node.name) or (parent is not None and parent.phase is Phase.PENDING):
            return
        claim = self.tree.stored.claim(node.id) if node.id else None
        if claim is ClaimPhase.HELD:
            self._start(node, self.spec.templates[node.template])
        elif claim is None:
            self._resume(node, parent)

    def _resume(self, node: NodeState, parent: NodeState | None) -> None:
        """Takes up a node of a retried run: it let its locks go when it ended, so it asks for them again."""
        if node.type is NodeType.STEP_GROUP:
            self._fill_group(self.tree.update(node, Phase.RUNNING))
            return
        template = self.spec.templates[node.template]
        locks = self.scope.locks_of(template, self.scope.of(node), parent)
        if locks:
            self.tree.request(ClaimRequest(node=node.name, locks=locks))
        else:
            self._start(node, template)

    def _start(self, node: NodeState, template: Template) -> NodeState:
        if node.type is NodeType.POD:
            return self._start_pod(node, template)
        node = self.tree.update(node, Phase.RUNNING)
        if node.type is NodeType.RETRY:
            self._next_try(node)
        elif node.type is NodeType.DAG:
            self._dag_tasks(node, self.scope.dag(node).tasks)
            self._finish_dag(node)
        else:
            self._next_group(node)
        return self.tree.get(node.name) or node

    def _start_pod(self, node: NodeState, template: Template) -> NodeState:
        assert isinstance(template.body, Program)
        try:
            render(template.body, self.scope.of(node))
        except UnresolvedTag as error:
            return self._finish(node, Phase.ERROR, str(error))
        self.tree.queue_attempt(node)
        return node

    def _advance_pod(self, node: NodeState) -> None:
        """Starts a Pod whose locks are granted, or takes over what became of its process."""
        attempt = self.tree.stored.attempt(node.id) if node.id else None
        if attempt is None:
            claim = self.tree.stored.claim(node.id) if node.id else None
            if claim is not ClaimPhase.WAITING and not self.tree.is_asked(node.name) and not self.tree.is_queued(node):
                self._start_pod(node, self.spec.templates[node.template])
            return
        phase = pod_phase(attempt)
        if phase is not None:
            self._finish(node, phase, node.message or exit_message(attempt), attempt.exit_code)

    def _finish(self, node: NodeState, phase: Phase, message: str, exit_code: int | None = None) -> NodeState:
        """Ends a node, lets its locks go and tells the node that made it."""
        node = self.tree.update(node, phase, message, exit_code)
        template = self.spec.templates.get(node.template)
        if template is not None and template.locks and not self._is_try(node) and self._has_claim(node):
            self.tree.end_claim(node.name, f"node {phase.value}")
        self._child_ended(node)
        return self.tree.get(node.name) or node

    def _has_claim(self, node: NodeState) -> bool:
        return self.tree.is_asked(node.name) or (bool(node.id) and self.tree.stored.claim(node.id) is not None)

    def _is_try(self, node: NodeState) -> bool:
        parent = self.tree.parent(node)
        return parent is not None and parent.type is NodeType.RETRY

    def _child_ended(self, node: NodeState) -> None:
        parent = self.tree.parent(node)
        if parent is None or parent.is_final:
            return
        if self._is_halting(parent):
            self._halt(parent)
        elif parent.type is NodeType.RETRY:
            self._next_try(parent)
        elif parent.type is NodeType.STEP_GROUP:
            self._finish_group(parent)
        elif parent.type is NodeType.STEPS:
            self._next_group(parent)
        else:
            task = node.name[len(parent.name) + 1 :]
            self._dag_tasks(parent, self.scope.dag(parent).dependents.get(task, ()))
            self._finish_dag(parent)

    # retries -------------------------------------------------------------------------------------------------------

    def _next_try(self, node: NodeState) -> None:
        """The first try, the next after a failure, or the end. Argo's default policy: Failed is retried, Error is not."""
        template = self.spec.templates[node.template]
        limit = template.retry_limit or 0
        tries = self.tree.children(node)
        last = tries[-1] if tries else None
        if last is not None and not last.is_final:
            return
        if last is not None and last.phase is not Phase.FAILED:
            self._finish(node, last.phase, last.message, last.exit_code)
        elif last is not None and 0 <= limit < len(tries):
            self._finish(node, Phase.FAILED, f"No more retries left: {last.message}", last.exit_code)
        else:
            name = f"{node.name}({len(tries)})"
            display = f"{node.display}({len(tries)})"
            child = self._create(name, node, display, BODY_TYPES[type(template.body)], template.name, node.inputs)
            self._start(child, template)

    # steps ---------------------------------------------------------------------------------------------------------

    def _next_group(self, node: NodeState) -> None:
        """Starts the group after the last that succeeded, or ends the steps."""
        groups = self.scope.steps(node).groups
        done = self.tree.children(node)
        last = done[-1] if done else None
        if last is not None and not last.is_final:
            if last.phase is Phase.PENDING:
                self._start_if_granted(last)
            return
        if last is not None and last.phase not in GOOD:
            self._finish(node, Phase.FAILED, last.message)
        elif len(done) == len(groups):
            self._finish(node, Phase.SUCCEEDED, "")
        else:
            index = len(done)
            name = f"{node.name}[{index}]"
            group = self._create(name, node, f"[{index}]", NodeType.STEP_GROUP, "", {})
            self._fill_group(self.tree.update(group, Phase.RUNNING))

    def _fill_group(self, group: NodeState) -> None:
        """Makes the group's calls that are not there yet, and ends the group if all have ended."""
        steps = self.tree.parent(group)
        assert steps is not None
        calls = self.scope.steps(steps).groups[int(group.name[len(steps.name) + 1 : -1])]
        scope = self.scope.of(steps)
        self._building.add(group.name)
        for call in calls:
            made = self.tree.get(f"{group.name}.{call.name}")
            if made is None:
                self._enter(f"{group.name}.{call.name}", group, call.name, call, scope)
            elif made.phase is Phase.PENDING and made.type is not NodeType.POD:
                self._start_if_granted(made)
        self._building.remove(group.name)
        self._finish_group(group)

    def _finish_group(self, group: NodeState) -> None:
        if group.name not in self._building and not self.tree.has_unfinished_child(group):
            phase, message = group_outcome(self.tree.children(group))
            self._finish(group, phase, message)

    # dag -----------------------------------------------------------------------------------------------------------

    def _dag_tasks(self, node: NodeState, tasks: Iterable[Call]) -> None:
        """Starts each task whose dependencies have all gone well, and omits each that can no longer start."""
        scope = self.scope.of(node)
        outermost = node.name not in self._building
        self._building.add(node.name)
        waiting = list(tasks)[::-1]
        while waiting:
            task = waiting.pop()
            name = f"{node.name}.{task.name}"
            made = self.tree.get(name)
            if made is not None:
                if made.phase is Phase.PENDING and made.type is not NodeType.POD:
                    self._start_if_granted(made)
                continue
            before = [self.tree.get(f"{node.name}.{dependency}") for dependency in task.dependencies]
            if any(d is None or not d.is_final for d in before):
                continue
            if all(d is not None and d.phase in GOOD for d in before):
                self._enter(name, node, task.name, task, scope)
            else:
                omitted = self._create(name, node, task.name, NodeType.POD, task.template, {})
                self.tree.update(omitted, Phase.OMITTED, "omitted: depends condition not met")
            entered = self.tree.get(name)
            if entered is not None and entered.is_final:
                waiting += self.scope.dag(node).dependents.get(task.name, ())
        if outermost:
            self._building.remove(node.name)

    def _finish_dag(self, node: NodeState) -> None:
        current = self.tree.get(node.name) or node
        if node.name not in self._building and not current.is_final and not self.tree.has_unfinished_child(current):
            phase, message = dag_outcome(self.tree.children(current))
            self._finish(current, phase, message)


def scope_of(run: RunState, spec: WorkflowSpec, stored: Stored, node: NodeState) -> Values:
    """The variables of a stored node, as they were when it was decided to start it."""
    return Scope(run, spec, Tree(stored)).of(node)
