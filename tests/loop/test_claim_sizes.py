"""How many locks one claim may want: told when the run is made, and nobody else's business."""

import pytest
from loop_harness import API, job, parsed, pod, spec

NAMES = [f"m{number}" for number in range(101)]


@pytest.mark.parametrize(
    ("body", "what"),
    [(job(*NAMES), "the workflow"), (spec(pod("main"), pod("other", *NAMES)), "template other")],
    ids=["workflow", "template"],
)
def test_a_claim_of_more_locks_than_one_may_want_is_refused_when_the_run_is_made(world, body, what):
    manifest = {"apiVersion": API, "kind": "Workflow", "metadata": {"name": "greedy"}, "spec": body}
    told = world.must_not("submit", documents=parsed("greedy.yaml", manifest).documents)
    assert f"{what} wants 101 locks at once, and one claim may want 100 (the setting limits.locks)" in told
    world.submit(job("m0"), "modest")
    assert world.phase("modest") == "Running"


def test_as_many_as_one_may_want_are_taken_and_let_go(world):
    world.submit(job(*NAMES[:100]), "wide")
    assert len(world.holders()) == 100
    world.must("terminate", run="wide")


def test_a_hold_is_a_claim_too(world):
    keys = [f"default/Mutex/{name}" for name in NAMES]
    told = world.must_not("hold", locks=keys, for_s=60, reason="disk swap")
    assert "a hold of 101 locks: one claim may want 100 (the setting limits.locks)" in told
