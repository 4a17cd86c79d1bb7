"""Which nodes run when, and how their ends make the ends of steps, DAGs and runs."""

import pytest
from loop_harness import dag, job, pod, spec, steps


def test_groups_run_one_after_the_other_and_a_groups_steps_side_by_side(world):
    world.submit(spec(steps("main", ["a", "b"], ["c"]), pod("a"), pod("b"), pod("c")), "r")
    assert world.running("r") == ["[0].a", "[0].b"]
    world.exits("r", "[0].a")
    assert world.running("r") == ["[0].b"]
    world.exits("r", "[0].b")
    assert world.running("r") == ["[1].c"]
    world.exits("r", "[1].c")
    assert world.nodes("r") == {
        "": "Succeeded", "[0]": "Succeeded", "[0].a": "Succeeded", "[0].b": "Succeeded", "[1]": "Succeeded", "[1].c": "Succeeded",
    }  # fmt: skip
    assert world.phase("r") == "Succeeded"


def test_a_failed_step_lets_its_siblings_end_and_starts_no_further_group(world):
    world.submit(spec(steps("main", ["a", "b"], ["c"]), pod("a"), pod("b"), pod("c")), "r")
    world.exits("r", "[0].a", 3)
    assert (world.phase("r"), world.running("r")) == ("Running", ["[0].b"])
    world.exits("r", "[0].b")
    assert (world.phase("r"), world.message("r")) == ("Failed", "child 'a' failed")
    assert "[1]" not in world.nodes("r")
    assert world.one("SELECT message, exit_code FROM node WHERE name = '[0].a'") == ("Error (exit code 3)", 3)


def test_a_lost_step_is_an_error_and_its_run_fails(world):
    world.submit(spec(steps("main", ["a"]), pod("a")), "r")
    world.is_lost("r", "[0].a")
    assert (world.nodes("r")["[0].a"], world.phase("r")) == ("Error", "Failed")
    world.submit(job(), "bare")
    world.is_lost("bare", "")
    assert world.phase("bare") == "Error"


def test_a_command_that_does_not_exist_fails_and_any_other_start_that_fails_is_an_error(world):
    world.submit(job(), "a")
    world.cannot_start("a", "", 64)
    world.submit(job(), "b")
    world.cannot_start("b", "", 1)
    assert (world.phase("a"), world.message("a"), world.phase("b")) == ("Failed", "no such command", "Error")


DIAMOND = spec(dag("main", a=("p",), b=("p", "a"), c=("p", "a"), d=("p", "b", "c")), pod("p"))


def test_a_diamond_joins_when_both_sides_have_ended(world):
    world.submit(DIAMOND, "r")
    assert world.running("r") == [".a"]
    world.exits("r", ".a")
    assert world.running("r") == [".b", ".c"]
    world.exits("r", ".c")
    assert world.running("r") == [".b"]
    world.exits("r", ".b")
    assert world.running("r") == [".d"]
    world.exits("r", ".d")
    assert world.phase("r") == "Succeeded"


def test_a_failed_branch_omits_what_depends_on_it_and_the_other_branch_ends(world):
    world.submit(DIAMOND, "r")
    world.exits("r", ".a")
    world.exits("r", ".b", 1)
    assert world.nodes("r") == {"": "Running", ".a": "Succeeded", ".b": "Failed", ".c": "Running"}
    world.exits("r", ".c")
    assert world.nodes("r") == {"": "Failed", ".a": "Succeeded", ".b": "Failed", ".c": "Succeeded", ".d": "Omitted"}
    assert (world.phase("r"), world.message("r")) == ("Failed", "child 'b' failed")


def test_omission_goes_on_through_a_chain(world):
    world.submit(spec(dag("main", a=("p",), b=("p", "a"), c=("p", "b"), d=("p", "c")), pod("p")), "r")
    world.exits("r", ".a", 1)
    assert world.nodes("r") == {"": "Failed", ".a": "Failed", ".b": "Omitted", ".c": "Omitted", ".d": "Omitted"}


def test_steps_inside_a_dag_inside_steps(world):
    inner = steps("inner", ["p"], ["p2"])
    world.submit(spec(steps("main", ["mid"]), dag("mid", x=("inner",), y=("p", "x")), inner, pod("p"), pod("p2")), "r")
    for node in ("[0].mid.x[0].p", "[0].mid.x[1].p2", "[0].mid.y"):
        assert world.running("r") == [node]
        world.exits("r", node)
    assert world.phase("r") == "Succeeded"


def retrying(limit):
    return pod("p", retryStrategy={"limit": limit, "retryPolicy": "OnFailure"})


@pytest.mark.parametrize("limit", [0, 1, 2])
def test_a_step_is_retried_up_to_its_limit(world, limit):
    world.submit(spec(steps("main", ["p"]), retrying(limit)), "r")
    for number in range(limit + 1):
        assert world.running("r") == [f"[0].p({number})"]
        world.exits("r", f"[0].p({number})", 1)
    assert (world.phase("r"), world.running("r")) == ("Failed", [])
    assert world.one("SELECT message FROM node WHERE name = '[0].p'")[0].startswith("No more retries left")


def test_a_retry_that_succeeds_makes_its_step_succeed_and_an_error_is_not_retried(world):
    world.submit(spec(steps("main", ["p"]), retrying(5)), "r")
    world.exits("r", "[0].p(0)", 1)
    world.exits("r", "[0].p(1)")
    assert world.phase("r") == "Succeeded"
    world.submit(spec(steps("main", ["p"]), retrying(5)), "lost")
    world.is_lost("lost", "[0].p(0)")
    assert world.phase("lost") == "Failed"


@pytest.mark.edge("E37", "E38")
def test_a_lock_is_held_over_all_tries_and_freed_once(world):
    world.submit(spec(pod("main", "m", retryStrategy={"limit": 2}), onExit="main"), "r")
    world.submit(job("m"), "next")
    epochs = set()
    for number in range(3):
        assert world.holders("m") == ["r/"]
        epochs.add(world.one("SELECT epoch FROM claim WHERE state = 'held'")[0])
        world.exits("r", f"({number})", 1)
    assert len(epochs) == 1
    assert len(world.journal("claim.released", "r")) == 1


HANDLED = spec(pod("main"), pod("handler"), onExit="handler")


ENDS = [(0, 0, "Succeeded"), (1, 0, "Failed"), (0, 1, "Failed"), (1, 1, "Failed")]


@pytest.mark.parametrize(("code", "handler", "phase"), ENDS)
def test_the_exit_handler_runs_after_any_end_and_can_fail_but_never_mend_a_run(world, code, handler, phase):
    world.submit(HANDLED, "r")
    world.exits("r", "", code)
    assert (world.phase("r"), world.running("r")) == ("Running", [".onExit"])
    world.exits("r", ".onExit", handler)
    assert world.phase("r") == phase


def test_stop_runs_the_exit_handler_and_terminate_does_not(world):
    for verb in ("stop", "terminate"):
        world.submit(HANDLED, verb)
        world.must(verb, run=verb)
        assert world.one("SELECT a.stop FROM attempt a JOIN run r ON r.id = a.run_id WHERE r.name = ?", verb) == ("stop",)
        world.exits(verb, "", 0)
    assert (world.phase("terminate"), world.message("terminate")) == ("Failed", "Stopped with strategy 'Terminate'")
    assert world.running() == [("stop", ".onExit")]
    world.exits("stop", ".onExit")
    assert (world.phase("stop"), world.message("stop")) == ("Failed", "Stopped with strategy 'Stop'")


def test_terminate_during_the_exit_handler_ends_it(world):
    world.submit(HANDLED, "r")
    world.exits("r", "", 0)
    world.must("terminate", run="r")
    world.exits("r", ".onExit", 143)
    assert (world.phase("r"), world.nodes("r")[".onExit"]) == ("Failed", "Failed")


@pytest.mark.edge("E42")
def test_workflow_locks_are_held_through_the_exit_handler(world):
    """A handler that wants the same lock is inside its run and does not wait for itself."""
    world.submit(spec(pod("main"), pod("handler", "m"), locks=["m"], onExit="handler"), "r")
    world.submit(job("m"), "next")
    world.exits("r", "")
    assert (world.running("r"), world.holders("m")) == ([".onExit"], ["r"])
    world.exits("r", ".onExit")
    assert world.holders("m") == ["next"]


def test_a_run_past_its_deadline_ends_its_processes_and_fails_by_itself(world):
    world.submit(spec(steps("main", ["a"], ["b"]), pod("a"), pod("b"), locks=["m"], activeDeadlineSeconds=60), "r")
    world.tick(59)
    assert world.one("SELECT stop FROM attempt") == ("",)
    world.tick(1)
    assert world.one("SELECT stop FROM attempt") == ("stop",)
    world.exits("r", "[0].a", 143)
    assert (world.phase("r"), world.message("r")) == ("Failed", "Step exceeded its deadline")
    assert world.holders("m") == ["r"]


@pytest.mark.edge("E51")
def test_waiting_for_workflow_locks_counts_against_no_deadline(world):
    world.submit(job("m"), "holder")
    world.submit(job("m", activeDeadlineSeconds=60), "r")
    world.tick(1000)
    assert world.phase("r") == "Pending"
    world.exits("holder", "")
    world.tick(59)
    assert world.one("SELECT a.stop FROM attempt a JOIN run r ON r.id = a.run_id WHERE r.name = 'r'") == ("",)


@pytest.mark.edge("E52")
def test_a_node_that_waits_for_a_lock_ends_with_its_runs_deadline(world):
    world.submit(job("m"), "holder")
    world.submit(spec(pod("main", "m"), activeDeadlineSeconds=60), "r")
    world.tick(60)
    assert (world.phase("r"), world.queue()) == ("Failed", {})


def test_a_step_past_its_own_deadline_is_asked_to_end_and_says_so(world):
    world.submit(spec(pod("main", activeDeadlineSeconds=5)), "r")
    world.tick(5)
    assert world.one("SELECT stop FROM attempt") == ("stop",)
    world.exits("r", "", 143)
    assert (world.phase("r"), world.message("r")) == ("Failed", "Pod was active on the node longer than the specified deadline")


def test_a_tag_without_a_value_is_an_error_that_names_it_and_starts_nothing(world):
    broken = {"name": "p", "container": {"image": "host", "command": ["echo", "{{steps.x.outputs.result}}"]}}
    world.submit(spec(steps("main", ["p", "ok"]), broken, pod("ok")), "r")
    assert world.nodes("r")["[0].p"] == "Error"
    assert "steps.x.outputs.result" in world.one("SELECT message FROM node WHERE name = '[0].p'")[0]
    world.exits("r", "[0].ok")
    assert world.phase("r") == "Failed"


def test_an_input_without_a_value_is_an_error_of_that_step(world):
    wants = {**pod("p"), "inputs": {"parameters": [{"name": "x"}]}}
    world.submit(spec(steps("main", ["p"]), wants), "r")
    assert world.phase("r") == "Failed"
    assert "parameter 'x' has no value" in world.one("SELECT message FROM node WHERE name = '[0].p'")[0]


def test_a_missing_argument_of_the_workflow_refuses_the_submission(world):
    from loop_harness import API, parsed

    body = {"apiVersion": API, "kind": "Workflow", "metadata": {"name": "r"}}
    asked = {**body, "spec": {**job(), "arguments": {"parameters": [{"name": "x"}]}}}
    reply = world.ask("submit", documents=parsed("x.yaml", asked).documents)
    assert "parameter 'x' has no value" in reply.error["message"]
    assert world.rows("SELECT * FROM run") == []


@pytest.mark.edge("E79")
@pytest.mark.parametrize("level", ["run", "node"])
def test_a_lock_name_with_an_unknown_tag_is_an_error_before_queueing(world, level):
    """Never a lock that is called {{...}}."""
    locks = ["{{workflow.parameters.nothing}}"]
    world.submit(job(*locks) if level == "run" else spec(pod("main", *locks)), "r")
    assert world.phase("r") == "Error"
    assert "workflow.parameters.nothing" in world.message("r")
    assert world.rows("SELECT * FROM lock") == []


@pytest.mark.edge("E32")
def test_a_lock_name_keeps_the_values_it_was_made_from(world):
    parametrised = {**job("{{workflow.parameters.db}}-lock"), "arguments": {"parameters": [{"name": "db", "value": "prod"}]}}
    world.submit(parametrised, "r")
    assert world.holders() == {"prod-lock": ["r"]}
    assert world.one("SELECT template, resolved_json FROM claim_lock") == (
        "{{workflow.parameters.db}}-lock",
        '[["workflow.parameters.db", "prod"]]',
    )


def test_two_names_that_mean_one_lock_are_an_error(world):
    twice = {**job("m", "{{workflow.parameters.x}}"), "arguments": {"parameters": [{"name": "x", "value": "m"}]}}
    world.submit(twice, "r")
    assert (world.phase("r"), world.rows("SELECT * FROM claim")) == ("Error", [])
    assert "named twice" in world.message("r")
