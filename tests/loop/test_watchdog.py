"""A tick that takes too long is told while it does, with what it is about."""

from __future__ import annotations

import logging
import time

from reconciler.watchdog import Watchdog, describe_frames

LIMIT_S = 0.1


def _decide_run(run_id, condition):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and not condition():
        time.sleep(0.005)


def workflow_pass(condition):
    _decide_run(7, condition)


def test_what_hangs_is_told_with_its_phase_its_subject_and_its_stack(caplog):
    dog = Watchdog(LIMIT_S)
    dog.start()
    dog.begin()
    with caplog.at_level(logging.WARNING, "reconciler.watchdog"):
        workflow_pass(lambda: caplog.records)
    said = dog.describe()
    took_s, told = dog.end()
    text = caplog.records[0].getMessage()
    assert "it decides runs (run 7), in test_watchdog.py:" in text
    assert "workflow_pass(lambda" in text
    assert took_s >= LIMIT_S
    assert told.startswith("decides runs (run 7)")
    assert said.startswith("for 0 s works")
    assert dog.describe() == ""


def test_what_is_quick_is_not_told():
    dog = Watchdog(60.0)
    dog.begin()
    assert dog.end()[1] == ""


def test_frames_of_nothing_known_still_name_their_place():
    import sys

    assert describe_frames(sys._getframe()).startswith("works, in test_watchdog.py:")
