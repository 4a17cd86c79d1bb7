"""What applying a revision does: decisions as a table, then the properties that hold for every history."""

import hashlib
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.gitops import describe_plan, plan_revision, wanted_identities, wanted_runs
from reconciler.model.source import Catalogue, ChangeKind, LiveDefinition, Revision, identity_of
from reconciler.model.spec import Document, Finding, Kind, ParsedFile, Place, Severity

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def doc(name="w", path="a.yaml", text="1", *, kind=Kind.WORKFLOW, index=0, generate="", annotations=None):
    body = {"kind": kind.value, "name": name or generate, "text": text, "annotations": annotations or {}}
    return Document(
        kind=kind, namespace="default", name=name, generate_name=generate, labels={}, annotations=annotations or {},
        place=Place(path=path, line=1 + index, column=1), index=index, body=body,
        digest=hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest(),
    )  # fmt: skip


def good(path, *documents):
    return ParsedFile(path=path, blob="0", documents=documents, foreign=0, findings=())


def bad(path):
    finding = Finding(place=Place(path=path, line=3, column=5), rule="LC101", severity=Severity.ERROR, message="no")
    return ParsedFile(path=path, blob="0", documents=(), foreign=0, findings=(finding,))


def live(document, stale=""):
    return LiveDefinition(
        identity=identity_of(document), path=document.place.path, index=document.index, digest=document.digest, stale=stale
    )


def catalogue(*entries, total=None, ran=None, approved=()):
    by_identity = {e.identity: e for e in entries}
    return Catalogue(
        by_identity=by_identity, total=len(entries) if total is None else total, ran=ran or {}, approved=frozenset(approved)
    )


def revision(*files, removed=(), sha="f" * 40):
    return Revision(sha=sha, previous=None, at=NOW, changed=files, removed=tuple(removed))


def kinds(plan):
    return [(c.kind.value, c.identity[2]) for c in plan.changes]


def runs(plan):
    return [s.document.name or s.document.generate_name for s in plan.submissions]


def test_a_new_workflow_is_added_and_runs():
    plan = plan_revision(revision(good("a.yaml", doc())), catalogue())
    assert (kinds(plan), runs(plan), plan.held, plan.refused) == ([("added", "w")], ["w"], "", ())


def test_equal_content_plans_nothing():
    plan = plan_revision(revision(good("a.yaml", doc())), catalogue(live(doc())))
    assert (plan.changes, plan.submissions, plan.already_ran, plan.findings) == ((), (), (), ())
    assert describe_plan(plan) == ["nothing changes"]


def test_new_content_is_a_new_run_and_content_that_ran_is_not():
    edited = doc(text="2")
    plan = plan_revision(revision(good("a.yaml", edited)), catalogue(live(doc())))
    assert (kinds(plan), runs(plan)) == ([("changed", "w")], ["w"])
    ran = {(identity_of(edited), edited.digest): "w-1"}
    plan = plan_revision(revision(good("a.yaml", edited)), catalogue(live(doc()), ran=ran))
    assert (kinds(plan), runs(plan), [a.run_name for a in plan.already_ran]) == ([("changed", "w")], [], ["w-1"])
    assert describe_plan(plan) == [
        "not run: Workflow default/w (a.yaml:1:1): this content ran as w-1; to run it again: lineclear resubmit w-1"
    ]


def test_rerun_on_change_runs_content_that_ran_before():
    edited = doc(text="2", annotations={"lineclear.dev/rerun": "OnChange"})
    ran = {(identity_of(edited), edited.digest): "w-1"}
    plan = plan_revision(revision(good("a.yaml", edited)), catalogue(live(doc()), ran=ran))
    assert (runs(plan), plan.already_ran) == (["w"], ())
    assert runs(plan_revision(revision(good("a.yaml", edited)), catalogue(live(edited), ran=ran))) == []


@pytest.mark.parametrize("kind", [Kind.WORKFLOW_TEMPLATE, Kind.CRON_WORKFLOW, Kind.CONFIG_MAP])
def test_only_workflows_run(kind):
    plan = plan_revision(revision(good("a.yaml", doc(kind=kind))), catalogue())
    assert (kinds(plan), runs(plan)) == ([("added", "w")], [])


def test_a_renamed_file_only_moves():
    plan = plan_revision(revision(good("b.yaml", doc(path="b.yaml")), removed=["a.yaml"]), catalogue(live(doc())))
    assert (kinds(plan), runs(plan), plan.held) == ([("moved", "w")], [], "")


def test_a_bad_file_blocks_only_itself_and_its_definitions_go_stale():
    keep, template = doc("keep", "b.yaml"), doc("t", "a.yaml", kind=Kind.WORKFLOW_TEMPLATE)
    plan = plan_revision(revision(bad("a.yaml"), good("b.yaml", doc("new", "b.yaml"))), catalogue(live(template), live(keep)))
    assert kinds(plan) == [("added", "new"), ("stale", "t"), ("removed", "keep")]
    assert plan.changes[1].reason == "a.yaml:3:5: error LC101: no"
    assert [str(f) for f in plan.findings] == ["a.yaml:3:5: error LC101: no"]
    again = plan_revision(revision(bad("a.yaml")), catalogue(live(template, stale=plan.changes[1].reason)))
    assert again.changes == ()


def test_a_mended_file_with_the_old_content_is_fresh_and_does_not_run_again():
    plan = plan_revision(revision(good("a.yaml", doc())), catalogue(live(doc(), stale="bad")))
    assert (kinds(plan), runs(plan)) == ([("fresh", "w")], [])


def test_two_files_with_one_identity_are_both_refused_and_what_was_live_stays():
    one, two = doc(path="a.yaml", text="2"), doc(path="b.yaml", text="3")
    plan = plan_revision(revision(good("a.yaml", one), good("b.yaml", two)), catalogue(live(doc(path="a.yaml"))))
    assert (kinds(plan), runs(plan), plan.refused) == ([("stale", "w")], [], ("a.yaml", "b.yaml"))
    assert [(f.place.path, "b.yaml" in f.message or "a.yaml" in f.message) for f in plan.findings] == [
        ("a.yaml", True), ("b.yaml", True),
    ]  # fmt: skip


def test_a_newcomer_with_a_live_identity_is_refused_and_both_paths_are_named():
    newcomer = doc(path="b.yaml", text="2")
    plan = plan_revision(revision(good("b.yaml", newcomer, doc("ok", "b.yaml", index=1))), catalogue(live(doc())))
    assert (kinds(plan), runs(plan), plan.refused) == ([("added", "ok")], ["ok"], ("b.yaml",))
    assert [f.place.path for f in plan.findings] == ["a.yaml", "b.yaml"]


def test_a_bad_file_goes_on_claiming_what_is_live_from_it():
    plan = plan_revision(revision(bad("a.yaml"), good("b.yaml", doc(path="b.yaml"))), catalogue(live(doc())))
    assert (kinds(plan), plan.refused) == ([("stale", "w")], ("b.yaml",))


def test_one_file_that_says_an_identity_twice_is_refused_for_that_identity_only():
    plan = plan_revision(revision(good("a.yaml", doc(), doc(index=1), doc("ok", index=2))), catalogue())
    assert (kinds(plan), runs(plan)) == ([("added", "ok")], ["ok"])


@pytest.mark.parametrize(
    ("gone", "total", "is_held"),
    [(1, 1, True), (1, 2, False), (5, 6, False), (6, 7, True), (6, 20, False), (7, 20, True), (30, 100, False), (31, 100, True)],
)
def test_a_revision_that_removes_everything_or_too_much_is_held(gone, total, is_held):
    entries = [live(doc(f"w{i}", f"{i}.yaml")) for i in range(gone)]
    plan = plan_revision(revision(removed=[f"{i}.yaml" for i in range(gone)]), catalogue(*entries, total=total))
    assert bool(plan.held) is is_held
    assert not is_held or f"lineclear sync approve {'f' * 40}" in plan.held
    approved = plan_revision(
        revision(removed=[f"{i}.yaml" for i in range(gone)]), catalogue(*entries, total=total, approved=["f" * 40])
    )
    assert (approved.held, len(approved.changes)) == ("", gone)


def test_a_held_revision_says_so_and_nothing_else():
    plan = plan_revision(revision(removed=["a.yaml"]), catalogue(live(doc())))
    assert describe_plan(plan) == [f"held: {plan.held}"]


def test_runs_come_by_path_bytes_then_index():
    files = [
        good("é.yaml", doc("c", "é.yaml")),
        good("Z.yaml", doc("b", "Z.yaml", index=1), doc("a", "Z.yaml", index=0)),
        good("a/b.yaml", doc("d", "a/b.yaml")),
    ]
    assert runs(plan_revision(revision(*files), catalogue())) == ["a", "b", "d", "c"]


def test_generated_names_are_known_by_path_index_and_prefix():
    one, two = (doc("", "a.yaml", generate="job-", index=i) for i in (0, 1))
    plan = plan_revision(revision(good("a.yaml", one, two)), catalogue())
    assert runs(plan) == ["job-", "job-"]
    assert kinds(plan) == [("added", "job-|a.yaml#0"), ("added", "job-|a.yaml#1")]
    assert plan_revision(revision(good("a.yaml", one, two)), catalogue(live(one), live(two))).changes == ()


@pytest.mark.parametrize(("path", "index", "removed"), [("b.yaml", 0, ["a.yaml"]), ("a.yaml", 1, [])])
def test_a_generated_name_that_moved_with_its_content_does_not_run_again(path, index, removed):
    old, new = doc("", "a.yaml", generate="job-"), doc("", path, generate="job-", index=index)
    rev = revision(good(path, new), removed=removed)
    plan = plan_revision(rev, catalogue(live(old)))
    assert (kinds(plan), runs(plan)) == ([("moved", identity_of(new)[2])], [])
    assert plan.changes[0].former == identity_of(old)
    assert wanted_runs(rev, {identity_of(old): live(old)}) == {(identity_of(new), new.digest), (identity_of(old), new.digest)}


def test_a_generated_name_edited_and_shifted_in_its_file_is_an_edit():
    old, new = doc("", "a.yaml", generate="job-"), doc("", "a.yaml", "2", generate="job-", index=1)
    plan = plan_revision(revision(good("a.yaml", new)), catalogue(live(old)))
    assert (kinds(plan), runs(plan)) == ([("changed", "job-|a.yaml#1")], ["job-"])
    ran = {(identity_of(old), new.digest): "job-x"}
    assert runs(plan_revision(revision(good("a.yaml", new)), catalogue(live(old), ran=ran))) == []


NAMES = st.sampled_from(["x", "y", "z"])
PATHS = ["a.yaml", "b.yaml", "c.yaml"]
FILE = st.one_of(st.none(), st.just("bad"), st.lists(st.tuples(NAMES, st.sampled_from("123")), max_size=3))
TREE = st.fixed_dictionaries(dict.fromkeys(PATHS, FILE))


class World:
    """A store of fifty lines: applies plans the way that the real one must."""

    def __init__(self):
        self.live, self.ran, self.refused, self.tree, self.submitted = {}, {}, set(), dict.fromkeys(PATHS), []

    def parse(self, path, content):
        if content == "bad":
            return bad(path)
        return good(path, *(doc(name, path, text, index=i) for i, (name, text) in enumerate(content)))

    def apply(self, tree):
        changed = {p: c for p, c in tree.items() if c is not None and (c != self.tree[p] or p in self.refused)}
        removed = [p for p, c in tree.items() if c is None and self.tree[p] is not None]
        rev = revision(*(self.parse(p, c) for p, c in sorted(changed.items())), removed=removed)
        wanted, touched = wanted_identities(rev), set(changed) | set(removed)
        plan = plan_revision(
            rev,
            Catalogue(
                by_identity={i: e for i, e in self.live.items() if i in wanted or e.path in touched},
                total=len(self.live),
                ran={k: self.ran[k] for k in wanted_runs(rev, self.live) if k in self.ran},
                approved=frozenset([rev.sha]),
            ),
        )
        self.store(plan)
        self.refused, self.tree = (self.refused - touched) | set(plan.refused), dict(tree)
        return plan

    def store(self, plan):
        for change in plan.changes:
            if change.kind is ChangeKind.RETIRE:
                del self.live[change.identity]
            elif change.kind is ChangeKind.STALE:
                old = self.live[change.identity]
                self.live[change.identity] = LiveDefinition(
                    identity=old.identity, path=change.path or old.path, index=old.index, digest=old.digest, stale=change.reason
                )
            else:
                self.live[change.identity] = live(change.document)
        for submission in plan.submissions:
            key = (identity_of(submission.document), submission.document.digest)
            assert key not in self.ran
            self.ran[key] = "run"
            self.submitted.append(key)

    def facts(self):
        return sorted((i, e.path, e.index, e.digest, bool(e.stale)) for i, e in self.live.items())


def is_clean(tree):
    names = [name for content in tree.values() if isinstance(content, list) for name, _ in content]
    return "bad" not in tree.values() and len(names) == len(set(names))


@given(st.lists(TREE, max_size=5), TREE.filter(is_clean))
def test_any_grouping_of_pushes_ends_where_the_last_alone_ends(history, last):
    step_by_step, at_once = World(), World()
    for tree in history:
        step_by_step.apply(tree)
    step_by_step.apply(last)
    at_once.apply(last)
    assert step_by_step.facts() == at_once.facts()


@given(st.lists(TREE, min_size=1, max_size=5))
def test_applying_twice_is_applying_once(history):
    world = World()
    for tree in history:
        world.apply(tree)
    before = world.facts()
    plan = world.apply(history[-1])
    assert (plan.changes, plan.submissions, world.facts()) == ((), (), before)


@given(st.lists(TREE, min_size=1, max_size=6))
def test_no_content_runs_twice_and_nothing_is_live_twice_or_lost_to_a_bad_file(history):
    world = World()
    for tree in history:
        before = dict(world.live)
        world.apply(tree)
        for identity, entry in before.items():
            if tree[entry.path] == "bad":
                assert identity in world.live
    assert len(world.submitted) == len(set(world.submitted))
