"""Random histories by Git while the daemon is killed: in the end what is live is what the head says, and nothing ran twice.

The seed is printed; LINECLEAR_SEED sets it.
"""

from __future__ import annotations

import contextlib
import json
import os
import random

import pytest

from reconciler.errors import NotFound

SEED = int(os.environ.get("LINECLEAR_SEED", "20260726"))
STEPS = 40


class Historian:
    """Changes the branch in every way that git knows, by the dice. `model` is what the head says: name -> content number."""

    def __init__(self, home, book, dice):
        self.home, self.book, self.dice = home, book, dice
        self.model = {}
        self.places = {}
        self.past = []
        self.number = 0

    def write(self, name, path):
        self.number += 1
        self.model[name] = self.number
        self.places[name] = path
        return {path: self.book.workflow(name, f"true # {self.number}", logs=["all"])}

    def add(self):
        name = f"w{self.number:02}"
        self.push(self.write(name, f"{self.dice.choice('xyz')}/{name}.yaml"))

    def edit(self):
        for name in self.pick():
            self.push(self.write(name, self.places[name]))

    def remove(self):
        for name in self.pick():
            del self.model[name]
            self.push(remove=[self.places.pop(name)])

    def rename(self):
        for name in self.pick():
            new = f"{self.dice.choice('xyz')}/n{self.number}{name}.yaml"
            self.number += 1
            target = self.home.work / new
            target.parent.mkdir(exist_ok=True)
            (self.home.work / self.places[name]).rename(target)
            self.places[name] = new
            self.push()

    def rewind(self):
        if self.past:
            sha, self.model, self.places = self.dice.choice(self.past)
            self.model, self.places = dict(self.model), dict(self.places)
            self.home.git("reset", "-q", "--hard", sha)
            self.send(force=True)

    def amend(self):
        self.home.git("commit", "-q", "--amend", "-m", f"amended {self.number}")
        self.send(force=True)

    def drop_branch(self):
        self.home.git("push", "-q", "origin", ":main")
        self.send()

    def tidy(self):
        self.home.git("pack-refs", "--all", "--prune", cwd=self.home.bare)
        self.home.git("gc", "-q", "--prune=now", cwd=self.home.bare)

    def pick(self):
        return [self.dice.choice(sorted(self.model))] if len(self.model) > 3 else []

    def push(self, files=None, remove=()):
        self.home.commit(files, remove)
        self.send()
        sha = self.home.git("rev-parse", "HEAD").stdout.strip()
        self.past.append((sha, dict(self.model), dict(self.places)))

    def send(self, *, force=False):
        self.home.push_head(force=force)

    def step(self):
        acts = {self.add: 8, self.edit: 6, self.remove: 2, self.rename: 3, self.rewind: 3, self.tidy: 2}
        acts |= {self.amend: 1, self.drop_branch: 1}
        self.dice.choices(list(acts), list(acts.values()))[0]()


def check(home, book, historian):
    live = home.rows("SELECT name, path, body_json FROM definition WHERE retired_at IS NULL ORDER BY name")
    assert {name: path for name, path, _ in live} == historian.places
    for name, _, body in live:
        source = json.loads(body)["spec"]["templates"][0]["script"]["source"]
        assert f"true # {historian.model[name]}\n" in source
    contents = home.rows("SELECT origin_name, spec_digest FROM run")
    assert len(set(contents)) == len(contents), "a content ran twice"
    assert book.read("all").twice() == []
    assert home.rows("SELECT DISTINCT phase FROM run WHERE ended_by = ''") == [("Succeeded",)]
    assert home.rows("PRAGMA integrity_check") == [("ok",)]


@pytest.mark.torture
def test_random_histories_end_in_what_the_head_says(home, book, until):
    print(f"LINECLEAR_SEED={SEED}")
    dice = random.Random(SEED)
    historian = Historian(home, book, dice)
    home.daemon.start()
    for _ in range(6):
        historian.add()
    for _ in range(STEPS):
        historian.step()
        if dice.random() < 0.2:
            home.daemon.kill()
            with contextlib.suppress(IndexError):
                historian.step()
            home.daemon.start()

    head = home.git("rev-parse", "HEAD").stdout.strip()
    applied = "SELECT value FROM meta WHERE key = 'applied'"

    def is_settled():
        held = home.rows("SELECT sha FROM revision WHERE state = 'held'")
        if held == [(head,)]:
            with contextlib.suppress(NotFound):  # applied meanwhile
                home.ask("sync_approve", sha=head)
        return home.rows(applied) == [(head,)] and home.rows("SELECT count(*) FROM run WHERE finished_at IS NULL") == [(0,)]

    until(is_settled, lambda: f"{head} to be live: {home.rows(applied)} {home.daemon.said()[-1500:]}")
    check(home, book, historian)
