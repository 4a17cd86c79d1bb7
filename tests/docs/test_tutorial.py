"""The tutorial, typed for real: every command in it is run in its order, in one shell, and ends as the page says."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"
LIMIT_S = 90


def commands_of(page: Path) -> list[str]:
    """The commands of the page's console blocks; a line without a prompt goes on with the command above it."""
    blocks = re.findall(r"^```console\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    commands: list[str] = []
    for line in "".join(blocks).splitlines():
        if line.startswith("$ "):
            commands.append(line[2:])
        else:
            commands[-1] += f"\n{line}"
    return commands


@pytest.fixture
def shell_environ(tmp_path):
    environ = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    yield environ
    environ["LINECLEAR_HOME"] = str(tmp_path / "tutorial-home")
    if (tmp_path / "tutorial-home").exists():
        subprocess.run(["lineclear", "down", "--kill-steps"], env=environ, cwd=tmp_path, check=False, timeout=30)


def test_every_command_of_the_tutorial_does_what_the_page_says(tmp_path, shell_environ):
    commands = commands_of(PAGE)
    record = shlex.quote(str(tmp_path / "ran"))
    script = "\n".join(f"echo {number} >> {record}\n{command}" for number, command in enumerate(commands))
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env=shell_environ,
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    last = len((tmp_path / "ran").read_text(encoding="utf-8").split()) - 1
    assert done.returncode == 0, f"command {commands[last]!r} ended with {done.returncode}; the shell said:\n{done.stdout}"
    said = done.stdout
    assert "line clear" in said  # hello's log
    assert said.count("shipping 1.1") == 1  # seen in its log, once, and never retried
    assert "1.1 undone by hand" in said  # the reason, in the journal
    assert "shipping 1.3" in said  # the step that outlived its daemon
    assert not (tmp_path / "tutorial-home").exists()
