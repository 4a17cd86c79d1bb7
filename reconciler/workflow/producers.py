"""What the calls of a steps or dag node show to the others: `steps.NAME.*` and `tasks.NAME.*`.

Each name is looked up when it is asked for, so a reference costs one row and not the whole graph. Argo: docs/variables.md.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from reconciler.errors import ManifestError
from reconciler.expr.errors import AbsentValue
from reconciler.expr.language import ABSENT
from reconciler.model.spec import Call, Dag, Parameter, Steps, Template
from reconciler.model.state import FINAL, NodeState, NodeType, Phase
from reconciler.workflow.tree import Tree

_PLAIN: Mapping[str, Callable[[NodeState], str]] = {
    "id": lambda node: node.name,
    "status": lambda node: node.phase.value,
    "startedAt": lambda node: (node.started_at or node.created_at)[:19] + "Z",
    "finishedAt": lambda node: (node.finished_at or "")[:19] + "Z" if node.finished_at else "",
    "message": lambda node: node.message,
    "ip": lambda _node: "127.0.0.1",
    "hostNodeName": lambda _node: "localhost",
}


class Producers(Mapping[str, Any]):
    """The calls of one node by name; as a mapping, what an expression sees of them."""

    def __init__(  # what it looks into, and what it has found
        self,
        tree: Tree,
        owner: NodeState,
        body: Steps | Dag,
        templates: Mapping[str, Template],
        run: str,
        loops: dict[str, str | None],
    ) -> None:
        self._tree = tree
        self._owner = owner
        self._body = body
        self._templates = templates
        self._run = run
        self._loops = loops
        self.root = "steps" if isinstance(body, Steps) else "tasks"

    def get_text(self, path: str) -> str | None:
        """The value of `NAME.rest`; None if there is no such call yet, or no such field.

        Raises AbsentValue for an output that was never made, ManifestError for loop results that are no JSON.
        """
        name, _, rest = path.partition(".")
        call = self._call(name)
        if call is None:
            return None
        key = f"{self._owner.name}\0{path}"
        if key in self._loops:
            return self._loops[key]
        node, turns = self._nodes(call)
        if turns is not None:
            found = self._of_loop(call, node, turns, rest)
            if self._has_ended(call):
                self._loops[key] = found
            return found
        if node is None or (node.phase not in FINAL and not rest.startswith(("id", "status", "startedAt", "ip", "host"))):
            return None
        return self._of_node(call, node, rest)

    def _call(self, name: str) -> Call | None:
        if isinstance(self._body, Dag):
            return self._body.by_name.get(name)
        found = self._body.by_name.get(name)
        return found[1] if found else None

    def _nodes(self, call: Call) -> tuple[NodeState | None, Sequence[NodeState] | None]:
        """The call's node, and the turns of a loop, if it is one that was not skipped."""
        if isinstance(self._body, Dag):
            node = self._tree.get(f"{self._owner.name}.{call.name}")
            if node is not None and node.type is NodeType.TASK_GROUP:
                return node, _turns(self._tree.children(node))
            return node, None
        group = self._tree.get(f"{self._owner.name}[{self._body.by_name[call.name][0]}]")
        if group is None:
            return None, None
        node = self._tree.get(f"{group.name}.{call.name}")
        if node is None and call.is_loop:
            turns = _turns(self._tree.expanded(group, f"{group.name}.{call.name}"))
            return None, turns or None
        return node, None

    def _has_ended(self, call: Call) -> bool:
        """True once all turns of a loop have ended, and the place that they stand in: what they made stays."""
        name = f".{call.name}" if isinstance(self._body, Dag) else f"[{self._body.by_name[call.name][0]}]"
        place = self._tree.get(self._owner.name + name)
        return place is not None and place.is_final

    def _of_node(self, call: Call, node: NodeState, rest: str) -> str | None:
        plain = _PLAIN.get(rest)
        if plain is not None:
            return self._run + node.name if rest == "id" else plain(node)
        if rest == "exitCode":
            if node.exit_code is None:
                raise self._absent(call, rest)
            return str(node.exit_code)
        if rest == "outputs.result":
            if node.outputs.result is None and node.phase is not Phase.SUCCEEDED:
                raise self._absent(call, rest)
            return node.outputs.result or ""
        if rest == "outputs.parameters":
            return json.dumps([{"name": key, "value": value} for key, value in node.outputs.parameters.items()])
        if rest.startswith("outputs.parameters."):
            return self._parameter(call, node, rest.removeprefix("outputs.parameters."))
        return None

    def _parameter(self, call: Call, node: NodeState, name: str) -> str:
        value = node.outputs.parameters.get(name)
        if value is None:
            value = default_of(next((p for p in self._outputs(call, node) if p.name == name), None))
        if value is None:
            raise self._absent(call, f"outputs.parameters.{name}")
        return value

    def _outputs(self, call: Call, node: NodeState) -> tuple[Parameter, ...]:
        template = self._templates.get(node.template or call.template)
        return template.outputs if template else ()

    def _absent(self, call: Call, rest: str) -> AbsentValue:
        return AbsentValue(
            f"{{{{{self.root}.{call.name}.{rest}}}}} was never made (absent optional): give it a default, or rescue it with ??"
        )

    def _of_loop(self, call: Call, node: NodeState | None, turns: Sequence[NodeState], rest: str) -> str | None:
        done = [turn for turn in turns if turn.phase is Phase.SUCCEEDED]
        if rest == "outputs.result":
            return _json([_result(call, turn) for turn in done])
        if rest == "outputs.parameters":
            return _json([dict(turn.outputs.parameters) for turn in done])
        if rest.startswith("outputs.parameters."):
            name = rest.removeprefix("outputs.parameters.")
            return _json(_structured([turn.outputs.parameters[name] for turn in done if name in turn.outputs.parameters]))
        return None if node is None else self._of_node(call, node, rest)

    # as a mapping ------------------------------------------------------------------------------------------------

    def __getitem__(self, name: str) -> Mapping[str, Any]:
        call = self._call(name)
        if call is None:
            raise KeyError(name)
        node, turns = self._nodes(call)
        if node is None and turns is None:
            raise KeyError(name)
        names = {p.name for p in self._outputs(call, node or turns[0])} if node or turns else set()  # type: ignore[index]
        names.update(*(turn.outputs.parameters for turn in turns or ()), node.outputs.parameters if node else ())
        fields = {field: self._shown(name, field) for field in (*_PLAIN, "exitCode")}
        parameters = {key: self._shown(name, f"outputs.parameters.{key}") for key in sorted(names)}
        return {**fields, "name": name, "outputs": {"parameters": parameters, "result": self._shown(name, "outputs.result")}}

    def _shown(self, name: str, rest: str) -> Any:
        try:
            return self.get_text(f"{name}.{rest}")
        except ManifestError:  # never made, or not to be put together: an error only for who uses it
            return ABSENT

    def __iter__(self) -> Iterator[str]:
        return iter(self._body.by_name)

    def __len__(self) -> int:
        return len(self._body.by_name)


def default_of(parameter: Parameter | None) -> str | None:
    """What an output parameter is when nothing made it."""
    if parameter is None:
        return None
    if parameter.value_from is not None and parameter.value_from.default is not None:
        return parameter.value_from.default
    return parameter.default


def _turns(children: Sequence[NodeState]) -> list[NodeState]:
    """The turns themselves by their index, without their hooks: a retried run makes some of them later than others."""
    return sorted((child for child in children if child.name.endswith(")")), key=_index)


def _index(turn: NodeState) -> int:
    number = turn.name[turn.name.rfind("(") + 1 :].partition(":")[0]
    return int(number) if number.isdigit() else 0


def _result(call: Call, turn: NodeState) -> Any:
    text = turn.outputs.result or ""
    try:
        return json.loads(text)
    except ValueError:
        raise ManifestError(
            f'outputs.result of the loop "{call.name}" cannot be put together: "{turn.display}" wrote {text[:60]!r},'
            " which is no JSON; have it print JSON, or use an output parameter"
        ) from None


def _structured(texts: list[str]) -> list[Any]:
    """Argo: maps and lists stay what they are only if all values are such."""
    try:
        parsed = [json.loads(text) for text in texts]
    except ValueError:
        return list(texts)
    return parsed if all(isinstance(value, (dict, list)) for value in parsed) else list(texts)


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
