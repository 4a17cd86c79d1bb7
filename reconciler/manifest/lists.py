"""Documents that hold documents: `kind: List`, WorkflowList and the like, taken apart.

Owns which kinds are lists and what an item takes over from its list. It never reads an item: each comes out as if it stood
alone in the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from reconciler.manifest.text import RawDocument, count_spots

_ANY = "List"


def parts_of(raw: RawDocument, kinds: Mapping[str, str]) -> Iterator[RawDocument]:
    """The documents in a document, itself if it is no list; `index` counts on from that of the list.

    `kinds` maps each kind that can be listed to its apiVersion: an item of a WorkflowList need not say its own. A list of
    lists is taken apart as well. A list whose items are no list is no list.
    """
    items = _items(raw.data, kinds)
    if items is None:
        yield raw
        return
    index = raw.index
    at = _start_of_items(raw.data)
    for item in items:
        size = count_spots(item)
        part = RawDocument(index=index, data=item, spots=raw.spots[at : at + size], problems=())
        at += size
        for inner in parts_of(_named(part, raw.data), kinds):
            yield inner
            index = inner.index + 1


def _items(data: Any, kinds: Mapping[str, str]) -> list[Any] | None:
    if not isinstance(data, dict) or not isinstance(data.get("items"), list):
        return None
    api, kind = data.get("apiVersion"), data.get("kind")
    if not isinstance(api, str) or not isinstance(kind, str) or not kind.endswith(_ANY):
        return None
    is_list = api in ("v1", *kinds.values()) if kind == _ANY else kinds.get(kind.removesuffix(_ANY)) == api
    return data["items"] if is_list else None


def _start_of_items(data: Mapping[str, Any]) -> int:
    """The number of spots before that of the first item: each pair's key and value, and the list's own."""
    at = 1
    for key, value in data.items():
        if key == "items":
            return at + 2
        at += 1 + count_spots(value)
    return at


def _named(part: RawDocument, around: Mapping[str, Any]) -> RawDocument:
    """An item with kind and apiVersion: where it has none, those that its list's kind means, at the item's own place."""
    kind = str(around["kind"]).removesuffix(_ANY)
    if not kind or not isinstance(part.data, dict):
        return part
    missing = {name: value for name, value in (("apiVersion", around["apiVersion"]), ("kind", kind)) if name not in part.data}
    if not missing:
        return part
    own = part.spots[0]
    return replace(part, data=missing | part.data, spots=[own, *[own] * (2 * len(missing)), *part.spots[1:]])
