"""Blobs to parsed files, through a cache bounded by bytes.

Owns what a file is beside its text: one whose name is not read, one too large, what stands where a manifest was. It never reads
Git; a file is parsed and linted by the rooms below, imported on first use. A mistake of ours that a file brings to light is
logged here, once, and is a finding like any other.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace

from reconciler.model.images import Images
from reconciler.model.source import Revision
from reconciler.model.spec import Finding, ParsedFile, Place, Severity
from reconciler.source.ignore import SUFFIXES

log = logging.getLogger(__name__)
_ENDINGS = "names in .yaml, .yml and .json"
_ABOUT_OTHERS = frozenset({"LC401", "LC403", "LC504", "LC506", "LC508", "LC512", "LC513", "LC514"})
_WHATEVER_TEMPLATE = frozenset({"LC601", "LC602", "LC801", "LC802"})
UNCHECKED = frozenset({"LC911", "LC912"})  # rules of a check that failed by a mistake of ours
OUR_NAMES = (b"argoproj.io/", b"lineclear.dev/")  # a file that names neither is foreign, unless it held ours
FILE_LIMIT_BYTES = 1 << 20
_LFS = b"version https://git-lfs.github.com/spec/"
CACHE_BYTES = 16 << 20
_COUNTS_KEPT = 16
_REVISION_FILES_KEPT = 100
_ENTRY_BYTES = 512  # what a parsed file costs beside its text
Parse = Callable[[str, str, bytes, bool], ParsedFile]  # path, blob SHA, content, held ours before


def manifest_parser(images: Images) -> Parse:
    """How files are parsed: decoded, then linted by themselves, so that a document wrong in itself makes its file bad.

    What depends on other files is not judged here, since they may arrive later: identities, templates that are elsewhere, and
    in a document that is merged with such a template all but its schedule and its annotations. `images` are those that the
    settings map to a runtime. A rule that cannot be applied, by a mistake of ours, makes no file bad: its document is applied,
    and that is a warning.
    """

    def parse(path: str, blob: str, data: bytes, held_before: bool) -> ParsedFile:  # noqa: FBT001 - the type Parse
        from reconciler.lint import lint_files
        from reconciler.manifest import parse_file

        parsed = parse_file(path, blob, data, held_before=held_before)
        if (parsed.documents or parsed.findings) and not path.endswith(SUFFIXES):
            message = f'the name ends in "{path[path.rindex(".") :]}", and only {_ENDINGS} are read; rename it'
            return bad_file(path, blob, "LC906", message)
        alone = tuple(d for d in parsed.documents if d.spec is None or not d.spec.template_ref)
        merged = tuple(d for d in parsed.documents if d.spec is not None and d.spec.template_ref)
        found = lint_files([replace(parsed, documents=alone)], {}, images=images) if alone else ()
        own = tuple(_as_warning(f) if f.rule in UNCHECKED else f for f in found if f.rule not in _ABOUT_OTHERS)
        if merged:
            found = lint_files([replace(parsed, documents=merged)], {}, images=images)
            own += tuple(f for f in found if f.rule in _WHATEVER_TEMPLATE)
        findings = tuple(dict.fromkeys((*parsed.findings, *own))) if own else parsed.findings
        log_mistakes(findings)
        return replace(parsed, findings=findings)

    return parse


def _as_warning(finding: Finding) -> Finding:
    return replace(finding, severity=Severity.WARNING)


def log_mistakes(findings: Iterable[Finding]) -> None:
    """Write down the trace of each mistake of ours, under the reference that its finding names."""
    for finding in findings:
        if finding.trace:
            log.error("a mistake of ours, %s", finding.trace, extra={"action": "lint", "rule": finding.rule})


def foreign_file(path: str, blob: str) -> ParsedFile:
    """A file that is none of ours, skipped and counted."""
    return ParsedFile(path=path, blob=blob, documents=(), foreign=1, findings=())


def bad_file(path: str, blob: str, rule: str, message: str) -> ParsedFile:
    """A path that cannot be read as a manifest, with the reason at its first line."""
    return ParsedFile(path=path, blob=blob, documents=(), foreign=0, findings=(tree_finding(path, rule, message),))


def link_file(path: str, blob: str, *, held_ours: bool) -> ParsedFile:
    """A symbolic link, which is never followed: foreign, but where a manifest stood it hides that."""
    if not held_ours:
        return foreign_file(path, blob)
    message = "a symbolic link is not followed: a manifest is a file of its own; copy it or ignore the link"
    return bad_file(path, blob, "LC901", message)


def unread_file(path: str, blob: str, size: int, data: bytes, held_before: Collection[str] = ()) -> ParsedFile | None:
    """What stands for a file that is too large or no content at all; None for one that is to be read.

    It is an error if it held ours, or if it is too large and names us: of such a one `data` is that name, or b''. Whether it is
    one of `held_before`, the paths with ours in them, is only asked then: each answer may be a look into the store.
    """
    if size > FILE_LIMIT_BYTES:
        if not data and path not in held_before:
            return foreign_file(path, blob)
        message = f"{size} bytes are over the limit of {FILE_LIMIT_BYTES} for one manifest file; split it or ignore it"
        return bad_file(path, blob, "LC904", message)
    if not data.startswith(_LFS):
        return None
    if path not in held_before:
        return foreign_file(path, blob)
    message = "the file is a Git LFS pointer: its content is not in the repository; commit the manifest itself"
    return bad_file(path, blob, "LC905", message)


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
