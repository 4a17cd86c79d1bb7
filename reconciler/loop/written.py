"""Where a setting of a run is written: the places where an annotation of ours is looked up, in their order.

The run's own metadata, its spec's workflowMetadata, the definition that it comes from, then the template that its spec refers
to; the first that says something counts, and is named to whoever asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One place with what it says. `group` is the policy group of the definition whose document it is."""

    place: str
    group: str
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a place says, the place, and the policy group of its definition."""

    value: str
    place: str
    group: str


def find_written(layers: Sequence[Layer], name: str) -> Written | None:
    """What the first place says that says something."""
    for layer in layers:
        if name in layer.values:
            return Written(value=layer.values[name], place=layer.place, group=layer.group)
    return None


def merged(layers: Sequence[Layer]) -> dict[str, str]:
    """Everything that the places say, nearer ones over farther ones."""
    found: dict[str, str] = {}
    for layer in reversed(layers):
        found.update(layer.values)
    return found
