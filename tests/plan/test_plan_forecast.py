"""What a plan tells of each thing that a push can bring, over the loop's own world."""

from dataclasses import replace

import pytest
from loop_harness import API, World, job, parsed, pod, spec, steps

from reconciler.forecast import foresee
from reconciler.model.source import Revision
from reconciler.model.spec import Finding, Place, Severity
from reconciler.store import read_plan
from reconciler.views.plan import change_lines, run_lines


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.close()


def workflow(name, made, **metadata):
    return {"apiVersion": API, "kind": "Workflow", "metadata": {"name": name, **metadata}, "spec": made}


def cron(name, **more):
    made = {"schedules": ["0 3 * * *"], "timezone": "UTC", **more, "workflowSpec": job()}
    return {"apiVersion": API, "kind": "CronWorkflow", "metadata": {"name": name}, "spec": made}


def limits(**values):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "limits"}, "data": values}


def planned(world, *bodies, path="next.yaml", removed=(), is_committed=True, files=None):
    changed = files if files is not None else ((parsed(path, *bodies),) if bodies else ())
    previous = world.writer.meta("applied")
    revision = Revision(sha="f" * 40, previous=previous, at=world.clock.at, changed=changed, removed=tuple(removed))
    copy = read_plan.open_copy(world.path)
    plan = foresee(copy, revision, at=world.clock.at, options=world.options, is_committed=is_committed)
    copy.close()
    return plan


def said(plan):
    return [line for run in plan.runs for line in run_lines(run)]


def states(plan):
    return [(run.name, run.state) for run in plan.runs]


# runs ----------------------------------------------------------------------------------------------------------------


def test_a_blocked_run_names_its_holder_and_all_before_it(world):
    world.push(workflow("first", job("m")), workflow("second", job("m")), path="a.yaml")
    plan = planned(world, workflow("third", job("m")), workflow("fourth", job("m")))
    assert states(plan) == [("third", "BLOCKED"), ("fourth", "BLOCKED")]
    lock = plan.runs[1].locks[0]
    assert (lock.key, lock.position) == ("default/Mutex/m", 3)
    assert [(p.run, p.phase, p.is_new) for p in lock.holders] == [("first", "Running", False)]
    assert [(p.run, p.is_new) for p in lock.ahead] == [("second", False), ("third", True)]
    assert said(plan)[3] == (
        "          default/Mutex/m: position 3, held by first (Running), behind second, third (this push)"
    )


def test_a_run_of_higher_priority_is_before_those_that_wait(world):
    world.push(workflow("first", job("m")), workflow("second", job("m")), path="a.yaml")
    plan = planned(world, workflow("urgent", job("m", priority=9)))
    assert (plan.runs[0].state, plan.runs[0].locks[0].position, plan.runs[0].priority) == ("BLOCKED", 1, 9)


def test_a_key_is_told_with_the_values_that_made_it(world):
    made = spec(pod(), arguments={"parameters": [{"name": "db", "value": "prod"}]})
    made["synchronization"] = {"mutexes": [{"name": "db-{{workflow.parameters.db}}"}]}
    lock = planned(world, workflow("a", made)).runs[0].locks[0]
    assert (lock.key, lock.template) == ("default/Mutex/db-prod", "db-{{workflow.parameters.db}}")
    assert lock.values == {"workflow.parameters.db": "prod"}


def test_a_key_that_cannot_be_made_rejects_the_run_and_holds_nothing_up(world):
    made = job()
    made["synchronization"] = {"mutexes": [{"name": "db-{{workflow.parameters.nothing}}"}]}
    plan = planned(world, workflow("a", made), workflow("b", job("m")))
    assert states(plan) == [("a", "REJECTED"), ("b", "ACTIVE")]
    assert "its locks could not be named" in plan.runs[0].reason
    assert plan.has_refusal


def test_a_parameter_without_a_value_rejects_the_run(world):
    made = spec(pod(), arguments={"parameters": [{"name": "db"}]})
    plan = planned(world, workflow("a", made))
    assert states(plan) == [("a", "REJECTED")]
    assert "parameter 'db' has no value" in plan.runs[0].reason
    assert plan.runs[0].place == "next.yaml:1"


def test_a_missing_template_rejects_the_run_and_its_arrival_runs_it(world):
    waiting = workflow("a", {"workflowTemplateRef": {"name": "t"}})
    plan = planned(world, waiting)
    assert states(plan) == [("a", "REJECTED")]
    world.push(waiting, path="a.yaml")
    template = {"apiVersion": API, "kind": "WorkflowTemplate", "metadata": {"name": "t"}, "spec": job("m")}
    plan = planned(world, template)
    assert [(run.name, run.state, run.place) for run in plan.runs] == [("a", "ACTIVE", "a.yaml:1")]


def test_content_that_has_run_is_named_with_the_command_to_run_it_again(world):
    world.push(workflow("a", job()), path="a.yaml")
    world.push(workflow("a", job("m")), path="a.yaml")
    plan = planned(world, workflow("a", job()), path="a.yaml")
    assert states(plan) == [("a", "ALREADY_RAN")]
    assert (plan.runs[0].earlier, plan.runs[0].resubmit) == ("a", "lineclear resubmit a")
    assert not plan.has_refusal


def test_a_taken_name_gets_the_ending_that_the_push_gives_it(world):
    world.push(workflow("a", job()), path="a.yaml")
    plan = planned(world, workflow("a", job("m")), path="a.yaml")
    world.push(workflow("a", job("m")), path="a.yaml")
    assert plan.runs[0].name == world.one("SELECT name FROM run ORDER BY id DESC")[0] != "a"


def test_a_name_made_from_a_commit_that_does_not_exist_is_not_made_up(world):
    bodies = [{**workflow("", job("m")), "metadata": {"generateName": "build-"}} for _ in range(2)]
    plan = planned(world, *bodies, is_committed=False)
    assert [(run.name, run.name_is_known) for run in plan.runs] == [("build-?????", False)] * 2
    assert [p.run for p in plan.runs[1].locks[0].holders] == ["build-?????"]


def test_a_workflow_in_a_bad_file_is_rejected_with_the_error(world):
    good = parsed("bad.yaml", workflow("a", job()))
    error = Finding(place=Place(path="bad.yaml", line=3, column=1), rule="LC001", severity=Severity.ERROR, message="no")
    plan = planned(world, files=(replace(good, findings=(error,)),))
    assert states(plan) == [("a", "REJECTED")]
    assert "bad.yaml:3:1" in plan.runs[0].reason


def test_two_files_with_one_identity_are_rejected_once_and_are_no_matter_of_later_pushes(world):
    files = (parsed("a.yaml", workflow("a", job())), parsed("b.yaml", workflow("a", job("m"))))
    plan = planned(world, files=files)
    assert states(plan) == [("a", "REJECTED"), ("a", "REJECTED")]
    sha = "e" * 40
    world.inbox.put(Revision(sha=sha, previous=world.writer.meta("applied"), at=world.clock.at, changed=files, removed=()))
    world.tick()
    plan = planned(world, files=(*files, parsed("c.yaml", workflow("c", job()))))
    assert states(plan) == [("c", "ACTIVE")]


def test_a_run_that_waits_in_its_first_step_says_for_what(world):
    world.push(workflow("first", job("m")), path="a.yaml")
    plan = planned(world, workflow("a", spec(steps("main", ["one"]), pod("one", "m"))))
    assert states(plan) == [("a", "ACTIVE")]
    lock = plan.runs[0].locks[0]
    assert (lock.node, lock.key, lock.position, lock.holders[0].run) == ("[0].one", "default/Mutex/m", 1, "first")


def test_a_suspended_run_says_so(world):
    assert states(planned(world, workflow("a", job(suspend=True)))) == [("a", "SUSPENDED")]


def test_a_name_made_from_the_uid_is_one_that_nobody_else_has(world):
    made = job()
    made["synchronization"] = {"mutexes": [{"name": "m-{{workflow.uid}}"}]}
    plan = planned(world, workflow("a", made), workflow("b", made))
    assert states(plan) == [("a", "ACTIVE"), ("b", "ACTIVE")]


# limits --------------------------------------------------------------------------------------------------------------


def test_a_closed_gate_and_a_limit_that_was_never_read_say_so(world):
    plan = planned(world, limits(s0="0"), workflow("a", job("s0")), workflow("b", job("s1")))
    assert [run.locks[0].reason for run in plan.runs] == [
        "closed: its limit is 0",
        "its limit was never read: next.yaml:1: there is no key 's1'",
    ]


def test_a_lock_that_is_held_back_says_so(world):
    world.push(workflow("first", job("m")), path="a.yaml")
    world.exits("first", "", code=0)
    world.writer.db.execute("UPDATE lock SET held_back = 'ann let it go unproven' WHERE name = 'm'")
    plan = planned(world, workflow("a", job("m")))
    assert states(plan) == [("a", "BLOCKED")]
    assert plan.runs[0].locks[0].reason == "held back until `lineclear unhold`: ann let it go unproven"


def test_a_lock_that_is_frozen_blocks_and_says_until_when(world):
    window = {"schedule": "0 12 * * *", "duration": "2h", "timezone": "UTC", "reason": "evening"}
    policy = {"apiVersion": "lineclear.dev/v1alpha1", "kind": "LockPolicy", "metadata": {"name": "p"}}
    plan = planned(world, {**policy, "spec": {"locks": ["m"], "freeze": [window]}}, workflow("a", job("m")))
    assert states(plan) == [("a", "BLOCKED")]
    assert plan.runs[0].locks[0].reason == "frozen until 2026-03-01T14:00:00Z by LockPolicy p (next.yaml:1): evening"


def test_a_raised_limit_names_who_would_start(world):
    world.limits(s0=1)
    world.push(*[workflow(f"w{n}", job("s0")) for n in range(4)], path="a.yaml")
    plan = planned(world, limits(s0="3"), path="limits.yaml")
    assert [(x.key, x.before, x.after, x.source) for x in plan.limits] == [
        ("default/ConfigMap/limits/s0", 1, 3, "limits.yaml:1")
    ]
    assert [one.run for one in plan.admitted] == ["w1", "w2"]
    assert "starts at once: default/w1, which waits for default/ConfigMap/limits/s0" in list(change_lines(plan))


# removal -------------------------------------------------------------------------------------------------------------


def test_queued_runs_of_what_goes_are_cancelled_running_ones_go_on_and_others_move_up(world):
    world.push(workflow("holder", job("m")), path="a.yaml")
    world.push(workflow("queued", job("m")), path="b.yaml")
    world.push(workflow("last", job("m")), path="c.yaml")
    world.push(*[workflow(f"w{n}", job()) for n in range(9)], path="d.yaml")
    plan = planned(world, workflow("new", job("m")), removed=("a.yaml", "b.yaml"))
    assert [(x.run, x.is_cancelled) for x in plan.removed_runs] == [("holder", False), ("queued", True)]
    assert [p.run for p in plan.runs[0].locks[0].ahead] == ["last"]
    assert plan.held == ""


def test_a_mass_removal_is_held_and_told_as_if_it_were_approved(world):
    world.push(*[workflow(f"w{n}", job("m")) for n in range(8)], path="a.yaml")
    plan = planned(world, removed=("a.yaml",))
    assert "would remove everything" in plan.held
    assert plan.held.endswith(f"lineclear sync approve {'f' * 40}")
    assert len(plan.removed_runs) == len(plan.changes) == 8
    assert planned(world, removed=("a.yaml",), is_committed=False).held == (
        "the commit is not applied: it would remove everything; if that is meant, run: lineclear sync approve COMMIT"
    )


# crons ---------------------------------------------------------------------------------------------------------------


def test_a_new_cron_tells_its_next_ticks(world):
    change = planned(world, cron("c")).changes[0]
    assert (change.change, change.kind, change.name) == ("added", "CronWorkflow", "c")
    assert change.ticks == ("2026-03-02T03:00:00Z", "2026-03-03T03:00:00Z", "2026-03-04T03:00:00Z")


def test_a_cron_that_stays_suspended_by_an_operator_says_so_until_the_push_changes_that_field(world):
    world.push(cron("c"), path="c.yaml")
    world.must("cron_suspend", name="c")
    change = planned(world, cron("c", schedules=["0 4 * * *"]), path="c.yaml").changes[0]
    assert (change.ticks, change.notes) == ((), ("it is suspended by an operator: lineclear cron resume",))
    change = planned(world, cron("c", suspend=False), path="c.yaml").changes[0]
    assert len(change.ticks) == 3


def test_a_cron_that_goes_or_never_fires_says_so(world):
    world.push(cron("c"), path="c.yaml")
    world.push(*[workflow(f"w{n}", job()) for n in range(3)], path="d.yaml")
    assert planned(world, removed=("c.yaml",)).changes[0].notes == ("it schedules no more, its history stays",)
    assert planned(world, cron("c", schedules=["0 0 30 2 *"]), path="c.yaml").changes[0].notes == ("it never fires again",)


def test_a_tick_that_is_due_anyway_is_no_part_of_the_plan(world):
    world.push(cron("c", startingDeadlineSeconds=7200), path="c.yaml")
    world.clock.at = world.clock.at.replace(day=2, hour=4)
    assert states(planned(world, workflow("a", job()))) == [("a", "ACTIVE")]


# concurrency policies ------------------------------------------------------------------------------------------------


def under(policy, name="w", key="", made=None, version="1"):
    notes = {"lineclear.dev/concurrency-policy": policy, "lineclear.dev/concurrency-key": key}
    notes = {name: value for name, value in notes.items() if value}
    return workflow(name, made or job(), annotations=notes, labels={"version": version})


def test_a_run_that_its_policy_forbids_names_the_active_one(world):
    world.push(under("Forbid"))
    plan = planned(world, under("Forbid", version="2"), path="all.yaml")
    assert (states(plan), plan.has_forbidden, plan.has_refusal) == ([("w", "FORBIDDEN")], True, False)
    (line,) = said(plan)
    assert line.startswith("FORBIDDEN w (all.yaml:1): w is active: it is running, and concurrency policy Forbid (all.yaml:1, met")


def test_a_run_that_its_policy_lets_wait_says_for_whom(world):
    world.push(under("Latest"))
    plan = planned(world, under("Latest", version="2"), path="all.yaml")
    assert [run.state for run in plan.runs] == ["BLOCKED"]
    assert plan.runs[0].reason == "waits until w has ended: concurrency policy Latest (all.yaml:1, metadata)"


@pytest.mark.parametrize(("policy", "verb", "phase"), [("Latest", "superseded", "Pending"), ("Replace", "replaced", "Pending")])
def test_runs_that_would_end_for_new_ones_are_told(world, policy, verb, phase):
    world.submit(job("m"), "holder")
    world.push(under(policy, made=job("m")))
    plan = planned(world, under(policy, made=job("m"), version="2"), path="all.yaml")
    (run,) = plan.runs
    assert [*change_lines(plan)] == [f"ends: run default/w, which is {phase}: {verb} by {run.name}"]
    assert [(lock.key, lock.position) for lock in run.locks] == [("default/Mutex/m", 1)]


def test_a_running_run_and_a_failed_holder_that_would_be_replaced_are_told(world):
    world.push(under("Replace", "a"), under("Replace", "b", made=job("m")))
    world.exits("b", "", 1)
    plan = planned(world, under("Replace", "a", version="2"), under("Replace", "b", made=job("m"), version="2"), path="all.yaml")
    assert [(one.run, one.phase, one.reason.partition(" ")[0]) for one in plan.displaced] == [
        ("a", "Running", "replaced"),
        ("b", "Failed", "replaced"),
    ]
    assert [run.state for run in plan.runs] == ["BLOCKED", "ACTIVE"]


def test_of_several_versions_in_one_push_the_superseded_are_told(world):
    plan = planned(world, *(under("Latest", f"w{n}", key="one") for n in range(3)))
    assert states(plan) == [("w0", "SUPERSEDED"), ("w1", "SUPERSEDED"), ("w2", "ACTIVE")]
    assert (plan.runs[0].reason, plan.has_refusal) == ("superseded by w1", False)
