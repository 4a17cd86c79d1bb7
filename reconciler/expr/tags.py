"""`{{tags}}` in a text: which there are, and the text with their values in place.

Owns substitution: the text is read into pieces once, before any value is known, so that a value can never add a tag or change
the structure around it. It knows no variable by name, and leaves what stands in `{{=...}}` to the language.
It stands on the command line's start-up path: standard library only; the language is imported when a text has an expression.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from reconciler.errors import ManifestError
from reconciler.expr.errors import AbsentValue, ExpressionError, UnknownVariable, refuse
from reconciler.expr.pieces import Tag, each_tag, read_pieces

__all__ = [
    "MAX_TEXT_BYTES", "AbsentValue", "UnresolvedTag", "Variables", "find_tags", "is_variable", "nest", "resolve", "substitute",
]  # fmt: skip

MAX_TEXT_BYTES = 256 << 10

# Argo: docs/variables.md
_ROOTS = frozenset(
    {"workflow", "inputs", "outputs", "steps", "tasks", "item", "pod", "node", "retries", "lastRetry", "cronworkflow"}
)


class Variables(Protocol):
    """What a text's tags mean."""

    def get(self, name: str, /) -> str | None:
        """The text of one name, None if nothing has that name. May raise AbsentValue."""

    def tree(self) -> Mapping[str, Any]:
        """The same as nested maps, which expressions see; asked for only if there is an expression."""


class UnresolvedTag(ManifestError):
    """A text has tags that nothing gives a value to; `tags` lists them in order of appearance, each once."""

    def __init__(self, tags: tuple[str, ...]) -> None:
        named = ", ".join("{{" + tag + "}}" for tag in tags)
        super().__init__(f"{named} cannot be resolved: nothing here has that name; correct the name or declare the parameter")
        self.tags = tags

    def __reduce__(self) -> tuple[type[UnresolvedTag], tuple[tuple[str, ...]]]:
        return (UnresolvedTag, (self.tags,))


def find_tags(text: str) -> tuple[str, ...]:
    """The names between double braces, without the spaces around them, in order of appearance, each once.

    An expression keeps its sign: `{{=1 + 1}}` is `=1 + 1`. Of a tag that is named by another inside it only the inner one is
    told, for its own name is not known yet.
    """
    if "{{" not in text:
        return ()
    return tuple(dict.fromkeys(name for tag in each_tag(read_pieces(text)) if (name := tag.name()) is not None))


def is_variable(tag: str) -> bool:
    """True for a tag in Argo's own name space, or an expression; `.Names` of `docker ps --format '{{.Names}}'` is none."""
    return tag.startswith("=") or tag.partition(".")[0] in _ROOTS


def substitute(text: str, values: Mapping[str, str] | Variables, *, keep_unknown: bool = False) -> str:
    """`text` with each tag replaced by its value, in one pass: tags inside values stay as they are.

    A tag inside another is replaced first and becomes part of the outer one's name. A tag that is no variable of Argo's stays in
    the text: it belongs to another program (Argo does so too). Raises UnresolvedTag, naming every other tag without a value;
    ExpressionError for an expression that cannot be evaluated, or gives nil; AbsentValue for an output that was never made;
    ManifestError if the result would be longer than 256 KiB. `keep_unknown` leaves tags without a value in the text, and every
    expression that names something without one: a later pass may know it, and until then `??` must decide nothing.
    """
    if "{{" not in text:
        return text
    return _Substitution(text, values, lambda tag: keep_unknown or not is_variable(tag), keeps=keep_unknown).run()


def resolve(text: str, values: Mapping[str, str] | Variables) -> tuple[str, tuple[tuple[str, str], ...]]:
    """`text` with its tags replaced, and the (name, value) pairs that were used, in order of appearance, each once.

    For names, such as a lock's: raises UnresolvedTag for every tag without a value, otherwise as `substitute` does.
    """
    if "{{" not in text:
        return text, ()
    substitution = _Substitution(text, values, lambda _: False, keeps=False)
    return substitution.run(), tuple(substitution.used.items())


def nest(flat: Mapping[str, str]) -> dict[str, Any]:
    """Names split at their dots into nested maps; where one is both a value and a map, the map stays."""
    tree: dict[str, Any] = {}
    for name in sorted(flat, key=lambda each: each.count("."), reverse=True):
        *path, last = name.split(".")
        place = tree
        for key in path:
            inner = place.setdefault(key, {})
            if not isinstance(inner, dict):
                inner = place[key] = {}
            place = inner
        place.setdefault(last, flat[name])
    return tree


class _Substitution:
    """One run over one text; `used` is what was put in, by name."""

    def __init__(
        self, text: str, values: Mapping[str, str] | Variables, may_stay: Callable[[str], bool], *, keeps: bool
    ) -> None:
        self.used: dict[str, str] = {}
        self._text = text
        self._values = values
        self._may_stay = may_stay
        self._keeps = keeps
        self._unknown: dict[str, None] = {}
        self._tree: Mapping[str, Any] | None = None

    def run(self) -> str:
        """The text. The length is checked on the way, so that no huge text is ever built."""
        parts: list[str] = []
        size = 0
        for piece in read_pieces(self._text):
            if isinstance(piece, str):
                parts.append(piece)
                size += len(piece)
                continue
            value, raw = self._value(piece)
            parts.append(raw if value is None else value)
            size += len(parts[-1])
            if value is not None and size > MAX_TEXT_BYTES:
                raise _too_long(piece.name() or "...")
        if self._unknown:
            raise UnresolvedTag(tuple(self._unknown))
        result = "".join(parts)
        if self.used and len(result) > MAX_TEXT_BYTES // 4 and len(result.encode(errors="surrogatepass")) > MAX_TEXT_BYTES:
            raise _too_long(next(iter(self.used), ""))
        return result

    def _value(self, tag: Tag) -> tuple[str | None, str]:
        """Its value, None if it has none (yet), and its own text with inner tags replaced."""
        is_expression, is_whole = tag.is_expression(), True
        parts: list[str] = []
        for part in tag.parts:
            if isinstance(part, str):
                parts.append(part)
                continue
            value, raw = self._value(part)
            is_whole = is_whole and value is not None
            parts.append(raw if value is None else _as_source(value, part) if is_expression else value)
        inside = "".join(parts)
        name = inside.strip()
        raw = "{{" + inside + "}}"
        value = None
        if is_whole:
            value = self._evaluate(name) if is_expression else self._values.get(name)
        if value is not None:
            self.used[name] = value
        elif is_whole and not self._may_stay(name):
            self._unknown[name] = None
        return value, raw

    def _evaluate(self, name: str) -> str | None:
        """The text of an expression; None if it may stay, because something in it has no value yet."""
        from reconciler.expr.language import evaluate, names, to_text

        source = name[1:].strip()
        if self._tree is None:
            values = self._values
            self._tree = nest(values) if isinstance(values, Mapping) else values.tree()
        if self._keeps and any(_is_missing(path, self._tree) for path in names(source)):
            return None
        found = evaluate(source, self._tree)
        if found is None:
            raise refuse(source, 0, "it gives nil", "give a default with ??", UnknownVariable)
        return to_text(found)


def _is_missing(path: tuple[str, ...], tree: Mapping[str, Any]) -> bool:
    """Whether a path of keys leads to nothing; what is no map is not looked into."""
    place: Any = tree
    for key in path:
        if not isinstance(place, Mapping):
            return place is None
        place = place.get(key)
    return place is None


def _as_source(value: str, tag: Tag) -> str:
    """A value as a part of an expression's source, where it can change nothing: within quotes escaped, else a plain word."""
    if tag.quote in ("'", '"'):
        return value.replace("\\", "\\\\").replace(tag.quote, "\\" + tag.quote)
    if tag.quote == "`":
        return value.replace("`", "``")
    if value and all(char.isalnum() or char in "_.-+" for char in value):
        return value
    name = tag.name() or "..."
    raise ExpressionError(
        f"{{{{{name}}}}} cannot be put into an expression: its value is more than a word or a number;"
        f" write {name} without braces, or put quotes around the tag"
    )


def _too_long(name: str) -> ManifestError:
    return ManifestError(
        f"{{{{{name}}}}} cannot be put in: the text would be longer than {MAX_TEXT_BYTES} bytes; pass large data in a file"
    )
