"""Finds runs that wait for one another, in the tick in which the last of them began to wait; names them, and may end one.

Only a claim that begins to wait inside something that holds can close a cycle, so only such claims are looked at, each with no
more of the graph than its wait leads to.
"""

from __future__ import annotations

from reconciler.loop.context import Context
from reconciler.loop.telling import tell_cycle
from reconciler.model.state import ClaimId, Rule, RunId, RunState
from reconciler.store import runs, tangles
from reconciler.store.refusals import end_by_rule


def pass_deadlocks(ctx: Context) -> None:
    """Looks at every marked claim; each knot is told once, by a cycle of it, and broken where a policy says so.

    All of them are looked at in one graph, which is read anew only after somebody was ended.
    """
    marked, ctx.writer.marks.tangled = ctx.writer.marks.tangled, {}
    left = list(marked)
    while left:
        around = tangles.look_around(ctx.writer, left)
        left = _tell_knots(ctx, around, left)


def _tell_knots(ctx: Context, around: tangles.Around, marked: list[ClaimId]) -> list[ClaimId]:
    """Tells the knots of the marked claims; returns those that are still to be looked at, because somebody was ended."""
    knots = around.tangle.knots()
    of_claim = {claim: number for number, knot in enumerate(knots) for claim in knot}
    members: dict[int, list[ClaimId]] = {}
    for claim in marked:
        if claim in of_claim:
            members.setdefault(of_claim[claim], []).append(claim)
    for number, claims in list(members.items()):
        against = tangles.first_against(ctx.writer, claims)
        for claim in dict.fromkeys([claims[0], *against]):  # one cycle is told, and one that a policy breaks is broken
            waits = tangles.tell_waits(ctx.writer, around.tangle.cycle_in(knots[number], claim), around.run_of)
            is_known = tangles.same_knot(ctx.writer, around.waiting(knots[number]))
            if _meet(ctx, waits, around.run_of, is_known=is_known):
                return [one for left in members.values() for one in left]
        del members[number]
    return []


def _meet(ctx: Context, waits: list[tuple[ClaimId, str]], run_of: dict[int, RunId], *, is_known: bool) -> bool:
    """Tells of a cycle that is new, and ends the youngest of it where a policy says so; True if it did."""
    claims = [claim for claim, _ in waits]
    members = [runs.get_run(ctx.writer, run_id) for run_id in dict.fromkeys(run_of[claim] for claim in claims)]
    if any(run.shutdown for run in members):
        return False  # one of them is on its way out
    policy = tangles.policy_against(ctx.writer, claims)
    if is_known and not policy:
        return False
    sentences = [sentence for _, sentence in waits]
    if not is_known:
        first = members[0]
        detail = {"runs": [run.name for run in members], "waits": sentences}
        ctx.writer.journal("lock.cycle", namespace=first.namespace, run=first.name, detail=detail)
        tell_cycle(ctx.writer, members, sentences, policy)
    if policy:
        victim = min(members, key=_worth)
        told = "; ".join(sentences)
        end_by_rule(ctx.writer, victim, Rule.DEADLOCK, f"ended by LockPolicy {policy} as the youngest of a cycle: {told}")
    return bool(policy)


def _worth(run: RunState) -> tuple[int, int, int]:
    """The least is ended: a lower priority first, then the one that came last."""
    return run.priority, -run.queue_order, -run.id
