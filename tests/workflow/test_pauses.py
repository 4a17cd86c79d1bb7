"""Time limits of runs and templates, suspend nodes, and runs that are suspended."""

import pytest
from loop_harness import call, job, pod, spec, steps, taking, tasks, values

# limits ------------------------------------------------------------------------------------------------------------------

LENGTHS = [5, "5", "5s", "{{inputs.parameters.t}}", "{{=asInt(inputs.parameters.t)}}"]


@pytest.mark.parametrize("length", [5, "5", "{{inputs.parameters.t}}"])
def test_a_templates_active_deadline_counts_from_the_start_of_its_process(world, length):
    world.submit(job("m"), "holder")
    body = taking("p", ("t", "5"), activeDeadlineSeconds=length)
    world.submit(spec(steps("main", ["p"]), {**body, "synchronization": {"mutexes": [{"name": "m"}]}}), "r")
    world.tick(60)
    world.exits("holder", "")
    world.tick(4)
    assert world.asked_to_end("r") == []
    world.tick(1)
    assert world.asked_to_end("r") == ["[0].p"]
    world.exits("r", "[0].p", 143)
    assert (world.nodes("r")["[0].p"], world.phase("r")) == ("Failed", "Failed")
    assert world.told("r", "[0].p") == "Pod was active on the node longer than the specified deadline"


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("kind", ["pod", "steps", "dag", "retry"])
def test_a_templates_timeout_counts_from_the_making_of_its_node(world, kind, length):
    limits = {"timeout": length, "inputs": {"parameters": [{"name": "t", "default": "5"}]}}
    bodies = {
        "pod": {**pod("x"), **limits},
        "steps": {**steps("x", [call("a")], [call("b")]), **limits},
        "dag": {**tasks("x", call("a"), call("b", depends="a")), **limits},
        "retry": {**pod("x", retryStrategy={"limit": 5}), **limits},
    }
    inner = {"pod": "", "steps": "[0].a", "dag": ".a", "retry": "(0)"}[kind]
    world.submit(spec(steps("main", [call("x", "x")]), bodies[kind], pod("p")), "r")
    world.tick(4)
    assert world.asked_to_end("r") == []
    world.tick(1)
    assert world.asked_to_end("r") == [f"[0].x{inner}"]
    world.exits("r", f"[0].x{inner}", 143)
    assert (world.nodes("r")["[0].x"], world.phase("r"), world.running("r")) == ("Failed", "Failed", [])


def test_a_bad_length_is_an_error_before_anything_begins(world):
    body = taking("p", ("t", "soon"), timeout="{{inputs.parameters.t}}")
    world.submit(spec(steps("main", ["p"]), body), "r")
    assert (world.phase("r"), world.running("r")) == ("Failed", [])
    assert "not a duration" in world.told("r", "[0].p")


@pytest.mark.edge("E52")
def test_a_timeout_covers_the_wait_for_a_lock(world):
    world.submit(job("m"), "holder")
    world.submit(spec(steps("main", ["p"]), pod("p", "m", timeout="5")), "r")
    world.tick(5)
    assert (world.phase("r"), world.queue()) == ("Failed", {})


def test_the_exit_handler_is_not_bound_by_the_runs_deadline(world):
    """Corpus: hooks_test #13."""
    world.submit(spec(pod("main"), pod("h"), onExit="h", activeDeadlineSeconds=10), "r")
    world.tick(10)
    world.exits("r", "", 143)
    world.tick(100)
    assert (world.running("r"), world.asked_to_end("r")) == ([".onExit"], [])
    world.exits("r", ".onExit")
    assert (world.phase("r"), world.message("r")) == ("Failed", "Step exceeded its deadline")


def test_an_exit_handler_has_its_own_timeout(world):
    world.submit(spec(pod("main"), pod("h", timeout="5"), onExit="h"), "r")
    world.exits("r", "")
    world.tick(5)
    world.exits("r", ".onExit", 143)
    assert world.phase("r") == "Failed"


def test_a_deadline_that_nothing_reaches_changes_nothing(world):
    world.submit(spec(steps("main", ["p"]), pod("p", timeout="60", activeDeadlineSeconds=60), activeDeadlineSeconds=60), "r")
    world.tick(59)
    world.exits("r", "[0].p")
    world.tick(100)
    assert world.phase("r") == "Succeeded"


# suspend nodes -----------------------------------------------------------------------------------------------------------


def approve(duration=None, outputs=(), name="wait", **more):
    """A suspend template; an output is NAME or (NAME, DEFAULT)."""
    found = []
    for output in outputs:
        named, default = output if isinstance(output, tuple) else (output, None)
        found.append({"name": named, "valueFrom": {"supplied": {}, **({} if default is None else {"default": default})}})
    body = {"name": name, "suspend": {} if duration is None else {"duration": duration}, **more}
    return {**body, "outputs": {"parameters": found}} if found else body


def waiting(template, *rest, read="x", **more):
    """A run that waits, and then reads what it waited for."""
    after = call("read", "q", given={"x": read})
    return spec(steps("main", [call("wait", "wait")], [after]), template, taking("q", "x"), *rest, **more)


@pytest.mark.parametrize(("duration", "length"), [(5, 5), ("5", 5), ("2m", 120), ("{{inputs.parameters.d}}", 7)])
def test_a_suspend_node_ends_well_after_its_duration(world, duration, length):
    body = approve(duration, inputs={"parameters": [{"name": "d", "default": "7s"}]})
    world.submit(waiting(body), "r")
    world.tick(length - 1)
    assert (world.nodes("r")["[0].wait"], world.running("r")) == ("Running", [])
    assert world.sweep_changes() == 0
    world.crash()
    world.tick(1)
    assert (world.nodes("r")["[0].wait"], world.running("r")) == ("Succeeded", ["[1].read"])


def test_a_suspend_node_without_duration_waits_for_a_person(world):
    world.submit(waiting(approve()), "r")
    world.tick(1_000_000)
    assert world.nodes("r")["[0].wait"] == "Running"
    assert "resumed" in world.must("resume", run="r")["message"]
    assert world.running("r") == ["[1].read"]


SELECTORS = ["displayName=two", "name=r[0].two", "templateName=second", "displayName!=one", "phase=Running,displayName=two",
             "inputs.parameters.i.value=2", "id=r[0].two"]  # fmt: skip


@pytest.mark.parametrize("selector", SELECTORS)
def test_a_selector_resumes_just_the_nodes_that_it_fits(world, selector):
    second = approve(name="second", inputs={"parameters": [{"name": "i", "default": "2"}]})
    first = approve(name="first", inputs={"parameters": [{"name": "i", "default": "1"}]})
    world.submit(spec(steps("main", [call("one", "first"), call("two", "second")]), first, second), "r")
    world.must("resume", run="r", selector=selector)
    assert {n: p for n, p in world.nodes("r").items() if n.startswith("[0].")} == {"[0].one": "Running", "[0].two": "Succeeded"}
    world.must("resume", run="r")
    assert world.phase("r") == "Succeeded"


def test_nothing_to_resume_is_refused(world):
    world.submit(spec(pod("main")), "r")
    assert "not suspended" in world.ask("resume", run="r").error["message"]
    assert "fits 'displayName=x'" in world.ask("resume", run="r", selector="displayName=x").error["message"]
    assert "no field 'colour'" in world.must_not("resume", run=_waits(world), selector="colour=red")
    assert "FIELD=VALUE" in world.must_not("resume", run="waits", selector="red")
    world.must("resume", run="waits")
    world.exits("r", "")
    assert "has ended" in world.ask("resume", run="r").error["message"]


def _waits(world):
    world.submit(spec(approve(name="main")), "waits")
    return "waits"


READ = "{{steps.wait.outputs.parameters.v}}"


def test_what_a_person_supplies_is_handed_on(world):
    world.submit(waiting(approve(outputs=["v"]), read=READ), "r")
    refused = world.ask("resume", run="r")
    assert "waits for v" in refused.error["message"]
    world.must("node_set", run="r", outputs={"v": "yes"}, message="said Ann")
    assert (world.nodes("r")["[0].wait"], world.told("r", "[0].wait")) == ("Running", "said Ann")
    assert world.sweep_changes() == 0
    world.crash()
    world.must("resume", run="r")
    assert world.inputs("r", "[1].read") == {"x": "yes"}


@pytest.mark.parametrize(("supplied", "expected"), [({}, "no"), ({"v": "yes"}, "yes")])
@pytest.mark.parametrize("how", ["resume", "time"])
def test_a_default_stands_where_nobody_supplied(world, how, supplied, expected):
    world.submit(waiting(approve(60, outputs=[("v", "no")]), read=READ), "r")
    if supplied:
        world.must("node_set", run="r", outputs=supplied)
    if how == "resume":
        world.must("resume", run="r")
    else:
        world.tick(60)
    assert world.inputs("r", "[1].read") == {"x": expected}


def test_a_time_out_without_a_value_is_a_failure(world):
    """Corpus: suspend_test #0."""
    world.submit(waiting(approve(60, outputs=["v"]), read=READ), "r")
    world.tick(60)
    assert (world.nodes("r")["[0].wait"], world.phase("r")) == ("Failed", "Failed")
    assert "nobody supplied v" in world.told("r", "[0].wait")


@pytest.mark.parametrize(("phase", "run_phase"), [("Succeeded", "Succeeded"), ("Failed", "Failed")])
def test_a_node_can_be_ended_either_way(world, phase, run_phase):
    world.submit(spec(steps("main", [call("wait", "wait")]), approve()), "r")
    world.must("node_set", run="r", phase=phase, message="because")
    assert (world.phase("r"), world.nodes("r")["[0].wait"], world.told("r", "[0].wait")) == (run_phase, phase, "because")


def test_a_node_is_set_within_its_declared_outputs(world):
    world.submit(waiting(approve(outputs=["v"]), read=READ), "r")
    assert "no output parameter 'w'" in world.ask("node_set", run="r", outputs={"w": "1"}).error["message"]
    assert "waits for v" in world.ask("node_set", run="r", phase="Succeeded").error["message"]
    assert "can be set to" in world.ask("node_set", run="r", phase="Error").error["message"]
    assert "no suspend node" in world.ask("node_set", run="r", phase="Failed", selector="displayName=x").error["message"]
    assert world.nodes("r")["[0].wait"] == "Running"
    world.must("node_set", run="r", outputs={"v": "1"}, phase="Succeeded")
    assert world.inputs("r", "[1].read") == {"x": "1"}


def test_resume_one_and_stop_the_other_with_a_message(world):
    """Corpus: node-suspend."""
    both = [call("one", "wait"), call("two", "wait")]
    world.submit(spec(steps("main", both, ["p"]), approve(), pod("p")), "r")
    world.must("resume", run="r", selector="displayName=one")
    world.must("stop", run="r", selector="displayName=two", message="not today")
    assert world.nodes("r") == {"": "Failed", "[0]": "Failed", "[0].one": "Succeeded", "[0].two": "Failed"}
    assert (world.phase("r"), world.told("r", "[0].two")) == ("Failed", "not today")


@pytest.mark.parametrize("verb", ["stop", "terminate"])
def test_ending_the_run_ends_its_suspend_nodes(world, verb):
    world.submit(waiting(approve(), pod("h"), onExit="h"), "r")
    world.must(verb, run="r")
    assert world.nodes("r")["[0].wait"] == "Failed"
    assert world.told("r", "[0].wait") == f"Stopped with strategy '{verb.capitalize()}'"
    assert world.running("r") == ([".onExit"] if verb == "stop" else [])


@pytest.mark.parametrize("limit", ["run", "template", "steps"])
def test_a_suspend_node_ends_with_the_limits_around_it(world, limit):
    template = approve(**({"timeout": "10"} if limit == "template" else {}))
    body = waiting(template, **({"activeDeadlineSeconds": 10} if limit == "run" else {}))
    if limit == "steps":
        body["templates"][0]["timeout"] = "10"
    world.submit(body, "r")
    world.tick(10)
    assert (world.nodes("r")["[0].wait"], world.phase("r")) == ("Failed", "Failed")


def test_a_suspend_node_in_a_loop_and_in_a_dag(world):
    world.submit(spec(tasks("main", call("w", "wait", withItems=["a", "b"]), call("n", depends="w")), approve(), pod("p")), "r")
    world.must("resume", run="r", selector="displayName=w(0:a)")
    assert world.running("r") == []
    world.must("resume", run="r")
    assert world.running("r") == [".n"]


@pytest.mark.edge("E54")
def test_a_suspend_node_that_holds_a_lock_lets_it_go_at_its_end(world):
    held = {**approve(), "synchronization": {"mutexes": [{"name": "m"}]}}
    world.submit(spec(steps("main", [call("wait", "wait")]), held), "r")
    world.submit(job("m"), "next")
    assert (world.holders("m"), world.queue("m")) == (["r[0].wait/"], ["next"])
    world.must("resume", run="r")
    assert world.holders("m") == ["next"]


def test_a_suspend_node_that_waits_for_its_lock_is_not_paused_yet(world):
    world.submit(job("m"), "holder")
    held = {**approve(10), "synchronization": {"mutexes": [{"name": "m"}]}}
    world.submit(spec(steps("main", [call("wait", "wait")]), held), "r")
    world.tick(30)
    assert world.nodes("r")["[0].wait"] == "Pending"
    assert "no suspend node" in world.ask("resume", run="r", selector="displayName=wait").error["message"]
    world.exits("holder", "")
    assert world.nodes("r")["[0].wait"] == "Running"
    world.tick(9)
    assert world.phase("r") == "Running"
    world.tick(1)
    assert world.phase("r") == "Succeeded"


# suspended runs ----------------------------------------------------------------------------------------------------------


def test_a_run_that_is_submitted_suspended_begins_with_its_resumption(world):
    world.submit(job("m", suspend=True), "r")
    world.submit(job("m"), "other")
    assert (world.phase("r"), world.holders("m")) == ("Pending", ["other"])
    world.must("resume", run="r")
    assert world.queue("m") == ["r"]
    world.exits("other", "")
    world.exits("r", "")
    assert world.phase("r") == "Succeeded"


def test_a_suspended_run_starts_nothing_and_takes_ends_over(world):
    world.submit(spec(steps("main", ["a", "b"], ["c"]), pod("a"), pod("b"), pod("c"), locks=["m"]), "r")
    world.must("suspend", run="r")
    assert "suspended already" in world.ask("suspend", run="r").error["message"]
    world.all_exit("r", "[0].a", "[0].b")
    assert (world.running("r"), world.phase("r"), world.holders("m")) == ([], "Running", ["r"])
    assert world.sweep_changes() == 0
    world.crash()
    world.must("resume", run="r")
    assert world.running("r") == ["[1].c"]


@pytest.mark.parametrize("verb", ["stop", "terminate"])
@pytest.mark.parametrize("when", ["before", "during", "after"])
def test_a_suspended_run_can_be_ended(world, verb, when):
    world.submit(spec(steps("main", ["a"], ["b"]), pod("a"), pod("b"), pod("h"), onExit="h", suspend=when == "before"), "r")
    if when != "before":
        world.must("suspend", run="r")
    if when == "after":
        world.exits("r", "[0].a")
    world.must(verb, run="r")
    if when == "during":
        world.exits("r", "[0].a", 143)
    if verb == "stop" and when != "before":
        assert world.running("r") == [".onExit"]
        world.exits("r", ".onExit")
    assert (world.phase("r"), world.running("r")) == ("Failed", [])


def test_a_suspended_runs_deadline_still_ends_it(world):
    world.submit(spec(steps("main", ["a"], ["b"]), pod("a"), pod("b"), activeDeadlineSeconds=60), "r")
    world.must("suspend", run="r")
    world.exits("r", "[0].a")
    world.tick(60)
    assert world.phase("r") == "Failed"


def test_a_queued_run_that_is_suspended_keeps_its_place(world):
    world.submit(job("m"), "holder")
    world.submit(job("m"), "r")
    world.submit(job("m"), "later")
    world.must("suspend", run="r")
    assert world.queue("m") == ["r", "later"]
    world.exits("holder", "")
    assert (world.holders("m"), world.running("r")) == (["r"], [])
    world.must("resume", run="r")
    assert world.running("r") == [""]


def test_a_node_that_waits_for_a_lock_in_a_suspended_run_starts_with_its_resumption(world):
    world.submit(job("m"), "holder")
    world.submit(spec(steps("main", ["a"]), pod("a", "m")), "r")
    world.must("suspend", run="r")
    world.exits("holder", "")
    assert world.running("r") == []
    world.must("resume", run="r")
    assert world.running("r") == ["[0].a"]


def test_attempts_that_wait_for_a_slot_wait_in_a_suspended_run(tmp_path):
    from loop_harness import World

    world = World(tmp_path, parallelism=1)
    try:
        world.submit(job(), "first")
        world.submit(job(), "r")
        world.must("suspend", run="r")
        world.exits("first", "")
        assert world.running() == []
        world.must("resume", run="r")
        assert world.running() == [("r", "")]
    finally:
        world.close()


def test_a_suspend_node_in_a_suspended_run_waits_for_both(world):
    world.submit(waiting(approve(10)), "r")
    world.must("suspend", run="r")
    world.tick(20)
    assert world.running("r") == []
    world.must("resume", run="r")
    assert world.running("r") == ["[1].read"]


def test_the_exit_handler_of_a_suspended_run_waits_too(world):
    world.submit(spec(pod("main"), pod("h"), onExit="h"), "r")
    world.must("suspend", run="r")
    world.exits("r", "")
    assert (world.running("r"), world.phase("r")) == ([], "Running")
    world.must("resume", run="r")
    assert world.running("r") == [".onExit"]


@pytest.mark.parametrize("point", ["before-commit", "after-commit"])
@pytest.mark.parametrize("verb", ["suspend", "resume"])
def test_a_crash_around_a_request_leaves_it_done_or_not(world, verb, point):
    world.submit(spec(steps("main", ["a"], ["b"]), pod("a"), pod("b"), suspend=verb == "resume"), "r")
    world.dying(point, lambda: world.ask(verb, run="r"))
    is_done = point == "after-commit"
    assert world.run("r").suspended is (is_done if verb == "suspend" else not is_done)


# retried runs ------------------------------------------------------------------------------------------------------------


def test_a_retried_run_waits_again_where_a_node_was_stopped(world):
    world.submit(spec(steps("main", [call("ok", "p"), call("wait", "wait")], ["p"]), approve(60, outputs=["v"]), pod("p")), "r")
    world.exits("r", "[0].ok")
    world.must("stop", run="r", selector="displayName=wait")
    assert world.phase("r") == "Failed"
    world.must("retry", run="r")
    assert (world.nodes("r")["[0].wait"], world.running("r")) == ("Running", [])
    world.tick(59)
    world.must("node_set", run="r", outputs={"v": "1"}, phase="Succeeded")
    world.exits("r", "[1].p")
    assert world.phase("r") == "Succeeded"


def test_a_retried_run_decides_again_about_omitted_tasks_and_leaves_skipped_ones(world):
    body = tasks("main", call("a"), call("s", when="false", depends="a"), call("b", depends="a"), call("c", depends="b"))
    world.submit(spec(body, pod("p")), "r")
    world.exits("r", ".a")
    world.exits("r", ".b", 1)
    assert (world.nodes("r")[".s"], world.nodes("r")[".c"], world.phase("r")) == ("Skipped", "Omitted", "Failed")
    world.must("retry", run="r")
    assert world.running("r") == [".b"]
    world.exits("r", ".b")
    world.exits("r", ".c")
    assert world.phase("r") == "Succeeded"


def test_a_retried_run_runs_the_exit_handlers_of_what_it_runs_again(world):
    main = steps("main", [call("a", hooks={"exit": {"template": "h"}}), call("b", hooks={"exit": {"template": "h"}})])
    world.submit(spec(main, pod("p"), pod("h")), "r")
    world.exits("r", "[0].a", 1)
    world.exits("r", "[0].b")
    world.all_exit("r", "[0].a.onExit", "[0].b.onExit")
    world.must("retry", run="r")
    assert world.running("r") == ["[0].a"]
    world.exits("r", "[0].a")
    assert world.running("r") == ["[0].a.onExit"]
    world.exits("r", "[0].a.onExit")
    assert world.phase("r") == "Succeeded"


def test_a_retried_run_waits_a_whole_new_pause(world):
    world.submit(spec(steps("main", [call("a"), call("wait", "wait")]), approve(60), pod("p")), "r")
    world.tick(30)
    world.must("stop", run="r")
    world.exits("r", "[0].a", 143)
    world.must("retry", run="r")
    world.exits("r", "[0].a")
    world.tick(59)
    assert world.phase("r") == "Running"
    world.tick(1)
    assert world.phase("r") == "Succeeded"


def test_a_retried_run_has_its_timeouts_anew(world):
    world.submit(spec(steps("main", ["p"], timeout="60"), pod("p")), "r")
    world.tick(30)
    world.exits("r", "[0].p", 1)
    world.tick(1000)
    world.must("retry", run="r")
    assert (world.running("r"), world.asked_to_end("r")) == (["[0].p"], [])
    world.exits("r", "[0].p")
    assert world.phase("r") == "Succeeded"


def test_a_retried_run_keeps_what_a_person_supplied(world):
    body = {**waiting(approve(outputs=["v"]), read=READ), "arguments": {"parameters": values(a="1")}}
    world.submit(body, "r")
    world.must("node_set", run="r", outputs={"v": "yes"}, phase="Succeeded")
    world.exits("r", "[1].read", 1)
    world.must("retry", run="r")
    assert world.inputs("r", "[1].read") == {"x": "yes"}


@pytest.mark.parametrize("limit", [{"activeDeadlineSeconds": 5}, {"timeout": "5"}])
def test_a_step_of_a_suspended_run_still_has_its_own_limits(world, limit):
    world.submit(spec(steps("main", ["p"]), pod("p", **limit)), "r")
    world.must("suspend", run="r")
    world.tick(5)
    assert world.asked_to_end("r") == ["[0].p"]
    world.exits("r", "[0].p", 143)
    assert (world.nodes("r")["[0].p"], world.phase("r")) == ("Failed", "Running")
    world.must("resume", run="r")
    assert world.phase("r") == "Failed"


@pytest.mark.parametrize("kind", ["retry", "dag", "loop"])
def test_whatever_ended_in_a_suspended_run_is_taken_up_with_its_resumption(world, kind):
    bodies = {
        "retry": spec(steps("main", [call("p")], [call("next")]), pod("p", retryStrategy={"limit": 1})),
        "dag": spec(tasks("main", call("p"), call("next", depends="p.Failed")), pod("p")),
        "loop": spec({**steps("main", [call("p", withItems=[1, 2])]), "parallelism": 1}, pod("p")),
    }
    node, after = {"retry": ("[0].p(0)", "[0].p(1)"), "dag": (".p", ".next"), "loop": ("[0].p(0:1)", "[0].p(1:2)")}[kind]
    world.submit(bodies[kind], "r")
    world.must("suspend", run="r")
    world.exits("r", node, 1)
    assert world.running("r") == []
    world.must("resume", run="r")
    assert world.running("r") == [after]


def test_a_retried_run_fires_the_hooks_of_what_it_runs_again(world):
    hooks = {"late": {"template": "h", "expression": "steps.a.status == 'Failed'"}}
    world.submit(spec(steps("main", [call("a", hooks=hooks), call("b")]), pod("p"), pod("h")), "r")
    for _ in range(2):
        world.exits("r", "[0].a", 1)
        assert "[0].a.hooks.late" in world.running("r")
        world.exits("r", "[0].a.hooks.late")
        if "[0].b" in world.running("r"):
            world.exits("r", "[0].b")
        assert world.phase("r") == "Failed"
        world.must("retry", run="r")
        assert world.running("r") == ["[0].a"]
    world.exits("r", "[0].a")
    assert world.phase("r") == "Succeeded"


@pytest.mark.parametrize("number", [1, 3])
def test_a_retried_run_with_a_workflow_strategy_begins_its_failed_part_anew(world, number):
    world.submit(spec(steps("main", ["a"], ["b"]), pod("a"), pod("b"), retryStrategy={"limit": 0}), "r")
    for _ in range(number):
        first = world.running("r")[0]
        if ".a" in first:
            world.exits("r", first)
        world.exits("r", world.running("r")[0], 1)
        assert world.phase("r") == "Failed"
        world.must("retry", run="r")
        assert len(world.running("r")) == 1
    while world.running("r"):
        world.exits("r", world.running("r")[0])
    assert world.phase("r") == "Succeeded"


@pytest.mark.parametrize("verb", ["stop", "terminate"])
def test_a_run_ended_amid_a_narrow_loop_makes_no_more_turns(world, verb):
    for kind, main in (
        ("s", {**steps("main", [call("p", withItems=[1, 2, 3])], [("q", "p")]), "parallelism": 1}),
        ("d", {**tasks("main", call("p", withItems=[1, 2, 3]), call("q", depends="p.Failed")), "parallelism": 1}),
    ):
        world.submit(spec(main, pod("p")), kind)
        world.must(verb, run=kind)
        world.exits(kind, world.running(kind)[0], 143)
        assert (world.phase(kind), world.running(kind)) == ("Failed", [])
