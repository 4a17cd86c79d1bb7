"""Who is admitted, and in which order: the table of cases; the rule as a whole is held to a model in tests/loop."""

import pytest
from loop_harness import dag, job, pod, spec, steps


def test_the_next_waiter_takes_the_lock_in_the_commit_of_its_release(world):
    first = world.submit(job("m"))
    second = world.submit(job("m"))
    assert (world.holders("m"), world.queue("m")) == ([first], [second])
    commits = world.writer.commits
    world.exits(first, "")
    assert world.writer.commits == commits + 1
    assert (world.holders("m"), world.queue("m")) == ([second], [])
    assert world.phase(first) == "Succeeded"
    assert world.running() == [(second, "")]


@pytest.mark.edge("E1")
def test_a_sweep_changes_nothing_for_holder_and_waiters(world):
    """Asking again is held once, one unit, and moves nobody."""
    for name in ("a", "b", "c"):
        world.submit(job("m", "s0"), name)
    before = (world.holders(), world.queue())
    assert world.sweep_changes() == 0
    assert (world.holders(), world.queue()) == before


@pytest.mark.edge("E2")
def test_high_priority_goes_before_a_waiting_low_one_which_keeps_its_place(world):
    world.submit(job("m"), "holder")
    world.submit(job("m"), "low-1")
    world.submit(job("m"), "low-2")
    world.submit(job("m"), "high", priority=5)
    assert world.queue("m") == ["high", "low-1", "low-2"]


@pytest.mark.edge("E3")
def test_a_low_priority_retry_does_not_pass_a_higher_waiter(world):
    world.submit(job("m"), "low", priority=-1)
    world.submit(job("m"), "high")
    world.must("terminate", run="low")
    world.exits("low", "", 143)
    world.must("retry", run="low")
    assert (world.holders("m"), world.queue("m"), world.phase("low")) == (["high"], ["low"], "Pending")


@pytest.mark.edge("E4", "E63")
def test_submissions_of_one_instant_have_a_total_order_that_survives_a_restart(world):
    names = [f"r{number}" for number in range(8)]
    for name in names:
        world.submit(job("m"), name)
    assert world.queue("m") == names[1:]
    world.crash()
    assert world.queue("m") == names[1:]
    for name in names:
        assert world.holders("m") == [name]
        world.exits(name, "")


@pytest.mark.edge("E5", "E31")
def test_ten_mutexes_are_taken_all_or_none(world):
    ten = [f"m{number}" for number in range(10)]
    world.submit(job("m9"), "first")
    world.submit(job(*ten), "many")
    assert world.holders() == {"m9": ["first"]}
    world.exits("first", "")
    assert world.holders() == {name: ["many"] for name in ten}
    world.exits("many", "")
    assert world.holders() == {}


@pytest.mark.edge("E7")
def test_nobody_passes_a_front_waiter_that_lacks_another_lock(world):
    """Strict order; the free lock stays free for the one in front."""
    world.submit(job("m2"), "holder")
    world.submit(job("m1", "m2"), "front")
    world.submit(job("m1"), "behind")
    assert world.holders() == {"m2": ["holder"]}
    assert world.queue() == {"m1": ["front", "behind"], "m2": ["front"]}
    world.exits("holder", "")
    assert world.holders() == {"m1": ["front"], "m2": ["front"]}


@pytest.mark.edge("E8")
def test_a_mutex_and_a_semaphore_are_taken_together(world):
    world.limits(s0=1)
    world.submit(job("s0"), "a")
    world.submit(job("m", "s0"), "b")
    assert world.holders() == {"s0": ["a"]}
    world.exits("a", "")
    assert world.holders() == {"m": ["b"], "s0": ["b"]}


@pytest.mark.edge("E9")
def test_overlapping_sets_with_priorities_drain(world):
    for number, (wants, priority) in enumerate([(("a", "b"), 0), (("b", "c"), 1), (("c", "a"), 2), (("a",), 3), (("b", "c"), 0)]):
        world.submit(job(*wants), f"r{number}", priority=priority)
    order = []
    while world.running():
        name = world.running()[0][0]
        order.append(name)
        world.exits(name, "")
    assert order == ["r0", "r3", "r2", "r1", "r4"]
    assert (world.holders(), world.queue()) == ({}, {})


@pytest.mark.edge("E11")
def test_a_mutex_and_a_semaphore_key_of_one_name_are_two_locks(world):
    world.limits(kk=1)
    semaphore = {"semaphores": [{"configMapKeyRef": {"name": "limits", "key": "kk"}}]}
    world.submit(job("kk"), "mutex")
    world.submit({**spec(pod()), "synchronization": semaphore}, "semaphore")
    assert [row[0] for row in world.rows("SELECT key FROM lock WHERE kind <> 'Policy' ORDER BY key")] == [
        "default/ConfigMap/limits/kk",
        "default/Mutex/kk",
    ]
    assert len(world.running()) == 2


@pytest.mark.edge("E14", "E17")
def test_every_free_unit_is_given_out_in_one_commit(world):
    world.limits(s0=5)
    for number in range(20):
        world.submit(job("s0"), f"r{number:02}")
    commits = world.writer.commits
    for number in range(5):
        world.runtime.seen += _end(world, f"r{number:02}")
    world.tick()
    assert world.writer.commits == commits + 1
    assert world.holders("s0") == [f"r{number:02}" for number in range(5, 10)]


def _end(world, run):
    from reconciler.model.attempt import AttemptId, Exited

    return [Exited(attempt_id=AttemptId(world.attempt_of(run, "")), exit_code=0, signal=None, at=world.clock.at)]


@pytest.mark.edge("E18", "E48")
@pytest.mark.parametrize("verb", ["stop", "terminate"])
def test_a_waiter_that_is_ended_leaves_every_queue_at_once(world, verb):
    """No onExit, the next is unaffected."""
    world.submit(job("a"), "holder-a")
    world.submit(job("b"), "holder-b")
    world.submit({**job("a", "b", onExit="main")}, "front")
    world.submit(job("a"), "next")
    world.must(verb, run="front")
    assert world.queue() == {"a": ["next"]}
    assert (world.phase("front"), world.nodes("front")) == ("Failed", {})
    world.exits("holder-a", "")
    assert world.holders() == {"a": ["next"], "b": ["holder-b"]}


@pytest.mark.edge("E18")
def test_a_terminated_front_that_blocked_a_free_lock_lets_the_next_in(world):
    """The lock that nobody held is given out in the commit in which the one in front leaves."""
    world.submit(job("b"), "holder")
    world.submit(job("a", "b"), "front")
    world.submit(job("a"), "next")
    world.must("terminate", run="front")
    assert world.holders() == {"a": ["next"], "b": ["holder"]}


def test_an_earlier_waiter_that_waits_for_the_askers_run_does_not_stand_in_its_way(world):
    """The exception to no overtaking: without it both would wait for ever."""
    two = spec(steps("main", ["one"], ["two"]), pod("one"), pod("two", "b"), locks=["a"])
    world.submit(two, "asker")
    world.submit(job("a", "b"), "front", priority=1)
    assert world.queue() == {"a": ["front"], "b": ["front"]}
    world.exits("asker", "[0].one")
    assert world.holders() == {"a": ["asker"], "b": ["asker[1].two/"]}


def test_an_earlier_waiter_may_wait_for_the_askers_run_through_others(world):
    world.submit(spec(steps("main", ["one"], ["two"]), pod("one"), pod("two", "c"), locks=["a"]), "asker")
    world.submit(spec(steps("main", ["go"]), pod("go", "a"), locks=["b"]), "middle")
    world.submit(job("b", "c"), "front", priority=1)
    assert world.queue() == {"a": ["middle[0].go/"], "b": ["front"], "c": ["front"]}
    world.exits("asker", "[0].one")
    assert world.holders("c") == ["asker[1].two/"]


def test_a_node_becomes_admissible_when_the_one_in_front_begins_to_wait_for_its_run(world):
    """A free lock whose first waiter lacks another one is looked at again whenever the waiting changes."""
    world.submit(spec(steps("main", ["one"], ["two"]), pod("one"), pod("two", "c"), locks=["a"]), "asker")
    world.submit(spec(steps("main", ["wait"], ["go"]), pod("wait"), pod("go", "a"), locks=["b"]), "middle")
    world.submit(job("b", "c"), "front", priority=1)
    world.exits("asker", "[0].one")
    assert world.queue() == {"b": ["front"], "c": ["front", "asker[1].two/"]}
    world.exits("middle", "[0].wait")
    assert world.holders("c") == ["asker[1].two/"]


def test_a_semaphore_with_room_is_no_reason_to_be_passed(world):
    """The one in front lacks only m2, which the asker's run has no part in."""
    world.limits(s0=2)
    world.submit(job("m2"), "holder")
    world.submit(spec(dag("main", one=("pod",), hold=("take",), two=("take", "one")), pod("pod"), pod("take", "s0")), "asker")
    world.submit(job("m2", "s0"), "front", priority=1)
    world.exits("asker", ".one")
    assert world.holders("s0") == ["asker.hold/"]
    world.exits("holder", "")
    assert world.holders("s0") == ["asker.hold/", "front"]


def test_retrying_goes_ahead_of_later_runs_and_resubmitting_goes_last(world):
    world.submit(job(), "first")
    world.submit(job("m"), "a")
    world.submit(job("m"), "b")
    world.submit(job("m"), "c")
    world.must("terminate", run="b")
    world.must("retry", run="b")
    again = world.must("resubmit", run="b")["runs"][0]["name"]
    assert world.queue("m") == ["b", "c", again]


@pytest.mark.edge("E21")
def test_priority_of_the_template_counts(world):
    template = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTemplate",
        "metadata": {"name": "urgent"},
        "spec": job("m", priority=9),
    }
    world.push(template)
    world.submit(job("m"), "holder")
    world.submit(job("m"), "low")
    world.submit({"workflowTemplateRef": {"name": "urgent"}}, "high")
    assert world.queue("m") == ["high", "low"]
