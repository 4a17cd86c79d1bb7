"""The source as rows and lines: what was applied, what is held, which files are refused and why."""

from __future__ import annotations

from datetime import datetime

from tui.core import states
from tui.core.fmt import age, clock, count, short_sha
from tui.core.model import CommitRow, Finding, GitDetail, Snapshot
from tui.show.layout import BLANK, Column, Line, Span
from tui.show.words import NONE, field, fields, heading

COLUMNS = (
    Column(key="state", title="STATE", width=12),
    Column(key="sha", title="COMMIT", width=7),
    Column(key="age", title="SEEN", width=6, right=True),
    Column(key="author", title="AUTHOR", width=10, flex=1, drop=2),
    Column(key="subject", title="SUBJECT", width=20, flex=4),
    Column(key="outcome", title="BROUGHT", width=12, flex=3, drop=1),
)
EMPTY: tuple[Line, ...] = (
    ((" No revision has been seen.", "strong"),),
    ((" Push the branch to the home's repository; `lineclear sync` says where it is.", "muted"),),
)


def key_of(row: CommitRow) -> str:
    """A revision's identity on the list."""
    return f"{row.id}"


def state_of(row: CommitRow) -> Span:
    """Its state with a glyph."""
    shown = states.of_revision(row.state)
    return (f"{shown.glyph} {shown.word}", shown.style)


def cells(row: CommitRow, now: datetime) -> tuple[Span, ...]:
    """One for each of COLUMNS."""
    quiet = "muted" if row.state == "superseded" else ""
    return (
        state_of(row),
        (short_sha(row.sha), quiet or "strong"),
        (age(row.seen_at, now), quiet),
        (row.author, "muted"),
        (row.subject, quiet),
        (row.outcome or NONE, "muted"),
    )


def counts(snapshot: Snapshot, now: datetime, *, wide: bool) -> Line:
    """What is applied, what is held, what is refused."""
    sync, found = snapshot.sync, []
    if sync.held is not None:
        found.append((f"▲ {short_sha(sync.held.sha)} held   ", "blocked"))
    if sync.bad_files:
        found.append((f"▲ {count(sync.bad_files, 'file')} refused   ", "blocked"))
    if sync.applied is not None and wide:
        found.append((f"applied {short_sha(sync.applied.sha)} {age(sync.applied.applied_at, now)} ago", "muted"))
    return tuple(found)


def commit_lines(row: CommitRow, now: datetime, width: int) -> tuple[Line, ...]:
    """One revision in the pane beside the list."""
    found: list[Line] = [
        ((" ", ""), state_of(row), (f"   {row.sha[:12]}", "strong")),
        BLANK,
        *fields("subject", row.subject, width),
        *fields("author", row.author, width),
        field("seen", (clock(row.seen_at, now), "")),
        field("applied", (clock(row.applied_at, now), "")),
    ]
    if row.outcome:
        found += fields("brought", row.outcome, width)
    if row.message:
        found += fields("says", row.message, width, "blocked" if row.state == "held" else "")
    if row.state == "held":
        found += fields("you can", f"lineclear sync approve {short_sha(row.sha)}", width, "key")
    return tuple(found)


def finding_lines(detail: GitDetail | None, width: int) -> tuple[Line, ...]:
    """What is wrong with files at the head; each with its place."""
    if detail is None:
        return ()
    if not detail.findings:
        return (heading("FILES"), ((f" {count(len(detail.definitions), 'definition')} live; no file is refused.", "muted"),))
    found: list[Line] = [heading("REFUSED FILES", count(detail.sync.bad_files, "file"))]
    for finding in detail.findings:
        found += _finding(finding, width)
    return tuple(found)


def _finding(finding: Finding, width: int) -> list[Line]:
    place = f"{finding.path}:{finding.line}:{finding.column}" if finding.line else finding.path
    look = "stuck" if finding.severity == "error" else "blocked"
    found: list[Line] = [((f" {place}  ", "strong"), (f"{finding.severity} {finding.rule}", look))]
    return [*found, *fields("", finding.message, width, pad=2)]
