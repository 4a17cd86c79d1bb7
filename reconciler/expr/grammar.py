"""The parser library's one entrance: a grammar and a builder become a function from text to a value.

Owns loading lark, on first use only, and turning its complaints into ours. A builder is any object with one method per rule,
which is given the rule's children from the left; it runs while the text is read, so that no tree is walked afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reconciler.expr.errors import ExpressionError, refuse

MAX_SOURCE = 64 << 10
MAX_DEPTH = 200
# Longer sources are read anew each time, so that what is kept stays small.
MAX_KEPT = 4 << 10


def make_parser(grammar: str, builder: object) -> Callable[[str], Any]:
    """A parser of texts; raises ExpressionError with the column. Building it takes tens of milliseconds: keep it."""
    from lark import Lark
    from lark.exceptions import UnexpectedCharacters, UnexpectedToken

    parser = Lark(grammar, parser="lalr", transformer=builder, maybe_placeholders=True)

    def parse(source: str) -> Any:
        if len(source) > MAX_SOURCE:
            raise refuse(source, MAX_SOURCE, f"it is longer than {MAX_SOURCE} characters", "pass large data in a variable")
        try:
            return parser.parse(source)
        except UnexpectedCharacters as error:
            offset = error.pos_in_stream or 0
            raise _unexpected(source, offset, source[offset]) from None
        except UnexpectedToken as error:
            if error.token.type == "$END":
                raise refuse(source, len(source), "unexpected end", "complete it") from None
            raise _unexpected(source, error.token.start_pos or 0, str(error.token)) from None

    return parse


def _unexpected(source: str, offset: int, found: str) -> ExpressionError:
    if found in ("'", '"', "`"):
        return refuse(source, offset, "a string without its closing quote", "close it")
    if found in ("=", "&"):
        doubled = found * 2
        return refuse(source, offset, f'unexpected "{found}"', f"write {doubled}")
    return refuse(source, offset, f'unexpected "{found[:40]}"', "remove it, or complete what stands before it")
