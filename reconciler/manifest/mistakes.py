"""A mistake of ours that a document brought to light, as a finding on that document: told, and nothing else stops.

Owns the words, the reference by which the log can be searched, and the trace that stands there. It never logs by itself, and
never decides what becomes of the document.
"""

from __future__ import annotations

import os
import traceback
from hashlib import sha256

from reconciler.manifest.rules import Rule
from reconciler.model.spec import Finding, Place, Severity

_FRAMES = 30  # of a trace: one that calls itself for ever has thousands
_REFERENCE = 8  # hex digits


def mistake_finding(error: Exception, place: Place, rule: Rule, what: str, *, severity: Severity | None = None) -> Finding:
    """What could not be done at `place`, because of `error`; its `trace` is for the log. One mistake has one reference."""
    frames = traceback.extract_tb(error.__traceback__, limit=-_FRAMES)
    name = type(error).__name__
    where = _place_of(frames[-1]) if frames else "an unknown place"
    told = "\n".join([name, *(_place_of(frame) for frame in frames[-3:])])
    reference = sha256(told.encode()).hexdigest()[:_REFERENCE]
    trace = "".join(traceback.format_exception(error, limit=-_FRAMES))
    message = f"{what}: {name} at {where}: a mistake of ours, not of the manifest; report it with reference {reference}"
    return Finding(
        place=place, rule=rule.id, severity=severity or rule.severity, message=message, trace=f"{reference}: {place}: {trace}"
    )


def _place_of(frame: traceback.FrameSummary) -> str:
    folder, file = os.path.split(frame.filename)
    return f"{os.path.basename(folder)}/{file}:{frame.lineno}"
