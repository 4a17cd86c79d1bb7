"""Valid YAML is read as other readers read it: generated texts beside ruamel's own reader in Python, and a table of scalars.

The oracle shares nothing with the reader here but the language: another scanner, another composer, another merge.
"""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from reconciler.manifest.positions import Positions
from reconciler.manifest.text import UnreadableText, read_documents

WORDS = st.sampled_from(["a", "b", "c", "w x", "k1", "host"])
ANCHORS = st.sampled_from(["x", "y", "z"])


def oracle(text: str) -> list[Any]:
    reader = YAML(typ="safe", pure=True)
    reader.allow_duplicate_keys = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an anchor may be given twice
        return [plain(each) for each in reader.load_all(text)]


def plain(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: plain(item) for key, item in data.items()}
    return [plain(item) for item in data] if isinstance(data, list) else data


@st.composite
def trees(draw, depth=3, known=frozenset()):
    """A node as (flow text, anchors known after it): anchors may stand anywhere, and come again."""
    known = set(known)
    name = draw(st.none() | ANCHORS)
    kind = draw(st.sampled_from(["text", "alias", "list", "map", "map"] if depth else ["text", "alias"]))
    if kind == "alias" and known:
        return f"*{draw(st.sampled_from(sorted(known)))} ", frozenset(known)
    if kind == "list":
        text, known = draw(lists(depth, frozenset(known)))
    elif kind == "map":
        text, known = draw(maps(depth, frozenset(known)))
    else:
        text = draw(WORDS | WORDS.map(lambda word: f'"{word}"') | WORDS.map(lambda word: f"!!str {word}"))
    known = set(known)
    if name and not text.startswith("*"):
        text = f"&{name} {text}"
        known.add(name)
    return text, frozenset(known)


@st.composite
def lists(draw, depth, known):
    parts = []
    for _ in range(draw(st.integers(0, 3))):
        text, known = draw(trees(depth - 1, known))
        parts.append(text)
    return f"[{', '.join(parts)}]", known


@st.composite
def maps(draw, depth, known):
    """Keys that may come twice, with an anchor of their own, and merges of mappings, of aliases and of lists of both."""
    parts = []
    for _ in range(draw(st.integers(0, 4))):
        key = draw(st.sampled_from(["a", "b", "c", '"d"', "<<", "<<"]))
        if key == "<<":
            if any(part.startswith("<<") for part in parts):
                continue
            text, known = draw(merged(depth, known))
        else:
            if draw(st.integers(0, 5)) == 0:
                name = draw(ANCHORS)
                key = f"&{name} {key}"
                known |= {name}
            text, known = draw(trees(depth - 1, known))
        parts.append(f"{key} : {text}")
    return f"{{{', '.join(parts)}}}", known


@st.composite
def merged(draw, depth, known):
    if draw(st.booleans()):
        return draw(maps(max(depth - 1, 0), known) if depth else st.just(("{}", known)))
    parts = []
    for _ in range(draw(st.integers(1, 3))):
        text, known = draw(maps(depth - 1, known) if depth else st.just(("{}", known)))
        name = draw(st.none() | ANCHORS)
        if name:
            text, known = f"&{name} {text}", known | {name}
        parts.append(text)
    aliases = draw(st.lists(st.sampled_from(sorted(known)), max_size=2)) if known else []
    return f"[{', '.join([*parts, *(f'*{name} ' for name in aliases)])}]", known


def check(text: str) -> None:
    try:
        read = list(read_documents(text.encode()))
    except UnreadableText:
        with pytest.raises(YAMLError):
            oracle(text)
        return
    for raw in read:
        positions = Positions(raw.data, raw.spots)
        assert all(spot > (0, 0) for spot in [positions.value(()), positions.key(("nowhere",))])
        assert len(raw.spots) == 1 + sum(1 for _ in inner(raw.data))
    if any(raw.problems for raw in read):
        return  # keys given twice, merges of what is no mapping: refused here, whatever others make of them
    assert [raw.data for raw in read] == oracle(text)


def inner(data: Any):
    """One for each spot below a value: each key, and each value in it."""
    for item in data.values() if isinstance(data, dict) else data if isinstance(data, list) else ():
        yield from range(1 + isinstance(data, dict))
        yield from inner(item)


@settings(max_examples=120, deadline=None)
@given(trees())
def test_flow_text_is_read_as_the_other_reader_does_wherever_its_anchors_stand(made):
    check(made[0])


@settings(max_examples=60, deadline=None)
@given(st.lists(trees(depth=2), min_size=1, max_size=3), st.sampled_from(["\n", "\r\n"]), st.booleans(), st.booleans())
def test_documents_are_told_apart_whatever_ends_their_lines(made, newline, bom, dots):
    lines = []
    for text, _ in made:
        lines += [f"--- {text}", *(["..."] if dots else [])]
    check(("\ufeff" if bom else "") + newline.join(lines) + newline)


@settings(max_examples=60, deadline=None)
@given(st.recursive(WORDS, lambda each: st.lists(each, max_size=3) | st.dictionaries(WORDS, each, max_size=3), max_leaves=12))
def test_what_the_other_reader_writes_is_read_back(data):
    import io

    for flow in (True, False):
        out = io.StringIO()
        writer = YAML(typ="safe", pure=True)
        writer.default_flow_style = flow
        writer.dump(data, out)
        assert [raw.data for raw in read_documents(out.getvalue().encode())] == [data]


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("{1: a, true: b, 2.5: c, -3: d}", {"1": "a", "true": "b", "2.5": "c", "-3": "d"}),
        ("{a: &k name, *k : x}", {"a": "name", "name": "x"}),
        ("{!!merge <<: {a: 1}, b: 2}", {"b": 2, "a": 1}),
        ('{"<<": {a: 1}}', {"<<": {"a": 1}}),
        ("[&y [&y a], *y ]", [["a"], "a"]),
        ("{<<: [{a: 1}, {a: 2, b: 3}], b: 4}", {"b": 4, "a": 1}),
        ("a: 0o17\nb: 017\nc: 1_000\nd: 0b11\n", {"a": 15, "b": 15, "c": 1000, "d": 3}),
        ("e: 1:30\nf: 2026-01-02\n", {"e": "1:30", "f": "2026-01-02"}),
        ("a: &x 1\nb: &x 2\nc: *x\n", {"a": 1, "b": 2, "c": 2}),
        ("%YAML 1.1\n---\na: yes\n", {"a": True}),
        ("%YAML 1.2\n---\na: yes\n", {"a": True}),
        ("a: |+\n  x\n\n", {"a": "x\n\n"}),
        ("a: >-\n  x\n  y\n", {"a": "x y"}),
        ('a: "x\\\n  y"\n', {"a": "xy"}),
        ("a:\n- b\n-\n- ~\n", {"a": ["b", None, None]}),
        ("? a\n: b\n? c\n", {"a": "b", "c": None}),
        ("a:\tb\n", {"a": "b"}),
        ("a: b\t# c\n", {"a": "b"}),
        ("a: 'it''s'\n", {"a": "it's"}),
        ("- !!str 1\n- !!float 1\n- !!int 1\n- ! 1\n- !!null ''\n", ["1", 1.0, 1, "1", None]),
    ],
)
def test_valid_text_is_read_as_kubernetes_reads_it(text, data):
    (raw,) = read_documents(text.encode())
    assert (raw.data, raw.problems) == (data, ())
    assert len(raw.spots) == 1 + sum(1 for _ in inner(raw.data))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{&x a: &y [*y ]}", "stands inside its own anchor"),
        ("{yes: a}", 'key "yes" is read as true'),
        ("{~: a}", 'key "~" is read as null'),
        ("{010: a}", 'key "010" is read as 8'),
        ("{[a]: b}", "a key is a list"),
        ("{a: &k [b], *k : c}", "a key is a list, a mapping or an alias"),
        ("{<<: a}", "a merge key needs a mapping"),
        ("{<<: [[a]]}", "a merge key needs a mapping"),
    ],
)
def test_text_that_no_reader_takes_or_that_is_a_trap_is_told(text, why):
    (raw,) = read_documents(text.encode())
    assert why in raw.problems[0].message
