"""Freeze windows of LockPolicies: nobody is let in while one is open, nobody is put out, and what waited goes on at its end."""

import json
from datetime import timedelta

import pytest
from loop_harness import job, parsed, pod, spec, steps

from reconciler.lint import lint_files
from reconciler.manifest import parse_file

OWN = "lineclear.dev/v1alpha1"
KEY = "default/Mutex/m"
EVENING = {"schedule": "0 13 * * *", "duration": "2h", "timezone": "UTC", "reason": "evening"}  # the world begins at noon
HOUR = 3600


def freeze(world, *windows, locks=("m",)):
    body = {"apiVersion": OWN, "kind": "LockPolicy", "metadata": {"name": "p"}}
    world.push({**body, "spec": {"locks": list(locks), "freeze": list(windows or (EVENING,))}}, path="policy.yaml")


def submit(world, name, **annotations):
    body = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": name}, "spec": job("m")}
    body["metadata"]["annotations"] = {f"lineclear.dev/{key.replace('_', '-')}": text for key, text in annotations.items()}
    return world.must("submit", documents=parsed(f"{name}.yaml", body).documents)["runs"][0]


def test_a_window_lets_its_holder_finish_and_nobody_in_until_its_end(world):
    freeze(world)
    world.submit(job("m"), "r0")
    world.tick(HOUR)
    world.submit(job("m"), "r1")
    assert world.holders("m") == ["r0"]
    world.exits("r0", "")
    assert (world.holders("m"), world.queue("m"), world.sweep_changes()) == ([], ["r1"], 0)
    world.tick(2 * HOUR - 1)
    assert world.holders("m") == []
    assert world.loop.pause_s() <= 1.0
    world.tick(1)
    assert world.holders("m") == ["r1"]
    assert [len(world.journal(kind)) for kind in ("lock.frozen", "lock.thawed")] == [1, 1]


def test_a_lock_that_is_first_asked_for_in_a_window_is_closed_from_the_start(world):
    freeze(world)
    world.tick(HOUR)
    told = submit(world, "r0")
    assert (world.holders("m"), told["phase"]) == ([], "Pending")
    assert "frozen until 2026-03-01T15:00:00Z by LockPolicy p (policy.yaml:1): evening" in told["message"]
    world.tick(2 * HOUR)
    assert world.holders("m") == ["r0"]


def test_a_policy_that_comes_changes_or_goes_counts_at_once(world):
    world.limits(s0=1)
    world.tick(HOUR)
    world.submit(job("m"), "r0")
    freeze(world)
    world.submit(job("m"), "r1")
    world.exits("r0", "")
    assert world.holders("m") == []
    freeze(world, {**EVENING, "duration": "30m"})
    world.tick(1800)
    assert world.holders("m") == ["r1"]
    freeze(world)
    world.submit(job("m"), "r2")
    world.exits("r1", "")
    assert world.holders("m") == []
    world.push(removed=("policy.yaml",))
    assert world.holders("m") == ["r2"]


@pytest.mark.parametrize("frozen_at_crash", [True, False])
def test_a_boundary_that_passed_while_no_daemon_ran_counts_in_the_first_tick(world, frozen_at_crash):
    freeze(world)
    world.submit(job("m"), "r0")
    if frozen_at_crash:
        world.tick(HOUR)
    world.submit(job("m"), "r1")
    world.clock.at += timedelta(hours=2 if frozen_at_crash else 1)
    world.crash()
    world.exits("r0", "")
    assert world.holders("m") == (["r1"] if frozen_at_crash else [])


def test_a_clock_that_is_set_back_before_the_window_opens_the_lock_again(world):
    freeze(world)
    world.submit(job("m"), "r0")
    world.tick(HOUR)
    world.exits("r0", "")
    world.submit(job("m"), "r1")
    assert world.holders("m") == []
    world.clock.set_by = timedelta(minutes=-30)
    world.tick(-1800)
    assert world.holders("m") == ["r1"]
    world.tick(1800)
    assert world.journal("lock.frozen")[-1]["until"].startswith("2026-03-01T15:00")


def test_a_run_that_overrides_passes_those_that_wait_and_the_record_says_why(world):
    freeze(world)
    world.tick(HOUR)
    submit(world, "r0")
    submit(world, "r1", override_freeze="site is down")
    assert (world.holders("m"), world.queue("m")) == (["r1"], ["r0"])
    (told,) = world.journal("freeze.overridden", "r1")
    assert (told["reason"], told["until"][:16]) == ("site is down", "2026-03-01T15:00")
    submit(world, "r2", override_freeze="still down")
    assert world.queue("m") == ["r0", "r2"]
    world.exits("r1", "")
    assert (world.holders("m"), world.queue("m")) == (["r2"], ["r0"])


def test_an_override_holds_for_one_run_and_wants_a_reason(world):
    freeze(world)
    world.tick(HOUR)
    body = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": "r0"}, "spec": job("m")}
    documents = parsed("r0.yaml", body).documents
    assert "reason" in world.must_not("submit", documents=documents, override_freeze=True)
    world.must("submit", documents=documents, override_freeze=True, reason="site is down")
    assert world.holders("m") == ["r0"]
    world.exits("r0", "")
    (again,) = world.must("resubmit", run="r0")["runs"]
    assert (world.holders("m"), world.queue("m")) == ([], [again["name"]])


def test_a_frozen_lock_can_be_held_for_maintenance(world):
    freeze(world)
    world.tick(HOUR)
    submit(world, "r0")
    held = world.must("hold", locks=[KEY], for_s=60, reason="disk swap")["runs"][0]["name"]
    assert (world.holders("m"), world.queue("m")) == ([held], ["r0"])
    world.tick(60)
    assert (world.holders("m"), world.queue("m")) == ([], ["r0"])


def test_all_or_none_also_if_one_of_the_locks_is_frozen(world):
    freeze(world)
    world.tick(HOUR)
    world.submit(job("m", "x"), "r0")
    world.submit(job("x"), "r1")
    assert (world.holders(), world.queue("x")) == ({}, ["r0", "r1"])
    world.tick(2 * HOUR)
    assert world.holders() == {"m": ["r0"], "x": ["r0"]}


def test_nobody_is_overtaken_into_a_frozen_lock(world):
    body = {"apiVersion": OWN, "kind": "LockPolicy", "metadata": {"name": "p"}}
    world.limits(s0=5)
    world.push({**body, "spec": {"locks": ["limits/s0"], "order": "Overtake", "freeze": [EVENING]}})
    world.tick(HOUR)
    for name in ("r0", "r1"):
        world.submit(job("s0"), name)
    assert world.holders() == {}
    world.tick(2 * HOUR)
    assert world.holders("s0") == ["r0", "r1"]


def test_a_step_inside_a_holder_takes_its_turn_in_a_window(world):
    freeze(world)
    world.submit(spec(steps("main", ["one"], ["two"]), pod("one"), pod("two", "m"), locks=("m",)), "r0")
    world.tick(HOUR)
    world.exits("r0", "[0].one")
    assert world.running("r0") == ["[1].two"]


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("schedule", "0 25 * * *", "LC601"),
        ("timezone", "Mars/Base", "LC602"),
        ("timezone", None, "LC204"),
        ("duration", "soon", "LC205"),
        ("duration", "9000h", "LC205"),
        ("schedul", "x", "LC201"),
    ],
)
def test_a_window_that_means_nothing_is_refused_by_lint(field, value, told):
    window = {name: text for name, text in {**EVENING, field: value}.items() if text is not None}
    body = {"apiVersion": OWN, "kind": "LockPolicy", "metadata": {"name": "p"}, "spec": {"locks": ["m"], "freeze": [window]}}
    file = parse_file("p.yaml", "blob", json.dumps(body).encode())
    assert told in " ".join(str(finding) for finding in [*file.findings, *lint_files([file], {})])
