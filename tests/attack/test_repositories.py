"""Repositories that make Git run a program: some of them by the dice, all of them in `make attack`."""

import random
import subprocess

import pytest

from attack.repositories import attack, lay, traps

SURE = ("core.fsmonitor", "promisor ext::{mark}", "include")  # plain Git falls into these


def trap(name):
    return next(one for one in traps() if one.what == name)


@pytest.mark.parametrize("name", SURE)
def test_plain_git_falls_into_a_trap_and_the_command_does_not(make_house, name):
    home = make_house()

    assert attack(home, trap(name), 0, commands=(("plan",),)) == []

    folder, marker = lay(home, trap(name), 1)
    for words in (["status"], ["cat-file", "-p", "HEAD:a.yaml"]):
        subprocess.run(["git", *words], cwd=folder, capture_output=True, check=False, env=home.env())
    assert marker.exists()


def test_no_trap_runs_its_program(make_house, seed):
    home = make_house()
    chosen = random.Random(seed).sample([one for one in traps() if one.what not in SURE], 3)

    assert [said for number, one in enumerate(chosen) for said in attack(home, one, number, commands=(("plan",),))] == []
