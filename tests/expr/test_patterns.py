"""Regular expressions: the same answers as Python's engine where both agree on the language, and never slow."""

# ruff: noqa: E501 - a row of a table is one line

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.expr.errors import Fault
from reconciler.expr.patterns import find_all, search
from reconciler.expr.values import Meter


def found(pattern, text):
    match = search(pattern, text, Meter())
    return match and match.group(0)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("a", "bab", "a"), ("^a", "ba", None), ("a$", "ba", "a"), ("a$", "a\n", None), (r"a\z", "ba", "a"), (r"\Aa", "ab", "a"), ("a|ab", "ab", "a"),
        ("a*?b", "aab", "aab"), ("a+?", "aaa", "a"), ("(a|b)*c", "ababc", "ababc"), ("a{2,3}", "aaaa", "aaa"), ("a{2}", "aaa", "aa"), ("a{2,}?", "aaaa", "aa"),
        ("[^a-c]+", "abxyc", "xy"), ("[[:digit:]]+", "a12", "12"), ("[[:alpha:]_]+", "1a_b", "a_b"), ("[]a]+", "x]a", "]a"), ("[^]a]", "]ax", "x"), ("[a[]", "[", "["),
        (r"\d+", "a٣1", "1"), (r"\w+", "éa1_", "a1_"), (r"\bfoo\b", "a foo b", "foo"), (r"\Boo", "foo", "oo"), (r"\S+", " a ", "a"), (r"[\D]", "1a", "a"),
        ("(?i)AbC", "xabc", "abc"), ("(?i)[a-z]+", "ABC1", "ABC"), ("(?s)a.b", "a\nb", "a\nb"), ("a.b", "a\nb", None), ("(?m)^b$", "a\nb", "b"), ("(?i:a)b", "Ab", "Ab"),
        ("(?P<n>a)", "a", "a"), ("(?<n>a)", "a", "a"), ("(?:ab)+", "abab", "abab"), ("", "abc", ""), ("x*", "aaa", ""), (r"\.", "a.b", "."), (r"\x41", "A", "A"),
    ],
)  # fmt: skip
def test_the_leftmost_preferred_match_is_found(pattern, text, expected):
    assert found(pattern, text) == expected


@pytest.mark.parametrize("pattern", ["(?=a)", "(?<=a)b", r"(a)\1", "(", "[", "a{1001}", "*", "(?P<n>a)(?P=n)", "((a{100}){100}){100}", "a" * 3000, r"\pL", "(?>a)", "a++"])
def test_what_re2_does_not_know_is_refused(pattern):
    with pytest.raises(Fault):
        search(pattern, "a", Meter())


PATTERNS = st.recursive(
    st.sampled_from(["a", "b", "[ab]", "[^a]", ".", "c"]),
    lambda inner: st.tuples(inner, inner).map("".join)
    | st.tuples(inner, inner).map(lambda two: f"(?:{two[0]}|{two[1]})")
    | st.tuples(inner, st.sampled_from(["*", "+", "?", "*?", "+?", "{1,2}"])).map(lambda two: f"({two[0]}){two[1]}"),
    max_leaves=6,
)


@settings(max_examples=300)
@given(PATTERNS, st.text("abc", max_size=8))
def test_it_finds_where_python_finds(pattern, text):
    mine, theirs = search(pattern, text, Meter()), re.search(pattern, text)
    assert (mine is None) == (theirs is None)
    if mine and theirs:
        assert mine.spans[0][0] == theirs.start()


@given(st.sampled_from(["a", "ab", "[ab]+", "a*", "b|", "c+?", "(a)(b)?"]), st.text("abc", max_size=8))
def test_all_matches_are_those_of_go(pattern, text):
    expected, end = [], -1
    for match in re.finditer(pattern, text):
        if match.group(0) or match.start() != end:
            expected.append(match.group(0))
        end = match.end()
    assert [match.group(0) for match in find_all(pattern, text, Meter())] == expected


@pytest.mark.parametrize("pattern", ["^(a+)+$", "(a|aa)+$", "(a|aa?)+$", "(.*)*x", "a*a*a*a*a*a*b", "(a*)*(a*)*b"])
def test_no_pattern_runs_away(pattern):
    began = time.process_time()
    assert found(pattern, "a" * 2000 + "!") is None
    assert time.process_time() - began < 2
