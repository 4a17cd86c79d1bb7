"""A shim is lost while what its step started escapes and acts on: no lock moves without proof, with control groups or not."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.runtime.grouping import find_grouping

KEY = "default/Mutex/a"
COMMAND = os.path.join(os.path.dirname(sys.executable), "lineclear")
ACT = "while sleep 0.02; do echo x >> {act}; done"
ESCAPES = {
    "session": "setsid sh -c '{act}' &",
    "environment": "env -i PATH=$PATH setsid sh -c '{act}' &",
    "twice": "(env -i PATH=$PATH setsid sh -c '{act}' &) &",
    "score": "env -i PATH=$PATH setsid sh -c 'echo 0 > /proc/self/oom_score_adj; {act}' &",
    "account": "env -i PATH=$PATH setsid setpriv --reuid=65534 --clear-groups sh -c '{act}' &",
}


@pytest.fixture(params=["groups", "none"])
def groups(request, home):
    """Whether steps get control groups in this home."""
    if request.param == "groups":
        found = find_grouping(home.root)
        if not found.places:
            pytest.skip(found.problem)
        return True
    home.set_up('[steps]\ngroups = "off"\n')
    return False


def run_command(home, *words):
    done = subprocess.run([COMMAND, "--home", str(home.root), *words], capture_output=True, text=True, timeout=90, check=False)
    return done.returncode, done.stdout + done.stderr


def unknown(home):
    return home.rows("SELECT unknown FROM attempt WHERE unknown_at IS NOT NULL AND state IN ('intended', 'live')")


def acting(act, until):
    """True if something still writes."""
    before = act.stat().st_size
    with contextlib.suppress(AssertionError):
        until(lambda: act.stat().st_size > before, "another line", 0.5)
        return True
    return False


def escape(home, book, act, way):
    """A step that holds the lock, with an escapee that acts; another run waits for the lock."""
    act.touch(mode=0o666)
    act.chmod(0o666)
    home.folder.chmod(0o711)
    home.daemon.start()
    body = ESCAPES[way].format(act=ACT.format(act=act)) + " sleep 600"
    home.submit(book.workflow("holder", body, mutexes=["a"], annotations={"lineclear.dev/on-failure": "Release"}))
    home.wait_line("a", "S holder")
    home.submit(book.workflow("waiter", "true", mutexes=["a"]))


def end_escapees(act):
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if name.isdigit() and str(act).encode() in Path(f"/proc/{name}/cmdline").read_bytes():
                os.kill(int(name), signal.SIGKILL)


@pytest.mark.parametrize("daemon", ["up", "down", "hung"])
@pytest.mark.parametrize("way", ESCAPES)
def test_no_lock_moves_while_what_escaped_from_a_lost_shim_acts(home, book, until, groups, way, daemon):
    if way == "account" and (os.geteuid() != 0 or shutil.which("setpriv") is None):
        pytest.skip("another account takes root and setpriv")
    act = home.folder / "act"
    escape(home, book, act, way)
    until(lambda: act.stat().st_size > 0, "the escapee's first line")
    main = int(home.wait_rows("SELECT pid FROM attempt WHERE pid IS NOT NULL")[0][0])
    if daemon == "down":
        home.daemon.kill()
    elif daemon == "hung":
        home.daemon.signal(signal.SIGSTOP)
    for pid in (*home.shims(), main):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if daemon == "down":
        home.daemon.start()
    elif daemon == "hung":
        home.daemon.signal(signal.SIGCONT)
    try:
        if groups:
            assert home.wait_phase("waiter") == "Succeeded"
            assert not acting(act, until)
            assert unknown(home) == []
        else:
            ((why,),) = until(lambda: unknown(home), "an unknown holder")
            assert why.startswith("its shim was lost and nothing proves that its processes ended")
            assert acting(act, until)
            assert (home.phase("holder"), home.phase("waiter")) == ("Running", "Pending")
            assert [run for run, _ in home.holders(KEY)] == ["holder"]
    finally:
        end_escapees(act)


@pytest.mark.parametrize("served", [True, False])
def test_a_person_ends_the_doubt_with_the_daemon_up_and_down(home, book, until, served):
    home.set_up('[steps]\ngroups = "off"\n')
    act = home.folder / "act"
    escape(home, book, act, "environment")
    for pid in home.shims():
        os.kill(pid, signal.SIGKILL)
    until(lambda: unknown(home), "an unknown holder")
    assert "holder unknown" in run_command(home, "locks")[1]
    assert "holder unknown since" in run_command(home, "list")[1]
    assert run_command(home, "fsck")[1].count("holder unknown since") == 1
    if not served:
        code, said = run_command(home, "down", "--kill-steps")
        assert code == 4, said
        assert "could not prove the end of 1 step" in said
    code, said = run_command(home, "terminate-stuck-holder", "a", "--dry-run")
    assert (code, "so the lock stays" in said) == (0, True)
    code, said = run_command(home, "terminate-stuck-holder", "a", "--epoch", "1", "--reason", "r", "--yes")
    assert (code, "keeps its locks: holder unknown" in said) == (0, True)
    assert home.phase("holder") == "Running"
    words = ("terminate-stuck-holder", "a", "--epoch", "1", "--reason", "looked", "--yes", "--release-unproven")
    code, said = run_command(home, *words)
    assert (code, home.phase("holder"), home.holders(KEY)) == (0, "Failed", []), said
    end_escapees(act)
    if not served:
        home.daemon.start()
    assert home.phase("waiter") == "Pending"
    assert run_command(home, "unhold", "a", "--reason", "nothing is left")[0] == 0
    assert home.wait_phase("waiter") == "Succeeded"
    assert len(home.journal("claim.released-unproven")) == 1


def test_a_run_whose_records_were_removed_is_unknown_and_runs_once(home, book, until):
    home.daemon.start()
    home.submit(book.workflow("holder", "sleep 600", mutexes=["a"]))
    home.wait_line("a", "S holder")
    home.daemon.kill()
    aside = home.folder / "aside"
    (home.root / "runs").rename(aside)
    home.daemon.start()
    ((why,),) = until(lambda: unknown(home), "an unknown holder")
    assert why.startswith("its record is gone")
    assert len(home.lines("a")) == 1
    shutil.rmtree(home.root / "runs", ignore_errors=True)
    aside.rename(home.root / "runs")
    until(lambda: not unknown(home), "the shim that lives")
    home.ask("terminate", run="holder")
    assert home.wait_phase("holder") == "Failed"
    assert len(home.lines("a")) == 1


def test_a_home_of_the_first_version_migrates_with_what_runs(home, book):
    home.daemon.start()
    home.submit(book.workflow("holder", "sleep 0.3", mutexes=["a"]))
    home.wait_line("a", "S holder")
    home.daemon.kill()
    with contextlib.closing(sqlite3.connect(home.root / "state.db")) as db:
        assert db.execute("SELECT reserved FROM attempt").fetchall() == [(1,)]
        db.execute("UPDATE attempt SET reserved = 0")  # as the first version's rows are read
        db.commit()
    home.daemon.start()
    assert home.wait_phase("holder") == "Succeeded"
