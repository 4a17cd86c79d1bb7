"""Large runs are made, taken further and ended in slices: the same comes of it, and others go on meanwhile."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loop_harness import World, call, pod, spec, steps, taking, tasks

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


@PROFILE
@given(
    program=programs(),
    work=st.integers(1, 40),
    ending=st.one_of(st.none(), st.tuples(st.sampled_from(["stop", "terminate"]), st.integers(0, 6))),
    failing=st.sets(st.integers(0, 6), max_size=2),
)
def test_a_run_in_slices_comes_to_the_same_as_one_that_is_decided_at_once(tmp_path_factory, program, work, ending, failing):
    found = []
    for budget in (work, 10**9):
        world = World(tmp_path_factory.mktemp("world"), work=budget)
        try:
            world.submit(program, "r")
            live(world, ending, failing)
            assert world.rows("SELECT count(*) FROM slice") == [(0,)]
            found.append(everything(world))
        finally:
            world.close()
    assert found[0] - found[1] == found[1] - found[0]
