"""One world per test, and the modules beside the tests on the path."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))
sys.path.append(os.path.join(os.path.dirname(os.path.dirname(__file__)), "manifest"))  # swaps


@pytest.fixture
def world(tmp_path):
    from loop_harness import World

    made = World(tmp_path)
    yield made
    made.close()
