"""Concurrency policies of workflows that ask for one by annotation: over pushes, requests, failures and crashes."""

import pytest
from loop_harness import API, job, parsed, pod, spec

POLICY, KEY = "lineclear.dev/concurrency-policy", "lineclear.dev/concurrency-key"
SINGLE = ["Forbid", "Replace", "Latest"]


def noted(policy="", key=""):
    return {name: value for name, value in ((POLICY, policy), (KEY, key)) if value}


def workflow(policy="Latest", work=None, *, name="deploy", key="", version=""):
    metadata = {"name": name, "annotations": noted(policy, key)}
    if version:
        metadata["labels"] = {"version": version}
    return {"apiVersion": API, "kind": "Workflow", "metadata": metadata, "spec": work or job()}


def template(policy="Latest", work=None, *, name="t", key="", kind="WorkflowTemplate"):
    metadata = {"name": name, "annotations": noted(policy, key)}
    return {"apiVersion": API, "kind": kind, "metadata": metadata, "spec": work or job()}


def ask(world, body, **args):
    """One more run of a document handed in; the reply."""
    return world.ask("submit", documents=parsed("handed.yaml", body).documents, **args)


def submit(world, body, **args):
    reply = ask(world, body, **args)
    assert reply.error is None, reply.error
    return reply.ok["runs"][0]["name"]


def phases(world):
    return dict(world.rows("SELECT name, phase FROM run ORDER BY id"))


def pending(world):
    return [name for name, phase in phases(world).items() if phase == "Pending"]


def last_lines(world):
    return world.one("SELECT outcome_json FROM revision ORDER BY id DESC LIMIT 1")[0]


def policy_holders(world):
    sql = (
        "SELECT r.name FROM claim c JOIN run r ON r.id = c.run_id WHERE c.level = 'policy' AND c.state = 'held' ORDER BY r.id"
    )
    return [name for (name,) in world.rows(sql)]


# Allow -------------------------------------------------------------------------------------------------------------------


def test_without_an_annotation_runs_overlap_and_cost_no_claim(world):
    submit(world, workflow(policy=""), name="a")
    submit(world, workflow(policy=""), name="b")
    assert world.running() == [("a", ""), ("b", "")]
    assert world.rows("SELECT 1 FROM claim") == []


def test_allow_lets_runs_overlap_and_counts_them(world):
    submit(world, workflow("Allow"), name="a")
    submit(world, workflow("Allow"), name="b")
    assert world.running() == [("a", ""), ("b", "")]
    assert policy_holders(world) == ["a", "b"]
    world.all_exit("a", "")
    world.all_exit("b", "")
    assert policy_holders(world) == []


# Forbid ------------------------------------------------------------------------------------------------------------------


def test_forbid_refuses_a_submission_and_names_the_active_run_and_what_it_does(world):
    submit(world, workflow("Forbid"), name="a")
    error = ask(world, workflow("Forbid"), name="b").error
    assert error["code"] == 4
    said = "a is active: it is running, and concurrency policy Forbid (handed.yaml:1, metadata) forbids a second run"
    assert error["message"].startswith(said)
    assert phases(world) == {"a": "Running"}
    world.exits("a", "")
    submit(world, workflow("Forbid"), name="b")
    assert world.running() == [("b", "")]


def test_forbid_refuses_behind_a_run_that_waits_for_a_lock(world):
    world.submit(job("m"), "holder")
    submit(world, workflow("Forbid", job("m")), name="a")
    assert "it is waiting for lock default/Mutex/m" in ask(world, workflow("Forbid", job("m")), name="b").error["message"]


def test_forbid_refuses_behind_a_failed_holder_until_it_lets_go(world):
    submit(world, workflow("Forbid", job("m")), name="a")
    world.exits("a", "", 1)
    message = ask(world, workflow("Forbid", job("m")), name="b").error["message"]
    assert "it is Failed and holds its locks for the failure" in message
    world.must("terminate", run="a")
    submit(world, workflow("Forbid", job("m")), name="b")
    assert world.running() == [("b", "")]


def test_a_push_that_forbid_refuses_succeeds_and_says_so_everywhere(world):
    world.push(workflow("Forbid"))
    world.push(workflow("Forbid", version="2"))
    assert phases(world) == {"deploy": "Running"}
    assert "forbidden: all.yaml:1:1: deploy is active: it is running" in last_lines(world)
    assert "deploy is active" in world.journal("run.forbidden")[0]["why"]


def test_forbidden_content_has_not_run_and_a_later_push_of_it_may_run_it(world):
    world.push(workflow("Forbid"))
    world.push(workflow("Forbid", version="2"))
    world.exits("deploy", "")
    world.tick(3600)
    world.crash()
    assert world.running() == []  # never by itself
    world.push(workflow("Forbid", version="3"))
    world.exits(*world.running()[0])
    world.push(workflow("Forbid", version="2"))
    assert len(world.running()) == 1
    assert "this content ran" not in last_lines(world)


def test_forbidden_content_is_not_started_by_a_later_push_of_its_template(world):
    refers = {**workflow("Forbid"), "spec": {"workflowTemplateRef": {"name": "t"}}}
    world.push(template("", job()), path="t.yaml")
    world.push(refers)
    world.push({**refers, "metadata": {**refers["metadata"], "labels": {"version": "2"}}})
    assert len(world.journal("run.forbidden")) == 1
    world.exits("deploy", "")
    world.push(template("", job(priority=1)), path="t.yaml")
    assert world.running() == []


def test_forbidden_content_runs_when_a_person_submits_it(world):
    world.push(workflow("Forbid"))
    world.push(workflow("Forbid", version="2"))
    world.exits("deploy", "")
    made = world.must("submit", **{"from": "workflow/deploy"})["runs"][0]["name"]
    assert world.running() == [(made, "")]


# Replace -----------------------------------------------------------------------------------------------------------------


def test_replace_never_overlaps(world):
    submit(world, workflow("Replace", job("m")), name="a")
    submit(world, workflow("Replace", job("m")), name="b")
    assert (world.asked_to_end(), world.phase("b"), world.running()) == ([""], "Pending", [("a", "")])
    world.crash()
    assert world.running() == [("a", "")]
    world.exits("a", "", 143)
    assert (world.running(), world.message("a")) == ([("b", "")], "replaced by b")


def test_replace_has_at_most_one_successor(world):
    for name in "abcd":
        submit(world, workflow("Replace"), name=name)
    assert (pending(world), world.running()) == (["d"], [("a", "")])
    assert world.message("b") == "replaced by c"
    world.exits("a", "", 143)
    assert world.running() == [("d", "")]


def test_a_replaced_waiter_gives_its_place_in_every_queue_to_its_successor(world):
    world.submit(job("m", "n"), "holder")
    submit(world, workflow("Replace", job("m", "n")), name="a")
    world.submit(job("m"), "later")
    submit(world, workflow("Replace", job("m", "n")), name="b")
    assert (world.queue("m"), world.queue("n")) == (["b", "later"], ["b"])


def test_replace_clears_a_failed_holder(world):
    submit(world, workflow("Replace", job("m")), name="a")
    world.exits("a", "", 1)
    submit(world, workflow("Replace", job("m")), name="b")
    assert (world.holders("m"), world.running(), world.phase("a")) == (["b"], [("b", "")], "Failed")


# Latest ------------------------------------------------------------------------------------------------------------------


def test_latest_lets_the_running_one_go_on_and_only_the_newest_wait(world):
    for name in "abcd":
        submit(world, workflow(), name=name)
    assert (world.running(), world.asked_to_end(), pending(world)) == ([("a", "")], [], ["d"])
    assert (phases(world)["b"], world.message("b"), world.message("c")) == ("Failed", "superseded by c", "superseded by d")
    assert world.one("SELECT ended_by FROM run WHERE name = 'b'") == ("superseded",)
    world.exits("a", "")
    assert world.running() == [("d", "")]


def test_under_latest_a_waiter_says_for_whom_and_why(world):
    submit(world, workflow(), name="a")
    reply = ask(world, workflow(), name="b").ok["runs"][0]
    assert (reply["phase"], reply["message"]) == (
        "Pending",
        "waits until a has ended: concurrency policy Latest (handed.yaml:1, metadata)",
    )


def test_under_latest_the_newest_takes_the_place_of_the_one_that_it_supersedes(world):
    world.submit(job("m"), "holder")
    submit(world, workflow(work=job("m")), name="a")
    world.submit(job("m"), "later")
    submit(world, workflow(work=job("m")), name="b")
    assert (world.queue("m"), world.phase("a")) == (["b", "later"], "Failed")
    world.exits("holder", "")
    assert world.running() == [("b", "")]


def test_under_latest_the_place_is_handed_on_from_one_that_waited_behind_the_running_one(world):
    submit(world, workflow(work=job("m")), name="a")
    submit(world, workflow(work=job("m")), name="b")
    world.submit(job("m"), "first")
    world.submit(job("m"), "second")
    submit(world, workflow(work=job("m")), name="c")
    assert world.queue("m") == ["first", "second"]  # who waits for its turn in the group asks for no lock yet
    world.exits("a", "")
    assert (world.holders("m"), world.queue("m")) == (["first"], ["c", "second"])


def test_under_latest_a_superseded_run_keeps_no_lock(world):
    world.submit(job("m"), "holder")
    submit(world, workflow(work=job("m")), name="a")
    submit(world, workflow(work=job("m")), name="b")
    assert world.rows("SELECT 1 FROM claim c JOIN run r ON r.id = c.run_id WHERE r.name = 'a' AND c.state <> 'released'") == []


def test_under_latest_a_failed_holder_is_waited_for_until_it_lets_go(world):
    submit(world, workflow(work=job("m")), name="a")
    world.exits("a", "", 1)
    submit(world, workflow(work=job("m")), name="b")
    assert (world.running(), pending(world)) == ([], ["b"])
    world.must("terminate", run="a")
    assert world.running() == [("b", "")]


def test_under_latest_several_versions_in_one_revision_leave_the_newest(world):
    bodies = [workflow(name=f"w{n}", key="one") for n in range(3)]
    world.push(*bodies)
    assert world.running() == [("w2", "")]
    assert (phases(world)["w0"], world.message("w0"), world.message("w1")) == ("Failed", "superseded by w1", "superseded by w2")


def test_an_edit_supersedes_the_queued_first_version_under_latest_only(world):
    world.submit(job("m"), "holder")
    work = job("m")
    world.push(workflow("", work, name="plain"), workflow("Latest", work, name="latest"))
    world.push(workflow("", work, name="plain", version="2"), workflow("Latest", work, name="latest", version="2"))
    assert [name.partition("-")[0] for name in world.queue("m")] == ["plain", "latest", "plain"]


def test_a_waiter_under_latest_can_be_stopped_and_leaves_the_running_one_alone(world):
    submit(world, workflow(), name="a")
    submit(world, workflow(), name="b")
    world.must("terminate", run="b")
    assert (world.phase("b"), world.running()) == ("Failed", [("a", "")])
    world.exits("a", "")
    assert world.running() == []


# groups ------------------------------------------------------------------------------------------------------------------


def test_runs_of_other_names_namespaces_and_keys_are_not_counted(world):
    submit(world, workflow("Forbid"), name="a")
    submit(world, workflow("Forbid", name="other"))
    submit(world, workflow("Forbid"), name="b", namespace="elsewhere")
    submit(world, workflow("Forbid", key="k"), name="c")
    assert len(world.running()) == 4


def test_a_key_counts_runs_of_different_workflows_together(world):
    submit(world, workflow("Forbid", name="one", key="prod"))
    assert "one is active" in ask(world, workflow("Forbid", name="two", key="prod")).error["message"]


def test_a_key_may_be_made_of_parameters(world):
    work = job(arguments={"parameters": [{"name": "env", "value": "test"}]})
    body = workflow("Forbid", work, key="{{workflow.parameters.env}}")
    submit(world, body, name="a")
    submit(world, body, name="b", parameters={"env": "prod"})
    assert "a is active" in ask(world, body, name="c").error["message"]
    assert world.rows("SELECT key FROM lock ORDER BY key") == [("default/Policy/key/prod",), ("default/Policy/key/test",)]


def test_runs_from_a_template_are_counted_by_the_template_that_asks_for_it(world):
    world.push(template("Forbid"))
    first = world.must("submit", **{"from": "workflowtemplate/t"})["runs"][0]["name"]
    assert f"{first} is active" in world.must_not("submit", **{"from": "workflowtemplate/t"})
    refers = {**workflow(""), "spec": {"workflowTemplateRef": {"name": "t"}}}
    assert f"{first} is active" in ask(world, refers).error["message"]
    assert world.run(first).rule.group == "WorkflowTemplate/t"


def test_a_cluster_template_counts_the_runs_of_each_namespace(world):
    world.push(template("Forbid", kind="ClusterWorkflowTemplate"))
    for namespace in ("default", "other"):
        world.must("submit", namespace=namespace, **{"from": "clusterworkflowtemplate/t"})
        assert "is active" in world.must_not("submit", namespace=namespace, **{"from": "clusterworkflowtemplate/t"})


def test_runs_of_a_generate_name_are_counted_by_their_prefix(world):
    body = workflow()
    body["metadata"] = {"generateName": "deploy-", "annotations": noted("Forbid")}
    first = submit(world, body)
    assert f"{first} is active" in ask(world, body).error["message"]
    world.push(body)
    assert [name for name, _ in world.running()] == [first]


# where it is written ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("on_run", "on_spec", "on_template", "policy", "place"),
    [
        ("Forbid", "Allow", "Latest", "Forbid", "handed.yaml:1, metadata"),
        ("", "Allow", "Latest", "Allow", "handed.yaml:1, spec.workflowMetadata"),
        ("", "", "Latest", "Latest", "t.yaml:1, metadata"),
    ],
)
def test_the_nearest_annotation_counts_and_its_place_is_kept(world, on_run, on_spec, on_template, policy, place):
    world.push(template(on_template), path="t.yaml")
    work = {"workflowTemplateRef": {"name": "t"}}
    if on_spec:
        work["workflowMetadata"] = {"annotations": noted(on_spec)}
    made = submit(world, workflow(on_run, work))
    rule = world.run(made).rule
    assert (rule.policy, rule.place) == (policy, place)


def test_a_policy_that_does_not_exist_is_refused_at_submission(world):
    error = ask(world, workflow("Sometimes")).error
    assert error["code"] == 2
    assert 'is "Sometimes"; use Allow or Forbid or Replace or Latest' in error["message"]


# going on ----------------------------------------------------------------------------------------------------------------


def test_a_resubmitted_run_is_under_the_policy_of_the_first(world):
    submit(world, workflow("Forbid"), name="a")
    assert "a is active" in world.must_not("resubmit", run="a")
    world.exits("a", "")
    again = world.must("resubmit", run="a")["runs"][0]["name"]
    assert f"{again} is active" in ask(world, workflow("Forbid"), name="b").error["message"]


def test_a_resubmitted_run_with_other_parameters_is_of_the_group_that_they_name(world):
    work = job(arguments={"parameters": [{"name": "env", "value": "test"}]})
    submit(world, workflow("Forbid", work, key="{{workflow.parameters.env}}"), name="a")
    again = world.must("resubmit", run="a", parameters={"env": "prod"})["runs"][0]["name"]
    assert world.run(again).rule.group == "key/prod"
    assert len(world.running()) == 2


def test_under_latest_a_resubmitted_run_is_the_newest(world):
    submit(world, workflow(), name="a")
    submit(world, workflow(), name="b")
    again = world.must("resubmit", run="a")["runs"][0]["name"]
    assert (world.message("b"), pending(world)) == (f"superseded by {again}", [again])


@pytest.mark.parametrize("policy", SINGLE)
def test_a_retried_run_finds_no_room_while_another_is_active(world, policy):
    submit(world, workflow(policy), name="a")
    world.exits("a", "", 1)
    submit(world, workflow(policy), name="b")
    assert "a cannot go on while b of Workflow/deploy is running" in world.must_not("retry", run="a")
    world.exits("b", "")
    world.must("retry", run="a")
    assert world.running() == [("a", "")]
    assert policy_holders(world) == ["a"]


def test_under_latest_a_failed_holder_is_retried_before_the_one_that_waits_behind_it(world):
    submit(world, workflow(work=job("m")), name="a")
    world.exits("a", "", 1)
    submit(world, workflow(work=job("m")), name="b")
    world.must("retry", run="a")
    assert (world.running(), pending(world)) == ([("a", "")], ["b"])
    world.exits("a", "")
    assert world.running() == [("b", "")]


@pytest.mark.parametrize("policy", SINGLE)
def test_a_run_that_takes_over_a_failed_holder_is_not_held_up_by_it(world, policy):
    submit(world, workflow(policy, job("m")), name="a")
    world.exits("a", "", 1)
    world.submit(job("m"), "waiter")
    submit(world, workflow(policy, job("m")), name="b", take_over="a", reason="fixed")
    assert (world.running(), world.holders("m"), policy_holders(world)) == ([("b", "")], ["b"], ["b"])


def test_under_latest_a_run_that_takes_over_supersedes_the_one_that_waits(world):
    submit(world, workflow(work=job("m")), name="a")
    world.exits("a", "", 1)
    submit(world, workflow(work=job("m")), name="b")
    submit(world, workflow(work=job("m")), name="c", take_over="a", reason="fixed")
    assert (world.running(), world.message("b")) == ([("c", "")], "superseded by c")


def test_an_allowed_run_of_the_group_starts_beside_one_that_waits(world):
    """Each run's own policy counts; the one that waits still waits for whoever began."""
    submit(world, workflow("Latest"), name="a")
    submit(world, workflow("Latest"), name="b")
    submit(world, workflow("Allow"), name="c")
    assert (world.running(), pending(world)) == ([("a", ""), ("c", "")], ["b"])
    world.exits("a", "")
    assert pending(world) == ["b"]
    world.exits("c", "")
    assert world.running() == [("b", "")]


def test_an_allowed_run_of_the_same_push_takes_nobodys_turn(world):
    world.push(workflow("Forbid", name="one", key="k"), workflow("Allow", name="two", key="k"))
    assert (world.running(), policy_holders(world)) == ([("one", ""), ("two", "")], ["one", "two"])


# crons -------------------------------------------------------------------------------------------------------------------


def cron(spec_policy="", *, policy="", key="", work=None):
    body = {"schedule": "* * * * *", "timezone": "UTC", "workflowSpec": work or job()}
    if spec_policy:
        body["concurrencyPolicy"] = spec_policy
    return {"apiVersion": API, "kind": "CronWorkflow", "metadata": {"name": "c", "annotations": noted(policy, key)}, "spec": body}


def test_the_annotation_of_a_cron_counts_where_its_spec_says_nothing(world):
    world.push(cron(policy="Latest"))
    for _ in range(3):
        world.tick(60)
    assert (len(world.running()), len(pending(world))) == (1, 1)
    decisions = world.rows("SELECT decision, reason FROM tick ORDER BY due_at")
    assert [decision for decision, _ in decisions] == ["ran", "ran", "replaced"]
    assert "concurrencyPolicy Latest: run c-" in decisions[1][1]


def test_the_spec_of_a_cron_goes_before_its_annotation(world):
    world.push(cron("Forbid", policy="Allow"))
    world.tick(60)
    world.tick(60)
    assert [d for (d,) in world.rows("SELECT decision FROM tick ORDER BY due_at")] == ["ran", "forbidden"]
    assert world.run(world.running()[0][0]).rule.place == "all.yaml:1, spec.concurrencyPolicy"


def test_a_key_counts_a_cron_and_a_workflow_together(world):
    world.push(cron("Forbid", key="prod"))
    submit(world, workflow("Forbid", key="prod"), name="a")
    world.tick(60)
    assert world.one("SELECT decision FROM tick") == ("forbidden",)
    assert "run a is running" in world.one("SELECT reason FROM tick")[0]
    world.exits("a", "")
    world.tick(60)
    assert "is active" in ask(world, workflow("Forbid", key="prod"), name="b").error["message"]


def test_a_cron_and_a_workflow_of_one_name_are_two_groups(world):
    world.push(cron("Forbid"))
    submit(world, workflow("Forbid", name="c"))
    world.tick(60)
    assert len(world.running()) == 2


def test_a_cron_is_under_the_policy_of_its_template_with_all_its_other_runs(world):
    world.push(template("Forbid"), cron(work={"workflowTemplateRef": {"name": "t"}}))
    first = world.must("submit", **{"from": "workflowtemplate/t"})["runs"][0]["name"]
    world.tick(60)
    assert f"run {first} is running" in world.one("SELECT reason FROM tick WHERE decision = 'forbidden'")[0]


def test_a_resubmitted_run_of_a_forbid_cron_is_counted(world):
    world.push(cron("Forbid"))
    world.tick(60)
    first = world.running()[0][0]
    assert f"{first} is active" in world.must_not("resubmit", run=first)
    world.exits(first, "")
    again = world.must("resubmit", run=first)["runs"][0]["name"]
    world.tick(60)
    assert f"run {again} is running" in world.one("SELECT reason FROM tick WHERE decision = 'forbidden'")[0]


def test_a_cron_run_that_takes_over_is_under_the_policy(world):
    world.push(cron("Forbid", work=job("m")))
    world.tick(60)
    first = world.running()[0][0]
    world.exits(first, "", 1)
    heir = world.must("submit", take_over=first, reason="fixed", **{"from": "cronworkflow/c"})["runs"][0]["name"]
    assert (world.running(), policy_holders(world)) == ([(heir, "")], [heir])
    assert f"{heir} is active" in world.must_not("cron_trigger", name="c")


# crashes -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", SINGLE)
@pytest.mark.parametrize("point", ["before-commit", "after-commit", "answer"])
def test_a_crash_at_a_submission_leaves_one_process_and_at_most_one_waiter(world, policy, point):
    submit(world, workflow(policy, job("m")), name="a")
    world.dying(point, lambda: ask(world, workflow(policy, job("m")), name="b"))
    world.tick(1)
    assert world.running() == [("a", "")]
    assert len(pending(world)) <= 1
    world.exits("a", "", 143 if policy == "Replace" else 0)
    assert len(world.running()) == len(set(phases(world)) - {"a"})
    assert world.sweep_changes() == 0


@pytest.mark.parametrize("policy", SINGLE)
def test_at_most_one_run_of_a_group_ever_has_a_process(world, policy):
    for turn in range(40):
        ask(world, workflow(policy, spec(pod(), locks=("m",))), name=f"r{turn}")
        assert len(world.running()) <= 1
        assert len(pending(world)) <= 1
        if turn % 3 == 0 and world.running():
            world.exits(*world.running()[0], turn % 2)
        if turn % 4 == 1:
            for (name,) in world.rows("SELECT r.name FROM run r WHERE finished_at IS NOT NULL ORDER BY id"):
                world.ask("terminate", run=name)
        if turn % 7 == 0:
            world.crash()
        assert world.sweep_changes() == 0
