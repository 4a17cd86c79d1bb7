"""What the graph calls locked up, against a trial: let everybody go on who can, as long as anybody can."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.views.graph import Graph, Party

LIMITS = (1, 1, 2, 3)
RUNS = range(6)
RUN = st.sampled_from(RUNS)
LOCK = st.integers(0, len(LIMITS) - 1)
UNITS = st.integers(1, 3)
HOLDS = st.lists(st.tuples(RUN, LOCK, UNITS), max_size=8)
WAITS = st.lists(st.tuples(RUN, st.lists(LOCK, min_size=1, max_size=2, unique=True), UNITS), max_size=8)


def build(holds, waits):
    """A graph without rows; holds beyond a limit are left out, no wait is for more, and every wait is inside its run."""
    graph = Graph.__new__(Graph)
    graph.locks = {lock: {"key": f"l{lock}", "capacity": limit, "held_back": ""} for lock, limit in enumerate(LIMITS)}
    graph.parties, graph.holders, graph.queues, graph.waits, graph.inside = {}, {}, {}, {}, {}
    graph.units = {}
    held_by = {run: [] for run in RUNS}
    for run, lock, units in holds:
        holders = graph.holders.setdefault((lock, 0), [])
        if graph.held((lock, 0)) + units <= LIMITS[lock]:
            claim = len(graph.parties) + 1
            graph.parties[claim] = Party(claim, run, "default", f"r{run}", "", claim, "")
            holders.append(claim)
            graph.units[claim, (lock, 0)] = units
            held_by[run].append(claim)
    for run, locks, units in waits:
        claim = len(graph.parties) + 1
        graph.parties[claim] = Party(claim, run, "default", f"r{run}", "", None, "")
        graph.waits[claim] = [(lock, 0) for lock in locks]
        for lock in locks:
            graph.queues.setdefault((lock, 0), []).append(claim)
            graph.units[claim, (lock, 0)] = min(units, LIMITS[lock])
        for holder in held_by[run]:
            graph.inside.setdefault(holder, []).append(claim)
    return graph


def stuck_after_trial(graph):
    """The claims that are left: a waiter goes on if each of its locks has room, a holder if nothing waits inside."""
    gone = set()

    def has_room(claim, spot):
        held = sum(graph.units[holder, spot] for holder in graph.holders.get(spot, ()) if holder not in gone)
        return held + graph.units[claim, spot] <= LIMITS[spot[0]]

    while True:
        able = {
            claim
            for claim in graph.parties.keys() - gone
            if all(has_room(claim, spot) for spot in graph.waits.get(claim, ()))
            and all(inner in gone for inner in graph.inside.get(claim, ()))
        }
        if not able:
            return graph.parties.keys() - gone
        gone |= able


@settings(max_examples=300, deadline=None)
@given(HOLDS, WAITS)
def test_there_is_a_cycle_exactly_where_a_trial_leaves_somebody(holds, waits):
    graph = build(holds, waits)
    left = stuck_after_trial(graph)
    cycles = graph.cycles()
    assert bool(cycles) == bool(left)
    for cycle in cycles:
        assert {party.claim for wait in cycle for party in (wait.waiter, wait.holder)} <= left
        for wait, after in zip(cycle, cycle[1:] + cycle[:1], strict=True):
            assert wait.holder.run == after.waiter.run
            assert wait.holder.claim in graph.holders[int(wait.key[1:]), 0]
