"""Checks of synchronization: names, doubles, limits, what is held already, and orders that can lock up.

Names are compared as they are written: two texts with tags are taken for one lock only if they are the same text and mean
the same in both places, which tags of inputs do not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

from reconciler.lint import rules
from reconciler.lint.scope import Path, View, calls_in
from reconciler.manifest.reading import nearest
from reconciler.model.spec import Document, Kind, LockKind, LockRef, Template

_MOST_STEPS = 50_000  # a workflow made to be dear has more ways to a template than anybody can look at
_NO_LIMIT = "the limit that was read last stays, and if none ever was the lock admits nobody"
_Held = Mapping[str, str]  # lock key -> who holds it, for a message


def check_locks(view: View) -> None:
    """All checks of one spec's own locks but their order."""
    _check_block(view, view.own.locks, (*view.at, "synchronization"))
    for template in view.own.templates.values():
        _check_block(view, template.locks, (*view.path_of(template), "synchronization"))
    if not view.is_partial:
        _check_held(view)


def _check_block(view: View, locks: Sequence[LockRef], block: Path) -> None:
    seen: dict[str, str] = {}
    for lock, (_, path) in zip(locks, view.lock_paths(block), strict=False):
        parts = (lock.name,) if lock.kind is LockKind.MUTEX else (lock.configmap, lock.key)
        if any(part and not part.strip() for part in parts):
            view.report(rules.LOCK_NAME, path, "the lock's name is blank; give it a name")
            continue
        if not all(parts):
            continue  # told when the field was read
        key = key_of(lock, view.document.namespace)
        if key in seen:
            message = f'{lock_title(lock)} is already named in this block, as "{seen[key]}"; remove one of the two'
            view.report(rules.LOCK_TWICE, path, message)
            continue
        seen[key] = key
        if lock.kind is LockKind.SEMAPHORE and "{{" not in key:
            _check_limit(view, lock, path)


def _check_limit(view: View, lock: LockRef, path: Path) -> None:
    namespace = lock.namespace or view.document.namespace
    path = (*path, "configMapKeyRef")
    known = view.tree.find(Kind.CONFIG_MAP, namespace, lock.configmap)
    if known is None:
        near = _near(lock.configmap, view.tree.names(Kind.CONFIG_MAP, namespace))
        message = f'ConfigMap "{namespace}/{lock.configmap}" is not known: {_NO_LIMIT}; {near or "add it"}'
        view.report(rules.NO_LIMIT, (*path, "name"), message)
        return
    if lock.key not in known.data:
        near = _near(lock.key, known.data)
        message = f'ConfigMap "{namespace}/{lock.configmap}" has no key "{lock.key}": {_NO_LIMIT}; {near or "add it"}'
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


def _near(name: str, known: Iterable[str]) -> str:
    advice = nearest(name, (one for one in known if one != name))
    return "" if advice == "remove it" else advice


def _check_held(view: View) -> None:
    """Locks that an enclosing holder has already: they take no second unit."""
    namespace = view.document.namespace
    spec = view.own
    workflow = {key_of(lock, namespace): "the workflow" for lock in spec.locks}
    told: set[tuple[str, str]] = set()
    for template, held in _walk_held(view, workflow):
        block = (*view.path_of(template), "synchronization")
        for lock, (_, path) in zip(template.locks, view.lock_paths(block), strict=False):
            key = key_of(lock, namespace)
            if key not in held or (template.name, key) in told or _is_local(key):
                continue
            told.add((template.name, key))
            message = f"{lock_title(lock)} is already held by {held[key]}: it takes no second unit here; remove one of the two"
            view.report(rules.LOCK_HELD, path, message)


def _walk_held(view: View, workflow: _Held) -> Iterator[tuple[Template, _Held]]:
    """Each reachable template with the locks held around it; each (template, held) once, up to a bound on the work."""
    templates = view.own.templates
    starts = [name for name in (view.own.entrypoint, view.own.on_exit) if name in templates]
    starts = starts or list(templates)
    waiting = [(name, tuple(workflow.items())) for name in reversed(starts)]
    seen: set[tuple[str, tuple[tuple[str, str], ...]]] = set()
    steps = _MOST_STEPS
    while waiting:
        name, held = waiting.pop()
        template = templates.get(name)
        if template is None or (name, held) in seen:
            continue
        seen.add((name, held))
        steps -= 1 + len(held)
        if steps < 0:
            return
        yield template, dict(held)
        around = dict(held)
        for lock in template.locks:
            around.setdefault(key_of(lock, view.document.namespace), f'template "{name}" around it')
        waiting += [(call.template, tuple(around.items())) for call in reversed(calls_in(template))]


def check_lock_order(views: Sequence[View]) -> None:
    """Mutexes that are asked for while others are held, in a circle over all documents: a deadlock that can be seen."""
    orders: dict[str, dict[str, tuple[View, Path]]] = {}
    for view in views:
        if view.is_partial:
            continue
        for held, wanted, path in _orders_of(view):
            orders.setdefault(held, {}).setdefault(wanted, (view, path))
    graph = {held: sorted(wanted) for held, wanted in sorted(orders.items())}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        ring: list[str] = error.args[1][::-1]
        for held, wanted in pairwise(ring):
            view, path = orders[held][wanted]
            circle = " -> ".join(ring)
            message = (
                f'lock "{wanted}" is asked for while "{held}" is held, and elsewhere the other way round ({circle}): '
                "two runs can wait for each other; take them in one order"
            )
            view.report(rules.LOCK_ORDER, path, message)


def _orders_of(view: View) -> Iterator[tuple[str, str, Path]]:
    namespace = view.document.namespace
    workflow = {key_of(lock, namespace): "" for lock in view.own.locks if lock.kind is LockKind.MUTEX}
    for template, held in _walk_held(view, workflow):
        block = (*view.path_of(template), "synchronization")
        for lock, (_, path) in zip(template.locks, view.lock_paths(block), strict=False):
            wanted = key_of(lock, namespace)
            if lock.kind is not LockKind.MUTEX or "{{" in wanted or wanted in held:
                continue
            for key in held:
                if "{{" not in key and "/Mutex/" in key:
                    yield key, wanted, path


def key_of(lock: LockRef, namespace: str) -> str:
    """The lock's key as written, spaces inside braces gone: `default/Mutex/deploy-{{workflow.parameters.x}}`."""
    name = lock.name if lock.kind is LockKind.MUTEX else f"{lock.configmap}/{lock.key}"
    key = f"{lock.namespace or namespace}/{lock.kind.value}/{name}"
    return "}}".join(_tight(part) for part in key.split("}}")) if "{{" in key else key


def _tight(part: str) -> str:
    before, braces, tag = part.partition("{{")
    return before + braces + tag.strip()


def _is_local(key: str) -> bool:
    """True if the key has a tag that may mean another thing in another template."""
    return any(f"{{{{{root}" in key for root in ("inputs", "item", "steps", "tasks", "pod", "node"))


def lock_title(lock: LockRef) -> str:
    """A lock as messages name it."""
    if lock.kind is LockKind.MUTEX:
        return f'mutex "{lock.name}"'
    return f'semaphore "{lock.configmap}/{lock.key}"'
