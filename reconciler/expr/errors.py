"""Errors of this room: an expression that cannot be read or evaluated, with its column. Owns their wording and nothing else.

It stands on the command line's start-up path: standard library only, and no dataclasses.
"""

from __future__ import annotations

from reconciler.errors import ManifestError

_SHOWN = 120


class ExpressionError(ManifestError):
    """An expression cannot be read, or cannot be evaluated; `column` counts characters of its source from 1."""

    def __init__(self, message: str, column: int = 1) -> None:
        super().__init__(message)
        self.column = column

    def __reduce__(self) -> tuple[type[ExpressionError], tuple[str, int]]:
        return (type(self), (str(self), self.column))


class AbsentValue(ExpressionError):
    """An expression or a tag refers to an output that was never made: its producer was skipped or omitted."""


class UnknownVariable(ExpressionError):
    """An expression names a variable that does not exist here, or reaches into something that has no value yet."""


class Fault(Exception):
    """What an operator or a function refuses, before anybody knows the column. Never leaves this room."""

    def __init__(self, why: str, advice: str) -> None:
        super().__init__(why)
        self.why = why
        self.advice = advice


def refuse(source: str, offset: int, why: str, advice: str, kind: type[ExpressionError] = ExpressionError) -> ExpressionError:
    """The error in the house's grammar; `offset` counts from 0."""
    shown = source if len(source) <= _SHOWN else source[:_SHOWN] + "..."
    shown = shown.replace("\n", " ").replace("\r", " ")
    return kind(f'expression "{shown}": {why} at column {offset + 1}; {advice}', offset + 1)
