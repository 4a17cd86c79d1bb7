"""The world of the loop's tests, on the path here too, and the installed command in a home."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "loop"))
COMMAND = Path(sys.executable).with_name("lineclear")


class Result:
    """What a command left."""

    def __init__(self, done):
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr


@pytest.fixture
def plan(home):
    """`lineclear plan` against the test's home, in its clone unless `cwd` says otherwise."""

    def call(*words, cwd=None, command="plan"):
        env = {key: value for key, value in os.environ.items() if not key.startswith(("LINECLEAR_", "GIT_"))}
        env |= {"LINECLEAR_HOME": str(home.root), "PYTHONWARNINGS": "error"}
        where = {"cwd": cwd or home.work, "env": env, "timeout": 60}
        return Result(subprocess.run([COMMAND, command, *words], **where, capture_output=True, text=True, check=False))

    return call
