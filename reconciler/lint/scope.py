"""What the checks look at: all documents by identity, each spec with the place of its parts, and the list of findings.

Owns lookups across documents and from a value back to its path. It never judges anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from reconciler.manifest import merge_template
from reconciler.manifest.reading import one_line
from reconciler.manifest.rules import Rule
from reconciler.model.source import Identity, identity_of
from reconciler.model.spec import (
    Call,
    Dag,
    Document,
    Finding,
    Images,
    Kind,
    LockKind,
    ParsedFile,
    Place,
    Steps,
    Template,
    WorkflowSpec,
)

Path = tuple[str | int, ...]


class Known(Protocol):
    """A definition that is live already: its spec (a template) or its data (a ConfigMap). A `Document` is one."""

    @property
    def spec(self) -> WorkflowSpec | None: ...

    @property
    def data(self) -> Mapping[str, str]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownDefinition:
    """The least that the checks need of a live definition."""

    spec: WorkflowSpec | None = None
    data: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteCall:
    """One call of a template and where it is written."""

    call: Call
    path: Path


class Tree:
    """All documents that the checks may refer to, and the findings made so far."""

    def __init__(self, files: Sequence[ParsedFile], live: Mapping[Identity, Known], images: Images) -> None:
        self.documents = [document for file in files for document in file.documents]
        self.bad_paths = frozenset(file.path for file in files if file.is_bad)
        self.by_identity: dict[Identity, Document] = {}
        for document in self.documents:
            self.by_identity.setdefault(identity_of(document), document)
        self.images = images
        self.findings: list[Finding] = []
        self._live = live
        self._names: dict[tuple[str, str], list[str]] = {}

    def find(self, kind: Kind, namespace: str, name: str) -> Known | None:
        """The definition with this identity: of these files, else the live one."""
        identity = (kind.value, namespace, name)
        return self.by_identity.get(identity) or self._live.get(identity)

    def names(self, kind: Kind, namespace: str) -> list[str]:
        """All known names of one kind in one namespace."""
        if not self._names:
            for a_kind, a_namespace, name in {*self.by_identity, *self._live}:
                self._names.setdefault((a_kind, a_namespace), []).append(name)
        return sorted(self._names.get((kind.value, namespace), ()))

    def report(self, rule: Rule, document: Document, path: Path, message: str, *, on_key: bool = False) -> None:
        """Add a finding at the value (or the key) that `path` leads to."""
        place = document.place
        if document.positions is not None:
            line, column = document.positions.key(path) if on_key else document.positions.value(path)
            place = Place(path=place.path, line=line, column=column)
        self.findings.append(Finding(place=place, rule=rule.id, severity=rule.severity, message=one_line(message)))


class View:
    """One document with a workflow spec: what it says itself (`own`), what will run (`effective`), and where things stand."""

    def __init__(self, tree: Tree, document: Document, spec: WorkflowSpec) -> None:
        self.tree = tree
        self.document = document
        self.own = spec
        self.at: Path = ("spec", "workflowSpec") if document.kind is Kind.CRON_WORKFLOW else ("spec",)
        self.base: WorkflowSpec | None = None
        if spec.template_ref:
            target = tree.find(Kind.WORKFLOW_TEMPLATE, document.namespace, spec.template_ref)
            self.base = target.spec if target else None
        self.effective = merge_template(spec, self.base) if self.base else spec
        self.is_partial = document.place.path in tree.bad_paths
        self._template_paths = dict(self._find_templates())

    @property
    def is_submitted(self) -> bool:
        """True if the document runs as it stands: it is no template."""
        return self.document.kind is not Kind.WORKFLOW_TEMPLATE

    def path_of(self, template: Template) -> Path:
        """Where one of the document's own templates is written."""
        return self._template_paths.get(template.name, (*self.at, "templates"))

    def _find_templates(self) -> Iterator[tuple[str, Path]]:
        items = dig(self.document.body, (*self.at, "templates"))
        for number, item in reversed(list(enumerate(items if isinstance(items, list) else []))):
            yield str(dig(item, ("name",))), (*self.at, "templates", number)

    def report(self, rule: Rule, path: Path, message: str, *, on_key: bool = False) -> None:
        """Add a finding at a path of this document."""
        self.tree.report(rule, self.document, path, message, on_key=on_key)

    def calls_of(self, template: Template) -> Iterator[SiteCall]:
        """The calls that a template makes, with their places."""
        path = self.path_of(template)
        if isinstance(template.body, Steps):
            for number, group in enumerate(template.body.groups):
                for i, call in enumerate(group):
                    yield SiteCall(call=call, path=(*path, "steps", number, i))
        elif isinstance(template.body, Dag):
            for i, call in enumerate(template.body.tasks):
                yield SiteCall(call=call, path=(*path, "dag", "tasks", i))

    def lock_paths(self, block: Path) -> Iterator[tuple[LockKind, Path]]:
        """Where the locks of one synchronization block stand, in the order in which they are read."""
        for kind, plural, singular in (
            (LockKind.SEMAPHORE, "semaphores", "semaphore"),
            (LockKind.MUTEX, "mutexes", "mutex"),
        ):
            items = dig(self.document.body, (*block, plural))
            for number in range(len(items) if isinstance(items, list) else 0):
                yield kind, (*block, plural, number)
            if dig(self.document.body, (*block, singular)) is not None:
                yield kind, (*block, singular)

    def reachable(self, start: str) -> set[str]:
        """Names of the templates that a start leads to."""
        found: set[str] = set()
        waiting = [start]
        while waiting:
            template = self.effective.templates.get(waiting.pop())
            if template is None or template.name in found:
                continue
            found.add(template.name)
            waiting += [call.template for call in calls_in(template)]
        return found


def calls_in(template: Template) -> tuple[Call, ...]:
    """The calls that a template makes."""
    if isinstance(template.body, Steps):
        return tuple(call for group in template.body.groups for call in group)
    return template.body.tasks if isinstance(template.body, Dag) else ()


def dig(data: Any, path: Path) -> Any:
    """The part of plain data at `path`, keys in any case; None where the path leads nowhere."""
    for part in path:
        if isinstance(part, int):
            data = data[part] if isinstance(data, list) and part < len(data) else None
        elif isinstance(data, dict):
            data = data[part] if part in data else next((v for k, v in data.items() if k.lower() == part.lower()), None)
        else:
            return None
    return data
