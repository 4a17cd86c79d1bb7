"""Frames that no client sends, and peers that say nothing. Many more of them: `make attack`."""

import random

from attack.frames import attack, is_served, silent_peers


def test_no_frame_stops_the_daemon_or_goes_without_an_answer(make_house, seed):
    home = make_house().start()

    found, _ = attack(home, random.Random(seed), 300)

    assert found == []


def test_peers_that_send_half_a_request_keep_nobody_from_being_served(make_house):
    home = make_house().start()

    silent = silent_peers(home, 100)
    is_served(home)

    for peer in silent:
        peer.close()
