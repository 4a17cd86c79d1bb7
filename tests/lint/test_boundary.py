"""A mistake of ours in one check: a finding on the document that it fails on, and everything else is told as ever."""

from __future__ import annotations

import pytest
from lint_rows import parse

from reconciler.errors import Transient
from reconciler.lint import check, lint_files
from reconciler.lint import others as other_locks
from reconciler.model.images import Images
from reconciler.model.spec import Severity
from reconciler.source.parsing import manifest_parser

TEXT = """\
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: NAME}
spec:
  entrypoint: main
  templates:
  - {name: main, container: {image: host, command: ["true"], args: ["{{no.such}}"]}}
  - {name: idle, synchronization: {mutexes: [{name: LOCK}]}, container: {image: host, command: ["true"]}}
"""
PER_DOCUMENT = [
    "check_cron", "check_infrastructure", "check_freeze", "check_annotations", "check_barriers", "check_spelling", "asks_of",
]  # fmt: skip
SPARED = ["check_policy", "check_references", "check_order", "check_outputs", "check_tags", "check_needs", "check_locks"]


class Broken(Exception):
    """What nobody thought of."""


def files():
    texts = [TEXT.replace("NAME", name).replace("LOCK", lock) for name, lock in (("one", "deploy"), ("two", "Deploy"))]
    return [parse(f"{number}.yaml", text) for number, text in enumerate(texts)]


def name_in(argument):
    if isinstance(argument, list):
        return {name for one in argument for name in name_in(one)}
    document = getattr(getattr(argument, "view", argument), "document", argument)
    return {getattr(document, "name", "")}


def breaking(found, wanted):
    """The check, but it fails after it has found what it finds wherever the document of that name is looked at."""

    def broken(*args):
        result = found(*args)
        if any(wanted in name_in(one) for one in args):
            raise Broken
        return result

    broken.__name__ = found.__name__
    return broken


@pytest.mark.parametrize("name", PER_DOCUMENT)
def test_a_check_that_fails_on_a_document_is_told_there_and_all_others_are_made(monkeypatch, name):
    before = lint_files(files(), {}, notes=True)
    monkeypatch.setattr(check, name, breaking(getattr(check, name), "one"))
    found = lint_files(files(), {}, notes=True)
    mistakes = [f for f in found if f.rule == "LC911"]
    assert [(str(f.place), f.severity) for f in mistakes] == [("0.yaml:1:1", Severity.ERROR)]
    assert "Broken at lint/test_boundary.py:" in mistakes[0].message
    assert "a mistake of ours, not of the manifest; report it with reference" in mistakes[0].message
    assert mistakes[0].message.split()[-1] in mistakes[0].trace
    assert set(before) - set(found) <= {f for f in before if f.rule in ("LC508", "LC509") or f.place.path == "0.yaml"}
    assert [f for f in found if f.place.path == "1.yaml" and f.rule not in ("LC508", "LC509")] == [
        f for f in before if f.place.path == "1.yaml" and f.rule not in ("LC508", "LC509")
    ]


@pytest.mark.parametrize("name", SPARED)
def test_what_a_rule_tells_is_lost_with_it_and_nothing_else(monkeypatch, name):
    before = lint_files(files(), {})
    broken = tuple(breaking(one, "one") if one.__name__ == name else one for one in check._CHECKS)
    monkeypatch.setattr(check, "_CHECKS", broken)
    found = lint_files(files(), {})
    assert [f.place.path for f in found if f.rule == "LC911"] == ["0.yaml"]
    assert {f for f in before if f.place.path == "1.yaml"} <= set(found)


@pytest.mark.parametrize("name", ["check_pipelines", "check_circles", "check_names"])
def test_a_check_across_documents_is_made_without_the_one_that_it_fails_on(monkeypatch, name):
    locks = dict(zip(("one", "two", "three"), ("de-ploy", "De-ploy", "de_ploy"), strict=True))
    text = TEXT
    if name != "check_names":
        locks = dict.fromkeys(locks, "inner")
        text = text.replace("{name: NAME}", "{name: NAME, annotations: {lineclear.dev/pipeline: p}}")
        text = text.replace("entrypoint: main\n", "entrypoint: idle\n  synchronization: {mutexes: [{name: outer}]}\n")
    three = [parse(f"{n}.yaml", text.replace("NAME", one).replace("LOCK", lock)) for n, (one, lock) in enumerate(locks.items())]
    whole = getattr(check, name)
    seen = []

    def broken(*args):
        items = next(one for one in args if isinstance(one, list))
        seen.append(sorted(name_in(items)))
        result = whole(*args)
        if "one" in name_in(items):
            raise Broken
        return result

    monkeypatch.setattr(check, name, broken)
    found = lint_files(three, {})
    assert [(f.rule, f.place.path) for f in found if f.trace] == [("LC911", "0.yaml")]
    assert seen[-1] == ["three", "two"]
    if name == "check_names":
        assert "LC508" in {f.rule for f in found}


def test_a_check_across_documents_that_fails_only_with_all_of_them_is_a_warning_once(monkeypatch):
    whole = check.check_names

    def broken(tree, uses, others):
        whole(tree, uses, others)
        if len(uses) > 1:
            raise Broken

    monkeypatch.setattr(check, "check_names", broken)
    found = [f for f in lint_files(files(), {}) if f.trace]
    assert [(f.rule, f.severity, f.place.path) for f in found] == [("LC912", Severity.WARNING, "0.yaml")]


@pytest.mark.parametrize("error", [Transient("git is gone"), OSError("disk")])
def test_what_fails_from_outside_is_no_mistake_of_ours(monkeypatch, error):
    def broken(*_):
        raise error

    monkeypatch.setattr(check, "check_cron", broken)
    with pytest.raises(type(error)):
        lint_files(files(), {})


@pytest.mark.parametrize("error", [RecursionError(), MemoryError(), AssertionError(), UnicodeError("x"), StopIteration()])
def test_whatever_it_is_it_is_a_finding(monkeypatch, error):
    def broken(*_):
        raise error

    monkeypatch.setattr(check, "check_annotations", broken)
    assert [f.rule for f in lint_files(files()[:1], {}) if f.trace] == ["LC911"]


def test_a_rule_that_fails_makes_no_file_bad_for_it_may_be_right(monkeypatch, caplog):
    monkeypatch.setattr(check, "check_annotations", breaking(check.check_annotations, "one"))
    parsed = manifest_parser(Images())("w.yaml", "", TEXT.replace("NAME", "one").replace("no.such", "=1").encode(), False)
    assert [(f.rule, f.severity) for f in parsed.findings if f.trace] == [("LC911", Severity.WARNING)]
    assert not parsed.is_bad
    reference = next(f for f in parsed.findings if f.trace).message.split()[-1]
    assert [reference in record.getMessage() and "Traceback" in record.getMessage() for record in caplog.records] == [True]


def test_one_mistake_has_one_reference(monkeypatch):
    monkeypatch.setattr(check, "check_annotations", breaking(check.check_annotations, ""))

    def broken(*_):
        raise Broken

    monkeypatch.setattr(check, "check_annotations", broken)
    found = [f.message.split()[-1] for f in lint_files(files(), {}) if f.trace]
    assert len(found) == 2
    assert len(set(found)) == 1


def test_a_live_definition_that_cannot_be_looked_at_keeps_the_others(monkeypatch):
    outer = TEXT.replace("entrypoint: main\n", "entrypoint: idle\n  synchronization: {mutexes: [{name: outer}]}\n")
    here = parse("here.yaml", outer.replace("NAME", "here").replace("LOCK", "inner"))
    back = outer.replace("outer", "inner").replace("LOCK", "outer")
    live = [parse(f"{name}.yaml", back.replace("NAME", name)) for name in ("one", "two")]

    class Users:
        def counts(self):
            return {}

        def naming(self, keys, most):
            return [file.documents[0] for file in live]

    monkeypatch.setattr(other_locks, "asks_of", breaking(other_locks.asks_of, "one"))
    found = lint_files([here], {}, others=Users())
    assert [(f.rule, f.place.path) for f in found if f.trace] == [("LC911", "one.yaml")]
    assert "LC506" in {f.rule for f in found}
