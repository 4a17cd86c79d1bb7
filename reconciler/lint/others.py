"""Locks of definitions that are live and not checked: whose names are compared, and who could close a circle with what is.

Owns the question and how far it is followed. Nothing is asked where the checked documents have no locks.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from reconciler.lint.boundary import attempt
from reconciler.lint.holding import Ask, asks_of
from reconciler.lint.scope import Tree, View
from reconciler.model.spec import Document

_MOST_ROUNDS = 10
_MOST_DOCUMENTS = 200


class LockUsers(Protocol):
    """What is known of the live definitions that are not checked. A key is `NAMESPACE/KIND/NAME`, the name as it is written."""

    def counts(self) -> Mapping[str, int]:
        """How often each key is named."""

    def naming(self, keys: Collection[str], most: int) -> Sequence[Document]:
        """Those that name one of the keys, in order, at most so many."""


def asks_of_others(tree: Tree, asks: Sequence[Ask], others: LockUsers | None) -> list[Ask]:
    """What others ask for while they hold a lock that is asked for here inside another, and so on from lock to lock."""
    if others is None or not asks:
        return []
    found: list[Ask] = []
    seen: set[int] = set()
    known: set[str] = set()
    wanted = {key for ask in asks for key, inside in ask.wanted() if inside}
    for _ in range(_MOST_ROUNDS):
        fresh = wanted - known
        if not fresh or len(seen) >= _MOST_DOCUMENTS:
            break
        known |= fresh
        for document in others.naming(sorted(fresh), _MOST_DOCUMENTS - len(seen)):
            if document.spec is not None and id(document) not in seen:
                seen.add(id(document))
                found += attempt(tree, document, _check_held, tree, document) or ()
        wanted = {key for ask in found for key, inside in ask.wanted() if inside}
    return found


def _check_held(tree: Tree, document: Document) -> list[Ask]:
    return list(asks_of(View(tree, document, document.spec))) if document.spec is not None else []
