"""The record of a real daemon: its heads in Git notes, a check that finds every tampering, a follower that misses nothing."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from reconciler.store.chain import START, find_noted, link
from reconciler.store.writer import open_writer

COMMAND = Path(sys.executable).with_name("lineclear")
TEXTS = "at, kind, actor, namespace, run, subject, detail_json"
NOW = "2026-03-01T12:00:00.000000Z"


def lineclear(home, *words):
    """(exit code, output) of the installed command."""
    env = home.env() | {"LINECLEAR_HOME": str(home.root)}
    done = subprocess.run([COMMAND, *words], env=env, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout or done.stderr


def edit(home, *statements):
    """Another hand in the database, while no daemon runs."""
    with closing(sqlite3.connect(home.root / "state.db", isolation_level=None)) as db:
        for statement in statements:
            db.execute(statement)


def note_of_head(home):
    sha = home.git("rev-parse", "HEAD").stdout.strip()
    return home.git("notes", "--ref=refs/notes/lineclear", "show", sha, cwd=home.bare).stdout


def noted(home):
    return home.rows("SELECT count(*) FROM revision WHERE noted = 0") == [(0,)]


@pytest.fixture
def told(home, book, until):
    """Two pushes with a run each, both noted, and a daemon that has ended."""
    home.daemon.start()
    for name in ("one", "two"):
        home.push({f"{name}.yaml": book.workflow(name, mutexes=["m"])})
        home.wait_phase(name)
        until(lambda: noted(home), "the note")
    home.daemon.stop()
    return home


def test_the_note_of_an_applied_commit_has_the_head_of_the_journal(told):
    head = find_noted(note_of_head(told))
    assert told.rows("SELECT hash FROM journal WHERE seq = ?", head.seq) == [(head.hash,)]
    (applied,) = told.rows("SELECT max(seq) FROM journal WHERE kind = 'revision.applied'")[0]
    assert head.seq >= applied
    code, out = lineclear(told, "journal", "verify")
    assert (code, out.splitlines()[0]) == (
        0,
        f"sound: rows 1 to {told.rows('SELECT max(seq) FROM journal')[0][0]} fit; 2 heads kept elsewhere agree",
    )


TAMPERINGS = {
    "changed": (["UPDATE journal SET actor = 'nobody' WHERE kind = 'run.finished' AND run = 'one'"], "changed: row "),
    "removed": (["DELETE FROM journal WHERE kind = 'run.finished' AND run = 'one'"], "missing: row "),
    "inserted": (
        [
            "UPDATE journal SET seq = -seq WHERE seq >= 3",
            "UPDATE journal SET seq = 1 - seq WHERE seq < 0",
            f"INSERT INTO journal (seq, {TEXTS}, hash) SELECT 3, {TEXTS}, hash FROM journal WHERE seq = 2",
        ],
        "inserted: row 3 (",
    ),
    "cut off": (
        ["DELETE FROM journal WHERE seq >= (SELECT max(seq) FROM journal WHERE kind = 'revision.applied')"],
        "and the journal ends with row ",
    ),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_a_tampered_journal_is_named_by_its_first_row(told, name):
    statements, said = TAMPERINGS[name]
    edit(told, *statements)
    code, out = lineclear(told, "journal", "verify")
    assert (code, said in out) == (1, True)
    shown = json.loads(lineclear(told, "journal", "verify", "-o", "json")[1])
    assert shown["isSound"] is False
    assert f"the first is row {shown['firstMisfit']}; nothing was changed" in out
    assert lineclear(told, "fsck")[0] == 1


def write_anew(home):
    """The work of somebody who knows the form: a row is bent and all hashes are computed again."""
    with closing(sqlite3.connect(home.root / "state.db", isolation_level=None)) as db:
        db.execute("UPDATE journal SET actor = 'nobody' WHERE seq = 2")
        before = START
        for seq, *texts in db.execute(f"SELECT seq, {TEXTS} FROM journal ORDER BY seq").fetchall():
            before = link(before, seq, [text.encode() for text in texts])
            db.execute("UPDATE journal SET hash = ? WHERE seq = ?", (before, seq))


def test_a_journal_that_was_written_anew_as_a_whole_is_betrayed_by_the_notes(told):
    write_anew(told)
    code, out = lineclear(told, "journal", "verify")
    assert code == 1
    assert out.count("rewritten: row ") == 2
    assert "is not the one that the Git note of " in out


def test_without_notes_a_head_that_was_kept_elsewhere_betrays_it(told):
    kept = lineclear(told, "journal", "verify")[1].splitlines()[-1].removeprefix("head: ")
    told.git("update-ref", "-d", "refs/notes/lineclear", cwd=told.bare)
    assert lineclear(told, "journal", "verify", "--head", kept)[0] == 0
    write_anew(told)
    code, out = lineclear(told, "journal", "verify")
    assert (code, out.splitlines()[0]) == (
        0,
        "note: no Git note names a head: a record that was written anew as a whole would not be noticed",
    )
    assert lineclear(told, "journal", "verify", "--head", kept)[0] == 1
    assert lineclear(told, "journal", "verify", "--head", "nonsense")[0] == 2


def test_nobody_can_push_a_note_and_everybody_can_fetch_them(told):
    told.git("fetch", "-q", "origin", "refs/notes/lineclear:refs/notes/lineclear")
    told.git("notes", "--ref=refs/notes/lineclear", "add", "-f", "-m", "forged", "HEAD")
    done = told.git("push", "origin", "refs/notes/lineclear", check=False)
    assert done.returncode == 1
    assert "hidden ref" in done.stderr
    assert "forged" not in note_of_head(told)


@pytest.mark.parametrize("point", ["before-commit:3", "after-commit:4", "before-note", "noted", "retention"])
def test_a_daemon_killed_half_way_leaves_a_chain_that_goes_on(home, book, until, point):
    home.daemon.launch(LINECLEAR_FAILPOINT=point)
    home.push({"one.yaml": book.workflow("one", mutexes=["m"])}, check=False)
    until(lambda: home.daemon.child.poll() is not None, "the crash")
    assert home.daemon.wait() == -signal.SIGKILL
    assert home.verify().misfits == ()
    home.daemon.start()
    home.wait_phase("one")
    until(lambda: noted(home), "the note")
    found = home.verify()
    assert (found.misfits, found.agreed) == ((), 1)


def fill(home, rows):
    """A long past, written while no daemon runs."""
    writer = open_writer(str(home.root / "state.db"))
    with writer.write(NOW):
        for number in range(rows):
            writer.journal("past", run="ship", detail={"number": number})
    writer.close()


class Following:
    """`journal --follow -o json` in the background."""

    def __init__(self, home, *words):
        env = home.env() | {"LINECLEAR_HOME": str(home.root)}
        self.process = subprocess.Popen([COMMAND, "journal", "-f", "-o", "json", *words], stdout=subprocess.PIPE, env=env)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.text = b""

    def rows(self):
        self.text += self.process.stdout.read() or b""
        return [json.loads(line) for line in self.text.splitlines(keepends=True) if line.endswith(b"\n")]

    def kinds(self, run):
        return [row["kind"] for row in self.rows() if row["run"] == run]

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def test_a_follower_misses_nothing_over_restarts_closed_segments_and_dropped_rows(home, book, until):
    home.daemon.start()
    home.daemon.stop()
    fill(home, 25_000)
    ((last,),) = home.rows("SELECT max(seq) FROM journal")
    with closing(Following(home, "--limit", "1")) as following:
        until(lambda: [row["seq"] for row in following.rows()] == [last], "the last row of the past")
        home.set_up("[journal]\nkeep_rows = 10000\n")
        home.daemon.start()
        until(lambda: home.rows("SELECT count(*) FROM segment WHERE dropped_at IS NOT NULL") == [(2,)], "the retention")
        home.push({"one.yaml": book.workflow("one", mutexes=["m"])})
        until(lambda: "run.finished" in following.kinds("one"), "the end of the first run")
        home.daemon.kill()
        home.daemon.start()
        home.push({"two.yaml": book.workflow("two", mutexes=["m"])})
        until(lambda: "run.finished" in following.kinds("two"), "the end of the second run")
        seqs = [row["seq"] for row in following.rows()]
        assert seqs == list(range(last, last + len(seqs)))
        assert "journal.dropped" in [row["kind"] for row in following.rows()]
        found = home.verify()
        assert (found.misfits, found.first, found.dropped) == ((), 20_001, 2)


def test_a_row_that_is_exported_can_be_checked_without_us(told):
    from hashlib import sha256

    rows = json.loads(lineclear(told, "journal", "-o", "json")[1])["items"]
    before = bytes(32)
    for row in rows:
        texts = [row["at"], row["kind"], row["actor"], row["namespace"], row["run"], row["subject"], json.dumps(row["detail"])]
        encoded = [text.encode() for text in texts]
        line = " ".join(str(number) for number in (row["seq"], *map(len, encoded))) + "\n"
        before = sha256(before + line.encode() + b"".join(encoded)).digest()
        assert row["hash"] == before.hex()
