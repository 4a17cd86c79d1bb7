"""What every pass is given: the writer, the frozen specs, the settings that decisions depend on."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Any

from reconciler.manifest import decode_spec
from reconciler.model.attempt import Liveness
from reconciler.model.spec import Dag, Steps, WorkflowSpec
from reconciler.model.state import NO_OUTPUTS, AttemptState, NodeState, Outputs, ResolvedLock, RunState
from reconciler.store.runs import spec_json
from reconciler.store.segments import Retention
from reconciler.store.writer import Writer
from reconciler.workflow.bounds import Rules
from reconciler.workflow.run_names import RunNames
from reconciler.workflow.values import resolve_locks

_HEAVIEST = 50_000  # templates, calls and items of the specs that are kept, a kilobyte or two each


class Specs:
    """Frozen specs as values, the most recently used ones kept as far as they are not too large together.

    A digest never means anything else.
    """

    def __init__(self, writer: Writer, capacity: int = 256) -> None:
        self._writer = writer
        self._capacity = capacity
        self._kept: OrderedDict[str, WorkflowSpec] = OrderedDict()
        self._weight = 0

    def get(self, digest: str) -> WorkflowSpec:
        """The spec with that digest, from the store if need be."""
        return self._kept_spec(digest) or self._keep(digest, json.loads(spec_json(self._writer, digest)))

    def decoded(self, digest: str, body: Mapping[str, Any]) -> WorkflowSpec:
        """The spec that `body` is, whose digest the caller knows. Raises ManifestError if it is none."""
        return self._kept_spec(digest) or self._keep(digest, body)

    def _kept_spec(self, digest: str) -> WorkflowSpec | None:
        found = self._kept.get(digest)
        if found is not None:
            self._kept.move_to_end(digest)
        return found

    def _keep(self, digest: str, body: Mapping[str, Any]) -> WorkflowSpec:
        spec = self._kept[digest] = decode_spec(body)
        self._weight += _weight(spec)
        while len(self._kept) > 1 and (len(self._kept) > self._capacity or self._weight > _HEAVIEST):
            self._weight -= _weight(self._kept.popitem(last=False)[1])
        return spec


def _weight(spec: WorkflowSpec) -> int:
    """How many templates, calls and items a spec has: what it takes in memory goes with them."""
    found = len(spec.templates)
    for template in spec.templates.values():
        calls = template.body.by_name.values() if isinstance(template.body, Steps | Dag) else ()
        for known in calls:
            call = known[1] if isinstance(known, tuple) else known
            found += 1 + len(call.items or ())
    return found


WORK_OF_A_TICK = 1_000  # about a tenth of a second on a small machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Settings of the loop. `parallelism` bounds attempts that run at once; `local_zone` is for crons without a timezone.

    `work` is what large runs may take of one tick together, in the units of a decision's budget.
    """

    parallelism: int
    boot_id: str
    local_zone: tzinfo
    rules: Rules = field(default_factory=Rules)
    keep: Retention = field(default_factory=Retention)
    most_locks: int = 100  # that one claim may want
    work: int = WORK_OF_A_TICK


@dataclass(slots=True, kw_only=True)
class Context:
    """One tick's surroundings. `at` is the tick's instant; `new_uid` makes run uids; `liveness` looks at an attempt.

    `since` is the instant of the tick before: what was due by then was looked at. `spent` is the work that decisions have done.

    `boundary` is told of each point at which a crash must do no harm; tests crash there. `collect` reads what an ended
    attempt left behind, and says what is missing. `reserve` makes the record of one that is about to be intended.
    """

    writer: Writer
    specs: Specs
    options: Options
    new_uid: Callable[[], str]
    at: datetime
    since: str = ""
    spent: int = 0
    draining: bool = False  # nothing begins any more
    is_short: bool = False  # no room on the disk: only what ends something is done
    offline: bool = False  # no daemon: recovery, termination and release only
    liveness: Callable[[AttemptState], Liveness] | None = None
    boundary: Callable[[str], None] = lambda _point: None
    collect: Callable[[AttemptState, NodeState], tuple[Outputs, str]] = lambda _attempt, _node: (NO_OUTPUTS, "")
    reserve: Callable[[AttemptState], bool] = lambda _attempt: False

    def locks_of(self, run: RunState) -> tuple[ResolvedLock, ...]:
        """The workflow-level locks that a run asks for. Raises UnresolvedTag or ManifestError if one cannot be named."""
        spec = self.specs.get(run.spec_digest)
        return resolve_locks(spec.locks, RunNames(run, spec), run.namespace)
