"""A run's nodes as lines of a tree."""

from datetime import UTC, datetime, timedelta

from tui.core.model import NodeRow
from tui.core.tree import ascii_lead, bar, flatten, folded_at_first, walk

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def node(name, *children, phase="Succeeded", kind="Pod", **more):
    ended = None if phase in ("Running", "Pending") else NOON
    values = {"id": 1, "name": name, "label": name, "type": kind, "phase": phase, "finished_at": ended, "children": children}
    return NodeRow(**values | more)


TREE = (
    node(
        "root",
        node("a"),
        node("group", node("b", phase="Failed"), node("c", phase="Running"), kind="StepGroup", phase="Running"),
        node("d", phase="Omitted", kind="Skipped"),
        kind="DAG",
        phase="Running",
    ),
    node("root.onExit", phase="Pending"),
)


def drawn(lines):
    return [line.lead + line.node.label for line in lines]


def test_the_tree_is_drawn_in_order_with_its_rules():
    assert drawn(flatten(TREE)) == ["root", "├─a", "├─group", "│ ├─b", "│ └─c", "└─d", "root.onExit"]


def test_a_folded_node_hides_what_is_below_and_says_how_much():
    lines = flatten(TREE, frozenset({"group"}))
    assert drawn(lines) == ["root", "├─a", "├─group", "└─d", "root.onExit"]
    (group,) = [line for line in lines if line.node.name == "group"]
    assert (group.is_folded, group.hidden, group.done, group.total) == (True, 2, 1, 2)
    assert flatten(TREE, frozenset({"root"}))[0].hidden == 5


def test_a_name_that_is_no_node_folds_nothing_and_a_leaf_cannot_be_folded():
    assert drawn(flatten(TREE, frozenset({"gone", "a"}))) == drawn(flatten(TREE))


def test_only_what_went_wrong_and_the_way_to_it():
    assert drawn(flatten(TREE, only_bad=True)) == ["root", "└─group", "  └─b"]


def test_processes_are_counted_up_to_the_root():
    root = flatten(TREE)[0]
    assert (root.done, root.total) == (2, 3)


def test_rules_have_plain_shapes():
    assert [ascii_lead(line.lead) for line in flatten(TREE)][3] == "| |-"


def test_a_large_tree_folds_the_groups_in_which_nothing_is_wrong():
    good = tuple(node(f"g{n}", *(node(f"g{n}.{m}") for m in range(30)), kind="TaskGroup") for n in range(30))
    bad = node("bad", node("bad.1", phase="Error"), kind="TaskGroup", phase="Running")
    busy = node("busy", node("busy.1", phase="Running", started_at=NOON), kind="TaskGroup", phase="Running", started_at=NOON)
    roots = (node("root", *good, bad, busy, kind="DAG", phase="Running"),)
    assert folded_at_first(roots) == frozenset(f"g{n}" for n in range(30))
    assert folded_at_first(TREE) == frozenset()


def test_a_tree_as_deep_as_it_likes_is_drawn():
    deep = node("n0")
    for number in range(1, 3000):
        deep = node(f"n{number}", deep, kind="Steps")
    assert len(flatten((deep,))) == 3000
    assert len(list(walk((deep,)))) == 3000


def test_a_bar_is_at_least_one_cell_and_within_the_axis():
    end = NOON + timedelta(seconds=100)

    def at(start, stop):
        row = node("x", started_at=NOON + timedelta(seconds=start), finished_at=stop and NOON + timedelta(seconds=stop))
        return bar(row, NOON, end, 50, end)

    assert at(0, 50) == (0, 25)
    assert at(50, None) == (25, 50)
    assert at(99, 99) == (49, 50)
    assert at(200, 300) == (49, 50)
    assert bar(node("x"), NOON, end, 50, end) == (0, 0)
