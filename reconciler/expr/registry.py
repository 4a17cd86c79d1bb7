"""The functions that an expression may call: their names, what they take, and one sentence each.

Owns the table and the check of arguments against it; the functions themselves are pure and stand in the modules beside.
A function with `needs_meter` is given the meter first, because its work is not seen in the size of its result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from reconciler.expr.errors import Fault
from reconciler.expr.values import Meter, describe, is_number

_KINDS: Mapping[str, Callable[[Any], bool]] = {
    "any": lambda _: True,
    "string": lambda value: isinstance(value, str),
    "int": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": is_number,
    "bool": lambda value: isinstance(value, bool),
    "array": lambda value: isinstance(value, list),
    "map": lambda value: isinstance(value, Mapping),
    "time": lambda value: isinstance(value, datetime),
    "duration": lambda value: isinstance(value, timedelta),
    "text": lambda value: value is None or isinstance(value, str | int | float | bool),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """`takes` names the types of the arguments: `string int? any...`."""

    name: str
    takes: tuple[str, ...]
    gives: str
    body: Callable[..., Any]
    needs_meter: bool

    def call(self, arguments: list[Any], meter: Meter) -> Any:
        """The function's value, weighed. Raises Fault for arguments of the wrong number or type, and for what it refuses."""
        self.check_count(len(arguments))
        self._check_types(arguments)
        meter.spend(sum(_weight(argument) for argument in arguments))
        try:
            value = self.body(meter, *arguments) if self.needs_meter else self.body(*arguments)
        except (ValueError, ArithmeticError, LookupError, TypeError) as error:
            shown = ", ".join(describe(argument) for argument in arguments[:3])
            raise Fault(f"{self.name} cannot take {shown}: {str(error)[:120]}", "check the argument") from None
        return meter.weigh(value)

    def check_count(self, count: int) -> None:
        """Raises Fault if it takes another number of arguments."""
        least = sum(not kind.endswith(("?", "...")) for kind in self.takes)
        is_open = bool(self.takes) and self.takes[-1].endswith("...")
        if count < least or (count > len(self.takes) and not is_open):
            most = len(self.takes)
            wanted = f"{least} or more" if is_open else str(least) if least == most else f"{least} to {most}"
            raise Fault(f"{self.name} takes {wanted} arguments, not {count}", f"write {self.signature()}")

    def _check_types(self, arguments: list[Any]) -> None:
        for number, argument in enumerate(arguments):
            kind = self.takes[min(number, len(self.takes) - 1)].rstrip("?.")
            if not any(_KINDS[each](argument) for each in kind.split("|")):
                raise Fault(
                    f"{self.name}: argument {number + 1} is {describe(argument)}, not {kind}", f"write {self.signature()}"
                )

    def signature(self) -> str:
        """As the reference shows it: `split(string, string, int?)`."""
        return f"{self.name}({', '.join(self.takes)})"


def _weight(argument: Any) -> int:
    """What reading one argument costs: a function may look at all of it and give something small."""
    if isinstance(argument, str):
        return len(argument) // 64
    return len(argument) // 8 if isinstance(argument, list | dict) else 0


class Table(dict[str, Function]):
    """Functions by name; filled while the modules beside are imported, never afterwards."""

    def __init__(self, prefix: str = "") -> None:
        super().__init__()
        self._prefix = prefix

    def add(self, name: str, takes: str, body: Callable[..., Any], gives: str, *, needs_meter: bool = False) -> None:
        """Registers one function; `gives` is its sentence in the reference."""
        assert name not in self, name
        full = self._prefix + name
        self[name] = Function(name=full, takes=tuple(takes.split()), gives=gives, body=body, needs_meter=needs_meter)
