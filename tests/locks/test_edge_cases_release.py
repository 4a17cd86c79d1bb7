"""Cases of release: names from outputs, tries whose process is gone, turns of a loop, people who let a run wait."""

import pytest
from loop_harness import call, job, making, pod, spec, steps, taking, values

NAME = "{{inputs.parameters.db}}"


@pytest.mark.edge("E32")
def test_a_lock_that_is_named_by_an_earlier_steps_output_is_freed_by_record(world):
    """The output is written over meanwhile: nobody asks for the name a second time."""
    use = taking("use", "db", synchronization={"mutexes": [{"name": NAME}]})
    calls = [call("make", "make")], [call("use", "use", {"db": "{{steps.make.outputs.parameters.db}}"})]
    world.submit(spec({"name": "main", "steps": [list(group) for group in calls]}, making("make", "db"), use), "r")
    world.exits("r", "[0].make", outputs={"db": "prod"})
    assert world.holders() == {"prod": ["r[1].use/"]}
    world.writer.db.execute("UPDATE node SET outputs_json = '{}', inputs_json = '{}' WHERE name <> ''")
    world.exits("r", "[1].use")
    assert world.holders() == {}


@pytest.mark.edge("E32", "E45")
def test_turns_of_a_loop_take_locks_named_by_their_items_and_let_each_go(world):
    use = taking("use", "db", synchronization={"mutexes": [{"name": NAME}]})
    loop = call("use", "use", {"db": "{{item}}"}, withItems=["a", "b", "a"])
    world.submit(spec({"name": "main", "steps": [[loop]]}, use), "r")
    assert world.holders() == {"a": ["r[0].use(0:a)/"], "b": ["r[0].use(1:b)/"]}
    assert world.queue() == {"a": ["r[0].use(2:a)/"]}
    world.all_exit("r", "[0].use(0:a)", "[0].use(1:b)", "[0].use(2:a)")
    assert (world.phase("r"), world.holders()) == ("Succeeded", {})


@pytest.mark.edge("E38")
def test_a_failed_template_with_tries_and_a_semaphore_frees_its_unit_once_and_the_runs_handler_runs(world):
    world.limits(s0=1)
    world.submit(spec(pod("main", "s0", retryStrategy={"limit": 1}), pod("bye"), onExit="bye"), "r")
    world.submit(job("s0"), "next")
    world.exits("r", "(0)", 1)
    assert world.holders("s0") == ["r/"]
    world.exits("r", "(1)", 1)
    assert (world.holders("s0"), world.running("r")) == (["next"], [".onExit"])
    world.exits("r", ".onExit")
    assert (world.phase("r"), len(world.journal("claim.released", "r"))) == ("Failed", 1)


@pytest.mark.edge("E39")
def test_a_lock_belongs_to_the_step_and_outlives_a_try_whose_process_is_gone(world):
    world.submit(spec(pod("main", "m", retryStrategy={"limit": 1, "retryPolicy": "Always"})), "r")
    world.submit(job("m"), "next")
    epoch = world.one("SELECT epoch FROM claim WHERE state = 'held'")
    world.is_lost("r", "(0)")
    assert (world.running("r"), world.holders("m")) == (["(1)"], ["r/"])
    assert world.one("SELECT epoch FROM claim WHERE state = 'held'") == epoch
    world.exits("r", "(1)")
    assert world.holders("m") == ["next"]


@pytest.mark.edge("E45")
def test_turns_of_a_sequence_take_a_mutex_one_after_the_other(world):
    loop = call("use", "use", withSequence={"count": 3})
    world.submit(spec({"name": "main", "steps": [[loop]]}, pod("use", "m")), "r")
    served = []
    while world.running("r"):
        (node,) = world.running("r")
        served.append(node)
        world.exits("r", node)
    assert served == ["[0].use(0:0)", "[0].use(1:1)", "[0].use(2:2)"]
    assert (world.phase("r"), world.holders()) == ("Succeeded", {})


@pytest.mark.edge("E54")
@pytest.mark.parametrize("level", ["run", "template"])
def test_a_run_that_waits_for_a_person_keeps_what_it_holds_also_over_a_restart(world, level):
    body = steps("main", ["look"], ["go"], locks=["m"] if level == "template" else [])
    look = {"name": "look", "suspend": {}}
    world.submit(spec(body, look, pod("go"), locks=["m"] if level == "run" else []), "r")
    world.submit(job("m"), "next")
    who = "r" if level == "run" else "r/"
    world.crash()
    world.tick(86400)
    assert (world.holders("m"), world.queue("m")) == ([who], ["next"])
    world.must("resume", run="r")
    world.exits("r", "[1].go")
    assert world.holders("m") == ["next"]


@pytest.mark.edge("E54")
def test_a_suspended_run_keeps_what_it_holds(world):
    world.submit(job("m"), "r")
    world.submit(job("m"), "next")
    world.must("suspend", run="r")
    world.exits("r", "")
    assert world.holders("m") == ["r"]
    world.must("resume", run="r")
    assert world.holders("m") == ["next"]


@pytest.mark.edge("E70")
def test_waiting_changes_nothing_of_a_run_but_that_it_waits(world):
    """Labels, annotations, parameters and the frozen spec are those of the submission when it begins at last."""
    kept = "SELECT uid, labels_json, annotations_json, arguments_json, spec_digest, queue_order FROM run WHERE name = 'r'"
    world.submit(job("m"), "holder")
    body = {**job("m"), "arguments": {"parameters": values(db="prod")}}
    world.submit({**body, "workflowMetadata": {"annotations": {"team": "a"}}}, "r", labels={"who": "me"})
    before = world.one(kept)
    world.crash()
    world.tick(3600)
    assert world.nodes("r") == {}
    world.exits("holder", "")
    assert (world.phase("r"), world.one(kept)) == ("Running", before)
