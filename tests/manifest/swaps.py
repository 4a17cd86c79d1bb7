"""Valid manifests with every field, and each node of them swapped for values of other types."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reconciler.manifest.text import read_documents

TEXT = (Path(__file__).parent / "data" / "every_field.yaml").read_text(encoding="utf-8")
SWAPS: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    2**63,
    1.5,
    "",
    "word",
    "{{x}}",
    "\U0001f600\x00\n",
    [],
    [None],
    [[]],
    ["word"],
    [{}],
    [{"lineclear.dev/on-failure": "Release"}],
    {},
    {"": None},
    {"word": {"word": []}},
    {"name": []},
    {"name": {"name": "word"}},
)


def documents() -> list[dict[str, Any]]:
    """Each document of the text with every field, as plain data."""
    return [raw.data for raw in read_documents(TEXT.encode())]


def paths(data: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where the nodes of plain data are, the whole first."""
    yield at
    for key, item in data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ():
        yield from paths(item, (*at, key))


def swapped(data: Any, at: tuple[Any, ...], value: Any) -> Any:
    """A copy of the data with another value at that place."""
    if not at:
        return copy.deepcopy(value)
    result = copy.deepcopy(data)
    inner = result
    for part in at[:-1]:
        inner = inner[part]
    inner[at[-1]] = copy.deepcopy(value)
    return result


def keys_swapped(data: Any, at: tuple[Any, ...]) -> Iterator[Any]:
    """Copies without that key or item, with it twice in a list, and with its key in another case."""
    result = copy.deepcopy(data)
    inner = result
    for part in at[:-1]:
        inner = inner[part]
    if isinstance(inner, list):
        twice = copy.deepcopy(result)
        where = twice
        for part in at[:-1]:
            where = where[part]
        where.append(copy.deepcopy(where[at[-1]]))
        yield twice
    else:
        upper = copy.deepcopy(result)
        where = upper
        for part in at[:-1]:
            where = where[part]
        where[at[-1].upper()] = where.pop(at[-1])
        yield upper
    del inner[at[-1]]
    yield result


def as_text(data: Any) -> bytes:
    """Plain data as a manifest."""
    return json.dumps(data, indent=1).encode()
