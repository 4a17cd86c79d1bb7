"""A small owner of a runtime, to be run with fewer rights: runs each of a plan's steps and tells what came of it.

Run as `sandbox_child.py HOME` with the plan as JSON on standard input: a list of {"argv", "cwd", "shown", "parameters"}.
"""

from __future__ import annotations

import json
import select
import sys
from pathlib import Path

from reconciler.clock import SystemClock
from reconciler.model.attempt import AttemptId, Launch, Started
from reconciler.runtime.host import HostRuntime
from reconciler.runtime.outputs import read_parameter, remove_folder
from reconciler.runtime.sandbox import sandbox_problem

BOOT_ID = Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def run(runtime, number, directory, step):
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
    more = {"argv": tuple(step["argv"]), "cwd": step.get("cwd"), "shown": tuple(step.get("shown", ())), "env": env}
    runtime.launch(Launch(attempt_id=AttemptId(number), directory=str(directory), sandbox=True, **more))
    while True:
        select.select(runtime.fds(), [], [], runtime.timeout_s())
        for one in runtime.collect():
            if not isinstance(one, Started):
                runtime.acknowledge([AttemptId(number)])
                return one


def main():
    home = Path(sys.argv[1])
    runtime = HostRuntime(home, poke_path=home / "control", clock=SystemClock(), boot_id=BOOT_ID)
    told = []
    for number, step in enumerate(json.load(sys.stdin)):
        directory = home / "attempts" / str(number)
        end = run(runtime, number, directory, step)
        log = directory / "log"
        text = log.read_text() if log.exists() else ""
        found = {path: read_parameter(str(directory), path, sandboxed=True) for path in step.get("parameters", ())}
        remove_folder(str(directory))
        one = {"kind": type(end).__name__, "code": end.exit_code, "message": end.message}
        told.append({**one, "log": text, "found": found, "left": directory.exists()})
    runtime.close()
    print(json.dumps({"problem": sandbox_problem(str(home)), "steps": told}))


main()
