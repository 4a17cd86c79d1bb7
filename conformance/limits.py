"""Semaphore limits that are set outside the manifests: every key that a row takes and its files do not set gets one value."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from reconciler.manifest import parse_file
from reconciler.model.spec import Document, Kind, LockKind, LockRef

LIMIT = "2"


def missing_limits(files: Iterable[Path]) -> str:
    """ConfigMaps, as documents of one file, for the keys that the files' semaphores name and no ConfigMap of theirs has."""
    documents = [document for path in files for document in parse_file(str(path), "", path.read_bytes()).documents]
    given = {(d.name, key) for d in documents if d.kind is Kind.CONFIG_MAP for key in d.data}
    wanted = {
        (lock.namespace or "", lock.configmap, lock.key)
        for document in documents
        for lock in _locks(document)
        if lock.kind is LockKind.SEMAPHORE and lock.configmap and "{{" not in lock.configmap + lock.key
        if (lock.configmap, lock.key) not in given
    }
    maps: dict[tuple[str, str], dict[str, str]] = {}
    for namespace, name, key in sorted(wanted):
        maps.setdefault((namespace, name), {})[key] = LIMIT
    return "\n---\n".join(json.dumps(_config_map(namespace, name, data)) for (namespace, name), data in maps.items())


def _locks(document: Document) -> Iterable[LockRef]:
    if document.spec is not None:
        yield from document.spec.locks
        for template in document.spec.templates.values():
            yield from template.locks


def _config_map(namespace: str, name: str, data: dict[str, str]) -> dict[str, object]:
    metadata = {"name": name, "namespace": namespace} if namespace else {"name": name}  # '' is the run's own
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
