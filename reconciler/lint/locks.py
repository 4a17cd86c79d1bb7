"""Checks of one block of synchronization: its names, doubles and limits; and how a lock is named, as a key and in messages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from unicodedata import category

from reconciler.expr.pieces import read_pieces
from reconciler.lint import rules
from reconciler.lint.scope import Path, View
from reconciler.manifest import lock_key
from reconciler.model.locks import LockKind, LockRef
from reconciler.model.spec import Document, Kind

_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_CONTROLS = frozenset({"Cc", "Zl", "Zp"})
USUAL_LOCKS = 100  # the default of limits.locks
_NO_LIMIT = "the limit that was read last stays, and if none ever was the lock admits nobody"


def check_locks(view: View) -> None:
    """All checks of one spec's own blocks of locks, each by itself."""
    if not view.has_locks:
        return
    if view.own.locks:
        _check_block(view, view.own.locks, view.lock_paths())
    for template in view.own.templates.values():
        if template.locks:
            _check_block(view, template.locks, view.lock_paths(template))


def _check_block(view: View, locks: Sequence[LockRef], paths: Sequence[Path]) -> None:
    if len(locks) > USUAL_LOCKS:
        bound = f"one claim may want {USUAL_LOCKS} unless the setting limits.locks says more"
        message = f"{len(locks)} locks are wanted at once; {bound}"
        view.report(rules.MANY_LOCKS, paths[USUAL_LOCKS] if len(paths) > USUAL_LOCKS else paths[0], message)
    seen: dict[str, str] = {}
    for lock, path in zip(locks, paths, strict=False):
        parts = _parts(lock)
        if any(part and not part.strip() for part in parts.values()):
            view.report(rules.LOCK_NAME, path, "the lock's name is blank; give it a name")
            continue
        faults = [fault for field, part in parts.items() for fault in bad_characters(part, (*path, *field))]
        for place, message in faults:
            view.report(rules.LOCK_NAME, place, message)
        if faults or not all(parts.values()):
            continue  # an empty one was told when the field was read
        key = lock_key(lock, view.document.namespace)
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


def bad_characters(name: str, path: Path) -> Iterator[tuple[Path, str]]:
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


def is_local(key: str) -> bool:
    """True if the key has a tag that may mean another thing in another template."""
    return any(f"{{{{{root}" in key for root in ("inputs", "item", "steps", "tasks", "pod", "node"))


def lock_title(lock: LockRef) -> str:
    """A lock as messages name it."""
    return f'{title_of(lock.kind)} "{lock.written}"'


def title_of(kind: LockKind) -> str:
    """A kind of lock as messages name it."""
    what = "mutex" if kind.is_mutex else "semaphore"
    database = "database " if kind in (LockKind.DATABASE, LockKind.DATABASE_MUTEX) else ""
    return f"{database}{what}"
