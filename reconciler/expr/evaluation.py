"""Walks an expression's nodes and gives its value. Owns scopes, closures and the rescue of absent values by `??`.

It reads no clock and changes nothing outside itself; what it may cost is bounded by a Meter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from reconciler.expr import closures, operators
from reconciler.expr.calls import NOW, check_function, is_sprig
from reconciler.expr.errors import AbsentValue, ExpressionError, Fault, UnknownVariable, refuse
from reconciler.expr.functions import BUILTINS
from reconciler.expr.methods import call_method
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
from reconciler.expr.registry import Table
from reconciler.expr.sprig import SPRIG
from reconciler.expr.values import ABSENT, Meter, describe

CLOCK = "__now__"
_ENV = "$env"
# What an optional member leaves when its base is nil: the chain ends with nil.
_STOP = object()


class Scope:
    """What names and `#` mean at one place."""

    __slots__ = ("acc", "index", "item", "names")

    def __init__(self, names: Mapping[str, Any], item: Any = _STOP, index: int = 0, acc: Any = None) -> None:
        self.names = names
        self.item = item
        self.index = index
        self.acc = acc


class Evaluation:
    """One evaluation of one expression."""

    def __init__(self, source: str, env: Mapping[str, Any]) -> None:
        self._source = source
        self._env = env
        self.meter = Meter()

    def value(self, node: Node, scope: Scope) -> Any:
        """The value of one node. Raises ExpressionError, pointing at the node that refused."""
        try:
            self.meter.spend()
            found = self._by_kind[type(node)](self, node, scope)
        except Fault as fault:
            raise self._refuse(node, fault.why, fault.advice) from None
        if found is ABSENT:
            raise self._refuse(node, "it refers to an output that was never made", "give a default with ??", AbsentValue)
        return found

    def _refuse(self, node: Node, why: str, advice: str, kind: type[ExpressionError] = ExpressionError) -> ExpressionError:
        return refuse(self._source, node.at, why, advice, kind)

    def _soft(self, node: Node, scope: Scope) -> Any:
        """As `value`, for the left side of `??`: what is absent is nil, and so is a member of nil."""
        try:
            return self._reached(node, scope)
        except AbsentValue:
            if isinstance(node, Name | Member | Chain):
                return None
            raise

    def _reached(self, node: Node, scope: Scope) -> Any:
        match node:
            case Chain():
                return self._soft(node.inner, scope)
            case Member():
                base = self._soft(node.base, scope)
                return None if base is None else _present(operators.member(base, self.value(node.key, scope)))
            case Infix(operator="??"):
                left = self._soft(node.left, scope)
                return self._soft(node.right, scope) if left is None else left
            case Name():
                return _present(self._name(node, scope))
            case _:
                return self.value(node, scope)

    def _literal(self, node: Literal, _scope: Scope) -> Any:
        return node.value

    def _name(self, node: Name, scope: Scope) -> Any:
        if node.name in scope.names:
            return scope.names[node.name]
        if node.name == _ENV:
            return self._env
        if node.name != CLOCK and node.name in self._env:
            return self._env[node.name]
        raise self._unknown(node, [*scope.names, *self._env, _ENV])

    def _unknown(self, node: Name, known: list[str]) -> ExpressionError:
        import difflib

        close = difflib.get_close_matches(node.name[:100], [each for each in known if each != CLOCK], 1)
        listed = ", ".join(sorted(each for each in known if not each.startswith(("_", "$")))[:12])
        advice = f"did you mean {close[0]}?" if close else f"known here: {listed}" if listed else "put text in quotes"
        return self._refuse(node, f'there is no variable "{node.name}"', advice, UnknownVariable)

    def _pointer(self, node: Pointer, scope: Scope) -> Any:
        if scope.item is _STOP:
            raise Fault("# stands for an item, but there is none here", "use it inside map, filter and their like")
        if node.name not in ("", "acc", "index"):
            raise Fault(f"there is no #{node.name}", "there are #, #index and, in reduce, #acc")
        return {"": scope.item, "acc": scope.acc, "index": scope.index}[node.name]

    def _chain(self, node: Chain, scope: Scope) -> Any:
        found = self.value(node.inner, scope)
        return None if found is _STOP else found

    def _member(self, node: Member, scope: Scope) -> Any:
        base = self.value(node.base, scope)
        if base is _STOP or (node.is_optional and base is None):
            return _STOP
        key = self.value(node.key, scope)
        try:
            return operators.member(base, key)
        except Fault as fault:
            kind = UnknownVariable if base is None else ExpressionError
            raise self._refuse(node, fault.why, fault.advice, kind) from None

    def _slice(self, node: Slice, scope: Scope) -> Any:
        base = self.value(node.base, scope)
        if base is _STOP:
            return _STOP
        start, end = (None if part is None else self.value(part, scope) for part in (node.start, node.end))
        return self.meter.weigh(operators.part(base, start, end))

    def _method(self, node: Method, scope: Scope) -> Any:
        if is_sprig(node, scope.names):
            return self._function(node, SPRIG, scope)
        base = self.value(node.base, scope)
        if base is _STOP or (node.is_optional and base is None):
            return _STOP
        return call_method(base, node.name, [self.value(argument, scope) for argument in node.arguments], self.meter)

    def _prefix(self, node: Prefix, scope: Scope) -> Any:
        return self.meter.weigh(operators.prefix(node.operator, self.value(node.operand, scope)))

    def _infix(self, node: Infix, scope: Scope) -> Any:
        if node.operator == "??":
            return self._soft_or(node, scope)
        left = self.value(node.left, scope)
        if node.operator in ("&&", "||"):
            if operators.truth(left, node.operator) is (node.operator == "||"):
                return left
            return operators.truth(self.value(node.right, scope), node.operator)
        return operators.infix(node.operator, left, self.value(node.right, scope), self.meter)

    def _soft_or(self, node: Infix, scope: Scope) -> Any:
        left = self._soft(node.left, scope)
        return self.value(node.right, scope) if left is None else left

    def _call(self, node: Call, scope: Scope) -> Any:
        if node.name in closures.CLOSURES:
            return self.meter.weigh(closures.call(self, node, scope))
        return self._function(node, BUILTINS, scope)

    def _function(self, node: Call | Method, table: Table, scope: Scope) -> Any:
        check_function(node.name, len(node.arguments), table)
        if node.name == NOW:
            return self._now()
        return table[node.name].call([self.value(argument, scope) for argument in node.arguments], self.meter)

    def _now(self) -> Any:
        if CLOCK not in self._env:
            raise Fault("now() is not known here", "use a variable that holds an instant, such as workflow.creationTimestamp")
        return self._env[CLOCK]

    def _let(self, node: Let, scope: Scope) -> Any:
        value = self.value(node.value, scope)
        return self.value(node.body, Scope({**scope.names, node.name: value}, scope.item, scope.index, scope.acc))

    def _sequence(self, node: Sequence, scope: Scope) -> Any:
        self.value(node.first, scope)
        return self.value(node.rest, scope)

    def _conditional(self, node: Conditional, scope: Scope) -> Any:
        chosen = operators.truth(self.value(node.condition, scope), "?")
        return self.value(node.then if chosen else node.otherwise, scope)

    def _array(self, node: Array, scope: Scope) -> Any:
        return self.meter.weigh([self.value(item, scope) for item in node.items])

    def _map(self, node: Map, scope: Scope) -> Any:
        found = {}
        for key_node, value_node in node.pairs:
            key = self.value(key_node, scope)
            if not isinstance(key, str):
                raise Fault(f"a map's key is a string, not {describe(key)}", "convert it with string()")
            found[key] = self.value(value_node, scope)
        return self.meter.weigh(found)

    _by_kind: ClassVar[Mapping[type[Node], Callable[[Evaluation, Any, Scope], Any]]] = {
        Literal: _literal,
        Name: _name,
        Pointer: _pointer,
        Chain: _chain,
        Member: _member,
        Slice: _slice,
        Method: _method,
        Prefix: _prefix,
        Infix: _infix,
        Call: _call,
        Let: _let,
        Sequence: _sequence,
        Conditional: _conditional,
        Array: _array,
        Map: _map,
    }



def _present(found: Any) -> Any:
    return None if found is ABSENT else found
