"""The loop's harness on the path, and one world per test."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(__file__)), "loop"))


@pytest.fixture
def world(tmp_path):
    from loop_harness import World

    made = World(tmp_path)
    yield made
    made.close()
