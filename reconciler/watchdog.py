"""Notices a tick that takes too long, and says what it is doing: read from the thread's own frames, so that no tick pays for it.

It must never touch the store, nor end anything: a person decides whether a daemon that hangs is to be ended.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
import traceback
from types import FrameType

log = logging.getLogger(__name__)
_SAID = {  # function -> how its local names say what is in hand
    "_decide_run": ("run", "run_id"),
    "_request": ("request", "request"),
    "_apply": ("commit", "revision"),
    "_agree": ("attempt", "attempt"),
    "_admit": ("lock", "lock"),
    "_look": ("cron", "row"),
}
_PHASES = {
    "workflow_pass": "decides runs",
    "lock_pass": "admits to locks",
    "slot_pass": "gives slots",
    "pass_deadlines": "looks at deadlines",
    "pass_crons": "decides crons",
    "pass_journal": "tends the journal",
    "take_over": "takes ends over",
    "act": "starts and stops steps",
    "mark_everything": "sweeps",
    "collect": "looks after steps",
    "write": "writes to the disk",
}


class Watchdog:
    """Watches one thread from `start` on. `begin` and `end` stand around each piece of its work."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._thread_id = threading.get_ident()
        self._began = 0.0  # of the piece of work in hand, by the monotonic clock; 0: none is
        self._told = ""  # what was seen of the one that takes too long

    def start(self) -> None:
        """Begins to watch the calling thread."""
        self._thread_id = threading.get_ident()
        threading.Thread(target=self._work, name="watchdog", daemon=True).start()

    def begin(self) -> None:
        """A piece of work begins."""
        self._began = time.monotonic()

    def end(self) -> tuple[float, str]:
        """It has ended: how long it took, and what was seen of it if that was too long, else ''."""
        took_s, self._began = time.monotonic() - self._began, 0.0
        told, self._told = self._told, ""
        return took_s, told if took_s >= self._limit_s else ""

    def describe(self) -> str:
        """What is being done now, for people; '' if nothing is."""
        began = self._began
        frame = sys._current_frames().get(self._thread_id)  # noqa: SLF001 - the only way to another thread's stack
        if not began or frame is None:
            return ""
        return f"for {time.monotonic() - began:.0f} s {describe_frames(frame)}"

    def _work(self) -> None:
        pause_s = self._limit_s
        while True:
            time.sleep(pause_s)
            began, took_s = self._began, time.monotonic() - self._began
            if not began or took_s < self._limit_s:
                pause_s = self._limit_s
                continue
            frame = sys._current_frames().get(self._thread_id)  # noqa: SLF001
            if frame is not None:
                self._told = describe_frames(frame)
                stack = "".join(traceback.format_stack(frame))
                log.warning("a tick takes long: for %.0f s it %s\n%s", took_s, self._told, stack, extra={"action": "watchdog"})
            pause_s = min(60.0, max(self._limit_s, took_s))  # then after twice the time, and so on


def describe_frames(frame: FrameType | None) -> str:
    """What a stack is about, innermost first: `decides runs (run 7), in values.py:88 resolve`."""
    assert frame is not None
    place = f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno} {frame.f_code.co_name}"
    phase = subject = ""
    while frame is not None:
        name = frame.f_code.co_name
        phase = phase or _PHASES.get(name, "")
        if not subject and name in _SAID:
            word, local = _SAID[name]
            subject = f"{word} {_name_of(frame.f_locals.get(local))}"
        frame = frame.f_back
    return f"{phase or 'works'}{f' ({subject})' if subject else ''}, in {place}"


def _name_of(value: object) -> str:
    for key in ("verb", "sha", "name", "id"):
        found = getattr(value, key, None)
        if isinstance(found, str | int):
            return str(found)
    return str(value)
