"""The push path: `git push` of one changed file with our hooks less a bare push of the same, and how soon it is live."""

from __future__ import annotations

import os
import sqlite3
import statistics
import subprocess
import time
from contextlib import closing

from bench.home import Served, seed_repository
from bench.measure import Place, Report, command_ms, elapsed_ms, interleaved, python_pass

SIZES = {10: 11, 10_000: 7}  # files: rounds
LIVE_WAIT_S = 10.0
SETTLED_S = 20.0
_FILE = """\
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata:
  name: template-{number}
spec:
  entrypoint: main
  templates:
    - name: main
      container:
        image: host
        command: [echo, "{text}"]
"""


def run(place: Place, report: Report) -> None:
    """Rows for each size: what the hooks add; how long after git's end the definition is live."""
    for size, rounds in SIZES.items():
        files = max(2, round(size * report.scale)) if size > 100 else size
        pushes = Pushes(place, files)
        with place.beside_floor() as beside:
            cases = {"pass": lambda: command_ms(python_pass()), "bare": pushes.bare_ms, "hooks": pushes.hooked_ms}
            found = interleaved(cases, report.size(rounds))
        added, must = found["hooks"] - found["bare"], 2.5 * found["pass"] + 20
        more = {"push_ms": found["hooks"], "bare_ms": found["bare"], "pass_ms": found["pass"]}
        report.row(f"push.{size}", added, "ms", (must, None), beside=beside, files=files, **more)
        live = sorted(pushes.live_ms)
        more = {"worst_ms": live[-1], "files": files, "work_after_ms": statistics.median(pushes.after_ms)}
        report.row(f"push.{size}.live", live[len(live) // 2], "ms", (15, 5), **more)
        pushes.close()


class Pushes:
    """A clone with two remotes that hold the same: a home with its daemon, and a bare repository."""

    def __init__(self, place: Place, files: int) -> None:
        name = f"home-{files}"
        self._served = Served(place, name)
        contents = {_path(n): _FILE.format(number=n, text="0") for n in range(files)}
        self._served.seed(contents)
        self._bare = place.path(f"bare-{files}.git")
        subprocess.run(["git", "init", "-q", "--bare", "--initial-branch=main", self._bare], check=True)
        for key in ("gc.auto", "receive.autogc"):
            subprocess.run(["git", "-C", self._bare, "config", key, "0"], check=True)
        seed_repository(self._bare, contents)
        self._served.start()
        self._work = place.path(f"work-{files}")
        self._git = ["git", "-C", self._work, "-c", "user.name=b", "-c", "user.email=b@localhost"]
        subprocess.run(["git", "clone", "-q", "-c", "gc.auto=0", self._served.repository, self._work], check=True)
        self._count = 0
        self._turns: dict[str, str] = {}
        self.live_ms: list[float] = []
        self.after_ms: list[float] = []

    def _commit(self, remote: str) -> str:
        """Both pushes of a round carry the same commit: made by the first, taken by the second."""
        if not self._turns or remote in self._turns:
            self._count += 1
            self._turns = {}
            with open(os.path.join(self._work, _path(3)), "w") as file:
                file.write(_FILE.format(number=3, text=str(self._count)))
            subprocess.run([*self._git, "commit", "-q", "-a", "-m", f"change {self._count}"], check=True)
            found = subprocess.run([*self._git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
            sha = found.stdout.strip()
        else:
            sha = next(iter(self._turns.values()))
        self._turns[remote] = sha
        return sha

    def _push_ms(self, remote: str) -> float:
        words = [*self._git, "push", "-q", remote, "HEAD:main"]
        return command_ms(words)

    def bare_ms(self) -> float:
        self._commit(self._bare)
        return self._push_ms(self._bare)

    def hooked_ms(self) -> float:
        """Also notes how long after git's end the pushed definition was live; 0 if it was already."""
        sha = self._commit(self._served.repository)
        took = self._push_ms(self._served.repository)
        began = time.monotonic()
        with closing(sqlite3.connect(f"file:{self._served.database}?mode=ro", uri=True, isolation_level=None)) as db:
            sql = "SELECT 1 FROM definition WHERE name = 'template-3' AND commit_sha = ? AND retired_at IS NULL"
            looks = 0
            while db.execute(sql, (sha,)).fetchone() is None:
                looks += 1
                if time.monotonic() - began > LIVE_WAIT_S:
                    raise TimeoutError(f"{sha} is not live {LIVE_WAIT_S:g} s after the push")
                time.sleep(0.0002)
        self.live_ms.append((time.monotonic() - began) * 1000 if looks else 0.0)
        self.after_ms.append(elapsed_ms(lambda: self._wait_for_note(sha)))
        return took

    def _wait_for_note(self, sha: str) -> None:
        """Until the daemon has done what no push waits for, which would disturb the next one."""
        deadline = time.monotonic() + SETTLED_S
        while not self._served.rows(f"SELECT 1 FROM revision WHERE sha = '{sha}' AND noted = 1"):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{sha} has no note {SETTLED_S:g} s after the push")
            time.sleep(0.01)

    def close(self) -> None:
        self._served.stop()


def _path(number: int) -> str:
    return f"team-{number % 20}/template-{number}.yaml"
