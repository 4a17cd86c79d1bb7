"""Requests about the limits of database semaphores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.errors import NotFound, UsageError
from reconciler.loop.context import Context
from reconciler.store import limits

MOST = 10**9


def set_limit(ctx: Context, args: Mapping[str, Any]) -> dict[str, Any]:
    """Sets one; 0 closes the gate."""
    namespace, key = _named(args)
    capacity = args.get("limit")
    if not isinstance(capacity, int) or isinstance(capacity, bool) or not 0 <= capacity <= MOST:
        raise UsageError(f"limit {capacity!r} of {key!r}: it is a whole number from 0 to {MOST}")
    before = limits.set_limit(ctx.writer, namespace, key, capacity)
    was = "not set before" if before is None else f"it was {before}"
    return {"message": f"the limit of {namespace}/Database/{key} is {capacity}; {was}"}


def delete_limit(ctx: Context, args: Mapping[str, Any]) -> dict[str, Any]:
    """Forgets one; a semaphore in use keeps the last."""
    namespace, key = _named(args)
    if not limits.delete_limit(ctx.writer, namespace, key):
        raise NotFound(f"no limit is set for {key!r} in namespace {namespace}; `lineclear limit list` shows those that are")
    return {"message": f"the limit of {namespace}/Database/{key} is not set any more; where it is in use the last one stays"}


def _named(args: Mapping[str, Any]) -> tuple[str, str]:
    key = str(args.get("key") or "").strip()
    if not key:
        raise UsageError("which semaphore? name its key")
    return str(args.get("namespace") or "default"), key
