"""Makes the pages of one lock and one run from the store's rows, with the sentences that the commands print.

Every function answers one question inside the transaction that it is given, and raises NotFound for what is not there.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from reconciler.errors import NotFound
from reconciler.home import Home
from reconciler.store import read_locks, read_runs, read_screen
from reconciler.store.read import Reader
from reconciler.views import glance, waiting
from reconciler.views.doing import doing, frozen_text, read_boot_id, release
from reconciler.views.lock_state import limit_trouble, line_of, state_of
from reconciler.views.names import node_label
from reconciler.views.run import labels_of
from reconciler.views.why import explain
from reconciler.views.why_text import why_text
from tui.core.instants import instant, instant_or_none
from tui.core.lists import Around, holder_of, lock_row, run_row, who_made
from tui.core.model import (
    Attempt,
    Hold,
    Holder,
    LockDetail,
    LockState,
    RunDetail,
    RunKey,
    RunRow,
    Waiter,
)
from tui.core.nodes import Forest, waits_of
from tui.core.record import JournalWish, journal_rows

QUEUE_PAGE = 200
HISTORY = 50
HOLDS = 100
_ORDER = {True: 0, False: 1}


def lock_detail(reader: Reader, key: str, now: datetime, skip: int = 0) -> LockDetail:
    """The page of a lock; its queue from position `skip` + 1 on. Raises NotFound."""
    row = read_locks.find_lock(reader, key)
    if row is None:
        raise NotFound(f"there is no lock {key} any more; it is kept as long as something refers to it")
    lost = read_locks.find_lost_steps(reader, read_boot_id())
    line = line_of(reader, row)
    shown = glance.lock_glance(reader, line, lost)
    queue = _queue(reader, row["id"], skip, lost)
    head = queue[0] if queue and not skip else next(iter(_queue(reader, row["id"], 0, lost, limit=1)), None)
    holders = []
    for holder in line.holders:
        one = glance.holder_glance(holder, lost)
        holders.append(holder_of(one, key, doing(reader, holder, now.timestamp())))
    holders.sort(key=lambda one: _ORDER[one.is_stuck])
    when, actions = _release(line.holders, holders, key, row)
    holds = tuple(_hold(values) for values in read_screen.list_holds(reader, row["id"], HOLDS))
    lengths = [hold.until - hold.since for hold in holds if hold.until is not None]
    return LockDetail(
        row=lock_row(shown, (None, "") if head is None else (head.key, head.node)),
        holders=tuple(holders),
        queue=queue,
        history=journal_rows(reader, JournalWish(lock=key, limit=HISTORY)),
        holds=holds,
        limit_source=row["limit_source"],
        limit_trouble=limit_trouble(row),
        held_back=row["held_back"],
        median_hold=timedelta(seconds=median(length.total_seconds() for length in lengths)) if lengths else None,
        released_when=when,
        actions=actions,
    )


def _release(rows: list[Any], holders: list[Holder], key: str, lock: Any) -> tuple[str, tuple[str, ...]]:
    """What lets the lock go on, and what a person may do: of the first stuck holder, else of the oldest."""
    if lock["held_back"]:
        return "when a person opens it again", (f"lineclear unhold {key} --reason TEXT",)
    if not holders:
        return (f"when it is no longer {frozen_text(lock)}" if lock["frozen_until"] else ""), ()
    row = next(row for row in rows if row["claim_id"] == holders[0].claim)
    when, actions = release(row, key, holders[0].verdict)
    return when, tuple(actions)


def _queue(reader: Reader, lock_id: int, skip: int, lost: dict[int, str], limit: int = QUEUE_PAGE) -> tuple[Waiter, ...]:
    page = read_screen.list_queue_page(reader, lock_id, limit, skip)
    others = read_screen.list_others_of(reader, [row["claim_id"] for row in page], lock_id)
    known: dict[str, LockState] = {}
    for key in {key for keys in others.values() for key in keys}:
        row = read_locks.find_lock(reader, key)
        if row is not None:
            known[key] = LockState(state_of(reader, line_of(reader, row), lost)[0])
    return tuple(
        Waiter(
            position=place,
            namespace=row["namespace"] or "",
            run=row["run"] or "",
            node="" if row["node"] is None else node_label(row["node"], row["display"]),
            since=instant(row["requested_at"]),
            priority=row["priority"],
            also_needs=tuple((key, known[key]) for key in others.get(row["claim_id"], ()) if key in known),
        )
        for place, row in enumerate(page, skip + 1)
    )


def _hold(values: tuple[Any, ...]) -> Hold:
    key, namespace, run, run_id, node, display, epoch, granted, released = values
    return Hold(
        lock=key,
        namespace=namespace or "",
        run=run or f"(run {run_id} is gone)",
        node="" if node is None else node_label(node, display),
        epoch=epoch,
        since=instant(granted),
        until=instant_or_none(released),
    )


def run_detail(reader: Reader, key: RunKey, home: Home, now: datetime) -> tuple[RunDetail, dict[str, Any]]:
    """The page of a run, less its `why`, and the explanation of which that is made. Raises NotFound."""
    row = read_runs.find_run(reader, key.namespace, key.name)
    if row is None:
        raise NotFound(f"there is no run {key.name} in namespace {key.namespace} any more; `lineclear journal` says why")
    room = waiting.Room(reader)
    waits = [wait for wait in read_locks.list_waited_by(reader, row["id"]) if not wait["nested"]]
    held = [hold for hold in read_locks.list_held_by(reader, row["id"]) if not hold["nested"]]
    found = explain(reader, row, now.timestamp(), read_boot_id())
    steps = read_screen.count_steps(reader, [row["id"]]).get(row["id"], (0, 0))
    by = who_made(reader, row["id"])
    arguments = json.loads(row["arguments_json"])
    detail = RunDetail(
        row=_row(reader, row["id"], Around(waits_of(room, waits), steps, len(held)), by),
        root=Forest(reader, row, waits, room).trees(),
        why=(),
        parameters=tuple((str(name), str(value)) for name, value in arguments.items()),
        labels=tuple((str(name), str(value)) for name, value in labels_of(row, waits, room).items()),
        holds=tuple(f"{hold['key']}#{hold['epoch']}" for hold in held),
        attempts=_attempts(reader, home, row["id"]),
        actions=tuple(found.get("next") or [command for lock in found.get("locks", ()) for command in lock["next"]]),
        history=journal_rows(reader, JournalWish(run=key, limit=HISTORY)),
        place=row["origin_place"],
        uid=row["uid"],
    )
    return detail, found


def _row(reader: Reader, run_id: int, around: Around, by: str) -> RunRow:
    values = read_screen.find_changing(reader, run_id)
    if values is None:
        raise NotFound(f"there is no run number {run_id} any more")
    return run_row(values, read_screen.list_fixed(reader, [run_id])[run_id], around, by)


def why_lines(found: dict[str, Any]) -> tuple[str, ...]:
    """The lines that `lineclear why` prints."""
    return tuple(why_text(found).splitlines())


def _attempts(reader: Reader, home: Home, run_id: int) -> tuple[Attempt, ...]:
    return tuple(
        Attempt(
            id=row["id"],
            node=node_label(row["name"], row["display"]),
            state=row["state"],
            pid=row["pid"] or 0,
            log_path="" if row["state"] == "queued" else f"{home.attempt(run_id, row['id'])}/log",
            queued_at=instant_or_none(row["queued_at"]),
            finished_at=instant_or_none(row["finished_at"]),
            exit_code=row["exit_code"],
        )
        for row in read_screen.list_attempts_whole(reader, run_id)
    )
