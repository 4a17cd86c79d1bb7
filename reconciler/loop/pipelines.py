"""Pipeline runs: which of the runs that were made together share a barrier; and the pass that lets them pass, or fail, together.

All who are at a barrier move in one transaction, so a crash leaves all passed or none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from reconciler.loop.context import Context
from reconciler.model.barrier import PIPELINE, BarrierPhase
from reconciler.model.spec import Document
from reconciler.model.state import RunState
from reconciler.store import barriers

_OPEN = (BarrierPhase.ABSENT, BarrierPhase.ARRIVED)
Name = tuple[str, str]  # namespace, and the value of the annotation


def join(ctx: Context, runs: Sequence[RunState], lost: str = "") -> None:
    """Makes one pipeline run of runs that were made together: each waits at a barrier for those that have it too.

    `lost` says why one of them could not be made: what it has nobody knows, so all barriers of the others have failed.
    """
    if len(runs) < 2 and not lost:
        return
    ahead = {run.id: _barriers_ahead(ctx, run) for run in runs}
    shared = Counter(name for names in ahead.values() for name in names)
    found = {run: [name for name in sorted(names) if lost or shared[name] > 1] for run, names in ahead.items()}
    members = {run: names for run, names in found.items() if names}
    if members:
        barriers.enrol(ctx.writer, runs[0].id, members, lost)


def _barriers_ahead(ctx: Context, run: RunState) -> frozenset[str]:
    spec = ctx.specs.get(run.spec_digest)
    before = spec.deployment.pre_deployment if spec.deployment is not None else ""
    return spec.barriers.get(spec.entrypoint, frozenset()) | spec.barriers.get(before, frozenset())


def join_named(ctx: Context, runs: Iterable[RunState], lost: Mapping[Name, str]) -> None:
    """Makes pipeline runs of those runs of one revision that name the same pipeline; `lost`: whose members could not be made."""
    groups: dict[Name, list[RunState]] = {}
    for run in runs:
        if PIPELINE in run.annotations:
            groups.setdefault((run.namespace, run.annotations[PIPELINE]), []).append(run)
    for name, found in groups.items():
        join(ctx, found, lost.get(name, ""))


def pipeline_of(document: Document) -> Name | None:
    """The pipeline that a document names itself."""
    own = document.spec.annotations if document.spec is not None else {}
    name = {**own, **document.annotations}.get(PIPELINE)
    return None if name is None else (document.namespace, name)


def pass_barriers(ctx: Context) -> None:
    """Lets everybody pass a marked barrier once all have come, or fails it for everybody once one has failed."""
    marked, ctx.writer.marks.barriers = ctx.writer.marks.barriers, {}
    for group in marked:
        found = barriers.members(ctx.writer, group)
        moved = [member for member in found if member.phase in _OPEN]
        failed = next((member for member in found if member.phase is BarrierPhase.FAILED), None)
        if not moved or (failed is None and any(member.phase is BarrierPhase.ABSENT for member in found)):
            continue
        phase = BarrierPhase.PASSED if failed is None else BarrierPhase.FAILED
        message = "" if failed is None else failed.message
        barriers.close(ctx.writer, group, phase, message)
        first = failed or moved[0]
        detail = {"runs": [member.run for member in moved], **({"why": message} if message else {})}
        kind = f"barrier.{'passed' if failed is None else 'broken'}"
        ctx.writer.journal(kind, namespace=first.namespace, run=first.run, subject=group[1], detail=detail)
        for member in moved:
            if member.phase is BarrierPhase.ARRIVED:
                barriers.mark_pauses(ctx.writer, member.run_id)
        ctx.boundary("barrier")
