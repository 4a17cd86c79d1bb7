"""Kills of clients, pushes and hooks beside those of daemon and workers. Many more of them: `make attack`."""

import random

import pytest

from attack.kills import rage_and_look


@pytest.mark.torture
def test_kills_of_clients_pushes_and_daemon_lose_nothing_and_share_no_lock(make_house, seed):
    found, kills, done = rage_and_look(make_house(), random.Random(seed), 16)

    print(done)
    assert found == []
    assert sum(kills.values()) >= 16
