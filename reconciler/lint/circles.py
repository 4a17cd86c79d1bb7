"""Locks that are asked for in circles: whether runs can come to wait for each other's locks for ever.

Owns the graph of locks (an arrow from each that is held to each that is asked for meanwhile) over all documents, and what of
it cannot happen: a claim takes all or none, a lock of an enclosing holder is only a turn, and two holders of one mutex are
never there at one time. Where the answer is not cheap, the circle is told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from reconciler.lint import rules
from reconciler.lint.holding import Ask, Frame, Site, place_of
from reconciler.lint.locks import title_of
from reconciler.lint.names import ancestors_of
from reconciler.lint.scope import Path, View, place_in
from reconciler.model.locks import LockKind, LockRef
from reconciler.model.spec import Dag, Document, Kind, Place

_MOST_LOOKS = 50_000  # at pairs of places, for one tangle
_MOST_TOLD = 20  # circles
_MOST_SHOWN = 4  # places of one circle
_ADVICE = "take them in one synchronization block, or in the same order everywhere"
_OF_ONE_RUN = ("{{workflow.name}}", "{{workflow.uid}}")
_Arrows = dict[str, dict[str, list[Ask]]]


class _Circle(NamedTuple):
    """`locks` in the order in which they are waited for, and at the same number who holds that one and asks for the next."""

    locks: tuple[str, ...]
    asks: tuple[Ask, ...]


def check_circles(asks: Sequence[Ask]) -> None:
    """Reports every circle of locks that runs can get caught in; each arrow of one is told at least once."""
    arrows = _arrows(asks)
    told: set[tuple[str, str]] = set()
    count = 0
    for part in _tangles(arrows):
        inside = {key: {other: found for other, found in arrows[key].items() if other in part} for key in sorted(part)}
        look = _Look(inside)
        for held, wanted in [(held, wanted) for held, others in inside.items() for wanted in sorted(others)]:
            circle = look.find(held, wanted) if (held, wanted) not in told and count < _MOST_TOLD else None
            if circle is not None:
                told |= set(pairwise((*circle.locks, held)))
                count += 1
                _report(circle)


def _arrows(asks: Sequence[Ask]) -> _Arrows:
    """For each lock the others that are asked for while it is held, and where: one place for each set of locks held there.

    Of a document with several places all are kept, since two of them may be in one run.
    """
    places = Counter([id(ask.view) for ask in asks])
    found: _Arrows = {}
    seen: set[tuple[str, str, frozenset[str]]] = set()
    for ask in asks:
        around = frozenset(ask.held)
        for wanted, inside in ask.wanted():
            for held in inside:
                if (held, wanted, around) not in seen or places[id(ask.view)] > 1:
                    seen.add((held, wanted, around))
                    found.setdefault(held, {}).setdefault(wanted, []).append(ask)
    return found


def _tangles(arrows: _Arrows) -> list[frozenset[str]]:
    """The sets of locks that lead to each other, of two locks and more (Tarjan's, without recursion), in order."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    on_stack: set[str] = set()
    found: list[frozenset[str]] = []
    for start in arrows:
        if start in number:
            continue
        work: list[tuple[str, Iterator[str]]] = [(start, iter(arrows[start]))]
        number[start] = low[start] = len(number)
        stack.append(start)
        on_stack.add(start)
        while work:
            key, others = work[-1]
            for other in others:
                if other not in number:
                    number[other] = low[other] = len(number)
                    stack.append(other)
                    on_stack.add(other)
                    work.append((other, iter(arrows.get(other, ()))))
                    break
                if other in on_stack:
                    low[key] = min(low[key], number[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[key])
                if low[key] == number[key]:
                    at = stack.index(key)
                    part, stack[at:] = stack[at:], []
                    on_stack.difference_update(part)
                    found += [frozenset(part)] if len(part) > 1 else []
    return sorted(found, key=min)


class _Look:
    """Looks for circles among the locks of one tangle, short ones first."""

    def __init__(self, arrows: _Arrows) -> None:
        self._arrows = arrows
        self._left = _MOST_LOOKS
        self._capacities: dict[str, int | None] = {}

    def find(self, held: str, wanted: str) -> _Circle | None:
        """A circle through this arrow that can come about; None if none can. When that is dear to know: the shortest."""
        shortest = self._shortest(held, wanted)
        for length in range(len(shortest), len(self._arrows) + 1):
            for ask in self._arrows[held][wanted]:
                found = self._extend((held, wanted), (ask,), length)
                if found is not None:
                    return found
        if self._left >= 0:
            return None
        return _Circle(shortest, tuple([self._arrows[a][b][0] for a, b in pairwise((*shortest, held))]))

    def _shortest(self, held: str, wanted: str) -> tuple[str, ...]:
        """The locks of the shortest circle through this arrow, as they are waited for."""
        before = {wanted: held}
        waiting = [wanted]
        for key in waiting:
            for other in self._arrows[key]:
                if other not in before:
                    before[other] = key
                    waiting.append(other)
            if held in before:
                break
        back = [before[held]]
        while back[-1] != wanted:
            back.append(before[back[-1]])
        return (held, *back[::-1])

    def _extend(self, locks: tuple[str, ...], asks: tuple[Ask, ...], length: int) -> _Circle | None:
        """The rest of a circle of `length` locks that begins so."""
        last, is_full = locks[-1], len(locks) == length
        for key, candidates in self._arrows.get(last, {}).items():
            if (key != locks[0]) if is_full else (key in locks):
                continue
            for ask in candidates:
                self._left -= len(asks)
                if self._left < 0:
                    return None
                if not self._can_join(asks, ask, last, locks[0] if is_full else None):
                    continue
                if is_full:
                    return _Circle(locks, (*asks, ask))
                found = self._extend((*locks, key), (*asks, ask), length)
                if found is not None:
                    return found
        return None

    def _can_join(self, asks: tuple[Ask, ...], ask: Ask, lock: str, closes: str | None) -> bool:
        """True if `ask` can be waiting while all the others are, holding `lock`, which the last of them wants."""
        if any(one.frame is ask.frame for one in asks):
            return False
        for number, other in enumerate(asks, 1):
            links = [(other, ask, lock)] if number == len(asks) else []
            links += [(ask, other, closes)] if closes is not None and number == 1 else []
            if not (self._in_two_runs(other, ask, links) or self._in_one_run(other, ask, links)):
                return False
        return True

    def _in_two_runs(self, one: Ask, other: Ask, links: Sequence[tuple[Ask, Ask, str]]) -> bool:
        if any(tag in lock for _, _, lock in links for tag in _OF_ONE_RUN):
            return False
        return not any(key in other.held and self._is_single(key, one) for key in one.held)

    def _in_one_run(self, one: Ask, other: Ask, links: Sequence[tuple[Ask, Ask, str]]) -> bool:
        """True if the two places can wait at one time inside one run, where the locks of common holders are no obstacle."""
        if one.view is not other.view:
            return False
        first, second = one.frame.chain(), other.frame.chain()
        if any(frame.is_repeated for frame in (*first, *second)):
            return True
        for depth in _partings(first, second):
            below = {id(one): _keys_of(first[depth:-1]), id(other): _keys_of(second[depth:-1])}
            is_free = not any(self._is_single(key, one) for key in below[id(one)] & below[id(other)])
            if is_free and all(lock in below[id(holder)] for _, holder, lock in links):
                return True
        return False

    def _is_single(self, key: str, ask: Ask) -> bool:
        """True if two can never hold the lock at one time."""
        if key not in self._capacities:
            self._capacities[key] = capacity_of(ask.view, _lock_of(key, ask))
        limit = self._capacities[key]
        return limit is not None and limit <= 1


def _partings(first: Sequence[Frame], second: Sequence[Frame]) -> Iterator[int]:
    """The depths from which on two ways can be in different nodes at one time."""
    common = next((n for n, (a, b) in enumerate(zip(first, second, strict=False)) if a is not b), None)
    shared = min(len(first), len(second)) if common is None else common
    yield from (depth for depth in range(1, shared) if first[depth].site.is_loop)
    if common:
        parent = first[common - 1]
        if _are_beside(parent, first[common].site, second[common].site):
            yield common


def _are_beside(parent: Frame, one: Site, other: Site) -> bool:
    """True unless it is known that the one call has ended before the other begins."""
    template = parent.template
    if template is None:
        return "exit" not in (one.hook, other.hook)
    if one.hook or other.hook:
        same_call = (one.group, one.call) == (other.group, other.call)
        return not (same_call and {one.hook, other.hook} == {"", "exit"} and not one.is_loop)
    if not isinstance(template.body, Dag):
        return one.group == other.group
    masks = ancestors_of(template.body)
    names = [template.body.tasks[site.call].name for site in (one, other)]
    if not masks or any(name not in masks for name in names):
        return True
    return not any(masks[a] >> masks[f"#{b}"] & 1 for a, b in (names, names[::-1]))


def _keys_of(frames: Iterable[Frame]) -> set[str]:
    return {key for frame in frames for key in frame.keys}


def _lock_of(key: str, ask: Ask) -> LockRef:
    frame = ask.held.get(key, ask.frame)
    return frame.locks[frame.keys.index(key)]


def capacity_of(view: View, lock: LockRef) -> int | None:
    """How many may hold the lock at one time; None if that is not written down."""
    if lock.kind.is_mutex:
        return 1
    namespace = lock.namespace or view.document.namespace
    known = view.tree.find(Kind.CONFIG_MAP, namespace, lock.configmap) if lock.kind is LockKind.SEMAPHORE else None
    limit = known.data.get(lock.key, "").strip() if known is not None else ""
    return int(limit) if limit.isascii() and limit.isdigit() and len(limit) <= 9 else None


def _report(circle: _Circle) -> None:
    """One warning, at the first place of a document that is checked."""
    tree = circle.asks[0].view.tree
    checked = {id(document) for document in tree.documents}
    wanted = (*circle.locks[1:], circle.locks[0])
    spots = [_wanted_at(ask, key, checked) for ask, key in zip(circle.asks, wanted, strict=True)]
    own = [number for number, (document, _) in enumerate(spots) if id(document) in checked] or range(len(spots))
    first = min(own, key=lambda number: _order(place_in(*spots[number])))
    name = _namer(circle.locks)
    told = []
    for number in (*range(first, len(spots)), *range(first))[:_MOST_SHOWN]:
        where = "here" if number == first else f"at {place_in(*spots[number])}"
        holds = f"while {name(circle.locks[number])} is held ({_held_at(circle.asks[number], circle.locks[number])})"
        told.append(f"{name(wanted[number])} is asked for {where} {holds}")
    more = f", and so on in a circle of {len(spots)} locks" if len(spots) > _MOST_SHOWN else ""
    who = "branches of one run" if _share_a_run(circle) else "runs"
    message = f"{', and '.join(told)}{more}: {who} can wait for each other for ever{_conditions(circle, name)}; {_ADVICE}"
    document, path = spots[first]
    tree.report(rules.LOCK_ORDER, document, path, message)


def _order(place: Place) -> tuple[str, int, int]:
    return place.path, place.line, place.column


def _wanted_at(ask: Ask, key: str, checked: Container[int]) -> tuple[Document, Path]:
    """Where a lock is asked for; if that is in a document that is not checked here, where this one leads to it."""
    found, via = place_of(ask.view, ask.frame, key), ask.frame.site.via
    if found is None or (id(found[0]) not in checked and via is not None):
        return ask.view.document, via or ask.view.at
    return found


def _held_at(ask: Ask, key: str) -> str:
    found = place_of(ask.view, ask.held[key], key)
    return str(place_in(*found)) if found is not None else f"in {ask.held[key].scope or ask.view.document.name}"


def _namer(keys: Iterable[str]) -> Callable[[str], str]:
    """How the locks of one message are named: with their namespaces only if there are several."""
    namespaces = {key.partition("/")[0] for key in keys}

    def name(key: str) -> str:
        namespace, kind, written = key.split("/", 2)
        return f'{title_of(LockKind(kind))} "{written if len(namespaces) == 1 else f"{namespace}/{written}"}"'

    return name


def _share_a_run(circle: _Circle) -> bool:
    """True if two of the places can only be in one run: both are inside the same mutex."""
    return any(
        key in other.held and _lock_of(key, one).kind.is_mutex
        for one, other in pairwise((*circle.asks, circle.asks[0]))
        for key in one.held
    )


def _conditions(circle: _Circle, name: Callable[[str], str]) -> str:
    """What must be so besides, for the locks of a circle that are no plain mutexes."""
    found = ""
    for key, ask in zip(circle.locks, circle.asks, strict=True):
        limit = capacity_of(ask.view, _lock_of(key, ask))
        if limit is None:
            found += f", once the limit of {name(key)} is reached"
        elif limit > 1:
            found += f", once all {limit} units of {name(key)} are held"
        if "{{" in key:
            found += f", if {name(key)} is the same lock for both"
    return found
