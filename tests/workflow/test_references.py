"""Templates of other documents: how they are found, which names they see, and that a run keeps what it began with."""

import pytest
from loop_harness import API, call, pod, spec, steps, taking, tasks, values


def template(name, *templates, kind="WorkflowTemplate", **more):
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name}, "spec": {"templates": list(templates), **more}}


def refer(name, document, to="p", *, cluster=False, **more):
    ref = {"name": document, "template": to, **({"clusterScope": True} if cluster else {})}
    found = call(name, **more)
    del found["template"]
    return {**found, "templateRef": ref}


KINDS = [("WorkflowTemplate", False), ("ClusterWorkflowTemplate", True)]


@pytest.mark.parametrize(("kind", "cluster"), KINDS)
@pytest.mark.parametrize("body", ["steps", "dag"])
def test_a_call_may_refer_to_a_template_of_another_document(world, kind, cluster, body):
    world.push(template("lib", taking("p", "x"), kind=kind))
    one = refer("a", "lib", cluster=cluster, given={"x": "1"})
    world.submit(spec(steps("main", [one]) if body == "steps" else tasks("main", one)), "r")
    node = "[0].a" if body == "steps" else ".a"
    assert world.inputs("r", node) == {"x": "1"}
    world.exits("r", node)
    assert world.phase("r") == "Succeeded"


def test_a_local_name_inside_a_document_is_that_documents(world):
    """Both documents have a template `p`: each means its own."""
    lib = template("lib", steps("outer", [call("inner", "p", given={"x": "of lib"})]), taking("p", "x"))
    world.push(lib)
    mine = taking("p", ("y", "mine"))
    world.submit(spec(steps("main", [refer("far", "lib", "outer"), call("near", "p")]), mine), "r")
    assert world.inputs("r", "[0].far[0].inner") == {"x": "of lib"}
    assert world.inputs("r", "[0].near") == {"y": "mine"}


def test_documents_refer_to_documents(world):
    one = template("one", steps("t", [refer("deep", "two", "t", cluster=True)]))
    two = template("two", steps("t", [refer("deepest", "three")]), kind="ClusterWorkflowTemplate")
    world.push(one, two, template("three", pod("p")))
    world.submit(spec(steps("main", [refer("a", "one", "t")])), "r")
    assert world.running("r") == ["[0].a[0].deep[0].deepest"]


def test_documents_may_refer_to_each_other_in_a_circle(world):
    one = template("one", steps("t", [refer("a", "two", "t", when="{{workflow.parameters.n}} == 1")], [call("b")]), pod("p"))
    two = template("two", steps("t", [refer("c", "one", "p")]))
    world.push(one, two)
    world.submit({**spec(steps("main", [refer("a", "one", "t")])), "arguments": {"parameters": values(n="1")}}, "r")
    world.exits("r", "[0].a[0].a[0].c")
    world.exits("r", "[0].a[1].b")
    assert world.phase("r") == "Succeeded"


def test_a_run_keeps_the_templates_that_it_was_submitted_with(world):
    world.push(template("lib", taking("p", ("x", "old"))))
    world.submit(spec(steps("main", ["w"], [refer("a", "lib")]), pod("w")), "r")
    world.push(template("lib", taking("p", ("x", "new"))))
    world.exits("r", "[0].w")
    assert world.inputs("r", "[1].a") == {"x": "old"}
    world.crash()
    world.submit(spec(steps("main", ["w"], [refer("a", "lib")]), pod("w")), "later")
    world.exits("later", "[0].w")
    assert world.inputs("later", "[1].a") == {"x": "new"}


def test_a_run_keeps_a_template_that_leaves_the_repository(world):
    world.push(template("lib", pod("p")), path="lib.yaml")
    world.submit(spec(steps("main", ["w"], [refer("a", "lib")]), pod("w")), "r")
    world.push(template("other", pod("p")), path="other.yaml")
    world.push(removed=["lib.yaml"])
    world.exits("r", "[0].w")
    assert world.running("r") == ["[1].a"]


MISSING = [("gone", "p", "which is not live here"), ("lib", "gone", "gone")]


@pytest.mark.parametrize(("document", "to", "said"), MISSING)
def test_a_reference_to_nothing_is_refused_or_an_error(world, document, to, said):
    world.push(template("lib", pod("p")))
    from loop_harness import parsed

    body = {"apiVersion": API, "kind": "Workflow", "metadata": {"name": "r"}}
    body["spec"] = spec(steps("main", [refer("a", document, to)]))
    reply = world.ask("submit", documents=parsed("x.yaml", body).documents)
    if reply.error is not None:
        assert said in reply.error["message"]
        assert world.run("r") is None
    else:
        assert (world.nodes("r")["[0].a"], world.phase("r")) == ("Error", "Failed")
        assert said in world.told("r", "[0].a")


def test_namespaced_and_cluster_documents_of_one_name_are_two(world):
    far = template("lib", taking("p", ("x", "far")), kind="ClusterWorkflowTemplate")
    world.push(template("lib", taking("p", ("x", "near"))), far)
    world.submit(spec(steps("main", [refer("a", "lib"), refer("b", "lib", cluster=True)])), "r")
    assert (world.inputs("r", "[0].a"), world.inputs("r", "[0].b")) == ({"x": "near"}, {"x": "far"})


def test_a_handler_may_be_of_another_document(world):
    world.push(template("lib", taking("h", "x")))
    hook = {"templateRef": {"name": "lib", "template": "h"}, "arguments": {"parameters": values(x="{{workflow.status}}")}}
    main = steps("main", [call("a", hooks={"exit": {**hook, "arguments": {"parameters": values(x="{{steps.a.status}}")}}})])
    world.submit(spec(main, pod("p"), hooks={"exit": hook}), "r")
    world.exits("r", "[0].a", 1)
    assert world.inputs("r", "[0].a.onExit") == {"x": "Failed"}
    world.exits("r", "[0].a.onExit")
    assert world.inputs("r", ".onExit") == {"x": "Failed"}


def test_a_template_of_another_document_has_all_its_own_settings(world):
    """Retry, timeout, locks, outputs, loops."""
    lib = taking("p", "x", retryStrategy={"limit": 1}, synchronization={"mutexes": [{"name": "{{inputs.parameters.x}}"}]})
    world.push(template("lib", lib))
    world.submit(spec(steps("main", [refer("a", "lib", given={"x": "{{item}}"}, withItems=["m", "n"])])), "r")
    assert world.running("r") == ["[0].a(0:m)(0)", "[0].a(1:n)(0)"]
    assert world.holders() == {"m": ["r[0].a(0:m)/"], "n": ["r[0].a(1:n)/"]}
    world.exits("r", "[0].a(0:m)(0)", 1)
    assert "[0].a(0:m)(1)" in world.running("r")


# inline ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", ["steps", "dag"])
def test_an_inline_template_sees_the_variables_around_it(world, body):
    """Corpus: an inline template also has the names of the call that holds it."""
    root = "steps" if body == "steps" else "tasks"
    words = ["echo", f"{{{{inputs.parameters.o}}}} {{{{item}}}} {{{{{root}.first.outputs.result}}}}"]
    inline = {"container": {"image": "host", "command": words}}
    loop = {"name": "a", "inline": inline, "withItems": ["i"]}
    first = call("first", "w")
    main = steps("main", [first], [loop]) if body == "steps" else tasks("main", first, {**loop, "depends": "first"})
    main["inputs"] = {"parameters": [{"name": "o", "default": "outer"}]}
    world.submit(spec(main, pod("w")), "r")
    world.exits("r", "[0].first" if body == "steps" else ".first", result="before")
    node = "[1].a(0:i)" if body == "steps" else ".a(0:i)"
    assert world.argv("r", node) == ["echo", "outer i before"]


def test_an_inline_template_inside_another_document(world):
    inline = {"container": {"image": "host", "command": ["echo", "{{inputs.parameters.x}}"]}}
    outer = {**steps("t", [{"name": "i", "inline": inline}]), "inputs": {"parameters": [{"name": "x"}]}}
    world.push(template("lib", outer))
    world.submit(spec(steps("main", [refer("a", "lib", "t", given={"x": "1"})])), "r")
    assert world.argv("r", "[0].a[0].i") == ["echo", "1"]


def test_inline_steps_call_the_templates_of_their_document(world):
    inline = {"steps": [[call("p")]]}
    world.submit(spec(tasks("main", {"name": "a", "inline": inline}), pod("p")), "r")
    world.exits("r", ".a[0].p")
    assert world.phase("r") == "Succeeded"


def test_a_tried_inline_template_sees_the_variables_around_it(world):
    inline = {"container": {"image": "host", "command": ["echo", "{{item}} {{retries}}"]}, "retryStrategy": {"limit": 1}}
    world.submit(spec(steps("main", [{"name": "a", "inline": inline, "withItems": ["i"]}])), "r")
    assert world.argv("r", "[0].a(0:i)(0)") == ["echo", "i 0"]
    world.exits("r", "[0].a(0:i)(0)", 1)
    assert world.argv("r", "[0].a(0:i)(1)") == ["echo", "i 1"]


# defaults and whole workflows by reference -------------------------------------------------------------------------------


def test_template_defaults_hold_for_every_template_and_parts_for_their_own_kind(world):
    """Corpus: trap 21."""
    defaults = {"retryStrategy": {"limit": 1}, "container": {"env": [{"name": "A", "value": "1"}]}}
    world.submit(spec(steps("main", ["p"]), pod("p"), templateDefaults=defaults), "r")
    types = dict(world.rows("SELECT name, type FROM node"))
    assert (types[""], types["(0)"], types["(0)[0].p"]) == ("Retry", "Steps", "Retry")
    frozen = world.loop._specs.get(world.run("r").spec_digest)
    assert [(v.name, v.value) for v in frozen.templates["p"].body.env] == [("A", "1")]


def test_a_runs_own_template_defaults_hold_for_templates_of_other_documents_and_theirs_do_not(world):
    world.push(template("lib", pod("p"), templateDefaults={"timeout": "5"}))
    world.submit(spec(steps("main", [refer("far", "lib")]), templateDefaults={"retryStrategy": {"limit": 1}}), "r")
    world.tick(60)
    assert world.running("r") == ["(0)[0].far(0)"]
    assert world.asked_to_end("r") == []


@pytest.mark.parametrize(("kind", "cluster"), KINDS)
def test_a_workflow_by_reference_runs_the_documents_spec_with_its_own_over_it(world, kind, cluster):
    more = {"kind": kind, "entrypoint": "main"}
    world.push(template("lib", taking("main", "x"), pod("h"), onExit="h", arguments={"parameters": values(x="1")}, **more))
    ref = {"name": "lib", **({"clusterScope": True} if cluster else {})}
    world.submit({"workflowTemplateRef": ref}, "plain")
    world.submit({"workflowTemplateRef": ref, "arguments": {"parameters": values(x="2")}}, "given")
    assert (world.inputs("plain", ""), world.inputs("given", "")) == ({"x": "1"}, {"x": "2"})
    world.push(template("lib", taking("main", "x"), arguments={"parameters": values(x="3")}, **more))
    world.exits("plain", "")
    assert world.running("plain") == [".onExit"]


def test_a_workflow_by_reference_may_name_another_entrypoint(world):
    world.push(template("lib", pod("main"), taking("other", ("x", "o")), entrypoint="main"))
    world.submit({"workflowTemplateRef": {"name": "lib"}, "entrypoint": "other"}, "r")
    assert world.inputs("r", "") == {"x": "o"}


def test_a_referred_workflow_refers_further(world):
    world.push(template("lib", steps("main", [refer("a", "more")]), entrypoint="main"), template("more", pod("p")))
    world.submit({"workflowTemplateRef": {"name": "lib"}}, "r")
    assert world.running("r") == ["[0].a"]


def test_resubmission_takes_the_frozen_templates(world):
    world.push(template("lib", taking("p", ("x", "old"))))
    world.submit(spec(steps("main", [refer("a", "lib")])), "r")
    world.exits("r", "[0].a")
    world.push(template("lib", taking("p", ("x", "new"))))
    again = world.must("resubmit", run="r")["runs"][0]["name"]
    assert world.inputs(again, "[0].a") == {"x": "old"}


def test_an_entry_templates_default_may_name_the_entrypoint(world):
    """Corpus: entrypointName."""
    main = steps("main", [call("a", given={"x": "{{inputs.parameters.n}}"})])
    main["inputs"] = {"parameters": [{"name": "n", "value": "{{workflow.mainEntrypoint}}"}]}
    world.submit(spec(main, taking("p", "x")), "r")
    assert world.inputs("r", "[0].a") == {"x": "main"}
