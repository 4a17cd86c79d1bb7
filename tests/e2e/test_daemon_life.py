"""One daemon of one home: it is alone, it ends without taking steps along, the next one takes up what is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

SECOND = "import sys; from reconciler.daemon import serve; sys.exit(serve(sys.argv[1]))"


def test_a_submitted_run_runs_and_its_lock_is_released(home, book):
    home.daemon.start()

    (run,) = home.submit(book.workflow("one", mutexes=["a"]))

    assert (run["name"], run["namespace"]) == ("one", "default")
    assert home.wait_phase("one") == "Succeeded"
    assert book.read("a").runs() == ["one"]
    assert home.holders("default/Mutex/a") == []


@pytest.mark.edge("E66")
def test_a_second_daemon_of_a_home_is_refused_and_told_the_firsts_pid(home):
    home.daemon.start()

    argv = [sys.executable, "-c", SECOND, str(home.root)]
    second = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)

    assert second.returncode != 0
    assert f"pid {home.daemon.pid}" in second.stderr
    assert home.ask("ping")["pid"] == home.daemon.pid


def test_sigterm_leaves_steps_running_and_the_next_daemon_takes_their_result(home, book, until, alive):
    home.daemon.start()
    gate = home.folder / "gate"
    home.submit(book.workflow("long", f"until [ -e {gate} ]; do sleep 0.02; done", mutexes=["a"], code=3))
    home.wait_line("a", "S long")
    (step, *_) = home.steps()

    assert home.daemon.stop() == 0
    assert alive(step)
    home.daemon.start()
    assert home.holders("default/Mutex/a")[0][0] == "long"
    gate.touch()

    assert home.wait_phase("long") == "Failed"
    assert "3" in home.message("long")
    assert home.rows("SELECT exit_code FROM attempt") == [(3,)]
    assert book.read("a").twice() == []


def test_a_step_that_ends_while_no_daemon_runs_keeps_its_exit_code(home, book, until):
    home.daemon.start()
    gate = home.folder / "gate"
    home.submit(book.workflow("long", f"until [ -e {gate} ]; do sleep 0.02; done", code=7))
    home.wait_line("free", "S long")
    home.daemon.kill()
    gate.touch()
    until(lambda: not home.steps(), "the end of the step")

    home.daemon.start()

    assert home.wait_phase("long") == "Failed"
    assert home.rows("SELECT exit_code FROM attempt") == [(7,)]
    assert len(book.read("free").starts) == 1


def test_a_stopped_daemon_releases_nothing_and_goes_on_when_continued(home, book, until):
    home.daemon.start()
    gate = home.folder / "gate"
    home.submit(book.workflow("first", f"until [ -e {gate} ]; do sleep 0.02; done", mutexes=["a"]))
    home.submit(book.workflow("second", mutexes=["a"]))
    home.wait_line("a", "S first")

    home.daemon.signal(signal.SIGSTOP)
    gate.touch()
    home.wait_line("a", "E first")
    until(lambda: not home.steps(), "the end of the step")
    assert [name for name, _ in home.holders("default/Mutex/a")] == ["first"]
    home.daemon.signal(signal.SIGCONT)

    assert home.wait_phase("second") == "Succeeded"
    assert book.read("a").runs() == ["first", "second"]


def test_a_stopped_worker_neither_loses_its_step_nor_frees_the_lock(home, book, until):
    home.daemon.start()
    gate = home.folder / "gate"
    home.submit(book.workflow("first", f"until [ -e {gate} ]; do sleep 0.02; done", mutexes=["a"]))
    home.submit(book.workflow("second", mutexes=["a"]))
    home.wait_line("a", "S first")
    stopped = home.workers()
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)

    gate.touch()
    home.wait_line("a", "E first")
    home.daemon.kill()
    home.daemon.start()
    assert home.phase("first") == "Running"
    assert home.phase("second") == "Pending"
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)

    assert home.wait_phase("second") == "Succeeded"
    assert home.phase("first") == "Succeeded"
    assert book.read("a").runs() == ["first", "second"]


def test_a_worker_that_hears_of_its_launch_too_late_starts_nothing(home, book, until):
    home.daemon.start()
    until(home.workers, "a worker in waiting")
    late = home.workers()
    for pid in late:
        os.kill(pid, signal.SIGSTOP)
    home.submit(book.workflow("one", mutexes=["a"]))
    until(lambda: home.rows("SELECT 1 FROM attempt WHERE state = 'intended'"), "the attempt's launch")
    home.daemon.kill()
    home.daemon.start()
    assert home.wait_phase("one") == "Succeeded"

    for pid in late:
        os.kill(pid, signal.SIGCONT)
    until(lambda: not set(late) & set(home.carriers()), "the end of the late workers")

    assert len(book.read("a").starts) == 1


def test_a_home_that_others_may_write_in_is_refused_and_one_that_they_may_read_is_closed(home):
    home.root.chmod(0o777)
    home.daemon.launch()
    assert home.daemon.wait() != 0
    assert "others may write in it (mode 0777)" in home.daemon.said()
    home.root.chmod(0o755)
    home.daemon.start()
    assert home.root.stat().st_mode & 0o777 == 0o700
    assert "others could read in the home" in home.daemon.said()
