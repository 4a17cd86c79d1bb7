"""Typed reading of plain data by path, collecting every problem instead of stopping at the first.

Owns coercion as Go does it, the check of keys against a `Shape`, and what is noted on the way. It never raises for bad
input: it notes the problem and goes on with the type's empty value. It knows no object of Argo's.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.manifest import rules
from reconciler.manifest.positions import Path
from reconciler.manifest.rules import Rule
from reconciler.manifest.scalars import go_text
from reconciler.manifest.schema import DOCUMENT, METADATA, Shape
from reconciler.model.duration import parse_argo_duration

_NOTHING: Mapping[str, Any] = {}
MOST = 2**31 - 1  # as int32 in Argo; longer than any instant can be away
_SHOWN = 60
_MOST_ADVICE = 1000  # looking for a near name is dear, and nobody reads on
_LONGEST_MESSAGE = 500
_NEAR = 0.75  # of 1: below that a name is another word, as `metrics` for `retries`
_LEAST_PART = 3  # letters
_AS_PART = 0.8
_DECIDING = ("annotations", "generateName", "name", "namespace")  # metadata that a run depends on: a slip there is an error


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One problem at a path inside the document; `on_key` means the place of the key, not of its value."""

    rule: Rule
    at: Path
    message: str
    on_key: bool


class Reading:
    """Collects the notes of one document. `may_read_results` False: its text is known to name no `outputs.result`."""

    __slots__ = ("_warned", "may_read_results", "notes")

    def __init__(self) -> None:
        self.notes: list[Note] = []
        self.may_read_results = True
        self._warned: set[tuple[str, str]] = set()

    def note(self, rule: Rule, at: Path, message: str, *, on_key: bool = False) -> None:
        """Record one problem."""
        self.notes.append(Note(rule=rule, at=at, message=message, on_key=on_key))

    def fields(self, value: Any, at: Path, shape: Shape) -> Mapping[str, Any]:
        """The supported fields of a mapping under their true names; notes all others and a value that is no mapping."""
        if value.__class__ is not dict:
            if value is not None:
                self.wrong_type(value, at, "a mapping")
            return _NOTHING
        if value.keys() <= shape.supported:
            return value
        known: dict[str, Any] = {}
        for key, item in value.items():
            name = self._true_name(key, at, shape)
            if not name:
                continue
            if name in known or (name != key and name in value):
                self.note(rules.DUPLICATE_KEY, (*at, key), f'key "{key}" is given twice as "{name}"; keep one', on_key=True)
            elif name in shape.supported:
                known[name] = item
            elif name in shape.ignored:
                self._ignored(name, item, (*at, key), shape)
            elif name in shape.refused:
                self._refused(name, item, (*at, key), shape)
        return known

    def _true_name(self, key: str, at: Path, shape: Shape) -> str:
        if key in shape.supported or key in shape.ignored or key in shape.refused:
            return key
        name = shape.folded.get(key.lower(), "")
        if name:
            self.note(rules.OTHER_CASE, (*at, key), f'field "{key}" of {shape.what}: write it "{name}"', on_key=True)
            return name
        advice = nearest(key, shape.folded.values()) if len(self.notes) < _MOST_ADVICE else "remove it"
        if shape is DOCUMENT and key in METADATA.supported:
            advice = "write it under metadata"
        elif shape is METADATA and not any(f'"{wanted}"' in advice for wanted in _DECIDING):
            message = f'field "{key}" of metadata does not exist and is dropped, as Kubernetes does; {advice}'
            self.note(rules.IGNORED, (*at, key), message, on_key=True)
            return ""
        self.note(rules.UNKNOWN_FIELD, (*at, key), f'field "{key}" of {shape.what} does not exist; {advice}', on_key=True)
        return ""

    def _ignored(self, name: str, item: Any, at: Path, shape: Shape) -> None:
        if item in (None, {}) or (shape.what, name) in self._warned:
            return
        self._warned.add((shape.what, name))
        reason = shape.reasons.get(name, "it makes sense only in a pod")
        message = f'field "{name}" of {shape.what} is ignored: {reason}'
        self.note(rules.IGNORED, at, message, on_key=True)

    def _refused(self, name: str, item: Any, at: Path, shape: Shape) -> None:
        if item is None or item is False or item in ("", []) or (item == {} and name not in shape.bare):
            return
        message = f'field "{name}" of {shape.what} is not supported yet and would change the outcome; {shape.refused[name]}'
        self.note(rules.UNSUPPORTED, at, message, on_key=True)

    def wrong_type(self, value: Any, at: Path, wanted: str) -> None:
        """Note that `value` should be `wanted`."""
        self.note(rules.WRONG_TYPE, at, f"{label(at)} is {shown(value)}, not {wanted}; write {wanted}")

    def missing(self, name: str, at: Path, what: str) -> None:
        """Note that `what` at `at` lacks the field `name`."""
        self.note(rules.MISSING, at, f'{what} has no "{name}"; add it')

    def text(self, value: Any, at: Path, *, style: str = "g") -> str:
        """A scalar as Go prints it into a string field; '' for null."""
        if value.__class__ is str:
            return value
        if isinstance(value, dict | list):
            self.wrong_type(value, at, "a text")
            return ""
        return go_text(value, style=style)

    def needed_text(self, fields: Mapping[str, Any], name: str, at: Path, what: str) -> str:
        """The text of a field that may not be missing or empty."""
        value = fields.get(name)
        if value is None or value == "":
            self.missing(name, at, what)
            return ""
        if isinstance(value, bool):
            message = f"{name} is a word that YAML reads as the boolean {go_text(value)}; quote it"
            self.note(rules.BOOLEAN_NAME, (*at, name), message)
        return self.text(value, (*at, name))

    def integer_text(self, value: Any, at: Path, *, least: int = 0) -> str:
        """An integer of at least `least`, or a text with tags that will be one, as text; '' for null."""
        if value.__class__ is str and ("{{" in value or not value):
            return value
        number = self.integer(value, at, least=least, from_text=True)
        return "" if number is None else str(number)

    def duration(self, value: Any, at: Path) -> str:
        """Seconds or a Go duration such as 1h30m, or a text with tags that will be one; '' for null."""
        text = self.text(value, at, style="f")
        if text and "{{" not in text:
            try:
                parse_argo_duration(text)
            except ValueError as error:
                self.note(rules.NOT_ALLOWED, at, f"{label(at)} {error}; correct it")
                return ""
        return text

    def integer(self, value: Any, at: Path, *, least: int = 0, from_text: bool = False) -> int | None:
        """An integer of at least `least`; None for null. `from_text` also takes digits as text, as IntOrString does."""
        if value is None:
            return None
        number = value
        if from_text and isinstance(value, str):
            digits = value.removeprefix("-")
            number = int(value) if digits.isascii() and digits.isdigit() and len(digits) < 19 else value
        if isinstance(number, float) and number.is_integer():
            number = int(number)
        if not isinstance(number, int) or isinstance(number, bool):
            self.wrong_type(value, at, "a whole number")
            return None
        if number < least:
            self.note(rules.NOT_ALLOWED, at, f"{label(at)} is {number}; it must be {least} or more")
            return None
        if number > MOST:
            self.note(rules.NOT_ALLOWED, at, f"{label(at)} is {number}; it must be {MOST} or less")
            return None
        return number

    def boolean(self, value: Any, at: Path) -> bool:
        """A boolean; False for null."""
        if isinstance(value, bool):
            return value
        if value is not None:
            self.wrong_type(value, at, "true or false")
        return False

    def items(self, value: Any, at: Path) -> list[Any]:
        """A list; empty for null."""
        if value.__class__ is list:
            return value
        if value is not None:
            self.wrong_type(value, at, "a list")
        return []

    def texts(self, value: Any, at: Path) -> tuple[str, ...]:
        """A list of texts."""
        if value is None:
            return ()
        items = self.items(value, at)
        return tuple([item if item.__class__ is str else self.text(item, (*at, i)) for i, item in enumerate(items)])

    def text_map(self, value: Any, at: Path) -> dict[str, str]:
        """A mapping of texts; empty for null."""
        if value is None:
            return {}
        if value.__class__ is not dict:
            self.wrong_type(value, at, "a mapping")
            return {}
        return {key: item if item.__class__ is str else self._entry(item, (*at, key)) for key, item in value.items()}

    def _entry(self, value: Any, at: Path) -> str:
        if isinstance(value, dict | list):
            self.note(rules.WRONG_TYPE, at, f"{at[-2]}.{at[-1]} is {shown(value)}, not a text; write a text")
            return ""
        return go_text(value)

    def unique(self, names: Iterable[tuple[str, Path]], what: str) -> None:
        """Note each name that a list has twice."""
        seen: set[str] = set()
        for name, at in names:
            if name and name in seen:
                self.note(rules.DUPLICATE_NAME, (*at, "name"), f'{what} "{name}" is given twice; rename one')
            seen.add(name)


def one_line(message: str) -> str:
    """A message on one line of printable characters, whatever text of the manifest it quotes, and not too long."""
    if len(message) > _LONGEST_MESSAGE:
        message = message[:_LONGEST_MESSAGE] + "..."
    if message.isprintable():
        return message
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in message)


def nearest(name: str, known: Iterable[str]) -> str:
    """Advice for a name that does not exist: the nearest known one, if any is near."""
    near = find_near(name, known)
    return f'did you mean "{near}"?' if near else "remove it"


def find_near(name: str, known: Iterable[str]) -> str:
    """The known name nearest to one that does not exist, whatever the case, or ''.

    One that begins with the other is near too, as `retryStrategy` is to `retry`, but not nearer than one with the same letters.
    """
    by_lower = {candidate.lower(): candidate for candidate in sorted(known)}
    wanted = name.lower()
    scores = dict.fromkeys(difflib.get_close_matches(wanted, by_lower, n=1, cutoff=_NEAR), 0.0)
    for each in by_lower:
        if min(len(each), len(wanted)) >= _LEAST_PART and (wanted.startswith(each) or each.startswith(wanted)):
            scores[each] = _AS_PART
    if not scores:
        return ""
    return by_lower[max(scores, key=lambda each: max(scores[each], difflib.SequenceMatcher(None, each, wanted).ratio()))]


def label(at: Path) -> str:
    """The last name of a path and what follows it: `args[2]`."""
    text = ""
    for part in reversed(at):
        if isinstance(part, str):
            return part + text
        text = f"[{part}]" + text
    return text or "the document"


def shown(value: Any) -> str:
    """A value as a message names it."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        return f'the text "{value}"' if len(value) <= _SHOWN else f'the text "{value[:_SHOWN]}..."'
    return "null" if value is None else go_text(value)
