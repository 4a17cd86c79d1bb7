"""The hosted repository: how it is seeded, what it allows, what `init` repairs."""

import os
import stat
import subprocess
import sys

import pytest

from reconciler.errors import Refused, UsageError
from reconciler.source.hosting import HOOKS, Hosting, create_hosted, find_faults, hook_text, mend_hosted
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


@pytest.fixture
def hosting(desk):
    return Hosting(path=desk.bare, home=desk.home, python=sys.executable, branch="main")


def test_an_accounts_own_hooks_path_does_not_outrank_the_repositorys_hooks(desk, short_dir, manifest, hosting):
    elsewhere = short_dir / "hooks"
    elsewhere.mkdir()
    (elsewhere / "reference-transaction").write_text("#!/bin/sh\nexit 1\n")
    (elsewhere / "reference-transaction").chmod(0o755)
    account = short_dir / "account"
    desk.git("config", "--file", str(account), "core.hooksPath", str(elsewhere))
    desk.commit({"a.yaml": manifest("a").replace("entrypoint: main", "entrypoint: nowhere")})
    push = ["git", "push", "origin", "HEAD:main"]
    env = desk.env() | {"GIT_CONFIG_GLOBAL": str(account)}
    refused = subprocess.run(push, cwd=desk.work, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert refused.returncode == 1
    assert "nowhere" in refused.stderr
    assert find_faults(hosting) == []


def test_nobody_pushes_to_the_refs_of_our_own(desk, manifest):
    sha = desk.land({"a.yaml": manifest("a")})
    Repository(str(desk.bare)).pin(sha)
    other = desk.commit({"b.yaml": manifest("b")})
    for ref in ("refs/lineclear/applied", "refs/notes/lineclear"):
        assert desk.push("-f", "origin", f"{other}:{ref}", check=False).returncode == 1
        assert desk.push("origin", f":{ref}", check=False).returncode == 1
    assert Repository(str(desk.bare)).pinned() == sha


def test_what_is_not_as_init_made_it_is_found_and_put_right(desk, hosting):
    assert find_faults(hosting) == mend_hosted(hosting) == []
    hooks = desk.bare / "hooks"
    (hooks / "pre-receive").unlink()
    (hooks / "post-receive").write_text("#!/bin/sh\nexit 0\n")
    desk.git("config", "core.hooksPath", "/nowhere", cwd=desk.bare)
    desk.git("config", "--add", "receive.autogc", "true", cwd=desk.bare)
    desk.git("config", "--unset-all", "receive.hideRefs", "refs/lineclear", cwd=desk.bare)
    desk.git("config", "--add", "receive.hideRefs", "refs/theirs", cwd=desk.bare)
    desk.bare.chmod(0o755)
    faults = [
        f"others may enter {desk.bare}",
        "the setting receive.autogc is 'false' and 'true' instead of 'false'",
        f"the setting core.hookspath is '/nowhere' instead of '{os.path.realpath(hooks)}'",
        "refs/lineclear can be pushed to",
        "the hook pre-receive is missing: pushes come unchecked",
        "the hook post-receive is not the one of this installation",
    ]
    assert find_faults(hosting) == faults
    assert mend_hosted(hosting) == faults
    assert find_faults(hosting) == []
    assert (hooks / "post-receive.before-lineclear").read_text() == "#!/bin/sh\nexit 0\n"
    assert desk.git("config", "--get-all", "receive.hideRefs", cwd=desk.bare).stdout.split()[-1] == "refs/lineclear"
    assert "refs/theirs" in desk.git("config", "--get-all", "receive.hideRefs", cwd=desk.bare).stdout
    (hooks / "pre-receive").chmod(0o600)
    if os.geteuid() != 0 or not os.access(hooks / "pre-receive", os.X_OK):
        assert find_faults(hosting) == ["the hook pre-receive cannot be run: pushes come unchecked"]


def test_a_hook_that_names_the_same_interpreter_by_another_name_is_no_fault(desk, hosting, short_dir):
    folder = short_dir / "bin"
    folder.mkdir()
    (folder / "python3").symlink_to(sys.executable)
    (folder / "python").symlink_to("python3")
    by_one = Hosting(path=desk.bare, home=desk.home, python=str(folder / "python"), branch="main")
    by_other = Hosting(path=desk.bare, home=desk.home, python=str(folder / "python3"), branch="main")
    assert len(mend_hosted(by_one)) == len(HOOKS)
    assert find_faults(by_other) == []
    assert len(find_faults(hosting)) == len(HOOKS)


def test_a_link_that_leads_nowhere_in_the_place_of_a_hook_is_put_right(desk, hosting):
    hook = desk.bare / "hooks/pre-receive"
    hook.unlink()
    hook.symlink_to("/nowhere/at/all")
    assert find_faults(hosting) == ["the hook pre-receive is not the one of this installation"]
    mend_hosted(hosting)
    assert find_faults(hosting) == []
    assert not hook.is_symlink()
