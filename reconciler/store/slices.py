"""Rows of slices: what is left to do of large runs, one row a run, until it is done.

A crash between two slices goes on where it stopped. What only a sweep wants looked at stands in memory: the next daemon begins
with a sweep anyway. Who is served next is decided in the loop.
"""

from __future__ import annotations

import json
from dataclasses import replace

from reconciler.model.slice import FIRST, Slice
from reconciler.model.state import RunId
from reconciler.store.nodes import StoredNodes
from reconciler.store.writer import Writer
from reconciler.workflow.bounds import AT_ONCE

_PUT = (
    "INSERT INTO slice (run_id, later_json, below, ends) VALUES (?, ?, ?, ?) ON CONFLICT (run_id) DO UPDATE SET"
    " later_json = excluded.later_json, below = excluded.below, ends = excluded.ends"
)
_ACTIVE = (
    "SELECT n.name FROM attempt a JOIN node n ON n.id = a.node_id WHERE a.state IN ('intended', 'live') AND a.run_id = ?"
    " ORDER BY a.id"
)


def all_slices(writer: Writer) -> dict[RunId, Slice]:
    """What is left to do of each large run; the run that was served longest ago stands first."""
    if writer.slices is None:
        rows = writer.db.execute("SELECT run_id, later_json, below, ends FROM slice ORDER BY run_id").fetchall()
        writer.slices = {
            RunId(run_id): Slice(later=tuple(json.loads(later)), below=below, ends=bool(ends))
            for run_id, later, below, ends in rows
        }
    return writer.slices


def slice_of(writer: Writer, run_id: RunId) -> Slice:
    """What is left to do of a run; nothing for most."""
    return all_slices(writer).get(run_id, _NOTHING)


_NOTHING = Slice()


def put(writer: Writer, run_id: RunId, left: Slice) -> None:
    """Writes down what is left to do of a run."""
    known = all_slices(writer)
    before = known.get(run_id)
    if left.is_done:
        forget(writer, run_id)
    elif left != before:
        known[run_id] = left
        if left.is_written:
            writer.db.execute(_PUT, (run_id, json.dumps(left.later), left.below, int(left.ends)))


def forget(writer: Writer, run_id: RunId) -> None:
    """Nothing of the run is left to do: it is all done, or it has ended."""
    known = all_slices(writer).pop(run_id, None)
    if known is not None and known.is_written:
        writer.db.execute("DELETE FROM slice WHERE run_id = ?", (run_id,))


def move_behind(writer: Writer, run_id: RunId) -> None:
    """The run was served: the others come first now."""
    known = all_slices(writer)
    if run_id in known:
        known[run_id] = known.pop(run_id)


def look_at_all(writer: Writer, run_id: RunId, *, ends: bool = False, is_written: bool = True) -> None:
    """Has every unfinished node of a run looked at: at once where they are few, else slice by slice.

    `ends`: they are to end. What runs is then asked to end at once.
    """
    names = StoredNodes(writer, run_id).unfinished(AT_ONCE + 1)
    if len(names) <= AT_ONCE:
        writer.marks.run(run_id, *names)
        return
    before = all_slices(writer).get(run_id, Slice(is_written=False))
    if before.below is not None and not is_written:
        return  # they are being looked at: whoever begins again with each sweep may never get through
    put(writer, run_id, replace(before, below=FIRST, ends=ends or before.ends, is_written=is_written or before.is_written))
    running = writer.db.execute(_ACTIVE, (run_id,)).fetchall() if ends else ()
    writer.marks.run(run_id, *(row[0] for row in running))
