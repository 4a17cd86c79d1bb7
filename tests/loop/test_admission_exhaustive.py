"""All orders of few runs over two locks, a mutex and a semaphore: no state that can be reached breaks a promise.

The promises in each state: holders, queues, phases and processes are the model's; a mutex has one holder, a step one process;
nothing is let go by who has not ended; a second tick, a sweep and a restart change nothing; where nothing goes on somebody is
named; the record tells the same as the rows. `make exhaustive` looks at larger spaces.
"""

import pytest
from lock_space import search
from test_planted_bugs import a_failed_run_lets_go, a_release_marks_nothing, nobody_is_exempt, one_unit_too_many

SPACES = {  # shapes, bounds, at least so many states
    "circles over two levels": (("m, later s", "s, later m"), {"runs": 3, "limit": 1}, 250),
    "claims of both and of one": (("m+s", "s"), {"runs": 3, "limit": 2}, 140),
    "who may be passed": (("m+s", "m, later s"), {"runs": 2, "limit": 1, "priorities": (0, 1)}, 110),
    "inside and beside": (("m, steps m m", "box s of step m", "steps m | s"), {"runs": 2, "limit": 2}, 150),
    "retries and a gate": (("m, step s",), {"runs": 2, "limit": 1, "retries": 1, "limits": (0,)}, 140),
}


@pytest.mark.parametrize("name", SPACES)
def test_no_order_of_events_breaks_a_promise(tmp_path, name):
    shapes, bounds, states = SPACES[name]
    found = search(tmp_path, shapes, **bounds)
    print(name, dict(found))
    assert found["states"] >= states
    assert (found["stand-stills told as a cycle"] > 0) == (name == "circles over two levels")


@pytest.mark.parametrize("shape", ["m, later s"])
def test_a_death_at_any_write_of_any_step_changes_no_end(tmp_path, shape):
    found = search(tmp_path, (shape,), runs=2, limit=1, crashes=True)
    print(shape, dict(found))
    assert found["crashes"] > 20 * found["states"]


PLANTED = [a_failed_run_lets_go, a_release_marks_nothing, nobody_is_exempt, one_unit_too_many]


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_the_search_finds_a_planted_bug(tmp_path, monkeypatch, plant):
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        search(tmp_path, ("m+s", "m, later s"), runs=2, limit=1, priorities=(0, 1))
