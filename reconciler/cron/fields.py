"""The five fields of a schedule: text to sets of numbers. Knows the grammar; never a date, a zone or an instant."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldKind:
    """One of the five places in a schedule: what it is called, what it may hold, which names stand for numbers."""

    name: str
    lowest: int
    highest: int
    names: tuple[str, ...] = ()
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldValue:
    """The numbers a field stands for. `is_star`: it leaves everything open, which matters for the two day fields."""

    numbers: frozenset[int] = field(default_factory=frozenset)
    is_star: bool = False


MINUTE = FieldKind(name="minute", lowest=0, highest=59)
HOUR = FieldKind(name="hour", lowest=0, highest=23)
DAY_OF_MONTH = FieldKind(name="day of month", lowest=1, highest=31)
MONTH = FieldKind(
    name="month",
    lowest=1,
    highest=12,
    names=("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
)
DAY_OF_WEEK = FieldKind(
    name="day of week",
    lowest=0,
    highest=6,
    names=("sun", "mon", "tue", "wed", "thu", "fri", "sat"),
    hint="; Sunday is 0",
)

_LONGEST_NUMBER = 9  # digits; keeps int() cheap and the message short
_STARS = ("*", "?")


def parse_field(text: str, kind: FieldKind) -> FieldValue:
    """The numbers that `text` stands for: a list of `*`, `?`, N, N-M, each with an optional /step; N/step runs to the end.

    Raises ValueError with a clause that names the field and the value seen.
    """
    items = [_parse_item(item, kind) for item in text.split(",")]
    return FieldValue(
        numbers=frozenset().union(*(item.numbers for item in items)),
        is_star=any(item.is_star for item in items),
    )


def _parse_item(text: str, kind: FieldKind) -> FieldValue:
    if not text:
        raise ValueError(f"{kind.name} has an empty list item")
    span, slash, step_text = text.partition("/")
    step = _parse_step(step_text, kind) if slash else 1
    if span in _STARS:
        # robfig/cron: a star with a real step is a restriction, so it no longer leaves the other day field to decide
        return FieldValue(numbers=frozenset(range(kind.lowest, kind.highest + 1, step)), is_star=step == 1)
    low_text, dash, high_text = span.partition("-")
    low = _parse_number(low_text or span, kind)
    open_end = kind.highest if slash else low
    high = _parse_number(high_text or span, kind) if dash else open_end
    if low > high:
        raise ValueError(f"{kind.name} range {span} runs backwards")
    return FieldValue(numbers=frozenset(range(low, high + 1, step)))


def _parse_step(text: str, kind: FieldKind) -> int:
    if not _is_number(text):
        raise ValueError(f'{kind.name} step "{text}" is not a number')
    if int(text) == 0:
        raise ValueError(f"{kind.name} step 0 is not above 0")
    return int(text)


def _parse_number(text: str, kind: FieldKind) -> int:
    if text.lower() in kind.names:
        return kind.names.index(text.lower()) + kind.lowest
    if not _is_number(text):
        raise ValueError(f'{kind.name} "{text}" is not a number' + (" or a name" if kind.names else ""))
    number = int(text)
    if not kind.lowest <= number <= kind.highest:
        raise ValueError(f"{kind.name} {number} is not in {kind.lowest}-{kind.highest}{kind.hint}")
    return number


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER
