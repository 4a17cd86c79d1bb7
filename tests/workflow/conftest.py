"""The loop's harness on the path, and one world per test: at its end a full sweep must find nothing that was forgotten."""

import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(__file__)), "loop"))


@pytest.fixture
def world(tmp_path):
    from loop_harness import World

    made = World(tmp_path)
    yield made
    try:
        assert made.sweep_changes() == 0, "a sweep found something that was forgotten"
    finally:
        made.close()
