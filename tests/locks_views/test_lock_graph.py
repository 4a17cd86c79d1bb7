"""Who waits for whom: cycles are found where nothing can move and nowhere else, in time in proportion to the rows."""

from __future__ import annotations

import json

from reconciler.store import read_runs
from reconciler.views.graph import Graph, find_cycle, sentences
from reconciler.views.graph_drawing import Drawing
from reconciler.views.instants import epoch_s
from reconciler.views.lock_state import line_of
from reconciler.views.locks import LockList, Pace, get_lock, lock_object

NOW = epoch_s("2026-03-01T12:10:00.000000Z")


def told(reader):
    return [sentences(cycle) for cycle in Graph(reader).cycles()]


def node_of(rows, claim):
    return rows.db.execute("SELECT node_id FROM claim WHERE id = ?", (claim,)).fetchone()[0]


def pair(rows, x, y):
    """Two runs, each holding one lock at workflow level and asking for the other's in a step."""
    a, b = rows.run("a", "Running"), rows.run("b", "Running")
    rows.claim(a, "held", [x])
    rows.claim(b, "held", [y])
    rows.claim(a, "waiting", [y], node=rows.node(a, ".one", "Pending"))
    rows.claim(b, "waiting", [x], node=rows.node(b, ".two", "Pending"))
    return a, b


def test_two_runs_that_want_each_others_lock_are_a_cycle(rows, reader):
    pair(rows, rows.lock("x"), rows.lock("y"))
    assert told(reader) == [["a waits for default/Mutex/y, held by b", "b waits for default/Mutex/x, held by a"]]


def test_the_cycle_of_a_run_begins_with_it_and_others_have_none(rows, reader):
    x, y = rows.lock("x"), rows.lock("y")
    pair(rows, x, y)
    rows.claim(rows.run("c"), "waiting", [x])
    found = {name: find_cycle(reader, read_runs.find_run(reader, "default", name)) for name in "abc"}
    assert found["b"] == ["b waits for default/Mutex/x, held by a", "a waits for default/Mutex/y, held by b"]
    assert found["a"] == found["b"][::-1]
    assert found["c"] == []


def test_a_chain_is_no_cycle(rows, reader):
    locks = [rows.lock(name) for name in "wxyz"]
    for number, name in enumerate("abc"):
        run = rows.run(name, "Running")
        rows.claim(run, "held", [locks[number]])
        rows.claim(run, "waiting", [locks[number + 1]], node=rows.node(run, ".n", "Pending"))
    rows.claim(rows.run("d", "Running"), "held", [locks[3]])
    assert told(reader) == []


def test_a_place_in_a_queue_closes_no_cycle_because_the_earlier_waiter_lets_the_asker_pass(rows, reader):
    database, cache = rows.lock("database"), rows.lock("cache")
    a, b, c = rows.run("a", "Running"), rows.run("b"), rows.run("c", "Running")
    rows.claim(a, "held", [database])
    rows.claim(c, "held", [cache])
    rows.claim(b, "waiting", [cache, database], queue_order=1)
    rows.claim(a, "waiting", [cache], node=rows.node(a, ".n", "Pending"), queue_order=2)
    assert told(reader) == []


def test_a_semaphore_is_locked_up_only_if_all_its_holders_are(rows, reader):
    pool, x = rows.lock("l/pool", kind="ConfigMap", capacity=2), rows.lock("x")
    a, b = rows.run("a", "Running"), rows.run("b", "Running")
    rows.claim(a, "held", [pool])
    rows.claim(b, "held", [x])
    rows.claim(a, "waiting", [x], node=rows.node(a, ".one", "Pending"))
    rows.claim(b, "waiting", [pool], node=rows.node(b, ".two", "Pending"))
    free = rows.claim(rows.run("free", "Running"), "held", [pool])
    assert told(reader) == []
    rows.db.execute("UPDATE claim SET level = 'node', node_id = ?, run_id = ? WHERE id = ?", (rows.node(b, ".part"), b, free))
    rows.claim(b, "waiting", [x], node=rows.node(b, ".part.deep", "Pending", parent_id=node_of(rows, free)))
    assert told(reader) != []


def test_a_closed_gate_is_a_persons_and_no_cycle(rows, reader):
    x, y = rows.lock("l/x", kind="ConfigMap", capacity=1), rows.lock("y")
    pair(rows, x, y)
    rows.db.execute("UPDATE lock SET capacity = 0 WHERE id = ?", (x,))
    assert told(reader) == []


def test_a_step_that_holds_is_not_stopped_by_a_step_beside_it_that_waits(rows, reader):
    x, y = rows.lock("x"), rows.lock("y")
    a, b = rows.run("a", "Running"), rows.run("b", "Running")
    rows.claim(a, "held", [x], node=rows.node(a, ".works"))
    rows.claim(a, "waiting", [y], node=rows.node(a, ".waits", "Pending"))
    rows.claim(b, "held", [y])
    rows.claim(b, "waiting", [x], node=rows.node(b, ".two", "Pending"))
    assert told(reader) == []


def test_a_step_that_holds_is_stopped_by_one_deep_inside_it(rows, reader):
    x, y = rows.lock("x"), rows.lock("y")
    a, b = rows.run("a", "Running"), rows.run("b", "Running")
    top = rows.node(a, ".top", type="DAG")
    middle = rows.node(a, ".top.middle", type="Steps", parent_id=top)
    rows.claim(a, "held", [x], node=top)
    rows.claim(a, "waiting", [y], node=rows.node(a, ".top.middle.leaf", "Pending", parent_id=middle))
    rows.claim(b, "held", [y])
    rows.claim(b, "waiting", [x], node=rows.node(b, ".two", "Pending"))
    assert told(reader) == [["a waits for default/Mutex/y, held by b", "b waits for default/Mutex/x, held by a"]]


def test_two_knots_are_two_cycles_and_who_only_waits_behind_one_is_in_none(rows, reader):
    pair(rows, rows.lock("x"), rows.lock("y"))
    p, q = rows.lock("p"), rows.lock("q")
    runs = [rows.run("c", "Running"), rows.run("d", "Running")]
    for run, own, wanted in zip(runs, (p, q), (q, p), strict=True):
        rows.claim(run, "held", [own])
        rows.claim(run, "waiting", [wanted], node=rows.node(run, ".n", "Pending"))
    rows.claim(rows.run("behind"), "waiting", [p])
    assert [{line.split()[0] for line in cycle} for cycle in told(reader)] == [{"a", "b"}, {"c", "d"}]


def test_a_cycle_among_a_thousand_waiters_is_found_whole_without_recursion(rows, reader):
    count = 1000
    with rows.db:
        rows.db.execute("BEGIN")
        locks = [rows.lock(f"l{number}") for number in range(count)]
        for number in range(count):
            run = rows.run(f"r{number}", "Running")
            rows.claim(run, "held", [locks[number]])
            rows.claim(run, "waiting", [locks[(number + 1) % count]], node=rows.node(run, ".n", "Pending"))
            rows.claim(rows.run(f"w{number}"), "waiting", [locks[0]])
    assert [len(cycle) for cycle in told(reader)] == [count]


def test_the_text_names_cycles_first_and_draws_what_is_held_below_who_holds_it(rows, lineclear):
    x, y = rows.lock("x"), rows.lock("y")
    pair(rows, x, y)
    rows.claim(rows.run("c"), "waiting", [x])
    code, out, _ = lineclear("locks", "graph")
    lines = out.splitlines()
    assert code == 0
    assert lines[0].startswith("Cycle 1: these wait for one another")
    assert lines[1:3] == ["  a waits for default/Mutex/y, held by b", "  b waits for default/Mutex/x, held by a"]
    assert lines[4:7] == ["  lineclear why b", "  lineclear stop b", "  lineclear stop a"]
    drawn = [line.split(", since")[0].split(" (epoch")[0] for line in lines[8:]]
    assert drawn == [
        "default/Mutex/x (1/1) held by a",
        "  1. b/two waits",
        "    default/Mutex/y (1/1) held by b",
        "      1. a/one waits",
        "        default/Mutex/x: see above",
        "  2. c waits",
    ]


def test_nobody_waits_is_said(rows, lineclear):
    rows.claim(rows.run("a", "Running"), "held", [rows.lock("x")])
    assert lineclear("locks", "graph") == (0, "Nobody waits for a lock.\n", "")


def test_edges_go_to_holders_to_the_waiter_before_and_to_what_waits_inside(rows, lineclear):
    x, y = rows.lock("x"), rows.lock("y")
    pair(rows, x, y)
    rows.claim(rows.run("c"), "waiting", [x])
    found = json.loads(lineclear("locks", "graph", "-o", "json")[1])
    name = {node["claim"]: f"{node['run']}/{node['node']}".rstrip("/") for node in found["nodes"]}
    edges = {(name[edge["from"]], name[edge["to"]], edge["kind"]) for edge in found["edges"]}
    assert edges == {
        ("a/one", "b", "held"), ("b/two", "a", "held"), ("c", "a", "held"), ("c", "b/two", "behind"),
        ("a", "a/one", "inside"), ("b", "b/two", "inside"),
    }  # fmt: skip
    assert {node["run"]: node["cycle"] for node in found["nodes"]} == {"a": 1, "b": 1, "c": None}
    assert found["cycles"][0]["runs"] == ["a", "b"]


def test_dot_has_every_node_and_edge_and_quotes_what_others_named(rows, reader):
    x = rows.lock('x"y\\z')
    rows.claim(rows.run("a", "Running"), "held", [x])
    rows.claim(rows.run("b"), "waiting", [x])
    dot = Drawing(Graph(reader), None, NOW).dot()
    assert dot.startswith("digraph locks {")
    assert '  c2 -> c1 [label="default/Mutex/x\\"y\\\\z", style=solid];' in dot
    assert dot.endswith("}\n")


def test_a_turn_inside_a_holder_is_drawn_as_a_turn(rows, reader):
    x = rows.lock("x")
    a = rows.run("a", "Running")
    own = rows.claim(a, "held", [x])
    turn = rows.claim(a, "waiting", [x], node=rows.node(a, ".one"))
    waits = rows.claim(a, "waiting", [x], node=rows.node(a, ".two", "Pending"))
    rows.db.execute("UPDATE claim_lock SET nested = ? WHERE claim_id IN (?, ?)", (own, turn, waits))
    rows.db.execute("UPDATE claim_lock SET state = 'held' WHERE claim_id = ?", (turn,))
    rows.db.execute("UPDATE claim SET state = 'held', epoch = 2, granted_at = requested_at WHERE id = ?", (turn,))
    drawing = Drawing(Graph(reader), "default", NOW)
    assert drawing.cycles == []
    assert drawing.text(0).splitlines() == [
        "a turn with default/Mutex/x (1/1) held by a/one (epoch 2, since 10m)",
        "  1. a/two waits, since 10m",
    ]


def test_only_the_namespaces_locks_are_drawn_and_long_queues_are_cut(rows, reader):
    mine, theirs = rows.lock("m"), rows.lock("m", namespace="prod")
    for lock in (mine, theirs):
        for number in range(4):
            rows.claim(rows.run(f"r{lock}-{number}", "Pending" if number else "Running"), "waiting" if number else "held", [lock])
    text = Drawing(Graph(reader), "default", NOW).text(2)
    assert "prod/Mutex" not in text
    assert text.splitlines()[-1] == "  and 1 more; --limit 0 shows all"
    assert "prod/Mutex/m" in Drawing(Graph(reader), None, NOW).text(0)


def test_locks_in_a_cycle_that_the_daemon_has_seen_are_stuck_and_say_in_which(rows, reader):
    x, y, z = rows.lock("x"), rows.lock("y"), rows.lock("z")
    pair(rows, x, y)
    rows.claim(rows.run("c", "Running"), "held", [z])

    def verdicts():
        return {line.row["name"]: (state, verdict) for line, state, verdict in LockList(reader, None, "").lines(0, NOW)}

    assert verdicts()["x"] == ("contended", "healthy")  # nobody has looked yet
    rows.db.execute("UPDATE claim SET knot = 3 WHERE state = 'waiting'")
    assert verdicts() == {"x": ("stuck", "cycle"), "y": ("stuck", "cycle"), "z": ("held", "healthy")}
    line = line_of(reader, get_lock(reader, "x", "default"))
    (holder,) = lock_object(reader, line, NOW, "", Pace(reader, line.holders, NOW))["holders"]
    assert holder["evidence"] == "a waits for default/Mutex/y, held by b; b waits for default/Mutex/x, held by a"
    assert holder["next"][:2] == ["lineclear why a", "lineclear locks graph"]
    rows.db.execute("UPDATE claim SET state = 'released', released_at = requested_at WHERE state = 'waiting'")
    rows.db.execute("UPDATE claim_lock SET state = 'released' WHERE state = 'waiting'")
    assert verdicts()["x"] == ("held", "healthy")
