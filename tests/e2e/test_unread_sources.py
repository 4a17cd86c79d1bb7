"""A source that cannot be read is told by `sync`, the journal and the exit code of `sync now`, until it can be again."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

GONE = "--receive-pack=git -c core.hooksPath=/dev/null receive-pack"


@pytest.fixture
def served(home, book):
    home.daemon.start()
    home.push({"w.yaml": book.workflow("w")})
    home.wait_phase("w")
    return home


@pytest.fixture
def call(home):
    def run(*words):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "LINECLEAR_"))}
        argv = [sys.executable, "-m", "reconciler", "--home", str(home.root), *words]
        return subprocess.run(argv, check=False, env=env, capture_output=True, text=True, timeout=90)

    return run


def state(home):
    return home.rows("SELECT value FROM meta WHERE key = 'source_state'")[0][0]


def lose_blob(home, path):
    """Removes a blob of the head from the hosted repository; what to call to put it back."""
    blob = home.git("rev-parse", f"HEAD:{path}").stdout.strip()
    loose = home.bare / "objects" / blob[:2] / blob[2:]
    content = loose.read_bytes()
    loose.unlink()

    def back():
        loose.write_bytes(content)

    return back


def push_unseen(home, until):
    """Pushes past the hooks while the daemon is down: nobody has read it yet."""
    home.git("push", "-q", GONE, "origin", "HEAD:main")
    return home.git("rev-parse", "HEAD").stdout.strip()


def test_a_blob_that_is_missing_is_told_and_read_when_it_is_back(served, book, call, until):
    served.daemon.stop()
    served.commit({"x.yaml": book.workflow("x")})
    sha = push_unseen(served, until)
    back = lose_blob(served, "x.yaml")
    served.daemon.start()
    until(lambda: "could not be read" in state(served), lambda: f"the missing blob to be told: {state(served)}")

    said = call("sync")
    assert "The branch's head is not live for " in said.stdout
    assert "could not be read" in said.stdout
    now = call("sync", "now")
    assert (now.returncode, "could not be read" in now.stdout) == (5, True)
    assert f"head {sha[:10]}, live " in now.stdout
    assert "not read" in now.stdout
    assert served.journal("source.missing")
    assert served.rows("SELECT count(*) FROM definition WHERE retired_at IS NULL") == [(1,)]

    back()
    served.wait_phase("x")
    assert state(served) == ""
    assert call("sync", "now").returncode == 0
    assert "not live" not in call("sync").stdout


@pytest.mark.parametrize("how", ["deleted", "corrupt", "gone"])
def test_a_branch_that_cannot_be_resolved_is_told_and_forgotten_when_it_is_back(served, call, until, how):
    ref = served.bare / "refs" / "heads" / "main"
    aside = served.root / "aside.git"
    text = ref.read_text()
    if how == "gone":
        served.bare.rename(aside)
    elif how == "corrupt":
        ref.write_text("nonsense\n")
    else:
        served.git("push", "-q", "origin", ":main")
    until(lambda: state(served), "the source's state to be told")
    assert "The branch's head is not live" in call("sync").stdout
    assert call("sync", "now").returncode in (2, 5)

    if how == "gone":
        aside.rename(served.bare)
    elif how == "corrupt":
        ref.write_text(text)
    else:
        served.push_head()
    until(lambda: not state(served), lambda: f"it to be forgotten: {state(served)}")
    assert [kind for kind in ("source.missing", "source.read") if served.journal(kind)] == ["source.missing", "source.read"]
    assert call("sync", "now").returncode == 0


def test_what_is_live_and_what_was_skipped_is_counted(served, call):
    served.push({"values.yaml": "a: 1\n---\nb: 2\n", "list.json": "[]"})
    said = call("sync").stdout
    assert said.endswith("1 definition live in 1 file, 3 foreign documents skipped\n")
    assert "skipped: 3 foreign documents in 2 files" in said
