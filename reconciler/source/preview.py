"""The hosted repository together with objects that nobody has pushed to it: those of a clone, or of a folder's files.

It reads. What it must write, a folder's files as a commit, goes to a temporary folder of objects that is gone afterwards; the
hosted repository and the clone stay as they are.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from reconciler.errors import Transient
from reconciler.source.candidate import Candidate
from reconciler.source.ignore import IGNORE_FILE, path_rule
from reconciler.source.parsing import ParsedCache
from reconciler.source.plumbing import GitFailed, run_git
from reconciler.source.repository import Repository, Scope, check_sha
from reconciler.source.tree import SYMLINK, is_hostile

_FILE = "100644"


class Preview(Repository):
    """The hosted repository as it would be with the objects in the folders `objects`."""

    def __init__(self, path: str, *, scope: Scope, cache: ParsedCache, objects: tuple[str, ...]) -> None:
        super().__init__(path, scope=scope, cache=cache)
        self._env["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = os.pathsep.join(_quoted(folder) for folder in objects)

    def with_quarantine(self, quarantine: Mapping[str, str]) -> Repository:
        """Itself: nothing was pushed, so nothing is in quarantine."""
        del quarantine
        return self

    def is_ancestor(self, older: str, newer: str) -> bool:
        """As for the hosted one, by a plain child."""
        try:
            run_git(self.path, self._env, "merge-base", "--is-ancestor", check_sha(older), check_sha(newer))
        except GitFailed as error:
            if error.status == 1:
                return False
            raise
        return True

    def commit_folder(self, folder: str, store: str, parent: str | None) -> str:
        """The SHA of a commit of the folder's manifests, written to the object folder `store`."""
        env = {**self._env, "GIT_INDEX_FILE": os.path.join(store, "index")}
        env["GIT_OBJECT_DIRECTORY"] = os.path.join(store, "objects")
        around = env.pop("GIT_ALTERNATE_OBJECT_DIRECTORIES")  # git would touch an object that is there already
        found = [*_manifests(folder, self.scope, store)]
        paths = "".join(f"{real}\n" for _, _, real in found).encode()
        blobs = run_git(self.path, env, "hash-object", "-w", "--no-filters", "--stdin-paths", stdin=paths).decode("ascii").split()
        lines = [f"{mode} {blob}\t{path}\0" for (path, mode, _), blob in zip(found, blobs, strict=True)]
        run_git(self.path, env, "update-index", "-z", "--add", "--index-info", stdin="".join(lines).encode())
        tree = run_git(self.path, env, "write-tree").decode("ascii").strip()
        above = () if parent is None else ("-p", parent)
        env["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = around
        return run_git(self.path, env, "commit-tree", tree, *above, "-m", "files of a folder").decode("ascii").strip()


@contextmanager
def open_preview(
    hosted: str, candidate: Candidate, *, scope: Scope, cache: ParsedCache, branch: str
) -> Iterator[tuple[Preview, str]]:
    """The repository that can read the candidate, and its commit; a folder's files become one on top of the branch."""
    if candidate.sha:
        more = (candidate.objects,) if candidate.objects else ()
        try:
            yield Preview(hosted, scope=scope, cache=cache, objects=more), candidate.sha
        except GitFailed as error:
            if not candidate.objects:
                raise
            reason = f"{candidate.shown} could not be read whole: {error}"
            raise Transient(f"{reason}; a plan fetches nothing: fetch what is not here, or plan a folder's files") from error
        return
    with tempfile.TemporaryDirectory(prefix="lineclear-plan-") as store:
        os.mkdir(os.path.join(store, "objects"))
        objects = (os.path.join(store, "objects"), os.path.join(hosted, "objects"))
        preview = Preview(hosted, scope=scope, cache=cache, objects=objects)
        yield preview, preview.commit_folder(candidate.folder, store, preview.resolve(branch))


def _manifests(folder: str, scope: Scope, store: str) -> Iterator[tuple[str, str, str]]:
    """(path in the tree, mode, file to read) of each manifest and of the ignore file; a link is its text, as in git."""
    ignore = os.path.join(folder, IGNORE_FILE)
    text = b""
    if os.path.isfile(ignore) and not os.path.islink(ignore):
        with open(ignore, "rb") as file:
            text = file.read()
        yield IGNORE_FILE, _FILE, os.path.abspath(ignore)
    rule = path_rule(scope.include, text)
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != ".git" and not os.path.exists(os.path.join(root, name, ".git"))]
        for name in names:
            real = os.path.abspath(os.path.join(root, name))
            path = os.path.relpath(real, folder)
            if rule.is_manifest(path) and not is_hostile(path) and "\n" not in real:
                if os.path.islink(real):
                    yield path, SYMLINK, _link_text(real, store)
                elif os.path.isfile(real):
                    yield path, _FILE, real


def _link_text(real: str, store: str) -> str:
    handle, path = tempfile.mkstemp(dir=store)
    with os.fdopen(handle, "wb") as file:
        file.write(os.fsencode(os.readlink(real)))
    return path


def _quoted(folder: str) -> str:
    """A folder in a list of them: git takes one with a separator in it in quotes."""
    if os.pathsep not in folder and not folder.startswith('"'):
        return folder
    escaped = folder.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
