"""What a corpus takes for granted beside its files: limits of semaphores, and ConfigMaps that somebody has made before.

Every semaphore key that a row's files name and do not set gets one limit; the ConfigMaps are those of parameters.toml.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

from reconciler.manifest import parse_file
from reconciler.model.locks import LockKind, LockRef
from reconciler.model.spec import Document, Kind

LIMIT = "2"
PARAMETERS = Path(__file__).resolve().parent / "parameters.toml"


def read_parameters() -> Mapping[str, Mapping[str, Mapping[str, object]]]:
    """The tables of parameters.toml."""
    with open(PARAMETERS, "rb") as file:
        return tomllib.load(file)


def from_outside(files: Iterable[Path]) -> str:
    """The ConfigMaps that the files need and do not bring, as documents of one file; '' for none."""
    texts = {path: path.read_bytes() for path in files}
    documents = [document for path, text in texts.items() for document in parse_file(str(path), "", text).documents]
    brought = {(d.name, key) for d in documents if d.kind is Kind.CONFIG_MAP for key in d.data}
    maps: dict[tuple[str, str], dict[str, str]] = {}
    for document in documents:
        for lock in _locks(document):
            is_given = (lock.configmap, lock.key) in brought or "{{" in lock.configmap + lock.key
            if lock.kind is LockKind.SEMAPHORE and lock.configmap and not is_given:
                maps.setdefault((lock.namespace or "", lock.configmap), {})[lock.key] = LIMIT
    known = {name for name, _ in brought}
    for name, values in read_parameters().get("configmaps", {}).items():
        if name not in known and any(name.encode() in text for text in texts.values()):
            maps.setdefault(("", name), {}).update({key: str(value) for key, value in values.items()})
    return "\n---\n".join(json.dumps(_config_map(namespace, name, data)) for (namespace, name), data in maps.items())


def shared_keys(files: Iterable[Path]) -> tuple[str, ...]:
    """The keys of database semaphores in the files, each once, in order."""
    documents = [document for path in files for document in parse_file(str(path), "", path.read_bytes()).documents]
    locks = (lock for document in documents for lock in _locks(document))
    return tuple(dict.fromkeys(lock.name for lock in locks if lock.kind is LockKind.DATABASE and "{{" not in lock.name))


def _locks(document: Document) -> Iterable[LockRef]:
    if document.spec is not None:
        yield from document.spec.locks
        for template in document.spec.templates.values():
            yield from template.locks


def _config_map(namespace: str, name: str, data: dict[str, str]) -> dict[str, object]:
    metadata = {"name": name, "namespace": namespace} if namespace else {"name": name}  # '' is the run's own
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
