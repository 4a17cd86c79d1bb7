"""expr-lang: the grammar, the operators, closures, absent values, and what a result looks like in a text."""

# ruff: noqa: E501 - a row of a table is one line

from __future__ import annotations

import contextlib
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.errors import ManifestError
from reconciler.expr.language import ABSENT, AbsentValue, ExpressionError, UnknownVariable, check, evaluate, names, to_text

ENV = {
    "one": 1,
    "text": "abc",
    "none": None,
    "items": [3, 1, 2],
    "people": [{"name": "Ann", "age": 30}, {"name": "Bob", "age": 20}],
    "tasks": {"a-b": {"outputs": {"result": "7"}, "status": "Succeeded"}, "gone": {"outputs": ABSENT}},
    "gone": ABSENT,
    "__now__": datetime(2024, 2, 29, 12, 30, 15, tzinfo=UTC),
}

LITERALS = [
    ("1", 1), ("1_000", 1000), ("0x1F", 31), ("0b101", 5), ("0o17", 15), ("1.5", 1.5), (".5", 0.5), ("1.", 1.0), ("1e3", 1000.0),
    ("2E-2", 0.02), ("true", True), ("false", False), ("nil", None), ("'a'", "a"), ('"a"', "a"), ("`a\\n`", "a\\n"),
    ("`a``b`", "a`b"), (r"'it\'s'", "it's"), (r'"\n\t\\\x41\u00e9\U0001F600\101"', "\n\t\\A\u00e9\N{GRINNING FACE}A"),
    ("'a\"b'", 'a"b'), ("[]", []), ("[1, 'a', [nil],]", [1, "a", [None]]), ("{}", {}), ("{a: 1, 'b-c': 2, 3: 4, ('d' + 'e'): 5,}",
     {"a": 1, "b-c": 2, "3": 4, "de": 5}), ("1 // one\n + 2", 3), ("/* a */ 1 /* b\n */", 1), ("(1)", 1), (" \n1\t", 1),
    ("9223372036854775807", 2**63 - 1),
]  # fmt: skip

OPERATORS = [
    ("1 + 2 * 3", 7), ("(1 + 2) * 3", 9), ("7 / 2", 3.5), ("6 / 2", 3.0), ("7 % 3", 1), ("-7 % 3", -1), ("7 % -3", 1), ("2 ** 3", 8.0),
    ("2 ^ 3 ^ 2", 512.0), ("-2 ** 2", -4.0), ("2 ** -1", 0.5), ("-one + 2", 1), ("+one", 1), ("- -1", 1), ("1 - 2 - 3", -4),
    ("'a' + 'b'", "ab"), ("1 + 1.5", 2.5), ("1 == 1.0", True), ("1 == '1'", False), ("true == 1", False), ("nil == nil", True),
    ("none == nil", True), ("[1, {a: 2}] == [1.0, {a: 2}]", True), ("{a: 1} != {a: 2}", True), ("[1] == [1, 2]", False),
    ("1 < 2", True), ("1 < 2 < 3", True), ("1 < 3 < 2", False), ("3 > 2 >= 2 < 5", True), ("'a' < 'b'", True), ("2 >= 2.0", True),
    ("true && false", False), ("true and not false", True), ("false or true", True), ("!true || true", True), ("not true", False),
    ("true || 1 / 0 == 1", True), ("false && 1 / 0 == 1", False), ("not (1 == 2)", True), ("true or false and false", True),
    ("1 in [1, 2]", True), ("3 in [1, 2]", False), ("3 not in [1, 2]", True), ("not (3 in [1, 2])", True), ("'a' in {a: 1}", True),
    ("'b' in {a: 1}", False), ("1 in nil", False), ("text contains 'b'", True), ("text not contains 'x'", True),
    ("text startsWith 'a'", True), ("text endsWith 'a'", False), ("none startsWith 'a'", False), ("text matches '^a.c$'", True),
    ("text not matches '^b'", True), ("'a\\nb' matches '(?m)^b$'", True), ("1..3", [1, 2, 3]), ("3..1", []), ("1..2+1", [1, 2, 3]),
    ("2..2", [2]), ("len(0..9)", 10), ("true ? 1 : 2", 1), ("false ? 1 : true ? 2 : 3", 2), ("true ? false ? 1 : 2 : 3", 2),
    ("one == 1 ? 'y' : 'n'", "y"), ("true ?: false", True), ("false ?: 2", 2), ("none ?? 1", 1), ("one ?? 2", 1),
    ("none ?? none ?? 3", 3), ("(none ?? 1) + 1", 2), ("1 + none ?? 2", 3), ("false ?? true", False), ("if one == 1 {2} else {3}", 2),
    ("if false {1} else if true {2} else {3}", 2), ("let x = 2; x * x", 4), ("let x = 1; let y = x + 1; y", 2), ("1; 2", 2), ("1; 2;", 2),
    ("(let x = 1; x) + 1", 2), ("text | upper()", "ABC"), ("text | upper() | lower() | split('b')", ["a", "c"]),
    ("items | sort() | last()", 3), ("'a,b' | split(',')[1]", "b"), ("1 + 1 | string()", "2"), ("let x = text | upper(); x + '!'", "ABC!"),
]  # fmt: skip

MEMBERS = [
    ("tasks['a-b'].outputs.result", "7"), ("tasks['a-b']['status']", "Succeeded"), ("tasks.nothing", None),
    ("tasks.nothing?.outputs.result", None), ("tasks.nothing?.['x'].y[0]", None), ("tasks?.['a-b']?.status", "Succeeded"),
    ("none?.a", None), ("none?.a.b.c ?? 1", 1), ("none.a.b ?? 1", 1), ("tasks.nothing.a.b['c'] ?? 'd'", "d"), ("items[0]", 3),
    ("items[-1]", 2), ("items[1:]", [1, 2]), ("items[:1]", [3]), ("items[:]", [3, 1, 2]), ("items[-2:]", [1, 2]), ("items[1:-1]", [1]),
    ("items[2:1]", []), ("items[5:9]", []), ("text[1:2]", "b"), ("text[-1:]", "c"), ("$env.one", 1), ("$env['text']", "abc"),
    ("'one' in $env", True), ("'zwei' in $env", False), ("{a: {b: 1}}.a.b", 1), ("[[1, 2]][0][1]", 2), ("people[0].name", "Ann"),
    ("items[one == 1 ? 0 : 1]", 3), ("{in: 1, not: 2}.not", 2), ("{let: 1}.let", 1), ("people?.[0].age", 30),
]  # fmt: skip

CLOSURES = [
    ("all(items, # > 0)", True), ("all(items, {# > 1})", False), ("any(items, # == 2)", True), ("none(items, # > 5)", True),
    ("one(items, # == 3)", True), ("map(items, # * 2)", [6, 2, 4]), ("map(items, #index)", [0, 1, 2]), ("map(people, .name)", ["Ann", "Bob"]),
    ("map(people, {#.age})", [30, 20]), ("map(people, {{n: .name}})", [{"n": "Ann"}, {"n": "Bob"}]), ("map([1], {a: #})", [{"a": 1}]),
    ("filter(items, {# % 2 == 1})", [3, 1]), ("filter(people, .age > 25)", [{"name": "Ann", "age": 30}]), ("find(items, # < 3)", 1),
    ("find(items, # > 5)", None), ("findIndex(items, # < 3)", 1), ("findIndex(items, # > 5)", -1), ("findLast(items, # < 3)", 2),
    ("findLast(items, # > 9)", None), ("findLastIndex(items, # < 3)", 2), ("count(items, # > 1)", 2), ("count([true, false])", 1),
    ("sum(items)", 6), ("sum(people, .age)", 50), ("sum([])", 0), ("groupBy(people, .age > 25 ? 'old' : 'new').old[0].name", "Ann"),
    ("sortBy(people, .age)[0].name", "Bob"), ("sortBy(people, .name, 'desc')[0].name", "Bob"), ("reduce(items, #acc + #)", 6),
    ("reduce(items, #acc + #, 10)", 16), ("reduce([], #acc, 1)", 1), ("reduce(items, #acc + #index, 0)", 3),
    ("reduce(people, {let p = #; concat(#acc, [p.name])}, [])", ["Ann", "Bob"]), ("map(1..2, map(1..2, # * 2))", [[2, 4], [2, 4]]),
    ("map(1..2, {let x = #; map(1..2, # * x)})", [[1, 2], [2, 4]]), ("people | filter(.age > 25) | map(.name)", ["Ann"]),
    ("map(items, {#})[0]", 3), ("filter(['a.txt', 'b'], {# endsWith '.txt'})", ["a.txt"]), ("map(items, {let q = #; q + one})", [4, 2, 3]),
    ("map([now()], .Year())", [2024]),
]  # fmt: skip


@pytest.mark.parametrize(("source", "expected"), [*LITERALS, *OPERATORS, *MEMBERS, *CLOSURES])
def test_an_expression_has_its_value(source, expected):
    check(source)
    found = evaluate(source, ENV)
    assert (found, type(found)) == (expected, type(expected))


UNREADABLE = [
    ("a +", 'expression "a +": unexpected end at column 4; complete it'),
    ("", 'expression "": unexpected end at column 1; complete it'),
    ("a b", 'expression "a b": unexpected "b" at column 3; remove it, or complete what stands before it'),
    ("(a", 'expression "(a": unexpected end at column 3; complete it'),
    ("a)", 'expression "a)": unexpected ")" at column 2; remove it, or complete what stands before it'),
    ("'abc", "expression \"'abc\": a string without its closing quote at column 1; close it"),
    ("a = b", 'expression "a = b": unexpected "=" at column 3; write =='),
    ("a & b", 'expression "a & b": unexpected "&" at column 3; write &&'),
    ("a ?? b + c", 'expression "a ?? b + c": "+" is mixed with ?? at column 8; put one of the two into parentheses'),
    (r"'\q'", r"""expression "'\q'": unknown escape \q at column 2; double the backslash for a plain one"""),
    ("let in = 1; 2", 'expression "let in = 1; 2": "in" cannot be a variable at column 5; use another name'),
    ("1 + in", 'expression "1 + in": unexpected "in" at column 5; a value must stand here'),
    ("true(1)", 'expression "true(1)": "true" is no function at column 1; a value must stand here'),
    ("9223372036854775808", ('expression "9223372036854775808": the number 9223372036854775808 does not fit into 64 bits at column 1;'
     " write it with a decimal point")),
    ("1a", 'expression "1a": unexpected "1" at column 1; remove it, or complete what stands before it'),
    ("a.", 'expression "a.": unexpected end at column 3; complete it'),
    ("\na\n@", 'expression " a @": unexpected "@" at column 4; remove it, or complete what stands before it'),
]  # fmt: skip

REFUSED = [
    ("1 / 0", 'expression "1 / 0": a division by zero at column 3; check the divisor first'),
    ("1 % 0", 'expression "1 % 0": a division by zero at column 3; check the divisor first'),
    ("1 + 'a'", """expression "1 + 'a'": + cannot take int 1 and string "a" at column 3; convert one with int(), float() or string()"""),
    ("nope", 'expression "nope": there is no variable "nope" at column 1; did you mean none?'),
    ("txt", 'expression "txt": there is no variable "txt" at column 1; did you mean text?'),
    ("zzzzz", 'expression "zzzzz": there is no variable "zzzzz" at column 1; known here: gone, items, none, one, people, tasks, text'),
    ("__now__", 'expression "__now__": there is no variable "__now__" at column 1; known here: gone, items, none, one, people, tasks, text'),
    ("none.a", 'expression "none.a": nil has no member "a" at column 6; write ?. before it, or ?? and a default after it'),
    ("tasks.x.y", 'expression "tasks.x.y": nil has no member "y" at column 9; write ?. before it, or ?? and a default after it'),
    ("text.x", 'expression "text.x": string "abc" has no members at column 6; read JSON text with fromJSON(), a part of text with [0:1]'),
    ("items[3]", 'expression "items[3]": the array has 3 items, none of them is number 3 at column 7; use get(array, index) for nil instead'),
    ("items['a']", """expression "items['a']": an item of an array is named by a number, not by string "a" at column 7; write for example [0]"""),
    ("1 && true", 'expression "1 && true": && takes true or false, not int 1 at column 3; compare it, for example with == or !='),
    ("!1", 'expression "!1": ! takes true or false, not int 1 at column 1; compare it, for example with == or !='),
    ("-'a'", """expression "-'a'": - takes a number, not string "a" at column 1; convert it with int() or float()"""),
    ("one ? 1 : 2", 'expression "one ? 1 : 2": ? takes true or false, not int 1 at column 1; compare it, for example with == or !='),
    ("'a' in 'abc'", """expression "'a' in 'abc'": in looks into an array or a map, not into string "abc" at column 5; use contains for text"""),
    ("'a' matches '(?=a)'", ("""expression "'a' matches '(?=a)'": the pattern '(?=a)' cannot be read: RE2 has no assert at column 5; mend it;"""
     " Go's RE2 syntax holds")),
    ("# + 1", 'expression "# + 1": # stands for an item, but there is none here at column 1; use it inside map, filter and their like'),
    ("map(items, #nope)", 'expression "map(items, #nope)": there is no #nope at column 12; there are #, #index and, in reduce, #acc'),
    ("map(1, #)", 'expression "map(1, #)": map goes over an array, not over int 1 at column 1; give it an array; JSON text needs fromJSON()'),
    ("upper(1)", 'expression "upper(1)": upper: argument 1 is int 1, not string at column 1; write upper(string)'),
    ("sort([1, 'a'])", ("""expression "sort([1, 'a'])": values of different types have no order at column 1; sort by something that is"""
     " a number or a string")),
    ("9223372036854775807 + 1", ('expression "9223372036854775807 + 1": a number does not fit into 64 bits at column 21;'
     " compute with decimal points")),
    ("0..200000", 'expression "0..200000": a range would have more than 100000 items at column 2; let a step compute it'),
    ("fromJSON('{')", ("""expression "fromJSON('{')": string "{" is no JSON: Expecting property name enclosed in double quotes: line 1"""
     " column 2 (char 1) at column 1; give it JSON text")),
    ("'a'.Format('x')", """expression "'a'.Format('x')": string "a" has no method "Format" at column 5; call a function: name(value)"""),
    ("asInt('1.5')", """expression "asInt('1.5')": string "1.5" is no whole number at column 1; give it digits only"""),
    ("{(1): 2}", 'expression "{(1): 2}": a map\'s key is a string, not int 1 at column 3; convert it with string()'),
]  # fmt: skip


@pytest.mark.parametrize(("source", "message"), UNREADABLE)
def test_what_cannot_be_read_is_told_with_its_column(source, message):
    for attempt in (lambda: check(source), lambda: evaluate(source, ENV), lambda: names(source)):
        with pytest.raises(ExpressionError) as told:
            attempt()
        assert str(told.value) == message
    assert f"column {told.value.column}" in message


NOT_CALLABLE = [
    ("uper('a')", 'there is no function "uper" at column 1; did you mean upper?'),
    ("asIn(1)", 'there is no function "asIn" at column 1; did you mean asInt?'),
    ("sprig.uper('a')", 'there is no function "uper" at column 7; did you mean upper?'),
    ("sprig.uppercase('x')", 'there is no function "uppercase" at column 7; did you mean upper?'),
    ("sprig.genPrivateKey('rsa')", ('there is no function "genPrivateKey" at column 7; only those of sprig are here that give the same'
     " for the same arguments; let a step compute it")),
    ("trunc(3, 'x')", 'there is no function "trunc" at column 1; write sprig.trunc'),
    ("sprig.asInt(1)", 'there is no function "asInt" at column 7; write asInt'),
    ("zzzzz(1)", 'there is no function "zzzzz" at column 1; let a step compute it'),
    ("Unix(one)", 'there is no function "Unix" at column 1; it is a method: write it behind an instant or a duration, as in now().Unix(...)'),
    ("map([1], {asIn(#)})", 'there is no function "asIn" at column 11; did you mean asInt?'),
    ("'a' | uper()", 'there is no function "uper" at column 7; did you mean upper?'),
    ("upper()", "upper takes 1 arguments, not 0 at column 1; write upper(string)"),
    ("split('a')", "split takes 2 to 3 arguments, not 1 at column 1; write split(string, string, int?)"),
    ("concat()", "concat takes 1 or more arguments, not 0 at column 1; write concat(array, array...)"),
    ("map([1])", "map takes 2 arguments, not 1 at column 1; give it an array and a closure"),
    ("now(1)", "now takes 0 arguments, not 1 at column 1; write now()"),
    ("sprig.trimAll('a')", "sprig.trimAll takes 2 arguments, not 1 at column 7; write sprig.trimAll(string, string)"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "message"), NOT_CALLABLE)
def test_a_function_that_does_not_exist_or_takes_other_arguments_is_told_before_the_run(source, message):
    for attempt in (lambda: check(source), lambda: evaluate(source, ENV)):
        with pytest.raises(ExpressionError) as told:
            attempt()
        assert str(told.value) == f'expression "{source}": {message}'
        assert f"column {told.value.column}" in message


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("now().Formt('x')", 'no value has a method "Formt" at column 7; did you mean Format?'),
        ("items.zzzzz()", 'no value has a method "zzzzz" at column 7; call a function: name(value)'),
        ("let sprig = 1; sprig.upper('a')", 'no value has a method "upper" at column 22; call a function: name(value)'),
        ("now().Format()", "Format takes 1 arguments, not 0 at column 7; give it as many"),
    ],
)
def test_a_method_that_no_value_has_is_told_before_the_run(source, message):
    with pytest.raises(ExpressionError) as told:
        check(source)
    assert str(told.value) == f'expression "{source}": {message}'


@pytest.mark.parametrize("source", ["now()", "sprig.now().Unix()", "any?.thing?.String()", "max(1)", "max(1, 2, 3)", "count([true])",
                                    "'a' | replace('a', 'b')", "sprig.dict('a', 1)", "let f = 1; upper('a')"])  # fmt: skip
def test_calls_in_order_are_not_complained_about(source):
    check(source)


@pytest.mark.parametrize(("source", "message"), REFUSED)
def test_what_cannot_be_evaluated_is_told_with_its_column(source, message):
    check(source)
    with pytest.raises(ExpressionError) as told:
        evaluate(source, ENV)
    assert str(told.value) == message
    assert f"column {told.value.column}" in message


@pytest.mark.parametrize("source", ["gone", "gone.x", "gone == nil", "asInt(gone)", "asInt(gone) ?? 1", "tasks.gone.outputs.a", "[gone]",
                                    "gone ? 1 : 2", "1 ?? gone ?? gone; gone", "none ?? gone", "gone?.x", "map([1], gone)"])  # fmt: skip
def test_using_an_output_that_was_never_made_is_an_error_of_its_own(source):
    with pytest.raises(AbsentValue, match="never made at column"):
        evaluate(source, ENV)


@pytest.mark.parametrize(("source", "expected"), [
    ("gone ?? 'd'", "d"), ("gone.x['y'].z ?? 'd'", "d"), ("tasks.gone.outputs.parameters.a ?? 'd'", "d"), ("gone ?? gone ?? 1", 1),
    ("(gone) ?? 1", 1), ("true ? 1 : gone", 1), ("false && gone", False), ("1 ?? gone", 1), ("gone?.x ?? 1", 1),
])  # fmt: skip
def test_only_the_two_question_marks_rescue_it(source, expected):
    assert evaluate(source, ENV) == expected


class Lazy(dict):
    """Variables that are made when they are asked for; the rest of it must not be touched."""

    def get(self, key, default=None):
        if key == "absent":
            raise AbsentValue("never made")
        return {"x": "made"}.get(key, default)

    def __iter__(self):
        raise AssertionError("it was copied")


def test_variables_are_asked_for_by_name_only():
    assert evaluate("lazy.x", {"lazy": Lazy()}) == "made"
    assert evaluate("lazy.absent.y ?? 1", {"lazy": Lazy()}) == 1
    with pytest.raises(AbsentValue):
        evaluate("lazy.absent", {"lazy": Lazy()})


def test_the_present_instant_comes_from_outside():
    assert evaluate("now().Format('2006-01-02T15:04:05Z07:00')", ENV) == "2024-02-29T12:30:15Z"
    assert evaluate("sprig.date('Jan 2', sprig.now())", ENV) == "Feb 29"
    with pytest.raises(ExpressionError, match=r"now\(\) is not known here"):
        evaluate("now()", {})


@pytest.mark.parametrize(("source", "expected"), [
    ("steps['a-b'].outputs.result", (("steps", "a-b", "outputs", "result"),)),
    ("a.b + a['c'] + a.b", (("a", "b"), ("a", "c"))), ("map(xs, {# + y.z})", (("xs",), ("y", "z"))), ("let q = w; q + q.r", (("w",),)),
    ("sprig.add(1, t?.u)", (("t", "u"),)), ("upper(a) | lower()", (("a",),)), ("m[k].z", (("k",), ("m",))), ("xs[0].a", (("xs",),)),
    ("$env['a'].b", (("a", "b"),)), ("a.b.Format('x')", (("a", "b"),)), ("reduce(a, #acc + b, c)", (("a",), ("b",), ("c",))),
    ("{a: b}", (("b",),)), ("'a.b'", ()), ("now()", ()), ("a ?? b.c ?? 'x'", (("a",), ("b", "c"))), ("x[a:b]", (("a",), ("b",), ("x",))),
    ("let a = a.b; a", (("a", "b"),)), ("true ? a : b", (("a",), ("b",))), ("{(k): 1}", (("k",),)),
])  # fmt: skip
def test_the_names_of_an_expression_are_its_free_variables(source, expected):
    assert names(source) == expected


@pytest.mark.parametrize(("value", "text"), [
    ("a", "a"), ("", ""), (True, "true"), (False, "false"), (None, "null"), (1, "1"), (1.0, "1"), (-0.0, "-0"), (1.5, "1.5"), (0.1, "0.1"),
    (1e20, "100000000000000000000"), (1e21, "1e+21"), (1e-6, "0.000001"), (1e-7, "1e-7"), (1.25e-10, "1.25e-10"), (123456.789, "123456.789"),
    (-2.5e300, "-2.5e+300"), ([1, "a", None], '[1,"a",null]'), ({"b": 1, "a": [True]}, '{"a":[true],"b":1}'), ([], "[]"), ({}, "{}"),
    ("\N{EURO SIGN}", "\N{EURO SIGN}"), (["\N{EURO SIGN}"], '["\N{EURO SIGN}"]'), (datetime(2024, 1, 2, tzinfo=UTC), '"2024-01-02T00:00:00Z"'),
])  # fmt: skip
def test_a_result_stands_in_a_text_as_json_without_quotes_around_it(value, text):
    assert to_text(value) == text


@pytest.mark.parametrize("value", [ABSENT, [ABSENT], float("nan"), float("inf"), object()])
def test_what_has_no_text_is_refused(value):
    with pytest.raises(ExpressionError, match="cannot be written"):
        to_text(value)


RUNAWAYS = [
    "map(0..100000, map(0..100000, #))", "repeat('x', 300000)", "reduce(0..100000, #acc + #acc, 'x')", "reduce(1..64, [#acc, #acc], 1)",
    "let a = reduce(1..40, [#acc, #acc], 1); a == a", "toJSON(reduce(1..40, [#acc, #acc], 1))", "flatten(reduce(1..40, [#acc, #acc], 1))",
    "string(reduce(1..40, {a: #acc, b: #acc}, 1))", "reduce(1..5000, [#acc])", "repeat('a', 30) + '!' matches '^(a+)+$'",
    "repeat('a', 200000) matches '(a*)*(a*)*b'", "'a' matches '((a{1,100}){1,100}){1,100}'", "2 ** 2 ** 2 ** 2 ** 2 ** 2",
    "map(0..1000, replace(repeat('x', 1000), 'x', repeat('y', 200)))", "reduce(1..100, #acc * 3, 3)", "map(1..300, max(1..100000))",
    "map(1..100000, len(repeat('x', 200000)))", "'x' matches " + repr("x" * 5000), "+".join(["1"] * 300), "!" * 5000 + "true",
    "-" * 400 + "1", "[" * 300 + "]" * 300, "(" * 3000 + "1" + ")" * 3000, "a." * 3000 + "a", "1 " * 40000, "jsonpath('[' + '[1]' + ']', '$..*..*..*')",
    "join(map(1..1000, repeat('x', 1000)), '')", "uniq(0..20000)", "sprig.until(1000000)", "sprig.repeat(100000000, 'x')",
    "map(1..100000, 's' matches repeat('(a|b)', 300) + string(#))", "bitshl(1, 100000000000)", "duration('9999999999999h')", "now().AddDate(99999999, 0, 0)", "sprig.indent(100000000, 'x')",
]  # fmt: skip


@pytest.mark.parametrize("source", RUNAWAYS, ids=lambda source: source[:40])
def test_no_expression_runs_away(source):
    began = time.process_time()
    with contextlib.suppress(ExpressionError):
        to_text(evaluate(source, ENV))
    assert time.process_time() - began < 5


NUMBERS = st.integers(-50, 50)


def python_expressions():
    """Pairs of an expression and the same in Python."""
    leaf = NUMBERS.map(lambda number: (f"({number})", f"({number})"))

    def grow(inner):
        two = st.tuples(inner, st.sampled_from(["+", "-", "*"]), inner)
        return two.map(lambda t: (f"{t[0][0]} {t[1]} {t[2][0]}", f"{t[0][1]} {t[1]} {t[2][1]}")) | inner.map(
            lambda one: (f"(-{one[0]})", f"(-{one[1]})")
        )

    return st.recursive(leaf, grow, max_leaves=8)


@given(python_expressions())
def test_arithmetic_binds_as_in_python(pair):
    source, python = pair
    assert evaluate(source, {}) == eval(python)


BOOLEANS = st.recursive(
    st.sampled_from([("true", "True"), ("false", "False")]),
    lambda inner: st.tuples(inner, st.sampled_from([("&&", "and"), ("||", "or"), ("and", "and"), ("or", "or")]), inner).map(
        lambda t: (f"{t[0][0]} {t[1][0]} {t[2][0]}", f"{t[0][1]} {t[1][1]} {t[2][1]}")
    )
    | inner.map(lambda one: (f"not ({one[0]})", f"(not ({one[1]}))")),
    max_leaves=8,
)


@given(BOOLEANS)
def test_logic_binds_as_in_python(pair):
    assert evaluate(pair[0], {}) is eval(pair[1])


PIECES = st.sampled_from([
    "one", "text", "items", "gone", "none", "1", "2.5", "'a'", '"', "'", "`", "(", ")", "[", "]", "{", "}", ",", ":", ";", "?", "?.", "??",
    ".", "..", "+", "-", "*", "/", "%", "**", "==", "!=", "<", "&&", "||", "|", "!", "not ", " in ", " and ", " matches ", "let x = ", "x",
    "if ", " else ", "#", "#acc", "map", "filter", "len", "sprig.", "upper", "\\", "//", "/*", "*/", "\n", " ", "$env", "::", "0x", "1e9", "=",
])  # fmt: skip


@settings(max_examples=400)
@given(st.lists(PIECES, max_size=12).map("".join) | st.text(max_size=30))
def test_no_text_raises_anything_but_our_own_error(source):
    with contextlib.suppress(ManifestError):
        to_text(evaluate(source, ENV))
    with contextlib.suppress(ExpressionError):
        names(source)


@given(st.recursive(st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3)
                    | st.dictionaries(st.text(max_size=3), inner, max_size=3), max_leaves=10))  # fmt: skip
def test_json_there_and_back_is_the_same(value):
    assert evaluate("fromJSON(toJSON(v)) == v && fromJSON(toJson(v)) == v", {"v": value}) is True


def test_an_unknown_variable_is_told_from_other_errors():
    with pytest.raises(UnknownVariable):
        evaluate("nope ?? 1", ENV)
    with pytest.raises(UnknownVariable):
        evaluate("none.x", ENV)
