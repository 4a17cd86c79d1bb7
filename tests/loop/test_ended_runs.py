"""What ended runs keep, how they go on, and who may take their locks."""

import pytest
from loop_harness import call, dag, job, pod, spec, steps

from reconciler.loop.inbox import Look
from reconciler.workflow.bounds import Rules


@pytest.mark.parametrize("end", ["fails", "lost", "deadline"])
def test_a_run_that_fails_by_itself_keeps_its_workflow_locks(world, end):
    world.limits(s0=1)
    world.submit(job("m", "s0", activeDeadlineSeconds=60), "r")
    world.submit(job("m"), "next")
    if end == "lost":
        world.is_lost("r", "")
    elif end == "fails":
        world.exits("r", "", 1)
    else:
        world.tick(60)
        world.exits("r", "", 143)
    assert world.holders() == {"m": ["r"], "s0": ["r"]}
    world.crash()
    assert world.holders("m") == ["r"]
    phase = world.phase("r")
    world.must("terminate", run="r")
    assert (world.phase("r"), world.holders("m")) == (phase, ["next"])
    assert world.ask("terminate", run="r").error["code"] == 4


@pytest.mark.parametrize("verb", ["stop", "terminate"])
def test_a_run_that_a_person_ended_keeps_nothing(world, verb):
    world.submit(job("m"), "r")
    world.must(verb, run="r")
    assert world.holders("m") == ["r"], "its process has not ended"
    world.exits("r", "", 143)
    assert (world.phase("r"), world.holders()) == ("Failed", {})


def test_with_argo_rules_a_failed_run_keeps_nothing(tmp_path):
    from loop_harness import World

    world = World(tmp_path, rules=Rules(keep_locks=False))
    try:
        world.submit(job("m"), "r")
        world.exits("r", "", 1)
        assert world.holders() == {}
    finally:
        world.close()


def test_ttl_ends_a_failed_holder_for_good(world):
    world.submit(job("m", ttlStrategy={"secondsAfterFailure": 30}), "r")
    world.submit(job("m"), "next")
    world.exits("r", "", 1)
    world.tick(29)
    assert world.holders("m") == ["r"]
    world.tick(1)
    assert (world.holders("m"), world.phase("r")) == (["next"], None)
    assert world.effects.removed == [1]


# retry -----------------------------------------------------------------------------------------------------------------


def test_a_retry_runs_only_what_did_not_succeed_and_keeps_the_runs_locks(world):
    world.submit(spec(steps("main", ["a", "b"], ["c"]), pod("a"), pod("b"), pod("c"), locks=["m"]), "r")
    world.submit(job("m"), "next")
    world.exits("r", "[0].a")
    world.exits("r", "[0].b", 1)
    epoch = world.one("SELECT epoch FROM claim WHERE state = 'held'")
    world.must("retry", run="r")
    assert (world.phase("r"), world.running("r"), world.holders("m")) == ("Running", ["[0].b"], ["r"])
    assert world.one("SELECT epoch FROM claim WHERE state = 'held'") == epoch
    world.exits("r", "[0].b")
    world.exits("r", "[1].c")
    assert (world.phase("r"), world.holders("m")) == ("Succeeded", ["next"])


def test_a_retried_template_asks_for_its_lock_again_and_starts_nothing_without_it(world):
    """The lock was let go when the template failed; somebody else may hold it by now."""
    world.submit(spec(steps("main", ["box"]), steps("box", ["a"], ["b"], locks=["m"]), pod("a"), pod("b")), "r")
    world.exits("r", "[0].box[0].a")
    world.exits("r", "[0].box[1].b", 1)
    world.submit(job("m"), "other")
    world.must("retry", run="r")
    assert (world.holders("m"), world.queue("m"), world.running("r")) == (["other"], ["r[0].box/"], [])
    world.exits("other", "")
    assert (world.holders("m"), world.running("r")) == (["r[0].box/"], ["[0].box[1].b"])
    world.exits("r", "[0].box[1].b")
    assert (world.phase("r"), world.holders()) == ("Succeeded", {})


def test_a_retried_dag_task_with_a_lock_asks_again(world):
    world.submit(spec(dag("main", a=("p",), b=("box", "a")), pod("p"), steps("box", ["q"], locks=["m"]), pod("q")), "r")
    world.exits("r", ".a")
    world.exits("r", ".b[0].q", 1)
    world.submit(job("m"), "other")
    world.must("retry", run="r")
    assert world.running("r") == []
    world.exits("other", "")
    world.exits("r", ".b[0].q")
    assert world.phase("r") == "Succeeded"


def test_a_template_that_retries_by_itself_starts_afresh_when_its_run_is_retried(world):
    box = steps("box", ["a"], ["b"], retryStrategy={"limit": 1})
    world.submit(spec(steps("main", ["box"]), box, pod("a"), pod("b")), "r")
    for number in (0, 1):
        world.exits("r", f"[0].box({number})[0].a")
        world.exits("r", f"[0].box({number})[1].b", 1)
    assert world.phase("r") == "Failed"
    world.must("retry", run="r")
    assert world.running("r") == ["[0].box(0)[0].a"]
    world.exits("r", "[0].box(0)[0].a")
    world.exits("r", "[0].box(0)[1].b")
    assert world.phase("r") == "Succeeded"


@pytest.mark.edge("E56")
def test_a_retried_run_that_let_its_locks_go_asks_again_at_its_old_place(world):
    world.submit(job("m"), "r")
    world.must("terminate", run="r")
    world.exits("r", "", 143)
    world.submit(job("m"), "holder")
    world.submit(job("m"), "later")
    world.must("retry", run="r")
    assert (world.phase("r"), world.queue("m")) == ("Pending", ["r", "later"])
    world.must("terminate", run="r")
    assert (world.queue("m"), world.phase("r"), world.nodes("r")) == (["later"], "Failed", {})


def test_only_a_failed_run_can_be_retried(world):
    world.submit(job(), "r")
    assert world.ask("retry", run="r").error["code"] == 4
    world.exits("r", "")
    assert "only a Failed or Error run" in world.ask("retry", run="r").error["message"]


# take-over ---------------------------------------------------------------------------------------------------------------


def test_a_fix_takes_the_locks_over_ahead_of_everyone_in_one_commit(world):
    world.submit(job("m", priority=1), "broken")
    world.submit(job("m", priority=9), "urgent")
    world.exits("broken", "", 1)
    commits = world.writer.commits
    world.submit(job("m"), "fix", take_over="broken", reason="the fix")
    assert world.writer.commits == commits + 1
    assert (world.holders("m"), world.queue("m")) == (["fix"], ["urgent"])
    assert world.journal("claim.taken-over") == [{"from": "broken", "locks": {"default/Mutex/m": 1}, "reason": "the fix"}]


def test_a_fix_goes_ahead_of_a_waiter_that_is_older_than_the_broken_run(world):
    world.submit(job("m"), "old")
    world.must("terminate", run="old")
    world.exits("old", "", 143)
    world.submit(job("m"), "broken")
    world.exits("broken", "", 1)
    world.must("retry", run="old")
    fix = world.must("resubmit", run="broken", take_over="broken", reason="again")["runs"][0]["name"]
    assert (world.holders("m"), world.queue("m")) == ([fix], ["old"])


def test_a_take_over_is_refused_without_reason_holder_or_end(world):
    world.submit(job("m"), "r")
    for args, code in [({"reason": "x"}, 4), ({}, 2), ({"reason": "x", "take_over": "nobody"}, 3)]:
        reply = world.ask("resubmit", run="r", **{"take_over": "r", **args})
        assert reply.error["code"] == code
    world.exits("r", "", 0)
    assert "holds no lock" in world.ask("resubmit", run="r", take_over="r", reason="x").error["message"]


# delete ------------------------------------------------------------------------------------------------------------------


def test_deleting_an_ended_holder_lets_its_locks_go(world):
    world.submit(job("m"), "r")
    world.submit(job("m"), "next")
    world.exits("r", "", 1)
    world.must("delete", run="r")
    assert (world.phase("r"), world.holders("m")) == (None, ["next"])


@pytest.mark.parametrize("before", ["", "stop", "terminate"])
def test_an_active_run_is_deleted_by_force_once_its_processes_have_ended(world, before):
    world.submit(job("m"), "r")
    assert world.ask("delete", run="r").error["code"] == 4
    if before:
        world.must(before, run="r")
    world.must("delete", run="r", force=True)
    assert (world.phase("r"), world.holders("m")) == ("Running", ["r"])
    world.exits("r", "", 143)
    assert (world.phase("r"), world.holders()) == (None, {})


# stuck -------------------------------------------------------------------------------------------------------------------


def test_a_stuck_holder_is_ended_only_as_it_was_shown(world):
    world.submit(job("m"), "r")
    world.submit(job("m"), "next")
    epoch = world.one("SELECT epoch FROM claim WHERE state = 'held'")[0]
    asked = {"lock": "default/Mutex/m", "reason": "hangs"}
    assert world.ask("terminate_stuck_holder", **asked, epoch=epoch + 1).error["code"] == 4
    assert world.ask("terminate_stuck_holder", lock="default/Mutex/m", epoch=epoch).error["code"] == 2
    answer = world.must("terminate_stuck_holder", **asked, epoch=epoch)
    assert (answer["state"], answer["next"], world.holders("m")) == ("terminating", "next", ["r"])
    world.exits("r", "", 137)
    assert world.holders("m") == ["next"]
    assert "the state changed" in world.ask("terminate_stuck_holder", **asked, epoch=epoch).error["message"]


# quarantine --------------------------------------------------------------------------------------------------------------


@pytest.mark.edge("E61")
def test_a_run_whose_decision_breaks_is_quarantined_and_the_others_go_on(world, monkeypatch):
    from reconciler.loop import deciding

    decide = deciding.decide

    def broken(run, *rest):
        if run.name == "bad":
            raise ValueError("a bug")
        return decide(run, *rest)

    world.submit(spec(steps("main", ["a", "b"]), pod("a"), pod("b"), locks=["m"]), "bad")
    world.submit(job("m"), "next")
    world.submit(job(), "good")
    monkeypatch.setattr(deciding, "decide", broken)
    for run, node in (("bad", "[0].a"), ("good", ""), ("bad", "[0].b")):
        world.errors.texts.clear()
        world.runtime.seen.append(_exited(world, run, node))
        world.loop.tick(world.runtime, world.effects)
    assert ["quarantined" in text for text in world.errors.texts] == [True]
    world.errors.texts.clear()
    assert (world.phase("good"), world.phase("bad")) == ("Succeeded", "Error")
    assert world.message("bad") == "quarantined: ValueError: a bug"
    assert world.holders("m") == ["bad"]
    world.must("terminate", run="bad")
    assert world.holders("m") == ["next"]


def test_a_large_run_whose_decision_breaks_is_given_up_slice_by_slice_without_a_sweep(world, monkeypatch):
    from reconciler.loop import deciding

    def broken(*_):
        raise ValueError("a bug")

    many = call("l", "z", withSequence={"count": "130"})
    world.submit(spec(steps("main", [many]), {"name": "z", "suspend": {}}, locks=["m"]), "bad")
    monkeypatch.setattr(deciding, "_GIVEN_UP", 10)
    monkeypatch.setattr(deciding, "decide", broken)
    world.writer.marks.run(world.writer.db.execute("SELECT id FROM run").fetchone()[0], "")
    world.inbox.put(Look())
    for _ in range(20):  # each gives up at least ten of its 133 nodes; the clock stands still, so no sweep helps
        world.loop.tick(world.runtime, world.effects)
    world.errors.texts.clear()
    assert world.phase("bad") == "Error"
    assert world.holders("m") == ["bad"]
    assert not world.loop._has_more


def _exited(world, run, node):
    from reconciler.model.attempt import AttemptId, Exited

    return Exited(attempt_id=AttemptId(world.attempt_of(run, node)), exit_code=0, signal=None, at=world.clock.at)


# the record --------------------------------------------------------------------------------------------------------------


def test_late_and_repeated_ends_change_nothing(world):
    world.submit(job(), "r")
    end = _exited(world, "r", "")
    world.exits("r", "", 1)
    before = world.writer.db.total_changes
    world.runtime.seen += [end, end]
    world.tick()
    assert (world.phase("r"), world.writer.db.total_changes) == ("Failed", before)


@pytest.mark.edge("E64", "E65")
@pytest.mark.parametrize("point", ["before-commit", "after-commit"])
def test_a_crash_beside_the_commit_loses_nothing_and_does_nothing_twice(world, point):
    world.submit(job("m"), "r")
    world.submit(job("m"), "next")
    world.dying(point, lambda: world.exits("r", ""))
    if point == "before-commit":
        assert world.holders("m") == ["r"]
        world.exits("r", "")
    assert world.holders("m") == ["next"]
    assert len(world.journal("claim.released", "r")) == 1
