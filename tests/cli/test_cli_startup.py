"""What a command's start may cost: which modules it imports. Times are measured by the bench, names are checked here."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

FORBIDDEN = {
    "argparse", "asyncio", "dataclasses", "datetime", "enum", "git", "inspect", "json", "logging", "pathlib", "re", "ruamel",
    "socket", "sqlite3", "sqlite_utils", "subprocess", "textual", "threading", "tomllib", "typing", "urllib", "watchfiles",
}  # fmt: skip
PRINT_MODULES = """
import sys
from reconciler.__main__ import main
sys.argv[0] = "lineclear"
code = main()
print(" ".join(sorted(sys.modules)), file=sys.stderr)
sys.exit(code)
"""


def modules_after(home, *words):
    env = {key: value for key, value in os.environ.items() if not key.startswith("LINECLEAR_")}
    done = subprocess.run(
        [sys.executable, "-c", PRINT_MODULES, *words],
        env=env | {"LINECLEAR_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stderr.splitlines()[-1].split())


@pytest.mark.parametrize(
    "words", [["--version"], ["--help"], ["locks"], ["list"], ["get", "workflows"], ["list", "-A", "--limit", "5"]]
)
def test_a_reading_command_imports_nothing_heavy(rows, words):
    lock = rows.lock("m")
    rows.claim(rows.run("holder", "Running"), "held", [lock])
    rows.claim(rows.run("waiter"), "waiting", [lock])
    assert modules_after(rows.home, *words) & FORBIDDEN == set()


def test_the_version_is_answered_without_the_command_table_or_the_store(tmp_path):
    found = modules_after(tmp_path, "--version")
    assert not {name for name in found if name.startswith("reconciler.cli") or name == "_sqlite3"}


def test_only_the_chosen_commands_module_is_imported(rows):
    from reconciler.cli.table import COMMANDS

    found = modules_after(rows.home, "locks")
    commands = {f"reconciler.cli.{module}" for module, _ in COMMANDS.values()}
    assert found & commands == {"reconciler.cli.locks"}


def test_a_request_to_the_daemon_needs_json_and_nothing_else_that_is_heavy(tmp_path):
    code = PRINT_MODULES.replace("code = main()", "main(); code = 0")
    done = subprocess.run(
        [sys.executable, "-c", code, "submit", "--from", "workflowtemplate/x", "--home", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    found = set(done.stderr.splitlines()[-1].split())
    allowed_with_json = {"enum", "json", "re"}
    assert found & (FORBIDDEN - allowed_with_json) == set()
    assert "_sqlite3" not in found
