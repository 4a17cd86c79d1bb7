"""How locks are named across documents: spellings that look alike, names that are nearly another's, names used only once.

Owns what counts as near. A name is compared as it is written, with its tags; what only differs in digits is a numbered lock
of its own and never near.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple
from unicodedata import category, name, normalize

from reconciler.expr.pieces import read_pieces
from reconciler.lint import rules
from reconciler.lint.locks import bad_characters, title_of
from reconciler.lint.others import LockUsers
from reconciler.lint.scope import Path, Tree, View, place_in
from reconciler.manifest import lock_key
from reconciler.model.locks import LockKind, LockRef
from reconciler.model.spec import Document, Kind, Place

_SHORTEST = 5  # letters of a word that one slip is looked for in: shorter ones are too often other words
_MOST_TOLD = 50
_MOST_SAME = 3
_WORDS = re.compile(r"[^\W\d_]+|\d+|[\W_]+")
_JOINED = re.compile(r"(?<=[^\x00-\x7f])[\u200c\u200d](?=[^\x00-\x7f])")  # as some scripts and emoji need it
_GAPS = re.compile(r"[-_. ]+")


class KeyUse(NamedTuple):
    """One place that names a lock. `repeats`: what it is in may well run more than once."""

    key: str
    document: Document
    path: Path
    repeats: bool

    @property
    def place(self) -> Place:
        """Where the lock is named."""
        return place_in(self.document, self.path)


def uses_of(view: View) -> Iterator[KeyUse]:
    """Every lock that a spec names itself."""
    document = view.document
    repeats = document.kind is not Kind.WORKFLOW or bool(document.generate_name)
    seen: set[Path] = set()  # defaults are of every template, and written once
    for template in (None, *view.own.templates.values()):
        locks: Sequence[LockRef] = view.own.locks if template is None else template.locks
        for lock, path in zip(locks, view.lock_paths(template) if locks else (), strict=False):
            if path in seen or not lock.written.strip() or any(bad_characters(lock.written, path)):
                continue  # nobody can hold one without a name
            seen.add(path)
            yield KeyUse(lock_key(lock, document.namespace), document, path, repeats)


def check_spelling(view: View, uses: Iterable[KeyUse]) -> None:
    """Names that nobody can see are what they are: spaces at an end, invisible or composed characters, two alphabets."""
    for use in uses:
        written = use.key.split("/", 2)[2]
        if written.isascii() and "  " not in written and written == written.strip():
            continue
        literal = "".join(part for part in read_pieces(written) if isinstance(part, str))
        why = _misspelt(literal, is_whole=literal == written)
        if why:
            shown = written.encode("unicode_escape").decode()
            message = f'the lock\'s name "{shown}" {why}: who types it as it looks gets another lock; write it plainly'
            view.report(rules.LOCK_SPELLING, use.path, message)


def _misspelt(text: str, *, is_whole: bool) -> str:
    if is_whole and text != text.strip():
        return "begins or ends with a space"
    if "  " in text:
        return "has two spaces side by side"
    hidden = next((one for one in _JOINED.sub("", text) if category(one) in ("Cf", "Zs") and one != " "), "")
    if hidden:
        return f"has U+{ord(hidden):04X}, which is not seen for what it is"
    if text != normalize("NFKC", text):
        return f'is written "{normalize("NFKC", text)}" in its usual characters'
    for word in _WORDS.findall(text):
        scripts = {name(one, "").partition(" ")[0] for one in word if one.isalpha()}
        if len(scripts & {"LATIN", "CYRILLIC", "GREEK"}) > 1:
            return f"mixes the letters of two alphabets in one word ({' and '.join(sorted(scripts))})"
    return ""


def check_names(tree: Tree, uses: Sequence[KeyUse], others: LockUsers | None) -> None:
    """Names that are nearly another's, here or in other live definitions."""
    if not uses:
        return
    live: Mapping[str, int] = others.counts() if others is not None else {}
    by_key: dict[str, list[KeyUse]] = {}
    for use in uses:
        by_key.setdefault(use.key, []).append(use)
    counts = {**live, **{key: len(found) + live.get(key, 0) for key, found in by_key.items()}}
    near = {**_slips(by_key, counts), **_variants(by_key, counts)}
    for key, other in sorted(near.items())[:_MOST_TOLD]:
        _report_near(tree, by_key, key, other)


def note_names(tree: Tree, uses: Sequence[KeyUse]) -> None:
    """What may be meant so: one name for two kinds of locks, and mutexes that nobody else asks for."""
    by_key: dict[str, list[KeyUse]] = {}
    for use in uses:
        by_key.setdefault(use.key, []).append(use)
    _check_kinds(tree, by_key)
    if len(tree.documents) > 1:
        _check_single(tree, by_key)


def _variants(by_key: Mapping[str, Sequence[KeyUse]], counts: Mapping[str, int]) -> dict[str, str]:
    """Keys that are another but for case, '-', '_' and '.', or what cannot be seen: the rarer with the more common one."""
    groups: dict[str, list[str]] = {}
    for key in counts:
        groups.setdefault(_folded(key), []).append(key)
    found: dict[str, str] = {}
    for keys in groups.values():
        if len(keys) > 1:
            common = max(keys, key=lambda key: (counts[key], key not in by_key, key))
            found |= {key: common for key in keys if key != common and key in by_key}
    return found


def _folded(key: str) -> str:
    namespace, kind, written = key.split("/", 2)
    if not written.isascii():
        written = "".join(one for one in normalize("NFKC", written) if category(one) != "Cf")
    return f"{namespace}/{kind}/{_GAPS.sub('-', written.strip().casefold())}"


def _slips(by_key: Mapping[str, Sequence[KeyUse]], counts: Mapping[str, int]) -> dict[str, str]:
    """Keys named once that are one letter from one that is named more often."""
    rare = {key: _skeleton(key) for key in by_key if counts[key] == 1 and "{{" not in key}
    if not rare or len(rare) == len(counts):
        return {}
    lengths = {len(folded) + n for folded, _ in rare.values() for n in (-1, 0, 1)}
    index: dict[str, list[str]] = {}
    for key, (folded, _) in rare.items():
        for variant in _shortened(folded):
            index.setdefault(variant, []).append(key)
    found: dict[str, str] = {}
    for other in sorted(counts):
        if counts[other] == 1:
            continue
        folded, digits = _skeleton(other)
        if len(folded) not in lengths:
            continue
        for key in {key for variant in _shortened(folded) for key in index.get(variant, ())}:
            if rare[key][1] == digits and _is_slip(rare[key][0], folded):
                found.setdefault(key, other)
    return found


def _skeleton(key: str) -> tuple[str, tuple[str, ...]]:
    """The key as it is compared, and the numbers in it."""
    folded = _folded(key)
    return folded, tuple(re.findall(r"\d+", folded))


def _shortened(text: str) -> set[str]:
    """The text, and all that come from it by leaving out one character."""
    start = text.find("/", text.find("/") + 1) + 1
    return {text, *(text[:n] + text[n + 1 :] for n in range(start, len(text)))}


def _is_slip(one: str, other: str) -> bool:
    """True if they differ in one word, by one letter left out, put in, changed, or changed places with the next."""
    mine, others = _WORDS.findall(one), _WORDS.findall(other)
    if len(mine) != len(others):
        return False
    different = [(a, b) for a, b in zip(mine, others, strict=True) if a != b]
    if len(different) != 1 or min(map(len, different[0])) < _SHORTEST or not (different[0][0] + different[0][1]).isalpha():
        return False
    a, b = sorted(different[0], key=len)
    if len(a) < len(b):
        return any(b[:n] + b[n + 1 :] == a for n in range(len(b)))
    places = [n for n in range(len(a)) if a[n] != b[n]]
    return len(places) == 1 or (len(places) == 2 and a[places[0]] == b[places[1]] and a[places[1]] == b[places[0]])


def _report_near(tree: Tree, by_key: Mapping[str, Sequence[KeyUse]], key: str, other: str) -> None:
    use = min(by_key[key], key=_order)
    where = min(by_key[other], key=_order).place if other in by_key else "named by a definition that is live"
    message = f"{_shown(key)} is nearly {_shown(other)} ({where}), and they are two locks; write one name if one lock is meant"
    tree.report(rules.LOCK_NEAR, use.document, use.path, message)


def _check_kinds(tree: Tree, by_key: Mapping[str, Sequence[KeyUse]]) -> None:
    """One name for locks of two kinds."""
    names: dict[tuple[str, str], list[str]] = {}
    for key in by_key:
        namespace, kind, written = key.split("/", 2)
        is_map = kind == LockKind.SEMAPHORE
        names.setdefault((namespace, written.rpartition("/")[2] if is_map else written), []).append(key)
    for keys in names.values():
        kinds = {key.split("/", 2)[1] for key in keys}
        if len(kinds) < 2:
            continue
        *others, use = sorted([min(by_key[key], key=_order) for key in keys], key=_order)
        same = " and ".join(f"{_shown(other.key)} ({other.place})" for other in others[:_MOST_SAME])
        message = f"{_shown(use.key)} and {same} are different locks: none waits for the other; name one otherwise"
        tree.report(rules.LOCK_KINDS, use.document, use.path, message)


def _check_single(tree: Tree, by_key: Mapping[str, Sequence[KeyUse]]) -> None:
    """Mutexes that one workflow alone names, in one place, and that is not meant to run again and again."""
    ends = [(key.partition("{{")[0], key.rpartition("}}")[2]) for key in by_key if "{{" in key]
    for key, found in by_key.items():
        is_plain = "{{" not in key and LockKind(key.split("/", 2)[1]).is_mutex
        if len(found) != 1 or found[0].repeats or not is_plain:
            continue
        if not any(key.startswith(start) and key.endswith(end) for start, end in ends):
            message = f"nothing else names {_shown(key)}: it keeps only runs of this workflow apart; correct it, or remove it"
            tree.report(rules.LOCK_SINGLE, found[0].document, found[0].path, message)


def _order(use: KeyUse) -> tuple[str, int, int]:
    return use.place.path, use.place.line, use.place.column


def _shown(key: str) -> str:
    _, kind, written = key.split("/", 2)
    return f'{title_of(LockKind(kind))} "{written}"'
