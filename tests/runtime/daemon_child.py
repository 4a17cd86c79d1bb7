"""A daemon in small, to be killed: launches what plan.json lists, a few at a time, and stores ends in `outcomes`.

Run as `daemon_child.py HOME`. `intents` are its rows (written before any launch), `outcomes` its commits.
"""

from __future__ import annotations

import json
import os
import select
import sys
from pathlib import Path

from reconciler.clock import SystemClock
from reconciler.model.attempt import AttemptId, Exited, HolderUnknown, Intent, Launch, Lost, NotStarted
from reconciler.runtime.grouping import NO_GROUPS, find_grouping
from reconciler.runtime.host import HostRuntime

BOOT_ID = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
AT_ONCE = 4


def read_lines(path):
    return [json.loads(line) for line in path.read_text().split("\n")[:-1]] if path.exists() else []


def append(path, value):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(fd, (json.dumps(value) + "\n").encode())
    os.close(fd)


def describe(one):
    match one:
        case Exited():
            return {"id": one.attempt_id, "kind": "exited", "code": one.exit_code}
        case NotStarted():
            return {"id": one.attempt_id, "kind": "not-started", "message": one.message}
        case Lost():
            return {"id": one.attempt_id, "kind": "lost", "began": one.began, "evidence": one.evidence}


def make_runtime(home):
    grouping = find_grouping(home) if os.environ.get("WITH_GROUPS") else NO_GROUPS
    return HostRuntime(home, poke_path=home / "control", clock=SystemClock(), boot_id=BOOT_ID, grouping=grouping)


def main():
    home = Path(sys.argv[1])
    plan = json.loads((home / "plan.json").read_text())
    runtime = make_runtime(home)
    done = {row["id"] for row in read_lines(home / "outcomes")}
    live = [number for number in read_lines(home / "intents") if number not in done]

    def launch(number):
        directory = str(home / "attempts" / str(number))
        argv = tuple(plan[number])
        env = {"PATH": "/usr/bin:/bin"}
        runtime.launch(Launch(attempt_id=AttemptId(number), directory=directory, argv=argv, env=env, grace_s=1.0))

    unknown = set()

    def let_go():
        """What a person does once nothing else goes on: attempts are ended without proof."""
        if not os.environ.get("WITH_PERSON") or unknown != set(live):
            return
        for number in sorted(unknown):
            append(home / "outcomes", {"id": number, "kind": "let-go"})
            done.add(number)
            live.remove(number)
        runtime.forget([AttemptId(number) for number in unknown])
        unknown.clear()

    def commit(observations):
        for one in [one for one in observations if isinstance(one, HolderUnknown)]:
            unknown.add(one.attempt_id)
            append(home / "unknown", {"id": one.attempt_id, "evidence": one.evidence})
        ends = [one for one in observations if isinstance(one, Exited | NotStarted | Lost)]
        for one in ends:
            append(home / "outcomes", describe(one))
            done.add(one.attempt_id)
            live.remove(one.attempt_id)
            unknown.discard(one.attempt_id)
        runtime.acknowledge([one.attempt_id for one in ends])

    rows = [
        Intent(attempt_id=AttemptId(number), directory=str(home / "attempts" / str(number)), boot_id=BOOT_ID) for number in live
    ]
    recovery = runtime.recover(rows)
    commit(recovery.observations)
    let_go()
    list(map(launch, recovery.to_launch))
    print("ready", flush=True)
    waiting = [number for number in range(len(plan)) if number not in done and number not in live]
    while waiting or live:
        while waiting and len(live) < AT_ONCE:
            number = waiting.pop(0)
            append(home / "intents", number)
            live.append(number)
            launch(number)
        due = runtime.timeout_s()
        select.select(runtime.fds(), [], [], due)
        commit(runtime.collect())
        let_go()
    runtime.close()


main()
