"""What a plan is about: a commit of the clone in the current folder, one of the hosted repository, or a folder's files.

It finds and names; it reads no manifest and writes nothing. The first line of `plan` waits for this module alone, so it starts
few children and imports little.
"""

from __future__ import annotations

import os

from reconciler.errors import NotFound, UsageError
from reconciler.source.plumbing import GitFailed, drop_inherited_git_variables, run_git, scrubbed_environment

_REMOTES_LOOKED_AT = 100


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


def find_candidate(word: str, folder: str, hosted: str, branch: str, applied: str | None) -> Candidate:
    """What `word` means, seen from `folder`: a folder, a commit of the clone there, a commit of the hosted repository.

    '' is HEAD of the clone if it shares history with the hosted repository, else that repository's branch. Raises NotFound.
    """
    drop_inherited_git_variables()
    clone = _find_clone(folder)
    if word:
        return _named(word, folder, clone, hosted)
    head = find_commit(hosted, f"refs/heads/{branch}")
    own = None if clone is None else find_commit(clone[0], "HEAD")
    note = ""
    if clone is not None and own is not None:
        if _is_related(clone[0], own, hosted, [sha for sha in (applied, head) if sha is not None]):
            return Candidate(shown=f"HEAD of {clone[0]}", sha=own, objects=clone[1])
        note = f"{clone[0]} shares no commit with this home, so its HEAD is not what is planned; name a commit or `.` to plan it"
    if head is None:
        raise NotFound(
            f"there is nothing to plan: the home's branch {branch} does not exist yet and {folder} is no clone of it;"
            " name a commit or a folder"
        )
    return Candidate(shown=f"{branch} of the home", sha=head, note=note)


def _named(word: str, folder: str, clone: tuple[str, str] | None, hosted: str) -> Candidate:
    path = os.path.join(folder, word)
    if os.path.isdir(path):
        if not path.isprintable():
            raise UsageError(f"{path!r} cannot be planned: its name has characters that git takes for something else; move it")
        return Candidate(shown=f"the files in {os.path.normpath(path)}", folder=os.path.normpath(path))
    if clone is not None:
        sha = find_commit(clone[0], word)
        if sha is not None:
            return Candidate(shown=f"{word} of {clone[0]}", sha=sha, objects=clone[1])
    sha = find_commit(hosted, word)
    if sha is None:
        raise NotFound(f"there is no folder and no commit {word!r}, neither in {folder} nor in the home's repository")
    return Candidate(shown=f"{word} of the home", sha=sha)


def find_commit(repository: str, name: str) -> str | None:
    """The commit that the name means in a repository or work tree; None if there is none."""
    asked = ("rev-parse", "--verify", "--quiet", "--end-of-options", name + "^{commit}")
    try:
        found = run_git(repository, _environment(repository), *asked)
    except GitFailed as error:
        if error.status is None:
            raise
        return None
    return found.decode("ascii").strip()


def _environment(folder: str) -> dict[str, str]:
    """As for any child, but a clone is found from a folder inside it too."""
    env = scrubbed_environment(folder)
    del env["GIT_CEILING_DIRECTORIES"]
    return env


def _find_clone(folder: str) -> tuple[str, str] | None:
    """(top folder, folder of its objects) of the work tree around `folder`, None if there is none."""
    try:
        asked = ("rev-parse", "--path-format=absolute", "--show-toplevel", "--git-path", "objects")
        lines = os.fsdecode(run_git(folder, _environment(folder), *asked)).splitlines()
    except GitFailed as error:
        if error.status is None:
            raise
        return None
    return (lines[0], lines[1]) if len(lines) == 2 else None


def _is_related(clone: str, own: str, hosted: str, live: list[str]) -> bool:
    """True if one of the two repositories knows a commit of the other, or if there is nothing in the hosted one yet."""
    if not live or any(find_commit(clone, sha) is not None for sha in live):
        return True
    asked = ("for-each-ref", f"--count={_REMOTES_LOOKED_AT}", "--format=%(objectname)", "refs/remotes")
    names = run_git(clone, _environment(clone), *asked).split()
    known = run_git(hosted, _environment(hosted), "cat-file", "--batch-check", stdin=b"\n".join([own.encode(), *names]) + b"\n")
    return any(line.split()[1:2] == [b"commit"] for line in known.splitlines())
