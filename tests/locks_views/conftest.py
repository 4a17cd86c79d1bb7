"""Rows for the tests of what is said of locks: the builder of the command line's tests, and the installed command."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.store.read import open_read

sys.path.insert(0, str(Path(__file__).parents[1] / "loop"))

_PATH = Path(__file__).parents[1] / "cli" / "rows.py"
_SPEC = importlib.util.spec_from_file_location("lineclear_lock_history_rows", _PATH)
_MODULE = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_MODULE)
COMMAND = Path(sys.executable).with_name("lineclear")


@pytest.fixture
def rows(tmp_path):
    """A builder of rows in a new home."""
    built = _MODULE.Rows(tmp_path / "home")
    yield built
    built.db.close()


@pytest.fixture
def reader(rows):
    """The same home as commands and screens read it."""
    opened = open_read(str(rows.home / "state.db"))
    yield opened
    opened.close()


@pytest.fixture
def minute():
    """Instants by minutes after noon."""
    return _MODULE.minute


@pytest.fixture
def world(tmp_path):
    """The loop over a real store in the same home, at an instant that the test moves."""
    from loop_harness import World

    (tmp_path / "home").mkdir()
    made = World(tmp_path / "home")
    yield made
    made.close()


@pytest.fixture
def lineclear(tmp_path):
    """Runs the installed command against the test's home: (exit code, output, errors)."""

    def call(*words: str) -> tuple[int, str, str]:
        env = {key: value for key, value in os.environ.items() if not key.startswith("LINECLEAR_")}
        env |= {"LINECLEAR_HOME": str(tmp_path / "home"), "PYTHONWARNINGS": "error"}
        done = subprocess.run([COMMAND, *words], env=env, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout, done.stderr

    return call
