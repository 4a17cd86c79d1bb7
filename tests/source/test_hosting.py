"""The hosted repository: how it is seeded, what it allows, what `init` repairs."""

import stat
import sys

import pytest

from reconciler.errors import Refused, UsageError
from reconciler.source.hosting import create_hosted, hook_text
from reconciler.source.ignore import path_rule
from reconciler.source.repository import Repository, check_branch


@pytest.fixture
def seed(short_dir):
    folder = short_dir / "seed"
    (folder / "cron").mkdir(parents=True)
    (folder / "cron/a.yaml").write_text("x: 1\n")
    (folder / "deploy.sh").write_text("#!/bin/sh\n")
    (folder / "deploy.sh").chmod(0o755)
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__/x.pyc").write_text("")
    return folder


def test_a_new_repository_holds_one_commit_that_is_the_same_every_time(short_dir, seed):
    heads = []
    for name in ("one", "two"):
        bare = short_dir / name / "repo.git"
        assert create_hosted(bare, "live", seed, sys.executable, home=short_dir) is True
        assert stat.S_IMODE(bare.stat().st_mode) == 0o700
        repository = Repository(str(bare))
        heads.append(repository.resolve("live"))
        assert [(e.path, e.mode) for e in repository.list_tree(heads[-1])] == [("cron/a.yaml", "100644"), ("deploy.sh", "100755")]
    assert heads[0] == heads[1]
    assert sorted(p.name for p in short_dir.joinpath("one").iterdir()) == ["repo.git"]


def test_a_second_init_changes_no_commit_and_keeps_a_foreign_hook_beside(short_dir, seed):
    bare = short_dir / "repo.git"
    create_hosted(bare, "main", seed, sys.executable, home=short_dir)
    head = Repository(str(bare)).resolve("main")
    (bare / "hooks/pre-receive").write_text("#!/bin/sh\nexit 1\n")
    (seed / "more.yaml").write_text("x: 2\n")
    assert create_hosted(bare, "main", seed, sys.executable, home=short_dir) is False
    assert Repository(str(bare)).resolve("main") == head
    assert (bare / "hooks/pre-receive.before-lineclear").read_text() == "#!/bin/sh\nexit 1\n"
    assert (bare / "hooks/pre-receive").read_text() == hook_text("pre-receive", sys.executable, home=short_dir)


def test_something_else_at_the_path_is_refused(short_dir):
    (short_dir / "repo.git").mkdir()
    with pytest.raises(Refused, match="not a bare repository"):
        create_hosted(short_dir / "repo.git", "main", None, sys.executable, home=short_dir)


def test_an_interpreter_that_no_hook_can_name_is_refused(short_dir):
    with pytest.raises(UsageError, match="hooks cannot run"):
        hook_text("pre-receive", "/opt/my python/bin/python", home=short_dir)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "-x",
        "a b",
        "a..b",
        "x.lock",
        "a/",
        "/a",
        "a//b",
        "HEAD@{0}",
        "main^{/x}",
        "a~1",
        ".a",
        "a/.b",
        "a\nb",
        "a.",
        "$(id):x",
    ],
)
def test_a_name_that_git_would_take_for_something_else_is_no_branch(name):
    with pytest.raises(UsageError, match="cannot be used"):
        check_branch(name)


@pytest.mark.parametrize("name", ["main", "release/1.2", "feature-x", "ünïcode", "a;id", "$(id)"])
def test_a_plain_name_is_a_branch(name):
    assert check_branch(name) == name


@pytest.mark.parametrize(
    ("rules", "path", "is_read"),
    [
        ("", "a.yaml", True),
        ("", "a.txt", False),
        ("*.yml", "x/a.yml", False),
        ("/a.yaml", "x/a.yaml", True),
        ("docs/", "docs/x/a.yaml", False),
        ("docs/", "x/docs/a.yaml", False),
        ("docs/", "docs.yaml", True),
        ("x/docs", "y/x/docs/a.yaml", True),
        ("x/**/a.yaml", "x/y/z/a.yaml", False),
        ("x/**/a.yaml", "x/a.yaml", False),
        ("**/a.yaml", "q/a.yaml", False),
        ("x/**", "x/y/a.yaml", False),
        ("a?.yaml", "ab.yaml", False),
        ("a?.yaml", "a/b.yaml", True),
        ("a[0-9].yaml", "a5.yaml", False),
        ("a[!0-9].yaml", "a5.yaml", True),
        ("*\n!keep.yaml", "x/keep.yaml", True),
        ("!keep.yaml\n*", "x/keep.yaml", False),
        ("# *\n\n", "a.yaml", True),
        ("\\#a.yaml", "#a.yaml", False),
        ("[", "a.yaml", True),
        ("a*", "b/a/c.yaml", False),
    ],
)
def test_ignore_globs_mean_what_they_mean_to_git(rules, path, is_read):
    assert path_rule("", rules.encode()).is_manifest(path) is is_read
