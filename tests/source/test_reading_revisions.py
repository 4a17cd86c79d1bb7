"""What a revision says, over real git: whole, as a difference, after every way a push can change a branch."""

import os

import pytest

from reconciler.errors import ManifestError
from reconciler.model.source import Standing
from reconciler.source.repository import Repository, Scope


def paths(files):
    return [file.path for file in files]


def test_a_first_revision_holds_every_manifest_and_nothing_else(desk, repository, manifest, now):
    sha = desk.land({"b.yaml": manifest("b"), "a/a.yml": manifest("a"), "c.json": "{}", "README.md": "kind: Workflow"})
    revision = repository.read_revision(sha, None, at=now)
    assert paths(revision.changed) == ["a/a.yml", "b.yaml", "c.json"]
    assert [d.name for file in revision.changed for d in file.documents] == ["a", "b"]
    assert (revision.previous, revision.removed, revision.total_files, revision.at) == (None, (), 3, now)
    assert (revision.author, revision.subject, revision.fast_forward) == ("Ann <a@b>", "change", True)


def test_a_difference_holds_only_what_changed(desk, repository, manifest, now):
    old = desk.land({"a.yaml": manifest("a"), "b.yaml": manifest("b"), "c.yaml": manifest("c")})
    new = desk.land({"b.yaml": manifest("b", "false"), "d/d.yaml": manifest("d")}, remove=["a.yaml"])
    revision = repository.read_revision(new, old, at=now)
    assert (paths(revision.changed), revision.removed) == (["b.yaml", "d/d.yaml"], ("a.yaml",))
    assert (revision.total_files, revision.fast_forward, revision.previous) == (3, True, old)


def test_equal_commits_differ_in_nothing(desk, repository, manifest, now):
    sha = desk.land({"a.yaml": manifest("a")})
    revision = repository.read_revision(sha, sha, at=now)
    assert (revision.changed, revision.removed, revision.total_files) == ((), (), 1)


def test_several_commits_pushed_at_once_are_one_revision(desk, repository, manifest, now):
    old = desk.land({"a.yaml": manifest("a")})
    desk.commit({"b.yaml": manifest("b")})
    desk.commit({"c.yaml": manifest("c")}, remove=["b.yaml"])
    new = desk.land({"a.yaml": manifest("a", "false")})
    revision = repository.read_revision(new, old, at=now)
    assert (paths(revision.changed), revision.removed, revision.fast_forward) == (["a.yaml", "c.yaml"], (), True)


def test_a_rewound_branch_is_a_revision_that_is_no_fast_forward(desk, repository, manifest, now):
    old = desk.land({"a.yaml": manifest("a")})
    new = desk.land({"b.yaml": manifest("b")})
    desk.git("reset", "-q", "--hard", old)
    desk.push("-q", "-f", "origin", "HEAD:main")
    assert repository.resolve("main") == old
    revision = repository.read_revision(old, new, at=now)
    assert (revision.removed, revision.changed, revision.fast_forward) == (("b.yaml",), (), False)


def test_a_pinned_commit_outlives_a_rewind_and_gc_and_an_unpinned_one_counts_as_never_read(desk, repository, manifest, now):
    first = desk.land({"a.yaml": manifest("a")})
    second = desk.land({"b.yaml": manifest("b")})
    third = desk.land({"c.yaml": manifest("c")})
    repository.pin(second)
    assert repository.pinned() == second
    desk.git("reset", "-q", "--hard", first)
    desk.push("-q", "-f", "origin", "HEAD:main")
    desk.git("gc", "--prune=now", "-q", cwd=desk.bare)
    kept = repository.read_revision(first, second, at=now)
    assert (kept.previous, kept.removed) == (second, ("b.yaml",))
    lost = repository.read_revision(first, third, at=now, standing=Standing(live_paths=frozenset({"c.yaml", "a.yaml"})))
    assert (lost.previous, lost.is_whole, lost.fast_forward) == (third, True, False)
    assert (paths(lost.changed), lost.removed) == (["a.yaml"], ("c.yaml",))


def test_a_branch_reads_the_same_loose_packed_and_collected(desk, repository, manifest):
    sha = desk.land({"a.yaml": manifest("a")})
    assert repository.resolve("main") == sha
    desk.git("pack-refs", "--all", cwd=desk.bare)
    assert repository.resolve("main") == sha
    desk.git("gc", "-q", cwd=desk.bare)
    assert repository.resolve("main") == sha
    assert repository.resolve("other") is None


def test_symlinks_submodules_and_hostile_names_are_findings_and_are_never_followed(desk, repository, manifest, now):
    outside = desk.work.parent / "outside.yaml"
    outside.write_text(manifest("outside"))
    (desk.work / "link.yaml").symlink_to(outside)
    (desk.work / "dir").symlink_to("/etc")
    base = desk.land({"ok.yaml": manifest("ok")})
    desk.git("update-index", "--add", "--cacheinfo", f"160000,{base},sub")
    blob = desk.git("hash-object", "-w", "ok.yaml").stdout.strip()
    for name in ("new\nline.yaml", "\x1b[31mred.yaml", "\u202etxt.yaml"):
        desk.git("update-index", "-z", "--add", "--index-info", stdin=f"100644 {blob}\t{name}\0")
    desk.git("commit", "-q", "-m", "hostile")
    desk.git("push", "-q", "--receive-pack=git -c core.hooksPath=/dev/null receive-pack", "origin", "HEAD:main")
    revision = repository.read_revision(desk.git("rev-parse", "HEAD").stdout.strip(), None, at=now)
    assert paths(revision.changed) == ["link.yaml", "ok.yaml"]
    assert (revision.changed[0].findings, revision.changed[0].foreign) == ((), 1)
    assert sorted((n.rule, n.place.path) for n in revision.notices) == [
        ("LC902", "sub"), ("LC903", "\\u202etxt.yaml"), ("LC903", "\\x1b[31mred.yaml"), ("LC903", "new\\nline.yaml"),
    ]  # fmt: skip
    assert all(str(n).isprintable() for n in revision.notices)


def test_a_name_that_is_not_utf8_is_a_finding(desk, repository, manifest, now):
    name = os.fsdecode(b"caf\xe9.yaml")
    revision = repository.read_revision(desk.land({name: manifest("a")}), None, at=now)
    assert (revision.changed, [n.rule for n in revision.notices]) == ((), ["LC903"])


def test_a_manifest_that_becomes_a_symlink_is_wrong_and_not_gone(desk, repository, manifest, now):
    old = desk.land({"a.yaml": manifest("a"), "b.yaml": manifest("b")})
    (desk.work / "a.yaml").unlink()
    (desk.work / "a.yaml").symlink_to("b.yaml")
    standing = Standing(live_paths=frozenset({"a.yaml", "b.yaml"}))
    revision = repository.read_revision(desk.land(), old, at=now, standing=standing)
    assert (paths(revision.changed), revision.changed[0].is_bad, revision.removed) == (["a.yaml"], True, ())
    assert [f.rule for f in revision.changed[0].findings] == ["LC901"]


BIG = "# " + "x" * (1 << 20) + "\n"
LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n"


def test_a_manifest_over_the_limit_is_an_error_wherever_in_it_our_name_stands(desk, repository, manifest, now):
    texts = {"begin.yaml": manifest("big") + BIG, "end.yaml": BIG + manifest("big"), "ok.yaml": manifest("ok")}
    across = BIG[: (1 << 16) * 17 - 60] + "\n"
    texts |= {f"across{n}.yaml": across + "#" * n + "\n" + manifest("big") for n in (0, 20, 40)}
    revision = repository.read_revision(desk.land(texts), None, at=now)
    found = {file.path: [f.rule for f in file.findings] for file in revision.changed}
    assert found == {path: [] if path == "ok.yaml" else ["LC904"] for path in texts}


def test_large_files_and_lfs_pointers_of_others_are_foreign(desk, repository, manifest, now):
    files = {"package-lock.json": "{}" + " " * 1_700_000, "data.json": LFS, "lfs.yaml": LFS, "ok.yaml": manifest("ok")}
    revision = repository.read_revision(desk.land(files), None, at=now)
    assert [(f.path, f.is_bad, f.foreign) for f in revision.changed] == [
        ("data.json", False, 1), ("lfs.yaml", False, 1), ("ok.yaml", False, 0), ("package-lock.json", False, 1),
    ]  # fmt: skip


@pytest.mark.parametrize(("text", "rule"), [(BIG, "LC904"), (LFS, "LC905"), ("\0", "LC001")])
def test_what_hides_a_manifest_is_an_error(desk, repository, manifest, now, text, rule):
    old = desk.land({"a.yaml": manifest("a")})
    standing = Standing(live_paths=frozenset({"a.yaml"}))
    revision = repository.read_revision(desk.land({"a.yaml": text}), old, at=now, standing=standing)
    assert [f.rule for f in revision.changed[0].findings] == [rule]


def test_a_manifest_whose_name_ends_in_capitals_is_told_and_a_foreign_file_is_not(desk, repository, manifest, now):
    files = {"A.YAML": manifest("a"), "b.Yml": "a: 1\n", "c.JSON": "{}", "d.yaml": manifest("d"), "e.YAMLS": manifest("e")}
    revision = repository.read_revision(desk.land(files), None, at=now)
    assert [(f.path, [one.rule for one in f.findings], len(f.documents)) for f in revision.changed] == [
        ("A.YAML", ["LC906"], 0), ("b.Yml", [], 0), ("c.JSON", [], 0), ("d.yaml", [], 1),
    ]  # fmt: skip


def test_too_many_files_are_an_error_of_the_revision(desk, manifest, now):
    sha = desk.land({f"{i}.yaml": manifest(f"w{i}") for i in range(4)})
    with pytest.raises(ManifestError, match="4 manifest files are over the limit of 3"):
        Repository(str(desk.bare), scope=Scope(limit_files=3)).read_revision(sha, None, at=now)


def test_the_ignore_file_of_the_tree_counts_and_so_does_a_change_of_it(desk, repository, manifest, now):
    old = desk.land({"a.yaml": manifest("a"), "docs/b.yaml": manifest("b"), "docs/keep.yaml": manifest("keep")})
    new = desk.land({".lineclearignore": "# not ours\ndocs/*\n!docs/keep.yaml\n"})
    assert repository.read_revision(new, old, at=now).removed == ("docs/b.yaml",)
    back = desk.land(remove=[".lineclearignore"])
    revision = repository.read_revision(back, new, at=now)
    assert (paths(revision.changed), revision.removed, revision.total_files) == (["docs/b.yaml"], (), 3)


def test_only_the_configured_folder_is_read(desk, manifest, now):
    sha = desk.land({"a.yaml": manifest("a"), "live/b.yaml": manifest("b"), "lively/c.yaml": manifest("c")})
    assert paths(Repository(str(desk.bare), scope=Scope(include="live/")).read_revision(sha, None, at=now).changed) == [
        "live/b.yaml"
    ]


def test_garbage_is_an_error_only_where_ours_was_before(desk, repository, manifest, now):
    old = desk.land({"a.yaml": manifest("a"), "b.yaml": "just: text"})
    new = desk.land({"a.yaml": "{{ not yaml", "b.yaml": "{{ not yaml"})
    revision = repository.read_revision(new, old, at=now, standing=Standing(live_paths=frozenset({"a.yaml"})))
    assert [(f.path, f.is_bad) for f in revision.changed] == [("a.yaml", True), ("b.yaml", False)]


def test_a_refused_path_is_read_again_though_it_did_not_change(desk, repository, manifest, now):
    old = desk.land({"a.yaml": manifest("a"), "b.yaml": manifest("b")})
    new = desk.land({"c.yaml": manifest("c")})
    standing = Standing(refused=frozenset({"a.yaml", "gone.yaml"}))
    assert paths(repository.read_revision(new, old, at=now, standing=standing).changed) == ["a.yaml", "c.yaml"]


def test_inherited_git_variables_reach_no_child(desk, manifest, now, monkeypatch):
    sha = desk.land({"a.yaml": manifest("a")})
    for name in ("GIT_DIR", "GIT_OBJECT_DIRECTORY", "GIT_QUARANTINE_PATH", "GIT_CONFIG_PARAMETERS", "GIT_NAMESPACE"):
        monkeypatch.setenv(name, "/nonexistent")
    repository = Repository(str(desk.bare))
    assert repository.resolve("main") == sha
    repository.pin(sha)
    assert paths(repository.read_revision(sha, None, at=now).changed) == ["a.yaml"]


def test_notes_are_written_replaced_and_read(desk, repository, manifest):
    sha = desk.land({"a.yaml": manifest("a")})
    assert repository.read_note(sha) is None
    repository.write_note(sha, "applied")
    repository.write_note(sha, "applied\n2 runs")
    assert repository.read_note(sha) == "applied\n2 runs"
    assert repository.resolve("main") == sha


class Asked(frozenset):
    """Paths that count how often they are asked for one."""

    times = 0

    def __contains__(self, path):
        Asked.times += 1
        return super().__contains__(path)


def test_what_held_ours_is_asked_of_those_files_only_that_say_nothing_of_ours(desk, repository, manifest, now):
    sha = desk.land({**{f"{n}.yaml": manifest(f"w{n}") for n in range(20)}, "values.yaml": "a: 1\n"})
    Asked.times = 0
    repository.read_revision(sha, None, at=now, standing=Standing(live_paths=Asked()))
    assert Asked.times <= 2
