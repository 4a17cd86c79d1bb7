"""Wanted locks as values, their names still templated.

Owns what a synchronization block means, in its plural and its legacy spelling. It never looks at a limit or a holder.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.errors import ManifestError
from reconciler.manifest import rules, schema
from reconciler.manifest.positions import Path
from reconciler.manifest.reading import Reading
from reconciler.model.locks import LockKind, LockRef, WholeLock


def read_lock_key(key: str) -> WholeLock:
    """The lock that a key of the lock table names. Raises ManifestError for text that is none."""
    namespace, _, rest = key.partition("/")
    kind, _, name = rest.partition("/")
    if not namespace or kind not in set(LockKind) or not name.strip("/ "):
        kinds = ", ".join(one for one in LockKind if one is not LockKind.POLICY)
        raise ManifestError(f"lock {key!r} is not NAMESPACE/KIND/NAME, such as default/Mutex/prod; KIND is one of {kinds}")
    return WholeLock(key=key, kind=LockKind(kind), namespace=namespace, name=name)


def read_locks(r: Reading, value: Any, at: Path) -> tuple[LockRef, ...]:
    """All wanted locks: semaphores in their order, then mutexes (Argo: workflow/sync/syncitems.go)."""
    if value is None:
        return ()
    fields = r.fields(value, at, schema.SYNCHRONIZATION)
    return (*_lock_list(r, fields, "semaphore", at), *_lock_list(r, fields, "mutex", at))


def _lock_list(r: Reading, fields: Mapping[str, Any], singular: str, at: Path) -> list[LockRef]:
    plural = "mutexes" if singular == "mutex" else "semaphores"
    read = _mutex if singular == "mutex" else _semaphore
    path: Path = (*at, plural)
    locks = [read(r, item, (*path, number)) for number, item in enumerate(r.items(fields.get(plural), path))]
    if fields.get(singular) is not None:
        path = (*at, singular)
        r.note(rules.LEGACY, path, f'field "{singular}" is the legacy spelling; write the list "{plural}"', on_key=True)
        locks.append(read(r, fields[singular], path))
    return locks


def _mutex(r: Reading, value: Any, at: Path) -> LockRef:
    fields = r.fields(value, at, schema.MUTEX)
    is_shared = r.boolean(fields.get("database"), (*at, "database"))
    return LockRef(
        kind=LockKind.DATABASE_MUTEX if is_shared else LockKind.MUTEX,
        name=r.needed_text(fields, "name", at, "a mutex"),
        namespace=r.text(fields.get("namespace"), (*at, "namespace")) or None,
    )


def _semaphore(r: Reading, value: Any, at: Path) -> LockRef:
    fields = r.fields(value, at, schema.SEMAPHORE)
    path = (*at, "configMapKeyRef")
    reference = r.fields(fields.get("configMapKeyRef"), path, schema.CONFIG_KEY)
    namespace = r.text(fields.get("namespace"), (*at, "namespace")) or None
    configmap = key = ""
    if fields.get("database") is not None:
        if fields.get("configMapKeyRef") is not None:
            message = 'a semaphore has "configMapKeyRef" and "database"; keep one'
            r.note(rules.CONFLICT, (*at, "database"), message, on_key=True)
        shared = r.fields(fields["database"], (*at, "database"), schema.DATABASE_KEY)
        name = r.needed_text(shared, "key", (*at, "database"), "a semaphore's database")
        return LockRef(kind=LockKind.DATABASE, name=name, namespace=namespace)
    if fields.get("configMapKeyRef") is not None:
        configmap = r.needed_text(reference, "name", path, "configMapKeyRef")
        key = r.needed_text(reference, "key", path, "configMapKeyRef")
    else:
        r.missing("configMapKeyRef", at, "a semaphore")
    return LockRef(
        kind=LockKind.SEMAPHORE,
        configmap=configmap,
        key=key,
        namespace=namespace,
    )
