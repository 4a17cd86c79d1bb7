"""A spec laid over the WorkflowTemplate that it refers to, as values and as plain data; both give the same result.

Owns the semantics of `workflowTemplateRef` (Argo: docs/workflow-templates.md): own fields win, arguments are merged by name.
It never looks a template up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from reconciler.manifest import schema
from reconciler.manifest.scalars import go_text
from reconciler.model.spec import Kind, Parameter, TtlStrategy, WorkflowSpec

_MERGED = frozenset({"arguments", "ttlStrategy", "workflowMetadata", "templates", "workflowTemplateRef"})


def merge_template(own: WorkflowSpec, template: WorkflowSpec) -> WorkflowSpec:
    """`own` with everything it does not say itself taken from `template`; `template_ref` is gone.

    Arguments are merged by name, field by field; own locks replace the template's as a whole.
    """
    return WorkflowSpec(
        entrypoint=own.entrypoint or template.entrypoint,
        on_exit=own.on_exit or template.on_exit,
        arguments=_merge_arguments(own.arguments, template.arguments),
        templates={**template.templates, **own.templates},
        locks=own.locks or template.locks,
        priority=template.priority if own.priority is None else own.priority,
        parallelism=template.parallelism if own.parallelism is None else own.parallelism,
        active_deadline_s=template.active_deadline_s if own.active_deadline_s is None else own.active_deadline_s,
        ttl=_merge_ttl(own.ttl, template.ttl),
        suspend=own.suspend or template.suspend,
        template_ref="",
        labels={**template.labels, **own.labels},
        annotations={**template.annotations, **own.annotations},
    )


def _merge_arguments(own: tuple[Parameter, ...], template: tuple[Parameter, ...]) -> tuple[Parameter, ...]:
    wanted = {parameter.name: parameter for parameter in own}
    merged = [_merge_parameter(wanted.pop(below.name, None), below) for below in template]
    return (*merged, *wanted.values())


def _merge_parameter(own: Parameter | None, below: Parameter) -> Parameter:
    if own is None:
        return below
    return replace(
        own,
        value=below.value if own.value is None else own.value,
        default=below.default if own.default is None else own.default,
        enum=own.enum or below.enum,
        description=own.description or below.description,
    )


def _merge_ttl(own: TtlStrategy | None, below: TtlStrategy | None) -> TtlStrategy | None:
    if own is None or below is None:
        return own or below
    return TtlStrategy(
        after_completion_s=below.after_completion_s if own.after_completion_s is None else own.after_completion_s,
        after_success_s=below.after_success_s if own.after_success_s is None else own.after_success_s,
        after_failure_s=below.after_failure_s if own.after_failure_s is None else own.after_failure_s,
    )


def merge_body(own_body_spec: Mapping[str, Any], template_body_spec: Mapping[str, Any]) -> dict[str, Any]:
    """The plain data that `decode_spec` turns into `merge_template` of both, without workflowTemplateRef.

    Both must have been decoded without errors. Top-level keys get Argo's spelling; nothing of the arguments is changed.
    """
    own, below = _canonical(own_body_spec, schema.WORKFLOW_SPEC), _canonical(template_body_spec, schema.WORKFLOW_SPEC)
    merged = {name: value for name, value in below.items() if name not in _MERGED}
    merged.update((name, value) for name, value in own.items() if name not in _MERGED and not _says_nothing(value))
    arguments = _arguments_body(own.get("arguments"), below.get("arguments"))
    layered = {
        "arguments": arguments,
        "ttlStrategy": _layered(own.get("ttlStrategy"), below.get("ttlStrategy"), schema.TTL),
        "workflowMetadata": _metadata_body(own.get("workflowMetadata"), below.get("workflowMetadata")),
        "templates": _all_templates(own.get("templates"), below.get("templates")),
    }
    merged.update((name, value) for name, value in layered.items() if value)
    return merged


def workflow_body_spec(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The workflow spec inside a document's `body`: `spec`, or `spec.workflowSpec` of a CronWorkflow; {} if it has none."""
    spec = _canonical(body, schema.DOCUMENT).get("spec") or {}
    if body.get("kind") == Kind.CRON_WORKFLOW:
        return _canonical(spec, schema.CRON_SPEC).get("workflowSpec") or {}
    return spec


def _canonical(value: Any, shape: schema.Shape) -> dict[str, Any]:
    """The fields that are said, under Argo's spelling."""
    return {shape.folded.get(name.lower(), name): item for name, item in (value or {}).items() if item is not None}


def _says_nothing(value: Any) -> bool:
    """An empty own value leaves the template's standing, as it does after decoding."""
    return value in ("", []) or (isinstance(value, dict) and not any(value.values()))


def _arguments_body(own: Any, below: Any) -> dict[str, Any]:
    wanted, standing = _parameters_by_name(own), _parameters_by_name(below)
    merged = [{**item, **wanted.pop(name, {})} for name, item in standing.items()]
    parameters = [*merged, *wanted.values()]
    return {"parameters": parameters} if parameters else {}


def _parameters_by_name(arguments: Any) -> dict[str, dict[str, Any]]:
    items = _canonical(arguments, schema.ARGUMENTS).get("parameters", [])
    parameters = [_canonical(item, schema.PARAMETER) for item in items]
    return {go_text(parameter["name"]): parameter for parameter in parameters}


def _all_templates(own: Any, below: Any) -> list[Any]:
    names = {_canonical(item, schema.TEMPLATE)["name"] for item in own or []}
    return [*(item for item in below or [] if _canonical(item, schema.TEMPLATE)["name"] not in names), *(own or [])]


def _metadata_body(own: Any, below: Any) -> dict[str, Any]:
    own, below = _canonical(own, schema.WORKFLOW_METADATA), _canonical(below, schema.WORKFLOW_METADATA)
    parts = {name: {**below.get(name, {}), **own.get(name, {})} for name in ("labels", "annotations")}
    return {name: value for name, value in parts.items() if value}


def _layered(own: Any, below: Any, shape: schema.Shape) -> dict[str, Any]:
    return {**_canonical(below, shape), **_canonical(own, shape)}
