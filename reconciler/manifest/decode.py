"""Whole documents as values: metadata, the specs of Workflow, WorkflowTemplate and CronWorkflow, and ConfigMap data.

Owns what a spec means, for a manifest in Git and for the frozen spec of a run alike. It never reads text and never
follows a reference to another document.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from reconciler.errors import ManifestError
from reconciler.manifest import rules, schema
from reconciler.manifest.calls import EXIT, Site, read_arguments, read_hooks
from reconciler.manifest.deployment import deployment_from_json
from reconciler.manifest.locks import read_lock_key, read_locks
from reconciler.manifest.positions import Path
from reconciler.manifest.reading import Reading
from reconciler.manifest.references import calls_in, find_result_calls
from reconciler.manifest.retries import read_retry
from reconciler.manifest.templates import read_defaults, read_templates
from reconciler.model.barrier import barriers_ahead
from reconciler.model.concurrency import POLICY_ANNOTATION, ConcurrencyPolicy
from reconciler.model.cron import CronSpec
from reconciler.model.spec import Kind, Severity, Template, TtlStrategy, WorkflowSpec

_DNS_1123 = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL_1123 = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_PREFIX_1123 = re.compile(r"[a-z0-9][-.a-z0-9]*")
_LONGEST_NAME = {Kind.CRON_WORKFLOW: 52, Kind.CONFIG_MAP: 253, Kind.LOCK_POLICY: 253}
_LONGEST_PREFIX = 253
_LONGEST_DEADLINE_S = 10**9

DEFAULT_NAMESPACE = "default"
STORED = "storedTemplates"
DEPLOYMENT = "deployment"
HOLD = "hold"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """Who a document is."""

    name: str
    generate_name: str
    namespace: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


def decode_spec(body_spec: Mapping[str, Any]) -> WorkflowSpec:
    """The value of the `spec` of a Workflow or WorkflowTemplate, or of a CronWorkflow's `workflowSpec`, as plain data.

    A frozen spec may also have `storedTemplates`: the documents that it refers to as {"namespaced/NAME" or "cluster/NAME":
    {"templates": [...]}}, whose templates get keys of that scope; `deployment`, what it says of infrastructure; and `hold`,
    the keys of the locks that a maintenance hold takes. The spec's own templateDefaults count for these too, and no others,
    as in Argo. Raises ManifestError, naming each field, if the data is no spec that can be run.
    """
    r = Reading()
    own = body_spec
    stored, deployment, held = body_spec.get(STORED), body_spec.get(DEPLOYMENT), body_spec.get(HOLD)
    if stored is not None or deployment is not None or held is not None:
        own = {name: value for name, value in body_spec.items() if name not in (STORED, DEPLOYMENT, HOLD)}
    spec = read_spec(r, own, (), needs_entrypoint=False, stored=stored)
    if deployment is not None:
        spec = replace(spec, deployment=deployment_from_json(deployment))
    if held is not None:
        spec = replace(spec, hold=tuple(read_lock_key(key) for key in held))
    wrong = [note for note in r.notes if note.rule.severity is Severity.ERROR]
    if wrong:
        told = "; ".join(f"{dotted(note.at)}: {note.message}" for note in wrong)
        raise ManifestError(f"the spec cannot be run: {told}")
    return spec


def dotted(at: Path) -> str:
    """A path for people: `spec.templates[0].name`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in at)
    return "spec" + text if not text.startswith(".spec") else text[1:]


def read_metadata(r: Reading, value: Any, kind: Kind) -> Metadata:
    """The metadata of a document; names are checked as Kubernetes does (DNS-1123).

    A ClusterWorkflowTemplate belongs to no namespace: its `namespace` is '', whatever is written.
    """
    at: Path = ("metadata",)
    fields = r.fields(value, at, schema.METADATA)
    name = r.text(fields.get("name"), (*at, "name"))
    prefix = r.text(fields.get("generateName"), (*at, "generateName"))
    longest = _LONGEST_NAME.get(kind, 63)
    if name and (len(name) > longest or not _DNS_1123.fullmatch(name)):
        r.note(rules.NAME, (*at, "name"), f'name "{name}" of a {kind} is not allowed: {_name_rule(longest)}; rename it')
    if prefix and not name and (len(prefix) > _LONGEST_PREFIX or not _PREFIX_1123.fullmatch(prefix)):
        message = f'generateName "{prefix}" is not allowed: {_name_rule(_LONGEST_PREFIX)}; rename it'
        r.note(rules.NAME, (*at, "generateName"), message)
    if not name and not (prefix and kind is Kind.WORKFLOW):
        place: Path = at if isinstance(value, dict) else ()
        wanted = "name or generateName" if kind is Kind.WORKFLOW else "name"
        r.note(rules.NAME, place, f"the {kind} has no {wanted}; add metadata.name")
    return Metadata(
        name=name,
        generate_name=prefix,
        namespace=_namespace(r, fields.get("namespace"), (*at, "namespace"), kind),
        labels=r.text_map(fields.get("labels"), (*at, "labels")),
        annotations=r.text_map(fields.get("annotations"), (*at, "annotations")),
    )


def _namespace(r: Reading, value: Any, at: Path, kind: Kind) -> str:
    namespace = r.text(value, at)
    if kind is Kind.CLUSTER_TEMPLATE:
        if namespace:
            message = f'namespace "{namespace}" is ignored: a {kind} belongs to no namespace; remove it'
            r.note(rules.IGNORED, at, message, on_key=True)
        return ""
    namespace = namespace or DEFAULT_NAMESPACE
    if len(namespace) > 63 or not _LABEL_1123.fullmatch(namespace):
        r.note(rules.NAME, at, f'namespace "{namespace}" is not allowed: {_name_rule(63)}; rename it')
    return namespace


def _name_rule(longest: int) -> str:
    return f"lower-case letters, digits and '-', at most {longest}, starting and ending with a letter or digit"


def read_spec(r: Reading, value: Any, at: Path, *, needs_entrypoint: bool, stored: Any = None) -> WorkflowSpec:
    """One workflow spec. `needs_entrypoint`: it is submitted as it is, so it must say where to start."""
    if value is None:
        r.missing(str(at[-1]), at[:-1], "the spec" if len(at) > 1 else "the manifest")
        return WorkflowSpec()
    fields = r.fields(value, at, schema.WORKFLOW_SPEC)
    reference, is_cluster = _template_ref(r, fields, at)
    metadata = r.fields(fields.get("workflowMetadata"), (*at, "workflowMetadata"), schema.WORKFLOW_METADATA)
    entrypoint = r.text(fields.get("entrypoint"), (*at, "entrypoint"))
    is_told = fields.get("entrypoint") or fields.get("workflowTemplateRef") is not None or not isinstance(value, dict)
    if needs_entrypoint and not is_told:
        r.missing("entrypoint", at, "the spec")
    templates = _templates(r, fields, at, stored)
    hooks = read_hooks(Site(r=r), fields, at) if "onExit" in fields or "hooks" in fields else {}
    return WorkflowSpec(
        entrypoint=entrypoint,
        on_exit=hooks.pop(EXIT, None),
        hooks=hooks,
        arguments=read_arguments(r, fields.get("arguments"), (*at, "arguments")),
        templates=templates,
        locks=read_locks(r, fields.get("synchronization"), (*at, "synchronization")),
        priority=r.integer(fields.get("priority"), (*at, "priority"), least=-(2**31)),
        parallelism=r.integer(fields.get("parallelism"), (*at, "parallelism"), least=1),
        active_deadline_s=r.integer(fields.get("activeDeadlineSeconds"), (*at, "activeDeadlineSeconds"), least=1),
        ttl=_ttl(r, fields.get("ttlStrategy"), (*at, "ttlStrategy")),
        suspend=r.boolean(fields.get("suspend"), (*at, "suspend")),
        retry=read_retry(r, fields.get("retryStrategy"), (*at, "retryStrategy")),
        template_ref=reference,
        template_ref_cluster=is_cluster,
        labels=r.text_map(metadata.get("labels"), (*at, "workflowMetadata", "labels")),
        annotations=r.text_map(metadata.get("annotations"), (*at, "workflowMetadata", "annotations")),
        result_calls=find_result_calls([value, stored]) if r.may_read_results else frozenset(),
        has_timeouts=any(one.timeout for one in templates.values()),
        has_running_hooks=any(call.hooks.keys() - {EXIT} for one in templates.values() for call in calls_in(one)),
        barriers=barriers_ahead(templates),
    )


def _templates(r: Reading, fields: Mapping[str, Any], at: Path, stored: Any) -> dict[str, Template]:
    defaults = read_defaults(r, fields.get("templateDefaults"), (*at, "templateDefaults"))
    templates = read_templates(r, fields.get("templates"), (*at, "templates"), defaults=defaults)
    if stored is None:
        return templates
    if not isinstance(stored, dict):
        r.wrong_type(stored, (*at, STORED), "a mapping")
        return templates
    for scope, document in stored.items():
        path = (*at, STORED, scope)
        if not scope.startswith(("namespaced/", "cluster/")):
            r.note(rules.NOT_ALLOWED, path, f'"{scope}" names no document; write namespaced/NAME or cluster/NAME', on_key=True)
        parts = r.fields(document, path, schema.STORED)
        path = (*path, "templates")
        templates.update(read_templates(r, parts.get("templates"), path, scope=scope, defaults=defaults))
    return templates


def _template_ref(r: Reading, spec: Mapping[str, Any], at: Path) -> tuple[str, bool]:
    if spec.get("workflowTemplateRef") is None:
        return "", False
    path = (*at, "workflowTemplateRef")
    fields = r.fields(spec["workflowTemplateRef"], path, schema.TEMPLATE_REF)
    if spec.get("templates"):
        message = 'a spec with "workflowTemplateRef" cannot have "templates"; keep one of them'
        r.note(rules.CONFLICT, (*at, "templates"), message, on_key=True)
    is_cluster = r.boolean(fields.get("clusterScope"), (*path, "clusterScope"))
    return r.needed_text(fields, "name", path, "workflowTemplateRef"), is_cluster


def _ttl(r: Reading, value: Any, at: Path) -> TtlStrategy | None:
    if value is None:
        return None
    fields = r.fields(value, at, schema.TTL)
    return TtlStrategy(
        after_completion_s=r.integer(fields.get("secondsAfterCompletion"), (*at, "secondsAfterCompletion")),
        after_success_s=r.integer(fields.get("secondsAfterSuccess"), (*at, "secondsAfterSuccess")),
        after_failure_s=r.integer(fields.get("secondsAfterFailure"), (*at, "secondsAfterFailure")),
    )


def read_cron(r: Reading, value: Any, at: Path) -> tuple[CronSpec, WorkflowSpec]:
    """A CronWorkflow's schedule, and the spec of its runs with both workflowMetadata merged (the inner one wins)."""
    if value is None:
        r.missing("spec", (), "the manifest")
        return CronSpec(schedules=()), WorkflowSpec()
    fields = r.fields(value, at, schema.CRON_SPEC)
    outer = r.fields(fields.get("workflowMetadata"), (*at, "workflowMetadata"), schema.WORKFLOW_METADATA)
    labels = r.text_map(outer.get("labels"), (*at, "workflowMetadata", "labels"))
    annotations = r.text_map(outer.get("annotations"), (*at, "workflowMetadata", "annotations"))
    spec = read_spec(r, fields.get("workflowSpec"), (*at, "workflowSpec"), needs_entrypoint=True)
    if labels or annotations:
        spec = _with_metadata(spec, labels, annotations)
    cron = CronSpec(
        schedules=_schedules(r, fields, at),
        timezone=r.text(fields.get("timezone"), (*at, "timezone")) or None,
        concurrency_policy=_policy(r, fields.get("concurrencyPolicy"), (*at, "concurrencyPolicy")),
        starting_deadline=_deadline(r, fields.get("startingDeadlineSeconds"), (*at, "startingDeadlineSeconds")),
        suspend=r.boolean(fields.get("suspend"), (*at, "suspend")),
        successful_history_limit=_history(r, fields, "successfulJobsHistoryLimit", at, default=3),
        failed_history_limit=_history(r, fields, "failedJobsHistoryLimit", at, default=1),
    )
    return cron, spec


def _with_metadata(spec: WorkflowSpec, labels: Mapping[str, str], annotations: Mapping[str, str]) -> WorkflowSpec:
    return replace(spec, labels={**labels, **spec.labels}, annotations={**annotations, **spec.annotations})


def _schedules(r: Reading, fields: Mapping[str, Any], at: Path) -> tuple[str, ...]:
    schedules = r.texts(fields.get("schedules"), (*at, "schedules"))
    if fields.get("schedule"):
        path = (*at, "schedule")
        r.note(rules.LEGACY, path, 'field "schedule" is the legacy spelling; write the list "schedules"', on_key=True)
        if schedules:
            r.note(rules.CONFLICT, path, 'the spec has "schedule" and "schedules"; keep "schedules"', on_key=True)
        return schedules or (r.text(fields["schedule"], path),)
    if not schedules:
        r.missing("schedules", at, "the spec of a CronWorkflow")
    return schedules


def _policy(r: Reading, value: Any, at: Path) -> ConcurrencyPolicy | None:
    """Argo's three; None if nothing is said. Latest is no policy of Argo's: it is asked for by annotation."""
    text = r.text(value, at)
    if text in ("", *(policy for policy in ConcurrencyPolicy if policy is not ConcurrencyPolicy.LATEST)):
        return ConcurrencyPolicy(text) if text else None
    advice = "use Allow, Forbid or Replace"
    if text == ConcurrencyPolicy.LATEST:
        advice += f', or remove it and write the annotation {POLICY_ANNOTATION}: "{text}"'
    r.note(rules.NOT_ALLOWED, at, f'concurrencyPolicy "{text}" is not known; {advice}')
    return None


def _deadline(r: Reading, value: Any, at: Path) -> timedelta | None:
    seconds = r.integer(value, at)
    return timedelta(seconds=min(seconds, _LONGEST_DEADLINE_S)) if seconds else None


def _history(r: Reading, fields: Mapping[str, Any], name: str, at: Path, *, default: int) -> int:
    limit = r.integer(fields.get(name), (*at, name), least=-(2**31))
    return default if limit is None or limit < 0 else limit
