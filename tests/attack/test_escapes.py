"""Escapes from a killed shim: with control groups the home comes back by itself, without them a person is waited for.

Every disguise in every state of the daemon, again and again: `make attack`.
"""

import random

import pytest

from attack.apart import without_groups
from attack.escapes import DAEMON, attack, choose_cases, has_groups


@pytest.mark.torture
@pytest.mark.parametrize("daemon", DAEMON)
def test_no_second_holder_begins_while_a_process_of_the_first_lives(daemon, make_house, seed):
    home = make_house().start()
    grouped = has_groups(home)
    cases = choose_cases(random.Random(f"{seed} {daemon}"), 6)

    assert attack(home, cases, daemon, grouped=grouped) == [], "\n".join(map(str, cases))


@pytest.mark.torture
@pytest.mark.parametrize("daemon", DAEMON[:2])
def test_without_control_groups_nobody_begins_until_a_person_says_so(daemon, seed):
    home = without_groups()
    try:
        home.start()
        assert not has_groups(home)
        cases = choose_cases(random.Random(f"{seed} {daemon} without"), 3)

        assert attack(home, cases, daemon, grouped=False, watch_s=1.0) == [], "\n".join(map(str, cases))
    finally:
        home.close()
