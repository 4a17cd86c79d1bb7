"""templateDefaults laid below a template, as plain data.

Owns which part of the defaults reaches which template (Argo: docs/template-defaults.md): the body only one of its own kind,
all else every template. It never judges what comes out: that is decoded as if it had been written so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_BODIES = frozenset({"container", "script", "steps", "dag", "suspend", "resource", "http", "data", "containerset", "plugin"})
_NEVER = frozenset({"name"})
_BY_NAME = frozenset({"env", "parameters"})


def lay_below(template: Any, defaults: Mapping[str, Any]) -> Any:
    """The template with what it does not say itself from `defaults`, and so its inline templates; neither is changed."""
    if not isinstance(template, dict):
        return template
    said = {name.lower() for name, value in template.items() if value is not None}
    below = {
        name: value
        for name, value in defaults.items()
        if name.lower() not in _NEVER and (name.lower() not in _BODIES or name.lower() in said)
    }
    return _with_inline(layered(template, below), defaults)


def layered(own: Mapping[str, Any], below: Mapping[str, Any]) -> dict[str, Any]:
    """Both mappings as one, `own` winning at every depth; keys are the same in any case, lists of named things go by name."""
    merged = dict(own)
    keys = {name.lower(): name for name in own}
    for name, value in below.items():
        key = keys.get(name.lower(), name)
        mine = merged.get(key)
        if mine in (None, "", []):
            merged[key] = value
        elif isinstance(mine, dict) and isinstance(value, dict):
            merged[key] = layered(mine, value)
        elif name.lower() in _BY_NAME and isinstance(mine, list) and isinstance(value, list):
            merged[key] = _by_name(mine, value)
    return merged


def _by_name(own: list[Any], below: list[Any]) -> list[Any]:
    standing = {_get(item, "name"): item for item in below if isinstance(item, dict)}
    merged = []
    for item in own:
        other = standing.pop(_get(item, "name"), None)
        merged.append(item if other is None or _sources(item) else layered(item, other))
    return [*merged, *standing.values()]


def _sources(item: Any) -> bool:
    """True if an item says where its value comes from: then it takes no other source from below."""
    return _get(item, "value") is not None or _get(item, "valueFrom") is not None


def _with_inline(template: dict[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(template)
    for name, body in template.items():
        if name.lower() == "steps" and isinstance(body, list):
            result[name] = [_calls(group, defaults) for group in body]
        elif name.lower() == "dag" and isinstance(body, dict):
            result[name] = {key: _calls(tasks, defaults) if key.lower() == "tasks" else tasks for key, tasks in body.items()}
    return result


def _calls(calls: Any, defaults: Mapping[str, Any]) -> Any:
    if not isinstance(calls, list):
        return calls
    return [
        {key: lay_below(part, defaults) if key.lower() == "inline" else part for key, part in call.items()}
        if isinstance(call, dict)
        else call
        for call in calls
    ]


def _get(item: Any, name: str) -> Any:
    """A field of plain data, its key in any case."""
    if not isinstance(item, dict):
        return None
    return item[name] if name in item else next((part for key, part in item.items() if key.lower() == name.lower()), None)
