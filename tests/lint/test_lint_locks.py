"""Whether manifests can lock each other up, and how their locks are named.

The table is data/locks.txt, in the form of data/findings.txt; notes are told in it. The property compares the verdict with all
that can happen to little programs, each workflow of them with two runs.
"""

from __future__ import annotations

import time

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from lint_rows import parse, read_rows
from lock_programs import Model, Node, manifest, node

from reconciler.lint import lint_files
from reconciler.manifest import parse_file

ROWS = read_rows("locks.txt")


@pytest.mark.parametrize(("texts", "expected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_what_is_wrong_with_locks_is_told_in_exact_words(texts, expected):
    files = [parse(path, text) for path, text in texts.items()]
    assert [str(finding) for finding in lint_files(files, {}, notes=True)] == expected


@pytest.mark.parametrize(("texts", "expected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_notes_are_told_only_to_those_who_ask_and_in_any_order_of_files(texts, expected):
    files = [parse(path, text) for path, text in reversed(texts.items())]
    told = {str(finding).split(": ", 2)[1] for finding in lint_files(files, {})}
    assert told == {line.split(": ", 2)[1] for line in expected if ": note " not in line}


LOCKS = st.sets(st.sampled_from("abc"), max_size=2).map(frozenset)
LEAVES = st.builds(Node, LOCKS, st.just(()))
GROUPS = st.lists(st.lists(LEAVES, min_size=1, max_size=2).map(tuple), min_size=1, max_size=2).map(tuple)
MIDDLES = st.builds(Node, LOCKS, GROUPS) | LEAVES
ENTRIES = st.builds(Node, LOCKS, st.lists(st.lists(MIDDLES, min_size=1, max_size=2).map(tuple), max_size=2).map(tuple))
RUNS = st.builds(lambda locks, entry: Node(locks, ((entry,),)), LOCKS, ENTRIES).filter(lambda run: size(run) <= 6)


def size(one: Node) -> int:
    return 1 + sum(size(child) for group in one.groups for child in group)


def has_circle(workflows: tuple[Node, ...]) -> bool:
    files = [parse_file(f"w{n}.yaml", "", manifest(f"w{n}", one).encode()) for n, one in enumerate(workflows)]
    assert not any(file.is_bad for file in files)
    return any(finding.rule == "LC506" for finding in lint_files(files, {}))


@settings(max_examples=60, deadline=None)
@given(st.lists(RUNS, min_size=1, max_size=2).map(tuple))
def test_no_program_that_lint_finds_clean_can_lock_up(workflows):
    assume(sum(size(one) for one in workflows) <= 9)
    assert has_circle(workflows) or not Model(workflows * 2).finds_deadlock()


AB, BA = node("a", (node("b"),)), node("b", (node("a"),))
LOCK_UPS = {
    "two levels, two orders": (node("a", (node("b"),)), node("b", (node("a"),))),
    "branches": (node("", (node("", (AB, BA)),)),),
    "two runs, one after the other": (node("", (node("", (AB,), (BA,)),)),),
    "branches inside a mutex": (node("g", (node("", (AB, BA)),)),),
    "turns inside a mutex": (node("a", (node("", (AB, BA)),)),),
    "blocks of two": (node("a", (node("bc"),)), node("c", (node("a"),))),
}
FREE = {
    "one level": (node("ab", (node(""),)), node("", (node("ba"),))),
    "one order": (node("a", (node("b"),)), node("", (AB,))),
    "one after the other inside a mutex": (node("g", (node("", (AB,), (BA,)),)),),
    "a mutex around both": (node("g", (AB,)), node("g", (BA,))),
    "a lock of the run": (node("a", (node("", (node("a"), node("a"))),)),),
    "turns one after the other": (node("a", (node("", (AB,), (BA,)),)),),
    "both from outside": (node("ab", (node("", (node("a"), node("b"))),)), node("ab", (BA,))),
}


@pytest.mark.parametrize("name", LOCK_UPS)
def test_programs_that_can_lock_up_are_told(name):
    assert (has_circle(LOCK_UPS[name]), Model(LOCK_UPS[name] * 2).finds_deadlock()) == (True, True)


@pytest.mark.parametrize("name", FREE)
def test_programs_that_cannot_lock_up_are_not_told(name):
    assert (has_circle(FREE[name]), Model(FREE[name] * 2).finds_deadlock()) == (False, False)


def test_a_circle_among_very_many_workflows_is_found_in_little_time():
    """A thousand hold the one and want the other, a thousand the other way round, all behind gates of their own."""
    text = manifest("w", node("xy", (node("z"),))).replace("lock-", "")
    files = []
    for n in range(2000):
        held, wanted = ("a", "b") if n % 2 else ("b", "a")
        one = text.replace("name: w", f"name: w{n}").replace("name: x", f"name: gate-{n}")
        one = one.replace("name: y", f"name: {held}").replace("name: z", f"name: {wanted}")
        files.append(parse_file(f"w{n}.yaml", "", one.encode()))
    began_at = time.process_time()
    found = [finding for finding in lint_files(files, {}) if finding.rule == "LC506"]
    assert time.process_time() - began_at < 5
    assert len(found) == 1


def test_many_names_are_compared_in_little_time():
    block = ", ".join(f"{{name: lock-{chr(97 + n % 26) * 5}-{chr(97 + n // 26 % 26) * 6}-{n // 676}x}}" for n in range(9000))
    text = (
        "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: w}\nspec:\n  entrypoint: m\n"
        f"  synchronization: {{mutexes: [{block}]}}\n  templates:\n  - {{name: m, container: {{image: host, command: [sh]}}}}\n"
    )
    files = [parse_file(f"{n}.yaml", "", text.replace("name: w", f"name: w{n}").encode()) for n in range(2)]
    began_at = time.process_time()
    lint_files(files, {}, notes=True)
    assert time.process_time() - began_at < 5
