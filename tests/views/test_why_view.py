"""Why a run waits: the lock, its name, the holder, who is ahead, what releases it; and every other reason for not going on."""

from __future__ import annotations

import json

import pytest

from reconciler.store import read_runs
from reconciler.views.instants import epoch_s
from reconciler.views.why import blame_daemon, explain
from reconciler.views.why_text import why_text

NOW = epoch_s("2026-03-01T12:10:00.000000Z")
BOOT = "this-boot"


def why(reader, name):
    return explain(reader, read_runs.find_run(reader, "default", name), NOW, BOOT)


def test_it_explains_a_queue_behind_a_failed_holder_to_a_person(rows, reader, minute):
    lock = rows.lock("deploy-production")
    failed = rows.run("release-1", "Failed", ttl_at=minute(70))
    root = rows.node(failed, "", "Failed", type="DAG")
    rows.node(failed, ".migrate", "Failed", parent_id=root, exit_code=3)
    rows.claim(failed, "held", [lock])
    rows.claim(rows.run("release-2", priority=5), "waiting", [lock], priority=5, at=minute(1))
    third = rows.run("release-3", arguments_json='{"environment":"production"}')
    resolved = [["workflow.parameters.environment", "production"]]
    template = "deploy-{{workflow.parameters.environment}}"
    rows.claim(third, "waiting", [lock], at=minute(2), template=template, resolved=resolved)
    assert why_text(why(reader, "release-3")) == (
        "release-3 waits for 1 lock, since 8m.\n"
        "\n"
        "Lock default/Mutex/deploy-production (limit 1)\n"
        "  name       deploy-{{workflow.parameters.environment}}\n"
        "             workflow.parameters.environment = production (given by whoever submitted it)\n"
        "  held by    release-1, epoch 1, since 2026-03-01T12:00:00Z: Failed, holding for a failure\n"
        "             it failed at migrate with exit code 3 5m ago and keeps the lock until it is terminated"
        " or its ttlStrategy ends it at 2026-03-01T13:10:00Z (in 1h)\n"
        "  position   2nd in the queue (order 3, counting holders), priority 0, waits 8m\n"
        "  ahead      release-2 (priority 5, a higher priority, waits 9m)\n"
        "  released   when release-1 is terminated, retried to a good end, or replaced by a fixed run that takes over its locks\n"
        "             lineclear logs release-1\n"
        "             lineclear retry release-1\n"
        "             lineclear resubmit release-1 --take-over release-1 --reason TEXT\n"
        "             lineclear terminate-stuck-holder default/Mutex/deploy-production\n"
    )


def test_a_value_that_the_manifest_gives_is_told_from_one_that_was_handed_in(rows, reader):
    parameters = [{"name": "env", "value": "staging"}, {"name": "x", "value": "y"}]
    rows.add("spec", digest="s", spec_json=json.dumps({"arguments": {"parameters": parameters}}))
    lock = rows.lock("deploy-staging-z")
    rows.claim(rows.run("a", "Running"), "held", [lock])
    run = rows.run("b", spec_digest="s", origin_kind="WorkflowTemplate", origin_name="deploy", origin_place="t.yaml:3")
    rows.claim(run, "waiting", [lock], resolved=[["workflow.parameters.env", "staging"], ["workflow.parameters.x", "z"]])
    sources = [value["from"] for value in why(reader, "b")["locks"][0]["resolved"]]
    assert sources == ["WorkflowTemplate/deploy (t.yaml:3)", "given by whoever submitted it"]


def test_a_failed_holder_itself_is_told_what_can_be_done(rows, reader):
    run = rows.run("broken", "Failed")
    rows.claim(run, "held", [rows.lock("m")])
    found = why(reader, "broken")
    assert found["state"] == "keeps-locks"
    assert found["holds"] == ["default/Mutex/m#1"]
    assert "lineclear terminate broken" in found["next"]
    assert "keeps default/Mutex/m until it is terminated" in found["summary"]


def test_a_closed_gate_and_an_unread_limit_and_a_held_back_lock_are_told_apart(rows, reader):
    rows.claim(rows.run("a"), "waiting", [rows.lock("l/gate", kind="ConfigMap", capacity=0)])
    rows.claim(rows.run("b"), "waiting", [rows.lock("l/gone", kind="ConfigMap", capacity=None, limit_source="no ConfigMap l")])
    rows.claim(rows.run("c"), "waiting", [rows.lock("m", held_back="c was let go unproven")])
    until = [why(reader, name)["locks"][0]["releasedWhen"] for name in "abc"]
    assert until[0].startswith("when its limit is raised from 0")
    assert until[1] == "when its limit can be read from the ConfigMap: no ConfigMap l"
    assert until[2] == "when a person opens it again: c was let go unproven"


@pytest.mark.edge("E73")
def test_room_behind_an_earlier_waiter_names_that_waiter(rows, reader):
    wanted, other = rows.lock("l/two", kind="ConfigMap", capacity=2), rows.lock("m")
    rows.claim(rows.run("holder", "Running"), "held", [other])
    rows.claim(rows.run("first"), "waiting", [wanted, other])
    rows.claim(rows.run("second"), "waiting", [wanted])
    found = why(reader, "second")["locks"][0]
    assert found["releasedWhen"] == "it has room; first is ahead and needs another lock as well"
    assert found["position"] == 2


def test_a_cycle_is_drawn(rows, reader):
    x, y = rows.lock("x"), rows.lock("y")
    a, b = rows.run("a", "Running"), rows.run("b", "Running")
    rows.claim(a, "held", [x])
    rows.claim(b, "held", [y])
    rows.claim(a, "waiting", [y], node=rows.node(a, ".one", "Pending"))
    rows.claim(b, "waiting", [x], node=rows.node(b, ".two", "Pending"))
    assert why(reader, "a")["cycle"] == [
        "a waits for default/Mutex/y, held by b",
        "b waits for default/Mutex/x, held by a",
    ]
    assert "nothing moves until one of them is stopped" in why_text(why(reader, "a"))


def test_a_chain_is_no_cycle(rows, reader):
    x, y = rows.lock("x"), rows.lock("y")
    a, b = rows.run("a", "Running"), rows.run("b")
    rows.claim(a, "held", [x])
    rows.claim(b, "held", [y])
    rows.claim(b, "waiting", [x], node=rows.node(b, ".two", "Pending"))
    rows.claim(rows.run("c"), "waiting", [y])
    assert "cycle" not in why(reader, "c")
    assert why(reader, "c")["locks"][0]["holders"][0]["doing"] == "waits itself for default/Mutex/x since 10m"


def test_the_other_reasons_have_a_state_of_their_own(rows, reader):
    old = rows.run("old", "Running", shutdown="Terminate")
    rows.run("new", successor_of=old)
    busy = rows.run("busy", "Running")
    rows.attempt(busy, rows.node(busy, ".work"), "live", boot_id=BOOT)
    slot = rows.run("slot", "Running")
    rows.attempt(slot, rows.node(slot, ".step", "Pending"), "queued")
    rows.run("fresh")
    rows.run("done", "Succeeded")
    names = ("new", "old", "busy", "slot", "fresh", "done")
    states = {name: why(reader, name)["state"] for name in names}
    assert states == {
        "new": "waiting-for-predecessor", "old": "being-ended", "busy": "running", "slot": "waiting-for-slot",
        "fresh": "not-started", "done": "finished",
    }  # fmt: skip
    assert "1 steps run, 0 are ahead" in why(reader, "slot")["summary"]
    assert why_text(why(reader, "done")).startswith("done is not waiting: it ended Succeeded 5m ago")


LATEST = {"policy": "Latest", "policy_group": "Workflow/deploy", "policy_place": "deploy.yaml:1, metadata"}


def test_a_run_behind_another_of_its_group_names_it_and_where_the_policy_is_written(rows, reader):
    group = rows.lock("Workflow/deploy", kind="Policy")
    old, new = rows.run("old", "Running", **LATEST), rows.run("new", **LATEST)
    rows.claim(old, "held", [group], level="policy")
    rows.claim(new, "waiting", [group], level="policy")
    rows.attempt(old, rows.node(old, ".work"), "live", boot_id=BOOT)
    found = why(reader, "new")
    assert (found["state"], found["predecessor"], found["next"]) == ("waiting-for-predecessor", "old", ["lineclear why old"])
    assert found["policy"] == {"policy": "Latest", "group": "Workflow/deploy", "place": "deploy.yaml:1, metadata"}
    told = why_text(found).splitlines()
    assert told[0] == "new waits, since 10m, until old has ended; old runs work since 10m."
    assert told[1].startswith("Concurrency policy Latest of Workflow/deploy (deploy.yaml:1, metadata): one runs, and of those")


def test_a_run_behind_one_that_is_being_ended_says_so(rows, reader):
    group = rows.lock("c", kind="Policy")
    old, new = rows.run("old", "Running", shutdown="Terminate"), rows.run("new")
    rows.claim(old, "held", [group], level="policy")
    rows.claim(new, "waiting", [group], level="policy")
    assert why(reader, "new")["summary"] == "new waits, since 10m, until old has ended; old is being terminated"


def test_parallelism_is_not_blamed_while_fewer_steps_run_than_it_lets(rows, reader):
    slot = rows.run("slot", "Running")
    rows.attempt(slot, rows.node(slot, ".step", "Pending"), "queued")
    found = why(reader, "slot")
    idle, gone = blame_daemon(found, 4, is_running=True), blame_daemon(found, 4, is_running=False)
    assert idle["state"] == gone["state"] == "waiting-for-daemon"
    assert "its step step waits to be started since 10m: the daemon starts it in a moment, or was told to end" in idle["summary"]
    assert "no daemon is running, and nothing else starts steps; 0 of 4 slots are taken" in gone["summary"]
    assert not any("parallelism" in one["summary"] for one in (idle, gone))
    assert blame_daemon(found, 0, is_running=True) == found


def test_a_limit_whose_map_is_gone_says_which_limit_counts(rows, reader):
    source = "ConfigMap default/limits is not in the repository"
    kept = rows.lock("limits/db", kind="ConfigMap", capacity=1, limit_source=source)
    rows.claim(rows.run("a", "Running"), "held", [kept])
    rows.claim(rows.run("b"), "waiting", [kept])
    assert f"  limit      {source}: the limit that was read last, 1, stays\n" in why_text(why(reader, "b"))
    never = rows.lock("limits/gpu", kind="ConfigMap", capacity=None, limit_source=source)
    rows.claim(rows.run("c"), "waiting", [never])
    assert f"  limit      {source}: no limit was ever read, so it admits nobody\n" in why_text(why(reader, "c"))
    well = rows.lock("limits/cpu", kind="ConfigMap", capacity=0, limit_source="my maps/limits.yaml:3")
    rows.claim(rows.run("d"), "waiting", [well])
    assert "  limit  " not in why_text(why(reader, "d"))


def test_foreign_text_in_an_explanation_is_cleaned(rows, reader):
    rows.run("bad", "Failed", message="\x1b[2J\u202e")
    assert "\\x1b[2J\\u202e" in why_text(why(reader, "bad"))


def test_of_many_locks_and_holders_the_first_are_explained_and_the_rest_are_counted(rows, reader):
    locks = [rows.lock(f"m{number}") for number in range(30)]
    for number, lock in enumerate(locks):
        rows.claim(rows.run(f"holder-{number}", "Running"), "held", [lock])
    rows.claim(rows.run("greedy"), "waiting", locks)
    row = read_runs.find_run(reader, "default", "greedy")
    found, whole = explain(reader, row, NOW, BOOT), explain(reader, row, NOW, BOOT, -1)
    assert (len(found["locks"]), found["locksLeftOut"]) == (20, 10)
    assert found["next"] == ["lineclear why greedy --all"]
    assert "waits for 30 locks, all or none" in found["summary"]
    assert "And 10 more locks, which --all explains." in why_text(found)
    assert (len(whole["locks"]), "locksLeftOut" in whole) == (30, False)
