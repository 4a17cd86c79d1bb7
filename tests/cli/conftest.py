"""Fixtures of the command line's tests: homes with real rows, and the installed command as a process."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

_SPEC = importlib.util.spec_from_file_location("lineclear_test_rows", Path(__file__).with_name("rows.py"))
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
def new_rows():
    """Makes such a builder for a folder of the test's choice."""
    return _MODULE.Rows


@pytest.fixture
def minute():
    """Instants by minutes after noon."""
    return _MODULE.minute


class Result:
    """What a command left: exit code and both streams."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.code = done.returncode
        self.out = done.stdout
        self.err = done.stderr


@pytest.fixture
def lineclear(tmp_path):
    """Runs the installed command against the test's home."""

    def call(*words: str, stdin: str = "", **environ: str) -> Result:
        env = {key: value for key, value in os.environ.items() if not key.startswith("LINECLEAR_")}
        env |= {"LINECLEAR_HOME": str(tmp_path / "home"), "PYTHONWARNINGS": "error", **environ}
        return Result(
            subprocess.run(
                [COMMAND, *words], env=env, input=stdin, capture_output=True, text=True, timeout=60, check=False, errors="replace"
            )
        )

    return call
