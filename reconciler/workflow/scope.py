"""What a decision looks up about a node: its template's body, its variables, and the locks that it wants.

It reads and never changes the tree.
"""

from __future__ import annotations

from dataclasses import replace

from reconciler.model.spec import Dag, Steps, Template, WorkflowSpec
from reconciler.model.state import NodeState, ResolvedLock, RunState
from reconciler.workflow.tree import Tree
from reconciler.workflow.values import (
    Values,
    exit_values,
    is_in_handler,
    node_values,
    resolve_locks,
    workflow_values,
)


class Scope:
    """One run's names and their meaning. `base` are the variables of the run itself."""

    def __init__(self, run: RunState, spec: WorkflowSpec, tree: Tree) -> None:
        self.base: Values = workflow_values(run, spec)
        self._run = run
        self._spec = spec
        self._tree = tree

    def steps(self, node: NodeState) -> Steps:
        """The groups of a steps node."""
        body = self._spec.templates[node.template].body
        assert isinstance(body, Steps)
        return body

    def dag(self, node: NodeState) -> Dag:
        """The tasks of a DAG node."""
        body = self._spec.templates[node.template].body
        assert isinstance(body, Dag)
        return body

    def of(self, node: NodeState) -> Values:
        """The variables inside a node."""
        return node_values(self.outside(node.name), self._run, node.name, node.inputs)

    def outside(self, name: str) -> Values:
        """The variables outside the node: the run's, and inside the exit handler also how the run ended."""
        root = self._tree.get("") if is_in_handler(name) else None
        return self.base if root is None else {**self.base, **exit_values(root, self._tree.stored, self._run)}

    def locks_of(self, template: Template, values: Values, parent: NodeState | None) -> tuple[ResolvedLock, ...]:
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
