"""A run as Argo's object: what Argo's users and their jsonpath templates rely on."""

from __future__ import annotations

import json

import pytest

from reconciler.store import read_runs
from reconciler.views.instants import epoch_s
from reconciler.views.names import node_id
from reconciler.views.run import run_object
from reconciler.views.waiting import Room

NOW = epoch_s("2026-03-01T12:10:00.000000Z")


def shown(reader, name, namespace="default"):
    return run_object(reader, read_runs.find_run(reader, namespace, name), NOW, Room(reader))


@pytest.mark.edge("E72")
def test_a_waiting_run_names_in_synchronization_who_blocks_it(rows, reader):
    lock = rows.lock("build-lock")
    holder, waiter = rows.run("build-a", "Running"), rows.run("build-b")
    rows.claim(holder, "held", [lock])
    rows.claim(waiter, "waiting", [lock])
    found = shown(reader, "build-b")
    assert found["status"]["synchronization"] == {
        "mutex": {"waiting": [{"mutex": "default/Mutex/build-lock", "holder": "default/build-a"}]}
    }
    assert found["status"]["phase"] == "Pending"
    assert found["metadata"]["labels"] == {
        "workflows.argoproj.io/phase": "Pending",
        "workflows.argoproj.io/sync-id": "default.Mutex.build-lock",
    }
    message = "Waiting for default/Mutex/build-lock lock. Lock status: 0/1; held by build-a; position 1 in the queue, since 10m"
    assert found["status"]["message"] == message
    assert found["status"]["conditions"] == [{"type": "WaitingForLock", "status": "True", "message": message}]


def test_a_semaphore_lists_all_its_holders_and_a_node_is_named_by_its_id(rows, reader):
    lock = rows.lock("limits/db", kind="ConfigMap", capacity=2)
    first, second, waiter = rows.run("one", "Running"), rows.run("two", "Running"), rows.run("three")
    step = rows.node(second, ".migrate")
    rows.claim(first, "held", [lock])
    rows.claim(second, "held", [lock], node=step)
    rows.claim(waiter, "waiting", [lock])
    holder = f"default/two/{node_id('two', '.migrate')}"
    key = "default/ConfigMap/limits/db"
    assert shown(reader, "three")["status"]["synchronization"] == {
        "semaphore": {"waiting": [{"semaphore": key, "holders": ["default/one", holder]}]}
    }
    assert shown(reader, "two")["status"]["synchronization"] == {
        "semaphore": {"holding": [{"semaphore": key, "holders": [holder]}]}
    }


def test_a_failed_run_that_keeps_its_lock_still_shows_it(rows, reader):
    run = rows.run("broken", "Failed", message="child failed")
    rows.claim(run, "held", [rows.lock("build-lock")])
    found = shown(reader, "broken")
    assert found["status"]["synchronization"] == {
        "mutex": {"holding": [{"mutex": "default/Mutex/build-lock", "holder": "default/broken"}]}
    }
    assert found["metadata"]["labels"]["workflows.argoproj.io/completed"] == "true"
    assert [condition["type"] for condition in found["status"]["conditions"]] == ["HoldingForFailure", "Completed"]


def test_a_run_without_locks_has_no_synchronization_and_no_sync_id(rows, reader):
    rows.run("free", "Succeeded")
    found = shown(reader, "free")
    assert "synchronization" not in found["status"]
    assert "workflows.argoproj.io/sync-id" not in found["metadata"]["labels"]


def test_policy_claims_and_nested_claims_are_not_synchronization(rows, reader):
    lock, policy = rows.lock("m"), rows.lock("nightly", kind="Policy")
    run = rows.run("r", "Running")
    rows.claim(run, "held", [policy], level="policy")
    rows.claim(run, "held", [lock])
    inner = rows.node(run, ".inner")
    rows.claim(run, "held", [], node=inner)
    claim = rows.db.execute("SELECT max(id) FROM claim").fetchone()[0]
    own = {"template": "m", "state": "held", "priority": 0, "queue_order": 1, "run_id": run}
    rows.add("claim_lock", claim_id=claim, lock_id=lock, nested=1, mutex=1, **own)
    assert shown(reader, "r")["status"]["synchronization"] == {
        "mutex": {"holding": [{"mutex": "default/Mutex/m", "holder": "default/r"}]}
    }


def test_nodes_are_keyed_by_id_with_children_boundary_and_progress(rows, reader):
    run = rows.run("hello", "Running")
    root = rows.node(run, "", type="Steps", display="hello")
    group = rows.node(run, "[0]", type="StepGroup", parent_id=root, display="[0]")
    rows.node(run, "[0].a", "Failed", parent_id=group, display="a", exit_code=3, message="exit code 3")
    step = rows.node(run, "[0].b", "Pending", parent_id=group, display="b", inputs_json=json.dumps({"x": "1"}))
    rows.claim(run, "waiting", [rows.lock("m", capacity=1)], node=step)
    found = shown(reader, "hello")
    a, b, first = (node_id("hello", name) for name in ("[0].a", "[0].b", "[0]"))
    nodes = found["status"]["nodes"]
    assert set(nodes) == {"hello", first, a, b}
    assert nodes["hello"]["children"] == [first]
    assert nodes[first]["children"] == [a, b]
    assert nodes[first]["boundaryID"] == nodes[a]["boundaryID"] == "hello"
    assert nodes[a]["outputs"] == {"exitCode": "3"}
    assert nodes[b]["inputs"] == {"parameters": [{"name": "x", "value": "1"}]}
    assert nodes[b]["synchronizationStatus"] == {"waiting": "default/Mutex/m"}
    assert found["status"]["progress"] == "1/2"
    assert found["status"]["phase"] == "Running"
    assert found["metadata"]["labels"]["workflows.argoproj.io/sync-id"] == "default.Mutex.m"


def test_metadata_tells_where_a_cron_run_came_from(rows, reader):
    rows.run(
        "nightly-1", "Running", cron="nightly", origin="cron", origin_kind="WorkflowTemplate", origin_name="backup",
        scheduled_at="2026-03-01T02:30:00.000000Z", commit_sha="c" * 40, origin_place="cron/n.yaml:3",
        labels_json='{"team":"db"}', arguments_json='{"k":"v"}', priority=5,
    )  # fmt: skip
    found = shown(reader, "nightly-1")
    assert found["metadata"]["labels"] == {
        "team": "db",
        "workflows.argoproj.io/phase": "Running",
        "workflows.argoproj.io/completed": "false",
        "workflows.argoproj.io/cron-workflow": "nightly",
        "workflows.argoproj.io/workflow-template": "backup",
    }
    assert found["metadata"]["annotations"]["workflows.argoproj.io/scheduled-time"] == "2026-03-01T02:30:00Z"
    assert found["metadata"]["ownerReferences"][0]["name"] == "nightly"
    assert found["spec"]["arguments"] == {"parameters": [{"name": "k", "value": "v"}]}
    assert found["spec"]["priority"] == 5


def test_positions_in_a_list_are_the_queues_whichever_run_is_asked_first(rows, reader):
    lock = rows.lock("m")
    rows.claim(rows.run("holder", "Running"), "held", [lock])
    for number, priority in enumerate((0, 5, 0, 9)):
        rows.claim(rows.run(f"w{number}", priority=priority), "waiting", [lock], priority=priority)
    for names in (("w0", "w1", "w2", "w3"), ("w3", "w2", "w1", "w0")):
        room = Room(reader)
        objects = [run_object(reader, read_runs.find_run(reader, "default", name), NOW, room) for name in names]
        places = {one["metadata"]["name"]: one["status"]["message"].partition("position ")[2][0] for one in objects}
        assert places == {"w3": "1", "w1": "2", "w0": "3", "w2": "4"}


def test_a_run_under_a_policy_says_which_and_where_it_is_written(rows, reader):
    group = rows.lock("Workflow/deploy", kind="Policy")
    rule = {"policy": "Latest", "policy_group": "Workflow/deploy", "policy_place": "deploy.yaml:1, metadata"}
    old, new = rows.run("old", "Running", **rule), rows.run("new", **rule)
    rows.claim(old, "held", [group], level="policy")
    rows.claim(new, "waiting", [group], level="policy")
    found = shown(reader, "new")
    assert found["metadata"]["annotations"] == {
        "lineclear.dev/concurrency-policy": "Latest",
        "lineclear.dev/concurrency-group": "Workflow/deploy",
        "lineclear.dev/concurrency-policy-place": "deploy.yaml:1, metadata",
    }
    assert found["status"]["message"].startswith(
        "Waiting for its turn in default/Policy/Workflow/deploy, as its concurrency policy says; held by old; position 1"
    )
