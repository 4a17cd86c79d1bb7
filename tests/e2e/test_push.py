"""What a push brings, with real git against a real daemon: answered, applied, survived."""

from __future__ import annotations

import signal
import time

import pytest

from reconciler.errors import Refused

LATER = "accepted; see lineclear sync"
BAD = {
    "bad/1.yaml": "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: b1}\nspec: [\n",
    "bad/2.yaml": "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: b2}\nspec:\n  entrypoint: nowhere\n"
    "  templates:\n  - name: main\n    container: {image: host, command: ['true']}\n",
    "bad/3.yaml": "apiVersion: argoproj.io/v1alpha1\nkind: CronWorkflow\nmetadata: {name: b3}\nspec:\n"
    "  schedules: ['61 * * * *']\n  workflowSpec:\n    entrypoint: main\n    templates:\n    - name: main\n"
    "      container: {image: host, command: ['true']}\n",
    "bad/4.yaml": "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: b4}\nspec:\n"
    "  workflowTemplateRef: {name: missing}\n",
    "bad/5.yaml": b"apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: \xff\xfe}\n",
}


CROSSED = """apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: NAME}
spec:
  entrypoint: main
  synchronization: {mutexes: [{name: OUTER}]}
  templates:
  - {name: main, synchronization: {mutexes: [{name: INNER}]}, container: {image: host, command: ['true']}}
"""


@pytest.fixture
def served(home):
    """The home with its daemon running."""
    home.daemon.start()
    return home


@pytest.fixture
def gate(home):
    """A file that lets the gated steps end."""
    return home.folder / "gate"


def gated(gate):
    return f"until [ -e {gate} ]; do sleep 0.01; done"


def applied(home):
    rows = home.rows("SELECT sha FROM revision WHERE state = 'applied' ORDER BY id DESC LIMIT 1")
    return rows[0][0] if rows else None


def head(home):
    return home.git("rev-parse", "HEAD").stdout.strip()


def wait_applied(home, until):
    sha = head(home)
    until(lambda: applied(home) == sha, lambda: f"{sha} to be live: {applied(home)}; {home.daemon.said()[-1500:]}")


def runs(home):
    return [name for (name,) in home.rows("SELECT name FROM run ORDER BY id")]


def test_a_push_is_answered_with_its_runs_and_who_waits_behind_whom(served, book, gate):
    for key in "abcde":  # a hook waits for the daemon's first word for a tenth of a second: on a busy machine, push again
        names = [f"{key}-{name}" for name in ("one", "three", "two")]
        said = served.push({f"{name}.yaml": book.workflow(name, gated(gate), mutexes=[key]) for name in names}).said
        lines = [line for line in said.splitlines() if line.startswith("submitted: ")]
        if lines:
            break
    assert [line.split(": ")[1] for line in lines] == names
    assert "waits" not in lines[0]
    assert f"default/Mutex/{key}" in lines[1]
    assert f"held by {names[0]}" in lines[1]
    assert "position 1" in lines[1]
    assert "position 2" in lines[2]
    gate.touch()
    assert served.wait_phase(names[2]) == "Succeeded"
    assert book.read(key).runs() == names


def test_five_bad_files_are_refused_at_once_each_with_its_place(served):
    done = served.push(BAD, check=False)

    assert done.returncode != 0
    for number in range(1, 6):
        assert f"bad/{number}.yaml:" in done.said
    assert "pre-receive hook declined" in done.stderr
    assert runs(served) == []
    assert served.git("ls-remote", "origin", "main").stdout == ""


def test_five_bad_files_are_refused_without_a_daemon_too(home):
    done = home.push(BAD, check=False)

    assert done.returncode != 0
    for number in range(1, 6):
        assert f"bad/{number}.yaml:" in done.said


def test_what_is_let_through_with_errors_holds_up_nothing_else(served, book, until):
    served.commit({**BAD, "good.yaml": book.workflow("good")})
    done = served.git("push", "-o", "receive.lineclear=warn", "origin", "HEAD:main")

    assert "bad/5.yaml:" in done.stderr
    wait_applied(served, until)
    assert served.wait_phase("good") == "Succeeded"
    assert runs(served) == ["good"]
    assert {path for (path,) in served.rows("SELECT path FROM file WHERE bad = 1")} >= {"bad/1.yaml", "bad/3.yaml", "bad/5.yaml"}


def test_foreign_yaml_is_skipped_and_links_and_submodules_are_never_followed(served, book, until):
    foreign = {"values.yaml": "replicas: 3\n", "deploy.yml": "apiVersion: apps/v1\nkind: Deployment\n"}
    assert "error" not in served.push({**foreign, "ok.yaml": book.workflow("ok")}).said
    assert served.wait_phase("ok") == "Succeeded"
    outside = served.folder / "outside.yaml"
    outside.write_text(book.workflow("outside"))
    (served.work / "link.yaml").symlink_to(outside)
    (served.work / "loop.yaml").symlink_to("loop.yaml")
    sub = served.folder / "sub"
    served.git("init", "-q", "-b", "main", str(sub))
    served.git("commit", "-q", "--allow-empty", "-m", "x", cwd=sub)
    served.git("submodule", "--quiet", "add", str(sub), "sub.yaml")

    said = served.push({"ok2.yaml": book.workflow("ok2")}).said
    assert "link.yaml" not in said
    assert "loop.yaml" not in said
    assert "sub.yaml:1:1: warning LC902" in said

    wait_applied(served, until)
    assert served.wait_phase("ok2") == "Succeeded"
    assert runs(served) == ["ok", "ok2"]
    (served.work / "ok.yaml").unlink()
    (served.work / "ok.yaml").symlink_to("ok2.yaml")
    assert "ok.yaml:1:1: error LC901" in served.push(check=False).said


def test_a_rewind_and_a_force_make_the_new_head_the_desired_state_and_run_nothing_again(served, book, until):
    served.push({"w.yaml": book.workflow("w", "echo 1"), "keep.yaml": book.workflow("keep")})
    served.wait_phase("w")
    served.push({"w.yaml": book.workflow("w", "echo 2")})
    until(lambda: len(runs(served)) == 3, "the second version's run")
    served.wait_phase(runs(served)[-1])

    served.git("reset", "-q", "--hard", "HEAD~1")
    said = served.push_head(force=True).said
    wait_applied(served, until)
    assert "submitted" not in said
    assert "w" in said
    assert len(runs(served)) == 3

    served.git("commit", "-q", "--amend", "-m", "other")
    served.push_head(force=True)
    wait_applied(served, until)
    assert len(runs(served)) == 3
    body = served.rows("SELECT body_json FROM definition WHERE kind = 'Workflow' AND name = 'w' AND retired_at IS NULL")[0][0]
    assert "echo 1" in body


def test_deleting_the_branch_removes_nothing_and_its_return_runs_nothing_again(served, book, until, gate):
    served.push({"w.yaml": book.workflow("w", gated(gate), mutexes=["a"]), "q.yaml": book.workflow("x", mutexes=["a"])})
    served.wait_line("a", "S")
    before = runs(served)

    served.git("push", "-q", "origin", ":main")
    until(lambda: served.journal("source.missing"), "the daemon to see that the branch is gone")
    assert served.rows("SELECT count(*) FROM definition WHERE retired_at IS NULL") == [(2,)]
    served.push_head()
    gate.touch()

    until(lambda: all(served.phase(name) == "Succeeded" for name in before), "the end of both")
    assert runs(served) == before


@pytest.mark.edge("E110")
def test_a_renamed_file_changes_nothing(served, book, until):
    served.push({"old/w.yaml": book.workflow("w")})
    served.wait_phase("w")
    (served.work / "new").mkdir()
    served.git("mv", "old/w.yaml", "new/w.yaml")
    served.push()

    wait_applied(served, until)
    assert runs(served) == ["w"]
    assert served.rows("SELECT path FROM definition WHERE retired_at IS NULL") == [("new/w.yaml",)]


def test_gc_and_packed_refs_between_pushes_are_not_noticed(served, book, until):
    for number in range(3):
        served.push({f"w{number}.yaml": book.workflow(f"w{number}")})
        served.git("pack-refs", "--all", "--prune", cwd=served.bare)
        served.git("gc", "--quiet", "--prune=now", cwd=served.bare)
        wait_applied(served, until)

    until(lambda: all(served.phase(f"w{n}") == "Succeeded" for n in range(3)), "all three")
    assert runs(served) == ["w0", "w1", "w2"]


def test_removal_cancels_queued_runs_and_leaves_running_ones_and_their_locks(served, book, until, gate):
    files = {f"{n}.yaml": book.workflow(n, gated(gate), mutexes=["a"]) for n in ("w1", "w2", "w3")}
    served.push({**files, "stay.yaml": book.template("stay")})
    served.wait_line("a", "S w1")

    served.push(remove=["w1.yaml", "w2.yaml"])

    assert served.wait_phase("w2") in ("Failed", "Error")
    assert served.phase("w1") == "Running"
    assert served.phase("w3") == "Pending"
    assert [name for name, _ in served.holders("default/Mutex/a")] == ["w1"]
    gate.touch()
    assert served.wait_phase("w3") == "Succeeded"
    assert served.phase("w1") == "Succeeded"
    assert book.read("a").runs() == ["w1", "w3"]


def test_a_mass_removal_waits_for_approval(served, book, until):
    files = {f"t{n}.yaml": book.template(f"t{n}") for n in range(10)}
    served.push(files)
    wait_applied(served, until)

    said = served.push(remove=[f"t{n}.yaml" for n in range(7)]).said

    sha = head(served)
    assert f"lineclear sync approve {sha}" in said
    assert served.rows("SELECT count(*) FROM definition WHERE retired_at IS NULL") == [(10,)]
    with pytest.raises(Refused):
        served.ask("sync_approve", sha="0" * 40)
    served.ask("sync_approve", sha=sha)
    wait_applied(served, until)
    assert served.rows("SELECT count(*) FROM definition WHERE retired_at IS NULL") == [(3,)]


def test_a_held_revision_stays_held_over_a_restart_and_a_later_push_supersedes_it(served, book, until):
    served.push({f"t{n}.yaml": book.template(f"t{n}") for n in range(10)})
    wait_applied(served, until)
    served.push(remove=[f"t{n}.yaml" for n in range(7)])
    served.daemon.kill()
    served.daemon.start()
    assert served.rows("SELECT count(*) FROM definition WHERE retired_at IS NULL") == [(10,)]

    served.git("revert", "--no-edit", "HEAD")
    served.push_head()

    wait_applied(served, until)
    assert served.rows("SELECT count(*) FROM definition WHERE retired_at IS NULL") == [(10,)]
    assert served.rows("SELECT count(*) FROM revision WHERE state = 'held'") == [(0,)]


@pytest.mark.edge("E110")
def test_two_files_with_one_identity_are_refused_and_what_was_live_stays(served, book, until):
    served.push({"a.yaml": book.workflow("w", "echo 1")})
    served.wait_phase("w")

    refused = served.push({"b.yaml": book.workflow("w", "echo 2")}, check=False)
    assert refused.returncode != 0
    assert "a.yaml" in refused.said
    assert "b.yaml" in refused.said
    served.git("push", "-o", "receive.lineclear=warn", "origin", "HEAD:main")

    wait_applied(served, until)
    assert runs(served) == ["w"]
    assert "echo 1" in served.rows("SELECT body_json FROM definition WHERE retired_at IS NULL")[0][0]


def test_a_push_without_a_daemon_goes_through_and_is_taken_up_at_the_start(home, book):
    said = home.push({"w.yaml": book.workflow("w")}).said
    assert LATER in said

    home.daemon.start()

    assert home.wait_phase("w") == "Succeeded"


def test_a_push_to_a_stopped_daemon_goes_through_soon_and_is_taken_up_when_it_goes_on(served, book):
    served.push({"w.yaml": book.workflow("w")})
    served.wait_phase("w")
    served.commit({"x.yaml": book.workflow("x")})
    served.daemon.signal(signal.SIGSTOP)

    began = time.monotonic()
    said = served.push_head().said
    took = time.monotonic() - began

    assert LATER in said
    assert took < 4  # two waits of 200 ms, the check in a program of its own, and a machine with other things to do
    served.daemon.signal(signal.SIGCONT)
    assert served.wait_phase("x") == "Succeeded"
    assert runs(served) == ["w", "x"]


def test_another_branch_is_taken_and_called_not_watched(served, book):
    served.commit({"w.yaml": book.workflow("w")})

    done = served.git("push", "origin", "HEAD:refs/heads/topic")

    assert "not watched" in done.stderr
    assert runs(served) == []


def test_a_started_runs_spec_never_changes_and_a_later_run_has_the_new_one(served, book, gate):
    steps = [gated(gate), f"echo old > {served.logs}/second"]
    served.push({"t.yaml": book.template("t", steps=steps), "w.yaml": book.referrer("w", "t")})
    served.wait_line("free", "S w")

    new = [step.replace("old", "new") for step in steps]
    served.push({"t.yaml": book.template("t", steps=new)})
    gate.touch()

    assert served.wait_phase("w") == "Succeeded"
    assert served.lines("second") == ["old"]
    (later,) = served.ask("submit", **{"from": "workflowtemplate/t"})["runs"]
    assert served.wait_phase(later["name"]) == "Succeeded"
    assert served.lines("second") == ["new"]


def test_a_limit_in_git_starts_waiters_when_raised_and_evicts_nobody_when_lowered(served, book, until, gate):
    served.push({"limits.yaml": book.limits(s=1)})
    served.push({f"{n}.yaml": book.workflow(n, gated(gate), semaphores=["s"]) for n in ("w1", "w2", "w3")})
    served.wait_line("s", "S w1")
    assert served.phase("w2") == "Pending"

    served.push({"limits.yaml": book.limits(s=2)})
    served.wait_line("s", "S w2")
    served.push({"limits.yaml": book.limits(s=0)})
    gate.touch()
    assert served.wait_phase("w2") == "Succeeded"
    assert served.wait_phase("w1") == "Succeeded"
    assert served.phase("w3") == "Pending"
    served.push({"limits.yaml": book.limits(s=1)})

    assert served.wait_phase("w3") == "Succeeded"


def test_many_quick_pushes_lose_no_run(served, book, until):
    names = [f"w{n:02}" for n in range(12)]
    for name in names:
        served.push({f"{name}.yaml": book.workflow(name, "true", mutexes=["a"])})

    until(lambda: all(served.phase(name) == "Succeeded" for name in names), "all runs")
    assert runs(served) == names
    assert book.read("a").runs() == names


def test_a_push_on_top_of_a_held_revision_is_checked_against_that_revision(served, book, until):
    served.push({f"t{n}.yaml": book.template(f"t{n}") for n in range(10)})
    wait_applied(served, until)
    held = {"late.yaml": book.template("late")}
    assert "sync approve" in served.push(held, remove=[f"t{n}.yaml" for n in range(7)]).said

    served.push({"new/t0.yaml": book.template("t0"), "w.yaml": book.referrer("w", "late")})
    broken = served.push({"x.yaml": book.referrer("x", "t1")}, check=False)

    assert broken.returncode != 0
    assert "x.yaml:" in broken.said


def crossed(name, outer, inner):
    return CROSSED.replace("NAME", name).replace("OUTER", outer).replace("INNER", inner)


def test_a_push_is_warned_of_a_circle_that_it_closes_with_what_is_live_and_of_names_nearly_live(served, until):
    served.push({"a.yaml": crossed("a", "deploy", "cache"), "b.yaml": crossed("b", "cache", "pages")})
    wait_applied(served, until)
    said = served.push({"c.yaml": crossed("c", "pages", "deploy"), "d.yaml": crossed("d", "Pages", "other")}).said
    lines = [line.partition("remote: ")[2] or line for line in said.splitlines() if "LC50" in line]
    assert [line.split(":")[0] for line in lines] == ["c.yaml", "d.yaml"], said
    assert 'LC506: mutex "deploy" is asked for here while mutex "pages" is held (c.yaml:6:31)' in lines[0]
    assert 'asked for at a.yaml:8:46 while mutex "deploy" is held (a.yaml:6:31)' in lines[0]
    assert 'asked for at b.yaml:8:46 while mutex "cache" is held (b.yaml:6:31)' in lines[0]
    assert 'LC508: mutex "Pages" is nearly mutex "pages" (c.yaml:6:31)' in lines[1]
    wait_applied(served, until)
    said = served.push({"c.yaml": crossed("c", "x-pages", "deploy")}).said
    assert "LC506" not in said
    wait_applied(served, until)
    kept = served.rows("SELECT key FROM named_lock JOIN definition d ON d.id = definition_id WHERE name = 'c' ORDER BY key")
    assert kept == [("default/Mutex/deploy",), ("default/Mutex/x-pages",)]


def test_a_push_of_more_documents_than_one_may_bring_is_refused_with_the_bound_and_the_way_round(home, book):
    home.set_up("limits.documents = 2\n")
    home.daemon.start()
    refused = home.push({f"{name}.yaml": book.workflow(name) for name in ("one", "two", "three")}, check=False)
    if refused.returncode == 0:  # the hook did not wait for the daemon, and its own check knows no settings
        pytest.skip("the daemon did not begin to answer in time: this machine is too busy")
    assert "it adds or changes 3 documents, and one push may 2 (the setting limits.documents); split it" in refused.said
    assert "-o receive.lineclear=warn" in refused.said

