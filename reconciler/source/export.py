"""A commit's files as a read-only folder, for the steps of its runs: made once, whole or not at all.

Everything is written below a directory descriptor from blobs. Submodules, links that leave the tree, names that could leave it,
names that no file can have and names that come twice are left out, each for itself. It never checks out with git: filters, hooks
and attributes of the repository have no say.
"""

from __future__ import annotations

import os
import posixpath
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from reconciler.errors import Transient
from reconciler.source.repository import Repository
from reconciler.source.tree import NAME_LIMIT_BYTES, PATH_LIMIT_BYTES, SUBMODULE, SYMLINK, Entry

BLOB_LIMIT_BYTES = 1 << 30
_EXECUTABLE = "100755"
_FOLDER_MODE = 0o555
_LINK_LIMIT_BYTES = 4095
_STEP_LIMIT = 4096  # parts of a path followed before a link counts as endless
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def export_tree(repository: Repository, sha: str, dest: Path) -> list[str]:
    """Make `dest` the tree of the commit, files 0444 or 0555 and folders 0555 whatever the umask; the paths left out.

    A `dest` that exists is whole, since it appears by one rename: it is left as it is, and the answer is empty. Raises Transient
    if the disk or git fails; nothing of the attempt is left then.
    """
    if dest.exists():
        return []
    entries = repository.list_tree(sha)
    made = dest.with_name(f".{dest.name}.{secrets.token_hex(4)}")
    try:
        made.mkdir(mode=0o700, parents=True)
        left_out = _fill(repository, entries, made)
        made.chmod(_FOLDER_MODE)
        try:
            made.rename(dest)
        except OSError:
            if not dest.is_dir():
                raise
            remove_tree(made)
    except OSError as error:
        remove_tree(made)
        raise Transient(f"tree of {sha[:12]} could not be made at {dest}: {error}; it is tried again") from error
    except BaseException:
        remove_tree(made)
        raise
    return left_out


def remove_tree(path: Path) -> None:
    """Remove an exported tree; one that is not there is no error."""
    if not path.is_dir():
        return
    for folder, _, _ in os.walk(path):
        os.chmod(folder, 0o700)
    shutil.rmtree(path)


def _fill(repository: Repository, entries: Sequence[Entry], made: Path) -> list[str]:
    left_out = [e.path for e in entries if e.mode == SUBMODULE or not _is_safe(e.path)]
    usable = [e for e in entries if e.mode != SUBMODULE and _is_safe(e.path)]
    files = [e for e in usable if e.mode != SYMLINK]
    taken = {e.path for e in files} | {folder for e in usable for folder in _folders_of(e.path)}
    left_out += [e.path for e in usable if e.mode == SYMLINK and e.path in taken]
    wanted = [e for e in usable if e.mode == SYMLINK and e.path not in taken]
    links = {e.path: os.fsdecode(data) for e, _, data in repository.read_blobs(wanted, limit_bytes=_LINK_LIMIT_BYTES)}
    folders: set[str] = set()
    with _open_folder(str(made)) as root:
        for entry, size, data in repository.read_blobs(files, limit_bytes=BLOB_LIMIT_BYTES):
            if size > BLOB_LIMIT_BYTES:
                left_out.append(entry.path)
                continue
            if not _write(root, entry, data, folders):
                left_out.append(entry.path)
        for path, target in links.items():
            if not _stays_inside(path, links):
                left_out.append(path)
                continue
            try:
                _make_folders(root, posixpath.dirname(path), folders)
                os.symlink(os.fsencode(target), os.fsencode(path), dir_fd=root)
            except (FileExistsError, NotADirectoryError):
                left_out.append(path)
        for folder in sorted(folders, reverse=True):
            os.chmod(os.fsencode(folder), _FOLDER_MODE, dir_fd=root)
    return sorted(left_out)


def _folders_of(path: str) -> Iterator[str]:
    while path := posixpath.dirname(path):
        yield path


def _write(root: int, entry: Entry, data: bytes, folders: set[str]) -> bool:
    """True if the file was made, False if its name is another's already."""
    try:
        _make_folders(root, posixpath.dirname(entry.path), folders)
        handle = os.open(os.fsencode(entry.path), _CREATE, 0o400, dir_fd=root)
    except (FileExistsError, NotADirectoryError):
        return False
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(handle, rest) :]
        os.fchmod(handle, 0o555 if entry.mode == _EXECUTABLE else 0o444)
    finally:
        os.close(handle)
    return True


def _make_folders(root: int, folder: str, made: set[str]) -> None:
    """Make every folder on the way. Links come after all files, so none is walked through here."""
    if not folder or folder in made:
        return
    _make_folders(root, posixpath.dirname(folder), made)
    os.mkdir(os.fsencode(folder), 0o700, dir_fd=root)
    made.add(folder)


def _is_safe(path: str) -> bool:
    """True for a path that a file can have and that stays below its root: no empty, `.`, `..` or `.git` part."""
    if len(os.fsencode(path)) > PATH_LIMIT_BYTES:
        return False
    parts = path.split("/")
    return all(p not in ("", ".", "..") and p.lower() != ".git" and len(os.fsencode(p)) <= NAME_LIMIT_BYTES for p in parts)


def _stays_inside(path: str, links: Mapping[str, str]) -> bool:
    """True if following the link, through every other link of the tree, never climbs above the root."""
    left = links[path].split("/")
    here = path.split("/")[:-1]
    if not links[path] or links[path].startswith("/") or "\0" in links[path]:
        return False
    for _ in range(_STEP_LIMIT):
        if not left:
            return True
        part, left = left[0], left[1:]
        if part == "..":
            if not here:
                return False
            here = here[:-1]
        elif part not in ("", "."):
            here = [*here, part]
            target = links.get("/".join(here))
            if target is not None:
                if target.startswith("/"):
                    return False
                here, left = here[:-1], [*target.split("/"), *left]
    return False


@contextmanager
def _open_folder(path: str) -> Iterator[int]:
    handle = os.open(path, _FOLDER)
    try:
        yield handle
    finally:
        os.close(handle)
