"""Little programs of locks and barriers, carried to their rest: who is stuck for good was told to be, and nobody else was."""

from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st
from loop_harness import World, pod, steps
from loop_harness import spec as plain
from meetings import barrier, submit

LOCKS, BARRIERS = ("m", "n"), ("x", "y")
ITEM = st.sampled_from(["work", *LOCKS, *BARRIERS, *(f"{lock}-{name}" for lock in LOCKS for name in (*LOCKS, *BARRIERS))])
GROUPS = st.lists(st.lists(ITEM, min_size=1, max_size=2), min_size=1, max_size=3)
PROGRAM = st.tuples(st.sets(st.sampled_from(LOCKS), max_size=1), GROUPS)


def compose(program):
    """A workflow: `m` takes a lock in a step, `x` is a barrier, `m-x` is x inside a template that holds m."""
    locks, groups = program
    calls = [[(f"s{at}-{number}", item) for number, item in enumerate(group)] for at, group in enumerate(groups)]
    inner = [steps(f"{lock}-{name}", [name], locks=[lock]) for lock in LOCKS for name in (*LOCKS, *BARRIERS)]
    pods = [pod("work"), *(pod(lock, lock) for lock in LOCKS)]
    return plain(steps("main", *calls), *pods, *map(barrier, BARRIERS), *inner, locks=sorted(locks))


@settings(max_examples=120, deadline=None, derandomize=True, database=None)
@given(st.lists(PROGRAM, min_size=2, max_size=3), st.data())
def test_runs_are_stuck_exactly_where_a_cycle_was_told(programs, data):
    with TemporaryDirectory() as folder:
        world = World(folder)
        try:
            names = [f"r{number}" for number in range(len(programs))]
            submit(world, **{name: compose(program) for name, program in zip(names, programs, strict=True)})
            while running := world.running():
                world.exits(*data.draw(st.sampled_from(running)))
            stuck = [name for name in names if world.phase(name) != "Succeeded"]
            assert bool(stuck) == bool(world.journal("lock.cycle"))
            assert world.sweep_changes() == 0
        finally:
            world.close()
