"""Limits, widths and names that no run can use: an Error of the node that says so, before anything starts."""

import pytest
from loop_harness import call, making, pod, spec, steps, taking, values

NO_TIME = "which leaves no time at all"
NO_DURATION = "is not a duration"


@pytest.mark.parametrize(("text", "told"), [("0", NO_TIME), ("0s", NO_TIME), ("-5", NO_DURATION), ("soon", NO_DURATION)])
@pytest.mark.parametrize("field", ["activeDeadlineSeconds", "timeout"])
def test_a_limit_of_no_time_is_an_error_before_anything_starts(world, field, text, told):
    limited = taking("t", "x", **{field: "{{inputs.parameters.x}}"})
    world.submit(spec(steps("m", [call("a", "t", given={"x": text})]), limited), "r")
    assert (world.phase("r"), world.nodes("r")["[0].a"]) == ("Failed", "Error")
    assert told in world.told("r", "[0].a")


def test_a_bad_limit_is_not_tried_again(world):
    body = pod("t", retryStrategy={"limit": 5, "retryPolicy": "Always"}, activeDeadlineSeconds="{{workflow.parameters.x}}")
    world.submit({**spec(body), "arguments": {"parameters": [{"name": "x", "value": "0"}]}}, "r")
    assert world.nodes("r") == {"": "Error", "(0)": "Error"}


SEQUENCES = [
    ({"count": "1", "format": "%30000000d"}, "write at most 3"),
    ({"start": "2000000", "count": "1", "format": "%c"}, "cannot be used"),
    ({"count": "1", "format": "%08b"}, "cannot be used"),
    ({"start": "0", "end": "{{workflow.parameters.n}}"}, "give it at most 20000"),
]


@pytest.mark.parametrize(("sequence", "told"), SEQUENCES)
def test_a_sequence_that_no_run_can_use_says_why(world, sequence, told):
    body = spec(steps("m", [call("a", withSequence=sequence)]), pod("p"))
    world.submit({**body, "arguments": {"parameters": values(n="1" + "0" * 30)}}, "r")
    assert world.phase("r") == "Failed"
    assert told in world.told("r", "[0].a")


def test_a_width_of_three_digits_is_fine(world):
    world.submit(spec(steps("m", [call("a", withSequence={"count": "1", "format": "%0120d"})]), pod("p")), "r")
    assert world.running("r") == [f"[0].a(0:{'0' * 120})"]


def test_an_item_has_at_most_256_kib_however_many_texts_it_is_put_together_from(world):
    loop = call("a", withItems=["a", {"k": "{{steps.g.outputs.parameters.o}}", "l": "{{steps.g.outputs.parameters.o}}"}])
    world.submit(spec(steps("m", [call("g", "g")], [loop]), making("g", "o"), pod("p")), "r")
    world.exits("r", "[0].g", outputs={"o": "ü" * 70_000})
    assert world.phase("r") == "Failed"
    assert "give it at most 262144" in world.told("r", "[1].a")


@pytest.mark.parametrize("factor", ["nan", "inf", "1e999", "٢"])
def test_a_factor_has_to_be_a_plain_number(world, factor):
    backoff = {"duration": "1", "factor": "{{workflow.parameters.n}}"}
    body = spec(pod(retryStrategy={"limit": "3", "backoff": backoff}))
    world.submit({**body, "arguments": {"parameters": values(n=factor)}}, "r")
    world.exits("r", "(0)", 1)
    assert world.phase("r") == "Error"
    assert "which is no number" in world.message("r")


@pytest.mark.parametrize("limit", ["٣", "²", "--1"])
def test_a_limit_of_retries_has_to_be_a_plain_number(world, limit):
    body = spec(pod(retryStrategy={"limit": "{{workflow.parameters.n}}"}))
    world.submit({**body, "arguments": {"parameters": values(n=limit)}}, "r")
    world.exits("r", "(0)", 1)
    assert world.phase("r") == "Error"
    assert "which is no whole number" in world.message("r")


@pytest.mark.parametrize("value", ["a\nb", "a\tb", "\x1b[31m", "\x7f"])
def test_a_lock_is_never_named_with_control_characters(world, value):
    locked = taking("t", "x", synchronization={"mutexes": [{"name": "db-{{inputs.parameters.x}}"}]})
    world.submit(spec(steps("m", [call("a", "t", given={"x": value})]), locked), "r")
    assert world.phase("r") == "Failed"
    assert "holds control characters" in world.told("r", "[0].a")
    assert (world.holders(), world.queue()) == ({}, {})


def test_many_groups_that_are_skipped_in_a_row_cost_no_depth(world):
    groups = [[call(f"a{index}", when="false")] for index in range(600)]
    world.submit(spec(steps("m", *groups), pod("p")), "r")
    assert (world.phase("r"), len(world.nodes("r"))) == ("Succeeded", 1201)
