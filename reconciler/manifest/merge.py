"""A spec laid over the WorkflowTemplate that it refers to, as values and as plain data; both give the same result.

Owns the semantics of `workflowTemplateRef` (Argo: docs/workflow-templates.md): own fields win, arguments are merged by name.
It never looks a template up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from reconciler.manifest import schema
from reconciler.manifest.calls import EXIT
from reconciler.manifest.defaults import layered
from reconciler.manifest.scalars import go_text
from reconciler.model.spec import Backoff, Kind, Parameter, Retry, TtlStrategy, WorkflowSpec

_MERGED = frozenset(
    {"arguments", "hooks", "onExit", "retryStrategy", "suspend", "templateDefaults", "templates", "ttlStrategy"}
    | {"workflowMetadata", "workflowTemplateRef"}
)
_SOURCES = frozenset({"value", "valueFrom", "default"})


def merge_template(own: WorkflowSpec, template: WorkflowSpec) -> WorkflowSpec:
    """`own` with everything it does not say itself taken from `template`; `template_ref` is gone.

    Arguments are merged by name; one that says where its value comes from takes no such word from the template. Own locks and
    an own exit hook replace the template's as a whole, retryStrategy is merged field by field, and whether the run starts
    suspended is said by `own` alone, as in Argo. Own templateDefaults do not reach the template's templates here, as they are
    no longer told apart: `merge_body` does that. `result_calls` may name calls that only a replaced text named.
    """
    return WorkflowSpec(
        entrypoint=own.entrypoint or template.entrypoint,
        on_exit=own.on_exit or template.on_exit,
        hooks={**template.hooks, **own.hooks},
        arguments=_merge_arguments(own.arguments, template.arguments),
        templates={**template.templates, **own.templates},
        locks=own.locks or template.locks,
        priority=template.priority if own.priority is None else own.priority,
        parallelism=template.parallelism if own.parallelism is None else own.parallelism,
        active_deadline_s=template.active_deadline_s if own.active_deadline_s is None else own.active_deadline_s,
        ttl=_merge_ttl(own.ttl, template.ttl),
        suspend=own.suspend,
        retry=_merge_retry(own.retry, template.retry),
        template_ref="",
        labels={**template.labels, **own.labels},
        annotations={**template.annotations, **own.annotations},
        result_calls=own.result_calls | template.result_calls,
        has_timeouts=own.has_timeouts or template.has_timeouts,
        has_running_hooks=own.has_running_hooks or template.has_running_hooks,
    )


def _merge_arguments(own: tuple[Parameter, ...], template: tuple[Parameter, ...]) -> tuple[Parameter, ...]:
    wanted = {parameter.name: parameter for parameter in own}
    merged = [_merge_parameter(wanted.pop(below.name, None), below) for below in template]
    return (*merged, *wanted.values())


def _merge_parameter(own: Parameter | None, below: Parameter) -> Parameter:
    if own is None:
        return below
    is_told = own.value is not None or own.default is not None or own.value_from is not None
    source = own if is_told else below
    return replace(
        own,
        value=source.value,
        default=source.default,
        value_from=source.value_from,
        global_name=own.global_name or below.global_name,
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


def _merge_retry(own: Retry | None, below: Retry | None) -> Retry | None:
    if own is None or below is None:
        return own or below
    return Retry(
        limit=own.limit or below.limit,
        policy=own.policy or below.policy,
        expression=own.expression or below.expression,
        backoff=_merge_backoff(own.backoff, below.backoff),
    )


def _merge_backoff(own: Backoff | None, below: Backoff | None) -> Backoff | None:
    if own is None or below is None:
        return own or below
    return Backoff(
        duration=own.duration or below.duration,
        factor=own.factor or below.factor,
        cap=own.cap or below.cap,
        max_duration=own.max_duration or below.max_duration,
    )


def merge_body(own_body_spec: Mapping[str, Any], template_body_spec: Mapping[str, Any]) -> dict[str, Any]:
    """The plain data that `decode_spec` turns into `merge_template` of both, without workflowTemplateRef.

    Both must have been decoded without errors. Top-level keys get Argo's spelling; nothing of the arguments is changed.
    """
    own, below = _canonical(own_body_spec, schema.WORKFLOW_SPEC), _canonical(template_body_spec, schema.WORKFLOW_SPEC)
    merged = {name: value for name, value in below.items() if name not in _MERGED}
    merged.update((name, value) for name, value in own.items() if name not in _MERGED and not _says_nothing(value))
    arguments = _arguments_body(own.get("arguments"), below.get("arguments"))
    parts = {
        "arguments": arguments,
        "ttlStrategy": _layered(own.get("ttlStrategy"), below.get("ttlStrategy"), schema.TTL),
        "workflowMetadata": _metadata_body(own.get("workflowMetadata"), below.get("workflowMetadata")),
        "templateDefaults": layered(own.get("templateDefaults") or {}, below.get("templateDefaults") or {}),
        "templates": _all_templates(own.get("templates"), below.get("templates")),
        "suspend": own.get("suspend"),
        **_hooks_body(own, below),
    }
    merged.update((name, value) for name, value in parts.items() if value)
    retries = [side["retryStrategy"] for side in (own, below) if "retryStrategy" in side]
    if retries:  # an empty one means something: no limit
        merged["retryStrategy"] = layered(retries[0], retries[-1])
    return merged


def _names_exit(spec: Mapping[str, Any]) -> bool:
    return bool(spec.get("onExit") or (spec.get("hooks") or {}).get(EXIT))


def _hooks_body(own: Mapping[str, Any], below: Mapping[str, Any]) -> dict[str, Any]:
    """The exit handler of one side as it is written there, and the other hooks of both."""
    last = own if _names_exit(own) else below
    hooks = {name: hook for side in (below, own) for name, hook in (side.get("hooks") or {}).items() if name != EXIT}
    at_exit = (last.get("hooks") or {}).get(EXIT)
    return {"onExit": last.get("onExit"), "hooks": {**hooks, EXIT: at_exit} if at_exit is not None else hooks}


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
    merged = [_parameter_body(wanted.pop(name, {}), item) for name, item in standing.items()]
    parameters = [*merged, *wanted.values()]
    return {"parameters": parameters} if parameters else {}


def _parameter_body(own: dict[str, Any], below: dict[str, Any]) -> dict[str, Any]:
    if own.keys() & _SOURCES:
        below = {name: value for name, value in below.items() if name not in _SOURCES}
    return {**below, **{name: value for name, value in own.items() if name in _SOURCES or not _says_nothing(value)}}


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
