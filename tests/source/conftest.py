"""A hosted repository and a clone that pushes to it, with real git and nothing of the developer's own settings."""

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reconciler.source.hosting import create_hosted
from reconciler.source.repository import Repository

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@dataclass
class Desk:
    """A pusher's clone beside the hosted repository."""

    home: Path
    bare: Path
    work: Path

    def env(self):
        kept = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
        who = {
            f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in (("NAME", "Ann"), ("EMAIL", "a@b"))
        }
        return {**kept, **who, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}

    def git(self, *args, cwd=None, check=True, stdin=None):
        argv = ["git", "-c", "protocol.file.allow=always", *args]
        done = subprocess.run(
            argv, check=False, cwd=cwd or self.work, env=self.env(), input=stdin, capture_output=True, text=True, timeout=60
        )
        if check and done.returncode:
            raise AssertionError(f"git {args} failed: {done.stderr}")
        return done

    def write(self, path, text):
        target = self.work / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def commit(self, files=None, remove=(), subject="change"):
        for path, text in (files or {}).items():
            self.write(path, text)
        for path in remove:
            (self.work / path).unlink()
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", subject)
        return self.git("rev-parse", "HEAD").stdout.strip()

    def push(self, *args, check=True):
        return self.git("push", *(args or ("origin", "HEAD:main")), check=check)

    def land(self, files=None, remove=()):
        """Commit and put it on the branch without the hooks' opinion."""
        sha = self.commit(files, remove)
        self.git("push", "-q", "-f", "--receive-pack=git -c core.hooksPath=/dev/null receive-pack", "origin", "HEAD:main")
        return sha


@pytest.fixture
def short_dir():
    with tempfile.TemporaryDirectory(prefix="lc") as folder:
        yield Path(folder)


@pytest.fixture
def desk(short_dir):
    home = short_dir / "home"
    home.mkdir(mode=0o700)
    bare = home / "repo.git"
    create_hosted(bare, "main", None, sys.executable, home=home)
    work = short_dir / "work"
    subprocess.run(["git", "init", "-q", "-b", "main", str(work)], check=True)
    one = Desk(home=home, bare=bare, work=work)
    one.git("remote", "add", "origin", str(bare))
    return one


@pytest.fixture
def repository(desk):
    return Repository(str(desk.bare))


def workflow_text(name="build", command="true", kind="Workflow", extra=""):
    return (
        f"apiVersion: argoproj.io/v1alpha1\nkind: {kind}\nmetadata:\n  name: {name}\n{extra}"
        "spec:\n  entrypoint: main\n  templates:\n  - name: main\n"
        f"    container:\n      image: host\n      command: ['{command}']\n"
    )


@pytest.fixture
def manifest():
    return workflow_text


@pytest.fixture
def now():
    return NOW
