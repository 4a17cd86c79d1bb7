"""Which folders of runs may be removed: those of runs that this database made and has removed."""

import threading

from reconciler.store.lookup import read_forgotten_runs
from reconciler.store.writer import open_writer


def test_only_folders_of_runs_that_this_database_made_and_removed_are_forgotten(tmp_path):
    path = str(tmp_path / "state.db")
    writer = open_writer(path)
    assert read_forgotten_runs(path, ["1"]) == []
    with writer.write("2026-03-01T12:00:00.000000Z"):
        writer.db.execute("INSERT INTO spec (digest, spec_json) VALUES ('d', '{}')")
        for run in (1, 2):
            writer.db.execute(
                "INSERT INTO run (id, uid, namespace, name, phase, queue_order, spec_digest, origin, created_at)"
                " VALUES (?, 'u', 'default', ?, 'Pending', ?, 'd', 'submit', '')",
                (run, f"r{run}", run),
            )
        writer.db.execute("DELETE FROM run WHERE id = 1")
    writer.close()
    assert read_forgotten_runs(path, ["1", "2", "3", "notes"]) == ["1"]


def test_the_folder_of_a_run_that_is_being_made_is_not_forgotten(tmp_path):
    path = str(tmp_path / "state.db")
    writer = open_writer(path)
    with writer.write("2026-03-01T12:00:00.000000Z"):
        writer.db.execute("INSERT INTO spec (digest, spec_json) VALUES ('d', '{}')")
    found, is_over = [], threading.Event()

    def look():
        while not is_over.is_set():
            found.extend(read_forgotten_runs(path, [str(run) for run in range(1, 300)]))

    looking = threading.Thread(target=look)
    looking.start()
    for run in range(1, 300):
        with writer.write("2026-03-01T12:00:00.000000Z"):
            writer.db.execute(
                "INSERT INTO run (id, uid, namespace, name, phase, queue_order, spec_digest, origin, created_at)"
                " VALUES (?, 'u', 'default', ?, 'Pending', ?, 'd', 'submit', '')",
                (run, f"r{run}", run),
            )
    is_over.set()
    looking.join()
    writer.close()
    assert found == []
