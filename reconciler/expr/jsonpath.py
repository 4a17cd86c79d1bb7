"""JSONPath templates as kubectl reads them: `{.items[*].metadata.name}`, ranges, filters, quoted literals.

Owns parsing and evaluation over plain JSON data. It stands on the command line's start-up path: standard library only, and
no dataclasses. A path that leads nowhere gives nothing, as kubectl's `get -o jsonpath` does.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from reconciler.errors import UsageError

# A step maps one value to the values it selects; `root` is the whole document. A part of a template prints itself.
_Step = Callable[[Any, Any], Iterator[Any]]
_Part = Callable[[Any, Any], str]
_Condition = Callable[[Any, Any], bool]

_NAME = re.compile(r"(?:\\.|[^\s.\[\]{}()=<>!'\",?@$&|])+")
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_SLICE = re.compile(r"(-?\d*):(-?\d*)(?::(-?\d*))?$")
_OPERATOR = re.compile(r"==|!=|<=|>=|<|>")
_STRING = re.compile(r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
_WORDS = {"true": True, "false": False, "null": None}
_NOWHERE = object()
_TO_ONE = re.compile(r"[$@]?(?:\.(?!\.)(?:\\.|[^\s.\[\]*])*|\[\s*(?:-?\d+|'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\")\s*\])*")
_MAX_FOUND = 100_000


def evaluate(template: str, data: Any) -> str:
    """The text that kubectl would print: strings raw, objects and lists as JSON, several results separated by a space.

    A template without braces is one path. Raises UsageError, naming the place, for a template that cannot be read.
    """
    text = template if "{" in template else "{" + (template if template[:1] in (".", "[", "$") else "." + template) + "}"
    parts, _ = _Parser(text).parts(0, within="")
    return "".join(part(data, data) for part in parts)


def query(path: str, data: Any) -> Any:
    """What one path selects, as a value: a list if it could select several (`*`, `..`, a filter, a slice, a union).

    Argo: the `jsonpath` function. Raises UsageError as `evaluate` does, LookupError if a path to one value leads nowhere.
    """
    text = path.strip()
    text = text if text[:1] in ("$", "@", ".", "[") else "." + text
    steps, at = _Parser(text).path(0)
    if at != len(text):
        raise UsageError(f'jsonpath "{path}" cannot be read at character {at + 1}: nothing may follow; write $.items[0].name')
    found = _select(steps, data, data)
    if not _TO_ONE.fullmatch(text):
        return found
    if not found:
        raise LookupError(path)
    return found[0]


class _Parser:
    """Reads one template; every method takes an offset and returns what it read and the offset behind it."""

    def __init__(self, text: str) -> None:
        self._text = text

    def parts(self, at: int, *, within: str) -> tuple[list[_Part], int]:
        """Parts up to the end, or up to `{end}` inside a range (`within`)."""
        found: list[_Part] = []
        text = self._text
        while at < len(text):
            brace = text.find("{", at)
            if brace != at:
                end = len(text) if brace < 0 else brace
                found.append(_literal(text[at:end]))
                at = end
                continue
            part, at = self._braces(self._spaces(at + 1), within=within)
            if part is None:
                return found, at
            found.append(part)
        if within:
            raise self._error(at, f"{within} has no {{end}}")
        return found, at

    def _braces(self, at: int, *, within: str) -> tuple[_Part | None, int]:
        text = self._text
        if re.compile(r"end\s*\}").match(text, at):
            if not within:
                raise self._error(at, "{end} has no {range}")
            return None, text.index("}", at) + 1
        if re.compile(r"range\s").match(text, at):
            steps, at = self.path(self._spaces(at + 5))
            body, at = self.parts(self._closing(at), within="{range}")
            return _ranged(steps, body), at
        if text[at : at + 1] in ("'", '"'):
            literal, at = self._string(at)
            return _literal(literal), self._closing(at)
        steps, at = self.path(at)
        return _printed(steps), self._closing(at)

    def path(self, at: int) -> tuple[list[_Step], int]:
        text, start = self._text, at
        steps: list[_Step] = []
        if text[at : at + 1] in ("$", "@"):
            steps += [_root] if text[at] == "$" else []
            at += 1
        while at < len(text):
            if text.startswith("..", at):
                name, at = self._name(at + 2)
                steps.append(_deep(name))
            elif text[at] == ".":
                at += 1
                if at < len(text) and text[at] not in " })=!<>[":
                    name, at = self._name(at)
                    steps.append(_all if name == "*" else _named(name))
            elif text[at] == "[":
                step, at = self._brackets(at + 1)
                steps.append(step)
            else:
                break
        if at == start:
            raise self._error(at, "a path starts with . or [")
        return steps, at

    def _name(self, at: int) -> tuple[str, int]:
        match = _NAME.match(self._text, at)
        if match is None:
            raise self._error(at, "a name is missing")
        return re.sub(r"\\(.)", r"\1", match[0]), match.end()

    def _brackets(self, at: int) -> tuple[_Step, int]:
        text = self._text
        if text.startswith("?(", at):
            return self._filter(at + 2)
        close = text.find("]", at)
        if text[self._spaces(at) : self._spaces(at) + 1] not in ("'", '"') and close >= 0:
            inner = text[at:close].strip()
            if inner == "*":
                return _all, close + 1
            if match := _SLICE.match(inner):
                first, last, stride = (int(part) if part else None for part in match.groups())
                if stride == 0:
                    raise self._error(at, "a slice cannot step by 0")
                return _sliced(slice(first, last, stride)), close + 1
        return self._union(at)

    def _union(self, at: int) -> tuple[_Step, int]:
        text = self._text
        keys: list[str | int] = []
        while True:
            at = self._spaces(at)
            if text[at : at + 1] in ("'", '"'):
                key, at = self._string(at)
                keys.append(key)
            elif match := re.compile(r"-?\d+").match(text, at):
                keys.append(int(match[0]))
                at = match.end()
            else:
                name, at = self._name(at)
                keys.append(name)
            at = self._spaces(at)
            if text[at : at + 1] == "]":
                return _picked(keys), at + 1
            if text[at : at + 1] != ",":
                raise self._error(at, "] is missing")
            at += 1

    def _filter(self, at: int) -> tuple[_Step, int]:
        """`[?(@.a==1 && @.b || @.c)]`, where && binds closer."""
        choices: list[list[_Condition]] = [[]]
        while True:
            condition, at = self._comparison(at)
            choices[-1].append(condition)
            joint = self._text[at : at + 2]
            if joint not in ("&&", "||"):
                break
            at += 2
            choices += [[]] if joint == "||" else []
        if not self._text.startswith(")]", at):
            raise self._error(at, "a filter is [?(@.field==value)]; )] is missing")
        return _filtered(lambda item, root: any(all(holds(item, root) for holds in every) for every in choices)), at + 2

    def _comparison(self, at: int) -> tuple[_Condition, int]:
        left, at = self._operand(at)
        at = self._spaces(at)
        operator, right = "", left
        if match := _OPERATOR.match(self._text, at):
            operator = match[0]
            right, at = self._operand(match.end())
            at = self._spaces(at)
        return (lambda item, root: _holds(left(item, root), operator, right(item, root))), at

    def _operand(self, at: int) -> tuple[Callable[[Any, Any], Any], int]:
        text = self._text
        at = self._spaces(at)
        if text[at : at + 1] in ("'", '"'):
            literal, at = self._string(at)
            return _constant(literal), at
        if match := _NUMBER.match(text, at):
            return _constant(float(match[0]) if match[1] else int(match[0])), match.end()
        for word, value in _WORDS.items():
            if text.startswith(word, at):
                return _constant(value), at + len(word)
        steps, at = self.path(at)
        return _first(steps), at

    def _string(self, at: int) -> tuple[str, int]:
        match = _STRING.match(self._text, at)
        if match is None:
            raise self._error(at, "the closing quote is missing")
        return re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), match[0][1:-1]), match.end()

    def _spaces(self, at: int) -> int:
        while at < len(self._text) and self._text[at].isspace():
            at += 1
        return at

    def _closing(self, at: int) -> int:
        at = self._spaces(at)
        if self._text[at : at + 1] != "}":
            raise self._error(at, "} is missing")
        return at + 1

    def _error(self, at: int, why: str) -> UsageError:
        return UsageError(
            f'jsonpath "{self._text}" cannot be read at character {at + 1}: {why}; write for example {{.items[*].metadata.name}}'
        )


def _literal(text: str) -> _Part:
    return lambda _value, _root: text


def _printed(steps: list[_Step]) -> _Part:
    return lambda value, root: " ".join(_print(found) for found in _select(steps, value, root))


def _ranged(steps: list[_Step], body: list[_Part]) -> _Part:
    def part(value: Any, root: Any) -> str:
        return "".join(inner(item, root) for item in _items(_select(steps, value, root)) for inner in body)

    return part


def _items(found: list[Any]) -> list[Any]:
    """A range over one list goes over its items."""
    return found[0] if len(found) == 1 and isinstance(found[0], list) else found


def _select(steps: list[_Step], value: Any, root: Any) -> list[Any]:
    values = [value]
    for step in steps:
        values = list(itertools.islice((found for each in values for found in step(each, root)), _MAX_FOUND + 1))
        if len(values) > _MAX_FOUND:
            raise UsageError(f"jsonpath finds more than {_MAX_FOUND} values: name what you need instead of ..")
    return values


def _print(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _root(_value: Any, root: Any) -> Iterator[Any]:
    yield root


def _all(value: Any, _root: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _named(name: str) -> _Step:
    def step(value: Any, _root: Any) -> Iterator[Any]:
        if isinstance(value, dict) and name in value:
            yield value[name]

    return step


def _deep(name: str) -> _Step:
    def step(value: Any, root: Any) -> Iterator[Any]:
        if name == "*" or (isinstance(value, dict) and name in value):
            yield from _all(value, root) if name == "*" else iter((value[name],))
        for inner in _all(value, root):
            yield from step(inner, root)

    return step


def _sliced(which: slice) -> _Step:
    def step(value: Any, _root: Any) -> Iterator[Any]:
        if isinstance(value, list):
            yield from value[which]

    return step


def _picked(keys: list[str | int]) -> _Step:
    def step(value: Any, _root: Any) -> Iterator[Any]:
        for key in keys:
            if isinstance(value, dict) and str(key) in value:
                yield value[str(key)]
            elif isinstance(value, list) and isinstance(key, int) and -len(value) <= key < len(value):
                yield value[key]

    return step


def _filtered(holds: _Condition) -> _Step:
    def step(value: Any, root: Any) -> Iterator[Any]:
        for item in _all(value, root):
            if holds(item, root):
                yield item

    return step


def _constant(value: Any) -> Callable[[Any, Any], Any]:
    return lambda _value, _root: value


def _first(steps: list[_Step]) -> Callable[[Any, Any], Any]:
    def operand(value: Any, root: Any) -> Any:
        found = _select(steps, value, root)
        return found[0] if found else _NOWHERE

    return operand


def _holds(left: Any, operator: str, right: Any) -> bool:
    """Whether a filter keeps an item; values of different types are unequal and never in order."""
    if left is _NOWHERE or right is _NOWHERE:
        return False
    if not operator:
        return True
    alike = _type(left) is _type(right)
    if operator in ("==", "!="):
        return (alike and left == right) is (operator == "==")
    if not alike or _type(left) not in (str, float):
        return False
    return bool({"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[operator])


def _type(value: Any) -> type:
    return float if isinstance(value, int | float) and not isinstance(value, bool) else type(value)
