"""What a push is told by the check alone, without a daemon: whose errors refuse it, whose do not."""

import pytest

from reconciler.manifest import named_templates, parse_file
from reconciler.model.source import RefUpdate
from reconciler.source.check import PushRequest, check_push, give_up
from reconciler.source.offline import TreeLookup, check_paths, check_push_offline

ZERO = "0" * 40


def template(name="shared", entry="main", namespace="default"):
    return (
        f"apiVersion: argoproj.io/v1alpha1\nkind: WorkflowTemplate\nmetadata:\n  name: {name}\n  namespace: {namespace}\n"
        f"spec:\n  entrypoint: {entry}\n  templates:\n  - name: {entry}\n    container: {{image: host, command: ['true']}}\n"
    )


def user(name="uses", template="shared", entry="main"):
    return (
        f"apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata:\n  name: {name}\n"
        f"spec:\n  entrypoint: {entry}\n  workflowTemplateRef:\n    name: {template}\n"
    )


def config(limit="1"):
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: limits\ndata:\n  db: '{limit}'\n"


def semaphore_user():
    return (
        "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata:\n  name: sem\nspec:\n  entrypoint: main\n"
        "  synchronization:\n    semaphores:\n    - configMapKeyRef: {name: limits, key: db}\n"
        "  templates:\n  - name: main\n    container: {image: host, command: ['true']}\n"
    )


@pytest.fixture
def check(desk, repository):
    def run(files=None, remove=(), *, options=(), base=True):
        old = desk.git("rev-parse", "-q", "--verify", "HEAD", check=False).stdout.strip() if base else ""
        new = desk.commit(files, remove)
        desk.git(
            "push", "-q", "-f", "--receive-pack=git -c core.hooksPath=/dev/null receive-pack", "origin", "HEAD:refs/heads/tmp"
        )
        update = RefUpdate(old=old or ZERO, new=new, ref="refs/heads/main")
        return check_push_offline(repository, PushRequest(updates=(update,), options=options, quarantine={}))

    return run


def places(findings):
    return [(f.place.path, f.rule) for f in findings]


def test_a_good_push_is_taken_without_a_word(check, manifest):
    verdict = check({"a.yaml": manifest("a"), "foreign.yaml": "kind: Deployment\napiVersion: apps/v1\n", "note.md": "{{"})
    assert (verdict.accepted, verdict.lines) == (True, ())
    assert check({"a.yaml": manifest("a", "false")}).lines == ()


def test_every_error_of_five_bad_files_is_told_at_once_with_its_place(check, manifest):
    bad = {f"{i}.yaml": manifest("Bad_Name") for i in range(5)}
    verdict = check({**bad, "ok.yaml": manifest("ok")})
    assert not verdict.accepted
    assert {f.place.path for f in verdict.errors} == set(bad)
    assert all(f"{path}:4:9: error " in "\n".join(verdict.lines) for path in bad)
    assert "refused: the push brings" in verdict.lines[-1]


def test_an_old_error_in_a_file_left_alone_is_only_a_warning(check, manifest):
    check({"bad.yaml": manifest("Bad_Name")})
    verdict = check({"ok.yaml": manifest("ok")})
    assert (verdict.accepted, verdict.errors) == (True, ())
    assert [f.place.path for f in verdict.warnings] == ["bad.yaml"]
    assert "warning" in verdict.lines[0]
    assert "(from before)" in verdict.lines[0]


def test_removing_a_template_that_an_unchanged_file_names_is_refused_at_that_file(check):
    check({"t.yaml": template(), "u.yaml": user()})
    verdict = check(remove=["t.yaml"])
    assert (verdict.accepted, places(verdict.errors)) == (False, [("u.yaml", "LC403")])
    assert str(verdict.errors[0]).startswith("u.yaml:8:11: error")
    assert "this push breaks it" in verdict.lines[0]


def test_renaming_what_an_unchanged_file_starts_in_a_template_is_refused(check):
    check({"t.yaml": template(), "u.yaml": user()})
    verdict = check({"t.yaml": template(entry="other")})
    assert [f.place.path for f in verdict.errors] == ["u.yaml"]


def test_moving_a_template_to_another_file_breaks_nothing(check):
    check({"t.yaml": template(), "u.yaml": user()})
    assert check({"moved/t.yaml": template()}, remove=["t.yaml"]).lines == ()


def test_a_new_reference_to_a_live_template_is_good_and_one_to_nothing_is_not(check):
    check({"t.yaml": template()})
    assert check({"u.yaml": user()}).errors == ()
    assert places(check({"v.yaml": user("v", "nowhere")}).errors) == [("v.yaml", "LC403")]


def test_a_template_and_its_user_in_one_first_push_are_good(check):
    assert check({"a.yaml": user(), "z.yaml": template()}).lines == ()


def test_a_broken_template_file_blames_itself_and_not_its_users(check):
    check({"t.yaml": template(), "u.yaml": user()})
    verdict = check({"t.yaml": template() + "  bad: [\n"})
    assert {f.place.path for f in verdict.errors} == {"t.yaml"}


def test_an_identity_of_a_file_left_alone_is_refused_with_both_paths(check, manifest):
    check({"a.yaml": manifest("same")})
    verdict = check({"b.yaml": manifest("same", "false")})
    assert places(verdict.errors) == [("b.yaml", "LC401")]
    assert "a.yaml:1:1" in verdict.lines[0]
    assert check({"c.yaml": manifest("same", "false")}, remove=["a.yaml", "b.yaml"]).errors == ()


def test_removing_a_config_map_that_a_semaphore_needs_is_a_warning(check):
    check({"c.yaml": config(), "s.yaml": semaphore_user()})
    verdict = check(remove=["c.yaml"])
    assert (verdict.accepted, places(verdict.warnings)) == (True, [("s.yaml", "LC504")])


def nested(name, outer, inner, kind="WorkflowTemplate"):
    return (
        f"apiVersion: argoproj.io/v1alpha1\nkind: {kind}\nmetadata:\n  name: {name}\nspec:\n  entrypoint: main\n"
        f"  synchronization: {{mutexes: [{{name: {outer}}}]}}\n  templates:\n"
        f"  - {{name: main, synchronization: {{mutexes: [{{name: {inner}}}]}}, container: {{image: host, command: ['true']}}}}\n"
    )


def test_a_circle_of_locks_that_a_push_closes_with_files_left_alone_is_a_warning(check):
    check({"a.yaml": nested("a", "one", "two"), "b.yaml": nested("b", "two", "three"), "c.yaml": nested("c", "four", "five")})
    verdict = check({"d.yaml": nested("d", "three", "one")})
    assert (verdict.accepted, places(verdict.warnings)) == (True, [("d.yaml", "LC506")])
    assert all(place in verdict.lines[0] for place in ("a.yaml:9:46", "b.yaml:9:46", "(b.yaml:7:31)"))
    assert check({"d.yaml": nested("d", "three", "six")}).lines == ()
    assert check({"a.yaml": nested("a", "six", "two")}).lines != ()


def test_what_a_push_changes_itself_counts_as_it_will_be(check):
    check({"a.yaml": nested("a", "one", "two"), "b.yaml": nested("b", "other", "third")})
    assert check({"a.yaml": nested("a", "two", "one"), "b.yaml": nested("b", "two", "one")}).lines == ()
    assert check({"b.yaml": nested("b", "one", "other")}, remove=["a.yaml"]).lines == ()


def test_a_lock_of_a_cluster_template_is_of_every_namespace(check):
    check({"a.yaml": nested("a", "one", "two", kind="ClusterWorkflowTemplate"), "b.yaml": config()})
    used = user("u", "a").replace("name: a\n", "name: a\n    clusterScope: true\n")
    verdict = check({"u.yaml": used, "c.yaml": nested("c", "two", "one")})
    assert [rule for _, rule in places(verdict.warnings)] == ["LC506"]


def test_a_name_that_is_nearly_one_of_a_file_left_alone_is_a_warning(check):
    check({"a.yaml": nested("a", "deploy-prod", "two"), "b.yaml": config()})
    verdict = check({"c.yaml": nested("c", "deploy-Prod", "three")})
    assert (verdict.accepted, places(verdict.warnings)) == (True, [("c.yaml", "LC508")])
    assert 'nearly mutex "deploy-prod" (named by a definition that is live)' in verdict.lines[0]


def test_a_file_of_ours_that_becomes_garbage_is_an_error(check, manifest):
    check({"a.yaml": manifest("a"), "b.yaml": "k: v\n"})
    verdict = check({"a.yaml": "{{ garbage", "b.yaml": "{{ garbage"})
    assert {f.place.path for f in verdict.errors} == {"a.yaml"}


@pytest.mark.parametrize("way", ["option", "config"])
def test_receive_lineclear_warn_lets_errors_through(check, desk, manifest, way):
    if way == "config":
        desk.git("config", "receive.lineclear", "warn", cwd=desk.bare)
    verdict = check({"a.yaml": manifest("Bad_Name")}, options=("receive.lineclear=warn",) if way == "option" else ())
    assert (verdict.accepted, len(verdict.errors)) == (True, 1)
    assert "let through by receive.lineclear=warn" in verdict.lines[-1]


def test_other_branches_and_a_deletion_are_answered(repository):
    updates = (
        RefUpdate(old=ZERO, new="1" * 40, ref="refs/heads/topic"),
        RefUpdate(old="1" * 40, new=ZERO, ref="refs/heads/main"),
    )
    verdict = check_push_offline(repository, PushRequest(updates=updates, quarantine={}))
    assert verdict.accepted
    assert verdict.lines[0] == "refs/heads/topic: not watched: only refs/heads/main is"
    assert "nothing is removed" in verdict.lines[1]


def test_folders_and_files_are_checked_with_paths_as_they_were_given(desk, manifest):
    desk.write("x/a.yaml", manifest("same"))
    desk.write("x/b.yml", manifest("same"))
    desk.write("x/skip/c.yaml", manifest("Bad_Name"))
    desk.write("x/.lineclearignore", "skip/\n")
    folder = desk.work / "x"
    found = check_paths([folder]).findings
    assert places(found) == [(str(folder / "a.yaml"), "LC401"), (str(folder / "b.yml"), "LC401")]
    assert check_paths([folder / "a.yaml"]).findings == ()
    assert {f.place.path for f in check_paths([folder / "skip/c.yaml"]).findings} == {str(folder / "skip/c.yaml")}


def test_a_document_tells_which_templates_it_names():
    text = (
        "apiVersion: argoproj.io/v1alpha1\nkind: {kind}\nmetadata: {{name: a, namespace: team}}\nspec:\n  entrypoint: m\n"
        "  hooks: {{exit: {{templateRef: {{name: bye, template: t}}}}}}\n  templates:\n  - name: m\n    steps:\n"
        "    - - {{name: x, templateRef: {{name: shared, template: t}}}}\n"
        "      - {{name: z, templateRef: {{name: every, template: t, clusterScope: true}}}}\n"
    )

    def named(kind):
        [document] = parse_file("a.yaml", "", text.format(kind=kind).encode()).documents
        return {(namespace, name) for _, namespace, name in named_templates(document)}

    assert named("Workflow") == {("team", "shared"), ("team", "bye"), ("", "every")}
    assert named("ClusterWorkflowTemplate") == {("", "every")}
    [made] = parse_file("b.yaml", "", user().encode()).documents
    assert named_templates(made) == (("WorkflowTemplate", "default", "shared"),)


def test_a_check_that_is_not_waited_for_refuses_with_its_reason_and_the_way_to_push_all_the_same(desk, repository, manifest):
    update = RefUpdate(old=ZERO, new=desk.commit({"a.yaml": manifest("a")}), ref="refs/heads/main")
    request = PushRequest(updates=(update,), quarantine={})
    verdict = give_up(repository, request, branch="main", reason="its check takes longer than 25 s")
    assert (verdict.accepted, verdict.head) == (False, update.new)
    assert "its check takes longer than 25 s" in verdict.lines[-1]
    assert "receive.lineclear=warn" in verdict.lines[-1]
    lenient = PushRequest(updates=(update,), options=("receive.lineclear=warn",), quarantine={})
    assert give_up(repository, lenient, branch="main", reason="slow").accepted


def test_more_documents_than_one_push_may_bring_are_not_checked_one_by_one(desk, repository, manifest):
    new = desk.land({f"{name}.yaml": manifest(name) for name in "abc"})
    request = PushRequest(updates=(RefUpdate(old=ZERO, new=new, ref="refs/heads/main"),), quarantine={})
    lookup = TreeLookup(repository, None)
    assert check_push(repository, request, lookup, branch="main", most_documents=3).accepted
    verdict = check_push(repository, request, lookup, branch="main", most_documents=2)
    assert not verdict.accepted
    assert "it adds or changes 3 documents, and one push may 2 (the setting limits.documents); split it" in verdict.lines[-1]

