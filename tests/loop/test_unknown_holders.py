"""A holder of which nothing proves whether it lives: whatever time, policies and people ask for, nothing of it is let go."""

import json
from datetime import timedelta

import pytest

from reconciler.model.attempt import AttemptId, Exited, HolderFound, Lost

KEY = "default/Mutex/m"
MUTEX = {"mutexes": [{"name": "m"}]}
WHY = "its shim was lost and nothing proves that its processes ended"


def pod(name="main", **more):
    return {"name": name, "container": {"image": "host", "command": ["true"]}, **more}


def holding(**more):
    return {"entrypoint": "main", "synchronization": MUTEX, "templates": [pod()], **more}


def node_level():
    inside = {"name": "main", "steps": [[{"name": "a", "template": "p"}]]}
    return {"entrypoint": "main", "templates": [inside, pod("p", synchronization=MUTEX)]}


def cron(name, policy):
    spec = {"schedules": ["* * * * *"], "timezone": "UTC", "concurrencyPolicy": policy}
    spec["workflowSpec"] = {"entrypoint": "main", "templates": [pod()]}
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "CronWorkflow", "metadata": {"name": name}, "spec": spec}


def unknown_run(world, spec=None, name="lost", node="", **args):
    run = world.submit(spec or holding(), name=name, **args)
    world.is_unknown(run, node, 4711)
    return run


def holders(world, key=KEY):
    sql = (
        "SELECT r.name FROM claim_lock cl JOIN lock l ON l.id = cl.lock_id JOIN run r ON r.id = cl.run_id"
        " WHERE l.key = ? AND cl.state = 'held' ORDER BY r.id"
    )
    return [row[0] for row in world.rows(sql, key)]


def unknown_at(world, run):
    sql = (
        "SELECT unknown_at, unknown FROM attempt a JOIN run r ON r.id = a.run_id"
        " WHERE r.name = ? AND a.state IN ('intended', 'live')"
    )
    return world.one(sql, run)


def kinds(world):
    return [row[0] for row in world.rows("SELECT kind FROM journal ORDER BY seq")]


def held_back(world, key=KEY):
    return world.one("SELECT held_back FROM lock WHERE key = ?", key)[0]


def test_a_lost_shim_ends_nothing(world):
    run = unknown_run(world)
    waiter = world.submit(holding(), name="next")
    world.tick(3600)
    assert (world.phase(run), world.nodes(run)) == ("Running", {"": "Running"})
    assert unknown_at(world, run)[1] == f"{WHY}; pids seen: 4711"
    assert (holders(world), world.phase(waiter)) == ([run], "Pending")
    assert kinds(world).count("attempt.unknown") == 1
    assert world.sweep_changes() == 0


def test_since_when_it_is_unknown_stays_whatever_is_seen_later(world):
    run = unknown_run(world)
    since = unknown_at(world, run)[0]
    world.tick(60)
    world.is_unknown(run, "")
    assert unknown_at(world, run) == (since, WHY)
    assert kinds(world).count("attempt.unknown") == 1


def test_no_retry_begins(world):
    run = world.submit(holding(templates=[pod(retryStrategy={"limit": "3", "retryPolicy": "Always"})]), name="lost")
    node = next(name for name in world.nodes(run) if name.endswith("(0)"))
    world.is_unknown(run, node)
    world.tick(3600)
    assert set(world.nodes(run)) == {"", node}


@pytest.mark.parametrize("how", ["deadline", "stop", "terminate", "delete"])
def test_no_exit_handler_begins_and_nothing_is_let_go(world, how):
    late = {"activeDeadlineSeconds": 10} if how == "deadline" else {}
    run = unknown_run(world, holding(templates=[pod(), pod("bye")], onExit="bye", **late))
    waiter = world.submit(holding(), name="next")
    if how == "deadline":
        world.tick(60)
    else:
        world.must(how, run=run, **({"force": True} if how == "delete" else {}))
    world.tick(3600)
    assert world.nodes(run) == {"": "Running"}
    assert (holders(world), world.phase(waiter)) == ([run], "Pending")
    assert world.one("SELECT stop FROM attempt ORDER BY id LIMIT 1")[0] != ""


@pytest.mark.parametrize("verb", ["stop", "terminate"])
def test_who_asks_for_its_end_is_told_that_it_keeps_its_locks(world, verb):
    run = unknown_run(world)
    told = world.must(verb, run=run)["message"]
    assert told.startswith(f"{verb} requested; it keeps its locks: holder unknown: {WHY}")
    assert "--release-unproven" in told


def test_a_step_past_its_own_deadline_goes_on(world):
    run = unknown_run(world, holding(templates=[pod(activeDeadlineSeconds=10)]))
    world.tick(3600)
    assert (world.phase(run), holders(world)) == ("Running", [run])


def test_a_template_level_lock_stays(world):
    spec = node_level()
    run = unknown_run(world, spec, node="[0].a")
    other = world.submit(spec, name="next")
    world.must("terminate", run=run)
    world.tick(3600)
    assert holders(world) == [run]
    assert world.nodes(other)["[0].a"] == "Pending"


def test_on_failure_release_and_argo_lets_nothing_go_before_the_end(world):
    body = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow"}
    body |= {"metadata": {"name": "lost", "annotations": {"lineclear.dev/on-failure": "Release"}}, "spec": holding()}
    world.push(body)
    world.is_unknown("lost", "")
    world.must("terminate", run="lost")
    world.tick(3600)
    assert holders(world) == ["lost"]


def test_its_locks_cannot_be_taken_over(world):
    run = unknown_run(world)
    told = world.must_not("resubmit", run=run, take_over=run, reason="fixed")
    assert "only an ended run's locks can be taken over" in told
    assert holders(world) == [run]


def test_its_slot_stays_taken(world):
    world.parallelism = 1
    world.crash()
    run = unknown_run(world, {"entrypoint": "main", "templates": [pod()]})
    other = world.submit({"entrypoint": "main", "templates": [pod()]}, name="other")
    world.must("terminate", run=run)
    world.tick(60)
    assert world.nodes(other) == {"": "Pending"}


def test_forbid_skips_and_a_replace_successor_waits(world):
    for policy in ("Forbid", "Replace"):
        name = policy.lower()
        world.push(cron(name, policy), path=f"{name}.yaml")
        world.tick(61)
        run = world.one("SELECT name FROM run WHERE cron = ?", name)[0]
        world.is_unknown(run, "")
        world.tick(600)
        rows = world.rows("SELECT decision FROM tick WHERE cron = ? ORDER BY due_at", name)
        assert rows[-1] == (("forbidden" if policy == "Forbid" else "replaced"),)
        live = world.rows("SELECT count(*) FROM attempt a JOIN run r ON r.id = a.run_id WHERE r.cron = ?", name)
        assert live == [(1,)]
        assert world.phase(run) == "Running"


def test_an_end_that_is_proven_after_all_counts(world):
    run = unknown_run(world)
    waiter = world.submit(holding(), name="next")
    world.exits(run, "", 0)
    assert (world.phase(run), holders(world), world.message(run)) == ("Succeeded", [waiter], "")


def test_a_lost_end_that_is_proven_after_all_counts(world):
    run = unknown_run(world)
    world.is_lost(run, "")
    assert world.phase(run) == "Error"


def test_a_shim_that_is_found_again_ends_the_doubt(world):
    run = unknown_run(world)
    attempt = AttemptId(world.attempt_of(run, ""))
    world.runtime.seen.append(HolderFound(attempt_id=attempt, at=world.clock.at))
    world.tick()
    assert unknown_at(world, run) == (None, "")
    assert kinds(world)[-1] == "attempt.found"
    assert "no process of lost is unknown" in world.must_not("terminate", run=run, release_unproven=True, message="looked")


def clear(world, run, **more):
    epoch = world.one("SELECT epoch FROM claim c JOIN run r ON r.id = c.run_id WHERE r.name = ? AND c.state = 'held'", run)[0]
    return {"lock": KEY, "epoch": epoch, "reason": "looked at the host", **more}


def test_terminating_the_holder_releases_nothing_and_says_what_would(world):
    run = unknown_run(world)
    told = world.must("terminate_stuck_holder", **clear(world, run))
    assert told["state"] == "unproven"
    assert f"`lineclear terminate-stuck-holder {KEY} --release-unproven`" in told["message"]
    world.tick(3600)
    assert holders(world) == [run]


def test_a_person_lets_go_and_the_lock_admits_nobody_until_unhold(world):
    run = unknown_run(world)
    waiter = world.submit(holding(), name="next")
    attempt = world.attempt_of(run, "")
    told = world.must("terminate_stuck_holder", **clear(world, run, release_unproven=True))
    assert (told["state"], told["next"]) == ("held back", waiter)
    assert (world.phase(run), world.nodes(run), holders(world)) == ("Failed", {"": "Error"}, [])
    assert world.told(run, "") == "holder unknown, let go unproven by a person: looked at the host"
    assert held_back(world).startswith("lost was let go unproven (looked at the host)")
    actor, detail = world.one("SELECT actor, detail_json FROM journal WHERE kind = 'claim.released-unproven'")
    assert (actor, json.loads(detail)["reason"]) == ("tester", "looked at the host")
    world.tick(60)
    assert world.phase(waiter) == "Pending"
    for seen in (
        Exited(attempt_id=AttemptId(attempt), exit_code=0, signal=None, at=world.clock.at),
        Lost(attempt_id=AttemptId(attempt), at=world.clock.at, began=True, evidence="late"),
    ):
        world.runtime.seen.append(seen)
        world.tick()
    assert (world.phase(run), world.one("SELECT state FROM attempt WHERE id = ?", attempt)) == ("Failed", ("lost",))
    world.must("unhold", lock=KEY, reason="it is gone")
    assert holders(world) == [waiter]


def test_every_lock_that_the_unknown_was_under_is_held_back(world):
    inner = {"mutexes": [{"name": "inner"}]}
    spec = holding(templates=[{"name": "main", "steps": [[{"name": "a", "template": "p"}]]}, pod("p", synchronization=inner)])
    run = unknown_run(world, spec, node="[0].a")
    world.must("terminate", run=run, release_unproven=True, message="looked at the host")
    assert world.phase(run) == "Failed"
    assert held_back(world)
    assert held_back(world, "default/Mutex/inner")
    assert holders(world) == holders(world, "default/Mutex/inner") == []
    assert "run.released-unproven" in kinds(world)


def test_a_run_without_locks_can_be_let_go_too(world):
    run = unknown_run(world, {"entrypoint": "main", "templates": [pod()]})
    assert "wants a reason" in world.must_not("terminate", run=run, release_unproven=True)
    world.must("terminate", run=run, release_unproven=True, message="looked at the host")
    assert world.phase(run) == "Failed"


def test_only_the_unknown_is_let_go_of_a_run_whose_other_steps_live(world):
    steps = [[{"name": "a", "template": "p"}, {"name": "b", "template": "p"}]]
    run = unknown_run(world, holding(templates=[{"name": "main", "steps": steps}, pod("p")]), node="[0].a")
    world.must("terminate", run=run, release_unproven=True, message="looked at the host")
    assert (world.nodes(run)["[0].a"], world.nodes(run)["[0].b"], world.phase(run)) == ("Error", "Running", "Running")
    assert holders(world) == [run]
    world.exits(run, "[0].b", 143)
    assert (world.phase(run), holders(world)) == ("Failed", [])


def test_letting_go_of_one_node_only_is_refused(world):
    spec = node_level()
    run = unknown_run(world, spec, node="[0].a")
    told = world.must_not("terminate_stuck_holder", **clear(world, run, release_unproven=True, node_only=True))
    assert "exclude each other" in told


def test_nobody_waits_for_an_unknown_holder_at_the_daemons_end(world):
    run = unknown_run(world)
    assert not world.loop.has_active_attempts()
    world.loop.stop_everything()
    world.tick()
    assert world.one("SELECT stop FROM attempt")[0] == "kill"
    world.must("terminate", run=run)
    assert not world.loop.has_active_attempts()
    other = world.submit({"entrypoint": "main", "templates": [pod()]}, name="other")
    world.must("terminate", run=other)
    assert world.loop.has_active_attempts()


def test_history_limits_and_ttl_remove_no_unknown_holder(world):
    run = unknown_run(world, holding(ttlStrategy={"secondsAfterCompletion": 1}))
    world.must("terminate", run=run)
    world.tick(timedelta(days=60).total_seconds())
    assert holders(world) == [run]
