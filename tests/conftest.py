"""Whole homes for tests: a hosted repository, a real daemon in a child process, a clone that pushes.

Everything that a home starts carries the home's path in its command line, its environment or its working directory; the
teardown ends all of it by pid, whatever the test left.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from reconciler.control.client import NoDaemon, ping, request
from reconciler.errors import LineclearError
from reconciler.runtime.grouping import find_grouping
from reconciler.runtime.leftovers import sweep_leftovers
from reconciler.source.hosting import create_hosted

SERVE = "import sys; from reconciler.daemon import serve; sys.exit(serve(sys.argv[1]))"
SHIM_FLAGS = b"\0-I\0-S\0"
FINAL = ("Succeeded", "Failed", "Error")
DEADLINE_S = 60.0


def poll_until(condition, what, within_s=DEADLINE_S):
    """The first true value of `condition`; fails after a deadline, with what `what` (or its call) says."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.005)
    raise AssertionError(f"not seen within {within_s} s: {what() if callable(what) else what}")


def read_proc(pid, name):
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def is_alive(pid):
    """True while the process runs; a zombie does not."""
    fields = read_proc(pid, "stat").rpartition(b")")[2].split()
    return bool(fields) and fields[0] not in (b"Z", b"X")


class Daemon:
    """The daemon of one home as a child process. `start` waits until its control thread answers."""

    def __init__(self, root, log):
        self.root = root
        self.log = log
        self.child = None

    @property
    def pid(self):
        return self.child.pid

    def launch(self, **environ):
        """Starts it without waiting for anything."""
        assert self.child is None or self.child.poll() is not None, "a daemon of this home is running already"
        env = {key: value for key, value in os.environ.items() if not key.startswith(("LINECLEAR_", "GIT_"))}
        with self.log.open("ab") as log:
            argv = [sys.executable, "-c", SERVE, str(self.root)]
            self.child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env | environ)
        return self

    def start(self, **environ):
        self.launch(**environ)
        poll_until(self.is_ready, lambda: f"a daemon that answers; it said: {self.said()[-2000:]}")
        return self

    def is_ready(self):
        assert self.child.poll() is None, f"the daemon ended with {self.child.returncode}: {self.said()[-2000:]}"
        try:
            return ping(str(self.root))["pid"] == self.pid
        except LineclearError:
            return False

    def said(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def signal(self, number):
        self.child.send_signal(number)

    def wait(self, within_s=DEADLINE_S):
        """Its exit code, negative for a signal."""
        return self.child.wait(within_s)

    def kill(self):
        """kill -9, and gone."""
        if self.child is not None:
            self.child.kill()
            self.child.wait()

    def stop(self):
        """SIGTERM, and gone: steps go on."""
        self.child.terminate()
        return self.wait()


class House:
    """A home, its daemon, a clone, and questions to the store that change nothing."""

    def __init__(self, folder, prepare):
        self.folder = folder
        self.root = folder / "home"
        self.root.mkdir(mode=0o700)
        prepare(self.root)
        self.bare = self.root / "repo.git"
        create_hosted(self.bare, "main", None, sys.executable, home=self.root)
        self.work = folder / "work"
        subprocess.run(["git", "init", "-q", "-b", "main", str(self.work)], check=True, env=self.env())
        self.git("remote", "add", "origin", str(self.bare))
        self.daemon = Daemon(self.root, folder / "daemon.log")
        self.logs = folder / "logs"
        self.logs.mkdir()

    def set_up(self, text):
        """Writes the settings that the next start reads."""
        path = self.root / "lineclear.toml"
        path.write_text(text)
        path.chmod(0o600)

    # git

    def env(self):
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "LINECLEAR_"))}
        roles, facts = ("AUTHOR", "COMMITTER"), (("NAME", "Ann"), ("EMAIL", "ann@localhost"))
        who = {f"GIT_{role}_{what}": value for role in roles for what, value in facts}
        return {**kept, **who, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}

    def git(self, *args, cwd=None, check=True):
        argv = ["git", "-c", "protocol.file.allow=always", *args]
        done = subprocess.run(
            argv, check=False, cwd=cwd or self.work, env=self.env(), capture_output=True, text=True, timeout=60, errors="replace"
        )
        if check and done.returncode:
            raise AssertionError(f"git {args} failed: {done.stderr}")
        return done

    def commit(self, files=None, remove=()):
        for path, text in (files or {}).items():
            target = self.work / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(text if isinstance(text, bytes) else text.encode())
        for path in remove:
            (self.work / path).unlink()
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "change")
        return self.git("rev-parse", "HEAD").stdout.strip()

    def push(self, files=None, remove=(), *, force=False, check=True):
        """Commits and pushes; what the pusher reads."""
        self.commit(files, remove)
        return self.push_head(force=force, check=check)

    def push_head(self, *, force=False, check=True):
        done = self.git("push", *(["-f"] if force else []), "origin", "HEAD:main", check=check)
        done.said = "\n".join(line.removeprefix("remote: ").rstrip() for line in done.stderr.splitlines())
        return done

    # questions

    def ask(self, verb, timeout_s=30.0, **args):
        """The daemon's answer to one request; raises what it refused with."""
        return request(str(self.root), verb, args, timeout_s)

    def submit(self, *texts, **more):
        files = [{"path": f"{number}.yaml", "text": text} for number, text in enumerate(texts)]
        return self.ask("submit", files=files, **more)["runs"]

    def rows(self, sql, *values):
        with contextlib.closing(sqlite3.connect(f"file:{self.root}/state.db?mode=ro", uri=True, timeout=5)) as db:
            return db.execute(sql, values).fetchall()

    def phase(self, name):
        found = self.rows("SELECT phase FROM run WHERE name = ?", name)
        return found[0][0] if found else None

    def message(self, name):
        return self.rows("SELECT message FROM run WHERE name = ?", name)[0][0]

    def wait_phase(self, name, *phases):
        wanted = phases or FINAL
        return poll_until(lambda: (now := self.phase(name)) in wanted and now, lambda: f"{name} in {wanted}: {self.phase(name)}")

    def wait_rows(self, sql, *values):
        """The rows of a question to the store, once there are any."""
        return poll_until(lambda: self.rows(sql, *values), sql)

    def wait_line(self, name, start=""):
        """The first whole line of one log that starts so."""

        def find():
            return next((line for line in self.lines(name) if line.startswith(start)), None)

        return poll_until(find, f"a line {start!r} in {name}")

    def lines(self, name):
        path = self.logs / name
        return path.read_text().splitlines() if path.exists() else []

    def journal(self, kind):
        """(actor, run, subject, detail as JSON text) of every entry of a kind, oldest first."""
        return self.rows("SELECT actor, run, subject, detail_json FROM journal WHERE kind = ? ORDER BY seq", kind)

    def verify(self):
        """What a check of the record says, compared with the Git notes."""
        from reconciler.home import Home
        from reconciler.store.read import open_read
        from reconciler.views.chain import check_chain, noted_heads

        heads, why = noted_heads(Home(str(self.root)))
        assert why == ""
        reader = open_read(str(self.root / "state.db"))
        with contextlib.closing(reader), reader:
            return check_chain(reader, heads)

    def holders(self, key):
        """(run, epoch) of those who hold a lock now, by epoch."""
        return self.rows(
            "SELECT r.name, c.epoch FROM claim c JOIN run r ON r.id = c.run_id JOIN claim_lock cl ON cl.claim_id = c.id"
            " JOIN lock l ON l.id = cl.lock_id WHERE l.key = ? AND cl.state = 'held' AND cl.nested = 0 ORDER BY c.epoch",
            key,
        )

    # processes

    def carriers(self):
        """Every living process that bears this home's folder, but for this one."""
        mark = str(self.folder).encode() + b"/"
        found = []
        for pid in (int(name) for name in os.listdir("/proc") if name.isdigit()):
            if pid == os.getpid() or not is_alive(pid):
                continue
            cwd = b""
            with contextlib.suppress(OSError):
                cwd = os.fsencode(os.readlink(f"/proc/{pid}/cwd")) + b"/"
            if mark in read_proc(pid, "cmdline") or mark in read_proc(pid, "environ") or cwd.startswith(mark):
                found.append(pid)
        return sorted(found)

    def shims(self):
        """The zygote and its workers, by pid; the oldest first."""
        mark = f"{self.root}/control.sock".encode()
        return [pid for pid in self.carriers() if mark in (line := read_proc(pid, "cmdline")) and SHIM_FLAGS in line]

    def zygotes(self):
        """Shims that serve no attempt but fork those that do: the daemon's own children."""
        return [pid for pid in self.shims() if int(read_proc(pid, "stat").rpartition(b")")[2].split()[1]) == self.daemon.pid]

    def workers(self):
        zygotes = self.zygotes()
        return [pid for pid in self.shims() if pid not in zygotes]

    def steps(self):
        """Living processes of attempts."""
        mark = b"LINECLEAR_ATTEMPT="
        return [pid for pid in self.carriers() if mark in read_proc(pid, "environ")]

    def close(self):
        """Ends everything that this home started, by pid, and waits until it is gone."""
        self.daemon.kill()

        def is_empty():
            for pid in (left := self.carriers()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return not left

        poll_until(is_empty, lambda: f"the end of {self.carriers()}")


def remove_groups(root):
    """What killed workers of a home have left; nobody starts its daemon again."""
    places = find_grouping(Path(root)).places if os.path.isdir(root) else ()
    deadline = time.monotonic() + 1
    while any(os.path.isdir(place.home) for place in places) and time.monotonic() < deadline:
        sweep_leftovers(places, [])
        time.sleep(0.005)


@pytest.fixture(scope="session", autouse=True)
def groups_of_killed_homes(tmp_path_factory):
    """Whatever the tests killed in their folders: its control groups go with the session."""
    yield
    for log in tmp_path_factory.getbasetemp().glob("*/**/shim.log"):
        remove_groups(log.parent)


@pytest.fixture
def until():
    """Polls a condition with a deadline."""
    return poll_until


@pytest.fixture
def alive():
    """Whether a pid runs."""
    return is_alive


@pytest.fixture
def make_home():
    """Makes homes in short paths; ends whatever they started, and removes them. `prepare` is given the empty home."""
    made = []

    def make(prepare=lambda _root: None):
        house = House(Path(tempfile.mkdtemp(prefix="lc")), prepare)
        made.append(house)
        return house

    yield make
    for house in made:
        house.close()
        remove_groups(house.root)
        shutil.rmtree(house.folder, ignore_errors=True)


@pytest.fixture
def home(make_home):
    """A home with an empty hosted repository; its daemon is not started."""
    return make_home()


@pytest.fixture
def no_daemon():
    """What a request to a home without a daemon raises."""
    return NoDaemon
