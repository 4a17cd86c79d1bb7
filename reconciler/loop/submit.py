"""Makes runs: from a pushed Workflow, a definition, a file handed in, a cron's tick or an earlier run.

Everything that a run will be is frozen here: the spec with its template merged in, the arguments, the labels, the commit.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from reconciler.errors import ManifestError, NotFound, Refused
from reconciler.loop.claim_size import check_claims
from reconciler.loop.concurrency import rule_of, start
from reconciler.loop.context import Context
from reconciler.loop.deploying import freeze_deployment
from reconciler.loop.written import Layer, Written, merged
from reconciler.manifest import content_digest, merge_body, references_of, workflow_body_spec
from reconciler.model.concurrency import PolicyRule, group_of_definition
from reconciler.model.spec import Kind, WorkflowSpec
from reconciler.model.state import RunId, RunState
from reconciler.store import catalogue, runs
from reconciler.store.nodes import StoredNodes
from reconciler.workflow.values import resolve_arguments

SHORT = 5
NAME_LIMIT = 63


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a run comes from. `body` is the document's plain data; `place` path:line, or '' for a file handed in.

    `annotations` become the run's own; `definition_annotations` are those of ours on a cron or a template: they count where
    nothing nearer says otherwise.
    """

    body: Mapping[str, Any]
    namespace: str
    origin: str
    kind: str = ""
    name: str = ""
    place: str = ""
    commit_sha: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    definition_annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def group(self) -> str:
        """The runs that a policy written in this document counts together; a generateName's are those of its prefix."""
        return group_of_definition(self.kind or Kind.WORKFLOW.value, self.name.partition("|")[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What the asker wants of the run. With `generate_name` a suffix of `seed` follows; `is_exact`: that name or none.

    `policy` is what a cron's own spec says of its runs; `instead_of` the ended run whose locks the new one is to take over.
    """

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
    policy: Written | None = None
    instead_of: RunId | None = None
    queue_order: int | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What was frozen for a run, and the policy that it would be under: everything but its name."""

    source: Source
    spec: WorkflowSpec
    spec_json: str
    spec_digest: str
    arguments: Mapping[str, str]
    annotations: Mapping[str, str]
    rule: PolicyRule | None


def submit(ctx: Context, source: Source, order: Order) -> RunState:
    """Creates one Pending run, as its policy allows. Raises ManifestError, NotFound or Refused, and then nothing was written."""
    return make(ctx, draft(ctx, source, order), order)


def draft(ctx: Context, source: Source, order: Order) -> Draft:
    """Freezes what a run will be; writes nothing. Raises ManifestError or NotFound."""
    body, spec, layers = _freeze(ctx, source, order.entrypoint)
    annotations = {**merged(layers), **order.annotations}
    deployment = freeze_deployment(ctx, source, spec, annotations)
    if deployment is not None:
        body = {**body, "deployment": deployment}
    digest = content_digest(body)
    spec = ctx.specs.decoded(digest, body)
    owner = f"{source.kind or Kind.WORKFLOW.value}/{order.name or source.name or order.generate_name}"
    config = config_of(ctx, source.namespace)
    arguments = resolve_arguments(spec.arguments, order.parameters, owner, config)
    check_claims(spec, ctx.options.most_locks, source.place or owner)
    if spec.entrypoint not in spec.templates:
        raise ManifestError(f"{source.place or owner}: entrypoint {spec.entrypoint!r} is not one of its templates")
    return Draft(
        source=source,
        spec=spec,
        spec_json=json.dumps(body, separators=(",", ":")),
        spec_digest=digest,
        arguments=arguments,
        annotations=annotations,
        rule=rule_of(layers, arguments, order.policy),
    )


def make(ctx: Context, draft: Draft, order: Order) -> RunState:
    """Creates the run of a draft, as its policy allows. Raises Refused if its name is taken, Forbidden if the policy says no."""
    source, spec, uid = draft.source, draft.spec, ctx.new_uid()
    new = runs.NewRun(
        uid=uid,
        namespace=source.namespace,
        name=_free_name(ctx, source.namespace, order, uid),
        priority=order.priority if order.priority is not None else spec.priority or 0,
        spec_digest=draft.spec_digest,
        spec_json=draft.spec_json,
        arguments=draft.arguments,
        labels={**spec.labels, **source.labels, **order.labels, **_own_labels(source, order)},
        annotations=draft.annotations,
        origin=source.origin,
        origin_kind=source.kind,
        origin_name=source.name,
        origin_place=source.place,
        commit_sha=source.commit_sha,
        cron=order.cron,
        scheduled_at=order.scheduled_at,
        queue_order=order.queue_order,
        suspended=spec.suspend,
        rule=draft.rule,
    )
    return start(ctx, new, instead_of=order.instead_of)


def _own_labels(source: Source, order: Order) -> dict[str, str]:
    if order.cron:
        return {"workflows.argoproj.io/cron-workflow": order.cron}
    if source.kind == Kind.WORKFLOW_TEMPLATE.value:
        return {"workflows.argoproj.io/workflow-template": source.name}
    return {}


def _freeze(ctx: Context, source: Source, entrypoint: str) -> tuple[Mapping[str, Any], WorkflowSpec, list[Layer]]:
    """The spec as plain data and as a value, a template that it names merged in; and where its settings are written."""
    body = workflow_body_spec(source.body)
    own = ctx.specs.decoded(content_digest(body), body)
    where = source.place or "the manifest"
    layers = _layers_of(source, own, where)
    if own.template_ref:
        template = find_template(ctx, source.namespace, own.template_ref, cluster=own.template_ref_cluster)
        if template is None:
            known = _known_templates(ctx, source.namespace, cluster=own.template_ref_cluster)
            raise NotFound(f"{where}: workflowTemplateRef names {own.template_ref!r}, which is not live here; there is {known}")
        below = workflow_body_spec(template.body)
        layers += _layers_of_template(template, ctx.specs.decoded(content_digest(below), below))
        body = merge_body(body, below)
        own = ctx.specs.decoded(content_digest(body), body)
    if entrypoint:
        body = {**body, "entrypoint": entrypoint}
    stored = _stored_templates(ctx, source.namespace, own, where)
    if stored:
        body = {**body, "storedTemplates": stored}
    return body, ctx.specs.decoded(content_digest(body), body), layers


def _layers_of(source: Source, own: WorkflowSpec, where: str) -> list[Layer]:
    is_cron = source.kind == Kind.CRON_WORKFLOW.value
    run, inside = ("spec.workflowMetadata", "spec.workflowSpec") if is_cron else ("metadata", "spec")
    return [
        Layer(place=f"{where}, {run}", group=source.group, values=source.annotations),
        Layer(place=f"{where}, {inside}.workflowMetadata", group=source.group, values=own.annotations),
        Layer(place=f"{where}, metadata", group=source.group, values=source.definition_annotations),
    ]


def _layers_of_template(template: catalogue.Definition, spec: WorkflowSpec) -> list[Layer]:
    where, group = template.place, group_of_definition(template.kind.value, template.name)
    return [
        Layer(place=f"{where}, spec.workflowMetadata", group=group, values=spec.annotations),
        Layer(place=f"{where}, metadata", group=group, values=own_annotations(template.annotations)),
    ]


def find_template(ctx: Context, namespace: str, name: str, *, cluster: bool) -> catalogue.Definition | None:
    """The live WorkflowTemplate of the namespace, or the ClusterWorkflowTemplate, of that name."""
    if cluster:
        return catalogue.find_definition(ctx.writer, Kind.CLUSTER_TEMPLATE, "", name)
    return catalogue.find_definition(ctx.writer, Kind.WORKFLOW_TEMPLATE, namespace, name)


def _known_templates(ctx: Context, namespace: str, *, cluster: bool) -> str:
    kind, where = (Kind.CLUSTER_TEMPLATE, "") if cluster else (Kind.WORKFLOW_TEMPLATE, namespace)
    return ", ".join(catalogue.live_names(ctx.writer, kind, where)) or f"no {kind.value}"


def _stored_templates(ctx: Context, namespace: str, spec: WorkflowSpec, where: str) -> dict[str, Any]:
    """The documents whose templates the spec refers to, and theirs in turn, as they are now: frozen with the run.

    Raises NotFound for one that is not live.
    """
    found: dict[str, Any] = {}
    waiting = list(references_of(spec))
    while waiting:
        reference = waiting.pop()
        if reference.scope in found:
            continue
        definition = find_template(ctx, namespace, reference.name, cluster=reference.cluster)
        if definition is None:
            raise NotFound(
                f"{where}: templateRef names {reference.name!r}, which is not live here; there is"
                f" {_known_templates(ctx, namespace, cluster=reference.cluster)}"
            )
        body = workflow_body_spec(definition.body)
        found[reference.scope] = {key: body[key] for key in ("templates", "templateDefaults") if key in body}
        waiting += references_of(ctx.specs.decoded(content_digest(body), body))
    return found


def config_of(ctx: Context, namespace: str) -> Callable[[str, str], str | None]:
    """Look-up of a live ConfigMap's value by name and key."""
    stored = StoredNodes(ctx.writer, RunId(0))
    return lambda name, key: stored.config_value(namespace, name, key)


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
    return Source(
        body=definition.body,
        namespace=definition.namespace,
        origin=origin,
        kind=definition.kind.value,
        name=definition.name,
        place=definition.place,
        commit_sha=catalogue.applied_sha(ctx.writer) or definition.commit_sha,
        labels=definition.labels if is_workflow else metadata.get("labels") or {},
        annotations=definition.annotations if is_workflow else metadata.get("annotations") or {},
        definition_annotations={} if is_workflow else own_annotations(definition.annotations),
    )
