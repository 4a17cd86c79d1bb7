"""Rows of barriers: which runs of a pipeline run have which barrier, and where each stands with it.

Nothing here is read or written for a run without a pipeline. A barrier is open while a row of it is `absent` or `arrived`; its
rows are moved together, in one transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from reconciler.model.barrier import BarrierNews, BarrierPhase, Standing
from reconciler.model.state import ClaimId, NodeId, Phase, RunId, RunState
from reconciler.store import claims
from reconciler.store.writer import Writer

Group = tuple[RunId, str]  # the pipeline run, and the barrier's id

_OPEN = "state IN ('absent', 'arrived')"
_STANDINGS = (
    "SELECT b.name, b.state, ifnull(n.name, ''), b.message FROM barrier b LEFT JOIN node n ON n.id = b.node_id"
    " WHERE b.run_id = ? ORDER BY b.id"
)
_AWAITED = (
    "SELECT r.name FROM barrier mine JOIN barrier b ON b.pipeline = mine.pipeline AND b.name = mine.name"
    " JOIN run r ON r.id = b.run_id WHERE mine.run_id = ? AND mine.name = ? AND b.state = 'absent' ORDER BY b.id"
)
_MEMBERS = (
    "SELECT b.run_id, r.namespace, r.name, b.state, b.message FROM barrier b JOIN run r ON r.id = b.run_id"
    " WHERE b.pipeline = ? AND b.name = ? ORDER BY b.id"
)
_WAITS_AROUND = (
    "SELECT -id FROM barrier WHERE run_id = :run AND state = 'arrived'"
    " UNION SELECT -b.id FROM barrier mine JOIN barrier b ON b.pipeline = mine.pipeline AND b.name = mine.name"
    " WHERE mine.run_id = :run AND mine.state = 'absent' AND b.state = 'arrived' ORDER BY 1"
)
_REOPEN = (
    "UPDATE barrier SET state = CASE (SELECT phase FROM run WHERE id = barrier.run_id) WHEN 'Succeeded' THEN 'reached'"
    " ELSE 'absent' END, node_id = NULL, message = '', knot = 0 WHERE pipeline = ? AND name = ? AND state = 'failed'"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One run at one barrier."""

    run_id: RunId
    namespace: str
    run: str
    phase: BarrierPhase
    message: str


def enrol(writer: Writer, pipeline: RunId, names: Mapping[RunId, Iterable[str]], failed: str) -> None:
    """Writes down which new runs have which barriers; with `failed` they have failed already, and that is why."""
    state = BarrierPhase.FAILED if failed else BarrierPhase.ABSENT
    sql = "INSERT INTO barrier (pipeline, name, run_id, state, message) VALUES (?, ?, ?, ?, ?)"
    for run_id, barriers in names.items():
        writer.forget_run(run_id)
        writer.db.execute("UPDATE run SET pipeline = ? WHERE id = ?", (pipeline, run_id))
        writer.db.executemany(sql, [(pipeline, name, run_id, state.value, failed) for name in barriers])


def standings(writer: Writer, run_id: RunId) -> dict[str, Standing]:
    """Where a run stands with each of its barriers."""
    rows = writer.db.execute(_STANDINGS, (run_id,)).fetchall()
    return {row[0]: Standing(phase=BarrierPhase(row[1]), node=row[2], message=row[3]) for row in rows}


def awaited_at(writer: Writer, run_id: RunId, barrier: str) -> list[str]:
    """Names of the runs that have not come to a barrier of the run's."""
    return [row[0] for row in writer.db.execute(_AWAITED, (run_id, barrier))]


def note(writer: Writer, run: RunState, news: BarrierNews, node: NodeId | None) -> None:
    """Writes down where a run stands now; its barrier is looked at."""
    _untie(writer, "run_id = ? AND name = ?", (run.id, news.barrier))
    sql = f"UPDATE barrier SET state = ?, node_id = ?, message = ? WHERE run_id = ? AND name = ? AND {_OPEN}"
    writer.db.execute(sql, (news.phase.value, node, news.message, run.id, news.barrier))
    detail = {"node": news.node, "why": news.message}
    writer.journal(
        f"barrier.{news.phase.value}",
        namespace=run.namespace,
        run=run.name,
        subject=news.barrier,
        detail={name: value for name, value in detail.items() if value},
    )
    _mark(writer, run, news.barrier)


def let_pass(writer: Writer, run: RunState, barrier: str, why: str) -> None:
    """Lets one run pass by itself; for the others it has come."""
    note(writer, run, BarrierNews(barrier=barrier, phase=BarrierPhase.REACHED, message=why), None)


def run_ended(writer: Writer, run: RunState, phase: Phase) -> None:
    """A run that ended well without coming was kept away by a condition; one that failed comes no more."""
    for name, standing in standings(writer, run.id).items():
        if standing.phase in (BarrierPhase.ABSENT, BarrierPhase.ARRIVED):
            if phase is Phase.SUCCEEDED:
                news = BarrierNews(barrier=name, phase=BarrierPhase.REACHED, message="skipped by a condition")
            else:
                ended = f"{run.name} ended {phase.value} before the others had arrived"
                news = BarrierNews(barrier=name, phase=BarrierPhase.FAILED, message=ended)
            note(writer, run, news, None)


def rejoin(writer: Writer, run: RunState) -> None:
    """Opens the barriers again at which a run failed that is retried: the others are waited for, be they retried or not."""
    for name, standing in standings(writer, run.id).items():
        if standing.phase is BarrierPhase.FAILED:
            writer.db.execute(_REOPEN, (run.pipeline, name))
            writer.journal("barrier.reopened", namespace=run.namespace, run=run.name, subject=name)
            _mark(writer, run, name)


def forget(writer: Writer, run: RunState) -> None:
    """A run is about to be removed; nobody waits for it any more."""
    for (name,) in writer.db.execute("DELETE FROM barrier WHERE run_id = ? RETURNING name", (run.id,)).fetchall():
        _mark(writer, run, name)


def _untie(writer: Writer, which: str, values: tuple[object, ...]) -> None:
    """Who waited in a circle through these rows is looked at anew: one wait of it is about to end."""
    for (knot,) in writer.db.execute(f"SELECT DISTINCT knot FROM barrier WHERE {which} AND knot <> 0", values).fetchall():
        claims.untie(writer, knot)


def _mark(writer: Writer, run: RunState, barrier: str) -> None:
    assert run.pipeline is not None
    writer.marks.barriers[run.pipeline, barrier] = None


def members(writer: Writer, group: Group) -> list[Member]:
    """The runs that have a barrier, by arrival."""
    return [
        Member(run_id=RunId(row[0]), namespace=row[1], run=row[2], phase=BarrierPhase(row[3]), message=row[4])
        for row in writer.db.execute(_MEMBERS, group).fetchall()
    ]


def close(writer: Writer, group: Group, phase: BarrierPhase, message: str) -> None:
    """Moves everybody who is at the barrier, or on the way to it, at once."""
    _untie(writer, "pipeline = ? AND name = ?", group)
    sql = f"UPDATE barrier SET state = ?, message = ? WHERE pipeline = ? AND name = ? AND {_OPEN}"
    writer.db.execute(sql, (phase.value, message, *group))


def open_groups(writer: Writer) -> list[Group]:
    """Every barrier at which somebody waits or may come: what a sweep looks at."""
    sql = f"SELECT DISTINCT pipeline, name FROM barrier WHERE {_OPEN} ORDER BY pipeline, name"
    return [(RunId(row[0]), row[1]) for row in writer.db.execute(sql).fetchall()]


def mark_pauses(writer: Writer, run_id: RunId) -> None:
    """Has every suspend node of a run looked at: several of them may be at one barrier."""
    sql = "SELECT name FROM node WHERE run_id = ? AND finished_at IS NULL AND type = 'Suspend' ORDER BY id"
    writer.marks.run(run_id, *(row[0] for row in writer.db.execute(sql, (run_id,)).fetchall()))


def mark_waits(writer: Writer, run_id: RunId) -> None:
    """Has those looked at who wait at a barrier, this run or others for it: it may have become one that they wait for in vain.

    What the run itself waits for is reached from there.
    """
    for (wait,) in writer.db.execute(_WAITS_AROUND, {"run": run_id}).fetchall():
        writer.marks.tangled[ClaimId(wait)] = None
