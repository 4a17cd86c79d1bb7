"""The calls of a group and the turns of its loops, made in order, as many as there is room and budget for.

A group's row says how many of them are made: going on costs what is still to be made, however much is there. A retried run
begins again at the first, and finds those that are there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from reconciler.model.spec import Call
from reconciler.model.state import NodeState, NodeType, Phase
from reconciler.workflow.calls import Making, enter
from reconciler.workflow.loops import Item

if TYPE_CHECKING:
    from reconciler.workflow.engine import Decision

Part = tuple[Call, str, Sequence[Any] | None]  # a call, the name of its node or of its turns before their label, its items


@lru_cache(maxsize=8)  # a narrow loop looks at its items at each end of a turn
def kept_items(text: str) -> Sequence[Any]:
    """The items that a loop of a dag has kept."""
    found: list[Any] = json.loads(text)
    return found


@lru_cache(maxsize=8)
def kept_by_call(text: str) -> Mapping[str, Sequence[Any]]:
    """The items that the loops of a step group have kept, by call."""
    found: dict[str, list[Any]] = json.loads(text) if text else {}
    return found


def make_missing(d: Decision, group: NodeState, owner: NodeState, parts: Sequence[Part], most: int | None) -> bool:
    """Makes what a group lacks, with at most `most` of it unfinished at a time (None: any number).

    `owner` is the steps or dag node whose calls they are. False if the budget is spent: then the group is taken up again later.
    """
    made = group.made
    position = 0
    is_done = True
    for call, base, items in parts:
        size = 1 if items is None else len(items)
        for index in range(max(0, made - position), size):
            name, item = _place(base, items, index)
            if d.is_cut(group):
                is_done = False
                break
            if not _is_there(d, name):
                if most is not None and d.tree.count_unfinished(group) >= most:
                    break
                _make(d, group, owner, call, name, item)
            made = position + index + 1
        position += size
        if made < position:
            break
    d.tree.note_loops(d.tree.get(group.name) or group, made=made)
    return is_done


def _place(base: str, items: Sequence[Any] | None, index: int) -> tuple[str, Item | None]:
    """The name of a call's node, or of one of its turns, and the turn."""
    item = None if items is None else Item(index=index, value=items[index])
    return base + (item.label if item is not None else ""), item


def _is_there(d: Decision, name: str) -> bool:
    """True if the node is there already: one of a retried run, which goes on if it waits."""
    node = d.tree.get(name)
    if node is None:
        return False
    d.budget.look()
    if node.phase is Phase.PENDING and node.type is not NodeType.POD:
        d.start_if_granted(node)
    return True


def _make(  # the place, whose call it is, and the turn
    d: Decision, group: NodeState, owner: NodeState, call: Call, name: str, item: Item | None
) -> None:
    item_json = "" if item is None else item.json
    label = "" if item is None else item.label
    making = Making(name=name, parent=group, display=call.name + label, item_json=item_json)
    enter(d, making, call, d.scope.for_call(owner, call, item_json))
