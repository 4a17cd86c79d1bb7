"""Sprig's functions over lists, maps, defaults and types. Owns these; sprig: docs/lists.md, docs/dicts.md, docs/defaults.md.

No function changes what it is given: `set` and its like give a new map, which is what an expression can see anyway.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.expr import functions
from reconciler.expr.errors import Fault
from reconciler.expr.registry import Table
from reconciler.expr.sprig_text import strval
from reconciler.expr.values import Meter, describe, equal, to_json, type_name

_KINDS = {"nil": "invalid", "array": "slice", "float": "float64", "time.Time": "struct", "time.Duration": "int64"}
_TYPES = {"nil": "<nil>", "array": "[]interface {}", "map": "map[string]interface {}", "float": "float64"}


def is_empty(value: Any) -> bool:
    """True for nil, false, 0, and a text, list or map without anything in it."""
    return value is None or value is False or value in ("", 0, 0.0) or (isinstance(value, list | Mapping) and not value)


def _default(preset: Any, *given: Any) -> Any:
    return preset if not given or is_empty(given[0]) else given[0]


def _coalesce(*values: Any) -> Any:
    return next((value for value in values if not is_empty(value)), None)


def _fail(message: str) -> Any:
    raise Fault(f"it was made to fail: {message[:200]}", "see the expression")


def _dict(meter: Meter, *pairs: Any) -> dict[str, Any]:
    padded = [*pairs, ""] if len(pairs) % 2 else list(pairs)
    return {strval(meter, key): value for key, value in zip(padded[::2], padded[1::2], strict=True)}


def _set(found: Mapping[str, Any], key: str, value: Any) -> dict[str, Any]:
    return {**found, key: value}


def _merged(*maps: Any, is_first: bool) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for each in maps if is_first else reversed(maps):
        _merge_into(merged, each, 0)
    return merged


def _merge_into(merged: dict[str, Any], other: Mapping[str, Any], depth: int) -> None:
    if depth > 100:
        raise Fault("maps stand too deeply inside each other", "flatten them")
    for key, value in other.items():
        mine = merged.get(key)
        if isinstance(mine, dict) and isinstance(value, Mapping):
            merged[key] = dict(mine)
            _merge_into(merged[key], value, depth + 1)
        elif key not in merged or is_empty(mine):
            merged[key] = value


def _dig(*arguments: Any) -> Any:
    *path, preset, found = arguments
    for key in path:
        if not isinstance(found, Mapping) or key not in found:
            return preset
        found = found[key]
    return found


def _keys(*maps: Mapping[str, Any]) -> list[str]:
    return [key for each in maps for key in sorted(each)]


def _pick(found: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: found[key] for key in keys if key in found}


def _omit(found: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in found.items() if key not in keys}


def _without(meter: Meter, items: list[Any], *unwanted: Any) -> list[Any]:
    return [item for item in items if not any(equal(item, each, meter) for each in unwanted)]


def _has(meter: Meter, wanted: Any, items: list[Any]) -> bool:
    return any(equal(wanted, item, meter) for item in items)


def _chunk(size: int, items: list[Any]) -> list[list[Any]]:
    if size < 1:
        raise Fault(f"a chunk of {size} items", "write 1 or more")
    return [items[start : start + size] for start in range(0, len(items), size)]


def _slice(items: list[Any], *bounds: int) -> list[Any]:
    start, end = (*bounds, len(items))[:2] if bounds else (0, len(items))
    if not 0 <= start <= end <= len(items):
        raise Fault(f"the array has {len(items)} items, not {start} to {end}", "stay within them")
    return items[start:end]


def _deep_equal(meter: Meter, left: Any, right: Any) -> bool:
    return equal(left, right, meter)


def _kind(value: Any) -> str:
    name = type_name(value)
    return _KINDS.get(name, name)


def _type(value: Any) -> str:
    name = type_name(value)
    return _TYPES.get(name, name)


def _first_of(items: Any) -> Any:
    if isinstance(items, str):
        return items[:1]
    if isinstance(items, list):
        return functions.first(items)
    raise Fault(f"{describe(items)} is no list", "give it an array")


def _register_lists(table: Table) -> None:
    add = table.add
    add("list", "any...", lambda *items: list(items), "an array of the arguments")
    add("tuple", "any...", lambda *items: list(items), "as `list`")
    add("first", "any", _first_of, "the first item, or nil")
    add("last", "array", functions.last, "the last item, or nil")
    add("rest", "array", lambda items: items[1:], "all items but the first")
    add("initial", "array", lambda items: items[:-1], "all items but the last")
    add("append", "array any", lambda items, item: [*items, item], "with an item behind")
    add("push", "array any", lambda items, item: [*items, item], "as `append`")
    add("prepend", "array any", lambda items, item: [item, *items], "with an item before")
    add("concat", "array...", functions.concat, "one array after the other")
    add("reverse", "array", lambda items: items[::-1], "from the last to the first")
    add("uniq", "array", functions.uniq, "without repetitions", needs_meter=True)
    add("without", "array any...", _without, "without those items", needs_meter=True)
    add("has", "any array", _has, "whether the item is in the array", needs_meter=True)
    add("compact", "array", lambda items: [item for item in items if not is_empty(item)], "without empty items")
    add("slice", "array int...", _slice, "the items from start to end")
    add("chunk", "int array", _chunk, "arrays of so many items")


def _register_maps(table: Table) -> None:
    add = table.add
    add("dict", "any...", _dict, "a map of keys and values in turn", needs_meter=True)
    add("get", "map string", lambda found, key: found.get(key, ""), 'the key\'s value, or ""')
    add("set", "map string any", _set, "the map with that key")
    add("unset", "map string", _omit, "the map without that key")
    add("hasKey", "map string", lambda found, key: key in found, "whether the map has the key")
    add("keys", "map...", _keys, "the keys, sorted")
    add("values", "map", lambda found: [found[key] for key in sorted(found)], "the values, by key")
    add("pick", "map string...", _pick, "the map with those keys only")
    add("omit", "map string...", _omit, "the map without those keys")
    add("pluck", "string map...", lambda key, *maps: [each[key] for each in maps if key in each], "the key's value in each map")
    add("dig", "any any any...", _dig, "a value down a path of keys, or the default before the map")
    add("merge", "map map...", lambda *maps: _merged(*maps, is_first=True), "one map, the first wins")
    add("mergeOverwrite", "map map...", lambda *maps: _merged(*maps, is_first=False), "one map, the last wins")


def register(table: Table) -> None:
    """Adds these to the table."""
    _register_lists(table)
    _register_maps(table)
    add = table.add
    add("default", "any any?", _default, "the second, or the first if it is empty")
    add("empty", "any", is_empty, "whether it is nil, false, 0, or has nothing in it")
    add("coalesce", "any...", _coalesce, "the first that is not empty, or nil")
    add("all", "any...", lambda *values: not any(map(is_empty, values)), "whether none is empty")
    add("any", "any...", lambda *values: any(not is_empty(value) for value in values), "whether one is not empty")
    add("ternary", "any any bool", lambda yes, no, chosen: yes if chosen else no, "the first if true, else the second")
    add("fail", "string", _fail, "an error with that text")
    add("toJson", "any", lambda meter, value: to_json(value, meter), "compact JSON text", needs_meter=True)
    add("toPrettyJson", "any", lambda meter, value: to_json(value, meter, "  "), "JSON, one item per line", needs_meter=True)
    add("toRawJson", "any", lambda meter, value: to_json(value, meter), "as `toJson`", needs_meter=True)
    add("fromJson", "string", functions.from_json, "the value that a JSON text says")
    add("kindOf", "any", _kind, "the kind: `string`, `slice`, `map`, ...")
    add("kindIs", "string any", lambda kind, value: _kind(value) == kind, "whether it is of that kind")
    add("typeOf", "any", _type, "the type as Go names it")
    add("typeIs", "string any", lambda kind, value: _type(value) == kind, "whether it is of that type")
    add("deepEqual", "any any", _deep_equal, "whether both are equal, down to their items", needs_meter=True)
