r"""Regular expressions as Go's RE2 understands them, in time that grows with the text and never faster.

Owns the translation of a pattern into a small program and the machine that runs it: all alternatives advance together, one
character at a time, so that no pattern can run away. Python's own engine is used only to read the pattern.
RE2: no look-around and no back-references; `$` is the very end; `\d`, `\w`, `\s` and `\b` know ASCII only.
"""

from __future__ import annotations

import functools
import importlib
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from reconciler.expr.errors import Fault
from reconciler.expr.values import Meter

_MAX_PROGRAM = 2000
_MAX_PATTERN = 2000
_DIGITS = frozenset("0123456789")
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_WORD = _DIGITS | _LETTERS | {"_"}
_SPACE = frozenset("\t\n\f\r ")
_CATEGORIES = {"DIGIT": _DIGITS, "WORD": _WORD, "SPACE": _SPACE}
_POSIX = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "digit": "0-9", "lower": "a-z", "upper": "A-Z", "space": r"\t\n\v\f\r ",
    "blank": r"\t ",
    "punct": r"!-\/:-@\[-`{-~", "word": r"0-9A-Za-z_", "xdigit": "0-9A-Fa-f", "print": r" -~", "graph": "!-~",
    "cntrl": r"\x00-\x1f\x7f", "ascii": r"\x00-\x7f",
}  # fmt: skip

_Test = Callable[[str], bool]
# Python's reader of patterns: the part of its engine that is kept from version to version under this name.
parse_pattern = importlib.import_module("re._parser").parse


@dataclass(frozen=True, slots=True)
class _Step:
    """One instruction: `kind` is char, split, save, assert or match."""

    kind: str
    test: _Test | None = None
    first: int = 0
    second: int = 0
    name: str = ""


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled pattern; `groups` counts the groups, `names` gives the number of a named one."""

    steps: tuple[_Step, ...]
    groups: int
    names: dict[str, int]


class Match:
    """Where a pattern was found; `spans[n]` is (start, end) of group n or None."""

    __slots__ = ("spans", "text")

    def __init__(self, text: str, spans: tuple[tuple[int, int] | None, ...]) -> None:
        self.text = text
        self.spans = spans

    def group(self, number: int) -> str | None:
        """The text of one group; None if it took no part."""
        span = self.spans[number] if number < len(self.spans) else None
        return None if span is None else self.text[span[0] : span[1]]


def search(pattern: str, text: str, meter: Meter, start: int = 0) -> Match | None:
    """The leftmost match, the preferred one of those that begin there. Raises Fault for a pattern that RE2 refuses."""
    return _Machine(_compiled(pattern, meter), text, meter).run(start)


def find_all(pattern: str, text: str, meter: Meter) -> Iterator[Match]:
    """Matches from the left that do not overlap; an empty one directly behind a match is left out."""
    program = _compiled(pattern, meter)
    at, end_before = 0, -1
    while at <= len(text):
        match = _Machine(program, text, meter).run(at)
        if match is None:
            return
        start, end = match.spans[0] or (0, 0)
        if start != end or start != end_before:
            yield match
        end_before = end
        at = end if end > start else end + 1


def _compiled(pattern: str, meter: Meter) -> Program:
    program = compile_pattern(pattern)
    meter.spend_once(pattern, 10 * (len(pattern) + len(program.steps)))
    return program


@functools.lru_cache(maxsize=256)
def compile_pattern(pattern: str) -> Program:
    """The pattern's program. Raises Fault for what RE2 has not, and for a pattern that is too large."""
    if len(pattern) > _MAX_PATTERN:
        raise Fault(f"the pattern has {len(pattern)} characters", f"stay within {_MAX_PATTERN}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parsed = parse_pattern(_translated(pattern), re.ASCII)
        compiler = _Compiler(parsed.state.flags)
        compiler.save(0)
        compiler.sequence(parsed, parsed.state.flags)
        compiler.save(1)
        compiler.emit(_Step("match"))
    except (re.error, OverflowError, RecursionError, ValueError) as error:
        raise Fault(f"the pattern {pattern[:60]!r} cannot be read: {str(error)[:80]}", "mend it; Go's RE2 syntax holds") from None
    return Program(tuple(compiler.steps), parsed.state.groups, dict(parsed.state.groupdict))


def _translated(pattern: str) -> str:
    """RE2's spellings as Python's parser wants them."""
    parts: list[str] = []
    at, in_class = 0, False
    while at < len(pattern):
        rest = pattern[at : at + 16]
        if rest.startswith("\\"):
            parts.append({"\\z": "\\Z"}.get(rest[:2], rest[:2]))
            at += 2
        elif in_class and (posix := re.match(r"\[:(\^?)(\w+):\]", rest)) and posix[2] in _POSIX and not posix[1]:
            parts.append(_POSIX[posix[2]])
            at += posix.end()
        elif rest.startswith("(?<") and rest[3:4] not in "=!":
            parts.append("(?P<")
            at += 3
        else:
            parts.append("\\" + rest[0] if in_class and rest[0] in "[&~|" else rest[0])
            if rest[0] == "[" and not in_class:
                in_class = True
                opening = re.match(r"\[(\^?\]?)", rest)
                assert opening is not None
                parts[-1] = "[" + opening[1].replace("]", "\\]")
                at += len(opening[1])
            elif rest[0] == "]":
                in_class = False
            at += 1
    return "".join(parts)


class _Compiler:
    """Writes the program of one parsed pattern."""

    def __init__(self, flags: int) -> None:
        self.steps: list[_Step] = []
        self._flags = flags

    def emit(self, step: _Step) -> int:
        if len(self.steps) >= _MAX_PROGRAM:
            raise ValueError("it is too large")
        self.steps.append(step)
        return len(self.steps) - 1

    def save(self, slot: int) -> None:
        self.emit(_Step("save", first=slot))

    def sequence(self, items: Any, flags: int) -> None:
        for operation, argument in items:
            name = str(operation)
            compile_one = getattr(self, "_" + name.lower(), None)
            if compile_one is None:
                raise ValueError(f"RE2 has no {name.lower().replace('_', ' ')}")
            compile_one(argument, flags)

    def _literal(self, code: int, flags: int) -> None:
        self._char(_one_of(frozenset(chr(code)), flags))

    def _not_literal(self, code: int, flags: int) -> None:
        test = _one_of(frozenset(chr(code)), flags)
        self._char(lambda char: not test(char))

    def _any(self, _argument: None, flags: int) -> None:
        self._char((lambda _: True) if flags & re.DOTALL else (lambda char: char != "\n"))

    def _in(self, items: Any, flags: int) -> None:
        self._char(_class(items, flags))

    def _char(self, test: _Test) -> None:
        self.emit(_Step("char", test=test))

    def _branch(self, argument: Any, flags: int) -> None:
        ends = []
        for number, branch in enumerate(argument[1]):
            is_last = number == len(argument[1]) - 1
            fork = -1 if is_last else self.emit(_Step("split"))
            self.sequence(branch, flags)
            if not is_last:
                ends.append(self.emit(_Step("split")))
                self.steps[fork] = _Step("split", first=fork + 1, second=len(self.steps))
        for end in ends:
            self.steps[end] = _Step("split", first=len(self.steps), second=len(self.steps))

    def _subpattern(self, argument: Any, flags: int) -> None:
        group, added, removed, inner = argument
        if group is not None:
            self.save(2 * group)
        self.sequence(inner, (flags | added) & ~removed)
        if group is not None:
            self.save(2 * group + 1)

    def _max_repeat(self, argument: Any, flags: int) -> None:
        self._repeat(argument, flags, is_greedy=True)

    def _min_repeat(self, argument: Any, flags: int) -> None:
        self._repeat(argument, flags, is_greedy=False)

    def _repeat(self, argument: Any, flags: int, *, is_greedy: bool) -> None:
        least, most, inner = argument
        is_open = str(most) == "MAXREPEAT"
        if max(least, 0 if is_open else most) > 1000:
            raise ValueError("RE2 repeats 1000 times at most")
        for _ in range(least):
            self.sequence(inner, flags)
        if is_open:
            fork = self.emit(_Step("split"))
            self.sequence(inner, flags)
            self.emit(_Step("split", first=fork, second=fork))
            self._fork(fork, is_greedy=is_greedy)
            return
        forks = []
        for _ in range(most - least):
            forks.append(self.emit(_Step("split")))
            self.sequence(inner, flags)
        for fork in forks:
            self._fork(fork, is_greedy=is_greedy)

    def _fork(self, fork: int, *, is_greedy: bool) -> None:
        inside, behind = fork + 1, len(self.steps)
        self.steps[fork] = _Step("split", first=inside if is_greedy else behind, second=behind if is_greedy else inside)

    def _at(self, where: Any, flags: int) -> None:
        name = str(where)
        if flags & re.MULTILINE and name in ("AT_BEGINNING", "AT_END"):
            name += "_LINE"
        self.emit(_Step("assert", name=name))


def _one_of(chars: frozenset[str], flags: int) -> _Test:
    if flags & re.IGNORECASE:
        chars = frozenset(folded for char in chars for folded in (char, char.lower(), char.upper()))
    return chars.__contains__


def _class(items: Any, flags: int) -> _Test:
    chars: set[str] = set()
    spans: list[tuple[str, str]] = []
    tests: list[_Test] = []
    is_negated = False
    for operation, argument in items:
        name = str(operation)
        if name == "NEGATE":
            is_negated = True
        elif name == "LITERAL":
            chars.add(chr(argument))
        elif name == "RANGE":
            spans.append((chr(argument[0]), chr(argument[1])))
        else:
            _, _, category = str(argument).partition("CATEGORY_")
            members = _CATEGORIES[category.removeprefix("NOT_")]
            is_other = category.startswith("NOT_")
            tests.append(functools.partial(_is_member, members, not is_other))
    single = _one_of(frozenset(chars), flags)
    folds = bool(flags & re.IGNORECASE)

    def test(char: str) -> bool:
        found = single(char) or any(extra(char) for extra in tests)
        if not found and spans:
            forms = {char, char.lower(), char.upper()} if folds else (char,)
            found = any(low <= form <= high for form in forms for low, high in spans)
        return found is not is_negated

    return test


def _is_member(members: frozenset[str], expected: bool, char: str) -> bool:  # noqa: FBT001
    return (char in members) is expected


class _Machine:
    """Runs one program over one text: threads in order of preference, at most one for each instruction."""

    def __init__(self, program: Program, text: str, meter: Meter) -> None:
        self._steps = program.steps
        self._slots = 2 * program.groups
        self._text = text
        self._meter = meter

    def run(self, start: int) -> Match | None:
        text, steps = self._text, self._steps
        best: tuple[int, ...] | None = None
        threads: list[tuple[int, tuple[int, ...]]] = []
        for at in range(start, len(text) + 1):
            following: dict[int, tuple[int, ...]] = {}
            for place, saved in threads:
                self._add(following, place, saved, at)
            if best is None:
                self._add(following, 0, (-1,) * self._slots, at)
            self._meter.spend(1 + len(following))
            threads = []
            char = text[at : at + 1]
            for place, saved in following.items():
                step = steps[place]
                if step.kind == "match":
                    best = saved
                    break
                if char and step.test is not None and step.test(char):
                    threads.append((place + 1, saved))
            if not threads and best is not None:
                break
        return None if best is None else Match(text, _spans(best))

    def _add(self, threads: dict[int, tuple[int, ...]], place: int, saved: tuple[int, ...], at: int) -> None:
        """Follows everything that takes no character; dict order is the order of preference."""
        pending = [(place, saved)]
        seen = threads
        while pending:
            place, saved = pending.pop()
            if place in seen:
                continue
            step = self._steps[place]
            seen[place] = saved
            if step.kind == "split":
                pending += [(step.second, saved), (step.first, saved)]
            elif step.kind == "save":
                pending.append((place + 1, (*saved[: step.first], at, *saved[step.first + 1 :])))
            elif step.kind == "assert" and _stands(step.name, self._text, at):
                pending.append((place + 1, saved))


def _spans(saved: tuple[int, ...]) -> tuple[tuple[int, int] | None, ...]:
    pairs = zip(saved[::2], saved[1::2], strict=True)
    return tuple((start, end) if start >= 0 and end >= 0 else None for start, end in pairs)


def _stands(name: str, text: str, at: int) -> bool:
    if name in ("AT_BEGINNING", "AT_BEGINNING_STRING"):
        return at == 0
    if name in ("AT_END", "AT_END_STRING"):
        return at == len(text)
    if name == "AT_BEGINNING_LINE":
        return at == 0 or text[at - 1] == "\n"
    if name == "AT_END_LINE":
        return at == len(text) or text[at] == "\n"
    is_boundary = (text[at - 1 : at] in _WORD) != (text[at : at + 1] in _WORD) if at else text[:1] in _WORD
    return is_boundary is (name == "AT_BOUNDARY")
