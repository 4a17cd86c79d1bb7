"""JSONPath templates print what kubectl prints."""

from __future__ import annotations

import contextlib
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import UsageError
from reconciler.expr.jsonpath import evaluate

LIST = {
    "kind": "List",
    "items": [
        {"metadata": {"name": "a", "labels": {"app.k8s.io/x": "1"}}, "n": 1, "ok": True, "gone": None},
        {"metadata": {"name": "b"}, "n": 2.5, "ok": False},
        {"metadata": {"name": "c", "labels": {}}, "n": "2"},
    ],
    "status": {"synchronization": {"mutex": {"holding": [{"mutex": "m", "holder": "h"}]}}},
    "text": 'caf\u00e9 "x"',
}
TABLE = [
    ("{.kind}", "List"),
    (".kind", "List"),
    ("kind", "List"),
    ("{$.kind}", "List"),
    ("{.text}", 'caf\u00e9 "x"'),
    ("kind is {.kind}!", "kind is List!"),
    ('{.kind}{"\\n\\t\\"x\\""}', 'List\n\t"x"'),
    ("{'a'}{'\\''}", "a'"),
    ("{.status.synchronization}", '{"mutex":{"holding":[{"holder":"h","mutex":"m"}]}}'),
    ("{.status.synchronization.mutex.holding[0].holder}", "h"),
    ("{.nowhere.at.all}", ""),
    ("{.items[9].n}", ""),
    ("{.kind.n}", ""),
    ("{.items[*].metadata.name}", "a b c"),
    ("{.items.*.n}", "1 2.5 2"),
    ("{..name}", "a b c"),
    ("{.items[0].n}", "1"),
    ("{.items[-1].n}", "2"),
    ("{.items[0:2].n}", "1 2.5"),
    ("{.items[:1].n}", "1"),
    ("{.items[-2:].n}", "2.5 2"),
    ("{.items[::2].n}", "1 2"),
    ("{.items[0,2].n}", "1 2"),
    ("{.items[0].ok} {.items[1].ok} {.items[0].gone}", "true false null"),
    ("{.items[0]['n','ok']}", "1 true"),
    ("{['kind']}", "List"),
    ('{.items[0].metadata.labels["app.k8s.io/x"]}', "1"),
    ("{.items[0].metadata.labels.app\\.k8s\\.io/x}", "1"),
    ('{.items[?(@.metadata.name=="b")].n}', "2.5"),
    ("{.items[?(@.metadata.name!='b')].n}", "1 2"),
    ("{.items[?(@.n>1)].metadata.name}", "b"),
    ("{.items[?( @.n <= 1 )].metadata.name}", "a"),
    ("{.items[?(@.n>=2.5)].metadata.name}", "b"),
    ("{.items[?(@.n<2)].metadata.name}", "a"),
    ("{.items[?(@.n==2)].metadata.name}", ""),
    ("{.items[?(@.ok==true)].metadata.name}", "a"),
    ("{.items[?(@.gone==null)].metadata.name}", "a"),
    ("{.items[?(@.metadata.labels)].metadata.name}", "a c"),
    ('{range .items[*]}{.metadata.name}={.n}{"\\n"}{end}', "a=1\nb=2.5\nc=2\n"),
    ("{range .items}[{.n}]{end}", "[1][2.5][2]"),
    ("{range .items[*]}{range .metadata.labels.*}{@}{end};{end}", "1;;;"),
    ("{range .items[:1]}{$.kind}-{@.n}{end}", "List-1"),
    ("{.items[?(@.n==1)]['metadata'].name}", "a"),
]  # fmt: skip


@pytest.mark.parametrize(("template", "expected"), TABLE)
def test_a_template_prints_as_kubectl_does(template, expected):
    assert evaluate(template, LIST) == expected


def test_an_empty_template_prints_the_whole():
    assert evaluate("{@}", {"b": 1, "a": [None]}) == evaluate("", {"b": 1, "a": [None]}) == '{"a":[null],"b":1}'


BAD = [
    ("{.a", "at character 4: } is missing"),
    ("{}", "at character 2: a path starts with . or ["),
    ("{.a b}", "at character 5: } is missing"),
    ('{"x}', "at character 2: the closing quote is missing"),
    ("{range .a}x", "at character 12: {range} has no {end}"),
    ("{end}", "at character 2: {end} has no {range}"),
    ("{.items[0}", "at character 10: ] is missing"),
    ("{.items[::0]}", "a slice cannot step by 0"),
    ("{.items[?(@.n==1]}", ")] is missing"),
    ("{.items[?(@.n==1 & @.n==2)]}", ")] is missing"),
    ("{..}", "a name is missing"),
    ("{a}", "a path starts with . or ["),
]


@pytest.mark.parametrize(("template", "expected"), BAD)
def test_a_template_that_cannot_be_read_is_told_with_its_place(template, expected):
    with pytest.raises(UsageError) as told:
        evaluate(template, LIST)
    assert str(told.value).startswith(f'jsonpath "{template}" cannot be read')
    assert expected in str(told.value)


@given(st.text(st.sampled_from("{}[]().*?@$'\"\\, 019-:=<>!anrged"), max_size=30))
def test_any_template_prints_or_is_told(template):
    with contextlib.suppress(UsageError):
        evaluate(template, LIST)


def test_it_starts_with_the_standard_library_alone():
    code = "import sys, reconciler.expr.jsonpath; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout.split()
    assert not {"dataclasses", "typing_extensions", "ruamel", "inspect"} & set(loaded)
