"""A frozen spec carries the templates of other documents under keys of their own, and says which it needs."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.errors import ManifestError
from reconciler.manifest import decode_spec, references_of
from reconciler.model.spec import Call, Hook, Steps, Suspend, TemplateRef

WAIT: dict[str, Any] = {"suspend": {}}


def step(name: str, **fields: Any) -> list[dict[str, Any]]:
    return [{"name": name, **fields}]


def ref(name: str, template: str, **more: Any) -> dict[str, Any]:
    return {"templateRef": {"name": name, "template": template, **more}}


STORED = {
    "namespaced/lib": {
        "templates": [
            {
                "name": "main",
                "steps": [
                    step("a", template="own", onExit="own"),
                    step("b", **ref("lib", "own")),
                    step("c", **ref("all", "own", clusterScope=True)),
                    step("d", inline={"steps": [step("e", template="own", when="{{steps.z.outputs.result}}")]}),
                ],
            },
            {"name": "own", **WAIT},
        ]
    },
    "cluster/all": {"templates": [{"name": "own", **WAIT}]},
}
SPEC = {"entrypoint": "main", "templates": [{"name": "main", "steps": [step("x", **ref("lib", "main"))]}]}


def test_stored_templates_are_told_apart_by_their_document():
    spec = decode_spec({**SPEC, "storedTemplates": STORED})
    assert list(spec.templates) == [
        "main",
        "namespaced/lib:main",
        "namespaced/lib:main/d",
        "namespaced/lib:own",
        "cluster/all:own",
    ]
    assert all(key == template.name for key, template in spec.templates.items())
    assert spec.templates["namespaced/lib:main"].body == Steps(
        groups=(
            (Call(name="a", template="namespaced/lib:own", hooks={"exit": Hook(template="namespaced/lib:own")}),),
            (Call(name="b", template="namespaced/lib:own", reference=TemplateRef(name="lib", template="own")),),
            (Call(name="c", template="cluster/all:own", reference=TemplateRef(name="all", template="own", cluster=True)),),
            (Call(name="d", template="namespaced/lib:main/d"),),
        )
    )
    assert spec.templates["namespaced/lib:main/d"].is_inline
    assert spec.templates["cluster/all:own"].body == Suspend()
    assert spec.result_calls == {"z"}


def test_every_call_of_a_complete_frozen_spec_leads_to_a_template():
    spec = decode_spec({**SPEC, "storedTemplates": STORED})
    called = [
        call.template
        for template in spec.templates.values()
        if isinstance(template.body, Steps)
        for group in template.body.groups
        for call in group
    ]
    assert set(called) <= set(spec.templates)
    assert {reference.key for reference in references_of(spec)} <= set(spec.templates)


def test_references_are_those_of_hooks_calls_and_inline_templates_each_once():
    spec = decode_spec(
        {
            "hooks": {"exit": ref("bye", "t")},
            "templates": [
                {
                    "name": "main",
                    "steps": [
                        step("a", **ref("w", "t"), hooks={"exit": ref("w", "u"), "busy": {**ref("bye", "t"), "expression": "x"}}),
                        step("b", inline={"dag": {"tasks": step("c", **ref("w", "t", clusterScope=True))}}),
                    ],
                },
                {"name": "more", "steps": [step("a", **ref("w", "t"))]},
            ],
        }
    )
    assert references_of(spec) == (
        TemplateRef(name="bye", template="t"),
        TemplateRef(name="w", template="t"),
        TemplateRef(name="w", template="u"),
        TemplateRef(name="w", template="t", cluster=True),
    )
    assert references_of(decode_spec({})) == ()


WRONG = [
    ([], "storedTemplates is a list, not a mapping; write a mapping"),
    ({"lib": {"templates": []}}, '"lib" names no document; write namespaced/NAME or cluster/NAME'),
    ({"cluster/a": {"template": []}}, 'field "template" of a stored document does not exist; did you mean "templates"?'),
    ({"cluster/a": {"templates": [{"name": "b"}]}}, "a template has no body"),
]


@pytest.mark.parametrize(("stored", "told"), WRONG)
def test_stored_templates_that_cannot_be_read_are_refused(stored, told):
    with pytest.raises(ManifestError) as error:
        decode_spec({**SPEC, "storedTemplates": stored})
    assert told in str(error.value)
    assert "spec.storedTemplates" in str(error.value)
