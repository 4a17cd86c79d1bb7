"""Blobs to parsed files, through a cache bounded by bytes.

It never reads Git; a file is parsed and linted by the rooms below, imported on first use.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace

from reconciler.model.images import Images
from reconciler.model.source import Revision
from reconciler.model.spec import Finding, ParsedFile, Place, Severity

_ABOUT_OTHERS = frozenset({"LC401", "LC403", "LC504", "LC506", "LC508", "LC512", "LC513", "LC514"})
CACHE_BYTES = 16 << 20
_COUNTS_KEPT = 16
_REVISION_FILES_KEPT = 100
_ENTRY_BYTES = 512  # what a parsed file costs beside its text
Parse = Callable[[str, str, bytes, bool], ParsedFile]  # path, blob SHA, content, held ours before


def manifest_parser(images: Images) -> Parse:
    """How files are parsed: decoded, then linted by themselves, so that a document wrong in itself makes its file bad.

    What depends on other files is not judged here, since they may arrive later: identities, templates that are elsewhere, and
    everything in a document that is merged with such a template. `images` are those that the settings map to a runtime.
    """

    def parse(path: str, blob: str, data: bytes, held_before: bool) -> ParsedFile:  # noqa: FBT001 - the type Parse
        from reconciler.lint import lint_files
        from reconciler.manifest import parse_file

        parsed = parse_file(path, blob, data, held_before=held_before)
        alone = tuple(d for d in parsed.documents if d.spec is None or not d.spec.template_ref)
        found = lint_files([replace(parsed, documents=alone)], {}, images=images) if alone else ()
        own = tuple(f for f in found if f.rule not in _ABOUT_OTHERS)
        return replace(parsed, findings=tuple(dict.fromkeys((*parsed.findings, *own)))) if own else parsed

    return parse


def bad_file(path: str, blob: str, rule: str, message: str) -> ParsedFile:
    """A path that cannot be read as a manifest, with the reason at its first line."""
    return ParsedFile(path=path, blob=blob, documents=(), foreign=0, findings=(tree_finding(path, rule, message),))


def tree_finding(path: str, rule: str, message: str, *, severity: Severity = Severity.ERROR) -> Finding:
    """A finding about a path as a whole."""
    return Finding(place=Place(path=path, line=1, column=1), rule=rule, severity=severity, message=message)


class ParsedCache:
    """The parsed files last used, by path and blob; any thread may ask.

    `limit_bytes` bounds the sum of the blobs' sizes, not the memory of their values, which is some ten times that.
    """

    def __init__(self, parse: Parse | None = None, *, limit_bytes: int = CACHE_BYTES) -> None:
        self._parse = parse or manifest_parser(Images())
        self._limit_bytes = limit_bytes
        self._bytes = 0
        self._kept: OrderedDict[tuple[str, str], tuple[ParsedFile, int]] = OrderedDict()
        self._counts: dict[tuple[str, str], int] = {}
        self._revision: Revision | None = None
        self._lock = threading.Lock()

    def find(self, path: str, blob: str) -> ParsedFile | None:
        """The file if it was parsed before and is still kept."""
        with self._lock:
            kept = self._kept.get((path, blob))
            if kept is None:
                return None
            self._kept.move_to_end((path, blob))
            return kept[0]

    def parse(self, path: str, blob: str, data: bytes) -> ParsedFile:
        """The file, parsed now and kept."""
        parsed = self._parse(path, blob, data, False)
        self._keep(parsed, len(data) + _ENTRY_BYTES)
        return parsed

    def parse_held(self, path: str, blob: str, data: bytes) -> ParsedFile:
        """A file that says nothing of ours though its path held ours before: what cannot be read is an error then."""
        return self._parse(path, blob, data, True)

    def find_count(self, sha: str, include: str) -> int | None:
        """The number of manifests in a commit, if it was counted lately."""
        return self._counts.get((sha, include))

    def keep_count(self, sha: str, include: str, count: int) -> None:
        """Remember how many manifests a commit has: it saves listing the tree at the next one."""
        with self._lock:
            self._counts.pop((sha, include), None)
            self._counts[sha, include] = count
            while len(self._counts) > _COUNTS_KEPT:
                del self._counts[next(iter(self._counts))]

    def find_revision(self, sha: str, previous: str | None) -> Revision | None:
        """The revision read last, if it is this one: a push is read when it is checked and again when it is applied."""
        seen = self._revision
        return seen if seen is not None and (seen.sha, seen.previous) == (sha, previous) else None

    def keep_revision(self, revision: Revision) -> None:
        """Remember a small difference: it is told by two SHAs and can never become another."""
        if not revision.is_whole and len(revision.changed) <= _REVISION_FILES_KEPT:
            self._revision = revision

    def _keep(self, parsed: ParsedFile, cost: int) -> None:
        with self._lock:
            if (parsed.path, parsed.blob) not in self._kept:
                self._kept[parsed.path, parsed.blob] = (parsed, cost)
                self._bytes += cost
            while self._bytes > self._limit_bytes:
                _, (_, freed) = self._kept.popitem(last=False)
                self._bytes -= freed


def is_silent(parsed: ParsedFile) -> bool:
    """True for a file with no document of ours and no error."""
    return not parsed.documents and not parsed.is_bad
