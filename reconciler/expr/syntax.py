"""The grammar of expr-lang, as Argo uses it in `{{=...}}` and in `expression` fields: text becomes nodes.

Owns the grammar, the binding of operators and the literals. It evaluates nothing and knows no function by name.
Operators are read as a flat row and bound afterwards: their rules (`-` over `*`, `not` under it, chained comparisons, `??`
that mixes with nothing) are a table here instead of a dozen grammar rules.
"""

from __future__ import annotations

import functools
import re
from typing import Any

from reconciler.expr.errors import refuse
from reconciler.expr.grammar import MAX_DEPTH, MAX_KEPT, make_parser
from reconciler.expr.nodes import (
    Array,
    Call,
    Chain,
    Conditional,
    Infix,
    Let,
    Literal,
    Map,
    Member,
    Method,
    Name,
    Node,
    Pointer,
    Prefix,
    Sequence,
    Slice,
)  # fmt: skip

GRAMMAR = r"""
?start: sequence
?sequence: expr | plain ";" sequence -> sequence | plain ";"
?expr: plain | _open
_open: let | open_conditional
open_conditional: operation "?" expr ":" _open
let: LET NAME "=" plain ";" sequence
?plain: operation | conditional | elvis | if_else
conditional: operation "?" expr ":" plain
elvis: operation "?" ":" plain
if_else: "if" plain "{" sequence "}" "else" (if_else | "{" sequence "}")

operation: _operand (_infix _operand | pipe)*
_operand: PREFIX* _postfix
_infix: SYMBOL | WORD
pipe: "|" NAME arguments tail*

_postfix: primary
primary: _atom tail*
tail: "." NAME -> member
    | "." NAME arguments -> method
    | "?." NAME -> optional_member
    | "?." NAME arguments -> optional_method
    | "[" expr "]" -> index
    | "?." "[" expr "]" -> optional_index
    | "[" [expr] ":" [expr] "]" -> slice
_atom: name | call | number | string | array | map | paren | pointer | pointer_member | pointer_method
name: NAME
call: NAME arguments | "::" NAME arguments
number: NUMBER
string: STRING
paren: "(" sequence ")"
array: "[" [expr ("," expr)* [","]] "]"
map: "{" [pair ("," pair)* [","]] "}"
pair: key ":" expr
key: NAME | NUMBER | STRING | paren
pointer: POINTER
pointer_member: "." NAME
pointer_method: "." NAME arguments
arguments: "(" [argument ("," argument)* [","]] ")"
?argument: expr | closure
closure: "{" sequence "}"

LET: "let"
PREFIX.2: /not\b|[!+\-]/
WORD.2: /(?:not\s+(?:in|matches|contains|startsWith|endsWith)|or|and|in|matches|contains|startsWith|endsWith)\b/
SYMBOL.2: /\|\||&&|==|!=|<=|>=|\*\*|\.\.|\?\?|[<>+\-*\/%^]/
NAME: /[^\W\d]\w*|\$\w*/
POINTER: /#\w*/
NUMBER.2: /0[xX][\da-fA-F_]+\b|0[oO][0-7_]+\b|0[bB][01_]+\b|(?:\d[\d_]*(?:\.(?!\.)[\d_]*)?|\.\d[\d_]*)(?:[eE][+\-]?\d+)?(?!\w)/
STRING: /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`(?:[^`]|``)*`/s
COMMENT.3: /\/\/[^\n]*|\/\*[^*]*\*+(?:[^\/*][^*]*\*+)*\//
SPACE: /\s+/
%ignore COMMENT
%ignore SPACE
"""

# How tightly an operator binds its neighbours. expr-lang: docs/language-definition.md
_BINDING = {
    "||": 10, "&&": 15, "==": 20, "!=": 20, "<": 20, ">": 20, ">=": 20, "<=": 20, "in": 20, "matches": 20, "contains": 20,
    "startsWith": 20, "endsWith": 20, "..": 25, "+": 30, "-": 30, "*": 60, "/": 60, "%": 60, "**": 100, "??": 500,
}  # fmt: skip
_PREFIX_BINDING = {"!": 50, "-": 90, "+": 90}
_SPELLING = {"or": "||", "and": "&&", "not": "!", "^": "**"}
_ORDERED = frozenset(("<", ">", "<=", ">="))
_RESERVED = frozenset(("in", "or", "and", "not", "matches", "contains", "startsWith", "endsWith", "let", "if", "else"))
_WORDS = {"true": True, "false": False, "nil": None}
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))", re.DOTALL)
_SINGLE = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "\\": "\\", "'": "'", '"': '"', "`": "`"}


class _Syntax(Exception):
    """What the builder refuses; `parse` knows the source."""

    def __init__(self, offset: int, why: str, advice: str) -> None:
        super().__init__(why)
        self.offset = offset
        self.why = why
        self.advice = advice


def parse(source: str) -> Node:
    """The expression as nodes; short ones are kept. Raises ExpressionError with the column of what cannot be read."""
    return _kept(source) if len(source) <= MAX_KEPT else _read(source)


def _read(source: str) -> Node:
    try:
        node: Node = _parser()(source)
    except _Syntax as error:
        raise refuse(source, error.offset, error.why, error.advice) from None
    except RecursionError:
        raise refuse(source, 0, "too many parts stand inside each other", "split it with let") from None
    return node


_kept = functools.lru_cache(maxsize=1024)(_read)


@functools.cache
def _parser() -> Any:
    return make_parser(GRAMMAR, _Builder())


class _Builder:
    """One method per rule; `children` are tokens and nodes, from the left."""

    def sequence(self, children: list[Any]) -> Node:
        if len(children) == 1:
            return _node(children[0])
        first, rest = children
        return Sequence(first.at, _depth(first, rest), first, rest)

    def let(self, children: list[Any]) -> Node:
        _, name, value, body = children
        if name in _RESERVED or name in _WORDS:
            raise _Syntax(name.start_pos, f'"{name}" cannot be a variable', "use another name")
        return Let(name.start_pos, _depth(value, body), str(name), value, body)

    def conditional(self, children: list[Any]) -> Node:
        condition, then, otherwise = children
        return Conditional(condition.at, _depth(*children), condition, then, otherwise)

    open_conditional = if_else = conditional

    def elvis(self, children: list[Any]) -> Node:
        value, otherwise = children
        return Conditional(value.at, _depth(value, otherwise), value, value, otherwise)

    def operation(self, children: list[Any]) -> Node:
        return _Row(children).bind(0)

    def pipe(self, children: list[Any]) -> tuple[Any, ...]:
        return ("|", *children)

    def primary(self, children: list[Any]) -> Node:
        return _with_tails(children[0], children[1:])

    def member(self, children: list[Any]) -> tuple[Any, ...]:
        return ("member", children[0].start_pos, _constant(children[0]), False)

    def optional_member(self, children: list[Any]) -> tuple[Any, ...]:
        return ("member", children[0].start_pos, _constant(children[0]), True)

    def index(self, children: list[Any]) -> tuple[Any, ...]:
        return ("member", children[0].at, children[0], False)

    def optional_index(self, children: list[Any]) -> tuple[Any, ...]:
        return ("member", children[0].at, children[0], True)

    def method(self, children: list[Any]) -> tuple[Any, ...]:
        return ("method", children[0].start_pos, str(children[0]), children[1], False)

    def optional_method(self, children: list[Any]) -> tuple[Any, ...]:
        return ("method", children[0].start_pos, str(children[0]), children[1], True)

    def slice(self, children: list[Any]) -> tuple[Any, ...]:
        return ("slice", *children)

    def name(self, children: list[Any]) -> Node:
        (token,) = children
        if token in _WORDS:
            return Literal(token.start_pos, 1, _WORDS[token])
        if token in _RESERVED:
            raise _Syntax(token.start_pos, f'unexpected "{token}"', "a value must stand here")
        return Name(token.start_pos, 1, str(token))

    def call(self, children: list[Any]) -> Node:
        name, arguments = children
        if name in _RESERVED or name in _WORDS:
            raise _Syntax(name.start_pos, f'"{name}" is no function', "a value must stand here")
        return Call(name.start_pos, _depth(*arguments), str(name), arguments)

    def number(self, children: list[Any]) -> Node:
        return Literal(children[0].start_pos, 1, _number(children[0]))

    def string(self, children: list[Any]) -> Node:
        return Literal(children[0].start_pos, 1, _string(children[0]))

    def paren(self, children: list[Any]) -> Node:
        return _node(children[0])

    closure = paren

    def array(self, children: list[Any]) -> Node:
        items = tuple(child for child in children if child is not None)
        return Array(items[0].at if items else 0, _depth(*items), items)

    def map(self, children: list[Any]) -> Node:
        pairs = tuple(child for child in children if child is not None)
        return Map(pairs[0][0].at if pairs else 0, _depth(*(node for pair in pairs for node in pair)), pairs)

    def pair(self, children: list[Any]) -> tuple[Node, Node]:
        return (children[0], children[1])

    def key(self, children: list[Any]) -> Node:
        (key,) = children
        if isinstance(key, Node):
            return key
        text = _string(key) if key.type == "STRING" else str(key)
        return Literal(key.start_pos, 1, text)

    def pointer(self, children: list[Any]) -> Node:
        return Pointer(children[0].start_pos, 1, children[0][1:])

    def pointer_member(self, children: list[Any]) -> Node:
        at = children[0].start_pos
        return Member(at, 2, Pointer(at, 1, ""), _constant(children[0]), is_optional=False)

    def pointer_method(self, children: list[Any]) -> Node:
        name, arguments = children
        at = name.start_pos
        return Method(at, _depth(*arguments), Pointer(at, 1, ""), str(name), arguments, is_optional=False)

    def arguments(self, children: list[Any]) -> tuple[Node, ...]:
        return tuple(child for child in children if child is not None)


class _Row:
    """Operands and operators in the order of the text, bound by precedence climbing."""

    def __init__(self, items: list[Any]) -> None:
        self._items = items
        self._next = 0

    def bind(self, least: int) -> Node:
        left = self._operand()
        before = ""
        while self._next < len(self._items):
            item = self._items[self._next]
            if isinstance(item, tuple):
                if least > 0:
                    break
                self._next += 1
                left, before = _piped(left, item), "|"
                continue
            negated, operator = _operator(item)
            binding = _BINDING[operator]
            if binding < least:
                break
            if before == "??" and operator != "??":
                raise _Syntax(item.start_pos, f'"{item}" is mixed with ??', "put one of the two into parentheses")
            self._next += 1
            before = operator
            left = self._ordered(left, item, operator) if operator in _ORDERED else self._infix(left, item, operator)
            if negated:
                left = Prefix(item.start_pos, _depth(left), "!", left)
        return left

    def _operand(self) -> Node:
        item = self._items[self._next]
        self._next += 1
        if isinstance(item, Node):
            return item
        operator = _SPELLING.get(item, str(item))
        operand = self.bind(_PREFIX_BINDING[operator])
        return Prefix(item.start_pos, _depth(operand), operator, operand)

    def _infix(self, left: Node, token: Any, operator: str) -> Node:
        right = self.bind(_BINDING[operator] + (operator != "**"))
        return Infix(token.start_pos, _depth(left, right), operator, left, right)

    def _ordered(self, left: Node, token: Any, operator: str) -> Node:
        """`a < b < c` means `a < b && b < c`."""
        right = self.bind(_BINDING[operator] + 1)
        whole: Node = Infix(token.start_pos, _depth(left, right), operator, left, right)
        while self._next < len(self._items) and (token := self._items[self._next]) in _ORDERED:
            self._next += 1
            left, right = right, self.bind(_BINDING[str(token)] + 1)
            link = Infix(token.start_pos, _depth(left, right), str(token), left, right)
            whole = Infix(token.start_pos, _depth(whole, link), "&&", whole, link)
        return whole


def _operator(token: Any) -> tuple[bool, str]:
    words = token.split()
    return len(words) == 2, _SPELLING.get(words[-1], words[-1])


def _piped(left: Node, item: tuple[Any, ...]) -> Node:
    _, name, arguments, *tails = item
    return _with_tails(Call(name.start_pos, _depth(left, *arguments), str(name), (left, *arguments)), tails)


def _with_tails(node: Node, tails: list[Any]) -> Node:
    has_stop = False
    for kind, *parts in tails:
        if kind == "slice":
            start, end = parts
            node = Slice(node.at, _depth(node, start, end), node, start, end)
            continue
        has_stop |= parts[-1]
        if kind == "member":
            at, key, is_optional = parts
            node = Member(at, _depth(node, key), node, key, is_optional)
        else:
            at, name, arguments, is_optional = parts
            node = Method(at, _depth(node, *arguments), node, name, arguments, is_optional)
    return Chain(node.at, _depth(node), node) if has_stop else node


def _depth(*parts: Node | None) -> int:
    deepest = max((part.depth for part in parts if part is not None), default=0) + 1
    if deepest > MAX_DEPTH:
        at = next(part.at for part in parts if part is not None)
        raise _Syntax(at, f"more than {MAX_DEPTH} parts stand inside each other", "split it with let")
    return deepest


def _node(child: Any) -> Node:
    assert isinstance(child, Node)
    return child


def _constant(token: Any) -> Literal:
    return Literal(token.start_pos, 1, str(token))


def _number(token: Any) -> int | float:
    text = token.replace("_", "")
    is_based = text[:2].lower() in ("0x", "0o", "0b")
    if not is_based and any(mark in text for mark in ".eE"):
        return float(text)
    value = int(text, 0) if is_based else _decimal(text)
    if value >= 1 << 63:
        raise _Syntax(token.start_pos, f"the number {text[:40]} does not fit into 64 bits", "write it with a decimal point")
    return value


def _decimal(text: str) -> int:
    return int(text) if len(text) < 25 else 1 << 63


def _string(token: Any) -> str:
    if token[0] == "`":
        return str(token[1:-1].replace("``", "`"))

    def replaced(match: re.Match[str]) -> str:
        for base, digits in ((16, match[1] or match[2] or match[3]), (8, match[4])):
            if digits and (code := int(digits, base)) < 0x110000 and not 0xD800 <= code < 0xE000:
                return chr(code)
        if match[5] in _SINGLE:
            return _SINGLE[match[5]]
        raise _Syntax(token.start_pos + match.start() + 1, f"unknown escape {match[0]}", "double the backslash for a plain one")

    return _ESCAPE.sub(replaced, token[1:-1])
