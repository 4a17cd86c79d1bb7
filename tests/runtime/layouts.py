"""Runs the tests of control groups in each layout that this machine has, and says which it could not try, and why.

Run as `make groups`. Its code is 1 if a test failed; a layout that is not there is no failure.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from reconciler.runtime.groups import V2, find_hierarchies

FOLDER = Path(__file__).parent
TESTS = [str(FOLDER / f"test_{name}.py") for name in ("groups", "grouping", "membership", "limits", "host_deaths", "host_trees")]
SCOPES = {"a scope of the system's systemd": (), "a scope of the user's systemd": ("--user",)}


def describe():
    """The hierarchies of this machine."""
    found = find_hierarchies()
    unified = [one.mount for one in found if one.kind == V2]
    old = sorted(name for one in found if one.kind != V2 for name in one.controllers)
    return f"unified at {', '.join(unified) or 'no place'}; v1 controllers: {', '.join(old) or 'none'}; as user {os.geteuid()}"


def run(*before):
    """Whether the tests pass, started by these words."""
    argv = [*before, sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:randomly", *TESTS]
    return subprocess.run(argv, check=False).returncode == 0


def why_not(*words):
    """Why no scope can be made, or ''."""
    if shutil.which("systemd-run") is None:
        return "systemd-run is not installed"
    start = ["systemd-run", *words, "--scope", "--quiet", "--collect", "-p", "Delegate=yes", "true"]
    done = subprocess.run(start, capture_output=True, text=True, check=False)
    return done.stderr.strip() or f"systemd-run ended with {done.returncode}" if done.returncode else ""


def main():
    """Each layout in turn, then the sum of it."""
    print(describe(), flush=True)
    told = [("as it is", "passed" if run() else "FAILED")]
    for name, words in SCOPES.items():
        problem = why_not(*words)
        start = ("systemd-run", *words, "--scope", "--quiet", "--collect", "-p", "Delegate=yes")
        told.append((name, f"not tried: {problem}" if problem else "passed" if run(*start) else "FAILED"))
    print(describe())
    for name, outcome in told:
        print(f"{name}: {outcome}")
    sys.exit(any(outcome == "FAILED" for _, outcome in told))


main()
