"""Whether this machine allows sandboxed steps. It must never make one in the daemon's own process."""

from __future__ import annotations

import functools
import subprocess
import sys
import tempfile
from pathlib import Path

from reconciler.runtime.outputs import remove_folder

_PROBE = "import sys; sys.path.append(sys.argv[1]); from reconciler.runtime.box import probe; probe(sys.argv[2])"
_PATIENCE_S = 10.0


@functools.cache
def sandbox_problem(home: str | None = None) -> str:
    """What is in the way of a sandboxed step whose attempt lies in `home`, or ''; tried once, then remembered.

    None stands for the folder of temporary files: the answer may be another for another file system.
    """
    where = tempfile.mkdtemp(prefix="sandbox-", dir=home)
    argv = [sys.executable, "-I", "-S", "-c", _PROBE, str(Path(__file__).parents[2]), where]
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"cannot make a sandbox: {error}; map the image to host"
    finally:
        remove_folder(where)
    if done.returncode != 0:
        return f"cannot make a sandbox: its trial ended with {done.returncode}; map the image to host"
    return done.stdout.decode("utf-8", "replace")
