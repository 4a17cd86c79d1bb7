"""The head and the foot of a screen as lines: rooms, freshness, Git, place, keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tui.core import states
from tui.core.fmt import short_sha, span
from tui.core.model import DaemonKind, Freshness, FreshnessKind, Snapshot
from tui.keymap import ROOMS, Action
from tui.show.layout import Line, Span, spread, width_of

WIDE = 100
ARROW = "\u203a"


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What the head says beside the rooms. `frozen_at` is the clock time of a view that is held still, or ''."""

    room: str
    who: str
    read_only: bool
    frozen_at: str = ""


def head(frame: Frame, fresh: Freshness, snapshot: Snapshot | None, width: int) -> Line:
    """The first row: rooms, then how current it all is and who may do what."""
    is_wide = width >= WIDE
    left: list[Span] = [(" LINECLEAR ", "brand")] if is_wide else []
    for number, (room, title) in enumerate(ROOMS, 1):
        left.append((f" {number} {title} ", "tab-on" if room == frame.room else "tab"))
    right: list[Span] = []
    if frame.frozen_at:
        right.append((f"FROZEN {frame.frozen_at}  ", "blocked"))
    right += [*freshness(fresh, has_retry=is_wide), ("  ", "")]
    if is_wide and snapshot is not None:
        right += [*_git(snapshot), ("  ", "")]
    role = "RO" if frame.read_only else "RW"
    right.append((f"{role} {frame.who} " if is_wide else f"{role} ", "blocked" if frame.read_only else "muted"))
    return spread(tuple(left), tuple(right), width)


def freshness(fresh: Freshness, *, has_retry: bool) -> Line:
    """`● live 0.6s`, `◐ stale 14s`, `✗ offline 2m`."""
    shown = states.of(fresh.kind)
    seconds = fresh.age.total_seconds()
    old = f"{max(0.0, seconds):.1f}s" if seconds < 10 else span(fresh.age)
    again = f", retrying {span(fresh.retry_in)}" if has_retry and fresh.retry_in is not None else ""
    return ((f"{shown.glyph} {shown.word} {old}{again}", shown.style),)


def _git(snapshot: Snapshot) -> Line:
    sync = snapshot.sync
    if sync.applied is None:
        return (("git: nothing applied", "muted"),)
    sha = short_sha(sync.applied.sha)
    if sync.held is not None:
        return ((f"git {sha} ", "muted"), (f"▲ {short_sha(sync.held.sha)} held", "blocked"))
    if sync.bad_files:
        return ((f"git {sha} ", "muted"), (f"▲ {sync.bad_files} bad", "blocked"))
    return ((f"git {sha} ", "muted"), ("✓", "ok"))


def banner(fresh: Freshness, snapshot: Snapshot | None, *, read_only: bool) -> str:
    """What is wrong, and what to do; '' if nothing is."""
    del read_only
    if fresh.kind is FreshnessKind.OFFLINE:
        kept = "; what is shown is from then" if snapshot is not None else ""
        return f"OFFLINE: {fresh.cause or 'the state cannot be read'}{kept}. r tries at once."
    if snapshot is None:
        return ""
    if snapshot.daemon.kind is DaemonKind.NONE:
        return "No daemon is running: nothing starts, fires or syncs; holders go on. `lineclear up` starts it."
    if snapshot.daemon.kind is DaemonKind.HUNG:
        return f"The daemon does not work: {snapshot.daemon.text}. `lineclear down --force` ends it; steps go on."
    return ""


def crumbs(places: Sequence[str], counts: Line, width: int) -> Line:
    """The second row: where this is, and what there is."""
    left: list[Span] = [(" ", "")]
    for index, place in enumerate(places):
        left.append((f" {ARROW} {place}" if index else place, "strong" if index == len(places) - 1 else "muted"))
    return spread(tuple(left), (*counts, (" ", "")), width)


def keys(actions: Sequence[Action], why_not: Callable[[Action], str], width: int) -> Line:
    """The foot: as many keys as fit, in the table's order; `?` always."""
    found: list[Span] = []
    last = (("  ? ", "key"), ("Help ", "muted"))
    left = width - width_of(last)
    for action in actions:
        if not action.foot or action.id == "help":
            continue
        is_off = bool(why_not(action))
        pair: Line = ((f"  {action.shown} ", "off" if is_off else "key"), (action.title, "off" if is_off else "muted"))
        if width_of(pair) > left:
            continue
        left -= width_of(pair)
        found += pair
    return (*found, *last)
