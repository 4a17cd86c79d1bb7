"""One bare repository: its head, its revisions as values, and the two refs of our own in it.

Every call stands alone: it starts short-lived git children and leaves none, so any thread may use one Repository. GitPython
runs the commands that write or are rare (`plumbing.execute`). Its object layer is not used: one Repo shared by threads reads
wrong data, and an open one keeps children. What a push waits for (`rev-parse`,
`diff-tree`, `ls-tree`, `cat-file --batch`) are children of `plumbing`: 5 ms with parsing for one changed file in 10,000, and no
import of 80 ms.
Only committed objects are read; no work tree, no symlink, no submodule is ever followed, and no branch is ever written.
"""

from __future__ import annotations

import gc
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice

from reconciler.errors import ManifestError, UsageError
from reconciler.model.source import Revision, Standing
from reconciler.model.spec import ParsedFile
from reconciler.source import tree
from reconciler.source.ignore import IGNORE_FILE, PathRule, path_rule
from reconciler.source.notes import NOTES_REF
from reconciler.source.parsing import FILE_LIMIT_BYTES, OUR_NAMES, ParsedCache, is_silent, link_file, unread_file
from reconciler.source.plumbing import (
    OUTPUT_LIMIT_BYTES,
    GitFailed,
    ObjectReader,
    TooMuch,
    bound_memory,
    drop_inherited_git_variables,
    execute,
    finish_git,
    hosted_environment,
    kill_git,
    run_git,
    spawn_git,
)

ZERO_SHA = "0" * 40
APPLIED_REF = "refs/lineclear/applied"
NOTE_LIMIT_CHARS = 60_000
_IGNORE_LIMIT_BYTES = 1 << 16
_COMMIT_LIMIT_BYTES = 1 << 20
_WINDOW = 256  # objects asked for at once; their names must fit a pipe
_PATH_WINDOW = 24
_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")
_BRANCH = re.compile(r"(?![-/.])(?!.*(?:\.\.|//|@\{|/\.|\.lock(?:/|\Z)))[^\x00-\x20\x7f~^:?*\[\\]+(?<![./])\Z")
_DIFF = ("diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-ext-diff", "--no-textconv")

_SHA_LINE = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What of a tree is read: the folder ('' is all of it) and how many manifests at most."""

    include: str = ""
    limit_files: int = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """The head lines of a commit."""

    parents: tuple[str, ...]
    author: str
    subject: str


class Repository:
    """A bare repository at `path`; `quarantine` (a pre-receive hook's variables) makes a push's objects readable too."""

    def __init__(
        self,
        path: str,
        *,
        scope: Scope | None = None,
        cache: ParsedCache | None = None,
        quarantine: Mapping[str, str] | None = None,
    ) -> None:
        drop_inherited_git_variables()
        self.path = os.path.abspath(path)
        self.scope = scope or Scope()
        self._cache = cache or ParsedCache()
        self._env = hosted_environment(self.path, quarantine=quarantine)

    def with_quarantine(self, quarantine: Mapping[str, str]) -> Repository:
        """The same repository, seeing a push's objects before they are accepted; the cache is shared."""
        return Repository(self.path, scope=self.scope, cache=self._cache, quarantine=quarantine)

    def resolve(self, branch: str) -> str | None:
        """The commit at the branch's head, None if there is no such branch; raises GitFailed if git fails.

        A loose ref outranks a packed one, and a branch holds nothing but a commit: where its file has a SHA, that is the head,
        and no child is paid for. Everything else (packed, symbolic, reftable) git answers.
        """
        loose = self._loose_ref(check_branch(branch))
        if loose is not None:
            return loose
        name = f"refs/heads/{check_branch(branch)}^{{commit}}"
        try:
            found = run_git(self.path, self._env, "rev-parse", "--verify", "--quiet", "--end-of-options", name)
        except GitFailed as error:
            if not error.is_silent_no:
                raise
            if os.path.isfile(os.path.join(self.path, "refs", "heads", branch)):
                what = f"branch {branch} could not be read: its ref names no commit that is there"
                raise GitFailed(f"{what}; restore it, or push the branch again with -f; it is tried again") from error
            return None
        return found.decode("ascii").strip()

    def _loose_ref(self, branch: str) -> str | None:
        try:
            with open(os.path.join(self.path, "refs", "heads", branch), encoding="ascii") as file:
                text = file.read(80)
        except (OSError, ValueError):
            return None
        return text[:-1] if _SHA_LINE.fullmatch(text) else None

    def is_ancestor(self, older: str, newer: str) -> bool:
        """True if `newer` has `older` in its history."""
        status, _, err = self._execute("merge-base", "--is-ancestor", check_sha(older), check_sha(newer))
        if status not in (0, 1):
            raise GitFailed(f"history of {newer[:12]} could not be read: {err[-400:]}; it is tried again", stderr=err)
        return status == 0

    def pin(self, sha: str) -> None:
        """Keep the applied commit from being collected after a rewind."""
        self._must("update-ref", APPLIED_REF, check_sha(sha))

    def pinned(self) -> str | None:
        """The commit that `pin` named last."""
        status, out, _ = self._execute("rev-parse", "--verify", "--quiet", f"{APPLIED_REF}^{{commit}}")
        return out if status == 0 else None

    def write_note(self, sha: str, text: str) -> None:
        """Set the note of a commit in refs/notes/lineclear, replacing an earlier one."""
        cut = text.replace("\0", "\\0")[:NOTE_LIMIT_CHARS]
        self._must("notes", f"--ref={NOTES_REF}", "add", "-f", "-m", cut, check_sha(sha))

    def read_note(self, sha: str) -> str | None:
        """The note of a commit, None without one."""
        status, out, _ = self._execute("notes", f"--ref={NOTES_REF}", "show", check_sha(sha))
        return out if status == 0 else None

    def config(self, key: str) -> str | None:
        """One setting of the repository itself."""
        try:
            return run_git(self.path, self._env, "config", "--local", "--get", key).decode("utf-8", "replace").strip()
        except GitFailed as error:
            if not error.is_silent_no:
                raise
            return None

    def tidy(self) -> None:
        """Let git pack what has piled up: pushes do not, so that none waits for it."""
        self._must("-c", "gc.auto=2000", "-c", "gc.autoDetach=false", "gc", "--auto", "--quiet")

    def read_revision(self, sha: str, previous: str | None, *, at: datetime, standing: Standing | None = None) -> Revision:
        """The commit as a difference to `previous`; one that no longer exists makes it a whole one.

        Raises ManifestError if the tree holds more manifests than the scope allows, GitFailed if git fails. Costs two
        children and the parsing of what changed, for any size of tree, once the number of files in `previous` is known.
        """
        known = standing or Standing()
        seen = self._cache.find_revision(sha, previous)
        if seen is not None and not known.refused and not any(_is_doubtful(file, known) for file in seen.changed):
            return replace(seen, at=at)
        with ObjectReader(self.path, self._env) as reader:
            asked = check_sha(previous) if previous is not None else ZERO_SHA
            reader.ask(f"{name}{part}" for name in (check_sha(sha), asked) for part in ("^{commit}", f":{IGNORE_FILE}"))
            with spawn_git(self.path, self._env, *_DIFF, asked, sha) as differ:
                bound_memory(differ)
                commit = _read_commit(reader, sha)
                rule = self._read_rule(reader)
                base = asked if reader.answer(limit_bytes=_COMMIT_LIMIT_BYTES) is not None else None
                old_rule = self._read_rule(reader)
                if base is None:
                    kill_git(differ)
                    change, total = self._whole_tree(sha, rule, known)
                else:
                    with _within_bounds(sha):
                        output = finish_git(differ, "diff-tree")
                    change, total = self._difference((base, old_rule), (sha, rule), output)
            if total > self.scope.limit_files:
                message = f"{total} manifest files are over the limit of {self.scope.limit_files}"
                raise ManifestError(f"{IGNORE_FILE}:1:1: {sha[:12]} cannot be read: {message}; ignore some")
            entries, notices = tree.sort_out(change.changed)
            gone = set(change.removed)
            with _uncollected():
                changed = self._parse(reader, entries, known)
        again = known.refused - {e.path for e in entries} - gone
        if again:
            changed += self.read_before(sha, [p for p in again if rule.is_manifest(p)])
        self._cache.keep_count(sha, self.scope.include, total)
        revision = Revision(
            sha=sha,
            previous=previous,
            is_whole=base is None,
            at=at,
            changed=tuple(sorted(changed, key=lambda f: tree.path_key(f.path))),
            removed=tuple(sorted(gone, key=tree.path_key)),
            fast_forward=previous is None or (base is not None and self._is_forward(base, sha, commit)),
            author=commit.author,
            subject=commit.subject,
            notices=tuple(notices),
            total_files=total,
        )
        self._cache.keep_revision(revision)
        return revision

    def _is_forward(self, base: str, sha: str, commit: Commit) -> bool:
        return base == sha or base in commit.parents or self.is_ancestor(base, sha)

    def read_before(self, sha: str, paths: Sequence[str]) -> list[ParsedFile]:
        """The given paths of a commit as they are there, in this order; those that are not there are left out."""
        if not paths:
            return []
        files = []
        with ObjectReader(self.path, self._env) as reader:
            for start in range(0, len(paths), _PATH_WINDOW):
                window = paths[start : start + _PATH_WINDOW]
                reader.ask(f"{check_sha(sha)}:{path}" for path in window)
                for path in window:
                    found = reader.answer(limit_bytes=FILE_LIMIT_BYTES, marks=OUR_NAMES)
                    if found is not None and found[1] == "blob":
                        entry = tree.Entry(path=path, mode="100644", blob=found[0])
                        files.append(self.parse_blob(entry, found[2], found[3]))
        return files

    def list_manifests(self, sha: str) -> list[tree.Entry]:
        """Every manifest of a commit that can be read, by the bytes of its path."""
        with ObjectReader(self.path, self._env) as reader:
            reader.ask([f"{check_sha(sha)}:{IGNORE_FILE}"])
            rule = self._read_rule(reader)
        entries, _ = tree.sort_out([e for e in self.list_tree(sha) if rule.is_manifest(e.path)])
        return entries

    def list_tree(self, sha: str) -> list[tree.Entry]:
        """Every entry of a commit's tree, folders left out; raises ManifestError if they are more than can be read."""
        with _within_bounds(sha):
            return tree.list_entries(run_git(self.path, self._env, "ls-tree", "-r", "-z", "--full-tree", check_sha(sha)))

    def read_blobs(
        self, entries: Iterable[tree.Entry], *, limit_bytes: int, marks: Sequence[bytes] = ()
    ) -> Iterator[tuple[tree.Entry, int, bytes]]:
        """Each entry with its size and content (over the limit only the first of `marks` in it, or b''), in order."""
        with ObjectReader(self.path, self._env) as reader:
            yield from _read_blobs(reader, entries, limit_bytes, marks)

    def parse_entries(self, entries: Sequence[tree.Entry], standing: Standing) -> list[ParsedFile]:
        """The entries as parsed files."""
        with ObjectReader(self.path, self._env) as reader:
            return self._parse(reader, entries, standing)

    def _whole_tree(self, sha: str, rule: PathRule, known: Standing) -> tuple[tree.TreeChange, int]:
        change = tree.compare_entries((), rule, self.list_tree(sha), rule)
        gone = set(known.live_paths) - {e.path for e in change.changed}
        return tree.TreeChange(changed=change.changed, removed=tuple(gone), growth=change.growth), change.growth

    def _difference(self, old: tuple[str, PathRule], new: tuple[str, PathRule], output: bytes) -> tuple[tree.TreeChange, int]:
        (base, old_rule), (sha, rule) = old, new
        if old_rule != rule:
            before = self.list_tree(base)
            change = tree.compare_entries(before, old_rule, self.list_tree(sha), rule)
            return change, change.growth + tree.compare_entries((), old_rule, before, old_rule).growth
        change = tree.diff_trees(output, rule)
        count = self._cache.find_count(base, self.scope.include)
        if count is None:
            return change, tree.compare_entries((), rule, self.list_tree(sha), rule).growth
        return change, count + change.growth

    def _read_rule(self, reader: ObjectReader) -> PathRule:
        found = reader.answer(limit_bytes=_IGNORE_LIMIT_BYTES)
        return path_rule(self.scope.include, b"" if found is None or found[1] != "blob" else found[3])

    def _parse(self, reader: ObjectReader, entries: Sequence[tree.Entry], known: Standing) -> list[ParsedFile]:
        files: dict[str, ParsedFile] = {}
        wanted = []
        for entry in entries:
            if entry.mode == tree.SYMLINK:
                files[entry.path] = link_file(entry.path, entry.blob, held_ours=entry.path in known.live_paths)
            elif (kept := self._cache.find(entry.path, entry.blob)) is not None and not is_silent(kept):
                files[entry.path] = kept
            else:
                wanted.append(entry)
        for entry, size, data in _read_blobs(reader, wanted, FILE_LIMIT_BYTES, OUR_NAMES):
            files[entry.path] = self.parse_blob(entry, size, data, known.live_paths)
        return [files[entry.path] for entry in entries]

    def parse_blob(self, entry: tree.Entry, size: int, data: bytes, held_before: Collection[str] = ()) -> ParsedFile:
        """One blob as a parsed file; what cannot be one is a file with an error. `held_before` are paths with ours in them.

        Of a blob over the limit, `data` is the name of ours that it holds, b'' if there is none.
        """
        unread = unread_file(entry.path, entry.blob, size, data, held_before)
        if unread is not None:
            return unread
        parsed = self._cache.find(entry.path, entry.blob) or self._cache.parse(entry.path, entry.blob, data)
        if is_silent(parsed) and entry.path in held_before:
            return self._cache.parse_held(entry.path, entry.blob, data)
        return parsed

    def _must(self, *args: str) -> str:
        status, out, err = self._execute(*args)
        if status != 0:
            raise GitFailed(f"git {args[0]} failed: exit code {status}: {err[-400:]}; it is tried again", stderr=err)
        return out

    def _execute(self, *args: str) -> tuple[int, str, str]:
        return execute(self.path, self._env, *args)


@contextmanager
def _within_bounds(sha: str) -> Iterator[None]:
    """A tree may name its folders again and again: then a few objects are more paths than there is memory."""
    try:
        yield
    except TooMuch as error:
        reason = f"its paths are over the limit of {OUTPUT_LIMIT_BYTES >> 20} MiB; remove some"
        raise ManifestError(f"{IGNORE_FILE}:1:1: {sha[:12]} cannot be read: {reason}") from error


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without garbage collection meanwhile: parsing makes a great many values, and none of them is part of a cycle."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _is_doubtful(file: ParsedFile, known: Standing) -> bool:
    """True for a file that says nothing of ours, but held something: only with that in mind is it read rightly."""
    return not file.documents and not file.is_bad and file.path in known.live_paths


def check_sha(sha: str) -> str:
    """The SHA itself; raises UsageError if it is not a full one."""
    if not _SHA.match(sha):
        raise UsageError(f"commit {sha[:80]!r} cannot be used: it is not a full lower-case SHA; give all of it")
    return sha


def check_branch(branch: str) -> str:
    """The branch name itself; raises UsageError if git would not take it for one."""
    if not _BRANCH.match(branch):
        raise UsageError(f"branch {branch[:80]!r} cannot be used: it is not a valid name; see git help check-ref-format")
    return branch


def _read_commit(reader: ObjectReader, sha: str) -> Commit:
    found = reader.answer(limit_bytes=_COMMIT_LIMIT_BYTES)
    if found is None or found[1] != "commit":
        raise GitFailed(f"commit {sha} could not be read: it is not in the repository; it is tried again")
    head, _, message = found[3].decode("utf-8", "replace").partition("\n\n")
    lines = head.split("\n")
    author = next((line[7:] for line in lines if line.startswith("author ")), "")
    return Commit(
        parents=tuple(line[7:] for line in lines if line.startswith("parent ")),
        author=author.rsplit(" ", 2)[0],
        subject=message.strip().split("\n", 1)[0],
    )


def _read_blobs(
    reader: ObjectReader, entries: Iterable[tree.Entry], limit_bytes: int, marks: Sequence[bytes]
) -> Iterator[tuple[tree.Entry, int, bytes]]:
    source = iter(entries)
    while window := list(islice(source, _WINDOW)):
        reader.ask([entry.blob for entry in window])
        for entry in window:
            found = reader.answer(limit_bytes=limit_bytes, marks=marks)
            if found is None:
                raise GitFailed(f"blob {entry.blob} of {tree.visible(entry.path)} could not be read; it is tried again")
            yield entry, found[2], found[3]
