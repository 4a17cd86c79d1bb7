"""What a LockPolicy changes: places, patience, holds, what a failure keeps, and who may pass whom."""

from datetime import timedelta

import pytest
from loop_harness import job, pod, spec

OWN = "lineclear.dev/v1alpha1"


def policy(*locks, name="p", **fields):
    body = {"locks": list(locks), **fields}
    return {"apiVersion": OWN, "kind": "LockPolicy", "metadata": {"name": name}, "spec": body}


def push(world, *policies):
    world.push(*policies, path="policies.yaml")


def submit(world, *names, locks=("m",), **args):
    for name in names:
        world.submit(job(*locks), name, **args)


# places ------------------------------------------------------------------------------------------------------------------


def test_the_newcomer_to_a_full_queue_fails_at_once_and_says_why(world):
    push(world, policy("m", queueLimit=3))
    submit(world, "r0", "r1", "r2", "r3")
    assert (world.holders("m"), world.queue("m")) == (["r0"], ["r1", "r2"])
    assert world.phase("r3") == "Failed"
    assert world.message("r3") == (
        "the queue of default/Mutex/m is full: it has 3 entries, its holder included (LockPolicy p (policies.yaml:1));"
        " wait until others have ended, and submit it again"
    )
    assert world.run("r3").ended_by == "queue-full"
    assert world.nodes("r3") == {}


def test_a_place_that_came_free_is_given_to_the_next_newcomer(world):
    push(world, policy("m", queueLimit=2))
    submit(world, "r0", "r1", "r2")
    world.exits("r0", "")
    submit(world, "r3")
    assert (world.holders("m"), world.queue("m"), world.phase("r2")) == (["r1"], ["r3"], "Failed")


def test_drop_oldest_puts_out_the_waiter_that_came_first_never_the_holder(world):
    push(world, policy("m", queueLimit=3, overflow="DropOldest"))
    submit(world, "r0", "r1", "r2", "r3")
    assert (world.holders("m"), world.queue("m")) == (["r0"], ["r2", "r3"])
    assert (world.phase("r1"), world.run("r1").ended_by) == ("Failed", "superseded")
    assert "r3 came later" in world.message("r1")


def test_keep_latest_leaves_one_waiter(world):
    push(world, policy("m", queueLimit=2, overflow="KeepLatest"))
    submit(world, "r0", "r1", "r2", "r3")
    assert (world.holders("m"), world.queue("m")) == (["r0"], ["r3"])
    assert [world.phase(name) for name in ("r1", "r2")] == ["Failed", "Failed"]


def test_nobody_is_dropped_for_a_newcomer_that_another_queue_turns_away(world):
    push(world, policy("d", queueLimit=2, overflow="DropOldest"), policy("r", name="r", queueLimit=1))
    submit(world, "d0", "d1", locks=("d",))
    submit(world, "r0", locks=("r",))
    submit(world, "new", locks=("d", "r"))
    assert (world.phase("new"), world.queue("d")) == ("Failed", ["d1"])


def test_nobody_is_dropped_for_a_newcomer_where_nobody_waits(world):
    push(world, policy("m", queueLimit=1, overflow="DropOldest"))
    submit(world, "r0", "r1")
    assert (world.holders("m"), world.phase("r1"), world.run("r1").ended_by) == (["r0"], "Failed", "queue-full")


def test_reserved_places_are_for_what_people_submit(world):
    push(world, policy("m", queueLimit=3, reservedPlaces=1))
    workflow = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "spec": job("m")}
    world.push(*({**workflow, "metadata": {"name": f"g{number}"}} for number in range(3)), path="many.yaml")
    assert (world.holders("m"), world.queue("m"), world.phase("g2")) == (["g0"], ["g1"], "Failed")
    assert "the last 1 are kept for what people submit" in world.message("g2")
    submit(world, "urgent")
    assert world.queue("m") == ["g1", "urgent"]


def test_a_node_that_finds_the_queue_full_fails_with_that_reason(world):
    push(world, policy("m", queueLimit=1))
    submit(world, "r0")
    world.submit(spec(pod("main", "m")), "r1")
    assert world.phase("r1") == "Failed"
    assert world.told("r1", "").startswith("the queue of default/Mutex/m is full")
    assert world.holders("m") == ["r0"]


def test_a_refused_run_may_be_retried_once_there_is_room(world):
    push(world, policy("m", queueLimit=1))
    submit(world, "r0", "r1")
    world.exits("r0", "")
    world.must("retry", namespace="default", run="r1")
    assert (world.phase("r1"), world.holders("m")) == ("Running", ["r1"])


def test_a_claim_of_two_locks_is_refused_by_the_fuller_one_and_leaves_both_queues(world):
    push(world, policy("a", queueLimit=1))
    submit(world, "r0", locks=("a",))
    submit(world, "r1", locks=("a", "b"))
    assert (world.phase("r1"), world.queue()) == ("Failed", {})


# patience ----------------------------------------------------------------------------------------------------------------


@pytest.mark.edge("E51")
def test_a_run_that_waited_long_enough_fails_and_names_the_holder(world):
    push(world, policy("m", waitLimit="10m"))
    submit(world, "r0", "r1", "r2")
    world.tick(seconds=599)
    assert world.queue("m") == ["r1", "r2"]
    world.tick(seconds=1)
    assert (world.phase("r1"), world.run("r1").ended_by) == ("Failed", "wait-timeout")
    assert world.message("r1") == "gave up after 10m: waits for default/Mutex/m: held by r0 (Running); position 1"
    assert world.holders("m") == ["r0"]


def test_the_annotation_of_a_run_bounds_its_own_wait_and_the_shorter_limit_counts(world):
    push(world, policy("m", waitLimit="10m"))
    submit(world, "r0")
    body = {**job("m"), "workflowMetadata": {"annotations": {"lineclear.dev/wait-timeout": "90s"}}}
    world.submit(body, "r1")
    world.tick(seconds=90)
    assert world.message("r1").startswith("gave up after 1m30s: ")


def test_time_that_the_machine_slept_is_no_wait(world):
    push(world, policy("m", waitLimit="10m"))
    submit(world, "r0", "r1")
    world.clock.set_by += timedelta(hours=8)
    world.tick(seconds=8 * 3600)
    world.tick()
    assert world.queue("m") == ["r1"]
    world.tick(seconds=600)
    assert world.phase("r1") == "Failed"


def test_a_lock_that_came_free_at_the_last_moment_is_taken_not_refused(world):
    push(world, policy("m", waitLimit="10m"))
    submit(world, "r0", "r1")
    world.clock.at += timedelta(seconds=600)
    world.exits("r0", "")
    assert world.holders("m") == ["r1"]


def test_a_waiting_node_fails_by_its_locks_patience(world):
    push(world, policy("m", waitLimit="10m"))
    submit(world, "r0")
    world.submit(spec(pod("main", "m")), "r1")
    world.tick(seconds=600)
    assert (world.phase("r1"), world.told("r1", "")) == (
        "Failed",
        "gave up after 10m: waits for default/Mutex/m: held by r0 (Running); position 1",
    )


def test_patience_ends_across_a_crash_of_the_daemon(world):
    push(world, policy("m", waitLimit="10m"))
    submit(world, "r0", "r1")
    world.crash()
    world.dying("before-commit", lambda: world.tick(seconds=600))
    assert world.phase("r1") == "Failed"


# holds -------------------------------------------------------------------------------------------------------------------


def journalled(world, kind):
    return [row[0] for row in world.rows("SELECT run FROM journal WHERE kind = ? ORDER BY seq", kind)]


def test_a_hold_beyond_its_limit_is_told_once(world):
    push(world, policy("m", holdLimit="1h"))
    submit(world, "r0", "r1")
    world.tick(seconds=3600)
    world.tick(seconds=3600)
    assert (journalled(world, "claim.overheld"), world.holders("m")) == (["r0"], ["r0"])


def test_a_hold_beyond_its_limit_is_ended_where_the_policy_says_so(world):
    push(world, policy("m", holdLimit="1h", holdLimitAction="End"))
    submit(world, "r0", "r1")
    world.tick(seconds=3600)
    assert world.asked_to_end() == [""]
    world.exits("r0", "", 137)
    assert (world.phase("r0"), world.run("r0").ended_by, world.holders("m")) == ("Failed", "hold-limit", ["r1"])


def test_a_failed_holder_lets_go_after_the_time_its_policy_gives(world):
    push(world, policy("m", onFailure="Hold", holdFor="2h"))
    submit(world, "r0", "r1")
    world.exits("r0", "", 1)
    world.tick(seconds=7199)
    assert world.holders("m") == ["r0"]
    world.tick(seconds=1)
    assert (world.phase("r0"), world.holders("m")) == ("Failed", ["r1"])


def test_of_two_locks_a_failed_run_keeps_the_one_whose_policy_says_hold(world):
    push(world, policy("temp", onFailure="Release"))
    submit(world, "r0", locks=("temp", "db"))
    submit(world, "r1", locks=("temp",))
    submit(world, "r2", locks=("db",))
    world.exits("r0", "", 1)
    assert (world.holders("temp"), world.holders("db")) == (["r1"], ["r0"])
    world.must("terminate", namespace="default", run="r0")
    assert world.holders("db") == ["r2"]


def test_a_retried_run_that_let_one_of_its_locks_go_runs_only_with_all_of_them_and_gives_the_other_to_nobody(world):
    push(world, policy("temp", onFailure="Release"))
    submit(world, "r0", locks=("temp", "db"))
    submit(world, "r1", locks=("temp",))
    submit(world, "r2", locks=("db",), priority=1)
    world.exits("r0", "", 1)
    world.must("retry", namespace="default", run="r0")
    assert (world.phase("r0"), world.running()) == ("Pending", [("r1", "")])
    assert world.queue() == {"db": ["r0", "r2"], "temp": ["r0"]}
    world.crash()
    assert world.sweep_changes() == 0
    world.exits("r1", "")
    assert world.holders() == {"temp": ["r0"], "db": ["r0"]}


@pytest.mark.parametrize(("said", "kept"), [("Hold", ["r0"]), ("Release", [])])
def test_what_the_run_itself_says_goes_before_the_policy(world, said, kept):
    push(world, policy("m", onFailure="Release" if said == "Hold" else "Hold"))
    body = {**job("m"), "workflowMetadata": {"annotations": {"lineclear.dev/on-failure": said}}}
    world.submit(body, "r0")
    world.exits("r0", "", 1)
    assert world.holders("m") == kept


# order -------------------------------------------------------------------------------------------------------------------


@pytest.mark.edge("E7")
def test_a_claim_that_fits_passes_one_that_does_not_so_many_times_and_no_more(world):
    push(world, policy("a", order="Overtake", overtakeAtMost=2))
    submit(world, "busy", locks=("b",))
    submit(world, "big", locks=("a", "b"))
    submit(world, "s0", "s1", "s2", locks=("a",))
    assert world.holders("a") == ["s0"]
    world.exits("s0", "")
    assert world.holders("a") == ["s1"]
    world.exits("s1", "")
    assert (world.holders("a"), world.queue("a")) == ([], ["big", "s2"])
    world.exits("busy", "")
    assert world.holders("a") == ["big"]


def test_a_claim_that_is_first_for_another_lock_is_counted_where_it_passes_too(world):
    push(world, policy("a", order="Overtake", overtakeAtMost=1))
    submit(world, "first", locks=("c",))  # the lock that is looked at first
    submit(world, "s0", locks=("c", "a"))
    submit(world, "busy", locks=("b",))
    submit(world, "big", locks=("a", "b"))
    submit(world, "s1", "s2", locks=("c", "a"))
    for name in ("first", "s0", "s1"):
        world.exits(name, "")
    assert (world.holders(), world.queue("a")) == ({"b": ["busy"]}, ["big", "s2"])


def test_nobody_passes_a_waiter_that_could_go_itself(world):
    """One release lets two go, of which the later one is looked at first: it is the head of the lock with the lower number."""
    push(world, policy("pass", order="Overtake"))
    submit(world, "holder", locks=("m0", "wait"))
    submit(world, "early", locks=("pass", "wait"))
    submit(world, "late", locks=("m0", "pass"))
    world.exits("holder", "")
    assert (world.holders(), world.queue()) == ({"pass": ["early"], "wait": ["early"]}, {"m0": ["late"], "pass": ["late"]})


def test_without_a_policy_nobody_passes(world):
    submit(world, "busy", locks=("b",))
    submit(world, "big", locks=("a", "b"))
    submit(world, "s0", locks=("a",))
    assert (world.holders("a"), world.queue("a")) == ([], ["big", "s0"])


# which policy ------------------------------------------------------------------------------------------------------------


def test_the_most_exact_pattern_counts_and_policies_of_other_namespaces_do_not(world):
    elsewhere = policy("m-one", name="far", queueLimit=9)
    elsewhere["metadata"]["namespace"] = "other"
    push(
        world,
        policy("*", name="any", queueLimit=5),
        policy("m-*", name="some", queueLimit=4),
        policy("Mutex/m-*", name="kind", queueLimit=3),
        policy("m-one", name="exact", queueLimit=2),
        elsewhere,
    )
    submit(world, "r0", locks=("m-one", "m-two", "x"))
    assert world.rows("SELECT name, queue_limit FROM lock ORDER BY name") == [("m-one", 2), ("m-two", 3), ("x", 5)]


def test_a_policy_that_comes_changes_or_goes_counts_for_locks_in_use(world):
    submit(world, "r0", locks=("m",))
    for body, expected in ((policy("m", queueLimit=4), 4), (policy("m", queueLimit=7), 7), (policy("n", queueLimit=7), None)):
        push(world, body)
        assert world.one("SELECT queue_limit FROM lock") == (expected,)
    world.limits(s0=1)
    push(world, policy("m", queueLimit=1))
    world.push(removed=["policies.yaml"])
    assert world.one("SELECT queue_limit, policy FROM lock") == (None, "")


def test_a_crons_own_policy_lock_is_nobodys_business(world):
    push(world, policy("*", queueLimit=1))
    cron = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "CronWorkflow",
        "metadata": {"name": "c"},
        "spec": {"schedule": "* * * * *", "concurrencyPolicy": "Allow", "workflowSpec": job()},
    }
    world.push(cron, path="cron.yaml")
    world.tick(seconds=120)
    assert world.one("SELECT queue_limit FROM lock WHERE kind = 'Policy'") == (None,)
