"""The kinds of `lineclear.dev` read into values: InfrastructureDefinition, ResourceConstraint, LockPolicy.

Owns what their fields may hold. It never looks at a lock, and never resolves a tag.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from reconciler.manifest import rules, schema
from reconciler.manifest.positions import Path
from reconciler.manifest.reading import Reading, shown
from reconciler.model.duration import parse_argo_duration
from reconciler.model.own_kinds import (
    NO_BOUND,
    FreezeWindow,
    InfrastructureDefinition,
    LockPolicy,
    OnFailure,
    Overflow,
    OwnKind,
    ResourceConstraint,
)
from reconciler.model.spec import Kind

_PATTERN = re.compile(r"[^\s\x00-\x1f]+")
_FIELD = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_OVERTAKE = 3
_LONGEST_FREEZE_S = 366 * 86400
_AT: Path = ("spec",)


def read_own_kind(r: Reading, kind: Kind, value: Any) -> OwnKind | None:
    """The spec of a document of ours, or None for any other kind."""
    read = _READERS.get(kind)
    if read is None:
        return None
    if value is None:
        r.missing("spec", (), "the manifest")
        return None
    return read(r, value)


def read_lock_policy(body: Mapping[str, Any]) -> LockPolicy:
    """What a live LockPolicy says: its whole document as plain data, which was checked when it came."""
    return _lock_policy(Reading(), body["spec"])


def read_infrastructure(body: Mapping[str, Any]) -> InfrastructureDefinition:
    """The same of a live InfrastructureDefinition."""
    return _infrastructure(Reading(), body["spec"])


def read_constraint(body: Mapping[str, Any]) -> ResourceConstraint:
    """The same of a live ResourceConstraint."""
    return _constraint(Reading(), body["spec"])


def _infrastructure(r: Reading, value: Any) -> InfrastructureDefinition:
    spec = r.fields(value, _AT, schema.INFRASTRUCTURE)
    at: Path = (*_AT, "fields")
    if not spec.get("fields"):
        r.missing("fields", _AT, "an InfrastructureDefinition")
    fields = r.text_map(spec.get("fields"), at)
    for name in fields:
        if not _FIELD.fullmatch(name):
            message = f'field name "{name}" is not allowed: use letters, digits, ".", "_" or "-"'
            r.note(rules.NOT_ALLOWED, (*at, name), message, on_key=True)
    return InfrastructureDefinition(fields=fields)


def _constraint(r: Reading, value: Any) -> ResourceConstraint:
    spec = r.fields(value, _AT, schema.CONSTRAINT)
    if spec.get("capacity") is None:
        r.missing("capacity", _AT, "a ResourceConstraint")
    strategy = _word(r, spec, "strategy", ("FIFO", "ASAP"))
    return ResourceConstraint(
        capacity=r.integer(spec.get("capacity"), (*_AT, "capacity")) or 0,
        passes=NO_BOUND if strategy == "ASAP" else 0,
    )


def _lock_policy(r: Reading, value: Any) -> LockPolicy:
    spec = r.fields(value, _AT, schema.LOCK_POLICY)
    _check_together(r, spec)
    on_failure = _word(r, spec, "onFailure", tuple(OnFailure))
    order = _word(r, spec, "order", ("Strict", "Overtake"))
    limit = r.integer(spec.get("queueLimit"), (*_AT, "queueLimit"), least=1)
    reserved = r.integer(spec.get("reservedPlaces"), (*_AT, "reservedPlaces")) or 0
    if limit is not None and reserved >= limit:
        message = f"reservedPlaces is {reserved}, and queueLimit {limit}: nothing is left for others; leave a place at least"
        r.note(rules.NOT_ALLOWED, (*_AT, "reservedPlaces"), message)
    passes = r.integer(spec.get("overtakeAtMost"), (*_AT, "overtakeAtMost"), least=1) or _OVERTAKE
    return LockPolicy(
        locks=_patterns(r, spec),
        on_failure=OnFailure(on_failure) if on_failure else None,
        hold_for_s=_seconds(r, spec, "holdFor"),
        queue_limit=limit,
        overflow=Overflow(_word(r, spec, "overflow", tuple(Overflow)) or Overflow.REJECT_NEW),
        reserved=reserved,
        wait_limit_s=_seconds(r, spec, "waitLimit"),
        hold_limit_s=_seconds(r, spec, "holdLimit"),
        ends_hold=_word(r, spec, "holdLimitAction", ("Alarm", "End")) == "End",
        overtake=passes if order == "Overtake" else 0,
        fails_youngest=_word(r, spec, "deadlock", ("Report", "FailYoungest")) == "FailYoungest",
        freeze=_windows(r, spec),
    )


_NEEDS = (
    ("holdFor", "onFailure", "Hold"),
    ("overtakeAtMost", "order", "Overtake"),
    ("holdLimitAction", "holdLimit", ""),
    ("overflow", "queueLimit", ""),
    ("reservedPlaces", "queueLimit", ""),
)


def _check_together(r: Reading, spec: Mapping[str, Any]) -> None:
    """Fields that mean nothing without another."""
    for name, other, value in _NEEDS:
        if spec.get(name) is not None and (spec.get(other) is None or (value and spec[other] != value)):
            wanted = f'"{other}: {value}"' if value else f'"{other}"'
            message = f'"{name}" means nothing without {wanted}; add that, or remove this'
            r.note(rules.CONFLICT, (*_AT, name), message, on_key=True)


def _patterns(r: Reading, spec: Mapping[str, Any]) -> tuple[str, ...]:
    at: Path = (*_AT, "locks")
    patterns = r.texts(spec.get("locks"), at)
    if not patterns:
        r.missing("locks", _AT, "a LockPolicy")
    for number, text in enumerate(patterns):
        if not _PATTERN.fullmatch(text):
            message = f"{shown(text)} is no pattern of lock names; write a name, prod-*, or Mutex/prod-*"
            r.note(rules.NOT_ALLOWED, (*at, number), message)
    return patterns


def _windows(r: Reading, spec: Mapping[str, Any]) -> tuple[FreezeWindow, ...]:
    at: Path = (*_AT, "freeze")
    found = []
    for number, item in enumerate(r.items(spec.get("freeze"), at)):
        path: Path = (*at, number)
        fields = r.fields(item, path, schema.FREEZE)
        schedule, timezone = (r.needed_text(fields, name, path, "a freeze window") for name in ("schedule", "timezone"))
        if fields.get("duration") is None:
            r.missing("duration", path, "a freeze window")
        length = _seconds(r, fields, "duration", path) or 1
        if length > _LONGEST_FREEZE_S:
            r.note(rules.NOT_ALLOWED, (*path, "duration"), "duration is longer than a year; a limit of 0 closes for good")
        found.append(FreezeWindow(schedule, length, timezone, r.text(fields.get("reason"), (*path, "reason"))))
    return tuple(found)


def _word(r: Reading, spec: Mapping[str, Any], name: str, allowed: tuple[str, ...]) -> str:
    text = r.text(spec.get(name), (*_AT, name))
    if text and text not in allowed:
        r.note(rules.NOT_ALLOWED, (*_AT, name), f'{name} "{text}" is not known; use {" or ".join(str(word) for word in allowed)}')
        return ""
    return text


def _seconds(r: Reading, spec: Mapping[str, Any], name: str, at: Path = _AT) -> int | None:
    """A duration as whole seconds, rounded up; None if it is not given, or wrong."""
    text = r.text(spec.get(name), (*at, name), style="f")
    if not text:
        return None
    try:
        length = math.ceil(parse_argo_duration(text).total_seconds())
    except ValueError as error:
        r.note(rules.NOT_ALLOWED, (*at, name), f"{name} {error}; correct it")
        return None
    if length == 0:
        r.note(rules.NOT_ALLOWED, (*at, name), f"{name} is no time at all; give it a duration such as 30m")
        return None
    return min(length, NO_BOUND)


_READERS: Mapping[Kind, Callable[[Reading, Any], OwnKind]] = {
    Kind.INFRASTRUCTURE: _infrastructure,
    Kind.CONSTRAINT: _constraint,
    Kind.LOCK_POLICY: _lock_policy,
}
