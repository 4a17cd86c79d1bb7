"""The functions of expr-lang, Argo and sprig: one row or more for each, and the reference page that lists them."""

# ruff: noqa: E501 - a row of a table is one line

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reconciler.expr.closures import CLOSURES
from reconciler.expr.errors import ExpressionError
from reconciler.expr.functions import BUILTINS
from reconciler.expr.language import evaluate, to_text
from reconciler.expr.sprig import SPRIG

ENV = {"__now__": datetime(2024, 2, 29, 12, 30, 15, 250_000, tzinfo=UTC), "m": {"b": 2, "a": 1}, "xs": [3, 1, 2], "n": None}

LANGUAGE = [
    ("len('aé')", 2), ("len(xs)", 3), ("len(m)", 2), ("type(1)", "int"), ("type(1.0)", "float"), ("type(nil)", "nil"), ("type('')", "string"),
    ("type([])", "array"), ("type({})", "map"), ("type(true)", "bool"), ("type(now())", "time.Time"), ("type(duration('1s'))", "time.Duration"),
    ("int('12')", 12), ("int(1.9)", 1), ("int(-1.9)", -1), ("asInt('-3')", -3), ("float('1.5')", 1.5), ("float(2)", 2.0), ("asFloat('1e3')", 1000.0),
    ("string(1)", "1"), ("string(nil)", "<nil>"), ("string([1, 'a', {b: nil}])", "[1 a map[b:<nil>]]"), ("string(1e6)", "1e+06"),
    ("string(100000.0)", "100000"), ("string(true)", "true"), ("string(duration('90m'))", "1h30m0s"), ("string(0.00001)", "1e-05"),
    ("string(now())", "2024-02-29 12:30:15 +0000 UTC"), ("abs(-1)", 1), ("abs(-1.5)", 1.5), ("ceil(1.2)", 2.0), ("ceil(2)", 2.0),
    ("floor(-1.2)", -2.0), ("round(1.5)", 2.0), ("round(-1.5)", -2.0), ("round(2.4)", 2.0), ("max(1, 2.5)", 2.5), ("max([1, 2], 3)", 3),
    ("min(xs)", 1), ("mean([1, 2])", 1.5), ("median([3, 1, 2])", 2.0), ("median([1, 2])", 1.5), ("trim(' a ')", "a"), ("trim('__a_', '_')", "a"),
    ("trimPrefix('ab', 'a')", "b"), ("trimSuffix('ab', 'b')", "a"), ("upper('aß')", "ASS"), ("lower('AB')", "ab"), ("split('a,b', ',')", ["a", "b"]),
    ("split('a,b,c', ',', 2)", ["a", "b,c"]), ("split('ab', '')", ["a", "b"]), ("split('a', ',', 0)", []), ("splitAfter('a,b', ',')", ["a,", "b"]),
    ("replace('aXbX', 'X', 'y')", "ayby"), ("replace('aXbX', 'X', 'y', 1)", "aybX"), ("repeat('ab', 2)", "abab"), ("indexOf('abc', 'c')", 2),
    ("indexOf('abc', 'x')", -1), ("lastIndexOf('aba', 'a')", 2), ("hasPrefix('ab', 'a')", True), ("hasSuffix('ab', 'a')", False),
    ("join(['a', 'b'], ',')", "a,b"), ("join(['a', 'b'])", "ab"), ("toJSON({a: [1]})", '{\n  "a": [\n    1\n  ]\n}'), ("toJson({a: [1.0]})", '{"a":[1]}'),
    ("fromJSON('{\"a\": [1, 1.5, null]}')", {"a": [1, 1.5, None]}), ("fromJSON('1' + repeat('0', 30))", 1e30), ("toBase64('hi')", "aGk="), ("fromBase64('aGk=')", "hi"),
    ("first(xs)", 3), ("first([])", None), ("last(xs)", 2), ("last([])", None), ("take(xs, 2)", [3, 1]), ("take(xs, 9)", [3, 1, 2]), ("get(xs, 1)", 1),
    ("get(xs, 9)", None), ("get(m, 'a')", 1), ("get(m, 'z')", None), ("get(n, 'z')", None), ("keys(m)", ["a", "b"]), ("values(m)", [1, 2]),
    ("toPairs(m)", [["a", 1], ["b", 2]]), ("fromPairs([['a', 1]])", {"a": 1}), ("concat([1], [2], [3])", [1, 2, 3]),
    ("flatten([1, [2, [3]]])", [1, 2, 3]), ("uniq([1, 2, 1.0, '1'])", [1, 2, "1"]), ("reverse(xs)", [2, 1, 3]), ("sort(xs)", [1, 2, 3]),
    ("sort(xs, 'desc')", [3, 2, 1]), ("sort(['b', 'a'])", ["a", "b"]), ("bitand(6, 3)", 2), ("bitor(6, 3)", 7), ("bitxor(6, 3)", 5),
    ("bitnand(10, 12)", 2), ("bitnot(10)", -11), ("bitshl(45, 2)", 180), ("bitshr(45, 2)", 11), ("bitshr(-8, 1)", -4),
    ("bitushr(-5, 2)", 4611686018427387902), ("jsonpath('{\"a\": {\"b\": 1}}', '$.a.b')", 1), ("jsonpath('[{\"v\": 1}, {\"v\": 2}]', '$[*].v')", [1, 2]),
    ("jsonpath('[{\"v\": 1}, {\"v\": 2}]', '$[1].v')", 2), ("jsonpath('[{\"v\": 1}, {\"v\": 2}]', '$[?(@.v > 1 && @.v < 3)].v')", [2]),
    ("jsonpath('[{\"v\": 1}, {\"v\": 2}]', '$[?(@.v == 1 || @.v == 2)].v')", [1, 2]), ("jsonpath('[1, 2, 3]', '$[0:2]')", [1, 2]), ("jsonpath({a: 1}, 'a')", 1),
    ("jsonpath('{\"a-b\": null}', \"$['a-b']\")", None), ("date('2024-02-29').Year()", 2024), ("date('2024-02-29T01:02:03Z').Unix()", 1709168523),
    ("date('29/02/24', '02/01/06').Format('Jan 2, 2006')", "Feb 29, 2024"), ("duration('1h30m').Minutes()", 90.0), ("duration('-1.5s').Seconds()", -1.5),
    ("date('2024-07-01 12:00:00', '2006-01-02 15:04:05', 'Europe/Zurich').UTC().Hour()", 10), ("timezone('UTC') != nil", True),
    ("now().In(timezone('Asia/Tokyo')).Format('15:04 -0700 MST')", "21:30 +0900 JST"), ("(now() - date('2024-02-28')).Hours() > 36", True),
    ("(now() + duration('24h')).Format('Mon Jan _2')", "Fri Mar  1"), ("now() > date('2024-01-01')", True), ("(now() - now()).String()", "0s"),
    ("now().Format('03:04:05.000 PM Monday January 1 06 002')", "12:30:15.250 PM Thursday February 2 24 060"), ("now().Weekday()", 4), ("now().YearDay()", 60),
    ("now().Month()", 2), ("now().Day()", 29), ("now().Minute()", 30), ("now().Second()", 15), ("now().Nanosecond()", 250000000), ("now().UnixMilli()", 1709209815250),
    ("now().Add(duration('1h')).Hour()", 13), ("now().Sub(now()).Seconds()", 0.0), ("now().Before(now())", False), ("now().After(date('2024-01-01'))", True),
    ("now().Equal(now())", True), ("now().AddDate(0, 1, 1).Format('2006-01-02')", "2024-03-30"), ("date('2024-01-31').AddDate(0, 1, 0).Format('2006-01-02')", "2024-03-02"),
    ("now().Truncate(duration('1h')).Format('15:04:05.999')", "12:00:00"), ("now().String()", "2024-02-29 12:30:15 +0000 UTC"), ("now().UnixNano()", 1709209815250000000),
    ("duration('1500ms').Milliseconds()", 1500), ("duration('1ms').Microseconds()", 1000), ("duration('1us').Nanoseconds()", 1000), ("duration('-1s').Abs().Seconds()", 1.0),
    ("duration('1h') * 2 == duration('2h')", True), ("duration('1h') / 2 == duration('30m')", True), ("-duration('1h') < duration('1s')", True),
]  # fmt: skip

SPRIG_ROWS = [
    ("upper('a')", "A"), ("lower('A')", "a"), ("title('hello big world')", "Hello Big World"), ("untitle('Hello World')", "hello world"), ("swapcase('aB')", "Ab"),
    ("camelcase('http_server')", "HttpServer"), ("snakecase('HTTPServerName')", "http_server_name"), ("kebabcase('FirstName')", "first-name"),
    ("initials('First Try')", "FT"), ("trim(' a ')", "a"), ("trimAll('$', '$5$')", "5"), ("trimPrefix('-', '-a')", "a"), ("trimSuffix('-', 'a-')", "a"),
    ("nospace(' a b ')", "ab"), ("repeat(3, 'ab')", "ababab"), ("replace(' ', '-', 'a b c')", "a-b-c"), ("substr(0, 5, 'hello world')", "hello"),
    ("substr(6, -1, 'hello world')", "world"), ("trunc(5, 'hello world')", "hello"), ("trunc(-5, 'hello world')", "world"), ("abbrev(5, 'hello world')", "he..."),
    ("wrap(5, 'hello world')", "hello\nworld"), ("contains('b', 'abc')", True), ("hasPrefix('a', 'ab')", True), ("hasSuffix('a', 'ab')", False),
    ("quote('a', 1)", '"a" "1"'), ("squote('a')", "'a'"), ("cat('a', 1, true)", "a 1 true"), ("indent(2, 'a\\nb')", "  a\n  b"), ("nindent(2, 'a')", "\n  a"),
    ("plural('one', 'many', 1)", "one"), ("plural('one', 'many', 2)", "many"), ("toString(1.5)", "1.5"), ("toStrings([1, 'a'])", ["1", "a"]),
    ("split('$', 'a$b')._1", "b"), ("splitn('$', 2, 'a$b$c')._1", "b$c"), ("splitList(',', 'a,b')", ["a", "b"]), ("join('-', ['a', 1])", "a-1"),
    ("sortAlpha(['b', 'a'])", ["a", "b"]), ("b64enc('hi')", "aGk="), ("b64dec('aGk=')", "hi"), ("b32enc('hi')", "NBUQ===="), ("b32dec('NBUQ====')", "hi"),
    ("sha1sum('a')", "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"), ("sha256sum('')", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ("sha512sum('a') | len()", 128), ("adler32sum('Hello')", "93061621"), ("regexMatch('^[a-z]+$', 'abc')", True), ("regexFind('[a-z][0-9]', 'abc1d2')", "c1"),
    ("regexFindAll('[2468]', '123456', -1)", ["2", "4", "6"]), ("regexFindAll('[2468]', '123456', 2)", ["2", "4"]), ("regexSplit('z+', 'pizza', -1)", ["pi", "a"]),
    ("regexReplaceAll('a(x*)b', '-ab-axxb-', '${1}W')", "-W-xxW-"), ("regexReplaceAllLiteral('a(x*)b', '-ab-axxb-', '${1}')", "-${1}-${1}-"),
    ("regexQuoteMeta('1.2')", "1\\.2"), ("base('/a/b.c')", "b.c"), ("dir('/a/b')", "/a"), ("clean('/a/../b')", "/b"), ("ext('/a/b.tar.gz')", ".gz"), ("isAbs('/a')", True),
    ("int('12')", 12), ("int('x')", 0), ("int64(1.9)", 1), ("float64('1.5')", 1.5), ("atoi('7')", 7), ("toDecimal('777')", 511), ("add(1, '2', 3.7)", 6), ("add1(1)", 2),
    ("sub(5, 3)", 2), ("mul(2, 3, 4)", 24), ("div(7, 2)", 3), ("div(-7, 2)", -3), ("mod(7, 4)", 3), ("mod(-7, 4)", -3), ("max(1, '3', 2)", 3), ("min(4, 2)", 2),
    ("addf(1.5, 2)", 3.5), ("add1f(1.5)", 2.5), ("subf(3, 0.5)", 2.5), ("mulf(1.5, 2)", 3.0), ("divf(1, 2)", 0.5), ("maxf(1, 2.5)", 2.5), ("minf(1, 2.5)", 1.0),
    ("ceil(1.2)", 2.0), ("floor('1.8')", 1.0), ("round(123.5555, 3)", 123.556), ("round(1.25, 1, 0.9)", 1.2), ("until(3)", [0, 1, 2]), ("until(-2)", [0, -1]),
    ("untilStep(3, 9, 3)", [3, 6]), ("seq(3)", "1 2 3"), ("seq(2, 0)", "2 1 0"), ("seq(0, 2, 6)", "0 2 4 6"), ("semver('v1.2.3-beta.1+x').Prerelease", "beta.1"),
    ("semver('1.2').Minor", 2), ("semverCompare('^1.2.0', '1.9.0')", True), ("semverCompare('~1.2.0', '1.3.0')", False), ("semverCompare('>=1.2, <2', '1.5.0')", True),
    ("semverCompare('1.2.x', '1.2.9')", True), ("semverCompare('>1.0', '1.0.1-rc.1')", False), ("semverCompare('=1.0.0 || 2.x', '2.4.1')", True),
    ("date('2006-01-02', now())", "2024-02-29"), ("dateInZone('15:04', now(), 'Asia/Tokyo')", "21:30"), ("date_in_zone('15', now(), 'UTC')", "12"),
    ("htmlDate(now())", "2024-02-29"), ("dateModify('-12h', now()).Hour()", 0), ("date_modify('1h', now()).Hour()", 13), ("mustDateModify('1h', now()).Hour()", 13),
    ("toDate('2006-01-02', '2024-02-29').Day()", 29), ("mustToDate('2006-01-02', '2024-02-29').Day()", 29), ("unixEpoch(now())", "1709209815"),
    ("duration('95')", "1m35s"), ("durationRound(duration('2h10m5s'))", "2h"), ("durationRound(100000)", "1d"),
    ("list(1, 'a')", [1, "a"]), ("tuple(1)", [1]), ("first([1])", 1), ("first('ab')", "a"), ("last([1, 2])", 2), ("rest([1, 2])", [2]), ("initial([1, 2])", [1]),
    ("append([1], 2)", [1, 2]), ("push([1], 2)", [1, 2]), ("prepend([1], 2)", [2, 1]), ("concat([1], [2])", [1, 2]), ("reverse([1, 2])", [2, 1]), ("uniq([1, 1])", [1]),
    ("without([1, 2, 3], 2)", [1, 3]), ("has(2, [1, 2])", True), ("compact([0, 1, '', nil])", [1]), ("slice([1, 2, 3], 1, 2)", [2]), ("slice([1, 2], 1)", [2]),
    ("chunk(2, [1, 2, 3])", [[1, 2], [3]]), ("dict('a', 1, 'b')", {"a": 1, "b": ""}), ("get({a: 1}, 'a')", 1), ("get({a: 1}, 'b')", ""),
    ("set({a: 1}, 'b', 2)", {"a": 1, "b": 2}), ("unset({a: 1}, 'a')", {}), ("hasKey({a: 1}, 'a')", True), ("keys({b: 1, a: 1})", ["a", "b"]),
    ("values({b: 1, a: 2})", [2, 1]), ("pick({a: 1, b: 2}, 'a')", {"a": 1}), ("omit({a: 1, b: 2}, 'a')", {"b": 2}), ("pluck('a', {a: 1}, {b: 2}, {a: 3})", [1, 3]),
    ("dig('a', 'b', 0, {a: {b: 1}})", 1), ("dig('a', 'c', 0, {a: {b: 1}})", 0), ("merge({a: 1, c: {x: 1}}, {a: 2, b: 3, c: {y: 2}})", {"a": 1, "b": 3, "c": {"x": 1, "y": 2}}),
    ("mergeOverwrite({a: 1}, {a: 2})", {"a": 2}), ("default('d', '')", "d"), ("default('d', 'x')", "x"), ("default('d')", "d"), ("empty(0)", True), ("empty([1])", False),
    ("coalesce(nil, '', 'a')", "a"), ("coalesce()", None), ("all(1, '')", False), ("any('', 1)", True), ("ternary('y', 'n', true)", "y"), ("toJson({a: 1})", '{"a":1}'),
    ("toPrettyJson([1])", "[\n  1\n]"), ("toRawJson('<')", '"<"'), ("fromJson('[1]')", [1]), ("kindOf([])", "slice"), ("kindOf(1.5)", "float64"), ("kindIs('int', 1)", True),
    ("typeOf({})", "map[string]interface {}"), ("typeIs('string', 'a')", True), ("deepEqual([1], [1.0])", True),
]  # fmt: skip


@pytest.mark.parametrize(("source", "expected"), LANGUAGE)
def test_a_function_gives_its_value(source, expected):
    found = evaluate(source, ENV)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(("source", "expected"), SPRIG_ROWS)
def test_a_function_of_sprig_gives_its_value(source, expected):
    source = re.sub(r"\bnow\(\)", "now( )", f"sprig.{source}")
    found = evaluate(source, ENV)
    assert (found, type(found)) == (expected, type(expected))


def test_every_function_has_a_row():
    used = " ".join(source for source, _ in LANGUAGE)
    assert [name for name in BUILTINS if not re.search(rf"\b{name}\(", used)] == []
    used = " ".join(f" {source}" for source, _ in SPRIG_ROWS)
    assert [name for name in SPRIG if not re.search(rf" {name}\(", used)] == ["fail"]
    with pytest.raises(ExpressionError, match="it was made to fail: why"):
        evaluate("sprig.fail('why')", ENV)


@pytest.mark.parametrize("source", [
    "int('1 ')", "int('1_0')", "int(nil)", "int([])", "float('x')", "fromJSON('NaN')", "fromJSON('')", "fromBase64('?')", "join([1])", "max()", "max('a')", "mean([])",
    "fromPairs([1])", "date('x')", "date('2024-02-30')", "date('2024-01-01', '2006', 'UTC')", "timezone('Nowhere/X')", "timezone('../../etc/passwd')", "duration('1')",
    "duration('1h1')", "duration('')", "jsonpath('x', '$')", "jsonpath('{}', '$.a')", "jsonpath('{}', '$[')", "jsonpath('{}', '$.a b')", "bitshl(1, -1)", "repeat('a', -1)",
    "sort([[1], [2]])", "sort([1], 'up')", "keys(1)", "len(1)", "take(1, 1)", "reduce([], #)", "groupBy([1], [#])", "sprig.div(1, 0)", "sprig.mod(1, 0)", "sprig.divf(1, 0)",
    "sprig.semver('x')", "sprig.semverCompare('', '1')", "sprig.slice([1], 2)", "sprig.chunk(0, [1])", "sprig.round(1, 99)", "sprig.toDate('2006', 'x')", "sprig.first(1)",
    "sprig.date('2006', 'x')", "sprig.env('HOME')", "sprig.expandenv('$HOME')", "sprig.randAlpha(5)", "sprig.uuidv4()", "sprig.genPrivateKey('rsa')", "sprig.getHostByName('x')",
    "sprig.mul(9223372036854775807, 2)", "sprig.toDecimal('9')", "now().Nope()", "now().Format()", "now().Format(1)", "duration('1h').Year()", "nil.Year()", "split('a', 1)",
    "sprig.regexMatch('(', 'a')", "uniq(1)", "get(1, 1)", "now(1)", "map([1])", "filter([1], 1)",
])  # fmt: skip
def test_what_a_function_cannot_take_is_an_expression_error(source):
    with pytest.raises(ExpressionError, match=r"at column \d+; "):
        evaluate(source, ENV)


@pytest.mark.parametrize(("micros", "text"), [("0s", "0s"), ("1us", "1µs"), ("1500us", "1.5ms"), ("1.5s", "1.5s"), ("61s", "1m1s"), ("1h", "1h0m0s"), ("-90m", "-1h30m0s")])
def test_durations_are_written_as_go_does(micros, text):
    assert evaluate(f"duration('{micros}').String()", {}) == text


def test_a_result_of_a_function_can_always_be_written():
    for source, _ in LANGUAGE:
        if "timezone('UTC')" not in source:
            assert isinstance(to_text(evaluate(source, ENV)), str)


REFERENCE = Path(__file__).resolve().parents[2] / "docs/reference/expressions.md"


def reference_rows():
    """What the page's tables should say, in order."""
    for name, (least, most, _, gives) in sorted(CLOSURES.items()):
        third = {"reduce": "any", "sortBy": "string"}.get(name, "")
        rest = f", {third}?" if most == 3 else ""
        yield f"| `{name}(array, closure{'?' if least == 1 else ''}{rest})` | {gives} |"
    for table in (BUILTINS, SPRIG):
        for name in sorted(table, key=str.lower):
            yield f"| `{table[name].signature()}` | {table[name].gives} |".replace("string|array|map", "string\\|array\\|map")


def test_the_reference_lists_every_function_as_it_is():
    listed = [line for line in REFERENCE.read_text().splitlines() if re.match(r"\| `[\w.]+\(.*\)` \|", line)]
    assert listed == list(reference_rows())
