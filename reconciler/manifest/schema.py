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
    (`suspend: {}`). `what` names the object in messages. `folded` maps lower case to the true spelling.
    """

    what: str
    supported: frozenset[str]
    ignored: frozenset[str] = frozenset()
    refused: Mapping[str, str] = field(default_factory=dict)
    bare: frozenset[str] = frozenset()
    folded: Mapping[str, str] = field(default_factory=dict)


_LATER = "remove it"
_NO_VOLUMES = "keep files in the repository (LINECLEAR_REPO) or at a path of this machine"
_NO_ARTIFACTS = "pass data through parameters or a path of this machine"
_NO_OUTPUTS = "write results to a path of this machine"


def _shape(what: str, supported: str, ignored: str = "", refused: Mapping[str, str] | None = None, bare: str = "") -> Shape:
    refused = refused or {}
    names = [*supported.split(), *ignored.split(), *refused]
    return Shape(
        what=what,
        supported=frozenset(supported.split()),
        ignored=frozenset(ignored.split()),
        refused=refused,
        bare=frozenset(bare.split()),
        folded={name.lower(): name for name in names},
    )


def _refused(advice: str, names: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), advice)


DOCUMENT = _shape("a manifest", "apiVersion kind metadata spec", "status")
CONFIG_MAP = _shape("a ConfigMap", "apiVersion kind metadata data", "binaryData immutable")
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
    "activeDeadlineSeconds arguments entrypoint onExit parallelism priority suspend synchronization templates ttlStrategy"
    " workflowMetadata workflowTemplateRef",
    _POD + " archiveLogs artifactGC artifactRepositoryRef dnsConfig dnsPolicy hostNetwork imagePullSecrets"
    " podDisruptionBudget podGC podMetadata podPriority podPriorityClassName podResources volumeClaimGC",
    {
        **_refused("use onExit, or a step at the end", "hooks"),
        **_refused("name the hosts in this machine's hosts file", "hostAliases"),
        **_refused("give each template its own retryStrategy", "retryStrategy"),
        **_refused("use `lineclear stop` or `lineclear terminate`", "shutdown"),
        **_refused("write the values into each template", "templateDefaults"),
        **_refused(_NO_VOLUMES, "volumes volumeClaimTemplates resourceClaims"),
        **_refused(_LATER, "executorPlugins"),
    },
)
TEMPLATE_REF = _shape("workflowTemplateRef", "name clusterScope")
TTL = _shape("ttlStrategy", "secondsAfterCompletion secondsAfterFailure secondsAfterSuccess")

TEMPLATE = _shape(
    "a template",
    "activeDeadlineSeconds container dag inputs metadata name retryStrategy script steps synchronization",
    _POD + " archiveLocation podMetadata podResources priority priorityClassName",
    {
        **_refused(_LATER, "annotations data http memoize plugin resource resourceClaims"),
        **_refused("write it as a dag or as steps", "containerSet"),
        **_refused("start the service outside the workflow", "daemon sidecars"),
        **_refused("make it a step before this one", "initContainers"),
        **_refused("use spec.parallelism", "parallelism failFast"),
        **_refused("name the hosts in this machine's hosts file", "hostAliases"),
        **_refused(_NO_OUTPUTS, "outputs"),
        **_refused("use activeDeadlineSeconds", "timeout pendingTimeout"),
        **_refused("split the workflow at this place", "suspend"),
        **_refused("call the template from steps or a dag", "template templateRef arguments"),
        **_refused(_NO_VOLUMES, "volumes"),
    },
    bare="containerSet data http memoize plugin resource suspend",
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
ARGUMENTS = _shape("arguments", "parameters", refused=_refused(_NO_ARTIFACTS, "artifacts"))
PARAMETER = _shape(
    "a parameter",
    "default description enum name value",
    refused={**_refused("write the value", "valueFrom"), **_refused(_NO_OUTPUTS, "globalName")},
    bare="valueFrom",
)

_LOOP = "write the steps out"
_CALL_REFUSED = {
    **_refused("let the step's program exit with 0", "continueOn"),
    **_refused("use the workflow's onExit", "hooks onExit"),
    **_refused("give the template a name and call it", "inline"),
    **_refused("copy the template into this workflow, or use workflowTemplateRef", "templateRef"),
    **_refused("test the condition inside the step's program", "when"),
    **_refused(_LOOP, "withItems withParam withSequence"),
}
STEP = _shape("a step", "arguments name template", refused=_CALL_REFUSED, bare="inline templateRef withSequence")
TASK = _shape(
    "a task",
    "arguments dependencies name template",
    refused={**_CALL_REFUSED, **_refused("use dependencies", "depends")},
    bare="inline templateRef withSequence",
)
DAG = _shape("a dag", "failFast tasks", refused=_refused("remove the tasks that are not wanted", "target"))
RETRY = _shape(
    "retryStrategy",
    "limit retryPolicy",
    "affinity",
    _refused("only the number of retries can be set: use limit", "backoff expression"),
)

SYNCHRONIZATION = _shape("synchronization", "mutex mutexes semaphore semaphores")
MUTEX = _shape("a mutex", "database name namespace")
SEMAPHORE = _shape(
    "a semaphore",
    "configMapKeyRef namespace",
    refused=_refused("use configMapKeyRef", "database"),
    bare="database",
)
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
