"""Repositories that want their reader to run something: whatever they say, nothing runs, and what is refused is told."""

import os
import subprocess
import sys

import pytest

from reconciler.errors import ManifestError, NotFound, Refused, Transient, UsageError
from reconciler.lint import HOST_IMAGES
from reconciler.source import candidate, plumbing
from reconciler.source.candidate import find_candidate, find_clone
from reconciler.source.export import export_tree, remove_tree
from reconciler.source.hosting import create_hosted
from reconciler.source.notes import read_notes
from reconciler.source.parsing import ParsedCache, manifest_parser
from reconciler.source.plumbing import GitFailed, ObjectReader, can_refuse_to_fetch, hosted_environment
from reconciler.source.preview import open_preview
from reconciler.source.repository import Repository, Scope

NOBODY = 65534
HOOKS = (
    "pre-commit", "post-checkout", "post-index-change", "reference-transaction", "pre-auto-gc", "post-rewrite",
    "fsmonitor-watchman", "pre-receive", "update", "post-update", "push-to-checkout", "proc-receive",
    "sendemail-validate", "commit-msg", "pre-push",
)  # fmt: skip
MISSING = "1" * 40


class Trap:
    """A program that leaves a mark if anything runs it."""

    def __init__(self, folder):
        self.mark = folder / "mark"
        self.program = folder / "trap"
        self.program.write_text(f'#!/bin/sh\necho "$0 $*" >> {self.mark}\nexit 1\n')
        self.program.chmod(0o755)

    def config(self):
        """Every setting that names a program or a place to fetch from, as key and value."""
        p = self.program
        keys = (
            "core.fsmonitor", "core.sshCommand", "core.gitProxy", "core.pager", "core.editor", "core.askPass",
            "sequence.editor", "core.alternateRefsCommand", "credential.helper", "gpg.program", "gpg.ssh.program",
            "gpg.x509.program", "diff.external", "diff.trap.textconv", "diff.trap.command", "filter.trap.clean",
            "filter.trap.smudge", "filter.trap.process", "merge.trap.driver", "uploadpack.packObjectsHook",
            "interactive.diffFilter", "pager.rev-parse", "pager.config", "remote.evil.uploadpack",
            "remote.evil.receivepack", "gc.recentObjectsHook", "browser.trap.cmd", "man.trap.cmd", "difftool.trap.cmd",
            "mergetool.trap.cmd", "notes.trap", "trailer.trap.command", "submodule.sub.update",
        )  # fmt: skip
        pairs = [(key, f"{p}") for key in keys]
        pairs += [
            (f"alias.{name}", f"!{p}") for name in ("rev-parse", "cat-file", "diff-tree", "ls-tree", "config", "notes", "gc")
        ]
        pairs += [
            ("core.fsmonitorHookVersion", "2"), ("commit.gpgSign", "true"), ("log.showSignature", "true"), ("gc.auto", "1"),
            ("protocol.ext.allow", "always"), ("protocol.allow", "always"), ("protocol.file.allow", "always"),
            ("remote.evil.url", f"ext::{p} %S"), ("remote.evil.promisor", "true"),
            ("remote.evil.partialclonefilter", "blob:none"), ("diff.submodule", "log"), ("status.submoduleSummary", "true"),
            ("remote.evil.fetch", "+refs/heads/*:refs/remotes/evil/*"), ("submodule.recurse", "true"),
            ("fetch.recurseSubmodules", "true"), ("url.ext::trap.insteadOf", "https://"),
        ]  # fmt: skip
        return pairs

    def arm(self, git_dir):
        """Puts all of it into a repository: settings (some by inclusion), hooks, attributes, a partial clone's extension."""
        hooks = git_dir / "trap-hooks"
        hooks.mkdir(exist_ok=True)
        for name in HOOKS:
            target = hooks / name
            target.unlink(missing_ok=True)
            target.symlink_to(self.program)
            beside = git_dir / "hooks" / name
            beside.parent.mkdir(exist_ok=True)
            if not beside.exists():
                beside.symlink_to(self.program)
        included = git_dir / "included"
        half = len(self.config()) // 2
        write_config(included, self.config()[half:])
        more = [
            ("include.path", str(included)),
            (f"includeIf.gitdir:{git_dir}/.path", str(included)),
            ("core.hooksPath", str(hooks)),
        ]
        more += [("extensions.partialClone", "evil"), ("core.repositoryFormatVersion", "1")]
        write_config(git_dir / "config", [*self.config()[:half], *more])
        (git_dir / "info").mkdir(exist_ok=True)
        (git_dir / "info/attributes").write_text("* diff=trap filter=trap merge=trap text\n")
        self.mark.unlink(missing_ok=True)  # git itself may have run it up to here

    def environment(self):
        """What a caller's environment may bring."""
        p = str(self.program)
        names = (
            "EDITOR",
            "PAGER",
            "GIT_EDITOR",
            "GIT_PAGER",
            "GIT_ASKPASS",
            "SSH_ASKPASS",
            "GIT_SSH",
            "GIT_SSH_COMMAND",
            "GIT_EXTERNAL_DIFF",
        )
        env = dict.fromkeys((*names, "GIT_PROXY_COMMAND", "GIT_SEQUENCE_EDITOR", "VISUAL"), p)
        env |= {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.fsmonitor", "GIT_CONFIG_VALUE_0": p}
        env |= {"GIT_CONFIG_PARAMETERS": f"'core.fsmonitor'='{p}'", "GIT_ALLOW_PROTOCOL": "ext:file", "GIT_TRACE": str(self.mark)}
        return env | {"GIT_TRACE2": str(self.mark), "GIT_TRACE_SETUP": str(self.mark), "GIT_TRACE_CURL": str(self.mark)}

    def is_untouched(self):
        return not self.mark.exists()


def write_config(path, pairs):
    for key, value in pairs:
        done = subprocess.run(
            ["git", "config", "--file", str(path), "--add", key, value], check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, (key, done.stderr)


@pytest.fixture
def trap(short_dir):
    return Trap(short_dir)


@pytest.fixture
def hostile_caller(trap, short_dir, monkeypatch):
    """A caller whose environment, account and PATH all name the trap."""
    account = short_dir / "account"
    (account / ".config/git").mkdir(parents=True)
    write_config(
        account / ".gitconfig", [*trap.config(), ("core.hooksPath", str(account / "hooks")), ("init.templateDir", str(account))]
    )
    (account / "hooks").mkdir()
    for name in HOOKS:
        (account / "hooks" / name).symlink_to(trap.program)
    (account / ".config/git/attributes").write_text("* diff=trap filter=trap\n")
    monkeypatch.setenv("HOME", str(account))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(account / ".config"))
    for name, value in trap.environment().items():
        monkeypatch.setenv(name, value)


def everything(repository, sha, older, dest, now):
    """Each call of ours on a hosted repository."""
    repository.resolve("main")
    repository.read_revision(sha, older, at=now)
    repository.read_revision(sha, None, at=now)
    repository.read_before(sha, ["a.yaml", "gone.yaml"])
    repository.list_manifests(sha)
    repository.is_ancestor(older, sha)
    repository.pin(sha)
    assert repository.pinned() == sha
    repository.write_note(sha, "a note")
    assert repository.read_note(sha) == "a note"
    assert read_notes(repository.path) == [(sha, "a note\n")]
    repository.config("lineclear.branch")
    repository.tidy()
    export_tree(repository, sha, dest)
    remove_tree(dest)


def test_nothing_that_a_hosted_repository_or_an_account_names_is_run(desk, trap, short_dir, manifest, now, hostile_caller):
    old = desk.land({"a.yaml": manifest("a"), ".gitattributes": "* diff=trap filter=trap\n"})
    new = desk.land({"b.yaml": manifest("b"), ".gitmodules": f'[submodule "sub"]\n path = sub\n url = ext::{trap.program}\n'})
    trap.arm(desk.bare)
    everything(Repository(str(desk.bare)), new, old, short_dir / "tree", now)
    create_hosted(short_dir / "other" / "repo.git", "main", desk.work, sys.executable, home=short_dir)
    with ObjectReader(str(desk.bare), hosted_environment(str(desk.bare))) as reader:
        reader.ask([MISSING])
        assert reader.answer(limit_bytes=9) is None
    assert trap.is_untouched(), trap.mark.read_text()


@pytest.mark.parametrize(
    "words", [["cat-file", "-t", MISSING], ["status"], ["diff", "HEAD"], ["log", "-p"], ["notes", "add", "-m", "x"]]
)
def test_the_trap_catches_a_plain_git(desk, trap, manifest, words):
    desk.land({"a.yaml": manifest("a")})
    trap.arm(desk.work / ".git")
    (desk.work / "a.yaml").write_text("changed")
    desk.git(*words, check=False)
    assert not trap.is_untouched()


@pytest.fixture
def preview_of(desk, now):
    """What a plan of a word, seen from a folder, reads: the commit, and the paths that it changes."""

    def read(word, folder, live):
        found = find_candidate(word, str(folder), str(desk.bare), "main", live)
        cache = ParsedCache(manifest_parser(HOST_IMAGES))
        with open_preview(str(desk.bare), found, scope=Scope(), cache=cache, branch="main") as (preview, sha):
            return sha, [file.path for file in preview.read_revision(sha, live, at=now).changed]

    return read


def test_nothing_that_a_clone_names_is_run(desk, trap, manifest, preview_of, hostile_caller):
    live = desk.land({"a.yaml": manifest("a"), ".gitattributes": "* diff=trap filter=trap\n"})
    head = desk.commit({"b.yaml": manifest("b")})
    trap.arm(desk.work / ".git")
    (desk.work / "sub").mkdir()
    for folder in (desk.work, desk.work / "sub"):
        assert preview_of("", folder, live) == (head, ["b.yaml"])
        assert preview_of("HEAD~1", folder, live) == (live, [])
        assert preview_of(head[:12], folder, live) == (head, ["b.yaml"])
        for missing in (MISSING, "HEAD:gone", ":0:a.yaml", ":/no such subject", "evil/main", "@{upstream}"):
            with pytest.raises(NotFound):
                find_candidate(missing, str(folder), str(desk.bare), "main", live)
    assert preview_of(".", desk.work, live)[1] == ["b.yaml"]
    assert trap.is_untouched(), trap.mark.read_text()


@pytest.fixture
def theirs(desk, manifest, short_dir, monkeypatch):
    """A clone that belongs to somebody else, in a folder that anybody may enter."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a repository of somebody else's")
    monkeypatch.setenv("HOME", str(short_dir))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    desk.land({"a.yaml": manifest("a")})
    desk.commit({"b.yaml": manifest("b")})
    for folder, folders, files in os.walk(desk.work):
        for name in (".", *folders, *files):
            os.chown(os.path.join(folder, name), NOBODY, NOBODY, follow_symlinks=False)
    return desk.work


def test_a_clone_of_somebody_elses_is_refused_as_git_refuses_it_but_its_files_are_planned(
    desk, theirs, trap, preview_of, short_dir
):
    live = Repository(str(desk.bare)).resolve("main")
    trap.arm(theirs / ".git")
    inside = theirs / "inside"
    inside.mkdir()
    for word, folder in (("", theirs), ("HEAD", theirs), ("main", inside), (live, theirs)):
        with pytest.raises(Refused, match=r"belongs to somebody else .*safe\.directory FOLDER\); plan a folder's files"):
            find_candidate(word, str(folder), str(desk.bare), "main", live)
    assert preview_of(".", theirs, live)[1] == ["b.yaml"]
    assert preview_of("", short_dir, live) == (live, [])
    assert trap.is_untouched(), trap.mark.read_text()


@pytest.mark.parametrize("value", ["*", "{folder}"])
def test_a_clone_that_the_account_declares_safe_is_planned(desk, theirs, trap, preview_of, short_dir, value):
    live = Repository(str(desk.bare)).resolve("main")
    trap.arm(theirs / ".git")
    config = short_dir / ".gitconfig"
    write_config(config, [("safe.directory", "/elsewhere"), ("safe.directory", value.format(folder=theirs))])
    assert preview_of("", theirs, live)[1] == ["b.yaml"]
    assert trap.is_untouched(), trap.mark.read_text()


def test_what_a_repository_says_of_itself_makes_it_safe_for_nobody(theirs, monkeypatch):
    write_config(theirs / ".git/config", [("safe.directory", "*")])
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "safe.directory")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "*")
    with pytest.raises(Refused, match="belongs to somebody else"):
        find_clone(str(theirs))


def test_whoever_became_root_may_plan_his_own_clone(theirs, monkeypatch):
    monkeypatch.setenv("SUDO_UID", str(NOBODY))
    assert find_clone(str(theirs)).top == os.path.realpath(theirs)


def test_a_git_that_does_not_ask_whose_a_repository_is_gets_the_question_answered(theirs, monkeypatch):
    monkeypatch.setattr(candidate, "read_version", lambda: (2, 34, 1))
    asks_nothing = plumbing.clone_environment(["*"])
    monkeypatch.setattr(candidate, "clone_environment", lambda _trusted=(): asks_nothing)
    with pytest.raises(Refused, match="belongs to somebody else"):
        find_clone(str(theirs))


def test_a_bare_repository_inside_a_clone_is_not_taken_for_one(desk, trap, manifest, preview_of):
    live = desk.land({"a.yaml": manifest("a")})
    inner = desk.work / "vendored"
    subprocess.run(["git", "init", "-q", "--bare", str(inner)], check=True)
    trap.arm(inner)
    assert preview_of("", inner, live) == (live, [])
    assert trap.is_untouched(), trap.mark.read_text()


def test_a_clone_that_puts_its_work_tree_elsewhere_is_looked_at_where_it_is(desk, short_dir, manifest, preview_of):
    live = desk.land({"a.yaml": manifest("a")})
    head = desk.commit({"b.yaml": manifest("b")})
    elsewhere = short_dir / "elsewhere"
    subprocess.run(["git", "init", "-q", str(elsewhere)], check=True)
    desk.git("config", "core.worktree", str(elsewhere))
    assert preview_of("", desk.work, live) == (head, ["b.yaml"])


def test_a_clone_that_git_cannot_read_is_told(desk):
    (desk.work / ".git/config").write_text("[core\n")
    with pytest.raises(UsageError, match=r"the repository around .* is not read: fatal: bad config line 1"):
        find_clone(str(desk.work))


@pytest.mark.parametrize(("version", "is_enough"), [
    ((2, 34, 1), False), ((2, 39, 3), False), ((2, 39, 4), True), ((2, 44, 0), False), ((2, 45, 0), True), ((2, 52, 1), True),
    ((3, 0, 0), True),
])  # fmt: skip
def test_which_git_can_be_told_to_fetch_nothing(version, is_enough):
    assert can_refuse_to_fetch(version) is is_enough


def test_a_partial_clone_is_refused_with_a_git_that_would_fetch(desk, manifest, monkeypatch):
    desk.land({"a.yaml": manifest("a")})
    monkeypatch.setattr(candidate, "can_refuse_to_fetch", lambda _version: False)
    assert find_clone(str(desk.work)) is not None
    desk.git("config", "remote.origin.promisor", "true")
    with pytest.raises(Refused, match="it is a partial clone, and this git would fetch"):
        find_clone(str(desk.work))


def test_what_a_partial_clone_lacks_is_told_and_not_fetched(desk, short_dir, manifest, preview_of):
    live = desk.land({"a.yaml": manifest("a")})
    desk.git("config", "uploadpack.allowFilter", "true", cwd=desk.bare)
    head = desk.land({"b.yaml": manifest("b")})
    desk.git("update-ref", "refs/heads/main", live, cwd=desk.bare)
    partial = short_dir / "partial"
    desk.git("update-ref", "refs/heads/next", head, cwd=desk.bare)
    desk.git(
        "clone", "-q", "--no-checkout", "--no-local", "--filter=blob:none", "-b", "next", f"file://{desk.bare}", str(partial)
    )
    desk.git("update-ref", "-d", "refs/heads/next", cwd=desk.bare)
    blob = desk.git("rev-parse", f"{head}:b.yaml").stdout.strip()
    desk.git("prune", "--expire=now", cwd=desk.bare)
    with pytest.raises(Transient, match="a plan fetches nothing"):
        preview_of("", partial, live)
    kept = desk.git("-c", "remote.origin.promisor=false", "cat-file", "--batch-all-objects", "--batch-check", cwd=partial).stdout
    assert blob not in kept


@pytest.mark.parametrize(("said", "is_refused"), [
    ("git version 2.39.5", False), ("git version 2.34.1", False), ("git version 2.39.5 (Apple Git-154)", False),
    ("git version 2.52.0-rc1", False), ("git version 2.31.9", True), ("git version 1.8.3.1", True),
])  # fmt: skip
def test_a_git_that_cannot_be_told_what_to_leave_is_refused(short_dir, monkeypatch, said, is_refused):
    fake = short_dir / "git"
    fake.write_text(f"#!/bin/sh\necho '{said}'\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(short_dir))
    if is_refused:
        with pytest.raises(UsageError, match="cannot be kept from running what a repository names"):
            plumbing.read_version()
    else:
        assert plumbing.read_version() >= plumbing.OLDEST_GIT


def test_a_git_in_the_current_folder_is_not_the_one_that_is_run(desk, trap, monkeypatch):
    (desk.work / "git").symlink_to(trap.program)
    monkeypatch.setenv("PATH", f".{os.pathsep}{os.pathsep}bin{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(desk.work)
    assert find_clone(".") is not None
    assert trap.is_untouched()


def test_replaced_and_grafted_objects_are_read_as_they_are(desk, repository, manifest, now):
    old = desk.land({"a.yaml": manifest("a")})
    new = desk.land({"b.yaml": manifest("b")})
    other = desk.commit({"evil.yaml": manifest("evil")})
    desk.git("push", "-q", "origin", f"{other}:refs/replace/{new}")
    assert desk.git("ls-tree", "--name-only", new, cwd=desk.bare).stdout.split() == ["a.yaml", "b.yaml", "evil.yaml"]
    (desk.bare / "info").mkdir(exist_ok=True)
    (desk.bare / "info/grafts").write_text(f"{new}\n")
    revision = repository.read_revision(new, None, at=now)
    assert [file.path for file in revision.changed] == ["a.yaml", "b.yaml"]
    assert repository.is_ancestor(old, new)


def bomb(desk, width=12, levels=7):
    """A commit of a few objects that name width ** levels files."""
    blob = desk.git("hash-object", "-w", "--stdin", stdin="x: 1\n").stdout.strip()
    made = desk.git("mktree", stdin="".join(f"100644 blob {blob}\tf{n}.yaml\n" for n in range(width))).stdout.strip()
    for _ in range(levels - 1):
        made = desk.git("mktree", stdin="".join(f"040000 tree {made}\td{n}\n" for n in range(width))).stdout.strip()
    return desk.git("commit-tree", "-m", "bomb", made).stdout.strip()


def test_a_tree_of_more_paths_than_there_is_memory_is_refused(desk, repository, manifest, now):
    old = desk.land({"a.yaml": manifest("a")})
    sha = bomb(desk)
    desk.git("push", "-q", "origin", f"{sha}:refs/heads/other", "--receive-pack=git -c core.hooksPath=/dev/null receive-pack")
    for base in (None, old):
        with pytest.raises(ManifestError, match=r"its paths are over the limit of 32 MiB"):
            repository.read_revision(sha, base, at=now)
    with pytest.raises(ManifestError, match=r"over the limit of 32 MiB"):
        repository.list_tree(sha)


def test_a_branch_holds_a_commit_however_many_tags_are_around_it(desk, manifest):
    sha = desk.land({"a.yaml": manifest("a")})
    name = sha
    for number in range(5):
        desk.git("tag", "-a", "-m", "x", f"t{number}", name)
        name = f"t{number}"
    refused = desk.git("push", "origin", "t4:refs/heads/tagged", check=False)
    assert refused.returncode != 0
    desk.git("push", "-q", "origin", "t4:refs/tags/t4")
    assert find_candidate("t4", str(desk.home), str(desk.bare), "main", None).sha == sha


def test_a_clone_that_shares_its_objects_is_read_through_its_alternates(desk, short_dir, manifest, preview_of):
    live = desk.land({"a.yaml": manifest("a")})
    head = desk.commit({"b.yaml": manifest("b")})
    shared = short_dir / "shared"
    desk.git("clone", "-q", "--shared", str(desk.work), str(shared))
    assert (shared / ".git/objects/info/alternates").exists()
    assert preview_of("", shared, live) == (head, ["b.yaml"])


def test_a_file_that_leads_to_a_repository_of_somebody_elses_is_refused(theirs, short_dir):
    ours = short_dir / "ours"
    ours.mkdir()
    (ours / ".git").write_text(f"gitdir: {theirs}/.git\n")
    with pytest.raises(Refused, match="belongs to somebody else"):
        find_clone(str(ours))


def test_a_configuration_that_includes_what_never_ends_holds_nobody_up(desk, monkeypatch):
    monkeypatch.setattr(plumbing, "GIT_TIMEOUT_S", 0.5)
    os.mkfifo(desk.work / "fifo")
    write_config(desk.work / ".git/config", [("include.path", str(desk.work / "fifo"))])
    with pytest.raises(GitFailed, match="gave no answer"):
        find_clone(str(desk.work))
