"""Deployments queue for the infrastructure that they deploy to, by service and place: rule by rule."""

import json

import pytest
from loop_harness import API, job, parsed, pod, spec

OWN = "lineclear.dev/v1alpha1"
PLACE = "cluster=prod,namespace=target"
KEY = f"default/Infrastructure/gke-demo/{PLACE}"


def infrastructure(name="k8s", **fields):
    fields = fields or {"cluster": "prod", "namespace": "{{workflow.parameters.namespace}}"}
    return {"apiVersion": OWN, "kind": "InfrastructureDefinition", "metadata": {"name": name}, "spec": {"fields": fields}}


def constraint(name="licences", capacity=4, **more):
    spec = {"capacity": capacity, **more}
    return {"apiVersion": OWN, "kind": "ResourceConstraint", "metadata": {"name": name}, "spec": spec}


def deployment(*locks, namespace="target", service="gke-demo", body=None, **annotations):
    named = {f"lineclear.dev/{key.replace('_', '-')}": value for key, value in annotations.items()}
    if service:
        named = {"lineclear.dev/service": service, "lineclear.dev/infrastructure": "k8s", **named}
    arguments = {"parameters": [{"name": "namespace", "value": namespace}]}
    return {**(body or job(*locks)), "arguments": arguments, "workflowMetadata": {"annotations": named}}


@pytest.fixture
def cluster(world):
    world.push(infrastructure(), constraint(), path="infra.yaml")
    return world


ACQUIRE, PRE = ".acquireResourceLock", ".preDeployment"


def test_the_same_service_to_the_same_place_waits_and_goes_on_in_order_of_arrival(cluster):
    for number in range(3):
        cluster.submit(deployment(), f"r{number}")
    assert (cluster.holders(PLACE), cluster.queue(PLACE)) == (["r0"], ["r1", "r2"])
    assert cluster.nodes("r0") == {ACQUIRE: "Succeeded", "": "Running"}
    assert cluster.told("r0", ACQUIRE) == f"ACTIVE: {KEY}"
    assert (cluster.phase("r1"), cluster.nodes("r1")) == ("Pending", {ACQUIRE: "Pending"})
    cluster.exits("r0", "")
    assert (cluster.phase("r0"), cluster.nodes("r1")) == ("Succeeded", {ACQUIRE: "Succeeded", "": "Running"})


def test_another_namespace_and_another_service_never_wait(cluster):
    cluster.submit(deployment(), "r0")
    cluster.submit(deployment(namespace="other"), "r1")
    cluster.submit(deployment(service="billing"), "r2")
    assert [cluster.phase(f"r{n}") for n in range(3)] == ["Running"] * 3


def test_a_mapping_is_recorded_for_each_place_once(cluster):
    for number, place in enumerate(("target", "target", "other")):
        cluster.submit(deployment(namespace=place), f"r{number}")
    rows = cluster.rows("SELECT definition, service, fields_json, deployments FROM mapping ORDER BY lock_id")
    assert rows == [
        ("k8s", "gke-demo", '{"cluster": "prod", "namespace": "target"}', 2),
        ("k8s", "gke-demo", '{"cluster": "prod", "namespace": "other"}', 1),
    ]


def test_the_twenty_first_entry_fails_at_once_and_says_so(cluster):
    for number in range(21):
        cluster.submit(deployment(), f"r{number}")
    assert len(cluster.queue(PLACE)) == 19
    assert (cluster.phase("r20"), cluster.run("r20").ended_by) == ("Failed", "queue-full")
    assert cluster.message("r20").startswith(f"the queue of {KEY} is full: it has 20 entries, its holder included; ")
    assert cluster.nodes("r20") == {ACQUIRE: "Failed"}
    assert cluster.told("r20", ACQUIRE) == cluster.message("r20")


@pytest.mark.parametrize("more", [{"concurrency_strategy": "NotRequired"}, {"workflow_type": "build"}])
def test_builds_and_those_that_need_no_synchronization_take_no_lock_and_show_no_step(cluster, more):
    cluster.submit(deployment(), "r0")
    cluster.submit(deployment(**more), "r1")
    assert (cluster.phase("r1"), cluster.nodes("r1")) == ("Running", {"": "Running"})


def test_a_failed_deployment_lets_its_infrastructure_go_and_keeps_its_mutex(cluster):
    cluster.submit(deployment("m"), "r0")
    cluster.submit(deployment(), "r1")
    cluster.submit(job("m"), "r2")
    cluster.exits("r0", "", 1)
    assert (cluster.holders(PLACE), cluster.holders("m")) == (["r1"], ["r0"])


def test_the_lock_is_held_until_the_exit_handler_has_ended(cluster):
    body = {**spec(pod("main"), pod("bye")), "onExit": "bye"}
    cluster.submit(deployment(body=body), "r0")
    cluster.submit(deployment(), "r1")
    cluster.exits("r0", "")
    assert (cluster.holders(PLACE), cluster.running("r0")) == (["r0"], [".onExit"])
    cluster.exits("r0", ".onExit")
    assert cluster.holders(PLACE) == ["r1"]


def test_mutex_and_infrastructure_are_one_claim_all_or_none(cluster):
    cluster.submit(job("m"), "busy")
    cluster.submit(deployment("m"), "r0")
    assert (cluster.holders(PLACE), cluster.queue(PLACE), cluster.queue("m")) == ([], ["r0"], ["r0"])


def test_a_second_infrastructure_is_locked_too(cluster):
    cluster.push(infrastructure("eu", cluster="eu"), path="eu.yaml")
    cluster.submit(deployment(infrastructure="k8s, eu"), "r0")
    assert cluster.holders() == {PLACE: ["r0"], "cluster=eu": ["r0"]}


def test_a_field_without_a_value_fails_the_run_closed(cluster):
    cluster.submit(deployment(namespace=""), "r0")
    assert (cluster.phase("r0"), cluster.holders()) == ("Error", {})
    assert "field namespace of infrastructure 'k8s' is empty" in cluster.message("r0")


@pytest.mark.parametrize(
    ("annotations", "told"),
    [
        ({"infrastructure": "nowhere"}, "'nowhere', which is not live here; there is k8s"),
        ({"infrastructure": "k8s,k8s"}, "names an infrastructure twice"),
        ({"concurrency_strategy": "Maybe"}, "use AcquireLock or NotRequired"),
        ({"pre_deployment": "none"}, 'names template "none", which the workflow does not have'),
        ({"resource_constraints": "licences=9"}, "takes 9 units of constraint 'licences', which has 4"),
        ({"resource_constraints": "gold=1"}, "'gold', which is not live here; there is licences"),
        ({"resource_constraints": "licences=0"}, "is no constraint"),
    ],
)
def test_what_cannot_be_meant_is_refused_at_submission(cluster, annotations, told):
    body = {"apiVersion": API, "kind": "Workflow", "metadata": {"name": "w"}, "spec": deployment(**annotations)}
    assert told in cluster.must_not("submit", documents=parsed("w.yaml", body).documents)
    assert cluster.phase("w") is None


def test_fields_that_look_alike_are_different_places_and_equal_ones_one_place(cluster):
    places = {"a": {"x": "1,y=2"}, "b": {"x": "1", "y": "2"}, "c": {"y": "2", "x": "1"}}
    cluster.push(*(infrastructure(name, **fields) for name, fields in places.items()), path="abc.yaml")
    for name in "abc":
        cluster.submit(deployment(infrastructure=name), name)
    assert [cluster.phase(name) for name in "abc"] == ["Running", "Running", "Pending"]


def test_a_field_that_yaml_reads_as_a_word_or_number_of_its_own_is_the_text_that_the_check_saw(cluster):
    cluster.push(infrastructure("typed", live=True, zone=1.0, rack="r1"), path="typed.yaml")
    cluster.submit(deployment(infrastructure="typed"), "r0")
    assert cluster.holders() == {"live=true,rack=r1,zone=1": ["r0"]}


# pre-deployment ------------------------------------------------------------------------------------------------------------


def prepared(*locks, **more):
    created = {"name": "namespace", "globalName": "made", "valueFrom": {"path": "/tmp/out"}}
    provision = {**pod("provision"), "outputs": {"parameters": [created]}}
    return deployment(*locks, body={**spec(pod("main"), provision), **more}, pre_deployment="provision", infrastructure="made")


@pytest.fixture
def provisioned(cluster):
    cluster.push(infrastructure("made", namespace="{{workflow.outputs.parameters.made}}"), path="made.yaml")
    return cluster


def test_the_pre_deployment_runs_without_the_lock_and_its_output_names_the_place(provisioned):
    for name in ("r0", "r1"):
        provisioned.submit(prepared(), name)
    assert [provisioned.running(name) for name in ("r0", "r1")] == [[PRE], [PRE]]
    provisioned.exits("r1", PRE, outputs={"namespace": "blue"})
    provisioned.exits("r0", PRE, outputs={"namespace": "blue"})
    assert provisioned.holders() == {"namespace=blue": [f"r1{ACQUIRE}/"]}
    assert provisioned.nodes("r0") == {PRE: "Succeeded", ACQUIRE: "Pending"}
    assert provisioned.phase("r0") == "Running"
    provisioned.exits("r1", "")
    assert provisioned.running("r0") == [""]


def test_a_pre_deployment_that_fails_ends_the_run_before_it_asks(provisioned):
    body = prepared()
    body["templates"].append(pod("bye"))
    body["onExit"] = "bye"
    provisioned.submit(body, "r0")
    provisioned.exits("r0", PRE, 1)
    assert (provisioned.running("r0"), provisioned.holders()) == ([".onExit"], {})
    provisioned.exits("r0", ".onExit")
    assert (provisioned.phase("r0"), provisioned.nodes("r0")) == ("Failed", {PRE: "Failed", ".onExit": "Succeeded"})


def test_a_place_that_the_pre_deployment_does_not_name_fails_the_run_closed(provisioned):
    provisioned.submit(prepared(), "r0")
    provisioned.exits("r0", PRE, outputs={"namespace": " "})
    assert (provisioned.phase("r0"), provisioned.nodes("r0")[ACQUIRE]) == ("Error", "Error")
    assert provisioned.holders() == {}


@pytest.mark.parametrize("verb", ["stop", "terminate"])
def test_a_run_that_is_ended_while_it_waits_for_its_place_leaves_the_queue(provisioned, verb):
    for name in ("r0", "r1", "r2"):
        provisioned.submit(prepared(), name)
        provisioned.exits(name, PRE, outputs={"namespace": "blue"})
    provisioned.must(verb, namespace="default", run="r1")
    assert (provisioned.phase("r1"), provisioned.nodes("r1")[ACQUIRE]) == ("Failed", "Failed")
    provisioned.exits("r0", "")
    assert provisioned.running("r2") == [""]


def test_a_run_that_is_terminated_during_its_pre_deployment_ends_with_it(provisioned):
    provisioned.submit(prepared(), "r0")
    provisioned.must("terminate", namespace="default", run="r0")
    assert provisioned.asked_to_end("r0") == [PRE]
    provisioned.exits("r0", PRE, 143)
    assert (provisioned.phase("r0"), provisioned.holders()) == ("Failed", {})


def test_its_mutex_is_held_from_before_the_pre_deployment(provisioned):
    provisioned.submit(prepared(synchronization={"mutexes": [{"name": "m"}]}), "r0")
    assert provisioned.holders() == {"m": ["r0"]}


# again -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("locks", [(), ("m",)])
def test_a_retried_deployment_queues_again_for_its_place(cluster, locks):
    cluster.submit(deployment(*locks), "r0")
    cluster.submit(deployment(), "r1")
    cluster.exits("r0", "", 1)
    cluster.must("retry", namespace="default", run="r0")
    assert cluster.running("r0") == []
    assert cluster.nodes("r0")[ACQUIRE] == "Pending"
    cluster.exits("r1", "")
    assert cluster.running("r0") == [""]
    cluster.exits("r0", "")
    assert (cluster.phase("r0"), cluster.holders()) == ("Succeeded", {})


@pytest.mark.parametrize("locks", [(), ("m",)])
def test_a_retried_run_queues_again_for_the_units_that_it_let_go(cluster, locks):
    taking = {"service": "", "resource_constraints": "licences=3"}
    cluster.submit(deployment(*locks, **taking), "r0")
    cluster.submit(deployment(**taking), "r1")
    cluster.exits("r0", "", 1)
    cluster.must("retry", namespace="default", run="r0")
    assert (cluster.holders(), cluster.queue("licences"), cluster.running("r0")) == ({"licences": ["r1"]}, ["r0"], [])
    cluster.exits("r1", "")
    assert (cluster.holders("licences"), cluster.running("r0")) == (["r0"], [""])


def test_a_retried_deployment_does_not_prepare_twice(provisioned):
    provisioned.submit(prepared(), "r0")
    provisioned.exits("r0", PRE, outputs={"namespace": "blue"})
    provisioned.exits("r0", "", 1)
    provisioned.must("retry", namespace="default", run="r0")
    assert provisioned.running("r0") == [""]


@pytest.mark.parametrize("point", ["before-commit", "after-commit", "admit"])
def test_a_crash_at_any_point_of_the_hand_over_leaves_one_holder(cluster, point):
    for number in range(3):
        cluster.submit(deployment(), f"r{number}")
    attempt = cluster.attempt_of("r0", "")
    cluster.dying(point, lambda: cluster.exits("r0", ""))
    if cluster.phase("r0") == "Running":
        assert cluster.attempt_of("r0", "") == attempt
        cluster.exits("r0", "")
    assert (cluster.holders(PLACE), cluster.queue(PLACE)) == (["r1"], ["r2"])
    assert cluster.sweep_changes() == 0


# constraints ---------------------------------------------------------------------------------------------------------------


def taking(text):
    return deployment(service="", resource_constraints=text)


def test_units_add_up_to_the_capacity_and_no_further(cluster):
    for number, units in enumerate((2, 1, 2, 1)):
        cluster.submit(taking(f"licences={units}"), f"r{number}")
    assert (cluster.holders("licences"), cluster.queue("licences")) == (["r0", "r1"], ["r2", "r3"])
    assert cluster.nodes("r0") == {"": "Running"}
    cluster.exits("r0", "")
    assert cluster.holders("licences") == ["r1", "r2", "r3"]


def test_asap_lets_small_claims_pass_a_big_one(world):
    world.push(constraint(strategy="ASAP"), path="c.yaml")
    for number, units in enumerate((3, 2, 1)):
        world.submit(taking(f"licences={units}"), f"r{number}")
    assert (world.holders("licences"), world.queue("licences")) == (["r0", "r2"], ["r1"])


def test_each_queue_of_a_constraint_has_all_its_units(cluster):
    cluster.submit(taking("licences/eu=4"), "r0")
    cluster.submit(taking("licences/us=4"), "r1")
    assert [cluster.phase(name) for name in ("r0", "r1")] == ["Running", "Running"]


def test_a_raised_capacity_admits_at_once_and_a_lowered_one_evicts_nobody(cluster):
    for number in range(2):
        cluster.submit(taking("licences=3"), f"r{number}")
    cluster.push(infrastructure(), constraint(capacity=6), path="infra.yaml")
    assert cluster.holders("licences") == ["r0", "r1"]
    cluster.push(infrastructure(), constraint(capacity=1), path="infra.yaml")
    assert cluster.holders("licences") == ["r0", "r1"]


def test_a_step_takes_units_for_as_long_as_it_runs(cluster):
    main = {**pod("main"), "metadata": {"annotations": {"lineclear.dev/resource-constraints": "licences=3"}}}
    for number in range(2):
        cluster.submit(spec(main), f"r{number}")
    assert (cluster.holders("licences"), cluster.queue("licences")) == (["r0/"], ["r1/"])
    cluster.exits("r0", "", 1)
    assert cluster.holders("licences") == ["r1/"]


def test_the_journal_tells_where_a_new_place_came_from(cluster):
    cluster.submit(deployment(), "r0")
    (row,) = cluster.rows("SELECT subject, detail_json FROM journal WHERE kind = 'infrastructure.mapped'")
    assert (row[0], json.loads(row[1])["fields"]) == ("k8s", {"cluster": "prod", "namespace": "target"})
