"""`lineclear plan` from outside: real repositories, a real daemon where there is something to wait for."""

import json

WORKFLOW = """\
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata:
  name: {name}
spec:
  entrypoint: main
  arguments: {{parameters: [{{name: db, value: {db}}}]}}
  synchronization: {{mutexes: [{{name: "db-{{{{workflow.parameters.db}}}}"}}]}}
  templates:
    - name: main
      container: {{image: host, command: [sleep, "60"]}}
"""


def workflow(name, db="main"):
    return WORKFLOW.format(name=name, db=db)


def test_a_home_without_anything_yet_is_planned_from_a_clone(home, plan):
    home.commit({"a.yaml": workflow("a"), "b.yaml": workflow("b")})
    found = plan()
    assert (found.code, found.err) == (0, "")
    assert "ACTIVE    a (a.yaml:1)" in found.out
    assert "default/Mutex/db-main (workflow.parameters.db = main): free, would be held" in found.out
    assert "BLOCKED   b (b.yaml:1)" in found.out
    assert "position 1, held by a (this push)" in found.out


def test_the_keys_of_the_object_are_these(home, plan):
    home.commit({"a.yaml": workflow("a"), "b.yaml": workflow("b")})
    found = json.loads(plan("-o", "json").out)
    assert sorted(found) == [
        "accepted", "admitted", "applied", "commit", "definitions", "findings", "held", "limits", "removedRuns", "runs", "source",
    ]  # fmt: skip
    assert [run["state"] for run in found["runs"]] == ["ACTIVE", "BLOCKED"]
