"""Durations as text: of Go (`1h30m`, `90s`), and of Argo (also whole seconds). Never knows what a duration is for."""

from __future__ import annotations

import re
from datetime import timedelta
from fractions import Fraction

_NANOSECONDS = {
    "ns": 1,
    "us": 10**3,
    "\u00b5s": 10**3,  # micro sign and Greek mu: Go reads both
    "\u03bcs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|\u00b5s|\u03bcs|ms|s|m|h)")
_LARGEST_NS = 2**63 - 1
_LONGEST_TEXT = 64  # keeps the arithmetic on digits small whatever Git holds


def parse_go_duration(text: str) -> timedelta:
    """The duration that Go's time.ParseDuration reads from `text`, cut to the microsecond; may be negative.

    Raises ValueError with a clause such as `"5" is not a duration like 1h30m` for anything Go refuses.
    """
    refusal = ValueError(f'"{text}" is not a duration like 1h30m')
    if len(text) > _LONGEST_TEXT:
        raise refusal
    sign = -1 if text.startswith("-") else 1
    body = text[1:] if text[:1] in ("-", "+") else text
    if body == "0":
        return timedelta(0)
    parts = list(_PART.finditer(body))
    if not parts or "".join(part[0] for part in parts) != body:
        raise refusal
    total_ns = int(sum(Fraction("0" + part[1]) * _NANOSECONDS[part[2]] for part in parts))
    if total_ns > _LARGEST_NS:
        raise ValueError(f'duration "{text}" is longer than 292 years')
    return timedelta(microseconds=sign * (total_ns // 1000))


def parse_argo_duration(text: str) -> timedelta:
    """A duration as Argo's own fields take it: a whole number is seconds, else a Go duration; never negative.

    Raises ValueError with a clause such as `"soon" is not a duration like 30, 30s or 1h30m`.
    """
    bare = text.strip()
    if bare.isascii() and bare.isdigit() and len(bare) <= 10:
        return timedelta(seconds=int(bare))
    try:
        duration = parse_go_duration(bare)
    except ValueError:
        duration = timedelta(seconds=-1)
    if duration < timedelta(0):
        raise ValueError(f'"{bare[:_LONGEST_TEXT]}" is not a duration like 30, 30s or 1h30m')
    return duration
