"""Steps in a sandbox: what they see, what they cannot change, how they end, and what is left of them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from reconciler.errors import UsageError
from reconciler.model.attempt import AttemptId, Exited, HolderUnknown, Lost, NotStarted, Started
from reconciler.runtime.outputs import read_parameter, read_result, remove_folder
from reconciler.runtime.records import parse_record
from reconciler.runtime.sandbox import sandbox_problem

CHILD = Path(__file__).parent / "sandbox_child.py"
PROBLEM = sandbox_problem()
PYTHONS = (sys.executable, "/usr/bin/python3")  # another account may not get at the first
NOBODY = 65534
WITHOUT_RIGHTS = {
    "root of a user namespace": ("unshare", "--user", "--map-root-user"),
    "another account": ("setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"),
}

pytestmark = pytest.mark.skipif(bool(PROBLEM), reason=PROBLEM or "it works")


def read_code(machine, number):
    return parse_record((machine.directory(number) / "record").read_bytes()).seen


def wait_until(condition, what):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if condition():
            return
    raise AssertionError(f"not seen within 20 s: {what}")


def run(machine, number, script, **more):
    return machine.run(number, "sh", "-c", script, sandbox=True, **more)


def parameter(machine, number, path):
    return read_parameter(str(machine.directory(number)), path, sandboxed=True)


def can_start(start, env):
    code = "import os, sys, reconciler.runtime.host; sys.exit(not os.access(sys.executable, os.X_OK))"
    return subprocess.run([*start, "-c", code], env=env, capture_output=True, check=False).returncode == 0


def run_child(home, prefix, steps):
    """What a runtime with fewer rights made of these steps; skips where such a start is not possible here."""
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2])}
    python = next((one for one in PYTHONS if can_start([*prefix, one], env)), None)
    if python is None:
        pytest.skip(f"no Python can be used with this project by way of {' '.join(prefix[:3])}")
    argv = [*prefix, python, str(CHILD), str(home)]
    done = subprocess.run(argv, input=json.dumps(steps).encode(), env=env, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def test_what_a_step_writes_is_its_own(machine):
    name = f"/lineclear-test-{os.getpid()}"
    script = f"echo a > {name}; echo b > /tmp/b; echo c > /var/tmp/c; cat {name} /tmp/b /var/tmp/c"
    end = run(machine, 1, script + "; rm /etc/hostname; ls /etc/hostname")
    assert machine.log(1).split()[:3] == ["a", "b", "c"]
    assert end.exit_code == 2  # of ls
    assert not os.path.exists(name)
    assert os.path.exists("/etc/hostname")
    run(machine, 2, f"ls {name} /tmp/b")
    assert machine.log(2).count("No such file") == 2


def test_the_temporary_folders_are_empty_but_for_what_is_shown(machine):
    run(machine, 1, "ls -A /dev/shm; stat -c %a /tmp /var/tmp /dev/shm")
    assert machine.log(1).split() == ["1777"] * 3


def test_a_step_is_started_at_the_root_and_its_working_directory_is_made(machine):
    run(machine, 1, "pwd; umask; stat -c %a /")
    run(machine, 2, "pwd", cwd="/not/there/before")
    run(machine, 3, "pwd", cwd="relative")
    modes = f"{os.stat('/').st_mode & 0o7777:o}"
    assert machine.log(1).split() == ["/", "0077", modes]
    assert (machine.log(2), machine.log(3)) == ("/not/there/before\n", "/relative\n")
    assert not os.path.exists("/not")


def test_its_own_folder_and_what_is_shown_are_seen_as_they_are(machine):
    shown = machine.home / "shared"
    shown.mkdir()
    (shown / "given").write_text("given\n")
    hidden = machine.home / "hidden"
    hidden.write_text("hidden\n")
    work = machine.directory(1) / "work"
    script = f"cat {shown}/given; echo w > {work}/w; echo t > {work}/../tmp/t; ls {machine.directory(1)}/root; cat {hidden}"
    end = run(machine, 1, script, shown=(str(shown),))
    assert (end.exit_code, (work / "w").read_text(), (work / "../tmp/t").read_text()) == (1, "w\n", "t\n")
    assert machine.log(1).startswith("given\ncat: ")  # below the temporary folder nothing else is seen


def test_what_is_shown_and_what_tells_of_the_attempt_cannot_be_changed(machine):
    shown = machine.home / "shared"
    (shown / "inner").mkdir(parents=True)
    (shown / "inner" / "given").write_text("given\n")
    own = machine.directory(1)
    script = f"""rm -rf {machine.home}/*
    echo x > {shown}/made; echo x > {own}/made; mv {own}/script {own}/work/x; echo x >> {own}/log
    echo x > {own}/root/made; mv {own}/work {own}/elsewhere; echo x > {own}/stdout; echo end"""
    machine.run(1, "sh", source=script, sandbox=True, shown=(str(shown),), keep_stdout=True)
    assert (shown / "inner" / "given").read_text() == "given\n"
    assert [path.name for path in shown.iterdir()] == ["inner"]
    assert sorted(path.name for path in own.iterdir()) == ["log", "record", "root", "script", "stdout", "tmp", "work"]
    assert (own / "script").read_text() == script
    assert read_result(str(own)) == "end"
    assert machine.log(1).count("ead-only file system") >= 6


def test_files_of_another_attempt_are_out_of_reach(machine):
    run(machine, 1, f"echo mine > {machine.directory(1)}/work/out; echo said")
    other = machine.directory(1)
    script = f"rm -rf {other}; mkdir -p {other}/work; echo x > {other}/work/out; rm -rf {machine.home}/attempts; true"
    run(machine, 2, script, shown=(str(machine.home / "attempts"),))
    run(machine, 3, script)
    assert (machine.log(1), (other / "work" / "out").read_text()) == ("said\n", "mine\n")


def test_of_the_temporary_folder_only_the_way_to_what_is_shown_is_there(machine):
    shown = machine.home / "shared"
    shown.mkdir()
    places = [path for path in (*reversed(machine.home.parents), machine.home, machine.directory(1)) if path != Path("/")]
    run(machine, 1, f"for each in {' '.join(map(str, places))}; do ls -A $each; done", shown=(str(shown),))
    assert machine.log(1).split() == [*machine.home.parts[2:], "attempts", "shared", "log", "record", "root", "tmp", "work"]


def test_a_folder_that_is_shown_and_holds_temporary_ones_is_a_copy(machine):
    given = Path(tempfile.mkdtemp(dir="/tmp"))
    try:
        (given / "given").write_text("given\n")
        script = f"cat {given}/given; rm -rf {given}; echo v > /tmp/lineclear-out; cat /tmp/lineclear-out"
        assert run(machine, 1, script, shown=("/tmp",)).exit_code == 0
        assert run(machine, 2, "echo v > /tmp/out; echo v > /var/tmp/out; cat /tmp/out", shown=("/", "/var")).exit_code == 0
        assert (machine.log(1), machine.log(2)) == ("given\nv\n", "v\n")
        assert (parameter(machine, 1, "/tmp/lineclear-out"), (given / "given").exists()) == ("v", True)
        assert not os.path.exists("/tmp/lineclear-out")
    finally:
        shutil.rmtree(given)


def test_a_home_behind_a_link_is_found_in_the_sandbox(tmp_path, machine):
    link = tmp_path.parent / f"{tmp_path.name}-link"
    link.symlink_to(tmp_path)
    directory = f"{link}/attempts/1"
    real = machine.directory(1)
    machine.run(1, "sh", "-c", f"echo v > {real}/work/out; ls {real}/root", sandbox=True, directory=directory)
    link.unlink()
    assert (real / "work" / "out").read_text() == "v\n"
    assert machine.log(1) == ""


def test_a_folder_that_cannot_be_shown_is_told_before_the_start(machine):
    end = run(machine, 1, "true", shown=("/no/such/folder",))
    assert isinstance(end, NotStarted)
    assert end.exit_code == 1
    assert "must begin with /" in run(machine, 2, "true", shown=("folder",)).message
    assert "cannot show the folder /no/such/folder (No such file or directory)" in end.message


def test_a_source_is_a_script_in_the_sandbox_too(machine):
    machine.run(1, "sh", "-e", source="echo from $0\n", sandbox=True)
    assert machine.log(1) == f"from {machine.directory(1)}/script\n"


@pytest.mark.parametrize(
    ("argv", "more", "message"),
    [
        (("no-such-command",), {}, "command not found: no-such-command: in no directory of PATH="),
        (("/no/such",), {}, "command not found: /no/such: no such file"),
        (("/etc/passwd",), {}, "permission denied: /etc/passwd is not an executable file"),
        (("true",), {"cwd": "/etc/passwd"}, "cannot enter working directory /etc/passwd: Not a directory"),
        (("echo", "x" * 200_000), {}, "Argument list too long"),
        ((), {}, "it has no command"),
    ],
)
def test_what_cannot_start_is_told_as_on_the_host(machine, argv, more, message):
    end = machine.run(1, *argv, sandbox=True, **more)
    assert isinstance(end, NotStarted)
    assert (end.exit_code, message in end.message) == (64, True)


def test_signals_descriptors_and_environment_are_as_on_the_host(machine):
    run(machine, 1, "env | cut -d= -f1 | sort | tr '\\n' ' '; ls /proc/self/fd | wc -l; grep Sig[BI] /proc/self/status; wc -c")
    run(machine, 2, "kill -PIPE $$")
    names, *rest = machine.log(1).splitlines()
    assert names.split() == ["LINECLEAR_ATTEMPT_TOKEN", "PATH", "PWD", "4"]
    blocked, ignored = (int(line.split()[1], 16) for line in rest[:2])
    assert (blocked, ignored & ~(0b11 << 31), rest[2]) == (0, 0, "0")
    assert machine.wait_for(2).signal == signal.SIGPIPE


def test_standard_output_is_kept(machine):
    run(machine, 1, "echo one; echo two >&2", keep_stdout=True)
    assert read_result(str(machine.directory(1))) == "one"


@pytest.mark.parametrize(
    ("script", "path", "value"),
    [
        ("echo v > /tmp/out", "/tmp/out", "v"),
        ("echo v > /out", "out", "v"),
        ("mkdir -p /a/b; echo v > /a/b/c", "/a/./b/../b/c", "v"),
        ("echo v > /usr/local/new", "/usr/local/new", "v"),
        ("echo v > /out; ln -s /out /tmp/link", "/tmp/link", "v"),
        ("echo v > /tmp/out; ln -s ../tmp /etc/there", "/etc/there/out", "v"),
        ("echo v > work/out", "work/out", "v"),
        ("echo mine > /etc/hostname", "/etc/hostname", "mine"),
        ("rm /etc/hostname", "/etc/hostname", None),
        ("rm -r /etc/apt /opt; mkdir /etc/apt", "/etc/apt/apt.conf.d/70debconf", None),
        ("rm -r /etc/alternatives; echo v > /etc/alternatives", "/etc/alternatives/awk", None),
        ("ln -s /home-of-another /out", "/out", None),
        (":", "/tmp/out", None),
        (":", "/no/such", None),
    ],
)
def test_a_file_is_read_as_the_step_saw_it(machine, script, path, value):
    run(machine, 1, "mkdir -p work;" + script)
    assert parameter(machine, 1, path) == value


def test_a_file_of_the_machine_that_the_step_did_not_touch_is_seen(machine):
    run(machine, 1, ":")
    assert parameter(machine, 1, "/etc/passwd") == Path("/etc/passwd").read_text().removesuffix("\n")
    assert parameter(machine, 1, f"{machine.directory(1)}/log") == ""


def test_a_link_of_the_step_leads_nowhere_outside_its_view(machine):
    secret = machine.home / "secret"
    secret.write_text("hush")
    run(machine, 1, f"ln -s {secret} /out; ln -s / /tmp/root")
    assert parameter(machine, 1, "/out") is None
    assert parameter(machine, 1, f"/tmp/root{secret}") is None


@pytest.mark.parametrize(
    ("script", "path", "why"),
    [
        ("mkdir /out", "/out", "it is a folder"),
        ("mkfifo /out", "/out", "it is a pipe"),
        ("ln -s /dev/zero /out", "/out", "it is a device"),
        ("ln -s out /out", "/out", "Too many levels"),
        ("ln -s /proc/self/environ /out", "/out", "what is in /proc"),
        (":", "/", "it is a folder"),
    ],
)
def test_what_is_no_value_in_a_sandbox_is_refused(machine, script, path, why):
    run(machine, 1, script)
    with pytest.raises(UsageError, match=why):
        parameter(machine, 1, path)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount something")
def test_what_is_mounted_elsewhere_is_the_steps_own_too(tmp_path):
    mount = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs tmpfs /srv && echo machine > /srv/a && exec "$@"', "sh")
    script = "cat /srv/a; echo mine > /srv/a; echo new > /srv/b; mkdir /dev/made || echo x > /dev/null"
    steps = [{"argv": ["sh", "-c", script], "parameters": ["/srv/a", "/srv/b"]}, {"argv": ["cat", "/srv/a", "/dev/null"]}]
    first, second = run_child(tmp_path, mount, steps)["steps"]
    assert (first["log"].splitlines()[0], first["found"]) == ("machine", {"/srv/a": "mine", "/srv/b": "new"})
    assert "Read-only file system" in first["log"]
    assert (second["log"], second["code"]) == ("machine\n", 0)


def test_a_new_daemon_takes_over_a_sandboxed_step(machine):
    gate = machine.home / "gate"
    gate.mkdir()
    script = f"while [ ! -e {gate}/open ]; do sleep 0.01; done; echo late > /tmp/out; exit 3"
    machine.launch(1, "sh", "-c", script, sandbox=True, shown=(str(gate),))
    machine.wait_for(1, Started)
    machine.runtime.close()
    machine.runtime = machine.make_runtime()
    machine.seen += machine.runtime.recover(machine.rows(1)).observations
    (gate / "open").touch()
    assert machine.wait_for(1).exit_code == 3
    assert parameter(machine, 1, "/tmp/out") == "late"


def test_stop_reaches_the_whole_tree(machine):
    script = "setsid sh -c \"trap '' TERM; while :; do sleep 0.02; done\" & trap 'echo bye; exit 5' TERM; echo ready; wait"
    machine.launch(1, "sh", "-c", script, sandbox=True, grace_s=0.2)
    machine.wait_for_file(machine.directory(1) / "log")
    machine.runtime.stop(AttemptId(1))
    end = machine.wait_for(1)
    assert (end.exit_code, end.stopped) == (5, True)
    assert machine.liveness(1).state == "dead"


def test_a_deaf_step_is_killed(machine):
    machine.launch(1, "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.02; done", sandbox=True)
    machine.wait_for_file(machine.directory(1) / "log")
    machine.runtime.kill(AttemptId(1))
    assert (machine.wait_for(1).signal, machine.seen[-1].stopped) == (9, True)


def test_a_lost_worker_leaves_the_step_and_its_code_is_noted(bare):
    gate = bare.home / "gate"
    gate.mkdir()
    bare.launch(1, "sh", "-c", f"while [ ! -e {gate}/open ]; do sleep 0.01; done; exit 9", sandbox=True, shown=(str(gate),))
    bare.lose(1)
    (gate / "open").touch()
    wait_until(lambda: (bare.turn(), read_code(bare, 1))[1], "the code of the main process")
    assert read_code(bare, 1).exit_code == 9
    assert bare.liveness(1).state == "unknown"
    assert run(bare, 2, "true").exit_code == 0


def test_a_killed_zygote_and_worker_together_keep_the_code_and_a_stop_still_works(bare):
    bare.launch(1, "sh", "-c", "trap 'exit 5' TERM; echo ready; while :; do sleep 0.02; done", sandbox=True)
    bare.wait_for_file(bare.directory(1) / "log")
    worker = bare.worker_of(1)
    os.kill(bare.zygote(), signal.SIGKILL)
    os.kill(worker, signal.SIGKILL)
    bare.turn()
    bare.runtime.stop(AttemptId(1))
    bare.wait_for(1, HolderUnknown)
    wait_until(lambda: (bare.turn(), not bare.liveness(1).pids)[1], "the end of what can be found")
    assert run(bare, 2, "true").exit_code == 0


def test_a_worker_killed_at_any_moment_of_the_start_leaves_no_process(machine):
    for number in range(1, 25):
        wait_until(lambda: (machine.turn(), any(link.pid for link in machine.runtime._pool._idle))[1], "a spare worker")
        machine.launch(number, "sh", "-c", "sleep 300", sandbox=True)
        worker = machine.runtime._cases[number].link.pid
        machine.turn(0.0005 * number)
        os.kill(worker, signal.SIGKILL)
        machine.turn()
        machine.runtime.kill(AttemptId(number))
        machine.wait_for(number, Exited, Lost, NotStarted, HolderUnknown)
        wait_until(lambda n=number: (machine.turn(), not machine.liveness(n).pids)[1], "the end of what can be found")
        machine.runtime.acknowledge([AttemptId(number)])
        machine.runtime.forget([AttemptId(number)])


def test_sandboxed_and_plain_steps_take_turns_on_one_worker(machine):
    for number in range(6):
        machine.run(number, "sh", "-c", "echo $PPID; ls -d /proc/$PPID/root/tmp >/dev/null && pwd", sandbox=number % 2 == 0)
    lines = [machine.log(number).split() for number in range(6)]
    assert len({line[0] for line in lines}) == 1
    assert [line[1] == "/" for line in lines] == [True, False] * 3


def test_mounts_of_a_step_are_gone_with_it(machine):
    before = Path("/proc/self/mountinfo").read_text()
    machine.launch(1, "sh", "-c", "echo ready; sleep 300", sandbox=True)
    machine.wait_for_file(machine.directory(1) / "log")
    assert Path("/proc/self/mountinfo").read_text() == before
    machine.runtime.kill(AttemptId(1))
    machine.wait_for(1)
    assert not list((machine.directory(1) / "root").glob("work*"))


def test_what_a_step_leaves_can_be_removed(machine):
    run(machine, 1, "mkdir -p /a/b /tmp/c; touch /a/b/f; chmod 000 /a/b /a /tmp/c; rm -r /opt; mkdir /opt")
    directory = machine.directory(1)
    if os.geteuid() == 0:
        shutil.rmtree(directory)
    else:
        remove_folder(str(directory))
    assert not directory.exists()


def test_removing_what_is_gone_is_no_mistake(tmp_path):
    remove_folder(str(tmp_path / "never"))
    closed = tmp_path / "a" / "b" / "c"
    closed.mkdir(parents=True)
    (closed / "f").touch()
    closed.chmod(0)
    closed.parent.chmod(0)
    remove_folder(str(tmp_path / "a"))
    assert not (tmp_path / "a").exists()


@pytest.fixture
def open_home():
    """A home that another account can reach and use; below the folder of temporary files it could not."""
    path = Path(tempfile.mkdtemp(dir="/var/tmp"))
    path.chmod(0o777)
    yield path
    remove_folder(str(path))


@pytest.mark.parametrize("prefix", WITHOUT_RIGHTS.values(), ids=WITHOUT_RIGHTS)
def test_it_works_without_rights_over_the_machine(open_home, prefix):
    given = open_home / "given"
    given.mkdir()
    (given / "a").write_text("a\n")
    given.chmod(0o777)
    destroy = f"rm -rf {given} {open_home}/attempts/4/log; echo x > {given}/x; cat {given}/a"
    steps = [
        {"argv": ["sh", "-c", "pwd; echo a > /aa; echo b > /tmp/b; cat /aa /tmp/b"], "parameters": ["/aa", "/tmp/b", "/cc"]},
        {"argv": ["sh", "-c", "ls /aa /tmp/b; pwd"], "cwd": "/made/for/it"},
        {"argv": ["sh", "-c", "mkdir /tmp/x; touch /tmp/x/y; chmod 000 /tmp/x; exit 7"]},
        {"argv": ["no-such-command"]},
        {"argv": ["sh", "-c", destroy], "shown": [str(given)]},
    ]
    told = run_child(open_home, prefix, steps)
    if told["problem"]:
        pytest.skip(told["problem"])
    first, second, third, fourth, fifth = told["steps"]
    assert first["log"] == "/\na\nb\n"
    assert first["found"] == {"/aa": "a", "/tmp/b": "b", "/cc": None}
    assert second["log"].endswith("\n/made/for/it\n")
    assert second["log"].count("No such file") == 2
    assert (third["code"], fourth["code"], fourth["kind"]) == (7, 64, "NotStarted")
    assert [step["left"] for step in told["steps"]] == [False] * 5
    assert fifth["log"].endswith("\na\n")
    assert (fifth["code"], [path.name for path in given.iterdir()]) == (0, ["a"])
    assert fifth["log"].count("ead-only file system") == 3
    assert not os.path.exists("/aa")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to put the home where no sandbox can be")
def test_a_home_where_it_cannot_be_is_told_with_what_to_do(tmp_path):
    for name in ("upper", "work", "home"):
        (tmp_path / name).mkdir()
    options = f"lowerdir=/usr/share,upperdir={tmp_path}/upper,workdir={tmp_path}/work"
    mount = ("unshare", "--mount", "sh", "-c", f'mount -t overlay overlay -o {options} {tmp_path}/home && exec "$@"', "sh")
    told = run_child(tmp_path / "home", mount, [{"argv": ["true"]}])
    (step,) = told["steps"]
    assert (step["kind"], step["code"]) == ("NotStarted", 1)
    assert "the kernel refuses a copy-on-write view of /" in step["message"]
    assert "keep the home on ext4, xfs or btrfs" in step["message"]
    assert told["problem"] == step["message"]
