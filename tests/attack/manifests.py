"""Documents that aim at cost, submitted to a real daemon: how long others wait, how much memory it takes, whether others begin.

How long others wait is seen from outside: a ping goes by way of the thread that does the work. On a busy machine a wait counts
only as far as the daemon used the processor meanwhile. A document that holds up others is made smaller as long as it still does.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from dataclasses import dataclass

from attack.campaign import Done, house
from attack.documents import generate, shrink
from attack.house import await_true, read_proc, workflow

TICK_S = 0.25
MEMORY_MB = 500
GIVE_UP_S = 20.0
SHRINK_S = 300.0
HERTZ = os.sysconf("SC_CLK_TCK")


@dataclass
class Cost:
    """What one document did. `refused` is what the daemon said when it did not take it."""

    longest_s: float = 0.0
    doing: str = ""
    memory_mb: float = 0.0
    refused: str = ""
    small_began: bool = True
    phase: str = ""

    def faults(self, tick_s, memory_mb):
        found = []
        if self.longest_s > tick_s:
            found.append(f"others waited {self.longest_s:.2f} s at {self.doing}")
        if self.memory_mb > memory_mb:
            found.append(f"the daemon grew to {self.memory_mb:.0f} MB")
        if not self.small_began:
            found.append("a small run beside it did not begin")
        return found


class Observer(threading.Thread):
    """Pings all the time; notes the longest time without an answer, and at what."""

    def __init__(self, home):
        super().__init__(name="observer", daemon=True)
        self.home, self.doing, self.over = home, "the start", threading.Event()
        self.longest_s, self.at = 0.0, ""

    def run(self):
        while not self.over.wait(0.02):
            began, used = time.monotonic(), processor_s(self.home.daemon)
            with contextlib.suppress(OSError):
                while not self.over.is_set() and self.home.ask("ping", GIVE_UP_S)["ok"]["ticked_s_ago"] is None:
                    pass
            waited = min(time.monotonic() - began, processor_s(self.home.daemon) - used + 1 / HERTZ)
            if waited > self.longest_s:
                self.longest_s, self.at = waited, self.doing


def processor_s(pid):
    """How long a process has used the processor."""
    fields = read_proc(pid, "stat").rpartition(b")")[2].split()
    return (int(fields[11]) + int(fields[12])) / HERTZ if fields else 0.0


def memory_mb(pid):
    """The most memory that a process had."""
    lines = [line.split() for line in read_proc(pid, "status").decode().splitlines() if line.startswith("VmHWM")]
    return int(lines[0][1]) / 1024 if lines else 0.0


def measure(home, body, number, during_s):
    """The cost of one document: submitted, let run for a while beside a small run, looked at and terminated."""
    name, small = body["metadata"]["name"], f"small{number}"
    cost, observer = Cost(), Observer(home)
    observer.start()
    try:
        observer.doing = "submit"
        cost.refused = submit(home, body)
        observer.doing = "running"
        home.submit(workflow(small, f"exec {home.witness(small, small, 1)}"), within_s=GIVE_UP_S)
        await_true(lambda: home.testimony(small).where(kind="E"), "the small run", GIVE_UP_S)
        observer.over.wait(during_s if not cost.refused else 0.1)
        observer.doing = "terminate"
        if not cost.refused:
            home.ask("terminate", GIVE_UP_S, run=name, message="enough")
    except (AssertionError, OSError):
        cost.small_began = bool(home.testimony(small).where(kind="E"))
    observer.over.set()
    observer.join(1.0)
    cost.longest_s, cost.doing, cost.memory_mb = observer.longest_s, observer.at, memory_mb(home.daemon)
    return cost


def submit(home, body):
    """Why a document was not taken, '' if it was; an answer that does not come is a wait like any other."""
    try:
        answer = home.ask("submit", GIVE_UP_S, files=[{"path": "a.yaml", "text": json.dumps(body)}], namespace="default")
    except OSError:
        return ""
    return answer["error"]["message"] if "error" in answer else ""


def attack_one(body, number, tick_s, during_s):
    """(what broke, the cost) of a document in a home of its own."""
    with house() as home:
        home.start()
        cost = measure(home, body, number, during_s)
        return cost.faults(tick_s, MEMORY_MB), cost


def minimise(body, tick_s, during_s):
    """The smallest document found within a time that still breaks a bound."""
    end, smallest = time.monotonic() + SHRINK_S, body
    tried = True
    while tried and time.monotonic() < end:
        tried = False
        for spec in shrink(smallest["spec"]):
            if time.monotonic() > end:
                break
            found, cost = attack_one({**smallest, "spec": spec}, 0, tick_s, during_s)
            if found and not cost.refused:
                smallest, tried = {**smallest, "spec": spec}, True
                break
    return smallest


def attack_many(bodies, tick_s, during_s):
    """(document, what broke, its cost) for each; a home serves until one breaks a bound."""
    bodies = enumerate(bodies)
    number, body = next(bodies, (0, None))
    while body is not None:
        with house() as home:
            home.start()
            found = []
            while body is not None and not found:
                cost = measure(home, body, number, during_s)
                found = cost.faults(tick_s, MEMORY_MB)
                yield body, found, cost
                number, body = next(bodies, (0, None))


def campaign(budget, dice):
    """A round is a document."""
    count = refused = 0
    bodies = (generate(dice, f"g{number}") for number in budget)
    for body, found, cost in attack_many(bodies, TICK_S, 2.0):
        count, refused = count + 1, refused + bool(cost.refused)
        if found:
            yield f"{body['metadata']['name']}: {'; '.join(found)}; smallest:\n{json.dumps(minimise(body, TICK_S, 2.0))}"
    yield Done(f"{count} documents, {refused} of them refused")
