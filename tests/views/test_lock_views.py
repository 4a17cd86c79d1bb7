"""Locks as operators see them: the state, the verdict and its evidence, in the order of who needs a person first."""

from __future__ import annotations

import pytest

from reconciler.errors import NotFound, UsageError
from reconciler.store import read_locks
from reconciler.views.doing import HEALTHY, release
from reconciler.views.instants import epoch_s
from reconciler.views.lock_state import line_of
from reconciler.views.locks import LockList, get_lock, lock_object, table_row

NOW = epoch_s("2026-03-01T12:10:00.000000Z")
BOOT = "this-boot"


def listed(reader, namespace="default"):
    lines = LockList(reader, namespace, BOOT).lines(0)
    return [table_row(line, state, verdict, NOW) for line, state, verdict in lines]


def verdict_of(reader, name):
    return next((row[6], row[7]) for row in listed(reader) if row[0].endswith("/" + name))


def test_locks_are_listed_with_those_first_that_need_a_person(rows, reader, minute):
    rows.lock("a-free")
    rows.claim(rows.run("h", "Running"), "held", [rows.lock("b-held")])
    contended = rows.lock("c-contended")
    rows.claim(rows.run("g", "Running"), "held", [contended])
    rows.claim(rows.run("w1"), "waiting", [contended], at=minute(1))
    rows.claim(rows.run("w2"), "waiting", [contended], at=minute(2))
    rows.claim(rows.run("f", "Failed"), "held", [rows.lock("d-stuck")])
    assert listed(reader) == [
        ("default/Mutex/d-stuck", "Mutex", "1/1", "0", "-", "f", "stuck", "holding for a failure"),
        ("default/Mutex/c-contended", "Mutex", "1/1", "2", "9m", "g", "contended", "healthy"),
        ("default/Mutex/b-held", "Mutex", "1/1", "0", "-", "h", "held", "healthy"),
        ("default/Mutex/a-free", "Mutex", "0/1", "0", "-", "-", "free", "-"),
    ]


def test_only_the_locks_of_the_namespace_are_listed_unless_all_are_asked_for(rows, reader):
    rows.lock("mine")
    rows.lock("theirs", namespace="prod")
    assert [row[0] for row in listed(reader)] == ["default/Mutex/mine"]
    assert [row[0] for row in listed(reader, None)] == ["default/Mutex/mine", "prod/Mutex/theirs"]


@pytest.mark.edge("E23")
def test_a_limit_that_was_lowered_is_not_called_stuck(rows, reader):
    lock = rows.lock("l/two", kind="ConfigMap", capacity=1)
    for name in "ab":
        rows.claim(rows.run(name, "Running"), "held", [lock])
    assert listed(reader)[0][2:] == ("2/1", "0", "-", "a (+1)", "held", "over: limit was lowered")


def test_each_kind_of_trouble_has_its_own_verdict(rows, reader):
    rows.claim(rows.run("gate"), "waiting", [rows.lock("l/closed", kind="ConfigMap", capacity=0)])
    rows.claim(rows.run("unread"), "waiting", [rows.lock("l/unread", kind="ConfigMap", capacity=None)])
    rows.claim(rows.run("woken"), "waiting", [rows.lock("lost")])
    rows.claim(rows.run("done", "Succeeded"), "held", [rows.lock("leaked")])
    gone = rows.run("gone", "Running")
    rows.claim(gone, "held", [rows.lock("no-run")])
    rows.db.execute("DELETE FROM run WHERE id = ?", (gone,))
    booted = rows.run("booted", "Running")
    rows.attempt(booted, rows.node(booted, ".step"), "live", boot_id="an-earlier-boot")
    rows.claim(booted, "held", [rows.lock("rebooted")])
    ending = rows.run("ending", "Running", shutdown="Stop")
    rows.claim(ending, "held", [rows.lock("ending")])
    rows.lock("shut", held_back="let go unproven")
    step = rows.run("steps", "Running")
    ended = rows.node(step, ".over", "Succeeded")
    rows.claim(step, "held", [rows.lock("of-node")], node=ended)
    names = ("closed", "unread", "lost", "leaked", "no-run", "rebooted", "ending", "shut", "of-node")
    assert {name: verdict_of(reader, name) for name in names} == {
        "closed": ("contended", "closed: limit 0"),
        "unread": ("stuck", "limit never read"),
        "lost": ("stuck", "lost wake-up"),
        "leaked": ("stuck", "leaked"),
        "no-run": ("stuck", "leaked"),
        "rebooted": ("stuck", "holder lost"),
        "ending": ("held", "being ended"),
        "shut": ("stuck", "held back until `lineclear unhold`"),
        "of-node": ("stuck", "leaked"),
    }


def test_a_run_that_was_terminated_and_holds_on_is_a_leak_not_a_failure(rows, reader):
    rows.claim(rows.run("ended", "Failed", ended_by="terminate"), "held", [rows.lock("m")])
    assert verdict_of(reader, "m") == ("stuck", "leaked")


@pytest.mark.edge("E73")
def test_a_free_unit_behind_a_head_that_needs_another_lock_is_head_blocked(rows, reader):
    wanted, other = rows.lock("l/two", kind="ConfigMap", capacity=2), rows.lock("m")
    rows.claim(rows.run("holder", "Running"), "held", [other])
    rows.claim(rows.run("first"), "waiting", [wanted, other])
    assert verdict_of(reader, "l/two") == ("contended", "head blocked: it also needs default/Mutex/m")


def test_the_queue_is_shown_in_the_order_of_serving_with_what_else_is_needed(rows, reader, minute):
    lock, other = rows.lock("m"), rows.lock("n")
    holder = rows.run("holder", "Running")
    rows.claim(holder, "held", [lock], node=rows.node(holder, ".deploy(1)"))
    rows.claim(rows.run("plain"), "waiting", [lock], at=minute(1))
    rows.claim(rows.run("urgent", priority=9), "waiting", [lock, other], priority=9, at=minute(2))
    heir = rows.run("heir")
    rows.claim(heir, "waiting", [lock], queue_order=1, at=minute(3))
    found = lock_object(reader, line_of(reader, get_lock(reader, "m", "default")), NOW, BOOT)
    queue = [(w["position"], w["order"], w["run"], w["priority"], w["alsoNeeds"]) for w in found["queue"]]
    assert queue == [(1, 2, "urgent", 9, ["default/Mutex/n"]), (2, 3, "heir", 0, []), (3, 4, "plain", 0, [])]
    assert [(h["run"], h["node"], h["epoch"], h["id"]) for h in found["holders"]] == [
        ("holder", "deploy(1)", 1, "default/Mutex/m#1")
    ]


def test_a_lock_is_named_by_its_key_or_by_the_end_of_one_key(rows, reader):
    for namespace in ("default", "prod"):
        rows.lock("build", namespace=namespace)
    rows.lock("l/x", kind="ConfigMap", namespace="prod", capacity=3)
    assert get_lock(reader, "prod/Mutex/build", "default")["key"] == "prod/Mutex/build"
    assert get_lock(reader, "build", "default")["key"] == "default/Mutex/build"
    assert get_lock(reader, "x", "default")["key"] == "prod/ConfigMap/l/x"
    with pytest.raises(UsageError, match="it could be default/Mutex/build, prod/Mutex/build"):
        get_lock(reader, "build", "staging")
    with pytest.raises(NotFound, match="there is no lock 'biuld'; known are default/Mutex/build"):
        get_lock(reader, "biuld", "default")


def test_a_place_is_let_go_at_any_end_and_why_says_so(rows, reader):
    run = rows.run("deploy", "Running")
    place = rows.lock("shop/cluster=prod", kind="Infrastructure", capacity=1)
    rows.claim(run, "held", [place])
    (holder,) = read_locks.list_holders(reader, place)
    assert release(holder, "default/Infrastructure/shop/cluster=prod", HEALTHY)[0] == "when deploy ends, however it ends"
