"""How many run at once inside a template, and what large graphs cost: statements of the store are counted, not seconds."""

import pytest
from loop_harness import World, call, pod, spec, steps, taking, tasks


def width(world, run="r"):
    return len(world.running(run))


SHAPES = {
    "steps": steps("main", [call(f"s{n}", "p") for n in range(5)]),
    "dag": tasks("main", *(call(f"s{n}", "p") for n in range(5))),
    "loop in steps": steps("main", [call("s", "p", withItems=list(range(5)))]),
    "loop in a dag": tasks("main", call("s", "p", withItems=list(range(5)))),
    "two loops": steps("main", [call("s", "p", withItems=[1, 2, 3]), call("t", "p", withItems=[1, 2])]),
    "sequence": steps("main", [call("s", "p", withSequence={"count": 5})]),
}


@pytest.mark.parametrize("limit", [1, 2, 5, 9])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_templates_parallelism_bounds_its_children(world, shape, limit):
    world.submit(spec({**SHAPES[shape], "parallelism": limit}, pod("p")), "r")
    done = 0
    while world.running("r"):
        assert width(world) == min(limit, 5 - done)
        world.exits("r", world.running("r")[0])
        world.crash()
        done += 1
    assert (done, world.phase("r")) == (5, "Succeeded")


@pytest.mark.parametrize("shape", SHAPES)
def test_without_fail_fast_all_children_run_though_one_failed(world, shape):
    world.submit(spec({**SHAPES[shape], "parallelism": 1}, pod("p")), "r")
    done = 0
    while world.running("r"):
        world.exits("r", world.running("r")[0], int(done == 0))
        done += 1
    assert (done, world.phase("r")) == (5, "Failed")


@pytest.mark.parametrize("shape", SHAPES)
def test_fail_fast_beside_parallelism_starts_no_more_after_a_failure(world, shape):
    world.submit(spec({**SHAPES[shape], "parallelism": 2, "failFast": True}, pod("p")), "r")
    world.exits("r", world.running("r")[0], 1)
    assert width(world) == 1
    world.exits("r", world.running("r")[0])
    assert (width(world), world.phase("r")) == (0, "Failed")


def test_parallelism_is_for_the_template_and_not_for_what_is_deeper(world):
    inner = steps("inner", [call("a", "p"), call("b", "p")])
    world.submit(spec({**steps("main", [call(f"s{n}", "inner") for n in range(3)]), "parallelism": 1}, inner, pod("p")), "r")
    assert world.running("r") == ["[0].s0[0].a", "[0].s0[0].b"]
    world.all_exit("r", "[0].s0[0].a", "[0].s0[0].b")
    assert world.running("r") == ["[0].s1[0].a", "[0].s1[0].b"]


def test_a_runs_parallelism_bounds_all_its_processes(world):
    inner = tasks("inner", call("a", "p", withItems=[1, 2, 3]))
    world.submit(spec(steps("main", [call("x", "inner"), call("y", "inner")]), inner, pod("p"), parallelism=2), "r")
    done = 0
    while world.running("r"):
        assert width(world) == 2 if done < 5 else 1
        world.exits("r", world.running("r")[0])
        done += 1
    assert (done, world.phase("r")) == (6, "Succeeded")


def test_a_dag_with_parallelism_keeps_to_its_dependencies(world):
    body = tasks("main", call("a", "p"), call("b", "p", depends="a"), call("c", "p"), call("d", "p", depends="b && c"))
    world.submit(spec({**body, "parallelism": 1}, pod("p")), "r")
    order = []
    while world.running("r"):
        assert width(world) == 1
        order.append(world.running("r")[0])
        world.exits("r", order[-1])
    assert sorted(order) == [".a", ".b", ".c", ".d"]
    assert (order.index(".a") < order.index(".b"), order[-1], world.phase("r")) == (True, ".d", "Succeeded")


def test_a_retried_run_with_parallelism_makes_up_for_what_failed(world):
    world.submit(spec({**SHAPES["loop in steps"], "parallelism": 2}, pod("p")), "r")
    done = 0
    while world.running("r"):
        world.exits("r", world.running("r")[0], int(done in (1, 3)))
        done += 1
    world.must("retry", run="r")
    assert world.running("r") == ["[0].s(1:1)", "[0].s(3:3)"]
    world.all_exit("r", "[0].s(1:1)", "[0].s(3:3)")
    assert world.phase("r") == "Succeeded"


# cost --------------------------------------------------------------------------------------------------------------------


def wide(number):
    return tasks("main", *(call(f"t{n}", "p") for n in range(number)))


def joined(number):
    body = [call(f"t{n}", "p") for n in range(number - 1)]
    return tasks("main", *body, call("join", "p", dependencies=[task["name"] for task in body]))


def chain(number):
    return tasks("main", *(call(f"t{n}", "p", **({"dependencies": [f"t{n - 1}"]} if n else {})) for n in range(number)))


def layers(number):
    """Ten wide, each task behind two of the layer before."""
    body = []
    for n in range(number):
        before = [f"t{n - 10}", f"t{(n // 10 - 1) * 10 + (n + 1) % 10}"] if n >= 10 else []
        body.append(call(f"t{n}", "p", **({"dependencies": before} if before else {})))
    return tasks("main", *body)


def narrow(number):
    return {**wide(number), "parallelism": 4}


def targeted(number):
    return tasks("main", *chain(number)["dag"]["tasks"], dag={"target": f"t{number - 1}"})


def loop_in_steps(number):
    return steps("main", [call("s", "q", given={"x": "{{item}}"}, withItems=list(range(number)))])


def loop_in_a_dag(number):
    return tasks("main", call("s", "q", given={"x": "{{item}}"}, withItems=list(range(number))))


def narrow_loop(number):
    return {**loop_in_steps(number), "parallelism": 4}


def narrow_dag_loop(number):
    return {**loop_in_a_dag(number), "parallelism": 4}


def statements(folder, main, at_once=8):
    """How many statements of the store the whole life of a run takes."""
    folder.mkdir()
    world = World(folder, parallelism=at_once)
    count = 0

    def seen(_text):
        nonlocal count
        count += 1

    try:
        world.writer.db.set_trace_callback(seen)
        world.submit(spec(main, pod("p"), taking("q", "x")), "r")
        while True:
            count -= 1
            running = world.running("r")
            if not running:
                break
            count -= 1
            world.exits("r", running[0])
        count -= 1
        assert world.phase("r") == "Succeeded"
    finally:
        world.close()
    return count


GRAPHS = [wide, joined, chain, layers, narrow, targeted, loop_in_steps, loop_in_a_dag, narrow_loop, narrow_dag_loop]


@pytest.mark.parametrize("graph", GRAPHS, ids=lambda graph: graph.__name__)
def test_a_graphs_cost_grows_with_its_size_and_not_faster(tmp_path, graph):
    small, large = (statements(tmp_path / str(number), graph(number)) for number in (50, 200))
    assert large < 4.6 * small, f"{small} statements for 50 tasks, {large} for 200"
    assert large < 200 * 60


@pytest.mark.parametrize("graph", [wide, chain, loop_in_a_dag], ids=lambda graph: graph.__name__)
def test_thousands_of_tasks_cost_a_few_dozen_statements_each(tmp_path, graph):
    assert statements(tmp_path / "world", graph(2000)) < 2000 * 50
