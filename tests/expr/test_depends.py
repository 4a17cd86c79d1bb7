"""`depends`: which tasks a task waits for, and how they must have ended."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.expr.depends import SUFFIXES, parse_depends
from reconciler.expr.errors import ExpressionError


def asked(text, true=()):
    """(whether it holds, what was asked for in order)."""
    order = []

    def lookup(task, suffix):
        order.append((task, suffix))
        return (task, suffix) in true

    return parse_depends(text).holds(lookup), order


@pytest.mark.parametrize(
    ("text", "tasks"),
    [
        ("A", ("A",)),
        ("a-b.Succeeded", ("a-b",)),
        ("A && (C.Succeeded || C.Failed)", ("A", "C")),
        ("B || A || B", ("B", "A")),
        ("split", ("split",)),
        ("map && !len && true && and", ("map", "len", "true", "and")),
        ("  ( ( x_1 ) )\n", ("x_1",)),
        ("a--b-1", ("a--b-1",)),
        ("A.AnySucceeded||!B.AllFailed", ("A", "B")),
        ("_a", ("_a",)),
        ("not && in", ("not", "in")),
    ],
)
def test_the_tasks_are_listed_once_in_their_order(text, tasks):
    assert parse_depends(text).tasks == tasks


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_suffix_is_passed_on(suffix):
    assert asked(f"a-b.{suffix}", {("a-b", suffix)}) == (True, [("a-b", suffix)])


@pytest.mark.parametrize(
    ("text", "true", "expected"),
    [
        ("A", "", False),
        ("A", "A", True),
        ("!A", "", True),
        ("!!A", "A", True),
        ("A && B", "A", False),
        ("A && B", "AB", True),
        ("A || B", "B", True),
        ("A || B && C", "A", True),
        ("A || B && C", "B", False),
        ("(A || B) && C", "A", False),
        ("!A && B", "B", True),
        ("!(A && B)", "A", True),
        ("!(A || B)", "A", False),
        ("A && B && C", "ABC", True),
    ],
)
def test_logic_holds_as_written(text, true, expected):
    assert asked(text, {(task, "") for task in true})[0] is expected


def test_no_more_is_asked_than_needed():
    assert asked("A || B", {("A", "")}) == (True, [("A", "")])
    assert asked("A && B") == (False, [("A", "")])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'expression "": it names no task at column 1; remove depends, or name one'),
        ("A.Suceeded", 'expression "A.Suceeded": unknown suffix "Suceeded" at column 3; did you mean Succeeded?'),
        ("A.failed", 'expression "A.failed": unknown suffix "failed" at column 3; did you mean Failed?'),
        ("A.x", f'expression "A.x": unknown suffix "x" at column 3; there are {", ".join(SUFFIXES)}'),
        ("A.", f'expression "A.": unknown suffix "" at column 3; there are {", ".join(SUFFIXES)}'),
        ("A && 1a", 'expression "A && 1a": "1a" is no name of a task at column 6; begin the task\'s name with a letter'),
        ("-a", 'expression "-a": "-a" is no name of a task at column 1; begin the task\'s name with a letter'),
        (".Failed", 'expression ".Failed": ".Failed" is no name of a task at column 1; begin the task\'s name with a letter'),
        ("A B", 'expression "A B": unexpected "B" at column 3; remove it, or complete what stands before it'),
        ("A and B", 'expression "A and B": unexpected "and" at column 3; write &&'),
        ("A or B", 'expression "A or B": unexpected "or" at column 3; write ||'),
        ("A & B", 'expression "A & B": unexpected "&" at column 3; write &&'),
        ("A &&", 'expression "A &&": unexpected end at column 5; complete it'),
        ("(A", 'expression "(A": unexpected end at column 3; complete it'),
        ("A == B", 'expression "A == B": unexpected "=" at column 3; write =='),
        ("A,B", 'expression "A,B": unexpected "," at column 2; remove it, or complete what stands before it'),
        ("\u00e4", 'expression "\u00e4": "\u00e4" is no name of a task at column 1; begin the task\'s name with a letter'),
    ],
)
def test_what_cannot_be_read_is_told_with_its_column(text, message):
    with pytest.raises(ExpressionError) as told:
        parse_depends(text)
    assert str(told.value) == message
    assert f"column {told.value.column}" in message


LOGIC = st.recursive(
    st.sampled_from("ABCD").map(lambda task: (task, f"t[{task!r}]")),
    lambda inner: st.tuples(inner, st.sampled_from([("&&", "and"), ("||", "or")]), inner).map(
        lambda t: (f"({t[0][0]} {t[1][0]} {t[2][0]})", f"({t[0][1]} {t[1][1]} {t[2][1]})")
    )
    | inner.map(lambda one: (f"!{one[0]}", f"(not {one[1]})")),
    max_leaves=10,
)


@given(LOGIC, st.sets(st.sampled_from("ABCD")))
def test_logic_is_that_of_python(pair, true):
    text, python = pair
    truth = {task: task in true for task in "ABCD"}
    assert parse_depends(text).holds(lambda task, _: truth[task]) is eval(python, {"t": truth})


@given(st.text(max_size=20) | st.text(st.sampled_from("Aa1.-_&|!() "), max_size=20))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(ExpressionError):
        assert parse_depends(text).tasks


@pytest.mark.parametrize("text", ["!" * 5000 + "A", "(" * 5000 + "A" + ")" * 5000, " || ".join(["A"] * 5000), "A" * 70000])
def test_a_long_text_is_read_or_refused(text):
    with contextlib.suppress(ExpressionError):
        assert parse_depends(text).tasks
