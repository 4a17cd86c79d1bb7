"""A manifest as values: what a definition says, before any parameter has a value.

Strings may hold `{{tags}}`; nothing here is substituted. Durations are whole seconds in `_s` names, as Argo writes them.
The same values are made from a manifest in Git and from the frozen JSON of a run that has started.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from reconciler.model.cron import CronSpec


class Kind(StrEnum):
    """The kinds that the reconciler applies."""

    WORKFLOW = "Workflow"
    WORKFLOW_TEMPLATE = "WorkflowTemplate"
    CRON_WORKFLOW = "CronWorkflow"
    CONFIG_MAP = "ConfigMap"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A named value. `value` None means: must be supplied, unless `default` says otherwise."""

    name: str
    value: str | None = None
    default: str | None = None
    enum: tuple[str, ...] = ()
    description: str = ""


class LockKind(StrEnum):
    """What a lock is; part of its identity."""

    MUTEX = "Mutex"
    SEMAPHORE = "ConfigMap"
    POLICY = "Policy"


@dataclass(frozen=True, slots=True, kw_only=True)
class LockRef:
    """One wanted lock, its name still templated.

    A mutex has `name`; a semaphore has `configmap` and `key`. `namespace` None means the run's own.
    """

    kind: LockKind
    name: str = ""
    configmap: str = ""
    key: str = ""
    namespace: str | None = None


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
class Call:
    """One step or one DAG task: which template with which arguments, after which tasks (DAG only)."""

    name: str
    template: str
    arguments: tuple[Parameter, ...] = ()
    dependencies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """Groups one after the other; the calls of a group side by side."""

    groups: tuple[tuple[Call, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dag:
    """Tasks that start when all their dependencies are Succeeded or Skipped."""

    tasks: tuple[Call, ...]
    fail_fast: bool = True
    dependents: Mapping[str, tuple[Call, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Turns the dependencies round once, so that a task's end costs its dependents and not the DAG."""
        found: dict[str, tuple[Call, ...]] = {}
        for task in self.tasks:
            for dependency in task.dependencies:
                found[dependency] = (*found.get(dependency, ()), task)
        object.__setattr__(self, "dependents", found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A named unit of work. `retry_limit` None = no retryStrategy, -1 = unlimited, else n retries after the first try."""

    name: str
    body: Program | Steps | Dag
    inputs: tuple[Parameter, ...] = ()
    retry_limit: int | None = None
    active_deadline_s: int | None = None
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

    `template_ref` names a WorkflowTemplate of the same namespace that is merged below this spec; after merging it is None.
    """

    entrypoint: str = ""
    on_exit: str = ""
    arguments: tuple[Parameter, ...] = ()
    templates: Mapping[str, Template] = field(default_factory=dict)
    locks: tuple[LockRef, ...] = ()
    priority: int | None = None
    parallelism: int | None = None
    active_deadline_s: int | None = None
    ttl: TtlStrategy | None = None
    suspend: bool = False
    template_ref: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)  # workflowMetadata
    annotations: Mapping[str, str] = field(default_factory=dict)  # workflowMetadata


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
    `generate_name` is given. `cron` is set for a CronWorkflow, `data` for a ConfigMap. `positions` tells where each part is
    written. In a file that is bad (`ParsedFile.is_bad`) spec, cron and data hold what could be read.
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
    positions: Positions | None = field(default=None, compare=False, repr=False)

    @property
    def identity(self) -> tuple[str, str, str]:
        """Kind, namespace, name (the generateName where there is no name)."""
        return (self.kind.value, self.namespace, self.name or self.generate_name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """The images that the settings map to a runtime; `mapped_only`: no other may be run, whatever its command."""

    mapped: frozenset[str] = frozenset({"host"})
    mapped_only: bool = False


class Severity(StrEnum):
    """An error refuses the document; a warning is told and changes nothing."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One result of a check. `rule` is a stable id such as LC104; `message` follows the house grammar without the place."""

    place: Place
    rule: str
    severity: Severity
    message: str

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
