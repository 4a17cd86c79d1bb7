"""Where a home may keep control groups: as root, as an ordinary account with a delegated group and without one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

import pytest

from reconciler.runtime import groups
from reconciler.runtime.grouping import find_grouping

CHILD = Path(__file__).parent / "delegated_child.py"
PYTHONS = (sys.executable, "/usr/bin/python3")  # another account may not get at the first
NOBODY = 65534
AS_NOBODY = ("setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups", "--inh-caps=-all")
UNIFIED = next((one for one in groups.find_hierarchies() if one.kind == groups.V2), None)


@pytest.fixture
def nobodys_home():
    """A folder of an ordinary account, reachable by it: pytest's own are not."""
    if os.geteuid() != 0:
        pytest.skip("only root can act as another account")
    folder = Path(tempfile.mkdtemp(prefix="lc"))
    folder.chmod(0o755)
    home = folder / "home"
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    yield home
    shutil.rmtree(folder)


@pytest.fixture
def delegate(nobodys_home):
    """Makes groups of the unified hierarchy that belong to that account."""
    if UNIFIED is None:
        pytest.skip("no unified hierarchy is mounted")
    made = []

    def make(name=""):
        path = f"{UNIFIED.mount}/lc-delegated-{nobodys_home.stat().st_ino}{name}"
        try:
            os.mkdir(path)
        except OSError as error:
            pytest.skip(f"no group can be made in {UNIFIED.mount}: {error.strerror}")
        made.append(path)
        for owned in ("", "/cgroup.procs", "/cgroup.subtree_control", "/cgroup.threads"):
            os.chown(path + owned, NOBODY, NOBODY)
        return path

    yield make
    deadline = time.monotonic() + 20
    for path in made:
        while not groups.remove(path):
            assert time.monotonic() < deadline, f"{path} cannot be removed"
            groups.kill(path, os.stat(path).st_ino)
            time.sleep(0.01)


@pytest.fixture
def controller():
    """One that the unified hierarchy has here; groups below its root have it for this test."""
    control = Path(UNIFIED.mount if UNIFIED is not None else "/", "cgroup.subtree_control")
    try:
        there = control.read_text().split()
        found = (there or control.with_name("cgroup.controllers").read_text().split())[0]
        control.write_text(f"+{found}")
    except (OSError, IndexError):
        pytest.skip("the unified hierarchy has no controller here")
    yield found
    if not there:
        control.write_text(f"-{found}")


def enter(group):
    return ("sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh")


def folders(group):
    return [name for name in os.listdir(group) if os.path.isdir(f"{group}/{name}")]


def call(home, *words, before=()):
    """A Python of that account with this project; skips where it can use none."""
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "LINECLEAR_HOME": str(home / "h")}
    env["PYTHONPATH"] = os.pathsep.join((str(CHILD.parents[2]), sysconfig.get_path("purelib")))
    code = "import os, sys, reconciler.runtime.host; sys.exit(not os.access(sys.executable, os.X_OK))"
    for python in PYTHONS:
        start = [*before, *AS_NOBODY, python]
        if subprocess.run([*start, "-c", code], env=env, cwd="/", capture_output=True, check=False).returncode == 0:
            return subprocess.run([*start, *words], env=env, cwd="/", capture_output=True, text=True, timeout=90, check=False)
    return pytest.skip("no Python can be used with this project by another account")


def tell(home, group, *controllers):
    done = call(home, CHILD, home, *controllers, before=enter(group))
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told.pop("group").startswith(told["place"] + "/worker-")
    assert told.pop("end") in ("Exited", "Lost")
    assert (told.pop("forker"), told.pop("while it runs"), told.pop("killed")) == (7, "populated", True)
    return told


def test_an_ordinary_account_uses_the_group_that_was_delegated_to_it(nobodys_home, delegate):
    group = delegate()
    told = tell(nobodys_home, group)
    assert told.pop("place").startswith(group + "/lineclear-")
    assert told == {"problem": "", "controllers": []}
    assert folders(group) == []


def test_a_group_with_controllers_is_left_for_one_of_the_daemons_own(controller, nobodys_home, delegate):
    group = delegate()
    told = tell(nobodys_home, group, controller)
    assert told.pop("place").startswith(group + "/lineclear-")
    assert told == {"problem": "", "controllers": [controller]}
    assert folders(group) == ["lineclear-daemon"]
    assert Path(group, "cgroup.subtree_control").read_text() == f"{controller}\n"
    again = tell(nobodys_home, f"{group}/lineclear-daemon", controller)
    assert again["controllers"] == [controller]
    assert os.path.dirname(again["place"]) == group


def test_a_service_in_its_units_own_group_is_told_what_its_unit_needs(controller, nobodys_home, delegate):
    """Systemd could not start it again there, once groups below have controllers."""
    group = delegate(".service")
    told = tell(nobodys_home, group, controller)
    assert told["controllers"] == []
    assert f"no limit of {controller} is kept: " in told["problem"]
    assert f"{group}: its unit needs DelegateSubgroup=lineclear-daemon" in told["problem"]


def test_a_group_that_others_are_in_keeps_no_limits(controller, nobodys_home, delegate):
    group = delegate()
    other = subprocess.Popen([*enter(group), "sleep", "600"])
    try:
        deadline = time.monotonic() + 20
        while str(other.pid) not in Path(group, "cgroup.procs").read_text().split():
            assert time.monotonic() < deadline
        told = tell(nobodys_home, group, controller)
    finally:
        other.kill()
        other.wait()
    assert told["controllers"] == []
    assert f"{group}: Device or resource busy; other processes may be in it" in told["problem"]


def test_without_a_delegated_group_it_is_told_why_there_is_none(nobodys_home):
    code = "import sys, pathlib; from reconciler.runtime.grouping import find_grouping;"
    code += "print(find_grouping(pathlib.Path(sys.argv[1])).problem)"
    done = call(nobodys_home, "-c", code, nobodys_home)
    assert done.returncode == 0, done.stderr
    if not done.stdout.strip():
        pytest.skip("every account may make groups here")
    assert done.stdout.startswith("a worker has no control group of its own: ")
    assert "it may not be changed by this account; have it delegated" in done.stdout or "no hierarchy" in done.stdout


def test_a_daemon_that_requires_groups_does_not_start_without(nobodys_home):
    made = call(nobodys_home, "-m", "reconciler", "init", "--empty")
    assert made.returncode == 0, made.stderr
    settings = nobodys_home / "h" / "lineclear.toml"
    text = settings.read_text()
    settings.write_text(text.replace('# groups = "auto"', 'groups = "required"'))
    refused = call(nobodys_home, "-m", "reconciler", "serve")
    if refused.returncode == 0:
        pytest.skip("every account may make groups here")
    assert refused.returncode == 4
    assert "could not start: a worker has no control group of its own: " in refused.stderr
    assert f'set steps.groups in {settings} to "auto"' in refused.stderr


def test_a_home_that_is_not_this_one_has_groups_of_its_own(tmp_path):
    places = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        found = find_grouping(tmp_path / name)
        if not found.places:
            pytest.skip(found.problem)
        places.append(found.places[0].home)
    assert len(set(places)) == 2
    (tmp_path / "one").rename(tmp_path / "three")
    assert find_grouping(tmp_path / "three").places[0].home == places[0]
