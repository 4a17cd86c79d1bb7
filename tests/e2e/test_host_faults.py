"""A queue of runs through minutes without descriptors, then without inodes: every one of them ends as it would have.

`make faults` takes 100 runs and five minutes of each; the tests take a part of that.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import time

import pytest

RUNS = int(os.environ.get("LINECLEAR_FAULT_RUNS", "12"))
LASTS_S = float(os.environ.get("LINECLEAR_FAULT_S", "3"))
ENDS_WITHIN_S = 60 + RUNS
pytestmark = pytest.mark.timeout(int(120 + 2 * LASTS_S + 4 * RUNS))


@pytest.fixture
def inodes(make_home):
    """A home on a disk of its own with few inodes."""
    mounted = []

    def mount(root):
        argv = ["mount", "-t", "tmpfs", "-o", f"size=256m,nr_inodes={600 + 30 * RUNS},mode=0700", "lineclear-test", str(root)]
        if subprocess.run(argv, capture_output=True, check=False).returncode:
            pytest.skip("a small file system cannot be mounted here: it takes root")
        mounted.append(root)

    home = make_home(mount)
    yield home
    home.close()
    for root in mounted:
        subprocess.run(["umount", "-l", str(root)], check=True)


FREE = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "Workflow",
    "metadata": {"name": "free"},
    "spec": {"entrypoint": "main", "templates": [{"name": "main", "container": {"image": "host", "command": ["true"]}}]},
}


def workflow(home, number):
    """A run that needs a lock, a secret, and whose output and standard output are read by its second step."""
    log = home.logs / "order"
    made = {
        "name": "make",
        "synchronization": {"mutexes": [{"name": f"m{number % 3}"}]},
        "script": {
            "image": "host",
            "command": ["sh"],
            "source": (  # what a step itself cannot write is its own concern: this one tries again
                f'echo "S {number}" >> {log}; sleep 0.2; until printf %s "$KEY" > o; do sleep 0.1; done 2> /dev/null;'
                f' echo said; echo "E {number}" >> {log}'
            ),
            "env": [{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
        },
        "outputs": {"parameters": [{"name": "o", "valueFrom": {"path": "o"}}]},
    }
    used = {
        "name": "use",
        "inputs": {"parameters": [{"name": "o"}, {"name": "r"}]},
        "container": {"image": "host", "command": ["test", "{{inputs.parameters.o}}{{inputs.parameters.r}}", "=", "valuesaid"]},
    }
    given = [
        {"name": "o", "value": "{{steps.make.outputs.parameters.o}}"},
        {"name": "r", "value": "{{steps.make.outputs.result}}"},
    ]
    main = {
        "name": "main",
        "steps": [
            [{"name": "make", "template": "make"}],
            [{"name": "use", "template": "use", "arguments": {"parameters": given}}],
        ],
    }
    spec = {"entrypoint": "main", "templates": [main, made, used]}
    body = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": f"r{number}"}, "spec": spec}
    return json.dumps(body)


def begin(home):
    secret = home.root / "secrets" / "s"
    secret.mkdir(parents=True, mode=0o700)
    secret.parent.chmod(0o700)
    (secret / "k").write_text("value")
    (secret / "k").chmod(0o600)
    home.daemon.start()
    home.submit(*(workflow(home, number) for number in range(RUNS)))


def check(home, until):
    """All ended well, each began and ended once, and nobody took a lock of somebody."""
    ended = "SELECT count(*) FROM run WHERE name <> 'free' AND phase IN ('Succeeded', 'Failed', 'Error')"
    until(lambda: home.rows(ended) == [(RUNS,)], lambda: str(home.rows("SELECT name, phase, message FROM run")), ENDS_WITHIN_S)
    assert home.rows("SELECT name, message FROM run WHERE phase <> 'Succeeded'") == []
    lines = home.lines("order")
    assert sorted(lines) == sorted(f"{word} {number}" for word in "SE" for number in range(RUNS))
    inside: dict[int, str] = {}
    for line in lines:
        word, number = line.split()
        lock = int(number) % 3
        if word == "S":
            assert lock not in inside, f"{number} began inside {inside.get(lock)}"
            inside[lock] = number
        else:
            assert inside.pop(lock) == number
    assert home.rows("SELECT count(*) FROM claim WHERE state <> 'released'") == [(0,)]


def lasting():
    """A fault has to last: nothing else ends this wait."""
    time.sleep(LASTS_S)


def test_a_queue_goes_through_minutes_without_descriptors(home, until):
    begin(home)
    home.wait_line("order", "E ")
    held = home.submit(json.dumps(FREE))  # the daemon answers, and goes on to
    assert held[0]["name"] == "free"
    limits = resource.prlimit(home.daemon.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(home.daemon.pid, resource.RLIMIT_NOFILE, (8, limits[1]))  # far below what it has open: none more
    assert home.ask("ping")["pid"] == home.daemon.pid
    lasting()
    resource.prlimit(home.daemon.pid, resource.RLIMIT_NOFILE, limits)
    check(home, until)
    assert home.journal("machine.trouble")
    assert "Traceback" not in home.daemon.said()


def test_a_queue_goes_through_minutes_without_inodes(inodes, until):
    home = inodes
    begin(home)
    home.wait_line("order", "E ")
    taken = []
    try:
        while True:
            path = home.root / f"taken{len(taken)}"
            path.touch()
            taken.append(path)
    except OSError:
        pass
    home.submit(json.dumps(FREE))
    home.wait_rows("SELECT 1 FROM journal WHERE kind = 'attempt.hindered'")
    deadline = time.monotonic() + LASTS_S
    while time.monotonic() < deadline:  # what is given back is taken again
        time.sleep(0.1)
        try:
            path = home.root / f"taken{len(taken)}"
            path.touch()
            taken.append(path)
        except OSError:
            continue
    for path in taken:
        path.unlink()
    assert home.wait_phase("free") == "Succeeded"
    check(home, until)
    assert "Traceback" not in home.daemon.said()


def test_a_tree_that_cannot_be_made_is_told_by_the_step_that_waits_for_it(home, until):
    trees = home.root / "trees"
    trees.write_text("no folder")
    home.daemon.start()
    home.push({"free.yaml": json.dumps(FREE)})
    (told,) = until(lambda: home.rows("SELECT message FROM node WHERE message LIKE 'waits for the machine: %'"), "a word of it")
    assert "cannot make the tree of its commit" in told[0]
    trees.unlink()
    assert home.wait_phase("free") == "Succeeded"
