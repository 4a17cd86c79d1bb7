"""What `run` shows while a run goes on: the tree, the part of it that fits, and a line for each change."""

from __future__ import annotations

from reconciler.views.progress import change_lines, failure_lines, frame, tree_lines, waits_for_person

RUN = {
    "name": "job",
    "phase": "Running",
    "message": "",
    "started_at": "2026-03-01T12:00:00.000000Z",
    "finished_at": None,
    "suspended": 0,
}
NOW_S = 1772366405.0


def node(number, parent, name, phase="Running", **more):
    at = "2026-03-01T12:00:00.000000Z"
    ended = at if phase not in ("Pending", "Running") else None
    row = {"id": number, "parent_id": parent, "name": name, "display": name.lstrip("."), "phase": phase}
    row |= {"type": "Pod", "template": "t", "message": ""}
    row |= {"created_at": at, "started_at": at, "finished_at": ended, "wake_at": None}
    return {**row, "attempt_id": number, "attempt_state": None if ended else "live", **more}


def container(number, parent, name, kind, phase="Running"):
    return node(number, parent, name, phase, type=kind, attempt_id=None, attempt_state=None)


def texts(nodes, **more):
    return [line for _, line in tree_lines(RUN, nodes, NOW_S, **more)]


def test_groups_of_steps_are_left_out_of_the_tree_and_their_members_stay_in_order():
    nodes = [
        container(1, None, "", "Steps"),
        container(2, 1, "[0]", "StepGroup", "Succeeded"),
        node(3, 2, "a", "Succeeded"),
        container(4, 1, "[1]", "StepGroup"),
        node(5, 4, "b"),
    ]
    assert texts(nodes) == ["● job  Running  5s", "├─✔ a  Succeeded  0s", "└─● b  Running  5s"]


def test_a_tree_without_utf8_is_drawn_with_plain_characters():
    nodes = [container(1, None, "", "DAG"), node(2, 1, "a", "Failed", message="exit code 1"), node(3, 1, "b", "Pending")]
    assert texts(nodes, ascii_only=True) == ["> job  Running  5s", "|-x a  Failed  0s  exit code 1", "`-. b  Pending  5s"]


def test_what_a_step_is_called_cannot_move_the_cursor():
    nodes = [container(1, None, "", "DAG"), node(2, 1, "a\x1b[2J", message="\x07")]
    assert texts(nodes)[1] == "└─● a\\x1b[2J  Running  5s  \\x07"


def test_of_a_tree_that_is_too_high_what_runs_stays():
    nodes = [container(1, None, "", "DAG"), *[node(n, 1, f"old{n}", "Succeeded") for n in range(2, 30)], node(40, 1, "now")]
    shown = frame(tree_lines(RUN, nodes, NOW_S), 80, 5, colour=False)
    assert len(shown) == 5
    assert shown[0].startswith("● job")
    assert any("now" in line for line in shown)
    assert shown[-1] == "... and 26 more"


def test_a_line_is_cut_to_the_terminals_width():
    assert frame([("Running", "x" * 100)], 20, 5, colour=False) == ["x" * 19]
    assert frame([("Running", "x")], 20, 5, colour=True) == ["\x1b[36mx\x1b[0m"]


def test_each_change_is_told_once_and_ends_come_before_what_they_start():
    told = {}
    first = [container(1, None, "", "DAG"), node(2, 1, ".a")]
    assert [line.split() for line in change_lines(RUN, first, told, NOW_S)] == [
        ["12:00:00", "Running", "job"],
        ["12:00:00", "Running", "job.a"],
    ]
    assert change_lines(RUN, first, told, NOW_S) == []
    then = [container(1, None, "", "DAG"), node(2, 1, ".a", "Failed", message="exit code 1"), node(3, 1, ".b")]
    assert [line.split() for line in change_lines(RUN, then, told, NOW_S)] == [
        ["12:00:00", "Failed", "job.a", "0s", "exit", "code", "1"],
        ["12:00:00", "Running", "job.b"],
    ]


def told(nodes):
    return [" ".join(line.split()[1:3]) for line in change_lines(RUN, nodes, {}, NOW_S)]


def test_what_caused_is_told_before_what_followed_in_one_tick():
    failed = [
        container(1, None, "", "DAG", "Failed"),
        node(2, 1, ".c", "Omitted"),
        node(3, 1, ".b", "Omitted"),
        container(4, 1, ".group", "DAG", "Failed"),
        node(5, 4, ".group.a", "Failed"),
    ]
    assert told(failed) == ["Failed job.group.a", "Failed job.group", "Omitted job.c", "Omitted job.b", "Failed job"]


def test_a_run_is_told_to_begin_before_what_it_leaves_out_and_an_end_before_what_it_lets_begin():
    begun = [container(1, None, "", "DAG"), node(2, 1, ".a", "Skipped"), node(3, 1, ".b"), node(4, 1, ".c", "Succeeded")]
    assert told(begun) == ["Running job", "Succeeded job.c", "Skipped job.a", "Running job.b"]


def test_an_earlier_tick_is_told_before_a_later_one():
    late = node(2, 1, ".late", "Succeeded") | {"finished_at": "2026-03-01T12:00:03.000000Z"}
    assert told([container(1, None, "", "DAG"), late, node(3, 1, ".soon", "Succeeded")])[1:] == [
        "Succeeded job.soon",
        "Succeeded job.late",
    ]


def test_failures_are_told_with_their_whole_message_at_the_terminals_width():
    run = {**RUN, "phase": "Failed", "message": "child 'a' failed"}
    why = "word " * 20 + "end\nand \x1b[2J more"
    nodes = [
        container(1, None, "", "DAG", "Failed") | {"message": "child 'a' failed"},
        node(2, 1, ".a", "Failed", message=why),
        node(3, 1, ".b", "Succeeded", message="fine"),
    ]
    lines = failure_lines(run, nodes, 40)
    assert lines[0].startswith("a Failed: word")
    assert max(map(len, lines)) < 40
    assert lines[-2].endswith("end")
    assert lines[-1] == "and \\x1b[2J more"


def test_of_many_and_long_failures_a_bounded_part_is_told():
    nodes = [container(1, None, "", "DAG"), *[node(n, 1, f".n{n}", "Error", message="x " * 9000) for n in range(2, 50)]]
    lines = failure_lines(RUN, nodes, 80)
    assert len(lines) == 20 * 21 + 1
    assert lines[20].strip().startswith("... and ")
    assert lines[-1] == "... and 28 more failed"


def test_a_run_waits_for_a_person_only_when_nothing_else_can_bring_it_on():
    pause = node(2, 1, ".wait", type="Suspend", attempt_id=None, attempt_state=None)
    assert waits_for_person(RUN, [pause])
    assert not waits_for_person(RUN, [pause, node(3, 1, ".busy")])
    assert not waits_for_person(RUN, [{**pause, "wake_at": "2026-03-01T13:00:00.000000Z"}])
    assert not waits_for_person(RUN, [])
    assert waits_for_person({**RUN, "suspended": 1}, [])
