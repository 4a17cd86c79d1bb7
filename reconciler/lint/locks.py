"""Checks of synchronization: names, doubles, limits, what is held already, and orders that can lock up.

Names are compared as they are written: two texts with tags are taken for one lock only if they are the same text and mean
the same in both places, which tags of inputs do not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import NamedTuple
from unicodedata import category

from reconciler.expr.pieces import read_pieces
from reconciler.lint import rules
from reconciler.lint.scope import Path, View, links_of
from reconciler.manifest import hooks_of
from reconciler.model.locks import LockKind, LockRef
from reconciler.model.spec import Document, Kind, Template, TemplateRef, WorkflowSpec

_MOST_STEPS = 50_000  # a workflow made to be dear has more ways to a template than anybody can look at
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_CONTROLS = frozenset({"Cc", "Zl", "Zp"})
_NO_LIMIT = "the limit that was read last stays, and if none ever was the lock admits nobody"
_Held = Mapping[str, str]  # lock key -> who holds it, for a message


class Order(NamedTuple):
    """One mutex is asked for while another is held: their keys, and where."""

    view: View
    held: str
    wanted: str
    path: Path


def check_locks(view: View) -> list[Order]:
    """All checks of one spec's own locks but their order; returns in which order it takes mutexes."""
    if view.own.locks:
        _check_block(view, view.own.locks, view.lock_paths())
    for template in view.own.templates.values():
        if template.locks:
            _check_block(view, template.locks, view.lock_paths(template))
    return [] if view.is_partial else _check_held(view)


def _check_block(view: View, locks: Sequence[LockRef], paths: Sequence[Path]) -> None:
    seen: dict[str, str] = {}
    for lock, path in zip(locks, paths, strict=False):
        parts = _parts(lock)
        if any(part and not part.strip() for part in parts.values()):
            view.report(rules.LOCK_NAME, path, "the lock's name is blank; give it a name")
            continue
        faults = [fault for field, part in parts.items() for fault in _bad_characters(part, (*path, *field))]
        for place, message in faults:
            view.report(rules.LOCK_NAME, place, message)
        if faults or not all(parts.values()):
            continue  # an empty one was told when the field was read
        key = key_of(lock, view.document.namespace)
        if key in seen:
            message = f'{lock_title(lock)} is already named in this block, as "{seen[key]}"; remove one of the two'
            view.report(rules.LOCK_TWICE, path, message)
            continue
        seen[key] = key
        if lock.kind is LockKind.SEMAPHORE and "{{" not in key and (lock.namespace or view.document.namespace):
            _check_limit(view, lock, path)


def _parts(lock: LockRef) -> dict[Path, str]:
    """What the lock's name is made of, by the fields where it stands."""
    if lock.kind is LockKind.SEMAPHORE:
        return {("configMapKeyRef", "name"): lock.configmap, ("configMapKeyRef", "key"): lock.key}
    return {("database", "key") if lock.kind is LockKind.DATABASE else ("name",): lock.name}


def _bad_characters(name: str, path: Path) -> Iterator[tuple[Path, str]]:
    """What in a name could steer a terminal or make it look like another; what stands in tags is not looked into."""
    if name.isprintable():
        return
    literal = "".join(part for part in read_pieces(name) if isinstance(part, str))
    found = next((one for one in literal if one in _BIDI or category(one) in _CONTROLS), "")
    if found:
        shown = "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in name)
        what = "turns text round" if found in _BIDI else "is a control character"
        yield path, f'the lock\'s name "{shown}" has U+{ord(found):04X}, which {what}; write the name without it'


def _check_limit(view: View, lock: LockRef, path: Path) -> None:
    namespace = lock.namespace or view.document.namespace
    path = (*path, "configMapKeyRef")
    known = view.tree.find(Kind.CONFIG_MAP, namespace, lock.configmap)
    if known is None:
        advice = view.advice(lock.configmap, view.tree.names(Kind.CONFIG_MAP, namespace), "add it")
        message = f'ConfigMap "{namespace}/{lock.configmap}" is not known: {_NO_LIMIT}; {advice}'
        view.report(rules.NO_LIMIT, (*path, "name"), message)
        return
    if lock.key not in known.data:
        advice = view.advice(lock.key, known.data, "add it")
        message = f'ConfigMap "{namespace}/{lock.configmap}" has no key "{lock.key}": {_NO_LIMIT}; {advice}'
        view.report(rules.NO_LIMIT, (*path, "key"), message)
        return
    limit = known.data[lock.key].strip()
    if not (limit.isascii() and limit.isdigit() and len(limit) <= 9):
        message = (
            f'limit "{limit}" of ConfigMap "{namespace}/{lock.configmap}" key "{lock.key}" is not a whole number of 0 or more'
        )
        if isinstance(known, Document):
            place = f"; it is used at {view.document.place.path}"
            view.tree.report(rules.BAD_LIMIT, known, ("data", lock.key), message + place)
        else:
            view.report(rules.BAD_LIMIT, (*path, "key"), f"{message}; mend it there")


def _check_held(view: View) -> list[Order]:
    """Locks that an enclosing holder has already: they take no second unit. The others are taken in an order."""
    namespace = view.document.namespace
    workflow = {key_of(lock, namespace): "the workflow" for lock in view.own.locks}
    told: set[tuple[Path, str]] = set()
    orders: list[Order] = []
    for template, held, via in _walk_held(view, workflow):
        if not held or not template.locks:
            continue
        paths = [via] * len(template.locks) if via else view.lock_paths(template)
        for lock, path in zip(template.locks, paths, strict=False):
            key = key_of(lock, namespace)
            if key not in held:
                if lock.kind.is_mutex and "{{" not in key:
                    orders += [Order(view, one, key, path) for one in held if "{{" not in one and "Mutex/" in one]
                continue
            if (path, key) in told or _is_local(key):
                continue
            told.add((path, key))
            where = f' of template "{template.name}"' if via else ""
            what = f"{lock_title(lock)}{where} is already held by {held[key]}"
            view.report(rules.LOCK_HELD, path, f"{what}: it takes no second unit here; remove one of the two")
    return orders


def _walk_held(view: View, workflow: _Held) -> Iterator[tuple[Template, _Held, Path | None]]:
    """Each reachable template with the locks held around it; each (template, held) once, up to a bound on the work.

    With a template of another document comes the place here that leads to it. Where nothing here has a lock there is
    nothing to compare.
    """
    own = view.own
    if not own.locks and not any(template.locks for template in own.templates.values()):
        return
    waiting = [(step, tuple(workflow.items())) for step in reversed(_starts(view))]
    seen: set[tuple[str, str, tuple[tuple[str, str], ...]]] = set()
    steps = _MOST_STEPS
    while waiting:
        (scope, home, name, via), held = waiting.pop()
        template = home.templates.get(name)
        if template is None or (scope, name, held) in seen:
            continue
        seen.add((scope, name, held))
        steps -= 1 + len(held)
        if steps < 0:
            return
        yield template, dict(held), via
        around = dict(held)
        for lock in template.locks:
            around.setdefault(key_of(lock, view.document.namespace), f'template "{name}" around it')
        below = tuple(around.items())
        waiting += [(step, below) for step in reversed(_steps(view, template, (scope, home, via)))]


_Step = tuple[str, WorkflowSpec, str, Path | None]  # scope, the spec there, key in it, the place here that led out


def _starts(view: View) -> list[_Step]:
    own = view.own
    names = [own.entrypoint, *(hook.template for hook in hooks_of(own).values() if hook.reference is None)]
    starts: list[_Step] = [("", own, name, None) for name in names if name in own.templates]
    for use in view.hook_uses():
        if use.reference is not None:
            starts += _step_out(view, use.reference, use.name_at)
    return starts or [("", own, name, None) for name in own.templates]


def _steps(view: View, template: Template, at: tuple[str, WorkflowSpec, Path | None]) -> list[_Step]:
    """What a template's calls and hooks lead to."""
    scope, home, via = at
    links = list(links_of(template))
    if all(reference is None for _, reference in links):
        return [(scope, home, name, via) for name, _ in links]
    places = [via] * len(links) if via else [use.name_at for site in view.calls_of(template) for use in view.uses_of(site)]
    found: list[_Step] = []
    for (name, reference), place in zip(links, places, strict=True):
        found += _step_out(view, reference, place) if reference and place else [(scope, home, name, via)]
    return found


def _step_out(view: View, reference: TemplateRef, via: Path) -> list[_Step]:
    spec = view.spec_of(reference)
    return [(reference.scope, spec, reference.template, via)] if spec is not None else []


def check_lock_order(orders: Iterable[Order]) -> None:
    """Mutexes that are asked for while others are held, in a circle over all documents: a deadlock that can be seen."""
    by_held: dict[str, dict[str, Order]] = {}
    for order in orders:
        by_held.setdefault(order.held, {}).setdefault(order.wanted, order)
    graph = {held: sorted(wanted) for held, wanted in sorted(by_held.items())}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        ring: list[str] = error.args[1][::-1]
        for held, wanted in pairwise(ring):
            order = by_held[held][wanted]
            circle = " -> ".join(ring)
            message = (
                f'lock "{wanted}" is asked for while "{held}" is held, and elsewhere the other way round ({circle}): '
                "two runs can wait for each other; take them in one order"
            )
            order.view.report(rules.LOCK_ORDER, order.path, message)


def key_of(lock: LockRef, namespace: str) -> str:
    """The lock's key as written, spaces inside braces gone: `default/Mutex/deploy-{{workflow.parameters.x}}`."""
    key = f"{lock.namespace or namespace}/{lock.kind.value}/{lock.written}"
    return "}}".join(_tight(part) for part in key.split("}}")) if "{{" in key else key


def _tight(part: str) -> str:
    before, braces, tag = part.partition("{{")
    return before + braces + tag.strip()


def _is_local(key: str) -> bool:
    """True if the key has a tag that may mean another thing in another template."""
    return any(f"{{{{{root}" in key for root in ("inputs", "item", "steps", "tasks", "pod", "node"))


def lock_title(lock: LockRef) -> str:
    """A lock as messages name it."""
    what = "mutex" if lock.kind.is_mutex else "semaphore"
    database = "database " if lock.kind in (LockKind.DATABASE, LockKind.DATABASE_MUTEX) else ""
    return f'{database}{what} "{lock.written}"'
