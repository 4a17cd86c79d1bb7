"""Rows for the views' tests: the same builder as the command line's tests use."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from reconciler.store.read import open_read

_PATH = Path(__file__).parents[1] / "cli" / "rows.py"
_SPEC = importlib.util.spec_from_file_location("lineclear_view_rows", _PATH)
_MODULE = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_MODULE)


@pytest.fixture
def rows(tmp_path):
    built = _MODULE.Rows(tmp_path / "home")
    yield built
    built.db.close()


@pytest.fixture
def reader(rows):
    opened = open_read(str(rows.home / "state.db"))
    yield opened
    opened.close()


@pytest.fixture
def minute():
    return _MODULE.minute
