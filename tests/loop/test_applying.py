"""A document that cannot be applied costs itself; what comes with it is applied, and what was live of it stays live."""

from __future__ import annotations

import sqlite3

import pytest
import swaps
from loop_harness import API, parsed

from reconciler.clock import to_text
from reconciler.loop import applying, revision
from reconciler.model.images import Images
from reconciler.model.source import BranchMissing, BranchRead, Revision
from reconciler.source.parsing import manifest_parser
from reconciler.store import catalogue

PARSE = manifest_parser(Images())


def template(name, note="x"):
    spec = {"entrypoint": "a", "templates": [{"name": "a", "container": {"image": "i", "command": [note]}}]}
    return {"apiVersion": API, "kind": "WorkflowTemplate", "metadata": {"name": name}, "spec": spec}


def workflow(name):
    return {**template(name), "kind": "Workflow"}


def cron(name):
    spec = {"schedules": ["0 3 * * *"], "workflowSpec": template(name)["spec"]}
    return {"apiVersion": API, "kind": "CronWorkflow", "metadata": {"name": name}, "spec": spec}


def limits():
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "l"}, "data": {"a": "1"}}


class Broken(Exception):
    """What nobody thought of."""


def breaks(monkeypatch, name, place=catalogue, error=Broken, function="_insert"):
    whole = getattr(place, function)

    def broken(*args, **kwargs):
        result = whole(*args, **kwargs)
        if name in repr(args[1:]):
            raise error(name)
        return result

    monkeypatch.setattr(place, function, broken)
    return lambda: monkeypatch.setattr(place, function, whole)


def live(world):
    sql = "SELECT name, stale FROM definition WHERE retired_at IS NULL ORDER BY name"
    return [(name, stale.partition(" cannot")[0]) for name, stale in world.writer.db.execute(sql)]


def offer(world, *files, removed=()):
    world.serial += 1
    sha = f"{world.serial:040x}"
    previous = world.writer.meta("applied")
    changed = tuple(parsed(path, *bodies) for path, bodies in files)
    world.inbox.put(Revision(sha=sha, previous=previous, at=world.clock.at, changed=changed, removed=removed))
    world.loop.tick(world.runtime, world.effects)
    return sha


def findings(world):
    return list(world.writer.db.execute("SELECT path, bad, refused FROM file WHERE bad = 1 ORDER BY path"))


def test_the_other_documents_are_applied_and_the_one_is_told_and_tried_again(world, monkeypatch):
    mend = breaks(monkeypatch, "'two'")
    files = {"a.yaml": [template("one"), cron("night")], "b.yaml": [template("two"), limits()], "c.yaml": [workflow("run")]}
    sha = offer(world, *files.items())
    assert world.writer.meta("applied") == sha
    assert live(world) == [("l", ""), ("night", ""), ("one", ""), ("run", "")]
    assert findings(world) == [("b.yaml", 1, 1)]
    assert [name for (name,) in world.writer.db.execute("SELECT name FROM run")] == ["run"]
    said = world.loop._answers._last[1]["lines"]
    mistake = next(line for line in said if "LC913" in line)
    assert mistake.startswith("b.yaml:")
    assert "the document cannot be applied: Broken at loop/test_applying.py:" in mistake
    assert "added: WorkflowTemplate default/two" not in said
    assert "added: WorkflowTemplate default/one" in said
    assert mistake.rpartition(" ")[2] in "".join(world.errors.texts)

    mend()
    world.errors.texts.clear()
    offer(world, ("b.yaml", [template("two"), limits()]))
    assert ("two", "") in live(world)
    assert findings(world) == []


def test_the_last_good_version_stays_live_and_says_so(world, monkeypatch):
    world.push(template("one"), template("two", "good"))
    breaks(monkeypatch, "bad")
    offer(world, ("all.yaml", [template("one", "new"), template("two", "bad")]))
    bodies = dict(world.writer.db.execute("SELECT name, body_json FROM definition WHERE retired_at IS NULL"))
    assert "new" in bodies["one"]
    assert "good" in bodies["two"]
    assert dict(live(world))["two"].startswith("all.yaml:")
    assert "LC913" in dict(live(world))["two"]
    told = "stale: WorkflowTemplate default/two: the last good version stays live"
    assert any(line.startswith(told) for line in world.loop._answers._last[1]["lines"])


@pytest.mark.parametrize("error", [sqlite3.IntegrityError, UnicodeError, RecursionError, MemoryError, OverflowError, TypeError])
def test_whatever_it_is_it_is_that_documents(world, monkeypatch, error):
    breaks(monkeypatch, "'two'", error=error)
    offer(world, ("a.yaml", [template("one"), template("two")]))
    assert live(world) == [("one", "")]


def test_what_follows_a_change_is_undone_with_it(world, monkeypatch):
    breaks(monkeypatch, "'night'", place=applying.crons, function="see")
    offer(world, ("a.yaml", [cron("night"), cron("day")]))
    assert live(world) == [("day", "")]
    assert [name for (name,) in world.writer.db.execute("SELECT name FROM cron")] == ["day"]


def test_a_removal_that_fails_leaves_what_is_live(world, monkeypatch):
    world.push(*[template(name) for name in ("one", "two", "three", "four")])
    whole = catalogue._touch

    def broken(writer, sql, values):
        if "retired_at" in sql.split("WHERE")[0] and "two" in values:
            raise Broken
        whole(writer, sql, values)

    monkeypatch.setattr(catalogue, "_touch", broken)
    offer(world, ("all.yaml", [template("one"), template("four")]))
    assert [name for name, _ in live(world)] == ["four", "one", "two"]


def test_a_run_that_cannot_be_made_holds_up_no_other(world, monkeypatch):
    breaks(monkeypatch, "name='two'", place=revision, function="submit")
    offer(world, ("a.yaml", [workflow("one"), workflow("two"), workflow("zoo")]))
    assert [name for (name,) in world.writer.db.execute("SELECT name FROM run ORDER BY name")] == ["one", "zoo"]
    assert any("not run: a.yaml:" in line and "a mistake of ours" in line for line in world.loop._answers._last[1]["lines"])


def test_a_fault_of_the_store_is_no_documents(world, monkeypatch):
    mend = breaks(monkeypatch, "'two'", error=sqlite3.OperationalError)
    offer(world, ("a.yaml", [template("one"), template("two")]))
    assert live(world) == []
    assert "could not be applied" in world.writer.meta("source_state")
    assert world.writer.meta("source_since") == to_text(world.clock.at)
    mend()
    world.errors.texts.clear()
    offer(world, ("a.yaml", [template("one"), template("two")]))
    assert (live(world), world.writer.meta("source_state")) == ([("one", ""), ("two", "")], "")


def test_foreign_documents_are_counted_in_the_answer(world):
    offer(world, ("a.yaml", [template("one"), {"kind": "Service"}, {"a": 1}]), ("b.yaml", [{"b": 2}]))
    assert world.loop._answers._last[1]["lines"][-1] == "skipped: 3 foreign documents in 2 files"


def test_a_branch_that_cannot_be_read_is_told_until_it_can(world):
    world.push(template("one"))
    head = "f" * 40
    for _ in range(2):
        world.inbox.put(BranchMissing(at=world.clock.at, reason="blob 1 could not be read", head=head))
        world.tick(1)
    assert world.writer.meta("source_state") == "blob 1 could not be read"
    assert world.loop._answers._last == (head, {"lines": ["blob 1 could not be read"], "state": "not read"})
    world.inbox.put(BranchRead(sha=world.writer.meta("applied")))
    world.tick(1)
    assert (world.writer.meta("source_state"), world.writer.meta("source_since")) == ("", "")
    kinds = [kind for (kind,) in world.writer.db.execute("SELECT kind FROM journal WHERE kind LIKE 'source.%' ORDER BY seq")]
    assert kinds == ["source.missing", "source.read"]


def test_swapped_types_that_the_checks_let_pass_are_applied(world):
    """Whatever the reader takes, the rows take as well: each place of each document with one value of another type."""
    documents = swaps.documents()
    for number, data in enumerate(documents):
        files = []
        for count, at in enumerate(swaps.paths(data)):
            body = swaps.swapped(data, at, swaps.SWAPS[count % len(swaps.SWAPS)])
            file = PARSE(f"{number}/{count}.yaml", "", swaps.as_text(body), False)
            if at and not file.is_bad and file.documents:
                files.append((file.path, [{**body, "metadata": {**body["metadata"], "name": f"w{number}-{count}"}}]))
        offer(world, *files)
        said = world.loop._answers._last[1]["lines"]
        assert [line for line in said if "mistake of ours" in line or "could not be applied" in line] == []
    assert world.errors.texts == []
