"""What every benchmark needs: the floor, a step that logs its first and last instruction, a daemon with a home of its own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

STEP_C = r"""
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
/* step LOG ID: appends "S ID ns" and "E ID ns" on the monotonic clock. */
static void note(int fd, char what, const char *id) {
    struct timespec now; char line[128];
    clock_gettime(CLOCK_MONOTONIC, &now);
    int n = snprintf(line, sizeof line, "%c %s %lld\n", what, id, now.tv_sec * 1000000000LL + now.tv_nsec);
    if (write(fd, line, n) != n) _exit(3);
}
int main(int argc, char **argv) {
    if (argc < 3) return 2;
    int fd = open(argv[1], O_WRONLY | O_CREAT | O_APPEND, 0644);
    note(fd, 'S', argv[2]);
    note(fd, 'E', argv[2]);
    return 0;
}
"""

TEMPLATE = """\
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata:
  name: {name}
spec:
  entrypoint: main
{locks}  arguments:
    parameters:
      - name: id
        value: "0"
      - name: log
        value: "{log}"
  templates:
    - name: main
      container:
        image: host
        command: ["{step}"]
        args: ["{{{{workflow.parameters.log}}}}", "{{{{workflow.parameters.id}}}}"]
"""


class Place:
    """A temporary folder with the compiled step."""

    def __init__(self) -> None:
        self.root = tempfile.mkdtemp(prefix="lcb")
        self.step = os.path.join(self.root, "step")
        source = self.step + ".c"
        with open(source, "w") as file:
            file.write(STEP_C)
        subprocess.run([shutil.which("cc") or "gcc", "-O2", "-o", self.step, source], check=True)
        self.log = os.path.join(self.root, "steps.log")

    def floor_ms(self, n: int = 60) -> float:
        """One durable commit and one spawn and wait of the step, from Python: the median of five blocks."""
        db = sqlite3.connect(os.path.join(self.root, "floor.db"), isolation_level=None)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("CREATE TABLE IF NOT EXISTS t (i INTEGER PRIMARY KEY, v INTEGER)")
        db.execute("INSERT OR IGNORE INTO t VALUES (1, 0)")
        log = os.path.join(self.root, "floor.log")
        blocks = []
        for _ in range(5):
            began = time.monotonic_ns()
            for _ in range(n):
                db.execute("BEGIN IMMEDIATE")
                db.execute("UPDATE t SET v = v + 1 WHERE i = 1")
                db.execute("COMMIT")
                os.waitpid(os.posix_spawn(self.step, [self.step, log, "0"], os.environ), 0)
            blocks.append((time.monotonic_ns() - began) / n / 1e6)
        db.close()
        return statistics.median(blocks)

    def events(self) -> list[tuple[str, int, int]]:
        """(S or E, id, ns) of every step so far."""
        with open(self.log) as file:
            rows = [line.split() for line in file]
        return [(what, int(ident), int(at)) for what, ident, at in rows]

    def clear(self) -> None:
        """Forgets the events."""
        open(self.log, "w").close()

    def wait_ends(self, n: int, timeout_s: float = 300) -> list[tuple[str, int, int]]:
        """Waits until n steps have ended."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            if os.path.exists(self.log) and os.path.getsize(self.log) > 20 * n:
                events = self.events()
                if sum(1 for e in events if e[0] == "E") >= n:
                    return events
            time.sleep(0.01)
        raise SystemExit(f"only {len(self.events())} events after {timeout_s} s")

    def close(self) -> None:
        """Removes the folder."""
        subprocess.run(["chmod", "-R", "u+w", self.root], check=False)
        shutil.rmtree(self.root, ignore_errors=True)


class Server:
    """A daemon with its own home and the given manifests."""

    def __init__(self, place: Place, manifests: dict[str, str], settings: str = "") -> None:
        self.home = os.path.join(place.root, "home")
        lineclear = os.path.join(os.path.dirname(sys.executable), "lineclear")
        self.command = [lineclear, "--home", self.home]
        seed = os.path.join(place.root, "seed")
        subprocess.run([*self.command, "init"], check=True, stdout=subprocess.DEVNULL)
        if settings:
            with open(os.path.join(self.home, "lineclear.toml"), "a") as file:
                file.write(settings)
        git = ["git", "-c", "user.name=b", "-c", "user.email=b@localhost", "-C", seed]
        subprocess.run(["git", "clone", "-q", os.path.join(self.home, "repo.git"), seed], check=True)
        subprocess.run([*git, "rm", "-q", "-r", "."], check=True)
        for path, text in manifests.items():
            os.makedirs(os.path.dirname(os.path.join(seed, path)) or seed, exist_ok=True)
            with open(os.path.join(seed, path), "w") as file:
                file.write(text)
        subprocess.run([*git, "add", "-A"], check=True)
        subprocess.run([*git, "commit", "-q", "-m", "bench"], check=True)
        subprocess.run([*git, "push", "-q"], check=True, stderr=subprocess.DEVNULL)
        self.seed, self.git = seed, git
        self.process = subprocess.Popen([*self.command, "serve"], stderr=open(os.path.join(place.root, "daemon.log"), "w"))
        self.connect()

    def connect(self) -> None:
        """Waits until the daemon answers."""
        until = time.monotonic() + 20
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                self.channel = socket.socket(socket.AF_UNIX)
                self.channel.connect(os.path.join(self.home, "control.sock"))
                self.lines = self.channel.makefile("rb")
                self.ask("sync_now")
                return
            time.sleep(0.02)
        raise SystemExit("the daemon did not answer")

    def ask(self, verb: str, **args: object) -> dict:
        """One request, one answer."""
        self.channel.sendall(json.dumps({"verb": verb, "args": args}).encode() + b"\n")
        answer = json.loads(self.lines.readline())
        if "error" in answer:
            raise SystemExit(f"{verb}: {answer['error']}")
        return answer["ok"]

    def rows(self, sql: str) -> list[tuple]:
        """Reads the database."""
        with contextlib.closing(sqlite3.connect(f"file:{self.home}/state.db?mode=ro", uri=True)) as db:
            return db.execute(sql).fetchall()

    def close(self) -> None:
        """Ends the daemon."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)


@contextlib.contextmanager
def served(manifests: dict[str, str], settings: str = "") -> Iterator[tuple[Place, Server]]:
    """A place and a daemon, both gone at the end."""
    place = Place()
    try:
        server = Server(place, {p: t.replace("@STEP@", place.step).replace("@LOG@", place.log) for p, t in manifests.items()}, settings)
        try:
            yield place, server
        finally:
            server.close()
    finally:
        place.close()


def python_pass_ms(n: int = 15) -> float:
    """The bare interpreter."""
    return whole_ms([sys.executable, "-c", "pass"], n)


def whole_ms(command: list[str], n: int = 15) -> float:
    """A whole process, median."""
    times = []
    for _ in range(n):
        began = time.monotonic_ns()
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        times.append((time.monotonic_ns() - began) / 1e6)
    return statistics.median(times)


def show(workload: str, value: float, unit: str, must: float, aim: float | None = None, **more: object) -> None:
    """One line of JSON for a workload."""
    print(json.dumps({"workload": workload, "value": round(value, 3), "unit": unit, "must": must, "aim": aim, "met": value <= must, **more}), flush=True)
