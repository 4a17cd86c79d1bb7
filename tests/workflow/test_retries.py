"""Retries: how often, after which ends, with which pauses; and what the tries know of each other."""

import pytest
from loop_harness import call, job, making, pod, spec, steps, taking, tasks, values


def trying(**strategy):
    """A run of one step that is tried again."""
    return spec(steps("main", ["p"]), pod("p", retryStrategy=strategy))


NODE = "[0].p"
LIMITS = [({"limit": 1}, 2), ({"limit": "2"}, 3), ({"limit": "{{workflow.parameters.n}}"}, 3), ({"limit": 0}, 1)]


@pytest.mark.parametrize(("strategy", "tries"), LIMITS)
def test_the_limit_is_a_number_a_text_or_a_tag(world, strategy, tries):
    world.submit({**trying(**strategy), "arguments": {"parameters": values(n="2")}}, "r")
    for number in range(tries):
        world.exits("r", f"{NODE}({number})", 1)
    assert (world.phase("r"), world.told("r", NODE)) == ("Failed", "No more retries left")
    assert world.one("SELECT type FROM node WHERE name = ?", NODE) == ("Retry",)


def test_without_a_limit_it_is_tried_until_it_goes_well(world):
    world.submit(trying(), "r")
    for number in range(12):
        world.exits("r", f"{NODE}({number})", 1)
    world.exits("r", f"{NODE}(12)")
    assert world.phase("r") == "Succeeded"


POLICIES = [
    ({}, "failed", True),
    ({}, "lost", False),
    ({"retryPolicy": "OnFailure"}, "failed", True),
    ({"retryPolicy": "OnFailure"}, "lost", False),
    ({"retryPolicy": "OnError"}, "failed", False),
    ({"retryPolicy": "OnError"}, "lost", True),
    ({"retryPolicy": "Always"}, "failed", True),
    ({"retryPolicy": "Always"}, "lost", True),
    ({"retryPolicy": "OnTransientError"}, "failed", False),
    ({"expression": "true"}, "failed", True),
    ({"expression": "true"}, "lost", True),
    ({"expression": "false"}, "failed", False),
    ({"expression": "true", "retryPolicy": "OnError"}, "failed", False),
    ({"expression": "asInt(lastRetry.exitCode) > 1"}, "failed", False),
    ({"expression": "asInt(lastRetry.exitCode) == 1"}, "failed", True),
    ({"expression": "asInt(lastRetry.exitCode) == -1"}, "lost", True),
    ({"expression": "lastRetry.status == 'Error' || lastRetry.message contains 'code 1'"}, "failed", True),
    ({"expression": "asInt(lastRetry.duration) > 5"}, "failed", True),
]


@pytest.mark.parametrize(("strategy", "end", "again"), POLICIES)
def test_the_policy_and_the_expression_say_which_ends_are_tried_again(world, strategy, end, again):
    world.submit(trying(limit=3, **strategy), "r")
    world.tick(10)
    if end == "lost":
        world.is_lost("r", f"{NODE}(0)")
    else:
        world.exits("r", f"{NODE}(0)", 1)
    assert world.running("r") == ([f"{NODE}(1)"] if again else [])
    if not again:
        assert world.phase("r") == "Failed"


BAD = [
    ({"limit": "{{workflow.parameters.word}}"}, "no whole number"),
    ({"limit": 2, "expression": "lastRetry.exitCode"}, "neither true nor false"),
    ({"limit": 2, "expression": "nothing > 1"}, "nothing"),
    ({"limit": 2, "backoff": {"duration": "{{workflow.parameters.word}}"}}, "not a duration"),
    ({"limit": 2, "backoff": {"duration": "1", "factor": "{{workflow.parameters.word}}"}}, "no number"),
]


@pytest.mark.parametrize(("strategy", "said"), BAD)
def test_a_strategy_that_cannot_be_read_is_an_error_that_says_so(world, strategy, said):
    world.submit({**trying(**strategy), "arguments": {"parameters": values(word="often")}}, "r")
    world.exits("r", f"{NODE}(0)", 1)
    assert (world.nodes("r")[NODE], world.phase("r")) == ("Error", "Failed")
    assert said in world.told("r", NODE)


# pauses ------------------------------------------------------------------------------------------------------------------

BACKOFFS = [  # backoff, seconds before each further try
    ({"duration": "5"}, [5, 5, 5]),
    ({"duration": "5", "factor": 2}, [5, 10, 20]),
    ({"duration": "1m", "factor": "3"}, [60, 180, 540]),
    ({"duration": "10", "factor": "2", "cap": "15s"}, [10, 15, 15]),
    ({"duration": "{{workflow.parameters.n}}", "factor": "{{workflow.parameters.n}}"}, [2, 4, 8]),
    ({"duration": "0"}, [0, 0, 0]),
]


@pytest.mark.parametrize(("backoff", "pauses"), BACKOFFS)
def test_each_pause_is_as_long_as_the_backoff_says(world, backoff, pauses):
    world.submit({**trying(limit=5, backoff=backoff), "arguments": {"parameters": values(n="2")}}, "r")
    for number, pause in enumerate(pauses):
        world.exits("r", f"{NODE}({number})", 1)
        if pause:
            assert (world.running("r"), world.phase("r")) == ([], "Running")
            assert world.told("r", NODE) == f"Backoff for {pause} seconds"
            assert world.sweep_changes() == 0
            world.tick(pause - 1)
            assert world.running("r") == []
            world.tick(1)
        assert world.running("r") == [f"{NODE}({number + 1})"]
        assert world.told("r", NODE) == ""


def test_all_tries_and_pauses_stay_within_the_longest_duration(world):
    world.submit(trying(limit=9, backoff={"duration": "10", "maxDuration": "25"}), "r")
    world.exits("r", f"{NODE}(0)", 1)
    world.tick(10)
    world.exits("r", f"{NODE}(1)", 1)
    world.tick(10)
    world.exits("r", f"{NODE}(2)", 1)
    assert (world.phase("r"), world.told("r", NODE)) == ("Failed", "Backoff would exceed max duration limit")
    world.submit(trying(limit=9, backoff={"duration": "1", "maxDuration": "25"}), "late")
    world.tick(26)
    world.exits("late", f"{NODE}(0)", 1)
    assert (world.phase("late"), world.told("late", NODE)) == ("Failed", "Max duration limit exceeded")


@pytest.mark.parametrize("end", ["stop", "terminate", "deadline", "timeout", "crash", "template timeout"])
def test_nothing_is_left_over_when_a_run_ends_during_a_pause(world, end):
    more = {"activeDeadlineSeconds": 60} if end == "deadline" else {}
    retry = {"retryStrategy": {"limit": 3, "backoff": {"duration": "100"}}}
    body = pod("p", "m", **retry, **({"timeout": "60s"} if end == "timeout" else {}))
    main = steps("main", ["p"], **({"timeout": "60s"} if end == "template timeout" else {}))
    world.submit(spec(main, body, locks=["w"], **more), "r")
    world.exits("r", f"{NODE}(0)", 1)
    assert world.holders() == {"m": ["r[0].p/"], "w": ["r"]}
    if end == "crash":
        world.crash()
        world.must("stop", run="r")
    elif end in ("stop", "terminate"):
        world.must(end, run="r")
    else:
        world.tick(60)
    assert (world.phase("r"), world.running("r")) == ("Failed", [])
    assert world.holders() == ({} if end in ("stop", "terminate", "crash") else {"w": ["r"]})
    assert world.sweep_changes() == 0
    world.tick(100)
    assert world.running("r") == []


def test_a_pause_survives_crashes_and_is_not_begun_anew(world):
    world.submit(trying(limit=3, backoff={"duration": "100"}), "r")
    world.exits("r", f"{NODE}(0)", 1)
    world.tick(60)
    world.crash()
    world.tick(39)
    assert world.running("r") == []
    world.tick(1)
    world.crash()
    assert world.running("r") == [f"{NODE}(1)"]


def test_pauses_count_awake_time(world):
    from datetime import timedelta

    world.submit(trying(limit=3, backoff={"duration": "100"}), "r")
    world.exits("r", f"{NODE}(0)", 1)
    world.clock.at += timedelta(hours=1)
    world.clock.set_by += timedelta(hours=1)
    world.tick(99)
    assert world.running("r") == []
    world.tick(1)
    assert world.running("r") == [f"{NODE}(1)"]


def test_tries_of_a_suspended_run_wait_for_its_resumption(world):
    world.submit(trying(limit=3, backoff={"duration": "10"}), "r")
    world.must("suspend", run="r")
    world.exits("r", f"{NODE}(0)", 1)
    world.tick(50)
    assert (world.running("r"), world.nodes("r")[f"{NODE}(0)"]) == ([], "Failed")
    world.must("resume", run="r")
    assert world.running("r") == [f"{NODE}(1)"]


# what tries know ---------------------------------------------------------------------------------------------------------


def test_a_try_knows_how_the_last_one_ended(world):
    """Corpus: lastRetry starts as 0 and empty."""
    tags = "{{retries}} {{lastRetry.exitCode}} {{lastRetry.status}} {{lastRetry.duration}} {{lastRetry.message}}"
    body = {"name": "p", "container": {"image": "host", "command": ["echo", tags]}, "retryStrategy": {"limit": 3}}
    world.submit(spec(steps("main", ["p"]), body), "r")

    assert world.argv("r", world.running("r")[0])[1] == "0 0  0 "
    world.tick(7)
    world.exits("r", f"{NODE}(0)", 3)
    assert world.argv("r", world.running("r")[0])[1] == "1 3 Failed 7 Error (exit code 3)"
    world.exits("r", f"{NODE}(1)", 4)
    assert world.argv("r", world.running("r")[0])[1] == "2 4 Failed 0 Error (exit code 4)"


def test_the_node_takes_the_outputs_of_its_last_try(world):
    read = call("read", "q", given={"x": "{{steps.p.outputs.parameters.v}} {{steps.p.outputs.result}} {{steps.p.exitCode}}"})
    body = steps("main", ["p"], [read])
    world.submit(spec(body, making("p", "v", retryStrategy={"limit": 2}), taking("q", "x")), "r")
    world.exits("r", f"{NODE}(0)", 1, outputs={"v": "old"}, result="old")
    world.exits("r", f"{NODE}(1)", outputs={"v": "new"}, result="fine")
    assert world.inputs("r", "[1].read") == {"x": "new fine 0"}


def test_outputs_of_a_failed_last_try_are_there_for_who_continues(world):
    read = call("read", "q", given={"x": "{{tasks.p.outputs.parameters.v}}/{{tasks.p.exitCode}}"}, depends="p.Failed")
    world.submit(spec(tasks("main", call("p"), read), making("p", "v", retryStrategy={"limit": 1}), taking("q", "x")), "r")
    world.exits("r", ".p(0)", 1, outputs={"v": "old"})
    world.exits("r", ".p(1)", 2, outputs={"v": "new"})
    assert world.inputs("r", ".read") == {"x": "new/2"}


def test_a_workflows_own_strategy_tries_its_entry_node_again(world):
    """Corpus: parameter-aggregation-dag-with-retry, retry-on-error-workflow."""
    world.submit(spec(steps("main", ["p"]), pod("p"), retryStrategy={"limit": 1}), "r")
    assert world.one("SELECT type FROM node WHERE name = ''") == ("Retry",)
    first = world.running("r")[0]
    assert first.startswith("(0)")
    while world.running("r"):
        world.exits("r", world.running("r")[0], 1)
    assert world.phase("r") == "Failed"
    assert "(1)" in world.nodes("r")


def test_the_entry_nodes_outputs_are_those_of_its_last_try(world):
    loop = call("s", withItems=[1, 2, 3])
    body = tasks("main", loop)
    body["outputs"] = {"parameters": [{"name": "all", "valueFrom": {"parameter": "{{tasks.s.outputs.parameters.v}}"}}]}
    world.submit(spec(body, making("p", "v"), retryStrategy={"limit": 1}), "r")
    for name in list(world.running("r")):
        world.exits("r", name, outputs={"v": name.rpartition("s(")[2][2:3]})
    assert world.nodes("r")["(0)"] == "Succeeded"
    assert world.outputs("r", "(0)") == {"all": '["1","2","3"]'}
    assert world.outputs("r", "") == {"all": '["1","2","3"]'}


@pytest.mark.parametrize("body", ["steps", "dag"])
def test_steps_and_dags_are_tried_again_as_a_whole(world, body):
    inner = steps("p", ["a"], ["b"]) if body == "steps" else tasks("p", call("a", "a"), call("b", "b", depends="a"))
    world.submit(spec(steps("main", ["p"]), {**inner, "retryStrategy": {"limit": 1}}, pod("a"), pod("b")), "r")
    a, b = ("[0].a", "[1].b") if body == "steps" else (".a", ".b")
    world.exits("r", f"{NODE}(0){a}")
    world.exits("r", f"{NODE}(0){b}", 1)
    assert world.running("r") == [f"{NODE}(1){a}"]
    world.exits("r", f"{NODE}(1){a}")
    world.exits("r", f"{NODE}(1){b}")
    assert world.phase("r") == "Succeeded"


def test_a_retried_run_begins_its_failed_step_anew(world):
    world.submit(trying(limit=1), "r")
    world.exits("r", f"{NODE}(0)", 1)
    world.exits("r", f"{NODE}(1)", 1)
    world.must("retry", run="r")
    assert world.running("r") == [f"{NODE}(0)"]
    world.exits("r", f"{NODE}(0)")
    assert world.phase("r") == "Succeeded"


def test_exit_handlers_are_no_tries(world):
    main = steps("main", [call("p", hooks={"exit": {"template": "h"}})])
    world.submit(spec(main, pod("p", retryStrategy={"limit": 1}), pod("h")), "r")
    world.exits("r", f"{NODE}(0)", 1)
    assert world.running("r") == [f"{NODE}(1)"]
    world.exits("r", f"{NODE}(1)")
    assert world.running("r") == [f"{NODE}.onExit"]
    world.exits("r", f"{NODE}.onExit", 1)
    assert world.phase("r") in ("Failed", "Succeeded")


def test_locks_of_a_tried_template_are_asked_for_once_and_others_wait(world):
    world.submit(spec(steps("main", ["p"]), pod("p", "m", retryStrategy={"limit": 1, "backoff": {"duration": "10"}})), "r")
    world.submit(job("m"), "next")
    world.exits("r", f"{NODE}(0)", 1)
    assert (world.holders("m"), world.queue("m")) == (["r[0].p/"], ["next"])
    world.tick(10)
    world.exits("r", f"{NODE}(1)")
    assert world.holders("m") == ["next"]


@pytest.mark.parametrize("limit", [3, 400, None])
def test_a_try_that_cannot_even_begin_is_tried_as_often_as_any_other(world, limit):
    broken = {"name": "p", "container": {"image": "host", "command": ["echo", "{{inputs.parameters.x}}"]}}
    strategy = {"retryPolicy": "Always"} if limit is None else {"retryPolicy": "Always", "limit": limit}
    world.submit(spec(steps("main", ["p"]), {**broken, "retryStrategy": strategy}), "r")
    assert world.phase("r") == "Failed"
    tries = [name for name in world.nodes("r") if name.startswith(f"{NODE}(")]
    assert 1 <= len(tries) <= (4 if limit == 3 else 401)
