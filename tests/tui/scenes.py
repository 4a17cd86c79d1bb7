"""Values for the screen's tests: one consistent incident at a fixed instant, and a reader that tells it."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tui.core.actions import Outcome, OutcomeKind, Plan, Reach, TerminatePlan
from tui.core.model import (
    Attempt,
    CommitRow,
    CronRow,
    DaemonKind,
    DaemonState,
    Failure,
    Finding,
    GitDetail,
    Hold,
    Holder,
    JournalRow,
    LockDetail,
    LockRow,
    LockState,
    LogChunk,
    NodeRow,
    RunDetail,
    RunKey,
    RunRow,
    RunState,
    Snapshot,
    SyncState,
    Unchanged,
    Waiter,
    Waits,
)

NOW = datetime(2026, 3, 1, 22, 41, 7, tzinfo=UTC)


def ago(**span) -> datetime:
    return NOW - timedelta(**span)


def key(name, namespace="default"):
    return RunKey(namespace=namespace, name=name)


def holder(run, since, epoch, *, lock="default/Mutex/prod-db", is_stuck=False, node=""):
    verdict, evidence = ("holding for a failure", "its run ended Failed by itself and was not terminated since")
    return Holder(
        claim=epoch,
        epoch=epoch,
        id=f"{lock}#{epoch}",
        namespace="default",
        run=run,
        node=node,
        phase="Failed" if is_stuck else "Running",
        since=since,
        verdict=verdict if is_stuck else "healthy",
        evidence=evidence if is_stuck else "its run has not ended",
        is_stuck=is_stuck,
        doing="failed at migrate with exit code 3 4h02m ago" if is_stuck else "runs deploy since 11m",
    )


def lock(name, state, *, kind="Mutex", capacity=1, holders=(), queue=0, waits=None, head=""):
    return LockRow(
        key=f"default/{kind}/{name}",
        kind=kind,
        namespace="default",
        name=name,
        state=state,
        capacity=capacity,
        held=len(holders),
        holders=tuple(holders),
        since=min((one.since for one in holders), default=None),
        queue_length=queue,
        waiting_since=waits,
        next_run=key(head) if head else None,
        verdict=holders[0].verdict if holders else "",
        evidence=holders[0].evidence if holders else "",
    )


PROD = lock(
    "prod-db",
    LockState.STUCK,
    holders=[holder("migrate-7f2qd", ago(hours=4, minutes=12), 41, is_stuck=True)],
    queue=14,
    waits=ago(hours=4, minutes=2),
    head="deploy-api-k8x2p",
)
LOCKS = (
    PROD,
    lock(
        "gpu-pool",
        LockState.CONTENDED,
        kind="ConfigMap",
        capacity=4,
        holders=[holder(f"train-{name}", ago(minutes=38 - n), 50 + n) for n, name in enumerate("abcd")],
        queue=6,
        waits=ago(minutes=20),
        head="train-e",
    ),
    lock(
        "terraform/core",
        LockState.CONTENDED,
        holders=[holder("tf-apply-p8k2", ago(minutes=11), 60)],
        queue=5,
        waits=ago(minutes=9),
        head="tf-plan-1",
    ),
    lock("dns-zone", LockState.HELD, holders=[holder("dns-sync-p0a", ago(seconds=12), 61)]),
    lock("cache-warm", LockState.HELD, holders=[holder("warm-eu-11c", ago(seconds=48), 62)]),
    lock("release-notes", LockState.FREE),
    lock("nightly", LockState.FREE),
)


def run(number, name, state, *, phase="Pending", waits=None, holds=0, **more):
    values = {
        "workflow": name.rpartition("-")[0],
        "created_at": ago(minutes=10 * number),
        "origin": "git",
        "by": "bob",
        "commit": "3f2a1c" + "0" * 34,
    }
    return RunRow(
        id=100 - number, namespace="default", name=name, phase=phase, state=state, waits_for=waits, holds=holds, **values | more
    )


def waits(position, lock_key="default/Mutex/prod-db", **span):
    return Waits(lock=lock_key, position=position, since=ago(**span))


API = run(
    1, "deploy-api-k8x2p", RunState.WAITING, phase="Running", waits=waits(1, hours=4, minutes=2), nodes_done=5, nodes_total=11,
    started_at=ago(hours=4, minutes=4),
)  # fmt: skip
RUNS = (
    API,
    run(2, "deploy-web-1bb2c", RunState.WAITING, waits=waits(2, hours=3, minutes=50)),
    run(3, "tf-apply-p8k2", RunState.RUNNING, phase="Running", holds=1, nodes_done=1, nodes_total=3, started_at=ago(minutes=11)),
    run(4, "migrate-7f2qd", RunState.HOLDING, phase="Failed", holds=1, message="exit code 3", origin="cron", by="cron",
        nodes_done=2, nodes_total=2, started_at=ago(hours=4, minutes=12), finished_at=ago(hours=4, minutes=2)),
    run(5, "report-x1", RunState.SUCCEEDED, phase="Succeeded", nodes_done=1, nodes_total=1, finished_at=ago(minutes=30)),
    run(6, "etl-5k1", RunState.FAILED, phase="Failed", message="exit code 1", finished_at=ago(minutes=31)),
)  # fmt: skip
COMMITS = (
    CommitRow(id=3, sha="9c01d2" + "1" * 34, author="bob", subject="drop everything", state="held", seen_at=ago(minutes=2),
              applied_at=None, message="would remove 12 of 14 definitions"),
    CommitRow(id=2, sha="3f2a1c" + "0" * 34, author="bob", subject="fix pool name", state="applied", seen_at=ago(minutes=50),
              applied_at=ago(minutes=50), outcome="1 changed, 2 runs"),
    CommitRow(id=1, sha="77e0aa" + "2" * 34, author="carol", subject="first", state="superseded", seen_at=ago(hours=9),
              applied_at=ago(hours=9), outcome="14 new"),
)  # fmt: skip
SYNC = SyncState(head=COMMITS[0], applied=COMMITS[1], held=COMMITS[0], bad_files=1)
CRONS = (
    CronRow(namespace="default", name="nightly", schedules=("0 23 * * *",), timezone="UTC", policy="Forbid", suspended=False,
            is_override=False, next_at=NOW + timedelta(minutes=19), last_at=ago(hours=23), last_decision="forbidden", active=1,
            ticks=("forbidden", "ran", "ran")),
    CronRow(namespace="default", name="weekly", schedules=("0 3 * * 0",), timezone="", policy="Replace", suspended=True,
            is_override=True, next_at=None, last_at=None, last_decision="", active=0),
)  # fmt: skip
JOURNAL = (
    JournalRow(seq=4412, at=ago(minutes=1), kind="terminated", actor="alice", namespace="default", run="nightly-31",
               subject="default/Mutex/nightly", text="holder terminated: worker gone",
               detail={"reason": "worker gone", "epoch": 40}),
    JournalRow(seq=4411, at=ago(minutes=3), kind="submitted", actor="bob", namespace="default", run="deploy-api-k8x2p",
               subject="", text="from git", detail={}),
    JournalRow(seq=4410, at=ago(minutes=50), kind="applied", actor="git", namespace="", run="", subject="3f2a1c",
               text="1 changed", detail={}),
)  # fmt: skip
SNAPSHOT = Snapshot(
    at=NOW,
    revision=1,
    instance="one",
    daemon=DaemonState(kind=DaemonKind.RUNS, text="pid 312, version 0.1.0", pid=312),
    locks=LOCKS,
    runs=RUNS,
    run_total=9812,
    waiting_total=27,
    crons=CRONS,
    sync=SYNC,
)
QUEUE = tuple(
    Waiter(position=n, namespace="default", run=name, node="", since=ago(minutes=242 - 12 * n), priority=0,
           also_needs=((("default/ConfigMap/gpu-pool", LockState.CONTENDED),) if n == 3 else ()))
    for n, name in enumerate(["deploy-api-k8x2p", "deploy-web-1bb2c", "migrate-8c1zz", "deploy-ui-77ad0", "deploy-api-m31qq"], 1)
)  # fmt: skip


def lock_detail(row):
    return LockDetail(
        row=row,
        holders=row.holders,
        queue=QUEUE if row.queue_length else (),
        history=JOURNAL[:1],
        holds=(
            Hold(lock=row.key, namespace="default", run="migrate-6d", node="", epoch=39, since=ago(hours=9), until=ago(hours=8)),
        ),
        median_hold=timedelta(minutes=6) if row.holders else None,
        released_when="when migrate-7f2qd is terminated, retried to a good end, or replaced" if row.holders else "",
        actions=("lineclear logs migrate-7f2qd", f"lineclear terminate-stuck-holder {row.name}") if row.queue_length else (),
    )


def node(number, name, phase, *, depth=1, children=(), kind="Pod", **more):
    ended = phase in ("Succeeded", "Failed", "Error", "Skipped")
    return NodeRow(
        id=number, name=name, label=name.rpartition(".")[2] or "deploy-api-k8x2p", type=kind, phase=phase, depth=depth,
        started_at=None if phase in ("", "Pending") else ago(hours=4, minutes=4),
        finished_at=ago(hours=4, minutes=3) if ended else None, children=tuple(children), attempt=number if kind == "Pod" else 0,
        **more,
    )  # fmt: skip


ROOTS = (
    node(1, "", "Running", depth=0, kind="DAG", children=[
        node(2, ".checkout", "Succeeded"),
        node(3, ".build", "Succeeded", kind="TaskGroup", children=[
            node(4, ".build.amd64", "Succeeded", depth=2),
            node(5, ".build.arm64", "Failed", depth=2, exit_code=2, message="no space left"),
        ]),
        node(6, ".acquire", "Pending", waits_for=waits(1, hours=4, minutes=2)),
        node(0, ".migrate", ""),
    ]),
)  # fmt: skip


def run_detail(row):
    return RunDetail(
        row=row,
        root=ROOTS,
        why=(
            "deploy-api-k8x2p waits for 1 lock, since 4h02m.",
            "",
            "Lock default/Mutex/prod-db (limit 1)",
            "  held by    migrate-7f2qd, epoch 41: Failed, holding for a failure",
            "  position   1st in the queue (order 2, counting holders), priority 0",
            "What you can do:",
            "  lineclear terminate-stuck-holder prod-db",
        ),
        parameters=(("env", "prod"), ("tag", "v4.2.1")),
        holds=(),
        attempts=(Attempt(id=2, node="checkout", state="exited", pid=1, log_path="/log", queued_at=NOW, finished_at=NOW),),
        place="wf/deploy-api.yaml:1",
    )


GIT = GitDetail(
    sync=SYNC,
    commits=COMMITS,
    findings=(
        Finding(path="wf/etl.yaml", line=14, column=5, rule="LC210", severity="error", message="unknown semaphore 'gpu-pol'"),
    ),
    definitions=(("wf/a.yaml", "WorkflowTemplate", "default/a"),),
)
LOG = (*(f"line {number} of the log" for number in range(1, 9)), "ERROR: no space left", "done")


class Script:
    """A reader whose answers the test sets. `polls` counts; `answer` is given for every poll until it is changed."""

    def __init__(self, snapshot=SNAPSHOT):
        self.answer = snapshot
        self.snapshot = snapshot
        self.git_detail = GIT
        self.entries = JOURNAL
        self.log_lines = {2: LOG}
        self.polls = 0
        self.closed = threading.Event()

    def poll(self, since=None):
        self.polls += 1
        answer, revision = self.answer, since
        if isinstance(answer, Snapshot) and answer.revision == revision:
            return Unchanged(at=answer.at, revision=revision, daemon=answer.daemon)
        return answer

    def show(self, **changes):
        """The next snapshot: the last one with changes."""
        self.snapshot = replace(self.snapshot, revision=self.snapshot.revision + 1, **changes)
        self.answer = self.snapshot

    def lock(self, key):
        found = [lock_detail(row) for row in self.snapshot.locks if row.key == key]
        return found[0] if found else Failure(kind="missing", text=f"there is no lock {key}")

    def run(self, key):
        found = [run_detail(row) for row in self.snapshot.runs if row.key == key]
        return found[0] if found else Failure(kind="missing", text=f"there is no run {key}")

    def git(self):
        return self.git_detail

    def journal(self, wish):
        return self.entries[: wish.limit]

    def log(self, key, attempt, offset=0):
        offset = max(0, offset)
        lines = self.log_lines.get(attempt, ())[offset:]
        return LogChunk(attempt=attempt, lines=tuple(lines), begin=offset, offset=offset + len(lines))

    def close(self):
        self.closed.set()


def plan_for(row, *, refused="", epoch=41, others=()):
    return TerminatePlan(
        title="Terminate the holder",
        target=f"{row.key}, held by {row.holders[0].label}",
        lines=(
            ("Lock", row.key),
            ("State", "stuck: holding for a failure"),
            ("Holder", f"{row.holders[0].label} (default), {row.key}#{epoch}, since 2026-03-01T18:29:07Z"),
            ("", "it failed at migrate with exit code 3 4h02m ago"),
            ("Evidence", "holding for a failure: its run ended Failed by itself"),
            ("Will do", "release; migrate-7f2qd has ended and stays Failed"),
            ("Next", "deploy-api-k8x2p, waiting since 2026-03-01T18:39:07Z, then 13 more"),
        ),
        verb="terminate_stuck_holder",
        values={"lock": row.key, "epoch": epoch},
        argv=("terminate-stuck-holder", row.key, "--epoch", str(epoch), "--reason", "TEXT", "--yes"),
        refused=refused,
        confirmation=f"{row.key}#{epoch}",
        needs_reason=True,
        reason_field="reason",
        lock=row.key,
        epoch=epoch,
        reach=Reach.STUCK,
        others=others,
    )


def simple_plan(title, target, *, refused="", reason_field="message"):
    return Plan(
        title=title, target=target, lines=(("Run", target), ("Will do", "what the title says")), verb="stop", values={},
        argv=("stop", target), refused=refused, reason_field=reason_field,
    )  # fmt: skip


class Desk:
    """An operator that remembers what it was asked, and answers as the test has set."""

    def __init__(self):
        self.asked = []
        self.carried = []
        self.plan = plan_for(PROD)
        self.outcome = (OutcomeKind.DONE, "released; next: deploy-api-k8x2p")
        self.gate = threading.Event()
        self.gate.set()

    def terminate(self, target, epoch, reach):
        self.asked.append(("terminate", target, epoch, reach))
        self.gate.wait(20)
        return self.plan

    def run(self, verb, run_key):
        self.asked.append((verb, run_key))
        return simple_plan(f"{verb} {run_key.name}", str(run_key))

    def cron(self, verb, run_key):
        self.asked.append((verb, run_key))
        return simple_plan(f"{verb} {run_key.name}", str(run_key), reason_field="")

    def sync(self, sha):
        self.asked.append(("sync", sha))
        return simple_plan("Sync now", "git", reason_field="")

    def carry_out(self, plan, reason, confirmation):
        self.carried.append((plan, reason, confirmation))
        kind, text = self.outcome
        return Outcome(
            kind=kind, text=text, target=plan.target, command=plan.command(reason), actor="alice", at=NOW, journal=4413
        )
