"""Whether the record is the one that was written: its chain from row to row, its segments, and what others remember of it.

It reads, tells, and never repairs. Whoever can write the database can also make a new chain, so the last word is with the heads
that have left it: in Git notes, and with whoever kept one.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from reconciler.store import read_journal
from reconciler.store.chain import START, Head, find_noted, link
from reconciler.views.clean import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from reconciler.home import Home
    from reconciler.store.read import Reader
    from reconciler.store.read_journal import Row

MOST = 20  # misfits that are told one by one
_DROPPED = b"journal.dropped"


class Witness(NamedTuple):
    """A head that somebody outside the database kept, and who."""

    head: Head
    who: str


class Misfit(NamedTuple):
    """One thing that does not fit: changed, inserted, missing, tail, rewritten or segment; the row's number, and the sentence."""

    kind: str
    row: int
    text: str


class Verdict(NamedTuple):
    """What came of a check. `misfits` are by row, the first MOST of `wrong`; `first` is 0 for a record without rows."""

    misfits: tuple[Misfit, ...]
    wrong: int
    first: int
    head: Head
    segments: int
    dropped: int
    agreed: int


def noted_heads(home: Home) -> tuple[list[Witness], str]:
    """The heads in the Git notes of the hosted repository, and what kept them from being read ('' if nothing did).

    Ask before the transaction of the check begins: a head is noted after its rows are on the disk.
    """
    from reconciler.errors import LineclearError
    from reconciler.source.notes import read_notes

    try:
        notes = read_notes(home.repository)
    except LineclearError as error:
        return [], str(error)
    heads = [(find_noted(text), commit) for commit, text in notes]
    return [Witness(head, f"the Git note of {commit[:12]}") for head, commit in heads if head is not None], ""


def check_chain(reader: Reader, witnesses: Iterable[Witness]) -> Verdict:
    """The whole record, row by row; inside the caller's transaction. Costs some microseconds a row."""
    walk = _Walk(read_journal.list_segments(reader), witnesses)
    for row, following in _with_next(read_journal.each_row(reader)):
        walk.take(row, following)
    walk.end()
    walk.compare_grants(read_journal.find_newest_grant(reader), read_journal.find_told_grant(reader))
    return walk.verdict()


def _with_next(rows: Iterator[Row]) -> Iterator[tuple[Row, Row | None]]:
    before = next(rows, None)
    while before is not None:
        row = next(rows, None)
        yield before, row
        before = row


class _Walk:
    """One pass over the rows in order. `hash` is None where the row before is not known."""

    def __init__(self, segments: list[Row], witnesses: Iterable[Witness]) -> None:
        self.segments = segments
        self.ends = {last: (number, head) for number, _, last, _, _, head, _, dropped in segments if dropped is None}
        self.gone = [segment for segment in segments if segment[7] is not None]
        self.witnesses: dict[int, list[Witness]] = {}
        for witness in witnesses:
            self.witnesses.setdefault(witness.head.seq, []).append(witness)
        self.misfits: list[Misfit] = []
        self.wrong = self.first = self.seq = self.agreed = 0
        self.shift = 0  # rows that were inserted so far: what follows them was renumbered
        self.hash: bytes | None = START
        self.base: bytes | None = None  # the hash that the first row is built on
        self.told = (0, "")  # what the record says of its dropped rows: up to which, and the hash of that one
        self._check_segments()

    def _misfit(self, kind: str, row: int, text: str) -> None:
        self.wrong += 1
        self.misfits = sorted([*self.misfits, Misfit(kind, row, text)], key=lambda found: found.row)[:MOST]

    def _check_segments(self) -> None:
        next_number, next_seq = 1, 1
        for segment in self.segments:
            number, first, last = segment[:3]
            if (number, first) != (next_number, next_seq) or (segment in self.gone and number > len(self.gone)):
                expected = f"segment {next_number} from row {next_seq}"
                self._misfit("segment", first, f"segment {number} begins with row {first}, and {expected} was to follow")
            next_number, next_seq = number + 1, last + 1

    # rows

    def take(self, row: Row, following: Row | None) -> None:
        """One row, with the one after it."""
        if self.first == 0:
            self._begin(row)
        own = row[0] - self.shift
        if own > self.seq + 1:
            self._misfit("missing", self.seq + 1, f"{_rows(self.seq + 1, own - 1)} missing")
            self.hash = None
        if self.hash is not None and not _fits(self.hash, own, row):
            if following is not None and _fits(self.hash, own, following):
                self._misfit("inserted", own, f"row {_name(row)} was inserted: what follows fits without it")
                self.shift += 1
                return
            other = f", or row {own - 1} was changed with its hash" if own > 1 else ""
            self._misfit("changed", own, f"row {_name(row)} does not fit: it was changed or inserted{other}")
        self.seq = own
        self.hash = row[8] if isinstance(row[8], bytes) and len(row[8]) == len(START) else None
        self._compare(own)
        if row[2] == _DROPPED:
            self.told = _told(row[7])

    def _begin(self, row: Row) -> None:
        self.first = row[0]
        number, last, head = (self.gone[-1][0], self.gone[-1][2], self.gone[-1][5]) if self.gone else (0, 0, START)
        self.seq, self.hash = last, head
        if self.first == last + 1:
            self.base = head
            self._compare(last)
        elif self.first <= last:
            self._misfit("segment", self.first, f"row {self.first} is there, and segment {number} says that it was dropped")
            self.seq, self.hash = self.first - 1, None

    def _compare(self, seq: int) -> None:
        """What others say of the row that was just taken."""
        number, head = self.ends.pop(seq, (0, self.hash))
        if head != self.hash:
            self._misfit("segment", seq, f"segment {number} was closed with another hash than row {seq} has")
        for witness in self.witnesses.pop(seq, ()):
            if witness.head.hash == self.hash:
                self.agreed += 1
            else:
                text = f"row {seq} is not the one that {witness.who} names: it, or what is before it, was written anew"
                self._misfit("rewritten", seq, text)

    # the end

    def end(self) -> None:
        """After the last row: what should be there and is not."""
        through, head = self.told
        if self.first > 1 and self.base is not None and (through, head) != (self.first - 1, self.base.hex()):
            says = f"it says so up to row {through}" if through else "it tells of none"
            text = f"{_rows(1, self.first - 1)} missing: the journal does not say that they were dropped by retention ({says})"
            self._misfit("missing", 1, text)
        if not self.first and self.gone:
            self._misfit("tail", self.gone[-1][2] + 1, "every row is missing: retention leaves one that tells what it dropped")
        for last, (number, _) in self.ends.items():
            if last > self.seq:
                self._misfit("tail", last, f"row {last} is missing: segment {number} ends with it, {self._ends()}")
        for seq, found in self.witnesses.items():
            if seq > self.seq:
                self._misfit("tail", seq, f"row {seq} is missing: {found[0].who} names it, {self._ends()}")

    def _ends(self) -> str:
        return f"and the journal ends with row {self.seq}" if self.first else "and the journal is empty"

    def compare_grants(self, newest: tuple[int, int] | None, told: tuple[int, bytes] | None) -> None:
        """The latest grant in the table of claims must be one that the record tells of, unless retention took its row."""
        if newest is None or (told is None and self.gone):
            return
        epoch = 0 if told is None else _detail(told[1]).get("epoch")
        if not isinstance(epoch, int) or newest[1] > epoch:
            text = f"no row tells of the grant of claim {newest[0]} with epoch {newest[1]}, {self._ends()}"
            self._misfit("tail", self.seq + 1, text)

    def verdict(self) -> Verdict:
        """All of it."""
        head = Head(self.seq, self.hash or START)
        return Verdict(tuple(self.misfits), self.wrong, self.first, head, len(self.segments), len(self.gone), self.agreed)


def _fits(before: bytes, seq: int, row: Row) -> bool:
    texts = row[1:8]
    return all(type(text) is bytearray for text in texts) and link(before, seq, texts) == row[8]


def _detail(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(bytes(text))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _told(text: bytes) -> tuple[int, str]:
    detail = _detail(text)
    through, head = detail.get("through"), detail.get("head")
    return (through, head) if isinstance(through, int) and isinstance(head, str) else (0, "")


def _name(row: Row) -> str:
    """A row for people: number, instant, kind, run."""
    at, kind, run = (bytes(row[i]).decode("utf-8", "replace") if isinstance(row[i], bytearray) else "?" for i in (1, 2, 5))
    return clean(f"{row[0]} ({' '.join(part for part in (at[:19] + 'Z', kind, run) if part)})")


def _rows(first: int, last: int) -> str:
    return f"row {first} is" if first == last else f"rows {first} to {last} are"


def verdict_object(verdict: Verdict, notes: list[str]) -> dict[str, Any]:
    """The outcome as plain data."""
    return {
        "kind": "JournalVerdict",
        "isSound": not verdict.wrong,
        "firstMisfit": verdict.misfits[0].row if verdict.misfits else None,
        "misfits": [misfit._asdict() for misfit in verdict.misfits],
        "misfitCount": verdict.wrong,
        "firstRow": verdict.first or None,
        "head": str(verdict.head),
        "segments": {"closed": verdict.segments, "dropped": verdict.dropped},
        "witnesses": verdict.agreed,
        "notes": notes,
    }


def verdict_text(verdict: Verdict, notes: list[str]) -> str:
    """The outcome for people: what does not fit by row, or what is sound."""
    lines = [f"{misfit.kind}: {misfit.text}" for misfit in verdict.misfits]
    if verdict.wrong > len(lines):
        lines.append(f"and {verdict.wrong - len(lines)} more")
    lines += [f"note: {note}" for note in notes]
    if verdict.wrong:
        places = "1 place does" if verdict.wrong == 1 else f"{verdict.wrong} places do"
        lines.append(f"{places} not fit, the first is row {verdict.misfits[0].row}; nothing was changed")
    elif not verdict.first:
        lines.append("sound: nothing is recorded yet")
    else:
        dropped = f"; {verdict.dropped} of {verdict.segments} segments were dropped by retention" if verdict.dropped else ""
        heads = f"; {verdict.agreed} heads kept elsewhere agree" if verdict.agreed != 1 else "; 1 head kept elsewhere agrees"
        lines.append(f"sound: rows {verdict.first} to {verdict.head.seq} fit{dropped}{heads}")
        lines.append(f"head: {verdict.head}")
    return "\n".join(lines) + "\n"
