"""Plain YAML scalars as Kubernetes reads them: YAML 1.1 words, Go's integer and float syntax, nothing else.

Owns the one question "what is this unquoted text?". Dates and times stay text; a number that JSON cannot hold is refused.
It must never look at where the scalar stands: Go decides the same way for keys, values and list items.
"""

from __future__ import annotations

import re

JsonScalar = str | int | float | bool | None

WORDS: dict[str, str | bool | None] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
}
NUMERIC_START = frozenset("+-.0123456789")

_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_TIMESTAMP = re.compile(r"\d{4}-\d{1,2}-\d{1,2}([Tt ].*)?")
_INTEGER = re.compile(r"[-+]?(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_OCTAL = re.compile(r"([-+]?)0([0-7]+)")
_LONGEST = 400


def resolve_plain(text: str) -> JsonScalar:
    """The JSON value of an unquoted scalar (Kubernetes: sigs.k8s.io/yaml over YAML 1.1).

    Raises ValueError, with what to do, for `.inf`, `.nan` and integers beyond 64 bits, which JSON cannot carry.
    """
    if text[:1] in NUMERIC_START:
        return resolve_number(text)
    return WORDS.get(text, text)


def resolve_number(text: str) -> JsonScalar:
    """As `resolve_plain`, for a text that starts with a sign, a digit or a dot."""
    if not text or len(text) > _LONGEST or _TIMESTAMP.fullmatch(text):
        return text
    if _NOT_FINITE.fullmatch(text):
        raise ValueError(f"{text} is not a number that JSON can hold; quote it")
    plain = text if text[0] == "." else text.replace("_", "")
    if _INTEGER.fullmatch(plain):
        return _integer(plain)
    if _FLOAT.fullmatch(plain):
        number = float(plain)
        return text if number in (float("inf"), float("-inf")) else number
    return text


def _integer(plain: str) -> int:
    octal = _OCTAL.fullmatch(plain)
    number = int(octal[1] + octal[2], 8) if octal else int(plain, 0)
    if not -(2**63) <= number < 2**64:
        raise ValueError(f"{plain[:40]} does not fit 64 bits; quote it")
    return number


def go_text(value: JsonScalar, *, style: str = "g") -> str:
    """A scalar as Go prints it into a string field: true, 3, 0.5, 1e+06; null is ''.

    `style` is Go's format verb: 'g' for plain string fields, 'f' (never an exponent) for parameter values, as
    Argo's AnyString does.
    """
    if value.__class__ is str:
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _go_float(value, style)
    return str(value)


def _go_float(value: float, style: str) -> str:
    mantissa, _, exponent = repr(value).partition("e")
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    if not digits:
        return sign + "0"
    if style == "g" and not -4 <= point - 1 < 6:
        return sign + _scientific(digits, point - 1)
    return sign + _positional(digits, point)


def _scientific(digits: str, exponent: int) -> str:
    tail = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{digits[0]}{tail}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def _positional(digits: str, point: int) -> str:
    if point <= 0:
        return "0." + "0" * -point + digits
    whole = digits[:point].ljust(point, "0")
    return whole + (f".{digits[point:]}" if len(digits) > point else "")
