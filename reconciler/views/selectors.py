"""Label selectors as kubectl reads them: `a=b`, `a!=b`, `a in (x, y)`, `a notin (x)`, `a`, `!a`, joined by commas."""

from __future__ import annotations

from reconciler.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class Requirement:
    """One condition: `key` has one of `values` (None: any value), or the opposite with `negated`."""

    __slots__ = ("key", "negated", "values")

    def __init__(self, key: str, values: frozenset[str] | None, *, negated: bool) -> None:
        self.key = key
        self.values = values
        self.negated = negated

    def matches(self, labels: Mapping[str, str]) -> bool:
        """True if the labels meet the condition; a key that is absent meets every negated one."""
        has = self.key in labels and (self.values is None or labels[self.key] in self.values)
        return has != self.negated


def parse_selector(text: str) -> tuple[Requirement, ...]:
    """The conditions of a selector, all of which must be met; raises UsageError."""
    return tuple(_parse_one(part.strip(), text) for part in _split(text) if part.strip())


def matches(requirements: tuple[Requirement, ...], labels: Mapping[str, str]) -> bool:
    """True if the labels meet every condition."""
    return all(requirement.matches(labels) for requirement in requirements)


def _split(text: str) -> list[str]:
    parts, depth = [""], 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _parse_one(part: str, text: str) -> Requirement:
    if part.startswith("!"):
        return Requirement(_key(part[1:].strip(), text), None, negated=True)
    for sign in ("!=", "==", "="):
        key, found, value = part.partition(sign)
        if found:
            return Requirement(_key(key.strip(), text), frozenset({value.strip()}), negated=sign == "!=")
    words = part.split(None, 2)
    if len(words) == 1:
        return Requirement(_key(part, text), None, negated=False)
    listed = part[len(words[0]) :].strip()
    for name in ("notin", "in"):
        rest = listed.removeprefix(name).strip()
        if listed.startswith(name) and rest.startswith("(") and rest.endswith(")"):
            values = frozenset(value.strip() for value in rest[1:-1].split(","))
            return Requirement(_key(words[0], text), values, negated=name == "notin")
    raise UsageError(f"could not read the selector {text!r}: {part!r} is none of a=b, a!=b, a in (x,y), a notin (x), a, !a")


def _key(key: str, text: str) -> str:
    allowed = key.isascii() and bool(key) and all(character.isalnum() or character in "-_./" for character in key)
    if not allowed:
        raise UsageError(f"could not read the selector {text!r}: {key!r} is no label's key")
    return key
