"""A database with bytes that are not what they were: clear words and exit code 5 from everybody, never a traceback."""

from __future__ import annotations

import random
import shutil
import sqlite3

import pytest

from reconciler.cli.dispatch import run_command
from reconciler.errors import LineclearError
from reconciler.store.writer import open_writer

COMMANDS = (["list"], ["locks"], ["fsck"], ["journal"], ["cron", "list"], ["get", "workflows", "-o", "json"], ["why", "run-3"])
SEEDS = 25


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A database that a home could have, whole."""
    root = tmp_path_factory.mktemp("whole")
    writer = open_writer(str(root / "state.db"))
    for number in range(200):
        with writer.write(f"2026-03-01T12:{number // 60:02}:{number % 60:02}.000000Z"):
            writer.journal("run.created", namespace="default", run=f"run-{number}", detail={"text": "x" * 100})
    with writer.write("2026-03-01T13:00:00.000000Z"):
        writer.set_meta("boot_id", "boot")
        writer.db.execute("INSERT INTO spec (digest, spec_json) VALUES ('d', '{}')")
        for number in range(20):
            writer.db.execute(
                "INSERT INTO run (uid, namespace, name, phase, queue_order, spec_digest, origin, created_at)"
                " VALUES (?1, 'default', ?1, 'Pending', ?2, 'd', 'submit', '2026-03-01T12:00:00.000000Z')",
                (f"run-{number}", number),
            )
    writer.close()
    return root


def damage(root, seed):
    path = root / "state.db"
    data = bytearray(path.read_bytes())
    dice = random.Random(seed)
    for _ in range(40):
        data[dice.randrange(100, len(data))] ^= 1 << dice.randrange(8)
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_flipped_bytes_are_told_by_every_reader_and_by_the_daemon(whole, tmp_path, seed, capsys):
    root = tmp_path / "home"
    shutil.copytree(whole, root)
    damage(root, seed)
    for words in COMMANDS:
        code = run_command(["--home", str(root), *words])
        said = capsys.readouterr().err
        assert code in (0, 1, 3, 5), (words, said)
        assert "Traceback" not in said
        if code == 5:
            assert "damaged" in said or "could not read" in said
    refused = []
    try:
        open_writer(str(root / "state.db")).close()
    except LineclearError as error:
        refused.append((error.exit_code, "damaged" in str(error)))
    assert refused in ([], [(5, True)])


def test_a_file_whose_structure_is_broken_is_not_served(whole, tmp_path):
    root = tmp_path / "home"
    shutil.copytree(whole, root)
    path = root / "state.db"
    with sqlite3.connect(path) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'journal'").fetchone()
    db.close()
    data = bytearray(path.read_bytes())
    data[(page - 1) * 2048 + 8 : (page - 1) * 2048 + 40] = bytes(32)
    path.write_bytes(bytes(data))
    with pytest.raises(LineclearError, match=r"the database is damaged: .*; nothing was started or changed"):
        open_writer(str(path))
