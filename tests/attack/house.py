"""A home of the installed command, driven as its owner would, and an end for exactly what it started.

`House` starts the daemon in the foreground as its own child, so that it can be killed, stopped, starved and run with faults. A
way in (`inside`) is an argv before every command: another uid, another mount namespace. It never ends a process by its name: what
it ends bears this home's folder in its command line, environment, working folder or open files.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from attack.oracle import Testimony, witness

COMMAND = str(Path(sys.executable).with_name("lineclear"))
DEADLINE_S = 60.0
FINAL = ("Succeeded", "Failed", "Error")
SETTINGS = "parallelism = 64\npoll_interval_s = 60\n[steps]\ngrace_s = 0.2\n"


def await_true(condition, what, within_s=DEADLINE_S):
    """The first true value of `condition`; fails after a deadline with what `what` says, or calls up."""
    deadline = time.monotonic() + within_s
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not seen within {within_s:g} s: {what() if callable(what) else what}")
        time.sleep(0.02)
    return value


def read_proc(pid, name):
    """A file of /proc, b'' if it is gone or not ours to read."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def read_ticks(pid):
    """When a process began, in ticks since boot; None once it is gone or only a zombie."""
    fields = read_proc(pid, "stat").rpartition(b")")[2].split()
    return int(fields[19]) if fields and fields[0] not in (b"Z", b"X") else None


def all_pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def read_groups(pid):
    """The cgroups of a process, as lines of /proc/PID/cgroup."""
    return frozenset(read_proc(pid, "cgroup").decode().splitlines())


class House:
    """One home. `logs` is where its steps bear witness, outside the home, so that a full home silences nobody.

    `seen` is the home as this process sees it, `root` as its commands do.
    """

    def __init__(self, *, settings=SETTINGS, inside=()):
        self.folder = Path(tempfile.mkdtemp(prefix="lca"))
        self.root = self.seen = self.folder / "home"
        self.logs = self.folder / "logs"
        self.inside = tuple(inside)
        self.environ = {}
        self.child = None
        self.groups = set()
        self.logs.mkdir()
        self.prepare()
        self.must("init", "--empty")
        self.set_up(settings)

    def prepare(self):
        """What has to be there before the home is made."""

    def set_up(self, text):
        """Writes the settings that the next start reads."""
        self.file("lineclear.toml").write_text(text)

    def file(self, name):
        """A file of the home as this process sees it."""
        return self.seen / name

    # commands

    def env(self, **more):
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "LINECLEAR_", "PYTEST_"))}
        return {**kept, "HOME": str(self.folder), "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0", **more}

    def argv(self, *args):
        return [*self.inside, COMMAND, "--home", str(self.root), *args]

    def run(self, *args, within_s=DEADLINE_S, text=None, **environ):
        """One command to its end."""
        return subprocess.run(
            self.argv(*args), check=False, input=text, capture_output=True, text=True, timeout=within_s, env=self.env(**environ)
        )

    def must(self, *args, **more):
        """The output of a command that has to work."""
        done = self.run(*args, **more)
        assert done.returncode == 0, f"{args} ended with {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout

    def look(self, *args):
        """What a command says as JSON; the items of a list."""
        found = json.loads(self.must(*args, "-o", "json"))
        return found["items"] if isinstance(found, dict) and "items" in found else found

    def phases(self):
        """The phase of every run, by its name."""
        return {run["metadata"]["name"]: run["status"].get("phase", "") for run in self.look("list", "--limit", "0")}

    # the socket: a request is a line of JSON

    def connect(self, within_s=DEADLINE_S):
        link = socket.socket(socket.AF_UNIX)
        link.settimeout(within_s)
        folder = os.open(self.seen, os.O_PATH | os.O_DIRECTORY)
        try:
            link.connect(f"/proc/self/fd/{folder}/control.sock")
        except OSError:
            link.close()
            raise
        finally:
            os.close(folder)
        return link

    def ask(self, verb, within_s=DEADLINE_S, **args):
        """The daemon's answer, an error too; OSError without one."""
        with self.connect(within_s) as link, link.makefile("rb") as answers:
            link.sendall(json.dumps({"verb": verb, "args": args}).encode() + b"\n")
            line = answers.readline()
        if not line:
            raise ConnectionError("closed without an answer")
        return json.loads(line)

    def submit(self, *documents, within_s=DEADLINE_S):
        """Submits documents in one request; fails if they are refused."""
        files = [{"path": f"{number}.yaml", "text": json.dumps(body)} for number, body in enumerate(documents)]
        answer = self.ask("submit", within_s, files=files, namespace="default")
        assert "ok" in answer, answer
        return answer

    # the daemon

    @property
    def daemon(self):
        return self.child.pid

    def launch(self, *before, **environ):
        """Starts the daemon, without waiting for anything."""
        assert self.child is None or self.child.poll() is not None
        with (self.folder / "daemon.log").open("ab") as log:
            argv = [*self.inside, *before, COMMAND, "--home", str(self.root), "serve"]
            env = self.env(**self.environ, **environ)
            self.child = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, start_new_session=True
            )

    def start(self, *before, **environ):
        """Starts the daemon and waits until it answers."""
        self.launch(*before, **environ)
        await_true(self.answers, lambda: f"a daemon that answers; it said: {self.said()[-2000:]}")
        return self

    def answers(self):
        assert self.child.poll() is None, f"the daemon ended with {self.child.returncode}: {self.said()[-2000:]}"
        try:
            return "ok" in self.ask("ping", 5.0)
        except OSError:
            return False

    def said(self):
        path = self.folder / "daemon.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def kill(self):
        """kill -9 of the daemon, and it is gone; steps live on."""
        if self.child is not None:
            self.child.kill()
            self.child.wait()

    # steps

    def witness(self, log, tag, life_ms, code=0, *escape):
        """The shell words of a step that bears witness in the file `log`."""
        return " ".join([*witness(), str(self.logs / log), tag, str(life_ms), str(code), *map(str, escape)])

    def testimony(self, log):
        return Testimony.read(self.logs / log)

    # processes

    def is_ours(self, pid):
        """Whether a process bears this home's folder in anything that it has."""
        mark = str(self.folder).encode()
        if mark in read_proc(pid, "cmdline") or mark in read_proc(pid, "environ"):
            return True
        links = [f"/proc/{pid}/cwd"]
        with contextlib.suppress(OSError):
            links += [f"/proc/{pid}/fd/{name}" for name in os.listdir(f"/proc/{pid}/fd")]
        for link in links:
            with contextlib.suppress(OSError):
                if os.fsencode(os.readlink(link)).startswith(mark):
                    return True
        return False

    def processes(self):
        """Every living process of this home but for this one."""
        return [pid for pid in all_pids() if pid != os.getpid() and read_ticks(pid) is not None and self.is_ours(pid)]

    def shims(self):
        """The zygote and the workers."""
        mark = f"{self.root}/control.sock".encode()
        return [pid for pid in all_pids() if mark in (line := read_proc(pid, "cmdline")) and b"\0-I\0-S\0" in line]

    def note_groups(self, pid):
        """Remembers the cgroups of a process of this home that are not ours, to leave none behind; whether there are any."""
        found = read_groups(pid) - read_groups(os.getpid())
        self.groups |= found
        return bool(found)

    def close(self):
        """Ends what this home started, removes what it made."""
        for pid in self.processes():
            self.note_groups(pid)
        self.kill()

        def is_empty():
            for pid in (left := self.processes()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return not left

        await_true(is_empty, lambda: f"the end of {self.processes()}")
        remove_groups(self.groups)
        shutil.rmtree(self.folder, onerror=make_removable)


def make_removable(_call, path, _why):
    """A folder without the right to write is made writable, and removed after all."""
    with contextlib.suppress(OSError):
        Path(path).parent.chmod(0o700)
        Path(path).unlink() if not Path(path).is_dir() else (Path(path).chmod(0o700), shutil.rmtree(path, ignore_errors=True))


def mounted_groups():
    """(hierarchy, where it is mounted) for every cgroup mount: '' is version 2, else its controllers."""
    found = []
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, where, kind, options, *_ = line.split()
        if kind == "cgroup2":
            found.append(("", where))
        elif kind == "cgroup":
            found.append((options, where))
    return found


def remove_groups(lines):
    """Removes emptied cgroups that a home left, given as lines of /proc/PID/cgroup; those in use stay as they are."""
    for line in sorted(lines, key=len, reverse=True):
        _, controllers, path = line.split(":", 2)
        for options, where in mounted_groups():
            same = (not controllers and not options) or (controllers and set(controllers.split(",")) <= set(options.split(",")))
            home = f"{where}/{path.strip('/').partition('/')[0]}"
            if same and os.path.basename(home).startswith("lineclear-"):
                for below, _, _ in os.walk(home, topdown=False):
                    with contextlib.suppress(OSError):
                        os.rmdir(below)


def workflow(name, source, *, spec=None, template=None, annotations=None, templates=()):
    """A Workflow of one script."""
    main = {"name": "main", "script": {"image": "host", "command": ["sh"], "source": source}, **(template or {})}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": name, **({"annotations": annotations} if annotations else {})},
        "spec": {"entrypoint": "main", "templates": [main, *templates], **(spec or {})},
    }


def mutexes(*names):
    return {"synchronization": {"mutexes": [{"name": name} for name in names]}}
