"""Plain JSON data as YAML text. Standard library only: the YAML library costs a hundred milliseconds and is for reading."""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_WORDS = frozenset({"", "null", "true", "false", "yes", "no", "on", "off", "y", "n", "~"})
_PLAIN_FIRST = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_/")
_PLAIN = _PLAIN_FIRST | frozenset("0123456789-.@+=,;()")


def to_yaml(value: Any) -> str:
    """Block style, two spaces, keys in the order given; every string that could be read as something else is quoted."""
    if not isinstance(value, (dict, list)) or not value:
        return _scalar(value) + "\n"
    return "\n".join(_lines(value, 0)) + "\n"


def _lines(value: Any, depth: int) -> list[str]:
    indent = "  " * depth
    found: list[str] = []
    if isinstance(value, dict):
        for key, item in value.items():
            found += _entry(f"{indent}{_scalar(str(key))}:", item, depth + 1 if isinstance(item, dict) else depth)
        return found
    for item in value:
        if isinstance(item, (dict, list)) and item:
            nested = _lines(item, depth + 1)
            found += [f"{indent}- {nested[0][len(indent) + 2 :]}", *nested[1:]]
        else:
            found.append(f"{indent}- {_scalar(item)}")
    return found


def _entry(head: str, item: Any, depth: int) -> list[str]:
    if isinstance(item, (dict, list)) and item:
        return [head, *_lines(item, depth)]
    if isinstance(item, str) and "\n" in item and _is_block(item):
        indent = "  " * (depth + 1)
        kept = "|" if item.endswith("\n") else "|-"
        return [f"{head} {kept}", *(f"{indent}{line}" if line else "" for line in item.removesuffix("\n").split("\n"))]
    return [f"{head} {_scalar(item)}"]


def _is_block(text: str) -> bool:
    """True if a literal block shows exactly this text: printable, no space first, at most one line feed last."""
    lines = text.removesuffix("\n").split("\n")
    return bool(lines[0]) and bool(lines[-1]) and lines[0][0] not in " \t" and all(line.isprintable() for line in lines)


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        is_plain = value[:1] in _PLAIN_FIRST and _PLAIN.issuperset(value) and value.lower() not in _WORDS
        return value if is_plain and value else json.dumps(value)
    return json.dumps(value)
