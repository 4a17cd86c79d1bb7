"""A full disk, broken objects, torn records: nothing is corrupted, nothing is let go, and it works again once it is repaired."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import subprocess

import pytest

from reconciler.errors import LineclearError

KEY = "default/Mutex/a"
UNHOOKED = "--receive-pack=git -c core.hooksPath=/dev/null receive-pack"


@pytest.fixture
def gate(home):
    return home.folder / "gate"


def gated(gate):
    return f"until [ -e {gate} ]; do sleep 0.02; done"


# a full disk ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def small(make_home):
    """A home on a disk of its own, 24 MB small."""
    mounted = []

    def mount(root):
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=24m,mode=0700", "lineclear-test", str(root)], capture_output=True, check=False
        )
        if done.returncode:
            pytest.skip("a small file system cannot be mounted here: it takes root")
        mounted.append(root)

    home = make_home(mount)
    yield home
    home.close()
    for root in mounted:
        subprocess.run(["umount", "-l", str(root)], check=True)


def fill(home):
    """Takes the last byte; the file to remove."""
    ballast = home.root / "ballast"
    with ballast.open("wb", buffering=0) as file:
        size = 1 << 20
        while size:
            try:
                file.write(b"\1" * size)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                size //= 4
    return ballast


@contextlib.contextmanager
def pinned(home):
    """A reader that keeps the write-ahead log from being used again from its start: each commit needs new space."""
    with contextlib.closing(sqlite3.connect(f"file:{home.root}/state.db?mode=ro", uri=True, isolation_level=None)) as db:
        db.execute("BEGIN")
        db.execute("SELECT count(*) FROM run").fetchone()
        yield


def small_book(book, home):
    return type(book)(home)


@pytest.mark.edge("E69")
def test_a_full_disk_releases_nothing_and_its_end_lets_everything_go_on(small, book, until):
    book = small_book(book, small)
    gate = small.folder / "gate"
    small.set_up("[limits]\nreserve_mb = 0\n")
    small.daemon.start()
    small.submit(book.workflow("holder", gated(gate), mutexes=["a"]), book.workflow("waiter", "true", mutexes=["a"]))
    small.wait_line("a", "S holder")

    with pinned(small):
        ballast = fill(small)
        gate.touch()
        small.wait_line("a", "E holder")
        until(lambda: "a tick was rolled back" in small.daemon.said(), "the store to be refused")
        with pytest.raises(LineclearError, match=r"disk is full|disk I/O"):
            small.submit(book.workflow("late"))
        assert small.ask("ping")["pid"] == small.daemon.pid
        assert [name for name, _ in small.holders(KEY)] == ["holder"]
        assert not any("waiter" in line for line in small.lines("a"))
    ballast.unlink()

    assert small.wait_phase("waiter") == "Succeeded"
    assert small.phase("holder") == "Succeeded"
    small.submit(book.workflow("later"))
    assert small.wait_phase("later") == "Succeeded"
    assert small.phase("late") is None
    assert book.read("a").twice() == []
    assert small.rows("PRAGMA integrity_check") == [("ok",)]


def test_on_a_full_disk_everything_can_be_ended_and_nothing_begins(small, book, until, alive):
    book = small_book(book, small)
    small.set_up("[steps]\ngrace_s = 0.1\n")
    small.daemon.start()
    small.submit(book.workflow("holder", "exec sleep 300", mutexes=["a"]), book.workflow("waiter", "true", mutexes=["a"]))
    small.submit(book.workflow("late", "exec sleep 300", spec={"activeDeadlineSeconds": 5}))
    small.wait_line("a", "S holder")
    with pinned(small):
        ballast = fill(small)
        small.ask("terminate", run="holder")
        assert small.wait_phase("holder") == "Failed"
        assert small.wait_phase("late") == "Failed"  # its deadline was written down too
        until(lambda: not small.steps(), "the end of every step")
        with pytest.raises(LineclearError, match="the home's disk is full: until there is room again"):
            small.submit(book.workflow("more"))
        assert small.lines("a")[1:] == []
    assert [kind for kind, *_ in small.rows("SELECT kind FROM journal WHERE kind LIKE 'disk.f%'")] == ["disk.full"]
    ballast.unlink()
    assert small.wait_phase("waiter") == "Succeeded"
    assert small.wait_rows("SELECT 1 FROM journal WHERE kind = 'disk.room'")
    until((small.root / "reserve" / "0").exists, "the reserve")


def test_steps_end_on_a_disk_that_keeps_no_reserve_although_nothing_can_be_written_down(small, book, until):
    book = small_book(book, small)
    small.set_up("[steps]\ngrace_s = 0.1\n[limits]\nreserve_mb = 0\n")
    small.daemon.start()
    small.submit(book.workflow("holder", "exec sleep 300", mutexes=["a"]))
    small.wait_line("a", "S holder")
    with pinned(small):
        ballast = fill(small)
        with pytest.raises(LineclearError, match="what it was to end was told to end all the same"):
            small.ask("terminate", run="holder")
        until(lambda: not small.steps(), "the end of the step")
        assert small.phase("holder") == "Running"
        small.ask("down", mode="kill-steps")
        assert small.daemon.wait() == 0
    ballast.unlink()
    small.daemon.start()
    assert small.wait_phase("holder") in ("Failed", "Error")


def test_a_daemon_killed_and_started_on_a_full_disk_harms_nothing(small, book, until):
    book = small_book(book, small)
    gate = small.folder / "gate"
    small.daemon.start()
    small.push({"w.yaml": book.workflow("holder", gated(gate), mutexes=["a"]), "x.yaml": book.workflow("waiter", mutexes=["a"])})
    small.wait_line("a", "S holder")
    with pinned(small):
        ballast = fill(small)
        gate.touch()
        small.wait_line("a", "E holder")
        small.daemon.kill()
        small.daemon.launch()  # it may serve, or end and say why
        until(lambda: small.daemon.child.poll() is not None or is_up(small), "a daemon that serves or gives up")
        assert not any("waiter" in line for line in small.lines("a"))
        small.daemon.kill()
    ballast.unlink()

    small.daemon.start()

    assert small.wait_phase("waiter") == "Succeeded"
    assert small.phase("holder") == "Succeeded"
    assert book.read("a").twice() == []
    assert small.rows("PRAGMA integrity_check") == [("ok",)]


def is_up(home):
    with contextlib.suppress(LineclearError):
        return bool(home.ask("ping", 2.0))


def test_a_push_to_a_full_disk_changes_nothing_and_works_again_later(small, book):
    book = small_book(book, small)
    small.daemon.start()
    small.push({"w.yaml": book.workflow("w")})
    assert small.wait_phase("w") == "Succeeded"
    ballast = fill(small)

    noise = os.urandom(100_000).hex()
    refused = small.push({"x.yaml": book.workflow("x", f"true # {noise}")}, check=False)

    assert refused.returncode != 0
    assert "No space left" in refused.stderr
    assert small.rows("SELECT name FROM run") == [("w",)]
    ballast.unlink()
    small.push_head()
    assert small.wait_phase("x") == "Succeeded"


# bad bytes -----------------------------------------------------------------------------------------------------------------


def test_a_manifest_that_is_no_text_keeps_its_last_good_version_and_stops_no_other(home, book, until):
    home.daemon.start()
    home.push({"w.yaml": book.workflow("w", "echo 1"), "t.yaml": book.template("t")})
    assert home.wait_phase("w") == "Succeeded"

    home.commit({"w.yaml": b"apiVersion: argoproj.io/v1alpha1\nkind: \xff\xfe\x00\n", "x.yaml": book.workflow("x")})
    home.git("push", "-q", UNHOOKED, "origin", "HEAD:main")

    assert home.wait_phase("x") == "Succeeded"
    sql = "SELECT stale <> '' FROM definition WHERE name = 'w' AND retired_at IS NULL"
    until(lambda: home.rows(sql) == [(1,)], "a stale mark")
    assert home.rows("SELECT count(*) FROM run") == [(2,)]


def find_object(home, spec):
    name = home.git("rev-parse", spec).stdout.strip()
    return home.bare / "objects" / name[:2] / name[2:]


def test_a_broken_object_in_the_repository_removes_nothing_and_is_overcome_by_its_repair(home, book, until):
    home.daemon.start()
    home.push({"w.yaml": book.workflow("w"), "t.yaml": book.template("t")})
    assert home.wait_phase("w") == "Succeeded"
    home.daemon.kill()
    home.push({"x.yaml": book.workflow("x")})
    broken = find_object(home, "HEAD:x.yaml")
    whole = broken.read_bytes()
    broken.chmod(0o600)
    broken.write_bytes(whole[: len(whole) // 2])

    home.daemon.start()
    assert home.submit(book.workflow("other"))[0]["name"] == "other"
    assert home.wait_phase("other") == "Succeeded"
    assert home.rows("SELECT count(*) FROM definition WHERE retired_at IS NOT NULL") == [(0,)]
    broken.write_bytes(whole)

    assert home.wait_phase("x") == "Succeeded"
    assert home.phase("t") is None
    assert home.rows("SELECT count(*) FROM definition WHERE retired_at IS NULL") == [(3,)]


def record_of(home, run):
    ((run_id, attempt),) = home.rows("SELECT r.id, a.id FROM run r JOIN attempt a ON a.run_id = r.id WHERE r.name = ?", run)
    return home.root / "runs" / str(run_id) / str(attempt) / "record"


def end_without_daemon(home, book, until, gate):
    """A holder that ended while no daemon ran, and one that waits behind it."""
    home.daemon.start()
    home.submit(book.workflow("holder", gated(gate), mutexes=["a"]), book.workflow("waiter", "true", mutexes=["a"]))
    home.wait_line("a", "S holder")
    home.daemon.kill()
    gate.touch()
    until(lambda: not home.shims(), "the end of the worker")


def test_a_truncated_record_is_an_unknown_outcome_and_nothing_runs_twice(home, book, until, gate):
    end_without_daemon(home, book, until, gate)
    os.truncate(record_of(home, "holder"), 600)

    home.daemon.start()

    home.wait_rows("SELECT 1 FROM attempt WHERE unknown_at IS NOT NULL")
    assert (home.phase("holder"), home.phase("waiter")) == ("Running", "Pending")
    assert [name for name, _ in home.holders(KEY)] == ["holder"]
    assert book.read("a").twice() == []


def test_a_record_whose_claim_cannot_be_read_frees_nothing_until_a_person_says_so(home, book, until, gate):
    end_without_daemon(home, book, until, gate)
    os.truncate(record_of(home, "holder"), 600)
    with record_of(home, "holder").open("r+b") as file:
        file.write(os.urandom(64))

    home.daemon.start()
    home.submit(book.workflow("free"))
    assert home.wait_phase("free") == "Succeeded"
    assert home.phase("holder") == "Running"
    ((name, epoch),) = home.holders(KEY)
    assert name == "holder"
    home.ask("terminate_stuck_holder", lock=KEY, epoch=epoch, reason="looked at the host", release_unproven=True, not_stuck=True)
    assert home.phase("waiter") == "Pending"
    home.ask("unhold", lock=KEY, reason="looked at the host")

    assert home.wait_phase("waiter") == "Succeeded"
    assert book.read("a").twice() == []


@pytest.mark.parametrize("size", [0, 100, 2000])
def test_a_damaged_database_is_refused_and_left_alone(home, book, size):
    home.daemon.start()
    home.submit(book.workflow("w"))
    assert home.wait_phase("w") == "Succeeded"
    assert home.daemon.stop() == 0
    database = home.root / "state.db"
    os.truncate(database, size)
    for name in ("state.db-wal", "state.db-shm"):
        (home.root / name).unlink(missing_ok=True)
    before = database.read_bytes()

    for _ in range(2):
        home.daemon.launch()
        assert home.daemon.wait() != 0
        last = home.daemon.said().splitlines()[-1]
        assert "state.db" in last
        assert "restore" in last
    assert len(book.read("free").starts) == 1
    assert size == 0 or database.read_bytes() == before
