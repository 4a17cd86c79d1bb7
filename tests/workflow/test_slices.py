"""Large runs are made, taken further and ended in slices: the same comes of it, and others go on meanwhile."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loop_harness import (
    API,
    Crash,
    World,
    call,
    few_at_once,
    job,
    parsed,
    pod,
    spec,
    steps,
    sync,
    taking,
    tasks,
)

from reconciler.loop.inbox import Request
from reconciler.model.attempt import AttemptId, Exited
from reconciler.workflow.bounds import Rules

# programs ----------------------------------------------------------------------------------------------------------------

LEAVES = ("p", "q", "z", "l")
BODIES = {
    "p": pod("p"),
    "q": taking("q", ("x", "1")),
    "z": {"name": "z", "suspend": {"duration": "5"}},
    "l": pod("l", "m-l"),
}


@st.composite
def a_call(draw, name, templates):
    found = call(name, draw(st.sampled_from(templates)))
    loop = draw(st.sampled_from(["", "", "items", "sequence", "empty", "some"]))
    if loop == "items":
        found["withItems"] = list(range(draw(st.integers(1, 4))))
    elif loop == "sequence":
        found["withSequence"] = {"count": str(draw(st.integers(1, 4)))}
    elif loop == "empty":
        found["withItems"] = []
    elif loop == "some":
        found |= {"withItems": [1, 2, 3], "when": "{{item}} != 2"}
    elif draw(st.integers(0, 4)) == 0:
        found["when"] = "1 == 2"
    if draw(st.integers(0, 5)) == 0:
        found["continueOn"] = {"failed": True}
    if draw(st.integers(0, 7)) == 0:
        found["hooks"] = {"exit": {"template": "p"}}
    return found


@st.composite
def programs(draw):
    """Specs of two or three layers of steps and dags over processes, pauses and locks."""
    layers, below = [], list(LEAVES)
    for depth in range(draw(st.integers(1, 3))):
        name = f"t{depth}"
        more = draw(st.sampled_from([{}, {}, {"parallelism": 1}, {"parallelism": 2, "failFast": True}]))
        if draw(st.booleans()):
            groups = [
                [draw(a_call(f"c{g}{n}", below)) for n in range(draw(st.integers(1, 3)))] for g in range(draw(st.integers(1, 3)))
            ]
            layers.append(steps(name, *groups, **more))
        else:
            calls = [draw(a_call(f"c{n}", below)) for n in range(draw(st.integers(1, 4)))]
            for n, one in enumerate(calls[1:], 1):
                if draw(st.booleans()):
                    one["dependencies"] = [f"c{draw(st.integers(0, n - 1))}"]
            layers.append(tasks(name, *calls, **more))
        below.append(name)
    return spec(*layers[::-1], *BODIES.values())


def everything(world):
    """What a run came to, without the order in which its rows were made."""
    sql = (
        "SELECT n.name, p.name, n.display, n.type, n.template, n.phase, n.message, n.inputs_json, n.outputs_json, n.item_json,"
        " n.exit_code, n.made, a.state, a.exit_code FROM node n LEFT JOIN node p ON p.id = n.parent_id"
        " LEFT JOIN attempt a ON a.node_id = n.id ORDER BY n.name"
    )
    claims = "SELECT n.name, c.level, c.state FROM claim c LEFT JOIN node n ON n.id = c.node_id ORDER BY 1, 2"
    return {*world.rows("SELECT name, phase, message FROM run"), *world.rows(sql), *world.rows(claims)}


def live(world, ending, failing):
    """A run's whole life: its processes end one after the other, and at some point somebody ends it."""
    for number in range(200):
        if ending is not None and number == ending[1] and world.phase("r") == "Running":
            world.must(ending[0], run="r")
        running = sorted(world.running("r"))
        if world.phase("r") != "Running":
            break
        if running:
            world.exits("r", running[0], int(hash_of(running[0]) in failing))
        else:
            world.tick(6)
    assert world.sweep_changes() == 0


def hash_of(name):
    return sum(map(ord, name)) % 7


PROFILE = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
ENDINGS = st.one_of(st.none(), st.tuples(st.sampled_from(["stop", "terminate"]), st.integers(0, 6)))


@PROFILE
@given(
    program=programs(),
    work=st.integers(1, 40),
    at_once=st.sampled_from([1, 2, 3, 50]),
    ending=ENDINGS,
    failing=st.sets(st.integers(0, 6), max_size=2),
)
def test_a_run_in_slices_comes_to_the_same_as_one_that_is_decided_at_once(
    tmp_path_factory, program, work, at_once, ending, failing
):
    found = []
    for budget, few in ((work, at_once), (10**9, 10**6)):
        world = World(tmp_path_factory.mktemp("world"), work=budget)
        try:
            with few_at_once(few):
                world.submit(program, "r")
                live(world, ending, failing)
            assert world.rows("SELECT count(*) FROM slice") == [(0,)]
            found.append(everything(world))
        finally:
            world.close()
    assert found[0] - found[1] == found[1] - found[0]


# ending ------------------------------------------------------------------------------------------------------------------


def fan(*locks, count=30, **more):
    """Many pauses side by side, each under a lock of its own, beside one process that has its own too."""
    each = {**taking("z", "x"), "suspend": {}, "synchronization": sync("m-{{inputs.parameters.x}}")}
    del each["container"]
    loop = call("l", "z", given={"x": "{{item}}"}, withSequence={"count": str(count)})
    return spec(steps("main", [loop, call("p", "p")]), each, pod("p", "m-p"), locks=locks, **more)


def own(world, run):
    """How many locks a run and its nodes hold."""
    sql = "SELECT count(*) FROM claim_lock cl JOIN run r ON r.id = cl.run_id WHERE cl.state = 'held' AND r.name = ?"
    return world.one(sql, run)[0]


def request(world, verb, **args):
    """Asks for something in one tick and no more."""
    world.inbox.put(Request(verb, args, "tester", lambda _reply: None))
    world.one_tick()


@pytest.fixture
def narrow(tmp_path):
    """A world in which a tick does little of a large run."""
    world = World(tmp_path, work=20)
    with few_at_once(5):
        yield world
    world.close()


def test_a_run_that_is_ended_in_slices_keeps_its_locks_until_the_last_of_them(narrow):
    narrow.submit(fan("m"), "r")
    narrow.exits("r", "[0].p")
    held = own(narrow, "r")
    assert held == 31
    narrow.submit(job("m-7"), "waits")
    request(narrow, "terminate", run="r")
    ticks = 0
    while narrow.phase("r") == "Running":
        assert (own(narrow, "r"), narrow.holders("m-7")) == (held, ["r[0].l(7:7)/"])
        narrow.one_tick()
        ticks += 1
        if not [phase for phase in narrow.nodes("r").values() if phase == "Running"]:
            break
    assert ticks > 2
    narrow.tick()
    assert (narrow.phase("r"), own(narrow, "r"), narrow.running()) == ("Failed", 0, [("waits", "")])


@pytest.mark.parametrize("verb", ["stop", "terminate"])
def test_a_run_that_is_being_ended_starts_nothing_and_asks_its_processes_to_end_at_once(tmp_path, verb):
    world = World(tmp_path, work=20, parallelism=2)
    try:
        with few_at_once(5):
            world.submit(spec(tasks("main", *(call(f"t{n}", "p") for n in range(30))), pod("p")), "r")
            running = world.running("r")
            request(world, verb, run="r")
            assert world.asked_to_end("r") == running
            world.runtime.seen += [
                Exited(attempt_id=AttemptId(world.attempt_of("r", node)), exit_code=143, signal=None, at=world.clock.at)
                for node in running
            ]
            while world.phase("r") == "Running":
                world.one_tick()
                assert [node for node in world.running("r") if node not in running] == []
            assert world.one("SELECT count(*) FROM attempt WHERE intended_at IS NOT NULL") == (2,)
    finally:
        world.close()


def test_an_exit_handler_runs_after_the_last_slice(narrow):
    handled = {**fan(count=30), "onExit": "h"}
    handled["templates"] = [*handled["templates"], pod("h", "m-3")]
    narrow.submit(handled, "r")
    narrow.must("stop", run="r")
    assert narrow.running("r") == ["[0].p"]
    narrow.exits("r", "[0].p", 143)
    assert (narrow.running("r"), narrow.holders("m-3")) == ([".onExit"], ["r.onExit/"])


# others ------------------------------------------------------------------------------------------------------------------


def test_others_start_while_a_large_run_is_made_and_while_it_ends(narrow):
    request(narrow, "submit", documents=parsed("big.yaml", workflow("big", fan(count=100))).documents)
    for verb, args in (("made", {}), ("ended", {"run": "big"})):
        if verb == "ended":
            narrow.tick()
            request(narrow, "terminate", **args)
        before = set(narrow.nodes("big").items())
        request(narrow, "submit", documents=parsed("s.yaml", workflow(f"small-{verb}", job())).documents)
        assert narrow.running(f"small-{verb}") == [""]
        assert 0 < len(set(narrow.nodes("big").items()) - before) < 30


def test_large_runs_take_turns(narrow):
    for name in ("a", "b", "c"):
        request(narrow, "submit", documents=parsed(f"{name}.yaml", workflow(name, fan(count=60))).documents)
    for _ in range(12):
        narrow.one_tick()
    sizes = [len(narrow.nodes(name)) for name in ("a", "b", "c")]
    assert max(sizes) < 60
    assert max(sizes) - min(sizes) < 30


def workflow(name, body):
    return {"apiVersion": API, "kind": "Workflow", "metadata": {"name": name}, "spec": body}


# crashes -----------------------------------------------------------------------------------------------------------------


def lived_through(folder, verb, *, crashes):
    """What a large run comes to whose daemon dies after each commit, or never."""
    folder.mkdir()
    world = World(folder, work=20)
    try:
        with few_at_once(5):
            world.crash_at = "after-commit" if crashes else ""
            documents = parsed("big.yaml", workflow("r", fan("m"))).documents
            step(world, lambda: request(world, "submit", documents=documents))
            while world.rows("SELECT * FROM slice"):
                step(world, world.one_tick)
            if verb is not None:
                step(world, lambda: request(world, verb, run="r"))
                while world.rows("SELECT * FROM slice"):
                    step(world, world.one_tick)
            world.crash_at = ""
            world.exits("r", "[0].p", 143 if verb else 0)
            world.tick(60)
            assert world.sweep_changes() == 0
            return everything(world)
    finally:
        world.close()


def step(world, act):
    """One tick; a daemon that dies in it is followed by another, whose first tick comes next."""
    try:
        act()
    except Crash:
        world.writer.db.close()
        world.inbox.close()
        world.open()


@pytest.mark.parametrize("verb", [None, "stop", "terminate"])
def test_a_daemon_that_dies_after_each_slice_comes_to_the_same(tmp_path, verb):
    assert lived_through(tmp_path / "dying", verb, crashes=True) == lived_through(tmp_path / "living", verb, crashes=False)


def test_a_slice_that_was_not_committed_is_done_again(narrow):
    narrow.submit(fan(), "r")
    narrow.exits("r", "[0].p")
    request(narrow, "terminate", run="r")
    narrow.dying("slice", narrow.one_tick)
    assert (narrow.phase("r"), narrow.running()) == ("Failed", [])


# bounds ------------------------------------------------------------------------------------------------------------------


def bounded(tmp_path, body, **rules):
    world = World(tmp_path, rules=Rules(**rules), work=60)
    world.submit(body, "r")
    return world


DIAMOND = [*(steps(f"t{n}", [call(name, f"t{n + 1}") for name in "abc"]) for n in range(40)), {"name": "t40", "suspend": {}}]
TOO_LARGE = {
    "calls that double": spec(*DIAMOND),
    "a loop": spec(steps("main", [call("l", "p", withSequence={"count": "500"})]), pod("p")),
    "a narrow loop": spec({**steps("main", [call("l", "z", withSequence={"count": "500"})]), "parallelism": 1}, BODIES["z"]),
    "a loop in a dag": spec(tasks("main", call("l", "p", withSequence={"count": "500"})), pod("p")),
    "many loops": spec(steps("main", [call(f"l{n}", "p", withSequence={"count": "30"}) for n in range(20)]), pod("p")),
    "recursion": spec(steps("main", [call("n", "z", when="1 == 2")], [call("a", "main"), call("b", "main")]), BODIES["z"]),
}


@pytest.mark.parametrize("body", TOO_LARGE.values(), ids=TOO_LARGE)
def test_a_run_that_would_have_too_many_nodes_is_an_error_that_keeps_its_locks(tmp_path, body):
    world = bounded(tmp_path, {**body, "synchronization": sync("m")}, nodes=200)
    try:
        for _ in range(10_000):
            if world.phase("r") != "Running":
                break
            running = world.running("r")
            world.exits("r", running[0]) if running else world.tick(6)
        assert world.phase("r") == "Error"
        assert "more than 200 nodes" in world.message("r")
        assert "limits.nodes" in world.message("r")
        assert 1 <= len(world.nodes("r")) <= 210
        assert world.holders("m") == ["r"]
        world.must("terminate", run="r")
        assert (world.holders("m"), world.sweep_changes()) == ([], 0)
    finally:
        world.close()


def test_the_exit_handler_of_a_run_that_is_too_large_runs(tmp_path):
    world = bounded(tmp_path, {**TOO_LARGE["a loop"], "onExit": "p"}, nodes=200)
    try:
        assert world.running("r") == [".onExit"]
        world.exits("r", ".onExit")
        assert world.phase("r") == "Error"
    finally:
        world.close()


def test_others_go_on_beside_a_run_that_is_too_large(tmp_path):
    world = bounded(tmp_path, spec(*DIAMOND), nodes=200)
    try:
        world.submit(job("m"), "small")
        world.exits("small", "")
        assert (world.phase("small"), world.phase("r")) == ("Succeeded", "Error")
    finally:
        world.close()


def test_a_loop_of_too_many_turns_is_told_with_the_setting(tmp_path):
    world = bounded(tmp_path, TOO_LARGE["a loop"], loop_items=100)
    try:
        assert "give it at most 100 (limits.loop_items)" in world.told("r", "[0].l")
    finally:
        world.close()


# cost --------------------------------------------------------------------------------------------------------------------


def cost_of_an_end(folder, body, number):
    """SQLite's own steps, in hundreds, that the end of a run takes."""
    folder.mkdir()
    world = World(folder, work=200)
    count = 0

    def seen():
        nonlocal count
        count += 1

    try:
        world.submit(body(number), "r")
        world.writer.db.set_progress_handler(seen, 100)
        world.must("terminate", run="r")
        world.writer.db.set_progress_handler(None, 0)
        assert (world.phase("r"), len(world.nodes("r"))) == ("Failed", number + 2)
        return count
    finally:
        world.close()


def sleeping(number):
    return spec(steps("main", [call("l", "z", withSequence={"count": str(number)})]), {"name": "z", "suspend": {}})


def looping_dag(number):
    return spec(tasks("main", call("l", "z", withSequence={"count": str(number)})), {"name": "z", "suspend": {}})


@pytest.mark.parametrize("body", [sleeping, looping_dag])
def test_ending_ten_times_as_many_nodes_costs_ten_times_as_much(tmp_path, body):
    small, large = (cost_of_an_end(tmp_path / str(number), body, number) for number in (300, 3000))
    assert large < 14 * small, (small, large)


def steps_of(world, act):
    """SQLite's own steps, in tens, that an act takes."""
    count = 0

    def seen():
        nonlocal count
        count += 1

    world.writer.db.set_progress_handler(seen, 10)
    act()
    world.writer.db.set_progress_handler(None, 0)
    return count


def test_nodes_with_a_lock_each_cost_what_they_are(tmp_path):
    found = []
    for number in (100, 1000):
        folder = tmp_path / str(number)
        folder.mkdir()
        world = World(folder)
        found.append(steps_of(world, lambda world=world, number=number: world.submit(fan(count=number), "r")))
        assert own(world, "r") == number + 1
        world.close()
    assert found[1] < 14 * found[0], found


@pytest.mark.parametrize("kind", ["steps", "dag"])
def test_a_narrow_loop_costs_the_same_at_each_end(tmp_path, kind):
    world = World(tmp_path)
    loop = call("l", "p", withSequence={"count": "600"})
    body = steps("main", [loop], parallelism=2) if kind == "steps" else tasks("main", loop, parallelism=2)
    world.submit(spec(body, pod("p")), "r")
    costs = []
    for _ in range(500):
        attempt = AttemptId(world.attempt_of("r", world.running("r")[0]))
        world.runtime.seen.append(Exited(attempt_id=attempt, exit_code=0, signal=None, at=world.clock.at))
        costs.append(steps_of(world, world.one_tick))
    world.close()
    assert sum(costs[400:]) < 1.05 * sum(costs[50:150]), (sum(costs[50:150]), sum(costs[400:]))


def requests_cost(folder, number):
    """What it costs to terminate, retry, resume and delete a run of so many nodes, each in tens of SQLite's own steps."""
    folder.mkdir()
    world = World(folder)
    try:
        world.submit(sleeping(number), "r")
        verbs = ("terminate", "retry", "resume", "delete")
        found = [steps_of(world, lambda verb=verb: world.must(verb, run="r")) for verb in verbs]
        assert world.phase("r") is None
        return found
    finally:
        world.close()


def test_requests_about_ten_times_as_many_nodes_cost_ten_times_as_much(tmp_path):
    small, large = (requests_cost(tmp_path / str(number), number) for number in (200, 2000))
    assert [late < 14 * early for early, late in zip(small, large, strict=True)] == [True] * 4, (small, large)


def test_specs_are_kept_only_as_far_as_they_are_not_too_large_together(tmp_path):
    world = World(tmp_path)
    try:
        for number in range(8):
            loop = call("l", "z", withItems=[f"{number}-{n}" for n in range(10_000)])
            body = spec(steps("main", [loop], parallelism=1), BODIES["z"])
            world.submit(body, f"r{number}")
        assert len(world.loop._specs._kept) < 6
        assert world.loop._specs.get(world.run("r0").spec_digest).entrypoint == "main"
    finally:
        world.close()
