"""Reads names that start with what somebody has typed: for completion. Each is one bounded statement."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from reconciler.store.read import Reader

MOST = 200
_RUNS = """
SELECT name, phase FROM run WHERE namespace = :namespace AND substr(name, 1, length(:typed)) = :typed
ORDER BY id DESC LIMIT :most"""
_LOCKS = """
SELECT key, kind FROM lock
WHERE substr(key, 1, length(:typed)) = :typed OR substr(name, 1, length(:typed)) = :typed ORDER BY key LIMIT :most"""
_DEFINITIONS = """
SELECT name, kind FROM definition WHERE namespace = :namespace AND kind = :kind AND retired_at IS NULL
  AND substr(name, 1, length(:typed)) = :typed ORDER BY name LIMIT :most"""


def list_run_names(reader: Reader, namespace: str, typed: str) -> list[tuple[str, str]]:
    """(name, phase) of runs, newest first, at most 200."""
    return [(row[0], row[1]) for row in reader.rows(_RUNS, namespace=namespace, typed=typed, most=MOST)]


def list_lock_keys(reader: Reader, typed: str) -> list[tuple[str, str]]:
    """(key, kind) of locks whose key or name starts so, at most 200."""
    return [(row[0], row[1]) for row in reader.rows(_LOCKS, typed=typed, most=MOST)]


def list_definition_names(reader: Reader, kind: str, namespace: str, typed: str) -> list[tuple[str, str]]:
    """(name, kind) of live definitions, at most 200."""
    rows = reader.rows(_DEFINITIONS, namespace=namespace, kind=kind, typed=typed, most=MOST)
    return [(row[0], row[1]) for row in rows]
