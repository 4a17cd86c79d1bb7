"""A manifest as values: what a definition says, before any parameter has a value.

Strings may hold `{{tags}}`; nothing here is substituted. Names in `_s` are whole seconds.
The same values are made from a manifest in Git and from the frozen JSON of a run that has started.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from reconciler.model.cron import CronSpec
from reconciler.model.deployment import Deployment
from reconciler.model.locks import LockRef, WholeLock
from reconciler.model.own_kinds import OwnKind


class Kind(StrEnum):
    """The kinds that the reconciler applies."""

    WORKFLOW = "Workflow"
    WORKFLOW_TEMPLATE = "WorkflowTemplate"
    CLUSTER_TEMPLATE = "ClusterWorkflowTemplate"
    CRON_WORKFLOW = "CronWorkflow"
    CONFIG_MAP = "ConfigMap"
    INFRASTRUCTURE = "InfrastructureDefinition"
    CONSTRAINT = "ResourceConstraint"
    LOCK_POLICY = "LockPolicy"


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueFrom:
    """Where a parameter's value comes from; one of the sources is set, `default` counts where it yields nothing.

    `path` is a file of the step, `parameter` a tag that names another output, `expression` an expr-lang text, `supplied` a
    person or script, `configmap` a (name, key) of a ConfigMap in Git. All texts may hold tags.
    """

    path: str = ""
    parameter: str = ""
    expression: str = ""
    supplied: bool = False
    configmap: tuple[str, str] | None = None
    default: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A named value. `value` None means: must be supplied, unless `default` or `value_from` says otherwise.

    `global_name`: an output that is also an output of the whole run.
    """

    name: str
    value: str | None = None
    default: str | None = None
    enum: tuple[str, ...] = ()
    description: str = ""
    value_from: ValueFrom | None = None
    global_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvVar:
    """One variable of a step. With `secret` (NAME, KEY) the value is read just before the start and stored nowhere."""

    name: str
    value: str = ""
    secret: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A container or script template's process. `source` is None for a container."""

    image: str
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: tuple[EnvVar, ...] = ()
    working_dir: str = ""
    source: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateRef:
    """A template of another document: of a WorkflowTemplate in the run's namespace, or of a ClusterWorkflowTemplate."""

    name: str
    template: str
    cluster: bool = False

    @property
    def scope(self) -> str:
        """The document, as Argo names it: `namespaced/NAME` or `cluster/NAME`."""
        return f"{'cluster' if self.cluster else 'namespaced'}/{self.name}"

    @property
    def key(self) -> str:
        """The template's key among a frozen spec's templates."""
        return template_key(self.scope, self.template)


def template_key(scope: str, name: str) -> str:
    """How a spec names a template: by its name in its own document (scope ''), else `SCOPE:NAME`.

    An inline template's name is `TEMPLATE/CALL`, which no author can write.
    """
    return f"{scope}:{name}" if scope else name


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """What else a call or a run starts: `exit` when it has ended, any other name when `expression` turns true."""

    template: str
    arguments: tuple[Parameter, ...] = ()
    expression: str = ""
    reference: TemplateRef | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequence:
    """withSequence; all texts may hold tags, '' means not given."""

    count: str = ""
    start: str = ""
    end: str = ""
    format: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One step or one DAG task: which template with which arguments, when, how often, and after which tasks (DAG only).

    `template` is a key of the spec's templates. Of `items` (JSON values), `with_param` and `sequence` at most one is given.
    `depends` is the text of the expression; '' means all `dependencies`.
    """

    name: str
    template: str
    arguments: tuple[Parameter, ...] = ()
    dependencies: tuple[str, ...] = ()
    depends: str = ""
    when: str = ""
    items: tuple[Any, ...] | None = None
    with_param: str | None = None
    sequence: Sequence | None = None
    continue_on_failed: bool = False
    continue_on_error: bool = False
    hooks: Mapping[str, Hook] = field(default_factory=dict)
    reference: TemplateRef | None = None
    after: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """The tasks that must have ended before it is decided whether this one starts."""
        after = tuple(dict.fromkeys(_TASK_NAME.findall(self.depends))) if self.depends else self.dependencies
        object.__setattr__(self, "after", after)

    @property
    def is_loop(self) -> bool:
        """True if it is expanded, once for each item."""
        return self.items is not None or self.with_param is not None or self.sequence is not None


_TASK_NAME = re.compile(r"(?<![-\w.])([A-Za-z0-9_][-\w]*)(?:\.[A-Za-z]+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """Groups one after the other; the calls of a group side by side."""

    groups: tuple[tuple[Call, ...], ...]
    by_name: Mapping[str, tuple[int, Call]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Each call by its name, with the number of its group."""
        found = {call.name: (number, call) for number, group in enumerate(self.groups) for call in group}
        object.__setattr__(self, "by_name", found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dag:
    """Tasks that start when what they depend on has ended as wanted. `target`: names of tasks, apart by spaces; '' is all."""

    tasks: tuple[Call, ...]
    fail_fast: bool = True
    target: str = ""
    by_name: Mapping[str, Call] = field(init=False, repr=False, compare=False)
    dependents: Mapping[str, tuple[Call, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Turns the dependencies round once, so that a task's end costs its dependents and not the DAG."""
        found: dict[str, list[Call]] = {}
        for task in self.tasks:
            for dependency in task.after:
                found.setdefault(dependency, []).append(task)
        object.__setattr__(self, "by_name", {task.name: task for task in self.tasks})
        object.__setattr__(self, "dependents", {name: tuple(tasks) for name, tasks in found.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspend:
    """Waits for a person, or for `duration` (text as Argo writes it: seconds or a Go duration; may hold tags)."""

    duration: str = ""


Body = Program | Steps | Dag | Suspend


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """The pause before the next try: `duration` times `factor` for each earlier one, at most `cap`; all within `max_duration`."""

    duration: str = ""
    factor: str = ""
    cap: str = ""
    max_duration: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """retryStrategy. `limit` '' is unlimited; `policy` '' is OnFailure, or Always beside an expression. Texts may hold tags."""

    limit: str = ""
    policy: str = ""
    expression: str = ""
    backoff: Backoff | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A named unit of work. `name` is its key. Durations are text, because they may hold tags; '' is none.

    `timeout` counts from the node's creation, `active_deadline` from the start of its process. An inline template also sees
    the variables of the call that holds it.
    """

    name: str
    body: Body
    inputs: tuple[Parameter, ...] = ()
    outputs: tuple[Parameter, ...] = ()
    retry: Retry | None = None
    active_deadline: str = ""
    timeout: str = ""
    parallelism: int | None = None
    fail_fast: bool = False
    is_inline: bool = False
    locks: tuple[LockRef, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TtlStrategy:
    """Seconds after which a finished run is ended: its locks go and it is removed."""

    after_completion_s: int | None = None
    after_success_s: int | None = None
    after_failure_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowSpec:
    """The spec of a Workflow, a WorkflowTemplate or a CronWorkflow's workflowSpec.

    `template_ref` names a WorkflowTemplate of the same namespace (`template_ref_cluster`: a ClusterWorkflowTemplate) that is
    merged below this spec; after merging it is ''. `templates` has every template by key: own, inline and, in a frozen spec,
    those of the documents that are referred to. templateDefaults are merged into them already. `result_calls` are the names of
    the calls whose standard output somebody reads.
    """

    entrypoint: str = ""
    on_exit: Hook | None = None
    hooks: Mapping[str, Hook] = field(default_factory=dict)  # those by expression: all but `exit`
    arguments: tuple[Parameter, ...] = ()
    templates: Mapping[str, Template] = field(default_factory=dict)
    locks: tuple[LockRef, ...] = ()
    priority: int | None = None
    parallelism: int | None = None
    active_deadline_s: int | None = None
    ttl: TtlStrategy | None = None
    suspend: bool = False
    retry: Retry | None = None
    template_ref: str = ""
    template_ref_cluster: bool = False
    deployment: Deployment | None = None  # of a frozen spec only
    hold: tuple[WholeLock, ...] = ()  # of a maintenance hold only
    labels: Mapping[str, str] = field(default_factory=dict)  # workflowMetadata
    annotations: Mapping[str, str] = field(default_factory=dict)  # workflowMetadata
    result_calls: frozenset[str] = frozenset()
    has_running_hooks: bool = False  # some call has a hook that an expression starts
    has_timeouts: bool = False  # some template has a timeout
    barriers: Mapping[str, frozenset[str]] = field(default_factory=dict)  # by template's key: those that it leads to


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where something is written: path inside the repository, line and column from 1."""

    path: str
    line: int
    column: int

    def __str__(self) -> str:
        """`path:line:column`."""
        return f"{self.path}:{self.line}:{self.column}"


class Positions(Protocol):
    """Line and column (from 1) of the parts of one document, by path inside its `body`, such as ('spec', 'steps', 0)."""

    def key(self, path: tuple[str | int, ...]) -> tuple[int, int]:
        """Where the key that ends `path` is written."""

    def value(self, path: tuple[str | int, ...]) -> tuple[int, int]:
        """Where the value at `path` is written; the nearest enclosing value if there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One manifest of ours, decoded. `body` is the plain JSON data it came from, comments gone, as written by the author.

    `digest` is the SHA-256 (hex) of the canonical JSON of `body`: equal content, equal digest. `name` is '' when only
    `generate_name` is given. `cron` is set for a CronWorkflow, `data` for a ConfigMap, `own` for the kinds of lineclear.dev.
    `positions` tells where each part is written. In a file that is bad (`ParsedFile.is_bad`) they hold what could be read.
    """

    kind: Kind
    namespace: str
    name: str
    generate_name: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    place: Place
    index: int
    digest: str
    body: Mapping[str, Any]
    spec: WorkflowSpec | None = None
    cron: CronSpec | None = None
    data: Mapping[str, str] = field(default_factory=dict)
    own: OwnKind | None = None
    positions: Positions | None = field(default=None, compare=False, repr=False)

    @property
    def identity(self) -> tuple[str, str, str]:
        """Kind, namespace, name (the generateName where there is no name)."""
        return (self.kind.value, self.namespace, self.name or self.generate_name)


class Severity(StrEnum):
    """An error refuses the document; a warning is told and changes nothing; a note is told only to those who ask."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One result of a check. `rule` is a stable id such as LC104; `message` follows the house grammar without the place.

    `trace` is for the log: of a mistake of ours, '' otherwise.
    """

    place: Place
    rule: str
    severity: Severity
    message: str
    trace: str = field(default="", compare=False, repr=False)

    def __str__(self) -> str:
        """`path:line:column: error LC104: message`."""
        return f"{self.place}: {self.severity.value} {self.rule}: {self.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedFile:
    """All that one blob holds: documents of ours, the number of foreign ones, and what is wrong with it."""

    path: str
    blob: str
    documents: tuple[Document, ...]
    foreign: int
    findings: tuple[Finding, ...]

    @property
    def is_bad(self) -> bool:
        """True if any finding is an error: the file's documents are not applied."""
        return any(f.severity is Severity.ERROR for f in self.findings)
