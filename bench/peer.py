"""The peer: procrastinate on a PostgreSQL cluster of its own, without TCP, gone at the end.

It runs by the interpreter in the environment BENCH_PEERS, never by ours.
"""

from __future__ import annotations

import glob
import os
import pwd
import shutil
import subprocess

from bench.measure import Place

_USER = "postgres"
_SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "peers", "procrastinate_queue.py")


def python() -> str | None:
    """The peers' interpreter."""
    folder = os.environ.get("BENCH_PEERS", "")
    path = os.path.join(folder, "bin", "python")
    return path if folder and os.access(path, os.X_OK) else None


def has_module(name: str) -> bool:
    """True if the peers' interpreter can import it."""
    interpreter = python()
    if interpreter is None:
        return False
    return subprocess.run([interpreter, "-c", f"import {name}"], check=False, capture_output=True).returncode == 0


def why_missing() -> str:
    """What keeps the peer from running; '' if nothing does."""
    if python() is None:
        return "BENCH_PEERS names no virtual environment"
    if not has_module("procrastinate, psycopg_pool"):
        return "procrastinate is not in BENCH_PEERS"
    return "" if _programs() else "PostgreSQL is not in /usr/lib/postgresql"


def _programs() -> str:
    """The folder of the newest PostgreSQL's programs."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))
    return os.path.dirname(found[-1]) if found else ""


def run_queue(place: Place, count: int) -> int:
    """Puts `count` runs of the step through the peer; the instant, in monotonic ns, at which the first was handed in."""
    folder = place.path("postgres")
    os.mkdir(folder, 0o700)
    as_user = _as_server_user(folder)
    programs, data = _programs(), os.path.join(folder, "data")
    control = [*as_user, os.path.join(programs, "pg_ctl"), "-D", data, "-w"]
    _run([*as_user, os.path.join(programs, "initdb"), "-D", data, "-A", "trust", "-U", _USER])
    options = f"-k {folder} -c listen_addresses=''"
    place.at_end(lambda: _run([*control, "-m", "immediate", "stop"]))
    _run([*control, "-l", os.path.join(folder, "log"), "-o", options, "start"])
    interpreter = python()
    assert interpreter is not None
    words = [interpreter, _SCRIPT, f"host={folder} user={_USER} dbname=postgres", place.step, place.log, str(count)]
    done = subprocess.run(words, check=True, capture_output=True, text=True, timeout=60)
    return int(done.stdout)


def _as_server_user(folder: str) -> list[str]:
    """PostgreSQL refuses to run as root: then it runs as its own user."""
    if os.geteuid() != 0:
        return []
    pwd.getpwnam(_USER)
    shutil.chown(folder, _USER)
    return ["runuser", "-u", _USER, "--"]


def _run(words: list[str]) -> None:
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=30, cwd="/")
