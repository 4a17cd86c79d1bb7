"""Instants and spans as people read them. An instant is the store's text; `now_s`, seconds since 1970, is handed in.

`datetime` is not used: it would cost every command a millisecond.
"""

from __future__ import annotations

_DAY_S = 86400
_SPANS = ((_DAY_S * 365, "y"), (_DAY_S, "d"), (3600, "h"), (60, "m"), (1, "s"))
_TWO_UNITS_BELOW = 10
_LONGEST_S = 100 * 366 * _DAY_S


def epoch_s(instant: str) -> float:
    """Seconds since 1970 of an RFC 3339 text in UTC, such as the store writes; raises ValueError for anything else."""
    days = _days(int(instant[0:4]), int(instant[5:7]), int(instant[8:10]))
    return days * _DAY_S + int(instant[11:13]) * 3600 + int(instant[14:16]) * 60 + float(instant[17:].rstrip("Z"))


def instant_of(seconds: float) -> str:
    """The store's text for seconds since 1970."""
    whole = int(seconds // 1)
    micros = int((seconds - whole) * 1_000_000)
    days, rest = divmod(whole, _DAY_S)
    year, month, day = _civil(days)
    clock = f"{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"
    return f"{year:04d}-{month:02d}-{day:02d}T{clock}.{micros:06d}Z"


def whole_seconds(instant: str | None) -> str | None:
    """The instant as Kubernetes writes it: to the second; None stays None."""
    return None if instant is None else instant[:19] + "Z"


def span(seconds: float) -> str:
    """A span in its two largest units where the first is small: `45s`, `3m5s`, `12m`, `2d`; never negative."""
    left = max(0, int(seconds))
    for index, (size, unit) in enumerate(_SPANS):
        if left < size:
            continue
        count, rest = divmod(left, size)
        if count >= _TWO_UNITS_BELOW or index + 1 == len(_SPANS):
            return f"{count}{unit}"
        smaller, small_unit = _SPANS[index + 1]
        return f"{count}{unit}{rest // smaller}{small_unit}" if rest // smaller else f"{count}{unit}"
    return "0s"


def age(instant: str | None, now_s: float) -> str:
    """The span from an instant to now; '' for None."""
    return "" if instant is None else span(now_s - epoch_s(instant))


def duration(start: str | None, end: str | None, now_s: float) -> str:
    """The span from start to end, or to now while there is no end; '' before the start."""
    if start is None:
        return ""
    return span((now_s if end is None else epoch_s(end)) - epoch_s(start))


def parse_span(text: str) -> float:
    """Seconds of `90`, `45s`, `10m`, `1h30m`, `2d`; raises ValueError for anything else, and for more than a hundred years."""
    sizes = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": float(_DAY_S), "w": 7.0 * _DAY_S}
    total, number = 0.0, ""
    for character in text.strip():
        if character.isdecimal() or character == ".":
            number += character
        elif character in sizes and number:
            total, number = total + float(number) * sizes[character], ""
        else:
            raise ValueError(text)
    if number and total:
        raise ValueError(text)
    if not number and not total and "0" not in text:
        raise ValueError(text)
    total += float(number) if number else 0.0
    if total > _LONGEST_S:
        raise ValueError(text)
    return total


def _days(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 of a date in the Gregorian calendar, years from March so that a leap day is the last."""
    shifted = year - (month <= 2)
    era, year_of_era = divmod(shifted, 400)
    day_of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719468


def _civil(days: int) -> tuple[int, int, int]:
    """The date that `_days` counted."""
    era, day_of_era = divmod(days + 719468, 146097)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * day_of_year + 2) // 153
    month = shifted + (3 if shifted < 10 else -9)
    return (year_of_era + era * 400 + (month <= 2), month, day_of_year - (153 * shifted + 2) // 5 + 1)
