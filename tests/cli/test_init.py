"""`init`: whole or taken up again, whenever it is cut off; one at a time; a home that lost a part is told and mended."""

import fcntl
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from reconciler.home import Home
from reconciler.source.hosting import find_faults, hosting_of
from reconciler.source.repository import Repository

SWEEP = textwrap.dedent('''
    import json, os, shutil, signal, sys, time

    import reconciler.cli.dispatch, reconciler.cli.init, reconciler.settings, reconciler.source.hosting
    import reconciler.source.repository, reconciler.store.migrate, reconciler.store.writer, reconciler.views.whole
    from reconciler.__main__ import main

    ROOT, FIRST, STRIDE, STEP = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod", "subprocess.Popen", "sqlite3.connect"}


    def init(die):
        """The wait status and the last line of an init that may die on its way."""
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.dup2(write, 1), os.dup2(write, 2)
            sys.argv = ["lineclear", "--home", ROOT, "init"]
            die()
            try:
                code = main()
            except SystemExit as end:
                code = end.code
            sys.stdout.flush(), sys.stderr.flush()
            os._exit(code or 0)
        os.close(write)
        with os.fdopen(read, errors="replace") as said:
            lines = said.read().splitlines()
        return os.waitpid(child, 0)[1], lines[-1] if lines else ""


    def at_change(number):
        """Die at the Nth change of the file system, or start of a child."""
        left = [number]

        def watch(event, args):
            if event in CHANGES or (event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)):
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        return lambda: sys.addaudithook(watch)


    def after(delay):
        """Die so much later, wherever it is, also inside of SQLite."""
        return lambda: signal.setitimer(signal.ITIMER_REAL, delay)


    def look():
        from reconciler.errors import LineclearError
        from reconciler.home import Home
        from reconciler.settings import load
        from reconciler.source.hosting import find_faults, hosting_of
        from reconciler.views.whole import check_home

        home = Home(ROOT)
        try:
            check_home(home)
        except LineclearError as error:
            return str(error)
        return find_faults(hosting_of(home, load(home)))


    def one(name, die):
        shutil.rmtree(ROOT, ignore_errors=True)
        status, _ = init(die)
        between = look()
        again = init(lambda: None)
        print(json.dumps([name, status, between, again, look(), sorted(os.listdir(ROOT))]), flush=True)
        return status


    began = time.monotonic()
    init(lambda: None)
    took = time.monotonic() - began
    number = FIRST
    while one(f"change {number}", at_change(number)) == signal.SIGKILL:
        number += STRIDE
    delay = STEP * (1 + FIRST / STRIDE)
    while delay < took:
        one(f"{delay:.4f} s", after(delay))
        delay += STEP
''')  # fmt: skip
WHOLE = ["lineclear.service", "lineclear.toml", "log", "repo.git", "secrets", "state.db"]


def hosted(root):
    from reconciler.settings import load

    home = Home(str(root))
    return hosting_of(home, load(home))


@pytest.mark.torture
@pytest.mark.parametrize("first", [1, 2, 3, 4])
def test_an_init_that_is_killed_anywhere_is_told_and_goes_on_to_a_whole_home(tmp_path, first):
    root = tmp_path / "home"
    argv = [sys.executable, "-c", SWEEP, str(root), str(first), "4", "0.08"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    rounds = [json.loads(line) for line in done.stdout.splitlines()]
    assert sum(name.startswith("change") for name, *_ in rounds) > 8
    for name, status, between, (again, said), after, left in rounds:
        seen = (name, status, between, again, said, after, left)
        assert between == [] or "half made" in between or "there is no home" in between, seen
        assert (again == 0) == (between != []), seen
        assert again == 0 or "there is a home" in said, seen
        assert after == [], seen
        kept = "state.db.before-"  # a database that was cut off between two migrations is kept as it was, as any other
        assert [name for name in left if not name.startswith(kept)] == WHOLE, seen


def test_a_home_that_an_older_init_left_half_made_is_mended(lineclear, tmp_path):
    root = tmp_path / "home"
    assert lineclear("init").code == 0
    seed = Repository(str(root / "repo.git")).resolve("main")
    for hook in (root / "repo.git/hooks").iterdir():
        hook.unlink()
    (root / "repo.git/config").write_text("[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n")
    told = lineclear("fsck")
    assert told.code == 1
    assert "the hook pre-receive is missing: pushes come unchecked" in told.out
    assert "the setting core.hookspath is missing" in told.out
    up = lineclear("up")
    try:
        assert up.code == 0
        assert "put right: the hook pre-receive is missing" in up.out
        assert find_faults(hosted(root)) == []
        assert lineclear("fsck").code == 0
        assert Repository(str(root / "repo.git")).resolve("main") == seed
    finally:
        lineclear("down", "--kill-steps")


def test_a_home_that_was_left_without_a_repository_gets_one_by_repair(lineclear, tmp_path):
    root = tmp_path / "home"
    assert lineclear("init", "--empty").code == 0
    (root / "repo.git").rename(tmp_path / "kept")
    for words in (["up"], ["init"], ["plan"], ["serve"]):
        said = lineclear(*words)
        assert (said.code, said.out) == (4, "")
        assert "has lost its repository" in said.err
        assert f"lineclear --home {root} init --repair" in said.err
    assert "has lost its repository" in lineclear("fsck").out
    mended = lineclear("init", "--repair")
    assert mended.code == 0
    assert f"its repository was gone and is empty now; push a clone to it: git push {root}/repo.git BRANCH" in mended.out
    assert find_faults(hosted(root)) == []
    assert Repository(str(root / "repo.git")).resolve("main") is None
    (root / "repo.git/HEAD").unlink()
    assert "it is no bare repository; put a copy back, or move it away" in lineclear("up").err
    assert "it is no bare repository" in lineclear("fsck").out


def test_what_run_has_kept_is_no_home_that_lost_its_repository(lineclear, tmp_path):
    manifest = tmp_path / "a.yaml"
    manifest.write_text(
        "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: a}\nspec:\n  entrypoint: main\n  templates:\n"
        "  - name: main\n    container: {image: host, command: ['true']}\n"
    )
    kept = tmp_path / "kept"
    assert lineclear("run", str(manifest), "--keep", str(kept)).code == 0
    assert lineclear("fsck", LINECLEAR_HOME=str(kept)).code == 0


def test_two_inits_at_once_make_one_home(tmp_path):
    root = tmp_path / "home"
    argv = [Path(sys.executable).with_name("lineclear"), "--home", str(root), "init"]
    env = {key: value for key, value in os.environ.items() if not key.startswith("LINECLEAR_")}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    both = [subprocess.Popen(argv, env=env, text=True, **pipes) for _ in range(3)]
    ends = [(child.communicate(timeout=60), child.returncode) for child in both]
    assert sorted(code for _, code in ends) == [0, 4, 4], ends
    for (_, err), code in ends:
        assert code == 0 or "another init is making" in err or "there is a home at" in err
    assert sorted(os.listdir(root)) == WHOLE
    assert find_faults(hosted(root)) == []


def test_an_init_beside_one_that_is_at_work_is_refused_and_changes_nothing(lineclear, tmp_path):
    root = tmp_path / "home"
    root.mkdir()
    with (root / ".init").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        said = lineclear("init")
        assert (said.code, os.listdir(root)) == (4, [".init"])
        assert "another init is making" in said.err
        for words in (["up"], ["init", "--repair"], ["plan"]):
            said = lineclear(*words)
            assert said.code == 4
            assert f"it goes on when it is run again: lineclear --home {root} init" in said.err
    assert lineclear("init").code == 0
    assert sorted(os.listdir(root)) == WHOLE


def test_a_branch_given_to_the_second_try_is_the_one_that_counts_or_refused(lineclear, tmp_path):
    root = tmp_path / "home"
    assert lineclear("init", "--branch", "live").code == 0
    (root / ".init").touch()
    said = lineclear("init", "--branch", "other")
    assert said.code == 4
    assert "was for branch 'live'; go on without --branch other" in said.err
    (root / "repo.git").rename(tmp_path / "away")
    assert lineclear("init", "--branch", "other").code == 0
    assert Repository(str(root / "repo.git")).resolve("other") is not None
    assert Repository(str(root / "repo.git")).config("lineclear.branch") == "other"


@pytest.mark.parametrize("limit", [0, 100, 3000, 40_000])
def test_an_init_that_cannot_write_says_so_and_goes_on_when_it_can(lineclear, tmp_path, limit):
    root = tmp_path / "home"
    limited = (
        f"import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit})); "
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    argv = [sys.executable, "-c", limited, str(Path(sys.executable).with_name("lineclear")), "--home", str(root), "init"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 5, (done.stdout, done.stderr)
    assert done.stderr.startswith(f"lineclear: could not make the home {root}: ")
    assert done.stderr.rstrip().endswith("mend that and run init again: it goes on")
    assert "Traceback" not in done.stderr
    assert lineclear("init").code == 0
    assert sorted(os.listdir(root)) == WHOLE
    assert find_faults(hosted(root)) == []


def test_an_init_where_nothing_can_be_made_leaves_nothing(lineclear, tmp_path):
    assert "could not make the home /proc/nowhere/home" in lineclear("init", LINECLEAR_HOME="/proc/nowhere/home").err
    (tmp_path / "file").write_text("")
    assert "could not make the home" in lineclear("init", LINECLEAR_HOME=str(tmp_path / "file")).err
    if os.geteuid() == 0:
        pytest.skip("root may write into every folder")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    assert "Permission denied" in lineclear("init", LINECLEAR_HOME=str(closed)).err
    assert os.listdir(closed) == []
