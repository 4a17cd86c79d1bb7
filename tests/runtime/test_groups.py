"""Control groups of this machine: what they say, how they end what is in them. Needs root and a hierarchy to write in."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from reconciler.runtime import groups
from reconciler.runtime.groups import EMPTY, POPULATED, UNKNOWN, V2

FOUND = groups.find_hierarchies()
HIERARCHIES = [one for one in FOUND if one.kind == V2 or {"pids", "freezer"}.intersection(one.controllers)]
FORKER = "import os\nwhile True:\n    if os.fork():\n        os._exit(0)\n"  # never the same process twice


def wait_until(condition, what):
    """The first true value of `condition`; fails after a deadline."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.005)
    raise AssertionError(f"not seen: {what}")


def clear(path):
    def is_gone():
        if os.path.isdir(path):
            groups.kill(path, os.stat(path).st_ino)
        return groups.remove(path)

    wait_until(is_gone, f"the end of {path}")


@pytest.fixture(params=HIERARCHIES, ids=lambda one: f"{one.kind}-{'-'.join(one.controllers)}")
def group(request, tmp_path):
    """A group of its own in each hierarchy that can prove an end."""
    path = f"{request.param.mount}/lc-test-{os.getpid()}-{os.stat(tmp_path).st_ino}"
    try:
        os.mkdir(path)
    except OSError as error:
        pytest.skip(f"no group can be made in {request.param.mount}: {error.strerror}")
    yield path
    clear(path)


def identity(path):
    return os.stat(path).st_ino


def start_in(path, *argv):
    """A process in the group, in a session of its own and without an environment."""
    enter = f'echo $$ > {path}/cgroup.procs && exec "$@"'
    child = subprocess.Popen(["/bin/sh", "-c", enter, "sh", *argv], env={"PATH": "/usr/bin:/bin"}, start_new_session=True)
    own = Path(path, "cgroup.procs")
    wait_until(lambda: str(child.pid) in own.read_text().split() or child.poll() is not None, f"process {child.pid} in {path}")
    return child


def test_a_group_is_empty_until_somebody_is_in_it_and_again_when_all_are_gone(group):
    assert groups.look(group, identity(group)) == EMPTY
    child = start_in(group, "sleep", "600")
    assert groups.look(group, identity(group)) == POPULATED
    child.kill()
    child.wait()
    wait_until(lambda: groups.look(group, identity(group)) == EMPTY, "an empty group")


def test_who_is_in_a_group_below_counts(group):
    below = f"{group}/a/b"
    os.makedirs(below)
    child = start_in(below, "sleep", "600")
    assert groups.look(group, identity(group)) == POPULATED
    assert not groups.remove(group)
    assert groups.kill(group, identity(group))
    child.wait()
    wait_until(lambda: groups.look(group, identity(group)) == EMPTY, "an empty group")
    assert groups.remove(group)
    assert not os.path.exists(group)


def test_nothing_is_concluded_from_a_group_that_is_gone_or_made_anew_or_none(group, tmp_path):
    old = identity(group)
    os.rmdir(group)
    assert groups.look(group, old) == UNKNOWN
    os.mkdir(group)
    assert groups.look(group, old) == UNKNOWN
    assert groups.look(group, identity(group)) == EMPTY
    (tmp_path / "cgroup.events").write_text("populated 0\nfrozen 0\n")
    (tmp_path / "cgroup.procs").write_text("")
    assert groups.look(str(tmp_path), identity(tmp_path)) == UNKNOWN
    assert not groups.kill(str(tmp_path), identity(tmp_path))
    assert not groups.remove(str(tmp_path))
    assert groups.remove(group)
    assert groups.remove(group), "what is gone is removed"


def test_what_never_stops_forking_is_ended(group):
    start_in(group, sys.executable, "-I", "-S", "-c", FORKER).wait()
    assert groups.look(group, identity(group)) == POPULATED

    def is_empty():
        groups.kill(group, identity(group))
        return groups.look(group, identity(group)) == EMPTY

    wait_until(is_empty, "the end of what forks for ever")


def test_a_group_with_the_caller_in_it_is_not_killed(group):
    """Told by a process of its own, which would not live to tell it otherwise."""
    program = f"from reconciler.runtime import groups; print(groups.kill({group!r}, {identity(group)}))"
    told = subprocess.run(
        ["/bin/sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh", sys.executable, "-c", program],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert told.stdout == "False\n"


def test_a_sweep_takes_the_empty_groups_and_leaves_the_others(group):
    for name in ("left", "kept", "busy"):
        os.makedirs(f"{group}/{name}/below")
    child = start_in(f"{group}/busy/below", "sleep", "600")
    assert groups.sweep(group, {f"{group}/kept"}) == 1
    assert sorted(name for name in os.listdir(group) if os.path.isdir(f"{group}/{name}")) == ["busy", "kept"]
    with contextlib.suppress(ProcessLookupError):
        os.kill(child.pid, signal.SIGKILL)
    child.wait()
