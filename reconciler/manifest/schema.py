"""Every field of Argo's format that can stand in our documents, and what becomes of it.

Owns the tables: supported, ignored (it makes sense only in a pod), refused (it would change the outcome), legacy. What is in
no table is unknown. It never reads a value. Source of the names: Argo's field reference and the Kubernetes API.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The fields of one kind of object.

    `refused` maps a field to what to do about it. `bare` names refused fields that mean something even when empty
    (`http: {}`). `reasons` says of some ignored fields why, where it is not that they make sense only in a pod. `what` names
    the object in messages. `folded` maps lower case to the true spelling.
    """

    what: str
    supported: frozenset[str]
    ignored: frozenset[str] = frozenset()
    refused: Mapping[str, str] = field(default_factory=dict)
    bare: frozenset[str] = frozenset()
    reasons: Mapping[str, str] = field(default_factory=dict)
    folded: Mapping[str, str] = field(default_factory=dict)


_LATER = "remove it"
_NO_VOLUMES = "keep files in the repository (LINECLEAR_REPO) or at a path of this machine"
_NO_ARTIFACTS = "pass data through parameters or a path of this machine"
_NO_POD = "write it to a file and use path"


def _shape(
    what: str,
    supported: str,
    ignored: str = "",
    refused: Mapping[str, str] | None = None,
    bare: str = "",
    reasons: Mapping[str, str] | None = None,
) -> Shape:
    refused = refused or {}
    names = [*supported.split(), *ignored.split(), *refused]
    return Shape(
        what=what,
        supported=frozenset(supported.split()),
        ignored=frozenset(ignored.split()),
        refused=refused,
        bare=frozenset(bare.split()),
        reasons=reasons or {},
        folded={name.lower(): name for name in names},
    )


def _refused(advice: str, names: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), advice)


DOCUMENT = _shape("a manifest", "apiVersion kind metadata spec", "status")
CONFIG_MAP = _shape("a ConfigMap", "apiVersion kind metadata data", "binaryData immutable")
INFRASTRUCTURE = _shape("an InfrastructureDefinition", "fields")
CONSTRAINT = _shape("a ResourceConstraint", "capacity strategy")
LOCK_POLICY = _shape(
    "a LockPolicy",
    "locks onFailure holdFor queueLimit overflow reservedPlaces waitLimit holdLimit holdLimitAction order overtakeAtMost"
    " deadlock freeze",
)
FREEZE = _shape("a freeze window", "schedule duration timezone reason")
METADATA = _shape(
    "metadata",
    "name generateName namespace labels annotations",
    "clusterName creationTimestamp deletionGracePeriodSeconds deletionTimestamp finalizers generation managedFields"
    " ownerReferences resourceVersion selfLink uid",
)
WORKFLOW_METADATA = _shape(
    "workflowMetadata",
    "labels annotations",
    "finalizers",
    _refused("write the labels out under labels", "labelsFrom"),
)
TEMPLATE_METADATA = _shape("a template's metadata", "annotations", "labels")

_POD = (
    "affinity automountServiceAccountToken executor metrics nodeSelector podSpecPatch schedulerName securityContext"
    " serviceAccountName tolerations"
)

WORKFLOW_SPEC = _shape(
    "a workflow's spec",
    "activeDeadlineSeconds arguments entrypoint hooks onExit parallelism priority retryStrategy suspend synchronization"
    " templateDefaults templates ttlStrategy workflowMetadata workflowTemplateRef",
    _POD + " archiveLogs artifactGC artifactRepositoryRef dnsConfig dnsPolicy hostNetwork imagePullSecrets"
    " podDisruptionBudget podGC podMetadata podPriority podPriorityClassName podResources volumeClaimGC",
    {
        **_refused("name the hosts in this machine's hosts file", "hostAliases"),
        **_refused("use `lineclear stop` or `lineclear terminate`", "shutdown"),
        **_refused(_NO_VOLUMES, "volumes volumeClaimTemplates resourceClaims"),
        **_refused(_LATER, "executorPlugins"),
    },
)
TEMPLATE_REF = _shape("workflowTemplateRef", "name clusterScope")
TTL = _shape("ttlStrategy", "secondsAfterCompletion secondsAfterFailure secondsAfterSuccess")

_TEMPLATE_FIELDS = (
    "activeDeadlineSeconds container dag failFast inputs metadata name outputs parallelism retryStrategy script steps suspend"
    " synchronization timeout"
)
_TEMPLATE_IGNORED = (
    _POD + " annotations archiveLocation hooks pendingTimeout podMetadata podResources priority priorityClassName"
)
_TEMPLATE_REFUSED = {
    **_refused(_LATER, "data http memoize plugin resource resourceClaims"),
    **_refused("write it as a dag or as steps", "containerSet"),
    **_refused("start the service outside the workflow", "daemon sidecars"),
    **_refused("make it a step before this one", "initContainers"),
    **_refused("name the hosts in this machine's hosts file", "hostAliases"),
    **_refused("call the template from steps or a dag", "template templateRef arguments"),
    **_refused(_NO_VOLUMES, "volumes"),
}
_TEMPLATE_BARE = "containerSet data http memoize plugin resource"
_TEMPLATE_REASONS = {
    "annotations": "only Argo's own screens show them; write those of Lineclear under metadata",
    "hooks": "Argo reads hooks of steps, tasks and the spec only; move them there",
    "pendingTimeout": "no pod is waited for; use timeout",
}
TEMPLATE = _shape("a template", _TEMPLATE_FIELDS, _TEMPLATE_IGNORED, _TEMPLATE_REFUSED, _TEMPLATE_BARE, _TEMPLATE_REASONS)
TEMPLATE_DEFAULTS = _shape(
    "templateDefaults", _TEMPLATE_FIELDS, _TEMPLATE_IGNORED, _TEMPLATE_REFUSED, _TEMPLATE_BARE, _TEMPLATE_REASONS
)
_CONTAINER_IGNORED = (
    "imagePullPolicy ports readinessProbe resizePolicy resources restartPolicy securityContext startupProbe stdin stdinOnce"
    " terminationMessagePath terminationMessagePolicy"
)
_CONTAINER_REFUSED = {
    **_refused("name each variable under env", "envFrom"),
    **_refused("put what it does into the command", "lifecycle"),
    **_refused("use activeDeadlineSeconds", "livenessProbe"),
    **_refused("run the command under script(1)", "tty"),
    **_refused(_NO_VOLUMES, "volumeDevices volumeMounts"),
}
CONTAINER = _shape("a container", "args command env image name workingDir", _CONTAINER_IGNORED, _CONTAINER_REFUSED)
SCRIPT = _shape("a script", "args command env image name source workingDir", _CONTAINER_IGNORED, _CONTAINER_REFUSED)
ENV_VAR = _shape("an environment variable", "name value valueFrom")
ENV_SOURCE = _shape(
    "an environment variable's valueFrom",
    "secretKeyRef",
    refused=_refused("write the value, or use secretKeyRef", "configMapKeyRef fieldRef fileKeyRef resourceFieldRef"),
    bare="configMapKeyRef fieldRef fileKeyRef resourceFieldRef",
)
SECRET_KEY = _shape("secretKeyRef", "key name optional")

INPUTS = _shape("inputs", "parameters", refused=_refused(_NO_ARTIFACTS, "artifacts"))
OUTPUTS = _shape(
    "outputs",
    "parameters",
    refused={**_refused(_NO_ARTIFACTS, "artifacts"), **_refused("remove it: it is read from the process", "exitCode result")},
)
ARGUMENTS = _shape("arguments", "parameters", refused=_refused(_NO_ARTIFACTS, "artifacts"))
PARAMETER = _shape("a parameter", "default description enum globalName name value valueFrom")
VALUE_FROM = _shape(
    "valueFrom",
    "configMapKeyRef default expression parameter path supplied",
    refused={**_refused(_NO_POD, "jqFilter jsonPath"), **_refused("hand the value in as an argument", "event")},
)

_CALL = "arguments continueOn hooks inline name onExit template templateRef when withItems withParam withSequence"
STEP = _shape("a step", _CALL)
TASK = _shape("a task", _CALL + " dependencies depends")
REFERENCE = _shape("templateRef", "clusterScope name template")
HOOK = _shape("a hook", "arguments expression template templateRef")
CONTINUE_ON = _shape("continueOn", "error failed")
SEQUENCE = _shape("withSequence", "count end format start")
DAG = _shape("a dag", "failFast target tasks")
SUSPEND = _shape("suspend", "duration")
RETRY = _shape("retryStrategy", "backoff expression limit retryPolicy", "affinity")
BACKOFF = _shape("backoff", "cap duration factor maxDuration")
STORED = _shape("a stored document", "templateDefaults templates")

SYNCHRONIZATION = _shape("synchronization", "mutex mutexes semaphore semaphores")
MUTEX = _shape("a mutex", "database name namespace")
SEMAPHORE = _shape(
    "a semaphore",
    "configMapKeyRef database namespace",
)
DATABASE_KEY = _shape("a semaphore's database", "key")
CONFIG_KEY = _shape("configMapKeyRef", "key name optional")

CRON_SPEC = _shape(
    "a CronWorkflow's spec",
    "concurrencyPolicy failedJobsHistoryLimit schedule schedules startingDeadlineSeconds successfulJobsHistoryLimit suspend"
    " timezone workflowMetadata workflowSpec",
    refused={
        **_refused("test the condition inside the workflow", "when"),
        **_refused("remove the CronWorkflow when it is no longer wanted", "stopStrategy"),
    },
)
