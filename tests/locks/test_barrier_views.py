"""What people are told of a run that waits at a barrier."""

import json

import pytest
from loop_harness import spec as plain
from meetings import meeting, submit

from reconciler.store import read_locks, read_runs
from reconciler.store.read import open_read
from reconciler.views.doing import doing
from reconciler.views.graph import Graph
from reconciler.views.graph_drawing import Drawing
from reconciler.views.instants import epoch_s
from reconciler.views.locks import get_lock
from reconciler.views.run import node_objects
from reconciler.views.runs_table import run_rows, run_text
from reconciler.views.waiting import Room
from reconciler.views.why import explain
from reconciler.views.why_text import why_text

NOW = epoch_s("2026-03-01T12:02:00.000000Z")


@pytest.fixture
def reader(world):
    opened = open_read(world.path)
    yield opened
    opened.close()


def find(reader, name):
    return read_runs.find_run(reader, "default", name)


def test_why_names_who_has_come_who_has_not_and_until_when(world, reader):
    submit(world, a=meeting("go", before=False), b=meeting("go"), c=meeting("go", before=False))
    assert why_text(explain(reader, find(reader, "a"), NOW, "")) == (
        'a waits at barrier "go" since 2m for b (Running); c is there;'
        " the barrier fails for all at 2026-03-01T12:10:00Z (in 8m).\n"
        "\n"
        "What you can do:\n"
        "  lineclear why b\n"
        "  lineclear node set a --node-field-selector displayName=go --phase Succeeded --message REASON\n"
    )


def test_why_has_the_members_for_scripts(world, reader):
    submit(world, a=meeting("go", before=False), b=meeting("go"))
    found = explain(reader, find(reader, "a"), NOW, "")
    assert found["state"] == "waiting-at-barrier"
    assert [(one["run"], one["state"]) for one in found["members"]] == [("a", "arrived"), ("b", "absent")]


def test_lists_and_objects_say_for_whom_it_waits(world, reader):
    submit(world, a=meeting("go", before=False), b=meeting("go"))
    row = find(reader, "a")
    told = 'Waiting at barrier "go" for b'
    assert run_rows(reader, [row], NOW)[0][-1] == told
    assert told in run_text(reader, row, NOW)
    nodes = node_objects(reader, row, [], NOW, Room(reader))
    assert [node["message"] for node in nodes.values() if node["displayName"] == "go"] == [told]


def test_a_holder_that_waits_at_a_barrier_is_said_to(world, reader):
    submit(world, a=meeting("go", before=False, locks=["m"]), b=meeting("go"))
    (holder,) = read_locks.list_holders(reader, get_lock(reader, "m", "default")["id"])
    assert doing(reader, holder, NOW) == 'waits at barrier "go" since 2m'


def test_the_graph_and_why_name_a_cycle_of_a_lock_and_a_barrier(world, reader):
    submit(world, a=meeting("go", before=False, locks=["m"]), b=meeting("go", locks=["m"]))
    sentences = ['a waits at barrier "go" for b', "b waits for default/Mutex/m, held by a"]
    for run in "ab":
        assert sorted(explain(reader, find(reader, run), NOW, "")["cycle"]) == sentences
    drawing = Drawing(Graph(reader), None, NOW)
    assert sorted(drawing.graph_object()["cycles"][0]["waits"]) == sentences
    assert {edge["kind"] for edge in drawing.graph_object()["edges"]} == {"held", "inside", "barrier"}
    text = Drawing(Graph(reader), None, NOW).text(0)
    assert text.startswith("Cycle 1: ")
    assert text.endswith('a/[0].go waits at barrier "go" for 1 more, since 2m, in cycle 1\n')
    assert "c-" not in drawing.dot()
    json.dumps(drawing.graph_object())


def test_the_graph_agrees_with_the_daemon_on_who_is_in_no_cycle(world, reader):
    world.submit(plain({"name": "main", "container": {"image": "host", "command": ["true"]}}, locks=["m"]), "stranger")
    submit(world, a=meeting("go", before=False), b=meeting("go", locks=["m"]))
    assert (Graph(reader).cycles(), world.journal("lock.cycle")) == ([], [])


def test_crossed_barriers_are_a_cycle_without_a_lock(world, reader):
    submit(world, a=meeting("x", "y", before=False), b=meeting("y", "x", before=False))
    assert len(Graph(reader).cycles()) == 1
    assert len(explain(reader, find(reader, "b"), NOW, "")["cycle"]) == 2
