"""kill -9, at random moments, of the daemon, its zygote, workers, steps, clients, pushes and the hooks of pushes.

Runs come by the command and by Git, each with one or two locks. What was lost, ran twice, overlapped or went out of turn is read
from the steps' own lines and from what the clients were told. It kills by pid, and only what bears its own home's folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections import Counter

from attack.campaign import Done, house
from attack.house import FINAL, await_true, mutexes, read_proc, read_ticks, workflow
from attack.oracle import out_of_turn

LOCKS = (("a",), ("b",), ("a", "b"), ("s",), ("s", "b"))
LIMITS = {"a": 1, "b": 1, "s": 2}
VICTIMS = ("daemon", "zygote", "worker", "step", "client", "push", "hook", "daemon+client", "daemon+worker", "daemon+push")
HARMS = ("worker", "step")  # a run whose worker or step was killed may end badly
LOG = "kills"
PER_ROUND = 200


class Storm:
    """Asks and kills by the dice. `asked` maps a run to when it was asked for, and when that was confirmed (None: never)."""

    def __init__(self, house, dice):
        self.house, self.dice = house, dice
        self.asked, self.locks, self.kills = {}, {}, Counter()
        self.clone = house.folder / "clone"
        self.git("clone", "-q", str(house.root / "repo.git"), str(self.clone), cwd=house.folder)
        self.git("checkout", "-q", "-B", "main")
        limits = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "limits"}, "data": {"s": "2"}}
        (self.clone / "limits.yaml").write_text(json.dumps(limits))
        self.commit()
        house.start()
        self.git("push", "-q", "origin", "main")

    # asking

    def git(self, *args, cwd=None):
        subprocess.run(self.git_argv(*args), check=True, cwd=cwd or self.clone, env=self.house.env(), capture_output=True)

    def git_argv(self, *args):
        return ["git", "-c", "user.name=a", "-c", "user.email=a@localhost", *args]

    def commit(self):
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "change")

    def make(self):
        """A run that holds its locks for some milliseconds, noted as asked for now."""
        name, locks = f"r{len(self.asked):05}", self.dice.choice(LOCKS)
        spec = mutexes(*(lock for lock in locks if lock != "s"))
        if "s" in locks:
            spec["synchronization"]["semaphores"] = [{"configMapKeyRef": {"name": "limits", "key": "s"}}]
        source = f"exec {self.house.witness(LOG, '+'.join(locks), self.dice.choice((1, 20, 200)))}"
        self.asked[name], self.locks[name] = (time.monotonic_ns(), None), locks
        return workflow(name, source, spec=spec, annotations={"lineclear.dev/on-failure": "Release"})

    def begin(self):
        """A client or a push, begun: (its process, the runs it asks for)."""
        count = len(self.asked)
        if self.dice.random() < 0.7:
            path = self.house.folder / "run.json"
            path.write_text(json.dumps(self.make()))
            argv, kind, cwd = self.house.argv("submit", str(path)), "client", "/"
        else:
            for body in (self.make(), self.make()):
                (self.clone / f"{body['metadata']['name']}.json").write_text(json.dumps(body))
            self.commit()
            argv, kind, cwd = self.git_argv("push", "-q", "origin", "main"), "push", self.clone
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.Popen(argv, cwd=cwd, env=self.house.env(), **quiet), kind, list(self.asked)[count:]

    # killing

    def find(self, kind, client):
        shims = self.house.shims()
        match kind:
            case "daemon":
                return [self.house.daemon]
            case "zygote":
                return [pid for pid in shims if parent(pid) == self.house.daemon]
            case "worker":
                return [pid for pid in shims if parent(pid) != self.house.daemon]
            case "step":
                lines = self.house.testimony(LOG).lines[-40:]
                return sorted({line.pid for line in lines if read_ticks(line.pid) == line.ticks})
            case "client" | "push":
                return [client.pid]
            case "hook":
                return [pid for pid in self.house.processes() if b"-receive" in read_proc(pid, "cmdline")]

    def kill(self, what, client):
        for kind in what.split("+"):
            found = self.find(kind, client)
            if found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.dice.choice(found), signal.SIGKILL)
                    self.kills[kind] += 1
        if self.house.child.poll() is None and "daemon" in what:
            self.house.kill()

    def rage(self, count, seconds=float("inf")):
        """Until so many were killed, or the time is over."""
        end = time.monotonic() + seconds
        while sum(self.kills.values()) < count and time.monotonic() < end:
            client, kind, runs = self.begin()
            what = self.dice.choice(victims_beside(kind))
            time.sleep(self.dice.uniform(0.0, 0.35))  # the moment is what is random here, nothing is waited for
            self.kill(what, client)
            if client.wait(60) == 0:
                now = time.monotonic_ns()
                self.asked |= {run: (self.asked[run][0], now) for run in runs if kind == "client"}
            if self.house.child.poll() is not None:
                self.house.start()

    def be_the_person(self):
        """A holder that can't be proved dead waits for somebody who has looked: its step is ended, its lock let go and opened."""
        for lock in self.house.look("locks"):
            for holder in lock.get("holders", ()):
                if holder["verdict"] == "holder unknown":
                    self.end_steps(holder["run"])
                    asked = ("--holder", holder["run"], "--epoch", str(holder["epoch"]), "--reason", "looked", "--yes")
                    self.house.run("terminate-stuck-holder", lock["key"], "--release-unproven", *asked)
            self.house.run("unhold", lock["key"], "--reason", "looked")

    def end_steps(self, run):
        for line in self.house.testimony(LOG).where(run=run):
            if read_ticks(line.pid) == line.ticks:
                os.kill(line.pid, signal.SIGKILL)

    def drain(self):
        """Until every run that is there has ended; their phases."""
        self.git("push", "-q", "origin", "main")  # a killed push is made again, as a person would
        self.house.must("sync", "now")

        def is_over():
            phases = self.house.phases()
            return phases if set(phases.values()) <= set(FINAL) else self.be_the_person()

        return await_true(is_over, lambda: f"the end of all: {self.house.phases()}; {self.house.said()[-1500:]}", 120)

    # what the lines say

    def findings(self, phases):
        """Everything that speaks against the promises; empty if they held."""
        said = self.house.testimony(LOG)
        confirmed = {run for run, (_, when) in self.asked.items() if when is not None}
        found = [f"lost: {run} was confirmed and is not there" for run in sorted(confirmed - set(phases))]
        found += [f"twice: {who}" for who in said.twice()]
        good = {run for run in phases if phases[run] == "Succeeded"}
        found += [f"{run} Succeeded, and its step never said so" for run in sorted(good - said.ended())]
        for lock, limit in LIMITS.items():
            own = type(said)(line for line in said.lines if lock in line.tag.split("+"))
            found += [f"overlap on {lock}: {text}" for text in own.overlaps(limit)]
            asked = {run: when for run, when in self.asked.items() if lock in self.locks[run]}
            if limit == 1:
                found += [f"out of turn on {lock}: {second} before {first}" for first, second in out_of_turn(own.runs(), asked)]
        bad = sorted(set(phases) - good)
        if len(bad) > sum(self.kills[kind] for kind in HARMS):
            found.append(f"more bad ends than killed steps: {bad}, kills: {dict(self.kills)}")
        return found


def victims_beside(kind):
    """What can be killed while a client or a push is on its way."""
    absent = {"client": {"push", "hook"}, "push": {"client"}}[kind]
    return [one for one in VICTIMS if not absent & set(one.split("+"))]


def parent(pid):
    fields = read_proc(pid, "stat").rpartition(b")")[2].split()
    return int(fields[1]) if fields else 0


def rage_and_look(home, dice, count, seconds=float("inf")):
    """(what broke, how many were killed, what was done)."""
    storm = Storm(home, dice)
    storm.rage(count, seconds)
    phases = storm.drain()
    return storm.findings(phases), storm.kills, f"{len(phases)} runs of {len(storm.asked)} asked for, kills: {dict(storm.kills)}"


def campaign(budget, dice):
    """A round is a home and 200 kills."""
    total = Counter()
    for number in budget:
        with house() as home:
            found, kills, _ = rage_and_look(home, dice, PER_ROUND)
        total += kills
        yield from (f"round {number}: {text}" for text in found)
    yield Done(f"{sum(total.values())} kills: {dict(total)}")
