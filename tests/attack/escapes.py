"""Escapes: a step leaves a hidden process behind, its shim is killed, and nobody may have its lock while that process lives.

A batch runs several cases at once in one home, each with a lock and a file of its own. With cgroups the home must come back by
itself; without them the lock stays with an unknown holder until a person says otherwise. It must never look at anything but the
steps' own lines to say who lived when.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import time
from dataclasses import dataclass

from attack.apart import without_groups
from attack.campaign import Done
from attack.house import House, await_true, mutexes, read_groups, read_ticks, workflow

DISGUISES = (
    "setsid",
    "twice",
    "environment",
    "uid",
    "score",
    "name",
    "descriptors",
    "subreaper",
    "traced",
    "nohup",
    "stopped",
    "environment,setsid,twice,score,name,descriptors",
)
DAEMON = ("up", "down", "hung")
LEVELS = ("run", "template", "policy")
TEMPTATIONS = ("release", "retry", "handler", "ttl", "deadline", "node-deadline")
LIFE_MS = 60_000


@dataclass(frozen=True)
class Case:
    """How a step hides what it leaves behind, which level of lock is at stake, and what might tempt to let it go."""

    disguise: str
    level: str
    temptation: str
    spares_main: bool = False

    def __str__(self):
        return f"{self.disguise} / {self.level} / {self.temptation}{' / main spared' if self.spares_main else ''}"


def choose_cases(dice, count):
    """As many cases, each disguise in turn, the rest by the dice."""
    known = [one for one in DISGUISES if "uid" not in one or os.geteuid() == 0]
    dice.shuffle(known)
    pairs = [(level, temptation) for level in LEVELS for temptation in TEMPTATIONS]
    pairs.remove(("template", "handler"))  # a handler is outside of its step's lock
    chosen = itertools.islice(itertools.cycle(known), count)
    return [Case(disguise, *dice.choice(pairs), dice.random() < 0.25) for disguise in chosen]


class Batch:
    """Cases that are attacked at the same time. `escape_ms` is how long what escaped lives."""

    def __init__(self, home, cases, daemon, *, number=0, escape_ms=3000):
        self.house, self.daemon, self.escape_ms = home, daemon, escape_ms
        self.cases = {f"b{number}c{index}": case for index, case in enumerate(cases)}
        self.escapees = {}

    # the manifests

    def first(self, name, case):
        """The run that escapes: a second attempt, or its handler, only bears witness."""
        log = self.house.logs / name
        plain = self.house.witness(name, name, 50)
        escape = self.house.witness(name, name, LIFE_MS, 0, self.escape_ms, case.disguise)
        once = f"if [ -s {log} ]; then exec {plain}; fi; exec {escape}"
        spec, template, notes = {}, {}, {}
        match case.temptation:
            case "release":
                notes["lineclear.dev/on-failure"] = "Release"
            case "retry":
                template["retryStrategy"] = {"limit": "2", "retryPolicy": "Always"}
            case "handler":
                spec["onExit"] = "after"
            case "ttl":
                spec["ttlStrategy"] = {"secondsAfterCompletion": 0}
            case "deadline":
                spec["activeDeadlineSeconds"] = 3
            case "node-deadline":
                template["activeDeadlineSeconds"] = 3
        after = [{"name": "after", "script": {"image": "host", "command": ["sh"], "source": f"exec {plain}"}}]
        body = workflow(f"{name}-one", once, spec=spec, template=template, annotations=notes, templates=after)
        return self.place(body, name, case)

    def second(self, name, case):
        """The run that wants the same lock."""
        return self.place(workflow(f"{name}-two", f"exec {self.house.witness(name, name, 50)}"), name, case)

    def place(self, body, lock, case):
        """The lock at its level: of the run, of its step, or the group of a Replace policy."""
        notes = body["metadata"].setdefault("annotations", {})
        match case.level:
            case "run":
                body["spec"].update(mutexes(lock))
                notes.setdefault("lineclear.dev/on-failure", "Release")
            case "template":
                body["spec"]["templates"][0].update(mutexes(lock))
            case "policy":
                notes.update({"lineclear.dev/concurrency-policy": "Replace", "lineclear.dev/concurrency-key": lock})
        return body

    # the attack

    def attack(self):
        """Runs, escapes, kills the shims and main processes as the daemon is up, down or hung, and lets the others ask."""
        house = self.house
        for name, case in self.cases.items():
            house.submit(self.first(name, case))
        await_true(self.all_escaped, lambda: f"escapees of {self.cases}: {self.escapees}; {house.phases()}")
        for pid, *_ in self.escapees.values():
            house.note_groups(pid)
        if self.daemon == "down":
            house.kill()
        elif self.daemon == "hung":
            os.kill(house.daemon, signal.SIGSTOP)
        self.kill_shims()
        if self.daemon == "down":
            house.start()
        elif self.daemon == "hung":
            os.kill(house.daemon, signal.SIGCONT)
        for name, case in self.cases.items():
            house.submit(self.second(name, case))

    def all_escaped(self):
        for name in self.cases:
            for line in self.house.testimony(name).where(kind="b"):
                self.escapees.setdefault(name, (line.pid, line.ticks))
        return len(self.escapees) == len(self.cases)

    def kill_shims(self):
        """Shims first, so that none of them sees what is ended next."""
        mains = {name: self.house.testimony(name).where(kind="B")[0] for name in self.cases}
        for line in mains.values():
            assert line.parent in self.house.shims(), f"the parent of {line} is no shim"
            os.kill(line.parent, signal.SIGKILL)
        for name, line in mains.items():
            if not self.cases[name].spares_main:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(line.pid, signal.SIGKILL)

    def wake(self):
        """Lets the escapees that stand still go on, so that they bear witness."""
        for name, (pid, ticks) in self.escapees.items():
            if "stopped" in self.cases[name].disguise and read_ticks(pid) == ticks:
                os.kill(pid, signal.SIGCONT)

    def living(self):
        """Runs' names whose first attempt has a process left, by the kernel's word."""
        found = []
        for name in self.cases:
            seen = {(line.pid, line.ticks) for line in self.house.testimony(name).lines if line.run == f"{name}-one"}
            if any(read_ticks(pid) == ticks for pid, ticks in seen):
                found.append(name)
        return found

    def end_spared(self):
        """Ends the main processes that were left alive; they would live for a minute."""
        for name, case in self.cases.items():
            line = self.house.testimony(name).where(kind="B")[0]
            if case.spares_main and read_ticks(line.pid) == line.ticks:
                os.kill(line.pid, signal.SIGKILL)

    # what must have come

    def overlaps(self):
        """What the steps' own lines say against promise 1, with the case."""
        return [f"{self.cases[name]}: {text}" for name in self.cases for text in self.house.testimony(name).overlaps()]

    def begun(self):
        """Cases whose second run has begun."""
        return {name for name in self.cases if f"{name}-two" in self.house.testimony(name).runs()}

    def await_recovery(self):
        """With cgroups: every second run begins, and nobody was asked."""

        def is_done():
            self.wake()
            return len(self.begun()) == len(self.cases)

        def missing():
            left = [f"{name} {self.cases[name]}" for name in set(self.cases) - self.begun()]
            return f"the second runs of {left}; alive: {self.living()}; {self.house.phases()}"

        await_true(is_done, missing)

    def await_unknown(self, watch_s):
        """Without cgroups: what escaped lives its life, nobody else begins, then or afterwards; the verdict is holder unknown."""
        time.sleep(min(self.escape_ms / 2000, 1.0))  # those that stand still must do so while the daemon decides
        await_true(lambda: self.wake() or not self.escapees_alive(), "the end of the escapees")
        self.end_spared()
        end = time.monotonic() + watch_s
        while time.monotonic() < end and not self.begun():
            self.house.ask("ping")
            time.sleep(0.1)
        assert not self.begun(), f"without proof the lock was given on: {[str(self.cases[name]) for name in self.begun()]}"

    def escapees_alive(self):
        return [name for name, (pid, ticks) in self.escapees.items() if read_ticks(pid) == ticks]

    def release(self):
        """A person says so: each lock goes on, and the second run begins once the lock is opened again."""
        for name, case in self.cases.items():
            lock = self.lock_of(name, case)
            said = self.house.must("locks", "show", lock)
            assert "unknown" in said, f"{case}: the verdict of {lock} is\n{said}"
            epoch = self.house.testimony(name).where(kind="B")[0].epoch
            asked = ("--epoch", self.epoch(lock) if epoch == "-" else epoch, "--reason", "looked", "--yes")
            self.house.must("terminate-stuck-holder", lock, "--release-unproven", *asked)
            self.house.run("unhold", lock, "--reason", "looked")
        await_true(lambda: len(self.begun()) == len(self.cases), lambda: f"of {self.begun()} only: {self.house.phases()}")

    def lock_of(self, name, case):
        if case.level != "policy":
            return f"default/Mutex/{name}"
        return next(one["key"] for one in self.house.look("locks") if one["key"].endswith(f"/{name}"))

    def epoch(self, lock):
        return str(self.house.look("locks", "show", lock)["holders"][0]["epoch"])


def has_groups(home):
    """Whether this home's steps get a cgroup of their own, by the kernel's word."""
    home.submit(workflow("groups", f"exec {home.witness('groups', 'groups', 2000)}"))
    line = await_true(lambda: home.testimony("groups").where(kind="B"), "a step")[0]
    found = read_groups(line.pid) != read_groups(home.daemon)
    home.note_groups(line.pid)
    os.kill(line.pid, signal.SIGKILL)
    return found


def attack(home, cases, daemon, *, number=0, grouped=True, watch_s=2.0):
    """What broke as the cases were attacked at once. `grouped`: it must come back by itself; else only by a person's word."""
    batch = Batch(home, cases, daemon, number=number)
    try:
        batch.attack()
        if grouped:
            batch.end_spared()
            batch.await_recovery()
            await_true(lambda: batch.wake() or not batch.escapees_alive(), "the end of the escapees")
        else:
            batch.await_unknown(watch_s)
    except AssertionError as error:
        return [*batch.overlaps(), str(error)]
    finally:
        batch.end_spared()
    found = batch.overlaps()
    if not grouped and not found:
        batch.release()
    return found


def campaign(budget, dice):
    """A round is every disguise at once, in one state of the daemon, with or without control groups."""
    count = 0
    for number in budget:
        make, daemon = dice.choice((House, without_groups)), DAEMON[number % len(DAEMON)]
        home = make()
        try:
            home.start()
            cases = choose_cases(dice, len(DISGUISES))
            grouped = has_groups(home)
            found = attack(home, cases, daemon, number=number, grouped=grouped)
            count += len(cases)
            yield from (f"round {number}, daemon {daemon}, {'with' if grouped else 'without'} groups: {text}" for text in found)
        finally:
            home.close()
    yield Done(f"{count} escapes")
