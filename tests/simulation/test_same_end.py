"""Whatever crashes, and in whatever order processes end, a run comes to the same end, with the same nodes.

LINECLEAR_SEED moves all the dice; a failing seed is in the test's name.
"""

from __future__ import annotations

import json
import os
import random

import pytest

from reconciler.manifest import parse_file

BASE = int(os.environ.get("LINECLEAR_SEED", "0"))


def pod(name="p", **more):
    return {"name": name, "container": {"image": "host", "command": ["true"]}, **more}


def call(name, template="p", **more):
    return {"name": name, "template": template, **more}


def spec(*templates, **more):
    return {"entrypoint": templates[0]["name"], "templates": list(templates), **more}


def steps(name, *groups, **more):
    return {"name": name, "steps": [list(group) for group in groups], **more}


def dag(name, *tasks, **more):
    return {"name": name, "dag": {"tasks": list(tasks)}, **more}


def leaving(name="p", **more):
    """A step whose output is its default: no file is left in a simulation."""
    return pod(name, outputs={"parameters": [{"name": "v", "valueFrom": {"path": "v", "default": "[1, 2]"}}]}, **more)


def taking(name="q", **more):
    return pod(name, inputs={"parameters": [{"name": "x"}]}, **more)


def given(**values):
    return {"arguments": {"parameters": [{"name": name, "value": value} for name, value in values.items()]}}


HOOK = {"hooks": {"exit": {"template": "h"}}}
ON_FAILURE = {"hooks": {"exit": {"template": "h", "expression": "tasks.a.status == 'Failed'"}}}
BACKOFF = {"retryStrategy": {"limit": 3, "backoff": {"duration": "7", "factor": 2}}}
EACH = {"withParam": "{{steps.make.outputs.parameters.v}}", **given(x="{{item}}")}
LOOPS = [[call("make", "l")], [call("s", "q", **EACH)], [call("t", withItems=list("abcde"))]]
NARROW = [call("a", withItems=list(range(9))), call("b", depends="a.AnySucceeded")]
TRIES = [[call("a"), call("b", withItems=[1, 2])], [call("c", "q", **given(x="{{steps.a.exitCode}}"))]]
WHOLE = [[call("a", continueOn={"failed": True})], [call("b")]]
WAITS = [[call("w", "timed"), call("s", "asks")], [call("a")]]
HOOKS = [call("a", **ON_FAILURE), call("b", depends="a || a.Failed", **HOOK), call("c", depends="b.Skipped")]
OMITS = [call("a"), call("b", depends="a"), call("c", depends="b"), call("d", when="false"), call("e", depends="d")]
LOCKS = [[call("a", withItems=[1, 2, 3])], [call("b")]]
BODIES = {  # a spec, the nodes that fail, the phase of the run
    "loops": (spec(steps("main", *LOOPS), leaving("l"), taking(), pod(), pod("h"), onExit="h"), (), "Succeeded"),
    "narrow": (spec(dag("main", *NARROW, parallelism=2), pod()), (".a(3:3)", ".a(8:8)"), "Succeeded"),
    "tries": (
        spec(steps("main", *TRIES), pod(**BACKOFF), taking()),
        ("[0].a(0)", "[0].a(1)", "[0].b(1:2)(0)"),
        "Succeeded",
    ),
    "exhausted": (
        spec(steps("main", [call("a")]), pod(**BACKOFF), pod("h"), onExit="h"),
        ("[0].a(0)", "[0].a(1)", "[0].a(2)", "[0].a(3)"),
        "Failed",
    ),
    "whole": (
        spec(steps("main", *WHOLE), pod(), retryStrategy={"limit": 1}),
        ("(0)[0].a(0)", "(0)[0].a(1)", "(0)[1].b(0)", "(0)[1].b(1)"),
        "Succeeded",
    ),
    "waits": (
        spec(steps("main", *WAITS), pod(), {"name": "timed", "suspend": {"duration": "30"}}, {"name": "asks", "suspend": {}}),
        (),
        "Succeeded",
    ),
    "hooks": (spec(dag("main", *HOOKS), pod(), pod("h"), onExit="h"), (".a",), "Succeeded"),
    "omits": (spec(dag("main", *OMITS), pod()), (".a",), "Failed"),
    "locks": (
        spec(steps("main", *LOCKS), pod(synchronization={"mutexes": [{"name": "t"}]}, **BACKOFF)),
        ("[0].a(0:1)(0)", "[1].b(0)"),
        "Succeeded",
    ),
}


def live(machine, shapes, copies):
    """Runs every shape some times to its end; what its nodes came to."""
    names = [f"{shape.name}-{number}" for number in range(copies) for shape in shapes]
    for name in names:
        body = machine.shape_of(name).workflow(name)
        document = parse_file("x.yaml", "", json.dumps(body).encode()).documents[0]
        while not machine.rows("SELECT 1 FROM run WHERE name = ?", name):
            machine.ask("submit", documents=[document], name=name)
            machine.turn(1.0)
    asked = (
        "SELECT r.name FROM node n JOIN run r ON r.id = n.run_id"
        " WHERE n.type = 'Suspend' AND n.display = 's' AND n.phase = 'Running'"
    )
    for _ in range(20_000):
        machine.turn(5.0)
        for (name,) in machine.rows(asked)[:1]:
            machine.ask("resume", run=name, selector="displayName=s")
        if not machine.rows("SELECT 1 FROM run WHERE finished_at IS NULL"):
            return {name: end_of(machine, name) for name in names}
    raise AssertionError(f"it does not come to an end: {machine.rows('SELECT name FROM run WHERE finished_at IS NULL')}")


def end_of(machine, name):
    run = machine.rows("SELECT phase, message, outputs_json FROM run WHERE name = ?", name)[0]
    sql = (
        "SELECT n.name, n.type, n.phase, n.message, n.inputs_json, n.outputs_json FROM node n JOIN run r ON r.id = n.run_id"
        " WHERE r.name = ? ORDER BY n.name"
    )
    return run, machine.rows(sql, name)


@pytest.mark.parametrize("seed", range(BASE, BASE + 5))
def test_crashes_and_the_order_of_ends_change_no_end(make_machine, make_shape, seed):
    shapes = [
        make_shape(name, body=body, failing=failing, node_mutexes=("t",) if name == "locks" else ())
        for name, (body, failing, _) in BODIES.items()
    ]
    calm = live(make_machine(random.Random(-1), shapes), shapes, 1)

    machine = make_machine(random.Random(seed), shapes)
    machine.crash_chance = 0.05
    stormy = live(machine, shapes, 2)

    assert machine.crashes > 5
    for name, found in stormy.items():
        assert found == calm[f"{name.rpartition('-')[0]}-0"], name
    assert {name: run[0] for name, (run, _) in calm.items()} == {f"{name}-0": phase for name, (_, _, phase) in BODIES.items()}
    assert machine.rows("SELECT count(*) FROM claim WHERE state <> 'released'") == [(0,)]
