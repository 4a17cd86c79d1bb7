"""The `workflow.*` variables of one run, each made when somebody asks for it: most decisions ask for none.

Argo: docs/variables.md. It never looks at nodes; what an exit handler knows besides is laid over it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from reconciler.model.spec import WorkflowSpec
from reconciler.model.state import Phase, RunState

ROOT = "workflow."
_OUTPUTS = "outputs.parameters."


class RunNames(Mapping[str, str]):
    """Names to text. `now` (RFC 3339) is for the duration; `outputs` grows while a decision makes global outputs."""

    __slots__ = ("_now", "_run", "_spec", "outputs")

    def __init__(self, run: RunState, spec: WorkflowSpec, now: str = "") -> None:
        self._run = run
        self._spec = spec
        self._now = now
        self.outputs: dict[str, str] = dict(run.outputs)

    def __getitem__(self, name: str) -> str:
        rest = name[len(ROOT) :] if name.startswith(ROOT) else ""
        plain = _PLAIN.get(rest)
        if plain is not None:
            value = plain(self._run, self._spec, self._now)
            if value is not None:
                return value
        group, dot, key = rest.partition(".")
        if group in _LISTS:
            listed = _LISTS[group](self._run)
            return listed[key] if key in listed else _listed(group, listed, name, is_whole=not dot or key == "json")
        if rest.startswith(_OUTPUTS):
            return self.outputs[rest[len(_OUTPUTS) :]]
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        for name in _PLAIN:
            if ROOT + name in self:
                yield ROOT + name
        for group, listed in _LISTS.items():
            yield ROOT + group
            yield f"{ROOT}{group}.json"
            yield from (f"{ROOT}{group}.{key}" for key in listed(self._run))
        yield from (f"{ROOT}{_OUTPUTS}{name}" for name in self.outputs)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _duration(run: RunState, now: str) -> str:
    start = run.started_at or run.created_at
    if not start or not now:
        return "0.000000"
    return f"{max(0.0, (datetime.fromisoformat(now) - datetime.fromisoformat(start)).total_seconds()):.6f}"


def _listed(group: str, listed: Mapping[str, str], name: str, *, is_whole: bool) -> str:
    """The whole of a group as JSON: parameters as a list of names and values, the others as a map."""
    if not is_whole:
        raise KeyError(name)
    if group == "parameters":
        return json.dumps([{"name": key, "value": value} for key, value in listed.items()])
    return json.dumps(dict(listed))


_LISTS: Mapping[str, Callable[[RunState], Mapping[str, str]]] = {
    "parameters": lambda run: run.arguments,
    "labels": lambda run: run.labels,
    "annotations": lambda run: run.annotations,
}
_PLAIN: Mapping[str, Callable[[RunState, WorkflowSpec, str], str | None]] = {
    "name": lambda run, _spec, _now: run.name,
    "namespace": lambda run, _spec, _now: run.namespace,
    "uid": lambda run, _spec, _now: run.uid,
    "priority": lambda run, _spec, _now: str(run.priority),
    "mainEntrypoint": lambda _run, spec, _now: spec.entrypoint,
    "serviceAccountName": lambda _run, _spec, _now: "default",
    "status": lambda _run, _spec, _now: Phase.RUNNING.value,  # the end is known to hooks and exit handlers, which say so
    "creationTimestamp": lambda run, _spec, _now: run.created_at[:19] + "Z",
    "duration": lambda run, _spec, now: _duration(run, now),
    "scheduledTime": lambda run, _spec, _now: run.scheduled_at[:19] + "Z" if run.scheduled_at else None,
}
