"""The thread that watches the branch: each trigger alone suffices, and no lost event leaves it behind."""

import queue
import threading
import time

import pytest

from reconciler.clock import SystemClock
from reconciler.model.source import BranchMissing, Revision
from reconciler.source.repository import Repository, Scope
from reconciler.source.watch import SourceThread, WatchSettings

WAIT_S = 10
NEVER_S = 3600.0


@pytest.fixture
def watch(desk):
    started = []

    def begin(applied=None, *, repository=None, **settings):
        inbox = queue.Queue()
        thread = SourceThread(
            repository or Repository(str(desk.bare)), inbox.put, clock=SystemClock(), settings=WatchSettings(**settings)
        )
        started.append(thread)
        thread.start(applied)
        return thread, inbox

    yield begin
    for thread in started:
        thread.stop()
    assert not [t for t in threading.enumerate() if t.name.startswith("source")]


def names(revision):
    return [f.path for f in revision.changed]


def test_the_first_look_hands_over_the_whole_tree_once(desk, watch, manifest):
    sha = desk.land({"a.yaml": manifest("a")})
    _, inbox = watch(events=False, poll_s=0.01)
    found = inbox.get(timeout=WAIT_S)
    assert isinstance(found, Revision)
    assert (found.sha, names(found)) == (sha, ["a.yaml"])
    new = desk.land({"b.yaml": manifest("b")})
    later = inbox.get(timeout=WAIT_S)
    assert (later.sha, later.previous, names(later)) == (new, None, ["a.yaml", "b.yaml"])
    assert inbox.empty()


@pytest.mark.parametrize("trigger", ["poke", "events", "poll"])
def test_each_trigger_alone_finds_a_push(desk, watch, manifest, trigger):
    old = desk.land({"a.yaml": manifest("a")})
    thread, inbox = watch(old, events=trigger == "events", poll_s=0.05 if trigger == "poll" else NEVER_S)
    new = desk.land({"b.yaml": manifest("b")})
    if trigger == "poke":
        thread.poke()
    found = inbox.get(timeout=WAIT_S)
    assert (found.sha, found.previous, names(found)) == (new, old, ["b.yaml"])


def test_packing_refs_and_collecting_are_no_news(desk, watch, manifest):
    sha = desk.land({"a.yaml": manifest("a")})
    _, inbox = watch(sha, poll_s=0.02)
    desk.git("pack-refs", "--all", cwd=desk.bare)
    desk.git("gc", "-q", cwd=desk.bare)
    new = desk.land({"b.yaml": manifest("b")})
    assert inbox.get(timeout=WAIT_S).sha == new
    assert inbox.empty()


def test_a_branch_that_goes_is_told_once_and_comes_back_by_itself(desk, watch, manifest):
    sha = desk.land({"a.yaml": manifest("a")})
    _, inbox = watch(sha, events=False, poll_s=0.02)
    desk.git("push", "-q", "--receive-pack=git -c core.hooksPath=/dev/null receive-pack", "origin", ":main")
    gone = inbox.get(timeout=WAIT_S)
    assert isinstance(gone, BranchMissing)
    assert "branch main is not there" in gone.reason
    new = desk.land({"b.yaml": manifest("b")})
    assert inbox.get(timeout=WAIT_S).sha == new
    assert inbox.empty()


def test_a_repository_that_is_swapped_by_rename_is_watched_again(desk, watch, manifest):
    old = desk.land({"a.yaml": manifest("a")})
    thread, inbox = watch(old, poll_s=0.05)
    desk.git("clone", "-q", "--bare", str(desk.bare), str(desk.home / "copy.git"))
    desk.bare.rename(desk.home / "old.git")
    while not isinstance(inbox.get(timeout=WAIT_S), BranchMissing):
        pass
    (desk.home / "copy.git").rename(desk.bare)
    new = desk.land({"b.yaml": manifest("b")})
    assert inbox.get(timeout=WAIT_S).sha == new
    thread.applied(new)
    deadline = time.monotonic() + WAIT_S
    while thread._watcher._watched != (desk.bare.stat().st_dev, desk.bare.stat().st_ino):
        assert time.monotonic() < deadline
        thread.poke()
    newer = desk.land({"c.yaml": manifest("c")})
    assert inbox.get(timeout=WAIT_S).sha == newer


def test_what_the_loop_applied_is_what_the_next_revision_differs_from(desk, watch, manifest):
    first = desk.land({"a.yaml": manifest("a")})
    thread, inbox = watch(None, events=False, poll_s=NEVER_S)
    assert inbox.get(timeout=WAIT_S).sha == first
    thread.applied(first)
    second = desk.land({"b.yaml": manifest("b")})
    thread.poke()
    assert names(inbox.get(timeout=WAIT_S)) == ["b.yaml"]
    thread.offer_again()
    again = inbox.get(timeout=WAIT_S)
    assert (again.sha, again.previous) == (second, first)


def test_a_tree_that_cannot_be_read_is_told_once_and_the_fix_is_read_at_once(desk, watch, manifest):
    sha = desk.land({"a.yaml": manifest("a")})
    small = Repository(str(desk.bare), scope=Scope(limit_files=1))
    thread, inbox = watch(sha, repository=small, events=False, poll_s=NEVER_S)
    desk.land({"b.yaml": manifest("b")})
    thread.poke()
    told = inbox.get(timeout=WAIT_S)
    assert isinstance(told, BranchMissing)
    assert "2 manifest files are over the limit of 1" in told.reason
    fixed = desk.land({"a.yaml": manifest("a", "false")}, remove=["b.yaml"])
    thread.poke()
    found = inbox.get(timeout=WAIT_S)
    assert found.sha == fixed
    assert inbox.empty()
