"""Text to plain data with positions: one guarded pass over the C parser's events, document by document.

Owns YAML and JSON syntax, the limits that keep a hostile file cheap, aliases and merge keys. It must never build more
than the limits allow, and knows nothing of workflows. Problems of one document are collected: the others stay readable.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from reconciler.errors import LineclearError
from reconciler.manifest import rules
from reconciler.manifest.positions import pack
from reconciler.manifest.rules import Rule
from reconciler.manifest.scalars import NUMERIC_START, WORDS, go_text, resolve_number, resolve_plain

MAX_BYTES = 1 << 20
MAX_DEPTH = 50
MAX_NODES = 100_000
MAX_ALIASES = 100
MAX_DOCUMENTS = 200
MAX_SCALAR_BYTES = 256 << 10

_TAG = "tag:yaml.org,2002:"
_OPEN = object()  # what an anchor stands for as long as its value is being read
_PAIR = re.compile(rb"(?<!\\)((?:\\\\)*)(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong with the text; line and column from 1."""

    rule: Rule
    line: int
    column: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RawDocument:
    """One document as data of JSON types; `spots` as `Positions` takes them; `index` counts from 0 in the file."""

    index: int
    data: Any
    spots: list[int]
    problems: tuple[Problem, ...]


class _Anchored(NamedTuple):
    """A value with an anchor. Its spots are those from `start` to `end`, or `kept` where these were taken back."""

    value: Any
    start: int
    end: int
    kept: list[int] | None = None


class UnreadableText(LineclearError):
    """The rest of the file cannot be read; `problem` says where and why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def read_documents(data: bytes) -> Iterator[RawDocument]:
    """Each document of the file in order; an empty one has data None.

    Raises UnreadableText where the syntax ends or a limit is passed: what was yielded before is sound.
    """
    if len(data) > MAX_BYTES:
        raise _unreadable(rules.LIMIT, 0, 0, f"the file has {len(data)} bytes, the limit is {MAX_BYTES}; split it")
    _, reader_error, marked_error, _ = _yaml()
    data = _with_pairs_joined(data)
    builder = _Builder(data)
    try:
        yield from builder.documents()
    except reader_error as error:
        line, column = _place_of(data, getattr(error, "position", 0))
        raise _unreadable(rules.SYNTAX, line, column, f"the text cannot be read: {error.reason}") from error
    except marked_error as error:
        mark = error.problem_mark or error.context_mark
        why = f"{error.problem} {error.context or ''}".strip()
        if mark and "cannot start any token" in why and _is_tab(data, mark.line, mark.column):
            why = "a tab stands here, and YAML indents with spaces only; replace it by spaces"
        raise _unreadable(
            rules.SYNTAX, mark.line if mark else 0, mark.column if mark else 0, f"the text cannot be read: {why}"
        ) from error


def _with_pairs_joined(data: bytes) -> bytes:
    """JSON writes a character beyond 16 bits as two escapes, which YAML does not know as one: the character itself instead.

    Columns behind one on the same line count it once.
    """
    if b"\\ud" not in data.lower() or data.lstrip()[:1] not in (b"{", b"["):
        return data
    return _PAIR.sub(lambda found: found[1] + json.loads(b'"' + found[2] + b'"').encode(), data)


def _is_tab(data: bytes, line: int, column: int) -> bool:
    lines = data.split(b"\n")
    return line < len(lines) and lines[line].decode("utf-8", "replace")[column : column + 1] == "\t"


@cache
def _yaml() -> tuple[Any, Any, Any, Any]:
    try:
        from ruamel.yaml.cyaml import CParser  # type: ignore[attr-defined]
    except ImportError as error:
        raise LineclearError(
            f"YAML cannot be read: the C parser is not installed ({error}); install the package ruamel.yaml.clib"
        ) from error
    from ruamel.yaml import events
    from ruamel.yaml.error import MarkedYAMLError
    from ruamel.yaml.reader import ReaderError

    return CParser, ReaderError, MarkedYAMLError, events


def _unreadable(rule: Rule, line: int, column: int, message: str) -> UnreadableText:
    return UnreadableText(Problem(rule=rule, line=line + 1, column=column + 1, message=message))


def _place_of(data: bytes, offset: int) -> tuple[int, int]:
    before = data[:offset]
    return before.count(b"\n"), offset - (before.rfind(b"\n") + 1)


class _Builder:
    """Builds the data of each document from events. Depth is bounded, so that recursion is safe."""

    __slots__ = ("_aliases", "_anchors", "_done", "_events", "_next", "_problems", "_spots")

    def __init__(self, data: bytes) -> None:
        parser, _, _, self._events = _yaml()
        self._next = parser(data).get_event
        self._done = 0
        self._aliases = 0
        self._spots: list[int] = []
        self._anchors: dict[str, _Anchored] = {}
        self._problems: list[Problem] = []

    def documents(self) -> Iterator[RawDocument]:
        index = 0
        while (event := self._next()) is not None:
            if event.__class__ is not self._events.DocumentStartEvent:
                continue
            if index >= MAX_DOCUMENTS:
                raise self._too_much(event, f"the file has more than {MAX_DOCUMENTS} documents; split it")
            self._spots, self._anchors, self._problems = [], {}, []
            data = self._value(self._next(), 0)
            yield RawDocument(index=index, data=data, spots=self._spots, problems=tuple(self._problems))
            self._done += len(self._spots)
            index += 1

    def _value(self, event: Any, depth: int) -> Any:
        kind = event.__class__
        events = self._events
        if kind is events.AliasEvent:
            return self._alias(event)
        mark = event.start_mark
        start = len(self._spots)
        if start + self._done >= MAX_NODES:
            raise self._too_much(event, f"the file has more than {MAX_NODES} nodes; split it")
        self._spots.append(mark.line << 24 | mark.column)  # `pack`, without the call: this is the hottest line
        if kind is events.ScalarEvent:
            value = self._scalar(event)
        elif depth >= MAX_DEPTH:
            raise self._too_much(event, f"the text is nested more than {MAX_DEPTH} levels deep; flatten it")
        else:
            opened = self._anchor(event, _OPEN, start) if event.anchor is not None else None
            if event.tag not in (None, "!", f"{_TAG}map", f"{_TAG}seq"):
                self._problem(rules.BAD_VALUE, event, f"tag {event.tag} is not known; remove it")
            value = self._mapping(depth + 1) if kind is events.MappingStartEvent else self._sequence(depth + 1)
            if opened is not None and self._anchors[event.anchor] is not opened:
                return value  # the same anchor came again inside, and what comes later counts
        if event.anchor is not None:
            self._anchor(event, value, start)
        return value

    def _mapping(self, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        merged: list[tuple[Any, list[int], Any]] = []
        spots, following, scalar = self._spots, self._next, self._events.ScalarEvent
        end = self._events.MappingEndEvent
        while (event := following()).__class__ is not end:
            before = len(spots)
            mark = event.start_mark
            if event.__class__ is scalar:
                key = event.value
                spots.append(mark.line << 24 | mark.column)
                if event.anchor is not None:
                    self._anchor(event, key, before)
                plain = event.implicit[0] or (key == "<<" and event.tag == f"{_TAG}merge")
            elif (key := self._text_behind(event)) is not None:
                plain = False
                spots.append(mark.line << 24 | mark.column)
            else:
                self._skip_pair(event, depth)
                continue
            if plain and key == "<<":
                value = self._value(following(), depth)
                merged.append((value, spots[before + 1 :], event))
                self._drop(before)
                continue
            if plain and (key in WORDS or key[0] in NUMERIC_START):
                self._check_key(event)
            value = self._value(following(), depth)
            if key in result:
                self._problem(rules.DUPLICATE_KEY, event, f'key "{key}" is given twice; keep one')
                self._drop(before)
            else:
                result[key] = value
        for value, extra, event in merged:
            self._merge(result, value, extra, event)
        return result

    def _sequence(self, depth: int) -> list[Any]:
        result: list[Any] = []
        following = self._next
        end = self._events.SequenceEndEvent
        while (event := following()).__class__ is not end:
            result.append(self._value(event, depth))
        return result

    def _scalar(self, event: Any) -> Any:
        text = event.value
        if len(text) > MAX_SCALAR_BYTES // 4 and len(text.encode()) > MAX_SCALAR_BYTES:
            raise self._too_much(event, f"the text is longer than {MAX_SCALAR_BYTES} bytes; keep it in a file of its own")
        plain, quoted = event.implicit
        if quoted or event.tag == "!":
            return text
        if not plain:
            return self._tagged(event, text)
        if text[:1] in NUMERIC_START:
            try:
                return resolve_number(text)
            except ValueError as error:
                self._problem(rules.BAD_VALUE, event, str(error))
                return text
        return WORDS.get(text, text)

    def _tagged(self, event: Any, text: str) -> Any:
        tag = event.tag.removeprefix(_TAG)
        if tag in ("str", "timestamp"):
            return text
        try:
            value = resolve_plain(text)
        except ValueError as error:
            self._problem(rules.BAD_VALUE, event, str(error))
            return text
        if tag == "float" and value.__class__ is int:
            return float(value)
        allowed = {"int": int, "float": float, "bool": bool, "null": type(None)}.get(tag)
        if allowed is None:
            self._problem(rules.BAD_VALUE, event, f"tag {event.tag} is not known; remove it")
        elif value.__class__ is not allowed:
            self._problem(rules.BAD_VALUE, event, f'"{text[:40]}" does not fit its tag {tag}; correct the value or the tag')
        return value

    def _anchor(self, event: Any, value: Any, start: int) -> _Anchored:
        if len(self._anchors) >= MAX_ALIASES and event.anchor not in self._anchors:
            raise self._too_much(event, f"the document has more than {MAX_ALIASES} anchors; use templates")
        anchored = self._anchors[event.anchor] = _Anchored(value, start, len(self._spots))
        return anchored

    def _alias(self, event: Any) -> Any:
        self._aliases += 1
        if self._aliases > MAX_ALIASES:
            raise self._too_much(event, f"the file has more than {MAX_ALIASES} aliases; use templates")
        anchored = self._anchors.get(event.anchor)
        spots = self._spots
        mark = event.start_mark
        here = len(spots)
        if anchored is None or anchored.value is _OPEN:
            spots.append(pack(mark.line, mark.column))
            why = f"has no anchor before it; define &{event.anchor}"
            if anchored is not None:
                why = "stands inside its own anchor; remove it"
            self._problem(rules.BAD_ALIAS, event, f"alias *{event.anchor} {why}")
            return None
        if self._done + here + anchored.end - anchored.start > MAX_NODES:
            raise self._too_much(event, f"the file has more than {MAX_NODES} nodes with its aliases expanded")
        spots.extend(spots[anchored.start : anchored.end] if anchored.kept is None else anchored.kept)
        spots[here] = pack(mark.line, mark.column)
        return anchored.value

    def _text_behind(self, event: Any) -> str | None:
        """The text that an alias stands for as a key; None for any other key that is no text as it is written."""
        anchored = self._anchors.get(event.anchor) if event.__class__ is self._events.AliasEvent else None
        return anchored.value if anchored is not None and isinstance(anchored.value, str) else None

    def _check_key(self, event: Any) -> None:
        """Notes a key that is no text, unless Go makes the same text of it as is written."""
        try:
            value = resolve_plain(event.value)
        except ValueError as error:
            self._problem(rules.BAD_KEY, event, f'key "{event.value}": {error}')
            return
        if not isinstance(value, str) and (value is None or go_text(value) != event.value):
            said = "null" if value is None else go_text(value)
            self._problem(rules.BAD_KEY, event, f'key "{event.value}" is read as {said}, not as text; quote it')

    def _skip_pair(self, event: Any, depth: int) -> None:
        """Read and drop a pair whose key is a list, a mapping or an alias."""
        before = len(self._spots)
        self._problem(rules.BAD_KEY, event, "a key is a list, a mapping or an alias; write it as text")
        self._value(event, depth)
        self._value(self._next(), depth)
        self._drop(before)

    def _drop(self, before: int) -> None:
        """Takes back the spots since `before`. An anchor among them keeps its own: it may be used yet."""
        for name, anchored in self._anchors.items():
            if anchored.kept is None and anchored.start >= before:
                self._anchors[name] = anchored._replace(kept=self._spots[anchored.start : anchored.end])
        del self._spots[before:]

    def _merge(self, result: dict[str, Any], value: Any, spots: list[int], event: Any) -> None:
        """Add the pairs of `<<` that the mapping has not got itself; earlier sources win."""
        sources = value if isinstance(value, list) else [value]
        at = 1 if isinstance(value, list) else 0
        for source in sources:
            if not isinstance(source, dict):
                self._problem(rules.BAD_ALIAS, event, "a merge key needs a mapping or a list of mappings")
                return
            at += 1
            for key, item in source.items():
                size = 1 + count_spots(item)
                if key not in result:
                    result[key] = item
                    self._spots.extend(spots[at : at + size])
                at += size

    def _problem(self, rule: Rule, event: Any, message: str) -> None:
        mark = event.start_mark
        self._problems.append(Problem(rule=rule, line=mark.line + 1, column=mark.column + 1, message=message))

    def _too_much(self, event: Any, message: str) -> UnreadableText:
        mark = event.start_mark
        return _unreadable(rules.LIMIT, mark.line, mark.column, message)


def count_spots(value: Any) -> int:
    """Number of spots that a value has."""
    if isinstance(value, dict):
        return 1 + len(value) + sum(map(count_spots, value.values()))
    if isinstance(value, list):
        return 1 + sum(map(count_spots, value))
    return 1
