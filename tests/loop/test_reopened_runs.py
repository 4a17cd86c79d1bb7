"""A retried run does again what did not go well from the root down, and leaves what somebody has gone on from."""

from loop_harness import pod, spec, steps


def continuing():
    main = steps("main", ["a"], ["b"])
    main["steps"][0][0]["continueOn"] = {"failed": True}
    inner = {**steps("inner", ["p"])}
    main["steps"][0][0]["template"] = "inner"
    return {**spec(main, inner, pod("p"), pod("b")), "synchronization": {"mutexes": [{"name": "l"}]}}


def test_what_was_continued_on_is_not_begun_again(world):
    world.submit(continuing(), "r")
    world.exits("r", "[0].a[0].p", 1)
    world.exits("r", "[1].b", 1)
    world.must("retry", run="r")
    assert world.running("r") == ["[1].b"]
    world.exits("r", "[1].b")
    assert (world.phase("r"), world.nodes("r")["[0].a"]) == ("Succeeded", "Failed")


def test_a_failed_try_below_a_retry_that_went_well_stays_as_it_is(world):
    tried = {**steps("tried", ["p"]), "retryStrategy": {"limit": 3}}
    world.submit(spec(steps("main", ["tried"], ["b"]), tried, pod("p"), pod("b")), "r")
    world.exits("r", "[0].tried(0)[0].p", 1)
    world.exits("r", "[0].tried(1)[0].p")
    world.exits("r", "[1].b", 1)
    world.must("retry", run="r")
    assert world.running("r") == ["[1].b"]


def test_the_handler_of_a_retried_steps_call_and_the_runs_own_hooks_run_again(world):
    main = steps("main", ["s"])
    main["steps"][0][0]["hooks"] = {"exit": {"template": "h"}}
    body = spec(main, steps("s", ["p"]), pod("p"), pod("h"))
    body["hooks"] = {"bad": {"template": "h", "expression": 'workflow.status == "Failed"'}}
    world.submit(body, "r")
    for _ in range(2):
        world.exits("r", "[0].s[0].p", 1)
        assert world.running("r") == ["[0].s.onExit"]
        world.exits("r", "[0].s.onExit")
        assert world.running("r") == [".hooks.bad"]
        world.exits("r", ".hooks.bad")
        assert world.phase("r") == "Failed"
        world.must("retry", run="r")


def test_what_waits_in_a_suspended_run_is_passed_over_and_stop_lets_its_handler_run(world):
    body = {**spec(pod("main"), pod("bye")), "onExit": "bye"}
    world.submit(body, "r")
    world.must("suspend", run="r")
    world.exits("r", "", 1)
    assert world.running("r") == []
    world.must("stop", run="r")
    assert world.running("r") == [".onExit"]
    world.exits("r", ".onExit")
    assert world.phase("r") == "Failed"


def test_a_suspended_run_past_its_deadline_still_runs_its_handler(world):
    body = {**spec(pod("main"), pod("bye")), "onExit": "bye", "activeDeadlineSeconds": 60}
    world.submit(body, "r")
    world.must("suspend", run="r")
    world.tick(61)
    world.exits("r", "", 143)
    assert world.running("r") == [".onExit"]


def test_a_node_that_a_person_ended_does_not_keep_the_others_from_resuming(world):
    ask = {"name": "ask", "suspend": {}, "outputs": {"parameters": [{"name": "who", "valueFrom": {"supplied": {}}}]}}
    world.submit(spec(steps("main", ["ask"]), ask), "r")
    world.must("suspend", run="r")
    world.must("stop", run="r", selector="displayName=ask")
    world.must("resume", run="r")
    assert world.phase("r") == "Failed"
