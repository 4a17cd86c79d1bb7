"""Hooks by expression: they fire once, beside what they belong to, and whatever comes after waits for them."""

from loop_harness import dag, pod, spec


def hooked(**hooks):
    body = dag("main", a=("p",), b=("p", "a"))
    body["dag"]["tasks"][0]["hooks"] = {name: {"template": "h", "expression": text} for name, text in hooks.items()}
    return spec(body, pod("p"), pod("h"))


def test_a_hook_fires_while_its_task_runs_and_the_next_task_waits_for_it(world):
    world.submit(hooked(running='tasks.a.status == "Running"'), "r")
    assert world.running("r") == [".a", ".a.hooks.running"]
    world.exits("r", ".a")
    assert world.running("r") == [".a.hooks.running"]
    world.exits("r", ".a.hooks.running", 1)
    assert world.running("r") == [".b"]  # a hook's end says nothing about its task
    world.exits("r", ".b")
    assert world.phase("r") == "Succeeded"
    assert world.sweep_changes() == 0


def test_a_hook_whose_expression_never_holds_does_not_exist(world):
    world.submit(hooked(failed='tasks.a.status == "Failed"', succeed='tasks["a"].status == "Succeeded"'), "r")
    world.exits("r", ".a")
    assert world.running("r") == [".a.hooks.succeed"]
    world.exits("r", ".a.hooks.succeed")
    world.exits("r", ".b")
    assert ".a.hooks.failed" not in world.nodes("r")


def test_a_bad_expression_is_an_error_of_the_hook_alone(world):
    world.submit(hooked(odd="nowhere.to.be.found == 1"), "r")
    assert world.nodes("r")[".a.hooks.odd"] == "Error"
    world.exits("r", ".a")
    world.exits("r", ".b")
    assert world.phase("r") == "Succeeded"


def test_a_run_has_hooks_of_its_own_and_its_end_waits_for_them(world):
    body = spec(pod("main"), pod("h"))
    body["hooks"] = {
        "begun": {"template": "h", "expression": 'workflow.status == "Running"'},
        "bad": {"template": "h", "expression": 'workflow.status == "Failed"'},
        "well": {"template": "h", "expression": 'workflow.status == "Succeeded"'},
    }
    world.submit(body, "r")
    assert world.running("r") == ["", ".hooks.begun"]
    world.exits("r", "", 1)
    assert (world.phase("r"), world.running("r")) == ("Running", [".hooks.begun", ".hooks.bad"])
    world.exits("r", ".hooks.bad")
    world.exits("r", ".hooks.begun")
    assert (world.phase("r"), ".hooks.well" in world.nodes("r")) == ("Failed", False)


def test_terminate_starts_no_hook(world):
    world.submit(hooked(ended='tasks.a.status != "Running"'), "r")
    world.must("terminate", run="r")
    assert ".a.hooks.ended" not in world.nodes("r")
    world.exits("r", ".a", 143)
    assert ".a.hooks.ended" not in world.nodes("r")
    assert world.phase("r") == "Failed"
