"""`lineclear plan` from outside: real repositories, a real daemon where there is something to wait for."""

import json
import subprocess
import sys

WORKFLOW = """\
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata:
  name: {name}
spec:
  entrypoint: main
  arguments: {{parameters: [{{name: db, value: {db}}}]}}
  synchronization: {{mutexes: [{{name: "db-{{{{workflow.parameters.db}}}}"}}]}}
  templates:
    - name: main
      container: {{image: host, command: [sleep, "60"]}}
"""


def workflow(name, db="main"):
    return WORKFLOW.format(name=name, db=db)


def test_a_home_without_anything_yet_is_planned_from_a_clone(home, plan):
    home.commit({"a.yaml": workflow("a"), "b.yaml": workflow("b")})
    found = plan()
    assert (found.code, found.err) == (0, "")
    assert "ACTIVE    a (a.yaml:1)" in found.out
    assert "default/Mutex/db-main (workflow.parameters.db = main): has room, would be held" in found.out
    assert "BLOCKED   b (b.yaml:1)" in found.out
    assert "position 1, held by a (this push)" in found.out


def test_the_keys_of_the_object_are_these(home, plan):
    home.commit({"a.yaml": workflow("a"), "b.yaml": workflow("b")})
    found = json.loads(plan("-o", "json").out)
    assert sorted(found) == [
        "accepted", "admitted", "applied", "commit", "definitions", "displacedRuns", "fastForward", "findings", "held", "limits",
        "removedRuns", "runs", "source",
    ]  # fmt: skip
    assert [run["state"] for run in found["runs"]] == ["ACTIVE", "BLOCKED"]
    assert sorted(found["runs"][1]) == [
        "earlierRun", "locks", "name", "nameIsKnown", "namespace", "phase", "place", "priority", "reason", "resubmit", "state",
        "stepsWaitingForSlots", "workflow",
    ]  # fmt: skip
    assert sorted(found["runs"][1]["locks"][0]) == [
        "ahead", "holders", "key", "kind", "limit", "node", "position", "reason", "state", "template", "values",
    ]  # fmt: skip


def touched(folder):
    """Every file below a folder with its size and change time."""
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def test_a_plan_touches_neither_home_nor_clone(home, plan):
    home.push({"a.yaml": workflow("a")})
    home.commit({"b.yaml": workflow("b")})
    before = touched(home.folder)
    for words in ([], ["."], ["HEAD~1"], ["main"], ["-o", "json"]):
        assert plan(*words).code == 0
    assert touched(home.folder) == before


def test_the_plan_of_a_served_home_is_what_the_push_then_does(home, plan, until):
    home.daemon.start()
    home.push({"a.yaml": workflow("a")})
    home.wait_phase("a", "Running")
    generated = workflow("x").replace("name: x", "generateName: x-")
    home.commit({"b.yaml": workflow("b"), "c.yaml": generated, "d.yaml": workflow("d", db="other")})
    found = json.loads(plan("-o", "json").out)
    assert [run["state"] for run in found["runs"]] == ["BLOCKED", "BLOCKED", "ACTIVE"]
    assert [run["locks"][0]["position"] for run in found["runs"]] == [1, 2, 0]
    home.push_head()
    until(lambda: home.phase("d") == "Running", "d runs")
    made = [row[0] for row in home.rows("SELECT name FROM run WHERE name <> 'a' ORDER BY id")]
    assert made == [run["name"] for run in found["runs"]]
    assert [home.phase(name) for name in made] == ["Pending", "Pending", "Running"]
    assert "nothing changes" in plan().out
    home.daemon.stop()
    home.commit({"e.yaml": workflow("e")})
    assert "position 3, held by a (Running), behind b" in plan().out


def test_a_push_that_would_be_refused_is_said_in_the_words_of_the_push(home, plan):
    home.push({"a.yaml": workflow("a")})
    home.commit({"bad.yaml": workflow("b").replace("entrypoint: main", "entrypoint: nothing")})
    found = plan()
    assert found.code == 2
    told = home.push_head(check=False)
    assert told.returncode == 1
    errors = [line for line in found.out.splitlines() if line.startswith(("bad.yaml:", "refused:"))]
    assert len(errors) >= 2
    assert all(line in told.said for line in errors)
    assert "REJECTED  b (bad.yaml:1)" in found.out


def test_a_mass_removal_is_four(home, plan):
    home.daemon.start()
    home.push({f"{n}.yaml": workflow(f"w{n}") for n in range(7)})
    home.commit({"README": "x"}, remove=[f"{n}.yaml" for n in range(7)])
    found = plan()
    assert found.code == 4
    assert "would remove everything; if that is meant, run: lineclear sync approve" in found.out
    assert found.out.count("it is queued and would be cancelled") == 6


def test_a_folder_is_planned_as_it_lies_there(home, plan):
    home.commit({"a.yaml": workflow("a")})
    (home.work / "b.yaml").write_text(workflow("x").replace("name: x", "generateName: x-"))
    (home.work / "skip").mkdir()
    (home.work / "skip" / "c.yaml").write_text("argoproj.io/ {{{")
    (home.work / ".lineclearignore").write_text("skip/\n")
    (home.work / "link.yaml").symlink_to("a.yaml")
    found = plan(".")
    assert "ACTIVE    a (a.yaml:1)" in found.out
    assert "BLOCKED   x-????? (b.yaml:1)" in found.out
    assert "link.yaml" not in found.out
    assert "skip" not in found.out
    assert found.code == 0
    (home.work / "a.yaml").unlink()
    (home.work / "bad.yaml").write_text("# argoproj.io/\n{{- x\ny\n")
    assert plan(str(home.work), cwd=home.folder).code == 2


def test_outside_a_clone_the_homes_branch_is_planned(home, plan):
    home.push({"a.yaml": workflow("a")})
    found = plan(cwd=home.folder)
    assert found.out.splitlines()[0].endswith("(main of the home); nothing is live yet")
    assert "ACTIVE    a (a.yaml:1)" in found.out


def test_a_repository_that_has_nothing_to_do_with_the_home_is_not_taken_for_its_clone(home, plan):
    home.push({"a.yaml": workflow("a")})
    other = home.folder / "other"
    other.mkdir()
    home.git("init", "-q", cwd=other)
    home.git("commit", "-q", "--allow-empty", "-m", "x", cwd=other)
    found = plan(cwd=other)
    assert "shares no commit with this home" in found.err
    assert "(main of the home)" in found.out


def test_a_clone_that_is_behind_is_planned_and_told_so(home, plan):
    home.push({"a.yaml": workflow("a")})
    home.git("clone", "-q", str(home.bare), str(home.folder / "second"))
    home.daemon.start()
    home.push({"b.yaml": workflow("b")})
    home.wait_phase("a", "Running")
    second = home.folder / "second"
    (second / "c.yaml").write_text(workflow("c"))
    home.git("add", "-A", cwd=second)
    home.git("commit", "-q", "-m", "c", cwd=second)
    found = plan(cwd=second)
    assert "it does not follow what is live" in found.out
    assert "removed: Workflow default/b" in found.out
    assert "BLOCKED   c (c.yaml:1)" in found.out


def test_what_is_no_commit_and_no_folder_is_not_found(home, plan):
    home.push({"a.yaml": workflow("a")})
    found = plan("nothing-of-that-name")
    assert (found.code, found.out) == (3, "")
    assert "there is no folder and no commit 'nothing-of-that-name'" in found.err


def test_a_commit_may_be_named_that_only_the_home_has(home, plan):
    sha = home.commit({"a.yaml": workflow("a")})
    home.push_head()
    assert "ACTIVE    a" in plan(sha[:12], cwd=home.folder).out


LOADED_AT_THE_FIRST_LINE = """
import sys
from reconciler.__main__ import main
class Out:
    def write(self, text):
        print(" ".join(sorted(sys.modules)), file=sys.stderr)
        raise SystemExit(0)
    def flush(self):
        pass
    def isatty(self):
        return False
sys.argv[0], sys.stdout = "lineclear", Out()
main()
"""


def test_the_first_line_waits_for_nothing_heavy(home):
    home.push({"a.yaml": workflow("a")})
    argv = [sys.executable, "-c", LOADED_AT_THE_FIRST_LINE, "plan", "--home", str(home.root)]
    done = subprocess.run(argv, cwd=home.work, capture_output=True, text=True, timeout=60, check=False)
    loaded = set(done.stderr.split())
    assert "reconciler.source.candidate" in loaded, done.stderr
    heavy = {"git", "lark", "ruamel", "sqlite3", "logging", "reconciler.manifest", "reconciler.loop", "reconciler.source.tree"}
    assert loaded & heavy == set()
