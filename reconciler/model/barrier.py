"""Barriers: where the runs of one pipeline run wait for one another. What one is, and where a run stands with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from reconciler.model.spec import Dag, Steps, Suspend, Template

BARRIER = "lineclear.dev/barrier"
BARRIER_TIMEOUT = "lineclear.dev/barrier-timeout"
PIPELINE = "lineclear.dev/pipeline"
DEFAULT_TIMEOUT = "10m"


class BarrierPhase(StrEnum):
    """Where one run stands: on its way, waiting, done with it alone (skipped, or let pass), passed with all, failed with all."""

    ABSENT = "absent"
    ARRIVED = "arrived"
    REACHED = "reached"
    PASSED = "passed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One run at one barrier. `node` is where it waits, '' before; `message` says why it failed."""

    phase: BarrierPhase
    node: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BarrierNews:
    """What a decision about a run means for one barrier; `node` is the name of the node that waits at it."""

    barrier: str
    phase: BarrierPhase
    node: str | None = None
    message: str = ""


def barrier_of(template: Template) -> str:
    """The barrier that a template is; '' for any other template."""
    return template.annotations.get(BARRIER, "").strip() if isinstance(template.body, Suspend) else ""


def barriers_ahead(templates: Mapping[str, Template]) -> dict[str, frozenset[str]]:
    """By key of a template, the barriers that its calls lead to, its own included; {} if there is no barrier.

    Hooks and exit handlers lead to none: a barrier there would be a lone one. A call whose template is a tag leads to all.
    """
    own = {key: barrier for key, template in templates.items() if (barrier := barrier_of(template))}
    if not own:
        return {}
    callers: dict[str, list[str]] = {}
    for key, template in templates.items():
        for called in _called(template):
            for target in own if "{{" in called else (called,):
                callers.setdefault(target, []).append(key)
    found: dict[str, set[str]] = {}
    for start, barrier in own.items():
        todo = [start]
        while todo:
            key = todo.pop()
            ahead = found.setdefault(key, set())
            if barrier not in ahead:
                ahead.add(barrier)
                todo += callers.get(key, ())
    return {key: frozenset(barriers) for key, barriers in found.items()}


def _called(template: Template) -> list[str]:
    if isinstance(template.body, Steps):
        return [call.template for group in template.body.groups for call in group]
    return [task.template for task in template.body.tasks] if isinstance(template.body, Dag) else []
