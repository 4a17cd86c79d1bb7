"""`when`: govaluate's language after the tags were replaced."""

# ruff: noqa: E501 - a row of a table is one line

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.expr.condition import check_condition, condition
from reconciler.expr.errors import ExpressionError

ROWS = [
    ("", True), ("  \n", True), ("true", True), ("false", False), ("!false", True), ("heads == heads", True), ("heads == tails", False),
    ("heads != tails", True), ("True == False", False), ("True == True", True), ("'True' == True", True), ("true == 'true'", False),
    ("1 == 1.0", True), ("1 == '1'", False), ("'1' == \"1\"", True), ("a == 'a'", True), ('"" == \'\'', True), ('x == "x y"', False),
    ("1 < 2", True), ("2 <= 2", True), ("3 > 4", False), ("4 >= 4", True), ("a < b", True), ("b <= a", False), ("'10' < '9'", True),
    ("10 < 9", False), ("heads =~ hea", True), ("heads =~ '^ea'", False), ("heads !~ tai", True), ("'a.b' =~ 'a\\\\.b'", True),
    ("a in (a, b)", True), ("c in (a, b)", False), ("c IN (a, b, c)", True), ("1 in (1, 2)", True), ("'1' in (1, 2)", False),
    ("!(c in (a, b))", True), ("true && false", False), ("true || false", True), ("false || true && false", False),
    ("(false || true) && true", True), ("true && !false", True), ("!true == false", True), ("1 + 2 * 3 == 7", True),
    ("(1 + 2) * 3 == 9", True), ("7 / 2 == 3.5", True), ("7 % 4 == 3", True), ("-7 % 4 == -3", True), ("2 ** 3 == 8", True),
    ("2 ** 3 ** 2 == 64", True), ("-2 ** 2 == 4", True), ("10 - 3 - 2 == 5", True), ("-1 < 0", True), ("1 - -1 == 2", True),
    ("6 & 3 == 2", True), ("6 | 3 == 7", True), ("6 ^ 3 == 5", True), ("1 << 4 == 16", True), ("16 >> 2 == 4", True), ("~1 == -2", True),
    ("1 << 100 == 0", True), ("0x10 == 16", True), (".5 == 0.5", True), ("'a' + 'b' == ab", True), ("1 + 'a' == '1a'", True),
    ("1.5 + a == '1.5a'", True), ("true + a == truea", True), ("true ? true : false", True), ("false ? true : false", False),
    ("1 < 2 ? a == a : a == b", True), ("(false ? true) ?? true", True), ("true ?? false", True),
    ("'2024-01-02' > '2024-01-01'", True), ("'2024-01-02' == '2024-01-02T00:00:00Z'", True), ("'2024-01-02' == 1704153600", True),
    ("'2024-01-02 10:00' < '2024-01-02 11:00:00'", True), ("'2024-01-02T10:00:00+02:00' == '2024-01-02T08:00:00Z'", True),
    ("'2024-13-02' == '2024-13-02'", True), ("'1:02PM' < '2:02PM'", True), ("[a b] == 'a b'", True), ('[2024-01-02] == "2024-01-02x"', False),
    ("a\\-b == 'a-b'", True), ("'it\\'s' == \"it's\"", True), ("'a\\nb' == anb", True), ("(1, 2) == (1, 2)", True), ("in_x == in_x", True),
    ("trueish == trueish", True), ("( a == a &&\n b == b ) || c == d", True), ("((true))", True), ("1e5 != 1", None), ("x1 == x1", True),
    ("\u00e4 == \u00e4", True), ("false && 1", False), ("true || 1", True),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), [row for row in ROWS if row[1] is not None])
def test_a_condition_holds_or_not(text, expected):
    check_condition(text)
    assert condition(text) is expected


UNREADABLE = [
    ("a ==", 'expression "a ==": unexpected end at column 5; complete it'),
    ("a == b c", 'expression "a == b c": unexpected "c" at column 8; put values into quotes, or remove it'),
    ("1a == 1a", 'expression "1a == 1a": unexpected "a == 1a" at column 2; put values into quotes, or remove it'),
    ("'a == b", "expression \"'a == b\": a string without its closing quote at column 1; close it"),
    ("a = b", 'expression "a = b": unexpected "=" at column 3; write =='),
    ("(a == b", 'expression "(a == b": unexpected end at column 8; complete it'),
    ("1.2.3 == 1.2.3", 'expression "1.2.3 == 1.2.3": "1.2.3" is no number at column 1; put it into quotes'),
    ("v1.2 == v1.2", 'expression "v1.2 == v1.2": "v1.2" is read as a member of something at column 1; put it into quotes'),
    ("a == {{item}}", 'expression "a == {{item}}": unexpected "{{item}}" at column 6; put values into quotes, or remove it'),
    ("() == a", 'expression "() == a": a pair of parentheses holds nothing at column 1; complete it'),
    ("_x == 1", 'expression "_x == 1": unexpected "_x == 1" at column 1; put values into quotes, or remove it'),
]

REFUSED = [
    ("a-b == c", 'expression "a-b == c": - takes numbers, not string "a" at column 2; put values with hyphens into quotes'),
    ("heads", 'expression "heads": it gives string "heads", not true or false at column 1; compare it, for example with == or !='),
    ("1 + 1", 'expression "1 + 1": it gives float 2, not true or false at column 1; compare it, for example with == or !='),
    ("false ? true", 'expression "false ? true": it gives nil, not true or false at column 1; compare it, for example with == or !='),
    ("a && b", 'expression "a && b": && takes true or false, not string "a" at column 3; compare it with == or !='),
    ("!a", 'expression "!a": ! takes true or false, not string "a" at column 1; compare it with == or !='),
    ("a < 1", 'expression "a < 1": < cannot order string "a" and float 1 at column 3; compare two numbers or two strings'),
    ("a in (b)", 'expression "a in (b)": in takes a list of two values or more, not string "b" at column 3; write ("a", "b"), or =='),
    ("a =~ '('", ("expression \"a =~ '('\": the pattern '(' cannot be read: missing ), unterminated subpattern at position 0 at column 3;"
     " mend it; Go's RE2 syntax holds")),
    ("1 / 0 == 1", 'expression "1 / 0 == 1": / cannot take float 1 and float 0 at column 3; check both sides'),
    ("'2024-01-02' =~ '2024'", ("expression \"'2024-01-02' =~ '2024'\": =~ takes strings, not float 1.7041536e+09 and string \"2024\""
     " at column 14; put values into quotes")),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), UNREADABLE)
def test_a_condition_that_cannot_be_read_is_told_with_its_column(text, message):
    for attempt in (check_condition, condition):
        with pytest.raises(ExpressionError) as told:
            attempt(text)
        assert str(told.value) == message


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_a_condition_that_gives_no_truth_is_told_with_its_column(text, message):
    check_condition(text)
    with pytest.raises(ExpressionError) as told:
        condition(text)
    assert str(told.value) == message


NUMBERS = st.integers(0, 20).map(str)
SUMS = st.lists(st.tuples(st.sampled_from(["+", "-", "*"]), NUMBERS), max_size=6)


@given(NUMBERS, SUMS, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), NUMBERS)
def test_numbers_compare_as_in_python(first, steps, operator, last):
    text = f"{first}{''.join(f' {sign} {number}' for sign, number in steps)} {operator} {last}"
    assert condition(text) is eval(text)


@given(st.text(max_size=20))
def test_a_quoted_value_equals_itself_whatever_it_holds(value):
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    assert condition(f"'{escaped}' == '{escaped}'") is True


PIECES = st.sampled_from(
    ["a", "1", "0x1", "'", '"', "'a'", "(", ")", ",", "==", "=~", "!~", "!", "&&", "||", "&", "|", "^", "~", "<<", ">>", "-", "+", "**", "%",
     "?", ":", "??", " in ", "[", "]", "\\", " ", "true", "false", ".", "'2024-01-01'", "{", "\n", "9" * 400]
)  # fmt: skip


@settings(max_examples=300)
@given(st.lists(PIECES, max_size=10).map("".join) | st.text(max_size=20))
def test_no_condition_raises_anything_but_our_own_error(text):
    with contextlib.suppress(ExpressionError):
        condition(text)


@pytest.mark.parametrize("text", ["!" * 3000 + "true", "(" * 3000 + "true" + ")" * 3000, "1 ==" * 3000 + " 1", "- " * 500 + "1", "a" * 70000])
def test_a_deep_condition_is_refused_or_answered(text):
    with contextlib.suppress(ExpressionError):
        condition(text)
