"""What a decision looks up about a node: its template's body, the variables in and around it, and the locks that it wants.

It reads and never changes the tree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from reconciler.model.spec import Call, Dag, Steps, Template, WorkflowSpec
from reconciler.model.state import NodeState, NodeType, Phase, ResolvedLock, RunState
from reconciler.workflow.producers import Producers
from reconciler.workflow.run_names import RunNames
from reconciler.workflow.tree import Stored, Tree
from reconciler.workflow.values import ACQUIRE, PRE_DEPLOYMENT, exit_values, input_values, is_in_run_handler, resolve_locks
from reconciler.workflow.variables import Variables

_BEFORE_FIRST = {"exitCode": "0", "status": "", "duration": "0", "message": ""}
_GROUPS = (NodeType.STEP_GROUP, NodeType.TASK_GROUP)  # their item_json are the items of all turns


def number_of(tried: NodeState) -> int:
    """Which try of its Retry node a node is, from 0."""
    return int(tried.name.rpartition("(")[2][:-1])


class Scope:
    """One run's names and their meaning. `base` are the variables of the run itself."""

    def __init__(self, run: RunState, spec: WorkflowSpec, tree: Tree, now: str) -> None:
        self.now = now
        self._run = run
        self._spec = spec
        self._tree = tree
        self._names = RunNames(run, spec, now)
        self._loops: dict[str, str | None] = {}  # what ended loops made together
        self._exits: dict[Phase, dict[str, str]] = {}
        self.base = Variables(self._names, now=now)

    def add_outputs(self, outputs: Mapping[str, str]) -> None:
        """Global outputs that this decision made: what comes after it sees them."""
        self._names.outputs.update(outputs)

    def template(self, node: NodeState) -> Template:
        """The template of a node that has one."""
        return self._spec.templates[node.template]

    def steps(self, node: NodeState) -> Steps:
        """The groups of a steps node."""
        body = self.template(node).body
        assert isinstance(body, Steps)
        return body

    def dag(self, node: NodeState) -> Dag:
        """The tasks of a DAG node."""
        body = self.template(node).body
        assert isinstance(body, Dag)
        return body

    def outside(self, name: str) -> Variables:
        """The run's variables; inside its exit handler also how the run ended."""
        root = self._main() if is_in_run_handler(name) else None
        if root is None:
            return self.base
        if root.phase not in self._exits:  # once for a decision: it tells of every process that failed
            self._exits[root.phase] = exit_values(root, self._tree.stored, self._run)
        return Variables(self._exits[root.phase], outer=self.base)

    def _main(self) -> NodeState | None:
        """The main part's root, or what kept it from beginning."""
        found = (self._tree.get(name) for name in ("", ACQUIRE, PRE_DEPLOYMENT))
        return next((node for node in found if node is not None), None)

    def of(self, node: NodeState) -> Variables:
        """The variables inside a node: of its template, of its earlier siblings among tries, of the calls that it makes."""
        template = self._spec.templates.get(node.template)
        body = template.body if template is not None else None
        producers = None
        if isinstance(body, (Steps, Dag)) and node.type in (NodeType.STEPS, NodeType.DAG):
            producers = Producers(self._tree, node, body, self._spec.templates, self._run.name, self._loops)
        flat = {**input_values(node.inputs), "pod.name": self._run.name + node.name, "node.name": self._run.name + node.name}
        parent = self._tree.parent(node)
        if parent is not None and parent.type is NodeType.RETRY:
            flat |= self.tries(parent, before=node)
        if template is not None:
            for parameter in template.outputs:
                if parameter.value_from is not None and parameter.value_from.path:
                    flat[f"outputs.parameters.{parameter.name}.path"] = parameter.value_from.path
        outer = self.around(node) if template is not None and template.is_inline else self.outside(node.name)
        return Variables(flat, outer=outer, producers=producers)

    def around(self, node: NodeState) -> Variables:
        """What the call that made a node sees: the variables of the steps or dag node above, and the loop's item."""
        owner = self.owner(node)
        if owner is None:
            return self.outside(node.name)
        turn = node
        while not turn.item_json or turn.type in _GROUPS:
            above = self._tree.parent(turn)
            if above is None or above == owner:
                break
            turn = above
        item_json = "" if turn.type in _GROUPS else turn.item_json
        return Variables({}, outer=self.of(owner), item_json=item_json)

    def owner(self, node: NodeState) -> NodeState | None:
        """The steps or dag node whose call made a node."""
        above = self._tree.parent(node)
        while above is not None and above.type not in (NodeType.STEPS, NodeType.DAG):
            above = self._tree.parent(above)
        return above

    def for_call(self, owner: NodeState, call: Call, item_json: str = "") -> Variables:
        """What a call of the steps or dag node sees, in its arguments and its condition."""
        root = "steps" if isinstance(self.template(owner).body, Steps) else "tasks"
        return Variables({f"{root}.name": call.name}, outer=self.of(owner), item_json=item_json)

    def for_hook(self, owner: NodeState, call: Call, node: NodeState) -> Variables:
        """What a call's hook sees: as the call, but a loop's name means the turn that it belongs to."""
        scope = self.for_call(owner, call, node.item_json)
        if not call.is_loop:
            return scope
        own = f"{'steps' if isinstance(self.template(owner).body, Steps) else 'tasks'}.{call.name}"
        flat = {f"{own}.status": node.phase.value, f"{own}.message": node.message}
        if node.exit_code is not None:
            flat[f"{own}.exitCode"] = str(node.exit_code)
        if node.outputs.result is not None:
            flat[f"{own}.outputs.result"] = node.outputs.result
        flat |= {f"{own}.outputs.parameters.{name}": value for name, value in node.outputs.parameters.items()}
        return Variables(flat, outer=scope)

    def tries(self, retry: NodeState, before: NodeState | None = None) -> dict[str, str]:
        """`retries` and `lastRetry.*`: for a new try, or for the judgement on the last one (`before` None)."""
        last_made = self._tree.last_child(retry) if before is None else None
        if before is not None:
            done = number_of(before)
        else:
            done = 0 if last_made is None else number_of(last_made) + int(last_made.is_final)
        found = {"retries": str(done if before is not None else max(0, done - 1))}
        last = dict(_BEFORE_FIRST)
        node = self._tree.get(f"{retry.name}({done - 1})") if done else None
        if node is not None:
            last = {
                "exitCode": str(node.exit_code if node.exit_code is not None else -1),
                "status": node.phase.value,
                "duration": self._duration(node),
                "message": node.message,
            }
        return found | {f"lastRetry.{name}": value for name, value in last.items()}

    def _duration(self, node: NodeState) -> str:
        start = node.started_at or node.created_at
        end = node.finished_at or self.now
        if not start or not end:
            return "0"
        return f"{max(0.0, (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()):.0f}"

    def locks_of(self, template: Template, values: Variables, parent: NodeState | None) -> tuple[ResolvedLock, ...]:
        """The locks that a node of the template wants; those that an enclosing node or the run holds are marked nested.

        Raises UnresolvedTag or ManifestError if one cannot be named.
        """
        if not template.locks:
            return ()
        locks = resolve_locks(template.locks, values, self._run.namespace)
        stored = self._tree.stored
        held = set(stored.held_keys(None))
        above = parent
        while above is not None:
            held.update(stored.held_keys(above.id) if above.id else ())
            above = self._tree.parent(above)
        return tuple(replace(lock, nested=True) if lock.key in held else lock for lock in locks)


def scope_of(run: RunState, spec: WorkflowSpec, stored: Stored, node: NodeState, now: str) -> Variables:
    """The variables of a stored node, as they were when it was decided to start it."""
    return Scope(run, spec, Tree(stored, now), now).of(node)
