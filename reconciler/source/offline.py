"""The checks without a daemon: a push's, as the program that the hook starts, and that of `lineclear lint PATH`.

What a push leaves alone is looked up in the old tree itself, and only where the push gives cause. It uses git and the rooms
below; no store, no socket, no settings but those that `init` wrote into the repository.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from reconciler.errors import Transient, UsageError
from reconciler.lint import HOST_IMAGES, lint_files
from reconciler.manifest import named_locks, named_templates
from reconciler.model.images import Images
from reconciler.model.source import Identity, PushVerdict, identity_of
from reconciler.model.spec import Document, Finding, Kind, ParsedFile, Place, Severity
from reconciler.source import hook
from reconciler.source.check import PushRequest, check_push, decode_request, semaphores_of
from reconciler.source.ignore import IGNORE_FILE, path_rule
from reconciler.source.parsing import FILE_LIMIT_BYTES, OUR_NAMES, UNCHECKED, bad_file, link_file, manifest_parser, unread_file
from reconciler.source.receipts import write_receipt
from reconciler.source.repository import Repository, Scope
from reconciler.source.tree import Entry, is_hostile, path_key

EXIT_REFUSED = 10  # told apart from an interpreter's own failures
CHECK_S = 60  # how long one check may take
LOOK_BACK_S = 1.0  # how long old errors are looked for


class TreeLookup:
    """A Lookup over one commit's tree. Files are searched as bytes; only those that hold the name are parsed."""

    def __init__(self, repository: Repository, sha: str | None) -> None:
        self._repository = repository
        self._sha = sha
        self._blobs: list[tuple[Entry, bytes]] | None = None

    def template(self, namespace: str, name: str) -> Document | None:
        """The WorkflowTemplate of that name."""
        return next(self._named((Kind.WORKFLOW_TEMPLATE.value, namespace, name)), None)

    def referrers(self, namespace: str, template: str) -> Sequence[tuple[Identity, Place]]:
        """Who names that template by workflowTemplateRef or templateRef; without a namespace it is a cluster's."""
        kind = Kind.WORKFLOW_TEMPLATE if namespace else Kind.CLUSTER_TEMPLATE
        wanted = (kind.value, namespace, template)
        return [(identity_of(d), d.place) for d in self._documents_with(template) if wanted in named_templates(d)]

    def semaphore_users(self, namespace: str, configmap: str) -> Sequence[tuple[Identity, Place]]:
        """Who takes a semaphore from that ConfigMap."""
        return [
            (identity_of(d), d.place)
            for d in self._documents_with(configmap)
            if any(s.configmap == configmap and (s.namespace or d.namespace) == namespace for s in semaphores_of(d))
        ]

    def lock_counts(self, without: Collection[str]) -> Mapping[str, int]:
        """How often documents of other paths name which locks, as far as they are read in one second."""
        counts: Counter[str] = Counter()
        for document in self._lock_documents(without):
            counts.update(named_locks(document))
        return counts

    def lock_users(self, keys: Collection[str], without: Collection[str], most: int) -> Sequence[tuple[Identity, Place]]:
        """Who names one of these locks, and where, as far as they are read in one second; at most so many."""
        users = (d for d in self._lock_documents(without) if not named_locks(d).keys().isdisjoint(keys))
        return [(identity_of(d), d.place) for d in islice(users, most)]

    def _lock_documents(self, without: Collection[str]) -> Iterator[Document]:
        until = time.monotonic() + LOOK_BACK_S
        for entry, data in self._read():
            if b"ynchronization" in data and entry.path not in without and time.monotonic() < until:
                parsed = self._parse(entry, data)
                yield from () if parsed.is_bad else parsed.documents

    def owner(self, identity: Identity) -> Place | None:
        """Where the definition of that identity is written; a generateName belongs to its place alone."""
        if "|" in identity[2]:
            return None
        found = next(self._named(identity), None)
        return found.place if found is not None else None

    def standing_errors(self) -> Sequence[Finding]:
        """The errors of the tree, as many as are found in one second."""
        until = time.monotonic() + LOOK_BACK_S
        found: list[Finding] = []
        for entry, data in self._read():
            if time.monotonic() > until:
                break
            found += [f for f in self._parse(entry, data).findings if f.severity is Severity.ERROR]
        return found

    def _named(self, identity: Identity) -> Iterator[Document]:
        return (d for d in self._documents_with(identity[2]) if identity_of(d) == identity)

    def _documents_with(self, text: str) -> Iterator[Document]:
        wanted = text.encode()
        for entry, data in self._read():
            if wanted in data:
                parsed = self._parse(entry, data)
                yield from () if parsed.is_bad else parsed.documents

    def _parse(self, entry: Entry, data: bytes) -> ParsedFile:
        return self._repository.parse_blob(entry, len(data), data)

    def _read(self) -> list[tuple[Entry, bytes]]:
        if self._blobs is None:
            entries = self._repository.list_manifests(self._sha) if self._sha is not None else []
            blobs = self._repository.read_blobs(entries, limit_bytes=FILE_LIMIT_BYTES, marks=OUR_NAMES)
            self._blobs = [(entry, data) for entry, size, data in blobs if size <= FILE_LIMIT_BYTES]
        return self._blobs


def check_push_offline(repository: Repository, request: PushRequest) -> PushVerdict:
    """The verdict on a push from the repository alone."""
    branch = repository.config("lineclear.branch") or "main"
    ours = [u for u in request.updates if u.ref == f"refs/heads/{branch}" and not u.is_creation]
    lookup = TreeLookup(repository, ours[0].old if ours else None)
    return check_push(repository, request, lookup, branch=branch)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What was found, by path and line, and in how much: files read, documents of ours in them, documents of others."""

    findings: tuple[Finding, ...]
    files: int
    documents: int
    foreign: int


def check_paths(paths: Sequence[Path], *, images: Images = HOST_IMAGES, notes: bool = False) -> Checked:
    """Every finding on the manifests at or below the paths; a folder's own `.lineclearignore` counts.

    `notes`: also those. Raises UsageError for a path that is not there.
    """
    files: dict[str, ParsedFile] = {}
    for path in paths:
        for shown, real in _manifests(path):
            files.setdefault(shown, _read_file(shown, real, images))
    found = dict.fromkeys(f for file in files.values() for f in file.findings if f.rule not in UNCHECKED)
    found |= dict.fromkeys(lint_files(list(files.values()), {}, images=images, notes=notes))
    return Checked(
        findings=tuple(sorted(found, key=lambda f: (path_key(f.place.path), f.place.line, f.place.column, f.rule))),
        files=len(files),
        documents=sum(len(file.documents) for file in files.values()),
        foreign=sum(file.foreign for file in files.values()),
    )


def _manifests(path: Path) -> Iterator[tuple[str, Path]]:
    if path.is_file():
        yield str(path), path
        return
    if not path.is_dir():
        raise UsageError(f"{path} cannot be checked: it is neither a file nor a folder; give one that is there")
    ignore = path / IGNORE_FILE
    rule = path_rule("", ignore.read_bytes() if ignore.is_file() else b"")
    for root, folders, names in os.walk(path):
        folder = Path(root)
        folders[:] = sorted(f for f in folders if f != ".git")
        for name in sorted(names):
            inside = (folder / name).relative_to(path).as_posix()
            if rule.is_manifest(inside) and not is_hostile(inside):
                yield str(path / inside), folder / name


def _read_file(shown: str, real: Path, images: Images) -> ParsedFile:
    if real.is_symlink():
        return link_file(shown, "", held_ours=False)
    try:
        size = real.stat().st_size
        data = real.read_bytes() if size <= FILE_LIMIT_BYTES else _find_mark(real)
    except OSError as error:
        return bad_file(shown, "", "LC900", f"the file cannot be read: {error.strerror}")
    return unread_file(shown, "", size, data) or manifest_parser(images)(shown, "", data, False)


def _find_mark(real: Path) -> bytes:
    """The name of ours that a large file holds, or b''."""
    rest = b""
    with real.open("rb") as file:
        while part := file.read(1 << 20):
            found = next((name for name in OUR_NAMES if name in rest + part), None)
            if found is not None:
                return found
            rest = part[-max(map(len, OUR_NAMES)) :]
    return b""


def _give_up(_number: int, _frame: object) -> None:
    raise Transient(f"its check takes longer than {CHECK_S} s; split it")


def main(argv: Sequence[str] | None = None) -> int:
    """Check the push that standard input names; EXIT_REFUSED if it is refused, 0 if it is let in.

    What is for the pusher goes to standard output, what is for the log to standard error. Any other end is a failure of the
    check, which the hook tells: it refuses the push then.
    """
    parser = argparse.ArgumentParser(prog="lineclear-check")
    parser.add_argument("--home", required=True)
    parser.add_argument("--repository", required=True)
    arguments = parser.parse_args(argv)
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    signal.signal(signal.SIGALRM, _give_up)
    signal.alarm(CHECK_S)
    request = decode_request(json.loads(sys.stdin.buffer.read()))
    repository = Repository(arguments.repository)
    scope = Scope(include=repository.config("lineclear.include") or "")
    verdict = check_push_offline(Repository(arguments.repository, scope=scope), request)
    signal.alarm(0)
    for line in verdict.lines:
        hook.say(line, hook.STDOUT)
    write_receipt(arguments.home, verdict, hook.pusher())
    return 0 if verdict.accepted else EXIT_REFUSED


if __name__ == "__main__":
    sys.exit(main())
