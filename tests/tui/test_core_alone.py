"""The core needs no screen, and a poll costs what changed."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import tui.core
from reconciler.home import Home
from tui.core.model import Snapshot, Unchanged
from tui.core.source import Source

MODULES = sorted(path.stem for path in Path(tui.core.__file__).parent.glob("*.py") if path.stem != "__init__")
ROWS = Path(__file__).parents[1] / "cli" / "rows.py"


@pytest.mark.parametrize("module", MODULES)
def test_no_module_of_the_core_loads_a_screen_or_the_write_side(module):
    """Each alone, in a process of its own: what another test has imported does not count."""
    script = (
        f"import tui.core.{module}, sys\n"
        "banned = ('textual', 'rich', 'git', 'watchfiles', 'sqlite_utils', 'reconciler.store.writer', 'reconciler.loop')\n"
        "print(*[name for name in banned if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == []


@pytest.fixture
def rows(tmp_path):
    spec = importlib.util.spec_from_file_location("lineclear_core_rows", ROWS)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    built = module.Rows(tmp_path / "home")
    yield built
    built.db.close()


def fill(rows, waiting, locks):
    rows.db.execute("BEGIN")
    ids = [rows.lock(f"lock-{number}") for number in range(locks)]
    for number in range(1, locks):
        holder = rows.run(f"holder-{number}", "Running")
        rows.claim(holder, "held", [ids[number]])
        rows.attempt(holder, rows.node(holder, ""))
    rows.claim(rows.run("holder-0", "Running"), "held", [ids[0]])
    for number in range(waiting):
        rows.claim(rows.run(f"run-{number}"), "waiting", [ids[0]])
    rows.db.execute("COMMIT")


def test_of_ten_thousand_waiting_runs_a_poll_sees_what_changed_and_an_unchanged_store_is_read_no_further(rows):
    fill(rows, 10_000, 500)
    source = Source(Home(str(rows.home)))
    last = source.poll()
    assert (len(last.runs), last.waiting_total) == (10_500, 10_000)
    rows.db.execute("UPDATE run SET message = message || 'x' WHERE id % 100 = 7")
    found = source.poll(last.revision)
    assert isinstance(found, Snapshot)
    assert sum(one != other for one, other in zip(last.runs, found.runs, strict=True)) == 105
    assert isinstance(source.poll(found.revision), Unchanged)
    source.close()
