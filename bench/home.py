"""A home of a workload's own, with a commit put straight into its repository and a daemon that is driven over its socket."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing

from bench.measure import Place

LINECLEAR = os.path.join(os.path.dirname(sys.executable), "lineclear")
BRANCH = "refs/heads/main"
READY_S = 30.0
ANSWER_S = 45.0
_TEMPLATE = """\
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata:
  name: {name}
spec:
  entrypoint: main
{mutex}  arguments:
    parameters:
      - name: id
        value: "0"
      - name: seconds
        value: "0"
  templates:
    - name: main
      container:
        image: host
        command: ["{step}"]
        args: ["{log}", "{{{{workflow.parameters.id}}}}", "{{{{workflow.parameters.seconds}}}}"]
"""
_MUTEX = """\
  synchronization:
    mutexes:
      - name: "{name}"
"""
ONE_MUTEX = "block"
MUTEX_PER_RUN = "block-{{workflow.parameters.id}}"


def template(place: Place, name: str, mutex: str = ONE_MUTEX) -> str:
    """A WorkflowTemplate of one step that notes its first and last instruction; `mutex` '' for none."""
    text = _MUTEX.format(name=mutex) if mutex else ""
    return _TEMPLATE.format(name=name, mutex=text, step=place.step, log=place.log)


class Served:
    """A home made by `lineclear init`, and its daemon while `start`ed."""

    def __init__(self, place: Place, name: str = "home", settings: str = "") -> None:
        self.root = place.path(name)
        self.repository = os.path.join(self.root, "repo.git")
        self.database = os.path.join(self.root, "state.db")
        self.process: subprocess.Popen[bytes] | None = None
        self.connection: socket.socket | None = None
        self._log = place.path(f"{name}.log")
        subprocess.run([*self.command("init", "--empty")], check=True, stdout=subprocess.DEVNULL)
        path = os.path.join(self.root, "lineclear.toml")
        with open(path) as file:
            text = file.read()
        with open(path, "w") as file:
            file.write(settings + text)
        place.at_end(self.stop)

    def command(self, *words: str) -> list[str]:
        """A lineclear command for this home."""
        return [LINECLEAR, "--home", self.root, *words]

    def seed(self, files: Mapping[str, str]) -> None:
        """Makes the branch hold these files and no others, past any hook."""
        seed_repository(self.repository, files)

    def start(self, command: Sequence[str] | None = None) -> None:
        """Starts the daemon and waits until the head is live. Raises TimeoutError."""
        words = command or self.command("serve")
        with open(self._log, "ab") as log:
            self.process = subprocess.Popen(words, stderr=log, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        self.connection = self._connect()
        self._lines = self.connection.makefile("rb")
        self.ask("sync_now")

    def _connect(self) -> socket.socket:
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            if self.process is not None and self.process.poll() is not None:
                break
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(ANSWER_S)
            try:
                connection.connect(os.path.join(self.root, "control.sock"))
            except OSError:
                connection.close()
                time.sleep(0.01)
            else:
                return connection
        raise TimeoutError(f"the daemon does not answer: {self._log_end()}")

    def _log_end(self) -> str:
        with open(self._log) as log:
            return log.read()[-1000:]

    def ask(self, verb: str, **args: object) -> dict:
        """One request and its answer. Raises RuntimeError if it is refused."""
        self.send([(verb, args)])
        return self.receive()

    def send(self, requests: Sequence[tuple[str, Mapping[str, object]]]) -> None:
        """Sends requests at once; as many answers are to be received."""
        lines = [json.dumps({"verb": verb, "args": args}).encode() + b"\n" for verb, args in requests]
        assert self.connection is not None
        self.connection.sendall(b"".join(lines))

    def receive(self) -> dict:
        """The next answer."""
        line = self._lines.readline()
        if not line:
            raise RuntimeError(f"the daemon hung up: {self._log_end()}")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"]["message"])
        return answer["ok"]

    def submit(self, name: str, number: int, seconds: int = 0) -> dict:
        """Submits a run of a template of `template`."""
        return self.ask("submit", **submission(name, number, seconds))

    def rows(self, sql: str) -> list[tuple]:
        """What the database says now."""
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as db:
            return db.execute(sql).fetchall()

    def stop(self) -> None:
        """Ends the daemon; steps that run go on."""
        if self.process is None:
            return
        process, self.process = self.process, None
        if self.connection is not None:
            self.connection.close()
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def submission(name: str, number: int, seconds: int = 0) -> dict[str, object]:
    """The arguments of a `submit` from a template of `template`."""
    return {"from": f"workflowtemplate/{name}", "parameters": {"id": str(number), "seconds": str(seconds)}}


def seed_repository(repository: str, files: Mapping[str, str]) -> None:
    """Commits these files, and no others, to the main branch of a bare repository in one go; no hook is run."""
    ask = ["git", "-C", repository, "rev-parse", "--verify", "--quiet", BRANCH]
    found = subprocess.run(ask, check=False, capture_output=True)
    parts = [f"commit {BRANCH}\ncommitter Bench <bench@localhost> 1700000000 +0000\ndata 5\nbench\n".encode()]
    if found.returncode == 0:
        parts.append(b"from %s\ndeleteall\n" % found.stdout.strip())
    for path, text in files.items():
        data = text.encode()
        parts.append(f"M 100644 inline {path}\ndata {len(data)}\n".encode() + data + b"\n")
    subprocess.run(["git", "-C", repository, "fast-import", "--quiet"], input=b"".join(parts), check=True, timeout=30)
