"""Who is admitted, and in which order."""

from loop_harness import job


def test_the_next_waiter_takes_the_lock_in_the_commit_of_its_release(world):
    first = world.submit(job("m"))
    second = world.submit(job("m"))
    assert (world.holders("m"), world.queue("m")) == ([first], [second])
    commits = world.writer.commits
    world.exits(first, "")
    assert world.writer.commits == commits + 1
    assert (world.holders("m"), world.queue("m")) == ([second], [])
    assert world.phase(first) == "Succeeded"
    assert world.running() == [(second, "")]
