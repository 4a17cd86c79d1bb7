"""Is there a daemon, and does it work? Asks it, and where it does not answer reads who holds the instance lock."""

from __future__ import annotations

import os
import time

from reconciler.control import client
from reconciler.errors import Unreachable
from reconciler.views.doing import read_boot_id
from reconciler.views.instants import span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from reconciler.home import Home

_POLL_S = 0.02


RUNS, HUNG, NONE = "runs", "hung", "none"


class DaemonLook:
    """What one look at the daemon showed: `kind` is RUNS, HUNG or NONE, `text` a sentence, `pid` 0 where there is none."""

    __slots__ = ("kind", "pid", "text", "version")

    def __init__(self, kind: str, text: str, pid: int = 0, version: str = "") -> None:
        self.kind = kind
        self.text = text
        self.pid = pid
        self.version = version


class Holder:
    """What the instance lock's file says of the process that took it last."""

    __slots__ = ("boot_id", "pid", "taken_s", "ticks")

    def __init__(self, pid: int, ticks: str, boot_id: str, taken_s: float) -> None:
        self.pid = pid
        self.ticks = ticks
        self.boot_id = boot_id
        self.taken_s = taken_s

    def is_alive(self) -> bool:
        """True if that very process still is: same boot, same pid, same start."""
        return self.boot_id == read_boot_id() and bool(self.ticks) and start_ticks(self.pid) == self.ticks


def start_ticks(pid: int) -> str:
    """When a process began, in clock ticks after the boot; '' if there is none or only its exit code is left."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            words = file.read().rsplit(b")", 1)[1].split()
    except OSError:
        return ""
    return "" if words[0] in (b"Z", b"X") else words[19].decode()


def read_holder(home: Home) -> Holder | None:
    """Who took the instance lock last; None if nobody did, or the file makes no sense."""
    try:
        with open(home.instance_lock, encoding="utf-8") as file:
            words = file.read(200).split()
            taken_s = os.fstat(file.fileno()).st_mtime
        return Holder(int(words[0]), words[1], words[2], taken_s)
    except (OSError, ValueError, IndexError):
        return None


def find_living_holder(home: Home) -> Holder | None:
    """The process that has the instance lock; None if it is gone."""
    holder = read_holder(home)
    return holder if holder is not None and holder.is_alive() else None


def get_state(home: Home) -> dict[str, Any] | None:
    """The daemon's own account of itself; None if no daemon runs.

    Raises Unreachable, naming pid and age, for one that is there and does not answer or has not worked for 10 s.
    """
    deadline = time.monotonic() + client.HUNG_AFTER_S
    while True:
        try:
            state = client.ping(home.root)
        except client.NoDaemon:
            if find_living_holder(home) is None:
                return None
            raise hung(home, "it has the home's lock and no socket: it begins or ends, or hangs") from None
        except Unreachable as error:
            raise hung(home, f"no answer in {client.PING_TIMEOUT_S:g} s") from error
        ticked = state.get("ticked_s_ago")
        if ticked is not None and float(ticked) <= client.HUNG_AFTER_S:
            return state
        if ticked is not None or time.monotonic() > deadline:
            idle = client.HUNG_AFTER_S if ticked is None else float(ticked)
            doing = state.get("doing")
            raise hung(home, f"it {doing}" if doing else f"it has not worked for {idle:.0f} s")
        time.sleep(_POLL_S)


def look_at(home: Home) -> DaemonLook:
    """One look, for a screen: never raises, and takes `PING_TIMEOUT_S` at most."""
    try:
        state = client.ping(home.root)
    except client.NoDaemon:
        holder = find_living_holder(home)
        if holder is None:
            text = "no daemon is running: nothing starts and no lock is handed on; steps that run go on; start it: lineclear up"
            return DaemonLook(NONE, text)
        return DaemonLook(HUNG, f"the daemon (pid {holder.pid}) has the home's lock and no socket: it begins or ends", holder.pid)
    except Unreachable as error:
        holder = read_holder(home)
        return DaemonLook(HUNG, str(error), 0 if holder is None else holder.pid)
    pid, version = int(state.get("pid") or 0), str(state.get("version") or "")
    idle = float(state.get("ticked_s_ago") or 0)
    if idle > client.HUNG_AFTER_S:
        text = f"the daemon (pid {pid}) has not worked for {idle:.0f} s; end it with `lineclear down --force`: steps go on"
        return DaemonLook(HUNG, text, pid, version)
    return DaemonLook(RUNS, f"pid {pid}, version {version}", pid, version)


def hung(home: Home, evidence: str) -> Unreachable:
    """The error for a daemon that is there and does nothing."""
    holder = read_holder(home)
    who = f"pid {holder.pid}, started {span(time.time() - holder.taken_s)} ago" if holder is not None else "pid unknown"
    return Unreachable(
        f"the daemon of {home.root} ({who}) does not work: {evidence};"
        " wait and look again, or end it with `lineclear down --force`: steps go on, and `lineclear up` finds them"
    )


def wait_until_gone(holder: Holder, timeout_s: float | None) -> bool:
    """True as soon as the process is gone, False if it still is after the time."""
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    while holder.is_alive():
        if deadline is not None and time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True
