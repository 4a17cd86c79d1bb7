"""A small owner of a runtime, to be run as an ordinary account in a control group that was delegated to it.

Run as `delegated_child.py HOME [CONTROLLER...]`; tells as JSON what groups it found, and what became of each step.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
from pathlib import Path

from reconciler.clock import SystemClock
from reconciler.model.attempt import AttemptId, Launch, Started
from reconciler.runtime import groups, wire
from reconciler.runtime.grouping import find_grouping
from reconciler.runtime.host import HostRuntime
from reconciler.runtime.leftovers import sweep_leftovers

BOOT_ID = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
ENV = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
FORKER = "import os\nwhile True:\n    if os.fork():\n        os._exit(0)\n"


def start(runtime, home, number, *argv):
    directory = home / "attempts" / str(number)
    runtime.launch(Launch(attempt_id=AttemptId(number), directory=str(directory), argv=argv, env=ENV, grace_s=0.0))
    return directory


def wait(runtime, number, kinds=()):
    while True:
        select.select(runtime.fds(), [], [], runtime.timeout_s())
        for one in runtime.collect():
            if isinstance(one, kinds) or (not kinds and not isinstance(one, Started)):
                if not kinds:
                    runtime.acknowledge([AttemptId(number)])
                return one


def claim(directory):
    return wire.unpack_slot((directory / "record").read_bytes(), wire.CLAIM)


def main():
    home = Path(sys.argv[1])
    grouping = find_grouping(home, wanted=frozenset(sys.argv[2:]))
    runtime = HostRuntime(home, poke_path=home / "control", clock=SystemClock(), boot_id=BOOT_ID, grouping=grouping)
    told = {"problem": grouping.problem, "place": grouping.places[0].home if grouping.places else ""}
    told["controllers"] = sorted(grouping.controllers)
    first, second = 10 * os.getpid(), 10 * os.getpid() + 1  # a folder is used once
    start(runtime, home, first, sys.executable, "-I", "-S", "-c", f"import os\nif os.fork():\n    os._exit(7)\n{FORKER}")
    told["forker"] = wait(runtime, first).exit_code
    directory = start(runtime, home, second, "sh", "-c", "env -i setsid sleep 600 & exec sleep 600")
    wait(runtime, second, Started)
    found = claim(directory)
    told["group"] = found.get("group", "")
    if told["group"]:
        group, group_id = found["group"], int(found["group_id"])
        told["while it runs"] = groups.look(group, group_id)
        pidfd = os.pidfd_open(int(found["worker"]))
        told["killed"] = groups.kill(group, group_id)
        select.select([pidfd], [], [])
    else:
        runtime.kill(AttemptId(second))
    told["end"] = type(wait(runtime, second)).__name__
    sweep_leftovers(grouping.places, [])
    runtime.close()
    print(json.dumps(told))


signal.alarm(60)
main()
