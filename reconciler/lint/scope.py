"""What the checks look at: all documents by identity, each spec with the place of its parts, and the list of findings.

Owns lookups across documents and from a value back to its path. It never judges anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from reconciler.manifest import hooks_of, merge_template
from reconciler.manifest.reading import nearest, one_line
from reconciler.manifest.rules import Rule
from reconciler.model.images import Images
from reconciler.model.own_kinds import OwnKind
from reconciler.model.source import Identity, identity_of
from reconciler.model.spec import (
    Call,
    Dag,
    Document,
    Finding,
    Hook,
    Kind,
    Parameter,
    ParsedFile,
    Place,
    Steps,
    Template,
    TemplateRef,
    WorkflowSpec,
)

Path = tuple[str | int, ...]
_MOST_COMPARISONS = 10_000  # in one document


class Known(Protocol):
    """A definition that is live already: its spec (a template), its data (a ConfigMap) or what a kind of ours is.

    A `Document` is one.
    """

    @property
    def spec(self) -> WorkflowSpec | None: ...

    @property
    def data(self) -> Mapping[str, str]: ...

    @property
    def own(self) -> OwnKind | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownDefinition:
    """The least that the checks need of a live definition."""

    spec: WorkflowSpec | None = None
    data: Mapping[str, str] = field(default_factory=dict)
    own: OwnKind | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteCall:
    """One call of a template and where it is written."""

    call: Call
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One place that starts a template: a call, a hook of a call, or the exit handler.

    `who` names it in messages, `template` is the key, `at` the mapping that holds it and `name_at` where the template is named.
    """

    who: str
    template: str
    reference: TemplateRef | None
    arguments: tuple[Parameter, ...]
    at: Path
    name_at: Path


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
        self.looked_at: dict[int, tuple[int, tuple[TemplateRef, ...]]] = {}  # what the walk of locks knows, by a spec's id
        self.free_of_locks: set[int] = set()  # ids of specs that lead to none
        self._live = live
        self._asked: dict[Identity, Known | None] = {}
        self._comparisons = 20 * _MOST_COMPARISONS
        self._names: dict[tuple[str, str], list[str]] = {}

    def find(self, kind: Kind, namespace: str, name: str) -> Known | None:
        """The definition with this identity: of these files, else the live one."""
        identity = (kind.value, namespace, name)
        if identity in self.by_identity:
            return self.by_identity[identity]
        if identity not in self._asked:
            self._asked[identity] = self._live.get(identity)
        return self._asked[identity]

    def names(self, kind: Kind, namespace: str) -> list[str]:
        """All known names of one kind in one namespace."""
        if not self._names:
            for a_kind, a_namespace, name in {*self.by_identity, *self._live}:
                self._names.setdefault((a_kind, a_namespace), []).append(name)
        return sorted(self._names.get((kind.value, namespace), ()))

    def compare(self, name: str, known: Sequence[str]) -> str:
        """The advice of `nearest`; '' once too much was compared in all: it is dear, and nobody reads on after so many."""
        self._comparisons -= len(known)
        return nearest(name, known) if self._comparisons >= 0 else ""

    def report(self, rule: Rule, document: Document, path: Path, message: str, *, on_key: bool = False) -> None:
        """Add a finding at the value (or the key) that `path` leads to."""
        place = place_in(document, path, on_key=on_key)
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
            target = self.find(TemplateRef(name=spec.template_ref, template="", cluster=spec.template_ref_cluster))
            self.base = target.spec if target else None
        self.effective = merge_template(spec, self.base) if self.base else spec
        self.is_partial = document.place.path in tree.bad_paths
        self.is_submitted = document.kind not in (Kind.WORKFLOW_TEMPLATE, Kind.CLUSTER_TEMPLATE)
        self._comparisons = _MOST_COMPARISONS
        self._lock_paths: dict[str, Sequence[Path]] = {}

    @cached_property
    def has_locks(self) -> bool:
        """True if the document itself names a lock."""
        if self.own.locks:
            return True
        for template in self.own.templates.values():  # noqa: SIM110 - a generator costs more than the look
            if template.locks:
                return True
        return False

    def can_see(self, *, cluster: bool) -> bool:
        """False for the namespaced documents that a ClusterWorkflowTemplate names: they are those of whoever uses it."""
        return cluster or self.document.kind is not Kind.CLUSTER_TEMPLATE

    def find(self, reference: TemplateRef) -> Known | None:
        """The document that is referred to; None if it is not known."""
        kind, namespace = (Kind.CLUSTER_TEMPLATE, "") if reference.cluster else (Kind.WORKFLOW_TEMPLATE, self.document.namespace)
        return self.tree.find(kind, namespace, reference.name)

    def spec_of(self, reference: TemplateRef) -> WorkflowSpec | None:
        """The spec of the document that is referred to; None if it is not known, or is in a bad file: that one is to blame."""
        target = self.find(reference)
        if isinstance(target, Document) and target.place.path in self.tree.bad_paths:
            return None
        return target.spec if target else None

    def target(self, key: str, reference: TemplateRef | None, home: WorkflowSpec | None = None) -> Template | None:
        """The template that a call or hook leads to, written in `home` (this document if None); None if it is not known."""
        if reference is None:
            return (home or self.effective).templates.get(key)
        spec = self.spec_of(reference)
        return spec.templates.get(reference.template) if spec else None

    @cached_property
    def template_paths(self) -> Mapping[str, Path]:
        """Where the document's templates are written, by key; of two with one name the first."""
        items = dig(self.document.body, (*self.at, "templates"))
        found: dict[str, Path] = {}
        for number, item in enumerate(items if isinstance(items, list) else []):
            found.setdefault(str(dig(item, ("name",))), (*self.at, "templates", number))
        return found

    @cached_property
    def inline_sites(self) -> Mapping[str, tuple[Template, SiteCall]]:
        """Who holds an inline template, by its key: the template around it and the call."""
        templates = self.own.templates
        if not any(template.is_inline for template in templates.values()):
            return {}
        return {
            site.call.template: (template, site)
            for template in templates.values()
            for site in self.sites_in(template)
            if site.call.template in templates and templates[site.call.template].is_inline
        }

    def path_of(self, template: Template) -> Path:
        """Where one of the document's own templates is written."""
        if not template.is_inline:
            return self.template_paths.get(template.name, (*self.at, "templates"))
        inside: Path = ()
        while template.is_inline and template.name in self.inline_sites:
            template, site = self.inline_sites[template.name]
            inside = (*site.path, "inline", *inside)
        return (*self.template_paths.get(template.name, (*self.at, "templates")), *inside)

    def report(self, rule: Rule, path: Path, message: str, *, on_key: bool = False) -> None:
        """Add a finding at a path of this document."""
        self.tree.report(rule, self.document, path, message, on_key=on_key)

    def advice(self, name: str, known: Iterable[str], otherwise: str) -> str:
        """What to do about a name that does not exist: the nearest other one that is known, if any is near."""
        if self._comparisons < 0:
            return otherwise
        candidates = [one for one in known if one != name]
        self._comparisons -= len(candidates)
        if self._comparisons < 0:
            return otherwise
        advice = self.tree.compare(name, candidates)
        return otherwise if advice in ("", "remove it") else advice

    def calls_of(self, template: Template) -> Iterator[SiteCall]:
        """The calls that a template makes, with their places."""
        path = self.path_of(template)
        for site in self.sites_in(template):
            yield SiteCall(call=site.call, path=(*path, *site.path))

    def sites_in(self, template: Template) -> Iterator[SiteCall]:
        """The calls, with their places inside the template."""
        if isinstance(template.body, Steps):
            for number, group in enumerate(template.body.groups):
                for i, call in enumerate(group):
                    yield SiteCall(call=call, path=("steps", number, i))
        elif isinstance(template.body, Dag):
            for i, call in enumerate(template.body.tasks):
                yield SiteCall(call=call, path=("dag", "tasks", i))

    def uses_of(self, site: SiteCall) -> Iterator[Use]:
        """What one call starts: its template, then its hooks."""
        call = site.call
        place: Path = ("templateRef", "template") if call.reference else ("template",)
        yield Use(
            who=f'"{call.name}"',
            template=call.template,
            reference=call.reference,
            arguments=call.arguments,
            at=site.path,
            name_at=(*site.path, *place),
        )
        for name, hook in call.hooks.items():
            yield self._hook_use(f'hook "{name}" of "{call.name}"', name, hook, site.path)

    def hook_uses(self) -> list[Use]:
        """What the document's own exit handler and hooks start."""
        hooks = hooks_of(self.own).items()
        return [self._hook_use("onExit" if name == "exit" else f'hook "{name}"', name, hook, self.at) for name, hook in hooks]

    def _hook_use(self, who: str, name: str, hook: Hook, at: Path) -> Use:
        path = self.hook_path(name, at)
        place: Path = ("templateRef", "template") if hook.reference else ("template",)
        return Use(
            who=who,
            template=hook.template,
            reference=hook.reference,
            arguments=hook.arguments,
            at=path,
            name_at=(*path, *place) if path[-1] != "onExit" else path,
        )

    def hook_path(self, name: str, at: Path) -> Path:
        """Where a hook of the call or spec at `at` is written: under hooks, or as onExit."""
        path = (*at, "hooks", name)
        return (*at, "onExit") if name == "exit" and dig(self.document.body, path) is None else path

    def lock_paths(self, template: Template | None = None) -> Sequence[Path]:
        """Where the locks of a template, or of the spec, stand, in the order of reading; maybe in templateDefaults."""
        name = template.name if template is not None else ""
        found = self._lock_paths.get(name)
        if found is None:
            block = (*(self.path_of(template) if template is not None else self.at), "synchronization")
            data = dig(self.document.body, block)
            if template is not None and data is None:
                block = (*self.at, "templateDefaults", "synchronization")
                data = dig(self.document.body, block)
            found = self._lock_paths[name] = _lock_paths(data, block)
        return found

    def reachable(self, start: str) -> set[str]:
        """Keys of the templates of this spec that a start leads to."""
        found: set[str] = set()
        waiting = [start]
        while waiting:
            template = self.effective.templates.get(waiting.pop())
            if template is None or template.name in found:
                continue
            found.add(template.name)
            waiting += [key for key, reference in links_of(template) if reference is None]
        return found


def _lock_paths(data: Any, block: Path) -> Sequence[Path]:
    given = {key.lower(): value for key, value in data.items()} if isinstance(data, dict) else {}
    found: list[Path] = []
    for plural, singular in (("semaphores", "semaphore"), ("mutexes", "mutex")):
        items = given.get(plural)
        found += [(*block, plural, number) for number in range(len(items) if isinstance(items, list) else 0)]
        if given.get(singular) is not None:
            found.append((*block, singular))
    return found


def place_in(document: Document, path: Path, *, on_key: bool = False) -> Place:
    """Where the value (or the key) at a path of a document's body is written; the document's own place if that is not kept."""
    if document.positions is None:
        return document.place
    line, column = document.positions.key(path) if on_key else document.positions.value(path)
    return Place(path=document.place.path, line=line, column=column)


def calls_in(template: Template) -> tuple[Call, ...]:
    """The calls that a template makes."""
    if isinstance(template.body, Steps):
        return tuple([call for group in template.body.groups for call in group])
    return template.body.tasks if isinstance(template.body, Dag) else ()


def links_of(template: Template) -> Iterator[tuple[str, TemplateRef | None]]:
    """What a template's calls and their hooks lead to: key and reference."""
    for call in calls_in(template):
        yield call.template, call.reference
        for hook in call.hooks.values():
            yield hook.template, hook.reference


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
