"""The work of a queue does not grow with its depth: counted in SQLite's own steps, so it is the same on every machine."""

import pytest
from loop_harness import API, World, job, parsed, pod, spec

from reconciler.clock import to_text
from reconciler.loop.revision import pushed
from reconciler.loop.settle import settle
from reconciler.loop.submit import Order, submit
from reconciler.model.attempt import AttemptId, Exited

EVERY = 20
SHALLOW, DEEP = 100, 5000
WORKLOADS = {
    "one mutex": job("m"),
    "four mutexes": job("m", "m1", "m2", "m3"),
    "a semaphore": job("s0"),
    "a node's mutex": spec(pod("main", "m")),
}


def enqueue(world, body, names):
    """One run for each name, in one commit."""
    manifest = {"apiVersion": API, "kind": "Workflow", "metadata": {"name": "w"}, "spec": body}
    source = pushed(parsed("w.yaml", manifest).documents[0], "", origin="submit")
    with world.writer.write(to_text(world.clock.at)):
        ctx = world.context()
        for name in names:
            submit(ctx, source, Order(name=name))
        settle(ctx)


def hand_over(world, attempt):
    """The holder's process ends."""
    world.runtime.seen.append(Exited(attempt_id=AttemptId(attempt), exit_code=0, signal=None, at=world.clock.at))
    world.tick()


def counted(world, act):
    """How many steps of SQLite's machine an act takes, to the nearest twenty."""
    steps = 0

    def count():
        nonlocal steps
        steps += 1

    world.writer.db.set_progress_handler(count, EVERY)
    act()
    world.writer.db.set_progress_handler(None, 0)
    return steps * EVERY


def costs(folder, body, depth):
    folder.mkdir()
    world = World(folder)
    try:
        world.limits(s0=1)
        enqueue(world, body, [f"w{number:05}" for number in range(depth + 1)])
        assert [len(waiting) for waiting in world.queue().values()] == [depth] * len(world.holders())
        holder = world.attempt_of("w00000", "")
        found = {
            "enqueue": counted(world, lambda: enqueue(world, body, ["late"])),
            "withdraw": counted(world, lambda: world.must("terminate", run="w00050")),
            "release and grant": counted(world, lambda: hand_over(world, holder)),
        }
        assert [name for name, _ in world.running()] == ["w00001"]
        return found
    finally:
        world.close()


@pytest.mark.edge("E14")
@pytest.mark.parametrize("workload", WORKLOADS)
def test_enqueueing_leaving_and_handing_over_cost_the_same_at_any_depth(tmp_path, workload):
    shallow = costs(tmp_path / "shallow", WORKLOADS[workload], SHALLOW)
    deep = costs(tmp_path / "deep", WORKLOADS[workload], DEEP)
    ratios = {name: deep[name] / shallow[name] for name in shallow}
    assert max(ratios.values()) <= 1.3, (shallow, deep, ratios)


def test_asking_who_waits_for_whom_is_linear_in_the_queue_behind_which_the_front_waits(tmp_path):
    """A node of a run that holds something comes behind a waiter that is last in another, long queue."""
    costs_at = {}
    for depth in (200, 2000):
        (tmp_path / str(depth)).mkdir()
        world = World(tmp_path / str(depth))
        try:
            enqueue(world, job("long"), [f"w{number:05}" for number in range(depth)])
            enqueue(world, job("long", "m"), ["front"])
            asker = spec(pod("main", "m"), locks=["own"])
            costs_at[depth] = counted(world, lambda world=world, asker=asker: enqueue(world, asker, ["asker"]))
            assert world.queue("m") == ["front", "asker/"]
        finally:
            world.close()
    assert costs_at[2000] / costs_at[200] <= 12, costs_at
