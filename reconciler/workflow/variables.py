"""What a tag means at one place: names to text, and the same names as a tree for expressions.

Places nest: a call's own names lie over those of the node that makes it, and these over the run's. Nothing is copied.
Argo: docs/variables.md.
"""

from __future__ import annotations

import json
from collections import ChainMap
from collections.abc import Mapping, MutableMapping
from datetime import datetime
from typing import Any

from reconciler.expr.language import CLOCK
from reconciler.workflow.loops import item_text
from reconciler.workflow.producers import Producers

_PREFER_TEXT = frozenset({"workflow.creationTimestamp"})
_NO_TREE = frozenset({"inputs.parameters", "workflow.parameters", "workflow.labels", "workflow.annotations"})
_STRFTIME = frozenset("aAbBcdHIjmMpSUwWxXyYZzeDFTRrsL")


class Variables:
    """One place's names; `outer` knows all others. `get` is asked by tags, `tree` by expressions."""

    __slots__ = ("_flat", "_item_json", "_now", "_outer", "_producers")

    def __init__(
        self,
        flat: Mapping[str, str],
        *,
        outer: Variables | None = None,
        producers: Producers | None = None,
        item_json: str = "",
        now: str = "",
    ) -> None:
        self._flat = flat
        self._outer = outer
        self._producers = producers
        self._item_json = item_json
        self._now = now

    def get(self, name: str) -> str | None:
        """The value of a tag; None if nothing here has that name.

        Raises AbsentValue for an output that was never made.
        """
        value = self._flat.get(name)
        if value is not None:
            return value
        root, _, rest = name.partition(".")
        if self._item_json and (root == "item" or root.startswith("item[")):
            return self._item(root, rest)
        if self._producers is not None and root == self._producers.root and rest:
            found = self._producers.get_text(rest)
            if found is not None:
                return found
        if self._outer is not None:
            return self._outer.get(name)
        if name.startswith("workflow.creationTimestamp."):
            return _part_of_time(self._flat.get("workflow.creationTimestamp"), name.rpartition(".")[2])
        return None

    def _item(self, root: str, rest: str) -> str | None:
        value = json.loads(self._item_json)
        if root.startswith("item[") and root.endswith("]") and isinstance(value, list) and root[5:-1].isdigit():
            index = int(root[5:-1])
            return item_text(value[index]) if index < len(value) and not rest else None
        if not rest:
            return item_text(value)
        return item_text(value[rest]) if isinstance(value, dict) and rest in value else None

    def tree(self) -> Mapping[str, Any]:
        """All names as nested maps."""
        found: dict[str, Any] = dict(self._outer.tree()) if self._outer is not None else {}
        for name, value in self._flat.items():
            _plant(found, name, value)
        if self._now:
            found[CLOCK] = datetime.fromisoformat(self._now)
        if self._producers is not None:
            found[self._producers.root] = self._producers
        if self._item_json:
            found["item"] = json.loads(self._item_json)
        return found


def _plant(found: dict[str, Any], name: str, value: Any) -> None:
    """Puts one dotted name into the tree; where a name is a value and a branch, the branch stays, but for instants."""
    if name in _NO_TREE:
        return
    *above, last = name.split(".")
    at: MutableMapping[str, Any] = found
    path = ""
    for part in above:
        path = f"{path}.{part}" if path else part
        if path in _PREFER_TEXT:
            return
        at[part] = below = _own(at.get(part))
        at = below
    if not isinstance(at.get(last), dict):
        at[last] = value


def _own(branch: Any) -> MutableMapping[str, Any]:
    """A branch that may be added to: the calls of a node are laid under it, not read."""
    if isinstance(branch, Mapping) and not isinstance(branch, dict):
        return ChainMap({}, branch)  # type: ignore[arg-type]  # only the first map is written to
    return dict(branch) if isinstance(branch, dict) else {}


def _part_of_time(text: str | None, part: str) -> str | None:
    """`creationTimestamp.Y` and its like: one letter of strftime, `s` the seconds since 1970, `RFC3339` the whole."""
    if text is None:
        return None
    at = datetime.fromisoformat(text)
    if part == "RFC3339":
        return text
    if part == "s":
        return str(int(at.timestamp()))
    return at.strftime(f"%{part}") if part in _STRFTIME else None
