"""Decides what one run does next: nodes to create, processes to ask for or to end, locks to ask for, and its end.

`decide` is level-triggered: called with every unfinished node as changed it finds what a lost mark would have hidden, and where
nothing is to be done its plan is empty. Work follows the changed nodes and what depends on them. What each kind of node does
stands in `steps`, `dag`, `retry`, `pods` and `pauses`; how a call becomes nodes in `calls`, how they end early in `halting`.

A decision has a budget. Whoever makes several nodes asks `is_cut` before each: once the budget is spent it goes no further, and
what it leaves is in the plan, to be taken up by the next slice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from reconciler.expr.condition import condition
from reconciler.model.barrier import BarrierNews, barrier_of
from reconciler.model.duration import parse_argo_duration
from reconciler.model.plan import ClaimRequest, Keep, NewNode, RunPlan, RunUpdate
from reconciler.model.spec import Call, Template, WorkflowSpec
from reconciler.model.state import NO_OUTPUTS, ClaimPhase, NodeState, NodeType, Outputs, Phase, Rule, RunState
from reconciler.workflow import barriers, calls, dag, deployment, hooks, pauses, pods, retry, step_group, steps, task_group
from reconciler.workflow.bounds import AT_ONCE, END, MAKE, Portion
from reconciler.workflow.halting import halt, is_halting, is_overdue
from reconciler.workflow.outcome import run_end, ttl_s
from reconciler.workflow.scope import Scope
from reconciler.workflow.tree import Stored, Tree
from reconciler.workflow.values import EXIT_NODE, Values, is_before_main, is_in_run_handler
from reconciler.workflow.variables import Variables

FOR_HANDLERS = 1_000  # nodes that a run may have beyond its bound, so that its exit handler can run
ON_FAILURE = "lineclear.dev/on-failure"
WAIT_TIMEOUT = "lineclear.dev/wait-timeout"


class Kind(Protocol):
    """What a kind of node does; one module each."""

    def advance(self, d: Decision, node: NodeState, /) -> None:
        """Takes a node up that is going: makes what it lacks, ends it if nothing is left."""

    def child_ended(self, d: Decision, node: NodeState, child: NodeState, /) -> None:
        """Goes on after the end of one child."""


def decide(
    run: RunState, spec: WorkflowSpec, stored: Stored, changed: Iterable[str], now: str, portion: Portion | None = None
) -> RunPlan:
    """The plan for one run, given the names of its nodes that changed. `now` is RFC 3339 text in UTC.

    A name that the run does not have is ignored. An ended run's plan is empty.
    """
    if run.is_final or (run.successor_of is not None and not run.shutdown):
        return RunPlan()
    decision = Decision(run, spec, stored, now, portion or Portion())
    return decision.pending() if run.phase is Phase.PENDING else decision.running(changed)


class Decision:
    """One decision about one run; lives as long as the call. The kinds of nodes work through it."""

    def __init__(self, run: RunState, spec: WorkflowSpec, stored: Stored, now: str, portion: Portion) -> None:
        self.run = run
        self.spec = spec
        self.now = now
        self.tree = Tree(stored, now)
        self.scope = Scope(run, spec, self.tree, now)
        self.building = set(portion.building)  # nodes whose children are still being made: they may not end yet
        self.rules = portion.rules
        self.budget = portion.budget
        self._keeps_locks = portion.keeps_locks
        self._later: dict[str, None] = {}
        self._sweeps = False
        self._too_much = ""
        self._count: int | None = None
        self._expired = run.deadline_at is not None and now >= run.deadline_at
        self._update: RunUpdate | None = None
        self._outputs: dict[str, str] = {}

    # the run itself ------------------------------------------------------------------------------------------------

    def pending(self) -> RunPlan:
        """Asks for the run's locks, or starts it when it has them, or ends it before it ever started."""
        claim = self.tree.stored.claim(None)
        if self.run.shutdown:
            return self._end_early(claim)
        if claim is ClaimPhase.WAITING or (self.run.suspended and claim is None):
            return RunPlan()
        if claim is None and (self.spec.locks or self.spec.hold or deployment.asks_with_run(self)):
            problem = deployment.ask_with_run(self)
            return self._end(Phase.ERROR, problem) if problem else self._plan()
        self._update = RunUpdate(
            expected=Phase.PENDING, phase=Phase.RUNNING, deadline_s=self.spec.active_deadline_s
        )
        return self.running(self._all_unfinished())

    def _end_early(self, claim: ClaimPhase | None) -> RunPlan:
        """Ends a run that has not begun; a retried one has nodes, and ends with the last of them."""
        names = self.tree.stored.unfinished(AT_ONCE)
        for node in filter(None, map(self.tree.get, names)):
            halt(self, node)
        if len(names) == AT_ONCE:
            self._sweeps = True
            return self._plan()
        if claim is not None:
            self.tree.end_claim(None, self.run.ended_by or "shutdown")
        return self._end(self._phase_when_stopped(), self.why_stopped())

    def _all_unfinished(self) -> Sequence[str]:
        """The names of all unfinished nodes; where they are many, none: then they are looked at in slices."""
        names = self.tree.stored.unfinished(AT_ONCE + 1)
        self._sweeps = self._sweeps or len(names) > AT_ONCE
        return () if self._sweeps else names

    def _phase_when_stopped(self) -> Phase:
        """A run that would have grown beyond its bounds is an Error; all others that are asked to end have Failed."""
        return Phase.ERROR if self.run.ended_by == Rule.TOO_MANY_NODES else Phase.FAILED

    def why_stopped(self) -> str:
        """What a run says that was asked to end: which rule or which other run did, or how it was stopped."""
        return self.run.message or f"Stopped with strategy '{self.run.shutdown}'"

    def patience_s(self) -> float | None:
        """How long the run is willing to wait for its own locks; None for as long as it takes."""
        text = self.run.annotations.get(WAIT_TIMEOUT, "")
        return parse_argo_duration(text).total_seconds() if text else None

    def running(self, changed: Iterable[str]) -> RunPlan:
        """Makes the root if there is none, and carries every change as far as it goes."""
        names = list(changed)
        self._advance_all(name for name in names if is_before_main(name))
        if not self._is_paused():
            was_clear = deployment.was_clear(self)
            if deployment.is_clear(self):
                if self.tree.get("") is None and not self.run.shutdown:
                    call = calls.Making(name="", parent=None, display=self.run.name)
                    self.enter(call, Call(name="", template=self.spec.entrypoint), self.scope.base)
            elif not self.is_ending:
                names = [name for name in names if is_in_run_handler(name)]
            if deployment.was_clear(self) is not was_clear or deployment.stopped_by(self) is not None:
                names = [*self._all_unfinished()]
        self._advance_all(name for name in names if not is_before_main(name))
        root = self.tree.get("")
        if root is not None and not root.is_final and not self._is_paused():
            hooks.fire_for_run(self, self.scope.base)
        self._after_main()
        return self._plan(barriers.report(self))

    def _plan(self, news: tuple[BarrierNews, ...] = ()) -> RunPlan:
        plan = self.tree.plan(self._update, self._outputs, news)
        return replace(plan, later=tuple(self._later), sweeps=self._sweeps, too_much=self._too_much)

    def _advance_all(self, names: Iterable[str]) -> None:
        for number, name in enumerate(names):
            if number and self.budget.is_low:
                self._later[name] = None
                continue
            self.budget.look()
            self.building.discard(name)
            node = self.tree.get(name)
            if node is not None:
                self.advance(node)

    def is_cut(self, node: NodeState) -> bool:
        """True once this decision has done enough: the node, whose children are being made, is taken up again later."""
        if self.budget.is_spent:
            self._later[node.name] = None
            self.building.add(node.name)
        return self.budget.is_spent

    def _after_main(self) -> None:
        """Runs the exit handler once the main part has ended, or can never begin, and ends the run once that has ended too."""
        if self._keeps_locks:  # the last slice releases them first
            return
        main = self.tree.get("") or deployment.stopped_by(self)
        if main is None and self.run.shutdown and not deployment.is_busy(self):
            self._end(self._phase_when_stopped(), self.why_stopped())
        if main is None or not main.is_final or self._is_paused():
            return
        handler = self.tree.get(EXIT_NODE)
        if handler is None and self.spec.on_exit is not None and self.run.shutdown != "Terminate":
            handler = hooks.enter_handler(self, self.spec.on_exit)
        scope = Variables({"workflow.status": main.phase.value}, outer=self.scope.base)
        if hooks.fire_for_run(self, scope) and (handler is None or handler.is_final):
            phase, message = run_end(main, handler, self.why_stopped() if self.run.shutdown else "", expired=self._expired)
            phase = self._phase_when_stopped() if self.run.shutdown and phase is Phase.FAILED else phase
            self._end(phase, message, keep=Keep.NOTHING if phase is Phase.SUCCEEDED else self._keep())

    def _keep(self) -> Keep:
        """A run that fails by itself keeps locks: a half-done migration wants eyes first, unless somebody said otherwise."""
        if (self.run.shutdown or self.run.ended_by) and self.run.ended_by != Rule.TOO_MANY_NODES:
            return Keep.NOTHING
        said = self.run.annotations.get(ON_FAILURE)
        if said is not None:
            return Keep.NOTHING if said == "Release" else Keep.HOLD
        return Keep.BY_POLICY_OR_HOLD if self.rules.keep_locks else Keep.BY_POLICY_OR_RELEASE

    def _end(self, phase: Phase, message: str, *, keep: Keep = Keep.NOTHING) -> RunPlan:
        self._update = RunUpdate(
            expected=self.run.phase, phase=phase, message=message, ttl_s=ttl_s(self.spec, phase), keep=keep
        )
        return self._plan()

    def _is_paused(self) -> bool:
        """True while nothing of the run may begin: it is suspended, and not asked to end."""
        return self.run.suspended and not self.run.shutdown and not self._expired

    # nodes ---------------------------------------------------------------------------------------------------------

    def advance(self, node: NodeState) -> None:
        """Takes up one node where it stands."""
        if self._is_paused():
            if node.type is NodeType.POD and not node.is_final:
                self._look_after(node)
        elif node.is_final:
            self._after_end(node)
        elif is_halting(self, node):
            hooks.catch_up(self, node)
            halt(self, node)
        elif node.type is NodeType.LOCK:
            return  # looked after by what stands before the main part
        elif node.phase is Phase.PENDING and node.type is not NodeType.POD:
            self.start_if_granted(node)
        else:
            hooks.catch_up(self, node)
            KINDS[node.type].advance(self, node)
            self._fire_while_running(node)

    def _look_after(self, pod: NodeState) -> None:
        """A Pod of a suspended run: its end is taken over, and its limits are its own."""
        if is_overdue(self, pod):
            halt(self, pod)
        else:
            pods.take_over(self, pod)

    def _fire_while_running(self, node: NodeState) -> None:
        current = self.tree.get(node.name) or node
        parent = self.tree.parent(current)
        if parent is not None and current.phase is Phase.RUNNING and not self._is_paused():
            hooks.fire(self, current, parent)
            hooks.fire_beside(self, current, parent)

    @property
    def is_ending(self) -> bool:
        """True once the run is asked to end, its deadline has passed or its locks are refused: only exit handlers go on."""
        return self.run.shutdown != "" or self._expired or deployment.stopped_by(self) is not None

    def enter(self, making: calls.Making, call: Call, scope: Variables) -> NodeState:
        """Makes the node of a call: its condition, its inputs, its locks; and starts it if it need not wait for them."""
        return calls.enter(self, making, call, scope)

    def retry_of(self, template: Template) -> bool:
        """True if the template's nodes are tried again: its own retryStrategy, or the workflow's (Argo: for all templates)."""
        is_own = template.retry is not None and not barrier_of(template)  # at a barrier all have failed
        return is_own or (self.spec.retry is not None and calls.can_be_tried(template))

    def create(self, making: calls.Making, kind: NodeType, template: str, inputs: Values, **more: float | None) -> NodeState:
        """Adds a Pending node."""
        above = None if making.parent is None else making.parent.name
        new = NewNode(
            name=making.name,
            parent=above,
            display=making.display,
            type=kind,
            template=template,
            phase=Phase.PENDING,
            inputs=inputs,  # type: ignore[arg-type]
            item_json=making.item_json,
            deadline_s=more.get("deadline_s"),
        )
        self._count_in(new)
        return self.tree.create(new)

    def _count_in(self, new: NewNode) -> None:
        """Takes what a node costs."""
        self.budget.spend(MAKE, len(new.name) + len(new.item_json) + sum(map(len, new.inputs.values())))
        self.foresee(1)
        self._count = (self._count or 0) + 1

    def foresee(self, more: int) -> None:
        """So many nodes are about to be made: if the run would become too large by them, nothing more of it is begun."""
        if self._count is None:
            self._count = self.tree.stored.count()
        is_ended = self.run.ended_by == Rule.TOO_MANY_NODES
        if self._count + more > self.rules.nodes + (FOR_HANDLERS if is_ended else 0):
            self._too_much = (
                f"it would have more than {self.rules.nodes} nodes, the bound that is set (limits.nodes): give it fewer turns and"
                " calls, divide it into several runs, or raise the bound"
            )
            self.budget.stop()

    def stillborn(self, making: calls.Making, call: Call, message: str) -> NodeState:
        """A node of a call that cannot be made: an Error that says why."""
        node = self.create(making, NodeType.POD, call.template, {})
        return self.tree.update(node, Phase.ERROR, message)

    def start_if_granted(self, node: NodeState) -> None:
        """Starts a node whose locks are granted; asks again for those of a retried run."""
        parent = self.tree.parent(node)
        if self.tree.is_asked(node.name) or (parent is not None and parent.phase is Phase.PENDING):
            return
        claim = self.tree.stored.claim(node.id) if node.id else None
        if claim is ClaimPhase.HELD:
            self.start(node, self.spec.templates[node.template])
        elif claim is None:
            self._resume(node, parent)

    def _resume(self, node: NodeState, parent: NodeState | None) -> None:
        """Takes up a node of a retried run: it let its locks go when it ended, so it asks for them again."""
        if node.type in (NodeType.STEP_GROUP, NodeType.TASK_GROUP):
            KINDS[node.type].advance(self, self.tree.update(node, Phase.RUNNING))
            return
        template = self.spec.templates[node.template]
        locks = self.scope.locks_of(template, self.scope.of(node), parent)
        if locks:
            self.tree.request(ClaimRequest(node=node.name, locks=locks))
        else:
            self.start(node, template)

    def start(self, node: NodeState, template: Template) -> NodeState:
        """Sets a node going that has its locks."""
        if node.type is NodeType.POD:
            return pods.start(self, node, template)
        node = self.tree.update(node, Phase.RUNNING)
        KINDS[node.type].advance(self, node)
        if self.spec.has_running_hooks:
            self._fire_while_running(node)
        return self.tree.get(node.name) or node

    def finish(
        self, node: NodeState, phase: Phase, message: str, exit_code: int | None = None, outputs: Outputs | None = None
    ) -> NodeState:
        """Ends a node, lets its locks go and tells the node that made it."""
        self.budget.spend(END)
        node = self.tree.update(node, phase, message, exit_code, outputs)
        template = self.spec.templates.get(node.template)
        is_try = self._is_try(node)
        if template is not None and template.locks and not is_try and self._lets_go(node):
            self.tree.end_claim(node.name, f"node {phase.value}")
        if template is not None and not is_try and outputs not in (None, NO_OUTPUTS):
            self._publish(template, node.outputs)
        if not self._is_paused():
            self._after_end(node)
        return self.tree.get(node.name) or node

    def _publish(self, template: Template, outputs: Outputs) -> None:
        """Global outputs: later ones overwrite earlier ones."""
        found = {
            parameter.global_name: outputs.parameters[parameter.name]
            for parameter in template.outputs
            if parameter.global_name and parameter.name in outputs.parameters
        }
        self._outputs |= found
        self.scope.add_outputs(found)

    def _lets_go(self, node: NodeState) -> bool:
        """True if the node waits for locks, or holds some that go with it."""
        claim = self.tree.stored.claim(node.id) if node.id else None
        return self.tree.is_asked(node.name) or claim is ClaimPhase.WAITING or (claim is not None and not self._keeps_locks)

    def _is_try(self, node: NodeState) -> bool:
        parent = self.tree.parent(node)
        return parent is not None and parent.type is NodeType.RETRY

    def _after_end(self, node: NodeState) -> None:
        """Runs the call's own exit handler, and lets the node that made it go on."""
        parent = self.tree.parent(node)
        if parent is None or parent.is_final:
            return
        hooks.fire(self, node, parent)
        hooks.fire_beside(self, node, parent)
        if is_halting(self, parent):
            halt(self, parent)
        elif parent.phase is not Phase.PENDING:
            KINDS[parent.type].child_ended(self, parent, node)

    def holds(self, text: str, scope: Values) -> bool:
        """Whether a `when` is true in a scope. Raises ManifestError if it cannot be told."""
        return condition(calls.resolved(text, scope))


KINDS: Mapping[NodeType, Kind] = {
    NodeType.POD: pods,
    NodeType.STEPS: steps,
    NodeType.STEP_GROUP: step_group,
    NodeType.DAG: dag,
    NodeType.TASK_GROUP: task_group,
    NodeType.RETRY: retry,
    NodeType.SUSPEND: pauses,
    NodeType.SKIPPED: pauses,
    NodeType.LOCK: deployment,
}
