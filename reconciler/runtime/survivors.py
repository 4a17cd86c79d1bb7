"""Which processes of an attempt can be found, for people to look at and for signals. It must never be taken for a proof.

Found are members of its control group, carriers of its token, its main process and that one's session, and everything below
those. A process may leave all but the first: that none is found says nothing.
"""

from __future__ import annotations

from reconciler.runtime import groups, wire
from reconciler.runtime.processes import Process, find_descendants, read_processes
from reconciler.runtime.records import Record


def read_environment(pid: int) -> bytes | None:
    """The environment a process was given at its start, or None if it may not be seen or is gone."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return b"\0" + file.read() + b"\0"
    except OSError:
        return None


def find_survivors(record: Record) -> tuple[Process, ...]:
    """Living processes that are the attempt's beyond doubt; zombies are dead."""
    table = read_processes()
    found: set[int] = set()
    if record.claim is not None and record.claim.group:
        found |= table.keys() & set(groups.find_members(record.claim.group, record.claim.group_id))
    if record.claim is not None and record.claim.token:
        token = f"\0{wire.TOKEN}={record.claim.token}\0".encode()
        found |= {pid for pid in table if token in (read_environment(pid) or b"")}
    leader = table.get(record.start.pid) if record.start is not None else None
    if leader is not None and record.start is not None and leader.ticks == record.start.ticks:
        found |= {process.pid for process in table.values() if process.session == leader.pid}
    for pid in tuple(found):
        found |= {process.pid for process in find_descendants(pid, table)}
    return tuple(table[pid] for pid in sorted(found) if table[pid].state not in "ZX")
