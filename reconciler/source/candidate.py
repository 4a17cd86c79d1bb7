"""What a plan is about: a commit of the clone in the current folder, one of the hosted repository, or a folder's files.

It finds and names; it reads no manifest and writes nothing. The first line of `plan` waits for this module alone, so it starts
few children and imports little. Whose a clone is, is git's to judge: what git refuses to read is refused here too.
"""

from __future__ import annotations

import os

from reconciler.errors import NotFound, Refused, UsageError
from reconciler.source.plumbing import (
    GitFailed,
    can_refuse_to_fetch,
    clone_environment,
    drop_inherited_git_variables,
    finish_git,
    hosted_environment,
    read_version,
    run_git,
    spawn_git,
    trusted_folders,
)

_REMOTES_LOOKED_AT = 100
_NO_CLONE = ("not a git repository", "must be run in a work tree", "cannot use bare repository")
_SOMEBODY_ELSES = ("dubious ownership", "is owned by someone else")
_THEIRS = "it belongs to somebody else (if you trust it: git config --global --add safe.directory FOLDER)"
_FIRST_JUDGE = (2, 35, 2)  # the first git that asks whose a repository is
_LAYOUT = ("rev-parse", "--path-format=absolute", "--absolute-git-dir", "--git-path", "objects", "--show-toplevel")
_PARTIAL = r"^(extensions\.partialclone|remote\..*\.(promisor|partialclonefilter))$"


class Candidate:
    """What might be pushed. `sha` is '' for a folder, whose path is `folder`; `objects` are folders of git objects to read too.

    `shown` says it to a person; `note` is what he should know of the choice, '' if nothing.
    """

    __slots__ = ("folder", "note", "objects", "sha", "shown")

    def __init__(self, *, shown: str, sha: str = "", folder: str = "", objects: str = "", note: str = "") -> None:
        self.shown = shown
        self.sha = sha
        self.folder = folder
        self.objects = objects
        self.note = note


class Clone:
    """A clone that was found from `folder`, in which each look at it starts anew: what it says of its own places binds nobody.

    `top` is its work tree, for people; `objects` the folder of its objects.
    """

    __slots__ = ("_env", "_folder", "objects", "top")

    def __init__(self, folder: str, env: dict[str, str], *, top: str, objects: str) -> None:
        self._folder = folder
        self._env = env
        self.top = top
        self.objects = objects

    def find_commit(self, name: str) -> str | None:
        """The commit that the name means in it; None if there is none."""
        return _find_commit(self._folder, self._env, name)

    def list_remote_heads(self) -> list[bytes]:
        """The commits that it knows of other repositories, a hundred at the most."""
        asked = ("for-each-ref", f"--count={_REMOTES_LOOKED_AT}", "--format=%(objectname)", "refs/remotes")
        return run_git(self._folder, self._env, *asked).split()

    def is_partial(self) -> bool:
        """True if some of its objects may be elsewhere."""
        try:
            run_git(self._folder, self._env, "config", "--name-only", "--get-regexp", _PARTIAL)
        except GitFailed as error:
            if not error.is_silent_no:
                raise
            return False
        return True


def find_candidate(word: str, folder: str, hosted: str, branch: str, applied: str | None) -> Candidate:
    """What `word` means, seen from `folder`: a folder, a commit of the clone there, a commit of the hosted repository.

    '' is HEAD of the clone if it shares history with the hosted repository, else that repository's branch. Raises NotFound.
    """
    drop_inherited_git_variables()
    if word and os.path.isdir(os.path.join(folder, word)):
        return _files(os.path.normpath(os.path.join(folder, word)))
    clone = find_clone(folder)
    if word:
        return _named(word, folder, clone, hosted)
    head = find_hosted_commit(hosted, f"refs/heads/{branch}")
    own = None if clone is None else clone.find_commit("HEAD")
    note = ""
    if clone is not None and own is not None:
        if _is_related(clone, own, hosted, [sha for sha in (applied, head) if sha is not None]):
            return Candidate(shown=f"HEAD of {clone.top}", sha=own, objects=clone.objects)
        note = f"{clone.top} shares no commit with this home, so its HEAD is not what is planned; name a commit or `.` to plan it"
    if head is None:
        raise NotFound(
            f"there is nothing to plan: the home's branch {branch} does not exist yet and {folder} is no clone of it;"
            " name a commit or a folder"
        )
    return Candidate(shown=f"{branch} of the home", sha=head, note=note)


def _files(path: str) -> Candidate:
    if not path.isprintable():
        raise UsageError(f"{path!r} cannot be planned: its name has characters that git takes for something else; move it")
    return Candidate(shown=f"the files in {path}", folder=path)


def _named(word: str, folder: str, clone: Clone | None, hosted: str) -> Candidate:
    if clone is not None:
        sha = clone.find_commit(word)
        if sha is not None:
            return Candidate(shown=f"{word} of {clone.top}", sha=sha, objects=clone.objects)
    sha = find_hosted_commit(hosted, word)
    if sha is None:
        raise NotFound(f"there is no folder and no commit {word!r}, neither in {folder} nor in the home's repository")
    return Candidate(shown=f"{word} of the home", sha=sha)


def find_hosted_commit(hosted: str, name: str) -> str | None:
    """The commit that the name means in the home's repository; None if there is none."""
    return _find_commit(hosted, hosted_environment(hosted), name)


def _find_commit(folder: str, env: dict[str, str], name: str) -> str | None:
    try:
        found = run_git(folder, env, "rev-parse", "--verify", "--quiet", "--end-of-options", name + "^{commit}")
    except GitFailed as error:
        if error.status is None:
            raise
        return None
    return found.decode("ascii").strip()


def find_clone(folder: str) -> Clone | None:
    """The clone around the folder, None if there is none.

    Raises Refused for one of somebody else's that the account has not declared safe, and for one from which this git would
    fetch; UsageError for one that git cannot read.
    """
    env = clone_environment()
    try:
        clone, version = _look(folder, env)
        is_judged = version >= _FIRST_JUDGE or all(_is_ours(path) for path in (clone.objects, clone.top))
    except GitFailed as error:
        if error.status is None:
            raise
        if any(mark in error.stderr for mark in _NO_CLONE):
            return None
        if not any(mark in error.stderr for mark in _SOMEBODY_ELSES):
            raise UsageError(_refusal(folder, error.stderr.partition("\n")[0])) from error
        is_judged = False
    if not is_judged:
        clone, version = _look_as_told(folder)
    if not can_refuse_to_fetch(version) and clone.is_partial():
        raise Refused(_refusal(folder, "it is a partial clone, and this git would fetch from where it says"))
    return clone


def _look(folder: str, env: dict[str, str]) -> tuple[Clone, tuple[int, int, int]]:
    with spawn_git(folder, env, *_LAYOUT) as looking:
        version = read_version()
        lines = os.fsdecode(finish_git(looking, "rev-parse")).splitlines()
    if len(lines) != 3:
        raise UsageError(_refusal(folder, "its path has a line's end in it"))
    return Clone(folder, env, top=lines[2], objects=lines[1]), version


def _look_as_told(folder: str) -> tuple[Clone, tuple[int, int, int]]:
    """As git looks for this account: with the folders that its own configuration declares safe."""
    trusted = trusted_folders()
    try:
        clone, version = _look(folder, clone_environment(trusted))
    except GitFailed as error:
        if error.status is None:
            raise
        raise Refused(_refusal(folder, _THEIRS)) from error
    if version < _FIRST_JUDGE and "*" not in trusted and clone.top not in trusted:
        raise Refused(_refusal(folder, _THEIRS))
    return clone, version


def _refusal(folder: str, why: str) -> str:
    return (
        f"could not plan: the repository around {folder} is not read: {why}; plan a folder's files (`lineclear plan .`), or go"
        " elsewhere to plan a commit of the home"
    )


def _is_ours(path: str) -> bool:
    owner, uid = os.stat(path).st_uid, os.geteuid()
    return owner == uid or (uid == 0 and str(owner) == os.environ.get("SUDO_UID"))


def _is_related(clone: Clone, own: str, hosted: str, live: list[str]) -> bool:
    """True if one of the two repositories knows a commit of the other, or if there is nothing in the hosted one yet."""
    if not live or any(clone.find_commit(sha) is not None for sha in live):
        return True
    names = b"\n".join([own.encode(), *clone.list_remote_heads()]) + b"\n"
    known = run_git(hosted, hosted_environment(hosted), "cat-file", "--batch-check", stdin=names)
    return any(line.split()[1:2] == [b"commit"] for line in known.splitlines())
