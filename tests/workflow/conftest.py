"""The loop's harness on the path, and one world per test: after every tick a full sweep must find nothing that was forgotten."""

import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(__file__)), "loop"))
MOST_NODES = 25  # of larger worlds only the end is looked at


@pytest.fixture
def world(tmp_path):
    from loop_harness import World

    class Swept(World):
        def tick(self, seconds=0):
            super().tick(seconds)
            if self.rows("SELECT count(*) FROM node")[0][0] <= MOST_NODES:
                assert self.sweep_changes() == 0, "a sweep found something that was forgotten"

    made = Swept(tmp_path)
    try:
        yield made
        assert made.sweep_changes() == 0, "a sweep found something that was forgotten"
    finally:
        made.close()
