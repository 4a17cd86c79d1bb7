"""The operator's screen: the first frame of the installed command's app, and key to frame while ten thousand runs wait."""

from __future__ import annotations

import asyncio
import gc
import os
import pty
import random
import select
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

os.environ.setdefault("TEXTUAL_FPS", "240")  # as the command sets it, before anything of Textual is imported

from textual import events

from bench.home import LINECLEAR, Served, template
from bench.measure import Place, Report
from tui.app import LineclearApp
from tui.core.model import DaemonKind, DaemonState, Failure, RunRow, RunState, Snapshot, Unchanged, Waits

RUNS = 10_000
KEYS = 250
PAUSE_S = 0.07
PERIOD_S = 0.5
CHANGED, COME_AND_GO = 100, 10
FRAME_LIMIT_S = 2.0
STARTS = 7
LOCK = "default/Mutex/build"


def run(place: Place, report: Report) -> None:
    """Rows: key to frame at 120 x 36, median and 95th percentile; first frame in a terminal."""
    place.clear()
    times = asyncio.run(_keys(report.size(RUNS), report.size(KEYS)))
    times.sort()
    more = {"max_ms": times[-1], "runs": report.size(RUNS), "refreshes_per_s": 1 / PERIOD_S}
    report.row("tui.key_p50", statistics.median(times), "ms", (5, 3), **more)
    report.row("tui.key_p95", times[len(times) * 95 // 100], "ms", (16, 8), **more)
    served = Served(place)
    served.seed({"one.yaml": template(place, "one")})
    served.start()
    starts = sorted(_first_frame_ms(served.command("tui", "--read-only")) for _ in range(report.size(STARTS)))
    report.row("tui.first_frame", statistics.median(starts), "ms", (500, 350), max_ms=starts[-1])


# key to frame


class Waiting:
    """A reader whose snapshots have many waiting runs; each differs from the one before as a busy home's would."""

    def __init__(self, count: int) -> None:
        self._random = random.Random(7)
        self._next = count
        self._rows = [_row(number) for number in range(count)]
        self._revision = 0
        self.closed = threading.Event()

    def poll(self, since: int | None = None) -> Snapshot | Unchanged | Failure:
        del since
        rows = self._rows
        for _ in range(CHANGED):
            place = self._random.randrange(len(rows))
            waits = rows[place].waits_for
            assert waits is not None
            rows[place] = rows[place]._replace(waits_for=waits._replace(position=waits.position + 1))
        rows = rows[COME_AND_GO:] + [_row(self._next + number) for number in range(COME_AND_GO)]
        self._next += COME_AND_GO
        self._rows = rows
        self._revision += 1
        daemon = DaemonState(kind=DaemonKind.RUNS)
        found = Snapshot(at=datetime.now(UTC), revision=self._revision, instance="bench", daemon=daemon)
        return replace(found, runs=tuple(rows), run_total=len(rows), waiting_total=len(rows))

    def lock(self, key: str) -> Failure:
        return Failure(kind="missing", text=key)

    run = git = journal = log = lock

    def close(self) -> None:
        self.closed.set()


def _row(number: int) -> RunRow:
    at = datetime.now(UTC) - timedelta(seconds=number % 5000)
    waits = Waits(LOCK, number + 1, at)
    return RunRow(
        id=number, namespace="default", name=f"deploy-api-{number:05d}", phase="Pending", state=RunState.WAITING,
        created_at=at, workflow="deploy-api", waits_for=waits, origin="git", by="bob",
    )  # fmt: skip


async def _keys(count: int, presses: int) -> list[float]:
    reader = Waiting(count)
    app = LineclearApp(lambda: reader, None, who="bench")  # type: ignore[arg-type]  # nothing is changed
    drawn: list[float] = []
    display = app._display  # noqa: SLF001 - the one place that every frame passes

    def noted(*args) -> None:
        display(*args)
        drawn.append(time.perf_counter())

    app._display = noted  # noqa: SLF001
    times = []
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.press("2")
        await pilot.pause(1.2)
        gc.collect()
        gc.freeze()
        for key in _some_keys(presses):
            await asyncio.sleep(PAUSE_S)
            times.append(await _frame_ms(app, key, drawn))
    return times


def _some_keys(presses: int) -> Iterator[str]:
    for number in range(presses):
        yield "pagedown" if number % 10 == 9 else "down"


async def _frame_ms(app: LineclearApp, key: str, drawn: list[float]) -> float:
    """From handing a key to the app to the first frame after it."""
    drawn.clear()
    event = events.Key(key, None)
    event.set_sender(app)
    began = time.perf_counter()
    app._driver.send_message(event)  # noqa: SLF001 - what a terminal's driver does
    while not any(at > began for at in drawn):
        await asyncio.sleep(0)
        if time.perf_counter() - began > FRAME_LIMIT_S:
            raise TimeoutError(f"no frame within {FRAME_LIMIT_S} s of {key}")
    return (drawn[0] - began) * 1000


# first frame


def _first_frame_ms(command: list[str]) -> float:
    """From the process's start in a terminal of its own to a frame with the rooms in it; then it is left with `q`."""
    leader, follower = pty.openpty()
    import fcntl
    import struct
    import termios

    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 36, 120, 0, 0))
    env = os.environ | {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
    began = time.perf_counter()
    child = subprocess.Popen(command, stdin=follower, stdout=follower, stderr=follower, env=env, start_new_session=True)
    os.close(follower)
    try:
        seen = b""
        while b"Journal" not in seen:
            if not select.select([leader], [], [], 10)[0]:
                raise TimeoutError("no frame within 10 s")
            seen += os.read(leader, 65536)
        took = (time.perf_counter() - began) * 1000
        os.write(leader, b"q")
        _drain(leader)
        child.wait(10)
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
        os.close(leader)
    return took


def _drain(leader: int) -> None:
    try:
        while select.select([leader], [], [], 5)[0] and os.read(leader, 65536):
            pass
    except OSError:
        return


if __name__ == "__main__":
    assert LINECLEAR
    measured = Report(scale=float(sys.argv[1]) if len(sys.argv) > 1 else 1.0)
    here = Place()
    try:
        run(here, measured)
    finally:
        here.close()
