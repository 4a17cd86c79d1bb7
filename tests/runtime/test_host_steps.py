"""What a step gets and how its end is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.model.attempt import AttemptId, Exited, Hindered, Launch, NotStarted, Started

ENV = {"PATH": "/usr/local/bin:/usr/bin:/bin"}


@pytest.mark.parametrize(
    ("script", "code", "number"),
    [("exit 0", 0, None), ("exit 7", 7, None), ("exit 255", 255, None), ("kill -9 $$", 137, 9), ("kill -TERM $$", 143, 15)],
)
def test_an_exit_tells_code_and_signal(machine, script, code, number):
    end = machine.run(1, "sh", "-c", script)
    assert (end.exit_code, end.signal, end.stopped, end.message) == (code, number, False, "")


def test_a_start_is_told_before_the_end_and_only_once(machine):
    end = machine.run(1, "sh", "-c", "sleep 0.05")
    assert [type(one) for one in machine.seen] == [Started, Exited]
    assert machine.seen[0].at <= end.at


def test_standard_output_and_error_go_to_one_log_that_is_appended(machine):
    machine.directory(1).mkdir(parents=True)
    (machine.directory(1) / "log").write_text("before\n")
    machine.run(1, "sh", "-c", "echo one; echo two >&2; echo three")
    assert machine.log(1) == "before\none\ntwo\nthree\n"


def test_the_environment_is_what_was_asked_and_a_token(machine, monkeypatch):
    monkeypatch.setenv("OF_THE_DAEMON", "1")
    machine.run(1, "env", env={**ENV, "A": "x y", "UMLAUT": "ä\nb", "BYTES": "\udcff", "EMPTY": ""})
    lines = (machine.directory(1) / "log").read_bytes().split(b"\n")
    names = {line.partition(b"=")[0] for line in lines if b"=" in line}
    assert names == {b"PATH", b"A", b"UMLAUT", b"BYTES", b"EMPTY", b"LINECLEAR_ATTEMPT_TOKEN"}
    assert b"BYTES=\xff" in lines
    assert b"A=x y" in lines


def test_a_step_starts_in_its_work_directory_with_empty_input_and_private_files(machine):
    machine.run(1, "sh", "-c", "pwd; umask; wc -c; ls /proc/self/fd | wc -l; touch made; stat -c %a made . .. ../log")
    work, umask, size, descriptors, *modes = machine.log(1).split()
    assert work == str(machine.directory(1) / "work")
    assert (umask, size, modes) == ("0077", "0", ["600", "700", "700", "600"])
    assert int(descriptors) == 4  # 0, 1, 2 and the directory being listed


def test_signals_are_not_inherited_as_ignored_or_blocked(machine):
    machine.run(1, "grep", "Sig[BI]", "/proc/self/status")
    blocked, ignored = (int(line.split()[1], 16) for line in machine.log(1).splitlines())
    assert blocked == 0
    assert ignored & ~(0b11 << 31) == 0  # 32 and 33 are the C library's own


def test_a_step_is_first_to_go_when_memory_ends(machine):
    own = int(Path("/proc/self/oom_score_adj").read_text())
    machine.run(1, "sh", "-c", "cat /proc/self/oom_score_adj")
    assert int(machine.log(1)) == min(1000, own + 500)


def test_a_source_is_written_as_a_script_and_named_last(machine):
    machine.run(1, "sh", "-e", source="echo from $0\nstat -c %a $0\n")
    assert machine.log(1) == f"from {machine.directory(1)}/script\n700\n"


def test_a_large_launch_is_handed_over_whole(machine):
    big = "x" * 100_000
    source = "#" * 3_000_000 + "\nprintenv V5 | wc -c\necho $#\n"
    argv = ("sh", "-c", '. "$2"', "sh", "word")
    machine.run(1, *argv, env={**ENV, **{f"V{n}": big for n in range(10)}}, source=source)
    assert machine.log(1).split() == ["100001", "2"]


def test_a_working_directory_below_the_attempt_is_made(machine):
    machine.run(1, "pwd", cwd="deep/er")
    machine.run(2, "pwd", cwd=str(machine.directory(2) / "work" / "a" / "b"))
    assert machine.log(1) == f"{machine.directory(1)}/work/deep/er\n"
    assert machine.log(2) == f"{machine.directory(2)}/work/a/b\n"


@pytest.mark.parametrize(
    ("argv", "more", "message"),
    [
        (("no-such-command",), {}, "command not found: no-such-command: in no directory of PATH="),
        (("/no/such",), {}, "command not found: /no/such: no such file"),
        (("/etc/passwd",), {}, "permission denied: /etc/passwd is not an executable file"),
        (("/etc",), {}, "permission denied: /etc is not an executable file"),
        (("true",), {"cwd": "/no/such/place"}, "cannot enter working directory /no/such/place: No such file"),
        (("true",), {"cwd": "/etc/passwd"}, "cannot enter working directory /etc/passwd: Not a directory"),
        (("echo", "a\0b"), {}, "argument 1 has a NUL byte"),
        (("echo", "\ud800"), {}, "argument 1 is not valid text"),
        (("true",), {"env": {**ENV, "A": "a\0b"}}, "environment variable A has a NUL byte"),
        (("true",), {"env": {**ENV, "A=B": ""}}, "environment variable 'A=B' has no usable name"),
        (("echo", "x" * 200_000), {}, "Argument list too long"),
        ((), {}, "it has no command"),
    ],
)
def test_what_cannot_start_says_why_and_never_ran(machine, argv, more, message):
    end = machine.run(1, *argv, **more)
    assert isinstance(end, NotStarted)
    assert end.exit_code == 64
    assert message in end.message


def test_a_script_without_an_interpreter_says_so(machine):
    program = machine.home / "program"
    program.write_text("echo no first line\n")
    program.chmod(0o700)
    assert "Exec format error" in machine.run(1, str(program)).message


def test_an_attempt_directory_that_cannot_be_made_is_told_and_waited_for(machine):
    (machine.home / "attempts").write_text("a file, not a directory")
    machine.launch(1, "true")
    told = machine.wait_for(1, Hindered)
    assert told.message.startswith("cannot make its record: Not a directory")
    assert not told.began
    (machine.home / "attempts").unlink()
    assert machine.wait_for(1).exit_code == 0


def test_the_same_attempt_is_started_once(machine):
    for _ in range(3):
        machine.launch(1, "sh", "-c", "echo ran")
    machine.wait_for(1)
    machine.launch(1, "sh", "-c", "echo ran")
    machine.runtime.acknowledge([AttemptId(1)])
    machine.seen.clear()
    again = machine.run(1, "sh", "-c", "echo ran")
    assert again.exit_code == 0
    assert machine.log(1) == "ran\n"


def test_workers_are_used_again_and_a_spare_is_kept(machine):
    machine.run(0, "sh", "-c", "echo $PPID; sleep 0.2")  # long enough for a spare to be wanted
    for number in range(1, 20):
        machine.run(number, "sh", "-c", "echo $PPID")
    assert len({machine.log(number) for number in range(20)}) == 1
    machine.wait_for_shims(3)
    assert len(machine.shims()) == 3  # the zygote, the worker, the spare


def test_many_steps_run_at_the_same_time(machine):
    gate = machine.home / "gate"
    for number in range(12):
        machine.launch(number, "sh", "-c", f"while [ ! -e {gate} ]; do sleep 0.01; done; exit {number}")
    for number in range(12):
        machine.wait_for(number, Started)
    gate.touch()
    codes = [machine.wait_for(number).exit_code for number in range(12)]
    assert codes == list(range(12))


@pytest.mark.parametrize("content", [b"s3cret-value\n", b"s3cret-value"])
def test_a_secret_reaches_the_step_and_nothing_else(machine, content):
    path = machine.home / "secrets" / "db" / "password"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    path.chmod(0o600)
    machine.run(1, "sh", "-c", 'test "$PASSWORD" = s3cret-value', extra_env_from=(("PASSWORD", str(path)),))
    assert machine.seen[-1].exit_code == 0
    kept = [file for file in machine.directory(1).rglob("*") if file.is_file()]
    assert all(b"s3cret-value" not in file.read_bytes() for file in kept)


@pytest.mark.parametrize(
    ("prepare", "why"),
    [
        (lambda path: None, "No such file"),
        (lambda path: (path.write_text("hush"), path.chmod(0o644)), "others may read it (mode 0644)"),
        (lambda path: path.symlink_to("/etc/passwd"), "symbolic link"),
        (lambda path: path.mkdir(), "not a regular file"),
        (lambda path: (path.write_bytes(b"hu\0sh"), path.chmod(0o600)), "NUL byte"),
    ],
)
def test_an_unusable_secret_is_named_and_its_value_is_not(machine, prepare, why):
    path = machine.home / "secrets" / "db" / "password"
    path.parent.mkdir(parents=True)
    prepare(path)
    end = machine.run(1, "true", extra_env_from=(("PASSWORD", str(path)),))
    assert isinstance(end, NotStarted)
    assert "secret db/password" in end.message
    assert why in end.message
    assert "hush" not in end.message
    assert not machine.directory(1).exists()


def test_a_launch_is_a_value_that_holds_no_secret():
    launch = Launch(attempt_id=AttemptId(1), directory="/d", argv=("a",), env={}, extra_env_from=(("A", "/f"),))
    assert launch.extra_env_from == (("A", "/f"),)
