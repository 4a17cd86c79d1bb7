"""What a commit's tree holds and how two trees differ, as entries: no content is read here and no path is followed.

Paths arrive as bytes and leave as text; a name that is not plain printable text is never handed on but as a finding.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reconciler.model.spec import Finding, Severity
from reconciler.source.ignore import PathRule
from reconciler.source.parsing import tree_finding

SYMLINK = "120000"
SUBMODULE = "160000"
NAME_LIMIT_BYTES = 255
PATH_LIMIT_BYTES = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One path of a tree: its mode as git writes it, its object's SHA."""

    path: str
    mode: str
    blob: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeChange:
    """How a tree differs from an earlier one: manifests and submodules only. `growth` is how many more of them it holds."""

    changed: tuple[Entry, ...]
    removed: tuple[str, ...]
    growth: int


def list_entries(output: bytes) -> list[Entry]:
    """The entries of `ls-tree -r -z`."""
    entries = []
    for record in output.split(b"\0")[:-1]:
        head, _, name = record.partition(b"\t")
        mode, _, blob = head.decode("ascii").split(" ")
        entries.append(Entry(path=decode_path(name), mode=mode, blob=blob))
    return entries


def decode_path(name: bytes) -> str:
    """A path as text; bytes that are not UTF-8 become lone surrogates, which `is_hostile` refuses."""
    return name.decode("utf-8", "surrogateescape")


def is_hostile(path: str) -> bool:
    """True for a name that could act on a terminal or a file system: control characters, not UTF-8, too long."""
    if not path.isprintable():
        return True
    data = path.encode()
    return len(data) > PATH_LIMIT_BYTES or any(len(name) > NAME_LIMIT_BYTES for name in data.split(b"/"))


def visible(path: str) -> str:
    """The path with everything that is not printable as an escape."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in path)


def path_key(path: str) -> bytes:
    """The sort key of paths: their bytes."""
    return path.encode("utf-8", "surrogateescape")


def diff_trees(output: bytes, rule: PathRule) -> TreeChange:
    """What `diff-tree -r -z --raw --no-renames` says of the manifests (and submodules) that `rule` lets through."""
    fields = output.split(b"\0")
    changed, removed, growth = [], [], 0
    for head, name in zip(fields[:-1:2], fields[1::2], strict=True):
        old_mode, new_mode, _, blob, status = head[1:].decode("ascii").split(" ")
        entry = Entry(path=decode_path(name), mode=new_mode, blob=blob)
        was, is_now = _concerns(entry.path, old_mode, rule), status != "D" and _concerns(entry.path, new_mode, rule)
        was = was and status != "A"
        growth += int(is_now) - int(was)
        if is_now:
            changed.append(entry)
        elif was and not is_hostile(entry.path):
            removed.append(entry.path)
    return TreeChange(changed=tuple(changed), removed=tuple(removed), growth=growth)


def compare_entries(old: Iterable[Entry], old_rule: PathRule, new: Iterable[Entry], rule: PathRule) -> TreeChange:
    """The same from two whole listings, for when what is in scope may have changed as well."""
    before = {e.path: e for e in old if _concerns(e.path, e.mode, old_rule)}
    after = {e.path: e for e in new if _concerns(e.path, e.mode, rule)}
    changed = tuple(e for path, e in after.items() if before.get(path) != e)
    removed = tuple(path for path in before if path not in after and not is_hostile(path))
    return TreeChange(changed=changed, removed=removed, growth=len(after) - len(before))


def _concerns(path: str, mode: str, rule: PathRule) -> bool:
    return rule.is_in_scope(path) if mode == SUBMODULE else rule.is_manifest(path)


def sort_out(entries: Sequence[Entry]) -> tuple[list[Entry], list[Finding]]:
    """The entries to read, sorted by the bytes of their path, and findings on those that are never read."""
    readable, notices = [], []
    for entry in sorted(entries, key=lambda e: path_key(e.path)):
        if is_hostile(entry.path):
            message = f"name {visible(entry.path)!r} cannot be used: it is not short, printable UTF-8; rename the file"
            notices.append(tree_finding(visible(entry.path), "LC903", message))
        elif entry.mode == SUBMODULE:
            message = "a submodule is not read: only this repository's own files are; leave it out or ignore it"
            notices.append(tree_finding(entry.path, "LC902", message, severity=Severity.WARNING))
        else:
            readable.append(entry)
    return readable, notices
