"""Homes for attacks, and the modules of the attacks on the path."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@pytest.fixture
def make_house():
    """Makes homes; ends and removes all of them afterwards."""
    from attack.house import House

    made = []

    def make(**more):
        made.append(House(**more))
        return made[-1]

    yield make
    for house in made:
        house.close()


@pytest.fixture(scope="session", autouse=True)
def _witness():
    yield
    from attack.oracle import forget_witness

    forget_witness()


@pytest.fixture
def seed():
    """What the dice of an attack start from; printed, so that a failure can be had again. LINECLEAR_SEED sets it."""
    chosen = os.environ.get("LINECLEAR_SEED", "20261130")
    print(f"LINECLEAR_SEED={chosen}")
    return chosen
