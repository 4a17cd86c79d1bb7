"""What a run has not begun yet, as far as its frozen spec tells: steps and tasks for which there is no node so far.

It is a forecast for people: conditions and loops are not worked out, and nothing is decided by it.
"""

from __future__ import annotations

from typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

_BUDGET = 300
_DEEPEST = 8
_STORED = "storedTemplates"


class Expected(NamedTuple):
    """A node that may come. `name` is as a node's, `type` as far as the template tells, `after` says what it waits for."""

    name: str
    label: str
    type: str
    template: str
    after: str
    children: tuple[Expected, ...] = ()


class Forecast:
    """Reads one frozen spec. At most some hundreds of nodes are forecast: templates may call themselves."""

    __slots__ = ("_left", "_spec", "_templates")

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self._spec = spec
        self._left = _BUDGET
        self._templates: dict[str, Mapping[str, Any]] = {}
        self._add("", spec.get("templates"))
        for scope, document in (spec.get(_STORED) or {}).items():
            self._add(f"{scope}:", document.get("templates"))

    def _add(self, prefix: str, templates: Any) -> None:
        for template in templates or ():
            self._templates[prefix + str(template.get("name"))] = template

    def roots(self) -> tuple[Expected, ...]:
        """The whole run before it has begun; its root has the name ''."""
        entry = str(self._spec.get("entrypoint") or "")
        root = Expected("", "", self._type(entry), entry, "", self.below(entry, "", frozenset()))
        return (root, *self.at_end(frozenset()))

    def at_end(self, known: frozenset[str]) -> tuple[Expected, ...]:
        """The exit handler, unless it is among the names that are known."""
        handler = str(self._spec.get("onExit") or "")
        if not handler or ".onExit" in known:
            return ()
        return (Expected(".onExit", "onExit", self._type(handler), handler, "at the end"),)

    def below(self, key: str, parent: str, known: frozenset[str], depth: int = 0) -> tuple[Expected, ...]:
        """What the template with this key has yet to make below its node `parent`, less the names that are known."""
        template = self._templates.get(key)
        if template is None or depth > _DEEPEST:
            return ()
        if "dag" in template:
            return tuple(self._tasks(key, template["dag"], parent, known, depth))
        return tuple(self._groups(key, template.get("steps") or (), parent, known, depth))

    def _tasks(self, key: str, dag: Any, parent: str, known: frozenset[str], depth: int) -> Iterator[Expected]:
        for task in dag.get("tasks") or ():
            name = f"{parent}.{task.get('name')}"
            if name not in known and self._spend():
                after = str(task.get("depends") or ", ".join(task.get("dependencies") or ()))
                yield self._call(key, task, name, f"after {after}" if after else "", depth)

    def _groups(self, key: str, groups: Any, parent: str, known: frozenset[str], depth: int) -> Iterator[Expected]:
        for number, calls in enumerate(groups):
            group = f"{parent}[{number}]"
            if group in known:
                continue
            made = [self._call(key, call, f"{group}.{call.get('name')}", "", depth) for call in calls if self._spend()]
            if made:
                yield Expected(group, f"[{number}]", "StepGroup", "", f"after [{number - 1}]" if number else "", tuple(made))

    def _call(self, key: str, call: Mapping[str, Any], name: str, after: str, depth: int) -> Expected:
        target = _target(key, call)
        more = ", ".join(word for word in (after, f"when {call['when']}" if call.get("when") else "") if word)
        children = self.below(target, name, frozenset(), depth + 1)
        return Expected(name, str(call.get("name")), self._type(target), target, more, children)

    def _type(self, key: str) -> str:
        template = self._templates.get(key) or {}
        return "DAG" if "dag" in template else "Steps" if "steps" in template else "Suspend" if "suspend" in template else "Pod"

    def _spend(self) -> bool:
        self._left -= 1
        return self._left >= 0


def _target(key: str, call: Mapping[str, Any]) -> str:
    """The key of the template that a call names: in its own document, or in another."""
    reference = call.get("templateRef")
    if reference:
        kind = "cluster" if reference.get("clusterScope") else "namespaced"
        return f"{kind}/{reference.get('name')}:{reference.get('template')}"
    scope, colon, _ = key.rpartition(":")
    return f"{scope}{colon}{call.get('template') or ''}"
