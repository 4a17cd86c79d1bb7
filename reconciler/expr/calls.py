"""Whether the functions that an expression calls exist and take so many arguments, told before anything is evaluated.

Owns that check and the advice for a name that is none. It never looks at a value.
"""

from __future__ import annotations

from collections.abc import Container

from reconciler.expr.closures import CLOSURES
from reconciler.expr.closures import check_count as check_closure
from reconciler.expr.errors import Fault, refuse
from reconciler.expr.functions import BUILTINS
from reconciler.expr.methods import METHODS, check_method
from reconciler.expr.nodes import Call, Let, Method, Name, Node, children_of
from reconciler.expr.registry import Table
from reconciler.expr.sprig import SPRIG

NOW = "now"


def check_calls(source: str, node: Node) -> None:
    """Raises ExpressionError, pointing at the call, for a function that does not exist or takes another number of arguments."""
    _check(source, node, frozenset())


def _check(source: str, node: Node, own: frozenset[str]) -> None:
    try:
        if isinstance(node, Call):
            check_function(node.name, len(node.arguments), BUILTINS)
        elif isinstance(node, Method):
            if is_sprig(node, own):
                check_function(node.name, len(node.arguments), SPRIG)
            else:
                check_method(node.name, len(node.arguments))
    except Fault as fault:
        raise refuse(source, node.at, fault.why, fault.advice) from None
    for child in children_of(node):
        _check(source, child, own | {node.name} if isinstance(node, Let) and child is node.body else own)


def is_sprig(node: Method, own: Container[str]) -> bool:
    """Whether what looks like a method is a function of sprig's; `own` are the names that the expression gives itself."""
    return isinstance(node.base, Name) and node.base.name == "sprig" and "sprig" not in own


def check_function(name: str, count: int, table: Table) -> None:
    """Raises Fault if the table has no such function, or it takes another number of arguments."""
    if name == NOW:
        if count:
            raise Fault(f"now takes 0 arguments, not {count}", "write now()")
    elif table is BUILTINS and name in CLOSURES:
        check_closure(name, count)
    elif name in table:
        table[name].check_count(count)
    else:
        raise no_function(name, table)


def no_function(name: str, table: Table) -> Fault:
    """The fault of a call of what is none, with the nearest name, or what else to do."""
    from reconciler.manifest.reading import find_near

    why = f'there is no function "{name}"'
    other, prefix = (SPRIG, "sprig.") if table is BUILTINS else (BUILTINS, "")
    if name in other:
        return Fault(why, f"write {prefix}{name}")
    if name in {each for methods in METHODS.values() for each in methods}:
        return Fault(why, f"it is a method: write it behind an instant or a duration, as in now().{name}(...)")
    near = find_near(name[:100], [*table, NOW, *(CLOSURES if table is BUILTINS else ())])
    if near:
        return Fault(why, f"did you mean {near}?")
    if table is SPRIG:
        return Fault(why, "only those of sprig are here that give the same for the same arguments; let a step compute it")
    return Fault(why, "let a step compute it")
