"""Faults of the host under a short queue: what began, what waits and what comes meanwhile end as their steps did.

All of the faults, longer and with longer queues: `make attack`.
"""

import shutil

import pytest

from attack.apart import why_not
from attack.faults import attack

NO_DISK = why_not()
CALLS = ("open: EMFILE", "pwrite: EIO now and then", "recvmsg: ENOMEM now and then")


def test_a_queue_goes_through_a_time_without_descriptors():
    assert attack("no descriptors", 6, 1) == []


@pytest.mark.skipif(bool(NO_DISK), reason=NO_DISK or "there is one")
@pytest.mark.parametrize("what", ["no inodes", "no blocks", "runs read-only"])
def test_a_queue_goes_through_a_time_without_room(what):
    assert attack(what, 6, 1) == []


@pytest.mark.skipif(not shutil.which("gcc"), reason="no gcc to make calls fail with")
@pytest.mark.parametrize("what", CALLS)
def test_a_queue_goes_through_calls_that_fail(what):
    assert attack(what, 6, 1) == []
