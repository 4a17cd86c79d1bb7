"""Places: line and column of every key and value are those of the text, whatever the text's style."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.manifest import parse_file
from reconciler.manifest.positions import Positions
from reconciler.manifest.text import read_documents

TEXT = """\
a: 1
b:
  c: [x, {d: y}]
  "e f":
    - g: |
        h
    -   i
---
j: k
"""


def positions_of(text: str, index: int = 0) -> Positions:
    document = list(read_documents(text.encode()))[index]
    return Positions(document.data, document.spots)


@pytest.mark.parametrize(
    ("path", "key", "value"),
    [
        ((), (1, 1), (1, 1)),
        (("a",), (1, 1), (1, 4)),
        (("b",), (2, 1), (3, 3)),
        (("b", "c"), (3, 3), (3, 6)),
        (("b", "c", 0), (3, 7), (3, 7)),
        (("b", "c", 1), (3, 10), (3, 10)),
        (("b", "c", 1, "d"), (3, 11), (3, 14)),
        (("b", "e f"), (4, 3), (5, 5)),
        (("b", "e f", 0, "g"), (5, 7), (5, 10)),
        (("b", "e f", 1), (7, 9), (7, 9)),
        (("b", "E F", 1), (7, 9), (7, 9)),
        (("b", "nowhere", 3), (2, 1), (3, 3)),
    ],
)
def test_a_path_leads_to_the_place_of_its_key_and_value(path, key, value):
    positions = positions_of(TEXT)
    assert (positions.key(path), positions.value(path)) == (key, value)


def test_a_later_document_has_its_own_lines():
    assert positions_of(TEXT, 1).value(("j",)) == (9, 4)


def test_an_alias_stands_where_it_is_written_and_its_content_where_that_is():
    positions = positions_of("a: &x {k: v}\nb: *x\n")
    assert positions.value(("b",)) == (2, 4)
    assert positions.value(("b", "k")) == (1, 11)


def test_merged_keys_stand_where_they_are_written_and_do_not_shift_the_others():
    positions = positions_of("a: &x {k: [1, 2], l: w}\nb:\n  <<: *x\n  l: own\n  m: z\nc: 1\n")
    assert positions.key(("b", "l")) == (4, 3)
    assert positions.value(("b", "k", 1)) == (1, 15)
    assert positions.value(("b", "m")) == (5, 6)
    assert positions.value(("c",)) == (6, 4)


def test_a_key_that_is_given_twice_does_not_shift_the_others():
    assert positions_of("a: [1, 2]\na: [3]\nb: 1\n").value(("b",)) == (3, 4)


def test_a_wide_line_has_its_column():
    assert positions_of("{a: " + "x" * 200_000 + ", b: 1}").value(("b",)) == (1, 200_010)


def test_positions_travel_with_the_parsed_file():
    text = b"apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: w}\nspec: {entrypoint: a}\n"
    parsed = parse_file("f.yaml", "0" * 40, text)
    copy = pickle.loads(pickle.dumps(parsed))
    assert copy == parsed
    assert copy.documents[0].positions.value(("spec", "entrypoint")) == (4, 20)


plain = st.text(st.sampled_from("abcxz"), min_size=1, max_size=4)
trees = st.recursive(plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(plain, inner, max_size=3), max_leaves=12)


def write(value: object, indent: int) -> str:
    pad = "  " * indent
    if isinstance(value, dict) and value:
        return "".join(f"\n{pad}{key}: {write(item, indent + 1)}" for key, item in value.items())
    if isinstance(value, list) and value:
        return "".join(f"\n{pad}- {write(item, indent + 1)}" for item in value)
    return '"' + value + '"' if isinstance(value, str) else str(value)


def scalars(value: object, path: tuple = ()):
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from scalars(item, (*path, key))
    else:
        yield path, value


@given(st.dictionaries(plain, trees, min_size=1, max_size=3))
def test_the_text_at_the_place_of_a_scalar_is_that_scalar(tree):
    text = write(tree, 0).lstrip("\n") + "\n"
    (document,) = read_documents(text.encode())
    assert document.problems == ()
    lines = text.split("\n")
    positions = Positions(document.data, document.spots)
    for path, value in scalars(document.data):
        line, column = positions.value(path)
        assert lines[line - 1][column - 1 :].startswith(f'"{value}"')


@pytest.mark.parametrize(
    ("text", "path", "place"),
    [
        ("{<<: &base {image: host}, x: 1, <<: *base}", ("image",), (1, 13)),
        ("{<<: &base {image: host}, b: {<<: *base, c: 2}}", ("b", "image"), (1, 13)),
        ("{<<: [&a {k: v}, &b {l: w}], c: *b, d: *a}", ("d", "k"), (1, 11)),
        ("{<<: {a: &x [1, {y: z}]}, b: *x, c: 3}", ("b", 1, "y"), (1, 18)),
        ("a: &x {k: 1}\na: &y {k: 2}\nb: *y\nc: *x\n", ("b", "k"), (2, 8)),
        ("[? &k [1] : &v {m: n}, {e: *v, f: 1}]", (1, "f"), (1, 32)),
        ("a: &x {k: 1}\nb: &x {k: 2}\nc: *x\n", ("c", "k"), (2, 8)),
        ("a: &x 1\nb: {<<: {c: &x {d: e}}}\nc: *x\n", ("c", "d"), (2, 17)),
    ],
)
def test_an_anchor_may_stand_anywhere_and_shifts_nothing(text, path, place):
    assert positions_of(text).key(path) == place
