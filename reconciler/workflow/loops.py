"""A call's items: what withItems, withParam and withSequence mean once their tags have values.

Argo: docs/walk-through/loops.md. It makes no nodes; it never looks at how far a loop has got.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.errors import ManifestError
from reconciler.expr.tags import Variables, substitute
from reconciler.manifest.scalars import go_text
from reconciler.model.spec import Call, Sequence

MOST_OF_ITEM = 256 * 1024  # bytes of JSON
_LONGEST_LABEL = 200
_WIDEST = 3  # digits of a width
_FORMAT = re.compile(r"%[-+ #0]*([0-9]*)[dxXobc]")
_HAS_ITEM = re.compile(r"\{\{\s*=?[^}]*\bitem\b")

Values = Variables | Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One turn of a loop: its index, and the item as plain data. The texts are made only for turns that are looked at."""

    index: int
    value: Any

    @property
    def json(self) -> str:
        """The item as JSON text."""
        return json.dumps(self.value, ensure_ascii=False)

    @property
    def label(self) -> str:
        """What stands behind a node's name: `(0:value)`; a map as sorted key:value pairs (Argo)."""
        value = self.value
        if isinstance(value, dict):
            text = ",".join(f"{key}:{item_text(value[key])}" for key in sorted(value))
        else:
            text = item_text(value)
        text = text.replace("(", "").replace(")", "")
        return f"({self.index}:{text[:_LONGEST_LABEL]})"


def frozen(items: Iterable[Item]) -> list[Any]:
    """The items as a node keeps them: what is decided once stays, whatever becomes of the variables behind it."""
    return [item.value for item in items]


def thawed(values: Iterable[Any]) -> list[Item]:
    """The items that a node has kept."""
    return [Item(index=index, value=value) for index, value in enumerate(values)]


def item_text(value: Any) -> str:
    """An item, or a field of one, as a tag shows it: text raw, numbers and booleans as Go prints them, the rest as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, (dict, list)):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return "null" if value is None else go_text(value)


def mentions_item(text: str) -> bool:
    """True if a text has a tag of the loop's item: it can only be decided for each turn."""
    return _HAS_ITEM.search(text) is not None


def items_of(call: Call, values: Values, most: int) -> list[Item]:
    """The turns of a loop, in order.

    Raises ManifestError for a list that is none, a sequence that is none, or one of more than `most` items.
    """
    if call.items is not None:
        found: list[Any] = [_resolved(item, values) for item in call.items]
        _check_sizes(found, call.name)
    elif call.with_param is not None:
        found = _parsed(substitute(call.with_param, values), call.name)  # no text with a tag in it grows beyond an item
    else:
        assert call.sequence is not None
        found = _sequence(call.sequence, values, call.name, most)
    if len(found) > most:
        raise ManifestError(_too_many("the loop", call.name, len(found), most))
    return thawed(found)


def _too_many(what: str, name: str, count: int, most: int) -> str:
    return f'{what} of "{name}" has {count} items; give it at most {most} (limits.loop_items), or divide it into several runs'


def _check_sizes(items: list[Any], name: str) -> None:
    for index, item in enumerate(items):
        size = len(json.dumps(item, ensure_ascii=False).encode(errors="replace")) if isinstance(item, (dict, list)) else 0
        if size > MOST_OF_ITEM:
            raise ManifestError(
                f'item {index} of the loop of "{name}" has {size} bytes as JSON; give it at most {MOST_OF_ITEM},'
                " or hand over a file's name"
            )


def _resolved(item: Any, values: Values) -> Any:
    if isinstance(item, str):
        return substitute(item, values)
    if isinstance(item, dict):
        return {key: _resolved(part, values) for key, part in item.items()}
    return [_resolved(part, values) for part in item] if isinstance(item, list) else item


def _parsed(text: str, name: str) -> list[Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, list):
        shown = text if len(text) <= 60 else text[:60] + "..."
        raise ManifestError(f'withParam of "{name}" is {shown!r}, which is no JSON list; give it a list such as [1, 2]')
    return found


def _sequence(sequence: Sequence, values: Values, name: str, most: int) -> list[str]:
    start = _whole(sequence.start, values, name, "start") or 0
    count = _whole(sequence.count, values, name, "count")
    end = _whole(sequence.end, values, name, "end")
    if count is not None:
        numbers = range(start, start + count)
    elif end is None:
        raise ManifestError(f'withSequence of "{name}" has neither count nor end; give one of them')
    else:
        numbers = range(start, end + 1) if start <= end else range(start, end - 1, -1)
    length = (numbers.stop - numbers.start) * numbers.step  # len() knows no numbers beyond 63 bits
    if length > most:
        raise ManifestError(_too_many("withSequence", name, length, most))
    form = substitute(sequence.format, values)
    if not form:
        return [str(number) for number in numbers]
    verbs = _FORMAT.findall(form.replace("%%", ""))
    if len(verbs) != 1 or form.replace("%%", "").count("%") != 1:
        raise ManifestError(f'withSequence of "{name}": format {form!r} has no single verb like %d, %02d or %x; correct it')
    if len(verbs[0]) > _WIDEST:
        raise ManifestError(f'withSequence of "{name}": format {form!r} has a width of {len(verbs[0])} digits; write at most 3')
    try:
        return [_formatted(form, number) for number in numbers]
    except (OverflowError, ValueError) as error:
        raise ManifestError(f'withSequence of "{name}": format {form!r} cannot be used: {error}; correct it') from None


def _formatted(form: str, number: int) -> str:
    return form.replace("%b", f"{number:b}") if "%b" in form else form % number


def _whole(text: str, values: Values, name: str, field: str) -> int | None:
    if not text:
        return None
    resolved = substitute(text, values).strip()
    try:
        return int(resolved)
    except ValueError:
        raise ManifestError(
            f'withSequence of "{name}": {field} is {resolved!r}, which is no whole number; write one'
        ) from None
