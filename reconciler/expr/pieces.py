"""A text read into literal parts and tags, before any value is known. Owns where a tag starts and ends.

It stands on the command line's start-up path: standard library only, and no dataclasses.
"""

from __future__ import annotations

from collections.abc import Iterator

_MAX_NESTING = 20
_MAX_UNCLOSED = 3
_MAX_EXPRESSION = 64 << 10


class Tag:
    """One tag: its parts, and the quote around it if it stands in a string of an expression."""

    __slots__ = ("parts", "quote")

    def __init__(self, quote: str = "") -> None:
        self.parts: list[str | Tag] = []
        self.quote = quote

    def name(self) -> str | None:
        """Its name without the spaces around it; None if that depends on a tag inside."""
        if any(isinstance(part, Tag) for part in self.parts):
            return None
        return "".join(str(part) for part in self.parts).strip()

    def is_expression(self) -> bool:
        """True for `{{=...}}`, whatever values are put in later."""
        return bool(self.parts) and isinstance(self.parts[0], str) and self.parts[0].lstrip().startswith("=")


def read_pieces(text: str) -> list[str | Tag]:
    """The text as literal parts and tags; an opening that is never closed is text. Linear in the length of the text."""
    return _Reader(text).read()


def each_tag(pieces: list[str | Tag]) -> Iterator[Tag]:
    """Every tag, inner ones before the one around them."""
    for piece in pieces:
        if isinstance(piece, Tag):
            yield from each_tag(piece.parts)
            yield piece


class _Reader:
    """Reads one text from the left; `_levels` are the parts of the text and of every tag that is open."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._levels: list[list[str | Tag]] = [[]]
        self._start = self._end = -2
        self._unclosed = 0

    def read(self) -> list[str | Tag]:
        text, at = self._text, 0
        while True:
            self._look(at)
            if len(self._levels) > 1 and self._end >= 0 and (self._start < 0 or self._end < self._start):
                self._put(text[at : self._end])
                tag = Tag()
                tag.parts = self._levels.pop()
                self._levels[-1].append(tag)
                at = self._end + 2
            elif self._start >= 0:
                self._put(text[at : self._start])
                at = self._open(self._start)
            else:
                break
        self._put(text[at:])
        while len(self._levels) > 1:
            parts = self._levels.pop()
            self._levels[-1] += ["{{", *parts]
        return self._levels[0]

    def _look(self, at: int) -> None:
        """Finds the next opening and closing, unless they are known already."""
        if self._start != -1 and self._start < at:
            self._start = self._text.find("{{", at)
        if self._end != -1 and self._end < at:
            self._end = self._text.find("}}", at)

    def _open(self, start: int) -> int:
        """Reads an opening; an expression is read to its end, because its braces and strings are its own."""
        text, behind = self._text, start + 2
        while behind < len(text) and text[behind].isspace():
            behind += 1
        if text[behind : behind + 1] == "=" and self._unclosed < _MAX_UNCLOSED:
            tag, end = _read_expression(text, start + 2, behind + 1)
            if tag is not None:
                self._levels[-1].append(tag)
                return end
            self._unclosed += 1
        if len(self._levels) > _MAX_NESTING:
            self._put("{{")
        else:
            self._levels.append([])
        return start + 2

    def _put(self, part: str) -> None:
        if part:
            self._levels[-1].append(part)


def _read_expression(text: str, first: int, at: int) -> tuple[Tag | None, int]:
    """The tag whose expression begins at `at`, and the offset behind its braces; None if it is never closed."""
    tag = Tag()
    quote, depth = "", 0
    last = min(len(text), first + _MAX_EXPRESSION)
    while at < last:
        char = text[at]
        if text.startswith("{{", at) and (inner := _inner_tag(text, at, quote)):
            tag.parts += [part for part in (text[first:at],) if part]
            tag.parts.append(inner[0])
            first = at = inner[1]
            continue
        if quote:
            at += char == "\\" and quote != "`"
            quote = "" if char == quote else quote
        elif char in "'\"`":
            quote = char
        elif char == "/" and text[at + 1 : at + 2] in ("/", "*"):
            at = _comment_end(text, at)
            continue
        elif char == "{":
            depth += 1
        elif char == "}":
            if depth == 0 and text.startswith("}}", at):
                tag.parts.append(text[first:at])
                return tag, at + 2
            depth -= depth > 0
        at += 1
    return None, at


def _inner_tag(text: str, at: int, quote: str) -> tuple[Tag, int] | None:
    """A plain name in braces within an expression; `{{a: 1}}` is a closure around a map."""
    end = text.find("}}", at, at + 300)
    name = text[at + 2 : end].strip() if end >= 0 else ""
    if not name or not all(char.isalnum() or char in "_.-" for char in name):
        return None
    tag = Tag(quote)
    tag.parts.append(text[at + 2 : end])
    return tag, end + 2


def _comment_end(text: str, at: int) -> int:
    """Behind a comment; one to the end of the line ends before the tag does."""
    if text[at + 1] == "*":
        end = text.find("*/", at + 2)
        return len(text) if end < 0 else end + 2
    ends = [end for end in (text.find("\n", at), text.find("}}", at)) if end >= 0]
    return min(ends, default=len(text))
