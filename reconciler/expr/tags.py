"""`{{tags}}` in a text: which there are, and the text with their values in place.

Owns substitution: one pass over a text that was parsed before, so that a value can never add a tag or change the structure
around it. It evaluates no expressions and knows no variable by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from reconciler.errors import ManifestError

MAX_TEXT_BYTES = 256 << 10

# Argo: docs/variables.md
_ROOTS = frozenset(
    {"workflow", "inputs", "outputs", "steps", "tasks", "item", "pod", "node", "retries", "lastRetry", "cronworkflow"}
)


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

    An expression keeps its sign: `{{=1 + 1}}` is `=1 + 1`.
    """
    return tuple(dict.fromkeys(name for _, _, name in _scan(text)))


def is_variable(tag: str) -> bool:
    """True for a tag in Argo's own name space, or an expression; `.Names` of `docker ps --format '{{.Names}}'` is none."""
    return tag.startswith("=") or tag.partition(".")[0] in _ROOTS


def substitute(text: str, values: Mapping[str, str], *, keep_unknown: bool = False) -> str:
    """`text` with each tag replaced by its value, in one pass: tags inside values stay as they are.

    A tag that is no variable of Argo's stays in the text: it belongs to another program (Argo does so too). Raises
    UnresolvedTag, naming every other tag without a value, unless `keep_unknown` leaves them in the text as well;
    ManifestError if the result would be longer than 256 KiB.
    """
    if "{{" not in text:
        return text
    return _replace(text, values, {}, lambda tag: keep_unknown or not is_variable(tag))


def resolve(text: str, values: Mapping[str, str]) -> tuple[str, tuple[tuple[str, str], ...]]:
    """`text` with its tags replaced, and the (name, value) pairs that were used, in order of appearance, each once.

    For names, such as a lock's: raises UnresolvedTag for every tag without a value, ManifestError as `substitute` does.
    """
    if "{{" not in text:
        return text, ()
    used: dict[str, str] = {}
    return _replace(text, values, used, lambda _: False), tuple(used.items())


def _replace(text: str, values: Mapping[str, str], used: dict[str, str], may_stay: Callable[[str], bool]) -> str:
    """As `substitute`; fills `used`. The length is checked on the way, so that no huge text is ever built."""
    parts: list[str] = []
    unknown: dict[str, None] = {}
    end = size = 0
    for start, after, name in _scan(text):
        value = values.get(name)
        if value is None:
            if not may_stay(name):
                unknown[name] = None
            continue
        used[name] = value
        parts += (text[end:start], value)
        size += len(value) + start - end
        end = after
        if size > MAX_TEXT_BYTES:
            raise _too_long(name)
    if unknown:
        raise UnresolvedTag(tuple(unknown))
    result = "".join((*parts, text[end:]))
    if len(result) > MAX_TEXT_BYTES // 4 and len(result.encode(errors="surrogatepass")) > MAX_TEXT_BYTES:
        raise _too_long(next(iter(used), ""))
    return result


def _scan(text: str) -> Iterator[tuple[int, int, str]]:
    """Where each tag starts and ends, and its name. Linear: a pattern would try every open brace to the end of the text."""
    start = text.find("{{")
    while start >= 0:
        end = text.find("}}", start + 2)
        if end < 0:
            return
        yield start, end + 2, text[start + 2 : end].strip()
        start = text.find("{{", end + 2)


def _too_long(name: str) -> ManifestError:
    return ManifestError(
        f"{{{{{name}}}}} cannot be put in: the text would be longer than {MAX_TEXT_BYTES} bytes; pass large data in a file"
    )
