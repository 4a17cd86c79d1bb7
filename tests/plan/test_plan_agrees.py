"""What is planned for a push is what the loop then does: the same runs in the same order, the same holders, the same queues."""

import shutil
import tempfile

from hypothesis import given, settings
from hypothesis import strategies as st
from lock_machine import new_database
from loop_harness import API, World, job, parsed, pod, spec, steps, sync

from reconciler.forecast import foresee
from reconciler.model.source import Revision
from reconciler.store import read_plan

LOCKS = ("m0", "m1", "m2", "s0", "s1")
WANTS = st.lists(st.sampled_from(LOCKS), max_size=3, unique=True)
NAMES = st.sampled_from([f"w{n}" for n in range(6)])
PATHS = st.sampled_from(["a.yaml", "b.yaml", "c.yaml"])


def body(kind, name, spec_body, **metadata):
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name, **metadata}, "spec": spec_body}


POLICIES = st.fixed_dictionaries(
    {"lineclear.dev/concurrency-policy": st.sampled_from(["Allow", "Forbid", "Replace", "Latest"])},
    optional={"lineclear.dev/concurrency-key": st.sampled_from(["k0", "k1"])},
)


@st.composite
def workflows(draw):
    """One Workflow: plain, with locked steps, named by a parameter, from a template, broken, suspended or generated."""
    wants, shape, name = draw(WANTS), draw(st.integers(0, 12)), draw(NAMES)
    made = job(*wants, priority=draw(st.sampled_from([0, 0, 5, -3])))
    metadata = {}
    if shape == 1:
        made = spec(steps("main", ["one", "two"]), pod("one", *draw(WANTS)), pod("two", *draw(WANTS)), locks=wants)
    elif shape == 2:
        made = {**made, "synchronization": {"mutexes": [{"name": "m{{workflow.parameters.n}}"}]}}
        made["arguments"] = {"parameters": [{"name": "n", "value": str(draw(st.integers(0, 3)))}]}
    elif shape == 3:
        made = {"workflowTemplateRef": {"name": draw(st.sampled_from(["t0", "t1"]))}, "synchronization": sync(*wants)}
    elif shape == 4:
        made = {**made, "synchronization": {"mutexes": [{"name": "m{{workflow.parameters.nothing}}"}]}}
    elif shape == 5:
        made = {**made, "suspend": True}
    elif shape == 6:
        metadata = {"annotations": {"lineclear.dev/rerun": "OnChange"}}
    elif shape == 7:
        made = spec(steps("main", [{"name": "one", "template": "one", "when": "1 == 2"}]), pod("one"), locks=wants)
    elif shape >= 9:
        metadata = {"annotations": draw(POLICIES)}
    found = body("Workflow", name, made, **metadata)
    if shape == 8:
        found["metadata"] = {"generateName": f"{name}-"}
    return found


@st.composite
def others(draw):
    """A template, a cron, or the limits of the semaphores."""
    what = draw(st.integers(0, 2))
    if what == 0:
        return body("WorkflowTemplate", draw(st.sampled_from(["t0", "t1"])), job(*draw(WANTS)))
    if what == 1:
        policy = draw(st.sampled_from(["Allow", "Forbid", "Replace"]))
        made = {"schedules": [draw(st.sampled_from(["0 3 * * *", "*/5 * * * *"]))], "timezone": "UTC"}
        made |= {"concurrencyPolicy": policy, "suspend": draw(st.booleans()), "workflowSpec": job(*draw(WANTS))}
        return body("CronWorkflow", draw(st.sampled_from(["c0", "c1"])), made)
    limit = st.sampled_from(["0", "1", "2", "3", "many"])
    data = {key: draw(limit) for key in draw(st.lists(st.sampled_from(["s0", "s1"]), unique=True))}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "limits"}, "data": data}


PUSH = st.tuples(
    st.dictionaries(PATHS, st.lists(workflows() | workflows() | others(), min_size=1, max_size=4), max_size=2),
    st.frozensets(PATHS, max_size=2),
)
DEEDS = st.sampled_from(["good", "bad", "terminate", "suspend", "trigger", "time", "delete"])
BETWEEN = st.lists(st.tuples(DEEDS, st.integers(0, 20)), max_size=4)


def revision_of(world, push):
    files, removed = push
    world.serial += 1
    return Revision(
        sha=f"{world.serial:040x}",
        previous=world.writer.meta("applied"),
        at=world.clock.at,
        changed=tuple(parsed(path, *bodies) for path, bodies in sorted(files.items())),
        removed=tuple(sorted(removed - files.keys())),
    )


def live(world, between):
    """Some processes end, some runs are ended or paused by hand, crons are triggered and tick."""
    for what, which in between:
        running = world.running()
        if what == "trigger":
            world.ask("cron_trigger", name=f"c{which % 2}")
        elif what == "delete":
            world.ask("delete", run=(world.one("SELECT name FROM run ORDER BY id DESC LIMIT 1 OFFSET ?", which % 3) or ("",))[0])
        elif what == "time":
            world.tick(seconds=60 * which)
        elif running:
            _do(world, what, *running[which % len(running)])


def _do(world, what, run, node):
    if what in ("terminate", "suspend"):
        world.ask(what, run=run)
    else:
        world.exits(run, node, code=0 if what == "good" else 1)


def foreseen(world, revision):
    copy = read_plan.open_copy(world.path)
    plan = foresee(copy, revision, at=world.clock.at, options=world.options)
    return plan, state(copy), copy


def state(writer):
    """Everything that was decided about locks and runs, in words that no id is part of."""
    def rows(sql):
        return [tuple(row) for row in writer.db.execute(sql)]

    return {
        "open": rows("SELECT namespace, name, phase, priority, queue_order FROM run WHERE finished_at IS NULL ORDER BY id"),
        "claims": rows(
            "SELECT r.name, n.name, l.key, cl.state, cl.nested > 0, cl.queue_order FROM claim c JOIN run r ON r.id = c.run_id"
            " JOIN claim_lock cl ON cl.claim_id = c.id JOIN lock l ON l.id = cl.lock_id LEFT JOIN node n ON n.id = c.node_id"
            " WHERE c.state <> 'released' ORDER BY c.id, l.key"
        ),
        "locks": rows("SELECT key, capacity, limit_source FROM lock ORDER BY key"),
        "steps": rows(
            "SELECT r.name, n.name, a.state FROM attempt a JOIN node n ON n.id = a.node_id JOIN run r ON r.id = a.run_id"
            " WHERE r.finished_at IS NULL ORDER BY a.id"
        ),
        "definitions": rows(
            "SELECT kind, namespace, name, path, digest, stale FROM definition WHERE retired_at IS NULL"
            " ORDER BY kind, namespace, name"
        ),
    }


def submitted(world, since):
    """(name, state) of the runs that came after that id, in order."""
    sql = (
        "SELECT name, phase, started_at IS NULL, suspended, EXISTS (SELECT 1 FROM claim c WHERE c.run_id = run.id"
        " AND c.level IN ('run', 'policy') AND c.state = 'waiting'), ended_by FROM run WHERE id > ? ORDER BY id"
    )
    found = []
    for name, phase, never_began, suspended, waits, ended_by in world.rows(sql, since):
        if ended_by:
            found.append((name, "SUPERSEDED"))
        elif phase in ("Error", "Failed") and never_began:
            found.append((name, "REJECTED"))
        elif waits:
            found.append((name, "BLOCKED"))
        else:
            found.append((name, "SUSPENDED" if suspended else "ACTIVE"))
    return found


def places(world, run):
    """Key -> (position, holders) of what the run itself waits for, by a look at the real queue."""
    found = {}
    sql = (
        "SELECT r.name FROM claim_lock cl JOIN run r ON r.id = cl.run_id JOIN lock l ON l.id = cl.lock_id"
        " WHERE l.key = ? AND cl.state = 'held' AND cl.nested = 0 ORDER BY r.name"
    )
    for name, waiting in world.queue().items():
        if run in waiting:
            key = f"default/Mutex/{name}" if name[0] == "m" else f"default/ConfigMap/limits/{name}"
            found[key] = (waiting.index(run) + 1, [row[0] for row in world.rows(sql, key)])
    return found


def next_ticks(writer):
    """Cron -> when it is looked at next."""
    return dict(writer.db.execute("SELECT name, next_at FROM cron WHERE next_at IS NOT NULL").fetchall())


def last_run(world):
    found = world.one("SELECT seq FROM sqlite_sequence WHERE name = 'run'")
    return 0 if found is None else found[0]


def compare(world, push):
    """Plans a push, makes it, and holds the two against each other; the runs' states."""
    revision = revision_of(world, push)
    before, untouched = last_run(world), world.writer.db.total_changes
    (seq,) = world.one("SELECT ifnull(max(seq), 0) FROM journal")
    plan, planned, copy = foreseen(world, revision)
    ticks = next_ticks(copy)
    copy.close()
    assert world.writer.db.total_changes == untouched
    world.inbox.put(revision)
    world.tick()
    if plan.held:
        assert world.one("SELECT state FROM revision ORDER BY id DESC")[0] == "held"
        return
    assert world.writer.meta("applied") == revision.sha
    assert planned == state(world.writer)
    assert ticks.items() <= next_ticks(world.writer).items()
    new = [run for run in plan.runs if run.phase]
    assert [(run.name, run.state) for run in new] == submitted(world, before)
    refused = world.rows("SELECT kind FROM journal WHERE seq > ? AND kind IN ('run.forbidden', 'run.refused')", seq)
    assert sum(run.state == "FORBIDDEN" for run in plan.runs) == sum(kind == "run.forbidden" for (kind,) in refused)
    sql = "SELECT run FROM journal WHERE seq > ? AND json_extract(detail_json, '$.by') IN ('replace', 'superseded')"
    ended = {name for (name,) in world.rows(sql, seq)} - {run.name for run in new}
    assert ended <= {one.run for one in plan.displaced}
    for run in new:
        waits = [lock for lock in run.locks if lock.position and not lock.node]
        told = {lock.key: (lock.position, sorted(party.run for party in lock.holders)) for lock in waits}
        assert told == places(world, run.name)
        assert all(len(lock.ahead) == lock.position - 1 for lock in waits)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(PUSH, BETWEEN), min_size=1, max_size=4), st.sampled_from([1, 3, 64]))
def test_a_plan_says_what_the_push_then_does(pushes, parallelism):
    folder = tempfile.mkdtemp(prefix="plan-")
    shutil.copy(new_database(), folder)
    world = World(folder, parallelism=parallelism)
    try:
        for push, between in pushes:
            compare(world, push)
            live(world, between)
    finally:
        world.close()
        shutil.rmtree(folder)


def test_an_empty_home_is_planned_too(tmp_path):
    copy = read_plan.open_copy(str(tmp_path / "state.db"))
    assert copy.db.execute("SELECT count(*) FROM run").fetchone() == (0,)
    copy.close()
