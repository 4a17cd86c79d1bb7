"""The record's chain: every change of it is found and named, and nothing that the writer itself does breaks it."""

import json
import sqlite3
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.store.chain import START, Head, find_noted, link, noted, parse_head
from reconciler.store.read import Reader
from reconciler.store.writer import Writer
from reconciler.views.chain import MOST, Witness, check_chain, verdict_text

MIGRATIONS = Path(__file__).parents[2] / "reconciler" / "store" / "migrations"
SCHEMA = "".join(file.read_text() for file in sorted(MIGRATIONS.glob("*.sql")))
NOW = "2026-03-01T12:00:00.000000Z"
TEXTS = ("at", "kind", "actor", "namespace", "run", "subject", "detail_json")
ROW = f"seq, {', '.join(TEXTS)}, hash"


class Broken(Exception):
    """Something went wrong half way."""


def new_writer():
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.executescript(SCHEMA)
    return Writer(db)


def write(writer, *kinds):
    with writer.write(NOW):
        for kind in kinds:
            writer.journal(kind, namespace="default", run="ship", subject="default/Mutex/m", detail={"why": kind})


@pytest.fixture
def record():
    """A record of ten rows."""
    writer = new_writer()
    write(writer, *(f"k{number}" for number in range(1, 11)))
    yield writer
    writer.db.close()


def verdict(writer, *witnesses):
    return check_chain(Reader("", writer.db), [Witness(head, "a friend") for head in witnesses])


def misfits(writer, *witnesses):
    return [(found.kind, found.row) for found in verdict(writer, *witnesses).misfits]


def chain_anew(writer, first):
    """What somebody does who knows the form: every hash from a row on is computed again."""
    rows = writer.db.execute(f"SELECT {ROW} FROM journal ORDER BY seq").fetchall()
    before = START
    for seq, *texts, own in rows:
        linked = link(before, seq, [text.encode() for text in texts]) if seq >= first else own
        writer.db.execute("UPDATE journal SET hash = ? WHERE seq = ?", (linked, seq))
        before = linked


# the form ----------------------------------------------------------------------------------------------------------------


def test_a_rows_hash_is_that_of_the_documented_form(record):
    from hashlib import sha256

    before = bytes(32)
    for seq, *texts, own in record.db.execute(f"SELECT {ROW} FROM journal ORDER BY seq"):
        numbers = " ".join(str(number) for number in (seq, *(len(text.encode()) for text in texts)))
        before = sha256(before + f"{numbers}\n{''.join(texts)}".encode()).digest()
        assert own == before


def test_text_cannot_move_from_one_column_to_its_neighbour():
    texts = [b"a", b"b", b"", b"ns", b"run", b"", b"{}"]
    moved = [b"ab", b"", b"", b"ns", b"run", b"", b"{}"]
    assert link(START, 1, texts) != link(START, 1, moved)


def test_a_head_is_read_as_it_is_written():
    head = Head(12, bytes(range(32)))
    assert parse_head(str(head)) == head
    digits = "0" * 64
    for text in ("", "12", "12:", "12:zz", f"-1:{digits}", f"²:{digits}", f"1:{digits}0", "1:" + "g" * 64):
        assert parse_head(text) is None


def test_a_note_gives_its_head_back_even_cut_short_and_no_other_text_has_one():
    head = Head(812, bytes(32))
    text = noted(json.dumps({"subject": "x" * 500, "lines": []}), head)
    assert find_noted(text) == find_noted(text[:120]) == head
    assert json.loads(text) == {"journal": str(head), "subject": "x" * 500, "lines": []}
    assert [find_noted(other) for other in ("", "{}", '{"journal": 7}', '{"journal": "x"}', text[:60])] == [None] * 5


# what the writer does ----------------------------------------------------------------------------------------------------


def test_what_was_written_is_sound_and_the_head_vouches_for_it(record):
    found = verdict(record, record.head())
    assert (found.misfits, found.first, found.head, found.agreed) == ((), 1, record.head(), 1)
    assert verdict_text(found, []) == f"sound: rows 1 to 10 fit; 1 head kept elsewhere agrees\nhead: {record.head()}\n"


def test_an_empty_record_is_sound():
    writer = new_writer()
    assert verdict_text(verdict(writer), []) == "sound: nothing is recorded yet\n"
    writer.db.close()


@given(st.lists(st.sampled_from(["row", "part", "lost part", "lost transaction", "new process"]), max_size=25))
@settings(max_examples=150, deadline=None, derandomize=True, database=None)
def test_no_order_of_commits_rollbacks_and_restarts_breaks_the_chain(steps):
    writer = new_writer()
    for step in steps:
        if step == "new process":
            writer = Writer(writer.db)
        with suppress(Broken), writer.write(NOW):
            writer.journal("before")
            with suppress(Broken), writer.savepoint():
                writer.journal("inside")
                if step == "lost part":
                    raise Broken
            writer.journal("after")
            if step == "lost transaction":
                raise Broken
    assert verdict(writer).misfits == ()
    assert verdict(writer).head == writer.head()
    writer.db.close()


def test_a_row_that_another_hand_added_meanwhile_stops_nobody_and_is_named(record):
    record.db.execute(f"INSERT INTO journal ({ROW}) SELECT 11, {', '.join(TEXTS)}, hash FROM journal WHERE seq = 3")
    write(record, "k11", "k12")
    assert misfits(record) == [("changed", 11)]
    assert record.head().seq == 13


# what others do ----------------------------------------------------------------------------------------------------------

HOSTILE = st.text(st.characters(codec="utf-8"), max_size=12)


@given(
    rows=st.lists(st.tuples(HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE), min_size=1, max_size=8),
    which=st.integers(0, 10**6),
    mask=st.integers(1, 255),
)
@settings(max_examples=400, deadline=None, derandomize=True, database=None)
def test_any_single_byte_that_is_changed_is_found(rows, which, mask):
    writer = new_writer()
    with writer.write(NOW):
        for kind, namespace, run, subject, text in rows:
            writer.journal(kind, namespace=namespace, run=run, subject=subject, detail={"text": text})
    columns = (*TEXTS, "hash")
    cells = [
        (seq, name, bytes(cell), place)
        for seq, *row in writer.db.execute(f"SELECT seq, {', '.join(f'CAST({c} AS BLOB)' for c in columns)} FROM journal")
        for name, cell in zip(columns, row, strict=True)
        for place in range(len(cell))
    ]
    head = writer.head()
    seq, name, cell, place = cells[which % len(cells)]
    bent = cell[:place] + bytes([cell[place] ^ mask]) + cell[place + 1 :]
    kind = "BLOB" if name == "hash" else "TEXT"
    writer.db.execute(f"UPDATE journal SET {name} = CAST(? AS {kind}) WHERE seq = ?", (bent, seq))

    assert ("changed", seq) in misfits(writer, head)
    writer.db.close()


@given(first=st.integers(1, 10), count=st.integers(1, 10), kept=st.integers(1, 10))
@settings(max_examples=100, deadline=None, derandomize=True, database=None)
def test_any_stretch_that_is_removed_is_found(first, count, kept):
    writer = new_writer()
    write(writer, *(f"k{number}" for number in range(1, 11)))
    head = writer.head()
    writer.db.execute("DELETE FROM journal WHERE seq >= ? AND seq < ? AND seq <> ?", (first, first + count, kept))
    assert bool(misfits(writer, head)) == (writer.db.execute("SELECT count(*) FROM journal").fetchone()[0] < 10)
    writer.db.close()


def test_a_changed_row_is_named_with_what_it_says(record):
    record.db.execute("""UPDATE journal SET detail_json = '{"why": "no reason"}' WHERE seq = 4""")
    (found,) = verdict(record).misfits
    assert (found.kind, found.row) == ("changed", 4)
    assert found.text.startswith("row 4 (2026-03-01T12:00:00Z k4 ship) does not fit: it was changed or inserted")


def test_a_row_that_was_changed_with_its_hash_is_found_by_the_next_one(record):
    (row,) = record.db.execute(f"SELECT {ROW} FROM journal WHERE seq = 3").fetchall()
    record.db.execute("UPDATE journal SET actor = 'nobody' WHERE seq = 4")
    chained = record.db.execute(f"SELECT {', '.join(TEXTS)} FROM journal WHERE seq = 4").fetchone()
    record.db.execute("UPDATE journal SET hash = ? WHERE seq = 4", (link(row[8], 4, [text.encode() for text in chained]),))
    assert misfits(record) == [("changed", 5)]
    assert "row 4 was changed with its hash" in verdict(record).misfits[0].text


def test_rows_removed_from_the_middle_are_named(record):
    record.db.execute("DELETE FROM journal WHERE seq IN (4, 5, 6)")
    assert [found.text for found in verdict(record).misfits] == ["rows 4 to 6 are missing"]


def test_rows_removed_from_the_beginning_are_no_retention(record):
    record.db.execute("DELETE FROM journal WHERE seq <= 3")
    assert misfits(record) == [("missing", 1)]


def test_a_row_that_was_pushed_in_between_is_named_and_what_follows_is_not(record):
    record.db.execute("UPDATE journal SET seq = -seq WHERE seq >= 5")
    record.db.execute("UPDATE journal SET seq = 1 - seq WHERE seq < 0")
    record.db.execute(f"INSERT INTO journal ({ROW}) SELECT 5, {', '.join(TEXTS)}, hash FROM journal WHERE seq = 3")
    assert misfits(record) == [("inserted", 5)]
    assert record.db.execute("SELECT max(seq) FROM journal").fetchone() == (11,)


def test_a_tail_that_was_removed_is_missed_by_who_kept_a_head(record):
    head = record.head()
    record.db.execute("DELETE FROM journal WHERE seq > 7")
    assert misfits(record) == []
    assert misfits(record, head) == [("tail", 10)]
    text = "tail: row 10 is missing: a friend names it, and the journal ends with row 7"
    assert text in verdict_text(verdict(record, head), [])


def test_a_record_that_was_written_anew_as_a_whole_is_missed_by_who_kept_a_head(record):
    early, late = Head(2, record.db.execute("SELECT hash FROM journal WHERE seq = 2").fetchone()[0]), record.head()
    record.db.execute("UPDATE journal SET actor = 'somebody else' WHERE seq = 4")
    chain_anew(record, 4)
    assert misfits(record) == []
    assert misfits(record, early, late) == [("rewritten", 10)]
    assert verdict(record, early, late).agreed == 1


def test_a_head_of_another_journal_does_not_fit(record):
    assert misfits(record, Head(3, bytes(32))) == [("rewritten", 3)]


def test_text_that_is_no_text_any_more_is_told_and_ends_nothing(record):
    record.db.execute("UPDATE journal SET subject = CAST(x'ff00fe' AS TEXT), kind = CAST(x'ff' AS TEXT) WHERE seq = 2")
    assert misfits(record) == [("changed", 2)]


def test_a_record_full_of_misfits_is_told_in_short(record):
    write(record, *(f"more{number}" for number in range(100)))
    record.db.execute("UPDATE journal SET kind = 'x'")
    found = verdict(record)
    assert (found.wrong, [misfit.row for misfit in found.misfits]) == (110, list(range(1, MOST + 1)))
    assert f"and {110 - MOST} more\n" in verdict_text(found, [])
