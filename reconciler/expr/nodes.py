"""The shapes of a read expression. Owns values only: no reading, no evaluation.

`at` is the offset of the token that an error would point to.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Node:
    """Any part of an expression; `depth` is how many parts stand inside each other, itself included."""

    at: int
    depth: int


@dataclass(frozen=True, slots=True)
class Literal(Node):
    """A number, a string, a truth or nil."""

    value: Any


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A variable, of the expression's own or of its surroundings."""

    name: str


@dataclass(frozen=True, slots=True)
class Pointer(Node):
    """`#` (`name` is empty), `#acc`, `#index`."""

    name: str


@dataclass(frozen=True, slots=True)
class Member(Node):
    """`base.key`, `base[key]`; `is_optional` if a nil base ends the chain with nil."""

    base: Node
    key: Node
    is_optional: bool


@dataclass(frozen=True, slots=True)
class Slice(Node):
    """`base[start:end]`."""

    base: Node
    start: Node | None
    end: Node | None


@dataclass(frozen=True, slots=True)
class Chain(Node):
    """Where an optional member's nil stops."""

    inner: Node


@dataclass(frozen=True, slots=True)
class Prefix(Node):
    """`!x`, `-x`, `+x`."""

    operator: str
    operand: Node


@dataclass(frozen=True, slots=True)
class Infix(Node):
    """Two operands; `operator` has one spelling for each meaning: `&&`, never `and`."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Call(Node):
    """`name(arguments)`."""

    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Method(Node):
    """`base.name(arguments)`."""

    base: Node
    name: str
    arguments: tuple[Node, ...]
    is_optional: bool


@dataclass(frozen=True, slots=True)
class Let(Node):
    """`let name = value; body`."""

    name: str
    value: Node
    body: Node


@dataclass(frozen=True, slots=True)
class Sequence(Node):
    """`first; rest`: the value is that of the rest."""

    first: Node
    rest: Node


@dataclass(frozen=True, slots=True)
class Conditional(Node):
    """`condition ? then : otherwise`."""

    condition: Node
    then: Node
    otherwise: Node


@dataclass(frozen=True, slots=True)
class Array(Node):
    """`[items]`."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Map(Node):
    """`{key: value}`."""

    pairs: tuple[tuple[Node, Node], ...]


def children_of(node: Node) -> Iterator[Node]:
    """The nodes right below one, in the order of its fields."""
    for name in type(node).__dataclass_fields__:
        yield from _nodes(getattr(node, name))


def _nodes(value: Any) -> Iterator[Node]:
    if isinstance(value, Node):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _nodes(item)
