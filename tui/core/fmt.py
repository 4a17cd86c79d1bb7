"""Text for cells: what others wrote made harmless, widths as terminals count them, spans of time. It asks no clock."""

from __future__ import annotations

import unicodedata
from datetime import datetime, timedelta
from functools import lru_cache

from reconciler.views.clean import clean as _visible

_DAY_S = 86400
LINE_LIMIT = 4000
_TAB = 8
_ELLIPSIS = "…"
_JOINED = ("\u200d", "\ufe0f", "\ufe0e")


def clean(text: str, limit: int = LINE_LIMIT) -> str:
    r"""The text on one line and harmless: its first `limit` characters, everything that steers a terminal shown as text.

    Tabs become one space and line ends ` ⏎ `; C0, C1, ESC and bidirectional controls become escapes such as `\x1b`.
    """
    if len(text) > limit:
        text = text[:limit] + _ELLIPSIS
    if text.isprintable():
        return text
    return _visible(text.replace("\r\n", "\n").strip("\n").replace("\n", " ⏎ ").replace("\t", " "))


def clean_log(line: str, limit: int = LINE_LIMIT) -> str:
    """As `clean` for a line of a log: tabs reach to the next multiple of eight, colours and other escapes of it are left out."""
    if len(line) > limit:
        line = line[:limit] + _ELLIPSIS
    if line.isprintable():
        return line
    return _visible(_plain(line).rstrip("\r").expandtabs(_TAB))


def _plain(line: str) -> str:
    """The line without its colour sequences (ESC [ ... m); anything else that begins with ESC stays and is shown."""
    parts = line.split("\x1b[")
    found = [parts[0]]
    for part in parts[1:]:
        body = part.lstrip("0123456789;:")
        found.append(body[1:] if body.startswith(("m", "K")) else "\x1b[" + part)
    return "".join(found)


def width(text: str) -> int:
    """How many cells a terminal gives the text; it must be clean."""
    return len(text) if text.isascii() else sum(map(_cells, text))


@lru_cache(4096)
def _cells(character: str) -> int:
    if character in _JOINED or unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def cut(text: str, cells: int) -> str:
    """At most `cells` cells of the text's start, the last one `…` if something is missing."""
    if width(text) <= cells:
        return text
    return _start(text, cells - 1) + _ELLIPSIS if cells > 0 else ""


def middle(text: str, cells: int) -> str:
    """The text in at most `cells` cells, shortened in its middle: names differ at both ends."""
    if width(text) <= cells:
        return text
    if cells < 5:
        return cut(text, cells)
    tail = (cells - 1) // 2
    return _start(text, cells - 1 - tail) + _ELLIPSIS + _start(text[::-1], tail)[::-1]


def pad(text: str, cells: int, *, right: bool = False, shorten: str = "end") -> str:
    """The text in exactly `cells` cells; too long a one is cut at its end, or in its `middle`."""
    shown = middle(text, cells) if shorten == "middle" else cut(text, cells)
    gap = " " * (cells - width(shown))
    return gap + shown if right else shown + gap


def _start(text: str, cells: int) -> str:
    used = 0
    for index, character in enumerate(text):
        used += _cells(character)
        if used > cells:
            return text[:index]
    return text


def span(length: timedelta) -> str:
    """`8s`, `4m12s`, `4h12m`, `2d3h`, `400d`: two units where the first alone would be coarse; never negative."""
    seconds = max(0, int(length.total_seconds()))
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // _DAY_S
    if days:
        return f"{days}d{hours % 24}h" if days < 10 and hours % 24 else f"{days}d"
    if hours:
        return f"{hours}h{minutes % 60:02d}m"
    return f"{minutes}m{seconds % 60:02d}s" if minutes else f"{seconds}s"


def age(since: datetime | None, now: datetime) -> str:
    """The span from an instant to now; `—` for None."""
    return "—" if since is None else span(now - since)


def until(instant: datetime | None, now: datetime) -> str:
    """`in 4m12s`, `due`, or `—` for None."""
    if instant is None:
        return "—"
    return f"in {span(instant - now)}" if instant > now else "due"


def took(start: datetime | None, end: datetime | None, now: datetime) -> str:
    """The span from start to end, or to now while there is no end; '' before the start."""
    return "" if start is None else span((end or now) - start)


def clock(instant: datetime | None, now: datetime) -> str:
    """`14:03:07`, with the date before it if that is another than now's; `—` for None. In the zone of `now`."""
    if instant is None:
        return "—"
    local = instant.astimezone(now.tzinfo)
    return f"{local:%H:%M:%S}" if local.date() == now.date() else f"{local:%m-%d %H:%M:%S}"


def units(held: int, capacity: int | None) -> str:
    """`1/4`; `?` for a limit that was never read."""
    return f"{held}/{'?' if capacity is None else capacity}"


def count(number: int, noun: str) -> str:
    """`1 run`, `1,234 runs`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def short_sha(sha: str) -> str:
    """A commit as people name it; '' for none."""
    return sha[:7]
