"""An ordinary user's runtime on a machine that lacks something, and then does not: what it tells, line by line.

Run as `ordinary_child.py folder|processes HOME`: a folder that may not be written to, or no process that may be made.
"""

from __future__ import annotations

import resource
import select
import sys
from pathlib import Path

from reconciler.clock import SystemClock
from reconciler.model.attempt import AttemptId, Hindered, Launch
from reconciler.runtime.host import HostRuntime

BOOT_ID = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
MANY = 4096


def wait_for(runtime, kind):
    while True:
        select.select(runtime.fds(), [], [], runtime.timeout_s())
        for one in runtime.collect():
            if isinstance(one, kind) or hasattr(one, "exit_code"):
                return one


def main():
    fault, home = sys.argv[1], Path(sys.argv[2])
    runtime = HostRuntime(home, poke_path=home / "control", clock=SystemClock(), boot_id=BOOT_ID)
    attempts = home / "attempts"
    attempts.mkdir()
    if fault == "folder":
        attempts.chmod(0o500)
    else:
        resource.setrlimit(resource.RLIMIT_NPROC, (1, MANY))
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
    runtime.launch(Launch(attempt_id=AttemptId(1), directory=str(attempts / "1"), argv=("true",), env=env))
    told = wait_for(runtime, Hindered)
    print(type(told).__name__, told.message.partition(": /")[0])
    if fault == "folder":
        attempts.chmod(0o700)
    else:
        resource.setrlimit(resource.RLIMIT_NPROC, (MANY, MANY))
    print("ended", wait_for(runtime, ()).exit_code)
    runtime.close()


main()
