"""Makes runs: from a pushed Workflow, a definition, a file handed in, a cron's tick or an earlier run.

Everything that a run will be is frozen here: the spec with its template merged in, the arguments, the labels, the commit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from reconciler.errors import ManifestError, NotFound, Refused
from reconciler.loop.context import Context
from reconciler.manifest import content_digest, merge_body, workflow_body_spec
from reconciler.model.spec import Kind, WorkflowSpec
from reconciler.model.state import RunId, RunState
from reconciler.store import catalogue, runs
from reconciler.workflow.values import resolve_arguments

SHORT = 5
NAME_LIMIT = 63


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a run comes from. `body` is the document's plain data; `place` path:line, or '' for a file handed in."""

    body: Mapping[str, Any]
    namespace: str
    origin: str
    kind: str = ""
    name: str = ""
    place: str = ""
    commit_sha: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What the asker wants of the run. With `generate_name` a suffix of `seed` follows; `is_exact`: that name or none."""

    parameters: Mapping[str, str] = field(default_factory=dict)
    name: str = ""
    generate_name: str = ""
    is_exact: bool = False
    seed: str = ""
    priority: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    entrypoint: str = ""
    cron: str = ""
    scheduled_at: str | None = None
    successor_of: RunId | None = None
    queue_order: int | None = None


def submit(ctx: Context, source: Source, order: Order) -> RunState:
    """Creates one Pending run. Raises ManifestError or NotFound, and then nothing was written."""
    spec_json, digest, spec, inherited = _freeze(ctx, source, order.entrypoint)
    owner = f"{source.kind or Kind.WORKFLOW.value}/{order.name or source.name or order.generate_name}"
    arguments = resolve_arguments(spec.arguments, order.parameters, owner)
    if spec.entrypoint not in spec.templates:
        raise ManifestError(f"{source.place or owner}: entrypoint {spec.entrypoint!r} is not one of its templates")
    uid = ctx.new_uid()
    new = runs.NewRun(
        uid=uid,
        namespace=source.namespace,
        name=_free_name(ctx, source.namespace, order, uid),
        priority=order.priority if order.priority is not None else spec.priority or 0,
        spec_digest=digest,
        spec_json=spec_json,
        arguments=arguments,
        labels={**spec.labels, **source.labels, **order.labels, **_own_labels(source, order)},
        annotations={**inherited, **spec.annotations, **source.annotations},
        origin=source.origin,
        origin_kind=source.kind,
        origin_name=source.name,
        origin_place=source.place,
        commit_sha=source.commit_sha,
        cron=order.cron,
        scheduled_at=order.scheduled_at,
        successor_of=order.successor_of,
        queue_order=order.queue_order,
    )
    return runs.get_run(ctx.writer, runs.create_run(ctx.writer, new))


def _own_labels(source: Source, order: Order) -> dict[str, str]:
    if order.cron:
        return {"workflows.argoproj.io/cron-workflow": order.cron}
    if source.kind == Kind.WORKFLOW_TEMPLATE.value:
        return {"workflows.argoproj.io/workflow-template": source.name}
    return {}


def _freeze(ctx: Context, source: Source, entrypoint: str) -> tuple[str, str, WorkflowSpec, Mapping[str, str]]:
    """The spec as JSON, its digest and its value; a template that it names is merged in as it is now.

    The last is what the template's own metadata says under `lineclear.dev/`: it counts where nothing nearer says otherwise.
    """
    inherited: dict[str, str] = {}
    body = workflow_body_spec(source.body)
    own = ctx.specs.decoded(content_digest(body), body)
    if own.template_ref:
        template = catalogue.find_definition(ctx.writer, Kind.WORKFLOW_TEMPLATE, source.namespace, own.template_ref)
        if template is None:
            known = ", ".join(catalogue.live_names(ctx.writer, Kind.WORKFLOW_TEMPLATE, source.namespace)) or "none"
            where = source.place or "the manifest"
            raise NotFound(
                f"{where}: workflowTemplateRef names {own.template_ref!r}, which is not in namespace {source.namespace};"
                f" live there: {known}"
            )
        body = merge_body(body, workflow_body_spec(template.body))
        inherited = own_annotations(template.annotations)
    if entrypoint:
        body = {**body, "entrypoint": entrypoint}
    digest = content_digest(body)
    return json.dumps(body, separators=(",", ":")), digest, ctx.specs.decoded(digest, body), inherited


def own_annotations(annotations: Mapping[str, str]) -> dict[str, str]:
    """Those that are settings of ours."""
    return {name: value for name, value in annotations.items() if name.startswith("lineclear.dev/")}


def _free_name(ctx: Context, namespace: str, order: Order, uid: str) -> str:
    """The asked name if it is free, else it with a short hash; a generated one has its suffix from `seed`."""
    base = order.name or order.generate_name[: NAME_LIMIT - SHORT]
    seed = order.seed or uid

    def taken(name: str) -> bool:
        return runs.find_run(ctx.writer, namespace, name) is not None

    if order.name and not taken(order.name):
        return order.name
    if order.is_exact:
        raise Refused(f"there is a run {order.name!r} in namespace {namespace} already: take another name, or delete that run")
    for salt in range(64):
        suffix = sha256(f"{seed}/{salt}".encode()).hexdigest()[:SHORT]
        name = f"{order.name}-{suffix}" if order.name else f"{base}{suffix}"
        if not taken(name):
            return name
    raise Refused(f"no free name could be made from {base!r}: delete finished runs of that name")


def source_of(ctx: Context, definition: catalogue.Definition, origin: str) -> Source:
    """A live definition as the source of a run, at the commit that is live now."""
    is_workflow = definition.kind is Kind.WORKFLOW
    metadata = (definition.body.get("spec") or {}).get("workflowMetadata") or {} if definition.kind is Kind.CRON_WORKFLOW else {}
    of_cron = {**own_annotations(definition.annotations), **(metadata.get("annotations") or {})}
    return Source(
        body=definition.body,
        namespace=definition.namespace,
        origin=origin,
        kind=definition.kind.value,
        name=definition.name,
        place=definition.place,
        commit_sha=catalogue.applied_sha(ctx.writer) or definition.commit_sha,
        labels=definition.labels if is_workflow else metadata.get("labels") or {},
        annotations=definition.annotations if is_workflow else of_cron,
    )
