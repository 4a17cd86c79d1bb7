"""Tags that are nearly Argo's: a slip in the first word, or braces that are never closed. Both stay in the text as they are.

Owns when a word is near enough; a tag of another program, `{{.Names}}` or `{{name}}`, must never count as a slip.
"""

from __future__ import annotations

import difflib
import re
from itertools import pairwise

from reconciler.expr.pieces import each_tag, read_pieces

_ROOTS = ("cronworkflow", "inputs", "item", "lastRetry", "node", "outputs", "pod", "retries", "steps", "tasks", "workflow")
_SHORT = {"node": ".name", "pod": ".name", "retries": ""}  # too like other words: only with what follows them
_PATH = re.compile(r"([A-Za-z]+)((?:\.[\w-]+)*)")
_LOWER = {root.lower(): root for root in _ROOTS}
_NEAR, _NEAR_SHORT = 0.75, 0.8
_OPENED = re.compile(rf"\s*=?\s*((?:{'|'.join(_ROOTS)})\.[\w.-]*)")
_OPENING = "{{"


def read_tags(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of the tags, as `find_tags` gives them, and those of Argo's variables behind braces that are never closed."""
    pieces = read_pieces(text)
    tags = dict.fromkeys(name for tag in each_tag(pieces) if (name := tag.name()) is not None)
    found = [
        match[1]
        for opening, behind in pairwise(pieces)
        if opening == _OPENING and isinstance(behind, str) and (match := _OPENED.match(behind))
    ]
    return tuple(tags), tuple(dict.fromkeys(found))


def near_name(name: str, *, sees_item: bool = False) -> str:
    """What a name that is none of Argo's was meant to be, or ''. `sees_item`: it stands in a loop."""
    match = _PATH.fullmatch(name)
    if match is None:
        return ""
    word, rest = match.groups()
    for root in difflib.get_close_matches(word.lower(), _LOWER, cutoff=_NEAR):
        if _fits(root, word, rest, sees_item=sees_item):
            return _LOWER[root] + rest
    return ""


def _fits(root: str, word: str, rest: str, *, sees_item: bool) -> bool:
    if root == "item":
        return sees_item
    if root not in _SHORT:
        return bool(rest)
    return rest == _SHORT[root] and difflib.SequenceMatcher(None, word.lower(), root).ratio() >= _NEAR_SHORT
