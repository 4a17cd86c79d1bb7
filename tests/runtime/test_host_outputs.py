"""Standard output that is kept, and files that a step leaves behind."""

from __future__ import annotations

import os
import time

import pytest

from reconciler.errors import UsageError
from reconciler.model.attempt import AttemptId, Exited, HolderUnknown, Started
from reconciler.runtime.outputs import LIMIT_BYTES, read_parameter, read_result


def result_of(machine, number):
    return read_result(str(machine.directory(number)))


def test_standard_output_is_kept_beside_the_log_and_standard_error_is_not(machine):
    end = machine.run(1, "sh", "-c", "echo one; echo two >&2; echo three; echo", keep_stdout=True)
    assert (end.exit_code, end.message) == (0, "")
    assert result_of(machine, 1) == "one\nthree\n"
    assert sorted(machine.log(1).split()) == ["one", "three", "two"]


def test_without_the_wish_there_is_no_result(machine):
    machine.run(1, "echo", "one")
    assert result_of(machine, 1) is None
    assert machine.log(1) == "one\n"


def test_a_failed_step_has_a_result_too_and_a_silent_one_an_empty_one(machine):
    assert machine.run(1, "sh", "-c", "printf half; exit 3", keep_stdout=True).exit_code == 3
    machine.run(2, "true", keep_stdout=True)
    assert (result_of(machine, 1), result_of(machine, 2)) == ("half", "")


def test_a_step_that_could_not_start_has_none(machine):
    assert machine.run(1, "no-such-command", keep_stdout=True).exit_code == 64
    assert result_of(machine, 1) is None
    assert machine.run(2, "echo", "next", keep_stdout=True).exit_code == 0
    assert result_of(machine, 2) == "next"


def test_of_a_long_output_the_end_is_kept_and_the_log_has_all(machine):
    script = "import sys\nsys.stdout.write('ä' * 2_000_000 + 'end\\n')"
    machine.run(1, "python3", "-c", script, keep_stdout=True, env={"PATH": os.environ["PATH"], "PYTHONIOENCODING": "utf-8"})
    found = result_of(machine, 1)
    assert (found[0], found[-4:], len(found.encode())) == ("ä", "äend", LIMIT_BYTES - 1)
    assert (machine.directory(1) / "stdout").stat().st_size == LIMIT_BYTES
    assert (machine.directory(1) / "log").stat().st_size == 4_000_004


def test_output_that_is_no_text_does_not_hurt(machine):
    machine.run(1, "sh", "-c", r"printf 'a\377b\n'", keep_stdout=True)
    assert result_of(machine, 1) == "a\ufffdb"


def test_the_log_can_be_followed_while_the_step_runs(machine):
    gate = machine.home / "gate"
    machine.launch(1, "sh", "-c", f"echo early; while [ ! -e {gate} ]; do sleep 0.01; done; echo late", keep_stdout=True)
    assert machine.wait_for_file(machine.directory(1) / "log") == "early\n"
    gate.touch()
    machine.wait_for(1)
    assert result_of(machine, 1) == "early\nlate"


def test_a_child_that_holds_the_pipe_open_does_not_delay_the_end(machine):
    begun = time.monotonic()
    end = machine.run(1, "sh", "-c", "setsid sleep 60 & echo done", keep_stdout=True)
    assert (end.exit_code, result_of(machine, 1)) == (0, "done")
    assert time.monotonic() - begun < 10


def test_what_a_child_says_in_the_moment_after_the_main_process_counts(machine):
    machine.run(1, "sh", "-c", "(sleep 0.02; echo late) & echo early", keep_stdout=True)
    assert result_of(machine, 1) == "early\nlate"


def test_a_reader_that_leaves_early_is_the_steps_own_matter(machine):
    end = machine.run(1, "sh", "-c", "yes | head -n 2", keep_stdout=True)
    assert (end.exit_code, result_of(machine, 1)) == (0, "y\ny")


def test_standard_output_can_be_opened_again_by_its_name(machine):
    machine.run(1, "sh", "-c", "echo one; echo two > /dev/stdout; echo three | tee /dev/stderr", keep_stdout=True)
    assert result_of(machine, 1) == "one\ntwo\nthree"


def test_a_stopped_step_keeps_what_it_said_last(machine):
    script = "trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.02; done"
    machine.launch(1, "sh", "-c", script, keep_stdout=True)
    machine.wait_for_file(machine.directory(1) / "log")
    machine.runtime.stop(AttemptId(1))
    assert (machine.wait_for(1).exit_code, result_of(machine, 1)) == (5, "ready\nbye")


def test_when_the_worker_dies_the_result_is_not_known(bare):
    gate = bare.home / "gate"
    bare.launch(1, "sh", "-c", f"echo half; while [ ! -e {gate} ]; do sleep 0.01; done; exit 9", keep_stdout=True)
    bare.wait_for_file(bare.directory(1) / "log")
    bare.lose(1)
    gate.touch()
    bare.wait_for(1, Exited, HolderUnknown)
    assert result_of(bare, 1) is None


def test_a_worker_without_a_daemon_still_keeps_the_result(machine):
    gate = machine.home / "gate"
    machine.launch(1, "sh", "-c", f"while [ ! -e {gate} ]; do sleep 0.01; done; echo late", keep_stdout=True)
    machine.wait_for(1, Started)
    machine.runtime.close()
    gate.touch()
    machine.runtime = machine.make_runtime()
    machine.seen += machine.runtime.recover(machine.rows(1)).observations
    assert machine.wait_for(1).exit_code == 0
    assert result_of(machine, 1) == "late"


def test_a_worker_serves_kept_and_plain_steps_in_turn(machine):
    for number in range(6):
        machine.run(number, "sh", "-c", f"echo {number}; ls /proc/self/fd | wc -l", keep_stdout=number % 2 == 0)
    assert [machine.log(number) for number in range(6)] == [f"{number}\n4\n" for number in range(6)]
    assert [result_of(machine, number) is None for number in range(6)] == [False, True] * 3


@pytest.mark.parametrize(
    ("script", "path", "value"),
    [
        ("echo value > out", "out", "value"),
        ("mkdir -p a; printf 'x\n\n' > a/b", "a/b", "x\n"),
        ("printf '' > out", "out", ""),
        ("printf v > ../tmp/out; ln -s ../tmp/out link", "link", "v"),
        (":", "out", None),
        ("touch a", "a/b", None),
        ("ln -s nowhere out", "out", None),
    ],
)
def test_a_file_of_a_step_is_a_value(machine, script, path, value):
    machine.run(1, "sh", "-c", script)
    assert read_parameter(str(machine.directory(1)), path, sandboxed=False) == value


def test_an_absolute_path_of_a_step_on_the_host_is_taken_as_it_is(machine):
    path = machine.home / "elsewhere"
    machine.run(1, "sh", "-c", f"echo there > {path}")
    assert read_parameter(str(machine.directory(1)), str(path), sandboxed=False) == "there"


@pytest.mark.parametrize(
    ("script", "path", "why"),
    [
        ("mkdir out", "out", "it is a folder"),
        ("mkfifo out", "out", "it is a pipe"),
        ("ln -s /dev/zero out", "out", "it is a device"),
        ("ln -s out out", "out", "Too many levels of symbolic links"),
        ("head -c 262145 /dev/zero > out", "out", "it has 262145 bytes, a parameter at most 262144"),
        (":", "o\0ut", "NUL byte"),
    ],
)
def test_what_is_no_value_is_refused_with_its_reason(machine, script, path, why):
    machine.run(1, "sh", "-c", script)
    with pytest.raises(UsageError, match=why):
        read_parameter(str(machine.directory(1)), path, sandboxed=False)
