"""retryStrategy as a value, of a template and of a whole spec.

Owns which limits, policies and pauses can be written. It never counts a try.
"""

from __future__ import annotations

from typing import Any

from reconciler.manifest import rules, schema
from reconciler.manifest.positions import Path
from reconciler.manifest.reading import Reading
from reconciler.model.spec import Backoff, Retry

_POLICIES = ("Always", "OnFailure", "OnError", "OnTransientError")


def read_retry(r: Reading, value: Any, at: Path) -> Retry | None:
    """A retryStrategy; None where there is none. `retryStrategy: {}` is one without a limit."""
    if value is None:
        return None
    fields = r.fields(value, at, schema.RETRY)
    policy = r.text(fields.get("retryPolicy"), (*at, "retryPolicy"))
    if policy and policy not in _POLICIES:
        message = f'retryPolicy "{policy}" is not known; use {", ".join(_POLICIES[:-1])} or {_POLICIES[-1]}'
        r.note(rules.NOT_ALLOWED, (*at, "retryPolicy"), message)
    return Retry(
        limit=r.integer_text(fields.get("limit"), (*at, "limit")),
        policy=policy,
        expression=r.text(fields.get("expression"), (*at, "expression")),
        backoff=_backoff(r, fields.get("backoff"), (*at, "backoff")),
    )


def _backoff(r: Reading, value: Any, at: Path) -> Backoff | None:
    if value is None:
        return None
    fields = r.fields(value, at, schema.BACKOFF)
    return Backoff(
        duration=r.duration(fields.get("duration"), (*at, "duration")),
        factor=r.integer_text(fields.get("factor"), (*at, "factor")),
        cap=r.duration(fields.get("cap"), (*at, "cap")),
        max_duration=r.duration(fields.get("maxDuration"), (*at, "maxDuration")),
    )
