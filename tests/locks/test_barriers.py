"""Barriers: the runs of one pipeline run wait for one another, pass together, and fail together.

After every tick a full sweep must find nothing that was forgotten.
"""

import pytest
from loop_harness import World, pod, steps
from loop_harness import spec as plain
from meetings import at_end, barrier, body, meeting, standings, submit


@pytest.fixture
def world(tmp_path):
    class Swept(World):
        def tick(self, seconds=0):
            super().tick(seconds)
            assert self.sweep_changes() == 0, "a sweep found something that was forgotten"

    made = Swept(tmp_path)
    yield made
    made.close()


# who meets whom ----------------------------------------------------------------------------------------------------------


def test_the_runs_of_one_submit_wait_for_each_other_and_pass_together(world):
    submit(world, a=meeting("go"), b=meeting("go"))
    world.exits("a", "[0].first")
    assert (world.running("a"), standings(world)) == ([], {"a": "arrived", "b": "absent"})
    world.exits("b", "[0].first")
    assert standings(world) == {"a": "passed", "b": "passed"}
    assert world.running() == [("a", "[2].last"), ("b", "[2].last")]
    world.all_exit("a", "[2].last")
    world.all_exit("b", "[2].last")
    assert at_end(world, "a", "b") == ["Succeeded", "Succeeded"]


def test_the_runs_of_one_revision_that_name_one_pipeline_wait_for_each_other(world):
    one = [body(name, meeting("go", before=name == "b"), pipeline="release") for name in "ab"]
    other = body("c", meeting("go", before=False), pipeline="other")
    world.push(*one, other, body("d", meeting("go", before=False)))
    assert world.running() == [("b", "[0].first"), ("c", "[1].last"), ("d", "[1].last")]
    assert standings(world) == {"a": "arrived", "b": "absent"}


def test_runs_of_two_namespaces_are_of_two_pipelines(world):
    documents = [body(name, meeting("go", before=False), pipeline="release") for name in "ab"]
    documents[1]["metadata"]["namespace"] = "other"
    world.push(*documents)
    assert len(world.running()) == 2


def test_a_lone_barrier_is_passed_at_once_and_leaves_no_trace(world):
    submit(world, a=meeting("go", before=False), b=meeting("other", before=False))
    assert world.running() == [("a", "[1].last"), ("b", "[1].last")]
    assert (standings(world), world.run("a").pipeline) == ({}, None)


def test_a_run_that_is_submitted_later_is_of_no_pipeline(world):
    submit(world, a=meeting("go"), b=meeting("go", before=False))
    world.must("resubmit", namespace="default", run="b")
    assert [run for run, node in world.running() if node == "[1].last"] != []
    assert standings(world) == {"a": "absent", "b": "arrived"}


def test_several_barriers_are_passed_one_after_the_other(world):
    submit(world, a=meeting("x", "y"), b=meeting("x", "y", before=False))
    world.exits("a", "[0].first")
    assert [standings(world, name) for name in "xy"] == [{"a": "passed", "b": "passed"}] * 2
    assert len(world.running()) == 2


def test_three_runs_pass_only_when_the_last_has_come(world):
    submit(world, a=meeting("go"), b=meeting("go"), c=meeting("go"))
    for run in "abc":
        assert [node for _, node in world.running() if node == "[2].last"] == []
        world.exits(run, "[0].first")
    assert [node for _, node in world.running()] == ["[2].last"] * 3


def test_two_branches_of_a_run_at_one_barrier_pass_together_and_count_once(world):
    twice = plain(steps("main", [("one", "go"), ("two", "go")], ["last"]), pod("last"), barrier())
    submit(world, a=twice, b=meeting("go"))
    assert "waits at barrier" in world.must_not("resume", namespace="default", run="a")
    world.exits("b", "[0].first")
    assert (world.running("a"), world.running("b")) == (["[1].last"], ["[2].last"])


# fail together -----------------------------------------------------------------------------------------------------------


def test_one_that_fails_on_its_way_fails_those_that_wait(world):
    submit(world, a=meeting("go", before=False), b=meeting("go"))
    world.exits("b", "[0].first", 1)
    assert at_end(world, "a", "b") == ["Failed", "Failed"]
    assert world.told("a", "[0].go") == 'barrier "go" failed: b comes no more: b ended Failed'
    assert world.sweep_changes() == 0


def test_one_that_comes_after_another_has_failed_fails_at_once(world):
    submit(world, a=meeting("go"), b=meeting("go"))
    world.exits("a", "[0].first", 1)
    assert at_end(world, "a", "b") == ["Failed", "Running"]
    world.exits("b", "[0].first")
    assert world.nodes("b")["[1].go"] == "Failed"


def test_a_failure_after_the_barrier_is_the_runs_own(world):
    submit(world, a=meeting("go", before=False), b=meeting("go", before=False))
    world.exits("a", "[1].last", 1)
    world.exits("b", "[1].last")
    assert at_end(world, "a", "b") == ["Failed", "Succeeded"]


@pytest.mark.parametrize("verb", ["stop", "terminate"])
def test_one_that_is_ended_while_it_waits_for_a_lock_fails_the_others(world, verb):
    world.submit(plain(pod(), locks=["m"]), "holder")
    submit(world, a=meeting("go", before=False), b=meeting("go", locks=["m"]))
    world.must(verb, namespace="default", run="b")
    assert at_end(world, "a", "b") == ["Failed", "Failed"]
    assert world.told("a", "[0].go") == 'barrier "go" failed: b ended Failed before the others had arrived'


def test_one_that_finds_its_queue_full_fails_the_others(world):
    policy = {"apiVersion": "lineclear.dev/v1alpha1", "kind": "LockPolicy", "metadata": {"name": "p"}}
    world.push({**policy, "spec": {"locks": ["m"], "queueLimit": 1}}, path="p.yaml")
    world.submit(plain(pod(), locks=["m"]), "holder")
    submit(world, a=meeting("go", before=False), b=meeting("go", locks=["m"]))
    assert at_end(world, "a", "b") == ["Failed", "Failed"]


def test_one_that_cannot_be_made_fails_the_barriers_of_its_pipeline(world):
    broken = body("b", {"workflowTemplateRef": {"name": "nowhere"}}, pipeline="release")
    world.push(body("a", meeting("go", before=False), pipeline="release"), broken)
    assert world.phase("a") == "Failed"
    assert "all.yaml:" in world.told("a", "[0].go")
    assert world.told("a", "[0].go").endswith("of the same pipeline could not be run")


def test_one_that_is_deleted_while_it_runs_fails_the_others(world):
    submit(world, a=meeting("go", before=False), b=meeting("go"))
    world.must("delete", namespace="default", run="b", force=True)
    world.exits("b", "[0].first", 143)
    assert (world.phase("a"), world.phase("b")) == ("Failed", None)


def test_a_node_whose_own_timeout_passes_at_the_barrier_fails_the_others(world):
    slow = plain(steps("main", ["go"]), barrier(timeout="5m"))
    submit(world, a=slow, b=meeting("go"), c=meeting("go", before=False))
    world.tick(299)
    assert at_end(world, "a", "b", "c") == ["Running"] * 3
    world.tick(1)
    assert at_end(world, "a", "b", "c") == ["Failed", "Running", "Failed"]
    assert world.told("a", "[0].go") == 'gave up at barrier "go" after 5m: b had not arrived'
    assert world.told("c", "[0].go") == 'barrier "go" failed: a: gave up at barrier "go" after 5m: b had not arrived'


def test_the_wait_is_ten_minutes_where_nothing_else_is_said(world):
    submit(world, a=meeting("go", before=False), b=meeting("go"))
    world.tick(599)
    assert world.phase("a") == "Running"
    world.tick(1)
    assert world.phase("a") == "Failed"


def test_a_timeout_that_cannot_be_read_is_an_error_and_fails_the_others(world):
    submit(world, a=meeting("go", before=False), b=plain(steps("main", ["go"]), barrier(timeout="soon")))
    assert at_end(world, "a", "b") == ["Failed", "Failed"]
    assert world.nodes("b")["[0].go"] == "Error"


def test_each_run_does_with_the_failure_what_its_own_manifest_says(world):
    body = meeting("go")
    body["templates"][0]["steps"][1][0]["continueOn"] = {"failed": True}
    submit(world, a=body, b=meeting("go"))
    world.exits("b", "[0].first", 1)
    world.exits("a", "[0].first")
    assert world.running("a") == ["[2].last"]
    world.exits("a", "[2].last")
    assert world.phase("a") == "Succeeded"


def test_a_barrier_inside_a_retried_template_ends_with_it_and_does_not_spin(world):
    inner = {**steps("inner", ["go"]), "retryStrategy": {}}
    submit(world, a=plain(steps("main", ["wait"], ["inner"]), pod("wait"), inner, barrier()), b=meeting("go"))
    world.exits("b", "[0].first", 1)
    world.exits("a", "[0].wait")
    assert at_end(world, "a", "b") == ["Failed", "Failed"]


# skipped -----------------------------------------------------------------------------------------------------------------


def conditional(when, template="go", more=()):
    main = steps("main", ["first"], [{"name": "meet", "template": template, "when": when}], ["last"])
    return plain(main, pod("first"), pod("last"), barrier(), *more)


def test_one_that_is_kept_away_by_a_condition_counts_as_there(world):
    submit(world, a=meeting("go", before=False), b=conditional("1 == 2"))
    assert world.running("a") == []
    world.exits("b", "[0].first")
    assert (world.running("a"), world.running("b")) == (["[1].last"], ["[2].last"])


def test_a_condition_around_the_barrier_counts_as_one_on_it(world):
    inner = steps("inner", ["last"], ["go"])
    submit(world, a=meeting("go", before=False), b=conditional("1 == 2", template="inner", more=[inner]))
    world.exits("b", "[0].first")
    assert world.running("a") == ["[1].last"]


def test_one_of_two_ways_being_closed_leaves_the_other_to_come(world):
    inner = steps("inner", ["last"], ["go"])
    calls = [[{"name": "no", "template": "go", "when": "1 == 2"}], ["inner"]]
    submit(world, a=meeting("go", before=False), b=plain(steps("main", *calls), pod("last"), inner, barrier()))
    assert (world.running("a"), standings(world)["b"]) == ([], "absent")
    world.exits("b", "[1].inner[0].last")
    assert world.running("a") == ["[1].last"]


def test_a_task_that_is_omitted_for_a_failure_is_a_failure_and_one_by_choice_is_none(world):
    def tasks(depends):
        found = [{"name": "x", "template": "first"}, {"name": "go", "template": "go", "depends": depends}]
        found.append({"name": "long", "template": "first"})
        return plain({"name": "main", "dag": {"tasks": found, "failFast": False}}, pod("first"), barrier())

    submit(world, a=meeting("go", before=False), b=tasks("x.Succeeded"))
    world.exits("b", ".x", 1)
    assert at_end(world, "a", "b") == ["Failed", "Running"]
    submit(world, c=meeting("go", before=False), d=tasks("x.Failed"))
    world.exits("d", ".x")
    assert (world.running("c"), world.running("d")) == (["[1].last"], [".long"])


# again -------------------------------------------------------------------------------------------------------------------


def test_retried_runs_meet_again(world):
    submit(world, a=meeting("go", before=False), b=meeting("go"))
    world.exits("b", "[0].first", 1)
    world.must("retry", namespace="default", run="a")
    assert (world.phase("a"), standings(world)) == ("Running", {"a": "arrived", "b": "absent"})
    world.must("retry", namespace="default", run="b")
    world.exits("b", "[0].first")
    assert standings(world) == {"a": "passed", "b": "passed"}


def test_a_retried_run_waits_for_others_that_nobody_retries_no_longer_than_its_limit(world):
    submit(world, a=meeting("go", before=False), b=meeting("go"))
    world.exits("b", "[0].first", 1)
    world.must("retry", namespace="default", run="a")
    world.tick(600)
    assert world.phase("a") == "Failed"


def test_a_run_that_is_removed_is_waited_for_no_more(world):
    submit(world, a=meeting("go", before=False), b=meeting("go"))
    world.exits("b", "[0].first", 1)
    world.must("retry", namespace="default", run="a")
    world.must("delete", namespace="default", run="b")
    assert world.running("a") == ["[1].last"]


def test_a_run_retried_after_the_barrier_was_passed_passes_it_again(world):
    submit(world, a=meeting("go", before=False), b=meeting("go", before=False))
    world.exits("a", "[1].last", 1)
    world.must("retry", namespace="default", run="a")
    assert world.running("a") == ["[1].last"]


# people ------------------------------------------------------------------------------------------------------------------


def test_resume_leaves_a_barrier_alone(world):
    submit(world, a=meeting("go", before=False), b=meeting("go"))
    message = world.must_not("resume", namespace="default", run="a")
    assert message == (
        'a waits at barrier "go" for b; to let it pass alone say why:'
        " `lineclear node set a --node-field-selector displayName=go --phase Succeeded --message REASON`"
    )


def test_a_person_may_let_one_pass_and_must_say_why(world):
    submit(world, a=meeting("go", before=False), b=meeting("go"), c=meeting("go", before=False))
    assert "--message" in world.must_not("node_set", namespace="default", run="a", phase="Succeeded")
    world.must("node_set", namespace="default", run="a", phase="Succeeded", message="b is for tomorrow")
    assert (world.running("a"), world.running("c")) == (["[1].last"], [])
    assert world.journal("barrier.reached", "a")[0]["why"] == "let pass by tester: b is for tomorrow"
    world.exits("b", "[0].first")
    assert (world.running("b"), world.running("c")) == (["[2].last"], ["[1].last"])


def test_a_person_may_fail_one_and_so_all(world):
    submit(world, a=meeting("go", before=False), b=meeting("go"))
    world.must("node_set", namespace="default", run="a", phase="Failed", message="not today")
    assert world.phase("a") == "Failed"
    world.exits("b", "[0].first")
    assert world.phase("b") == "Failed"


def test_a_suspended_run_keeps_the_others_waiting_and_passes_when_it_is_resumed(world):
    submit(world, a=meeting("go", before=False), b=meeting("go"))
    world.must("suspend", namespace="default", run="a")
    world.exits("b", "[0].first")
    assert (world.running("b"), world.running("a")) == (["[2].last"], [])
    world.must("resume", namespace="default", run="a")
    assert world.running("a") == ["[1].last"]


# crashes -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("point", ["before-tick", "ends", "barrier", "before-commit", "after-commit"])
@pytest.mark.parametrize("code", [0, 1])
def test_a_crash_anywhere_leaves_all_passed_or_none(world, point, code):
    submit(world, a=meeting("go", before=False), b=meeting("go"), c=meeting("go", before=False))
    world.dying(point, lambda: world.exits("b", "[0].first", code))
    if point != "after-commit":
        assert set(standings(world).values()) == {"arrived", "absent"}
        world.exits("b", "[0].first", code)
    assert set(standings(world).values()) == {"failed" if code else "passed"}
    assert world.sweep_changes() == 0
    assert at_end(world, "a", "b", "c") == (["Failed"] * 3 if code else ["Running"] * 3)


def test_a_sweep_finds_a_barrier_that_nobody_looked_at(world):
    submit(world, a=meeting("go", before=False), b=meeting("go", before=False), c=meeting("go"))
    world.writer.db.execute("DELETE FROM barrier WHERE run_id = (SELECT id FROM run WHERE name = 'c')")
    world.crash()
    assert world.running("a") == ["[1].last"]


# waits in circles --------------------------------------------------------------------------------------------------------


def cycles(world):
    return [set(told["waits"]) for told in world.journal("lock.cycle")]


def test_a_lock_held_at_the_barrier_that_another_member_waits_for_is_told_at_once(world):
    """H21: the one holds the lock and waits, the other never starts."""
    submit(world, a=meeting("go", locks=["m"]), b=meeting("go", locks=["m"]))
    assert cycles(world) == []
    world.exits("a", "[0].first")
    assert cycles(world) == [{'a waits at barrier "go" for b', "b waits for default/Mutex/m, held by a"}]
    world.tick(5)
    world.crash()
    assert len(cycles(world)) == 1


def test_it_is_told_also_when_the_other_begins_to_wait_last(world):
    main = steps("main", ["first"], ["locked"], ["go"])
    late = plain(main, pod("first"), pod("locked", "m"), barrier())
    submit(world, a=meeting("go", before=False, locks=["m"]), b=late)
    world.exits("b", "[0].first")
    assert cycles(world) == [{'a waits at barrier "go" for b', "b waits for default/Mutex/m, held by a"}]


def test_crossed_barriers_are_told_at_once_and_end_by_their_timeout(world):
    submit(world, a=meeting("x", "y", before=False), b=meeting("y", "x"))
    world.exits("b", "[0].first")
    assert cycles(world) == [{'a waits at barrier "x" for b', 'b waits at barrier "y" for a'}]
    world.tick(600)
    assert at_end(world, "a", "b") == ["Failed", "Failed"]
    assert len(cycles(world)) == 1


def test_one_that_still_does_something_else_is_in_no_cycle_until_that_has_ended(world):
    main = {"name": "main", "steps": [[{"name": "wait", "template": "locked"}, {"name": "work", "template": "first"}], [
        {"name": "go", "template": "go"}]]}
    submit(world, a=meeting("go", before=False, locks=["m"]), b=plain(main, pod("first"), pod("locked", "m"), barrier()))
    assert cycles(world) == []
    world.exits("b", "[0].work")
    assert len(cycles(world)) == 1


def test_a_member_that_waits_behind_a_stranger_is_in_no_cycle(world):
    world.submit(plain(pod(), locks=["m"]), "stranger")
    submit(world, a=meeting("go", before=False), b=meeting("go", locks=["m"]))
    assert cycles(world) == []
    world.exits("stranger", "")
    world.exits("b", "[0].first")
    assert standings(world) == {"a": "passed", "b": "passed"}


def test_a_cycle_through_a_stranger_is_found(world):
    stranger = {"name": "main", "steps": [[{"name": "a", "template": "first"}], [{"name": "b", "template": "inner"}]]}
    world.submit(plain(stranger, pod("first"), pod("inner", "m2"), locks=["m1"]), "stranger")
    submit(world, a=meeting("go", before=False, locks=["m2"]), b=meeting("go", locks=["m1"]))
    assert cycles(world) == []
    world.exits("stranger", "[0].a")
    assert [len(told) for told in cycles(world)] == [3]


def test_where_a_policy_says_so_the_youngest_is_ended_and_the_barrier_fails(world):
    policy = {"apiVersion": "lineclear.dev/v1alpha1", "kind": "LockPolicy", "metadata": {"name": "p"}}
    world.push({**policy, "spec": {"locks": ["m"], "deadlock": "FailYoungest"}}, path="p.yaml")
    submit(world, a=meeting("go", before=False, locks=["m"]), b=meeting("go", locks=["m"]))
    assert (world.run("b").ended_by, world.phase("a")) == ("deadlock", "Failed")
