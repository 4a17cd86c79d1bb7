"""All checks over a set of files, in a fixed order. Owns the order and nothing else; it reads no disk and no settings.

Each check has a boundary of its own: one that fails costs itself, on that document.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from reconciler.lint.barriers import Member, check_barriers, check_pipelines
from reconciler.lint.boundary import attempt, attempt_all
from reconciler.lint.circles import check_circles
from reconciler.lint.concurrency import check_policy
from reconciler.lint.deployments import check_deployment, check_infrastructure
from reconciler.lint.holding import Ask, asks_of, check_held
from reconciler.lint.keys import KeyUse, check_names, check_spelling, note_names, uses_of
from reconciler.lint.locks import check_locks
from reconciler.lint.needs import check_needs
from reconciler.lint.order import check_order
from reconciler.lint.others import LockUsers, asks_of_others
from reconciler.lint.outputs import check_outputs
from reconciler.lint.references import check_identities, check_references
from reconciler.lint.scope import Known, Tree, View
from reconciler.lint.single import HOST_IMAGES, check_annotations, check_cron, check_freeze, check_images
from reconciler.lint.size import check_size
from reconciler.lint.tags import check_tags
from reconciler.model.images import Images
from reconciler.model.source import Identity
from reconciler.model.spec import Document, Finding, ParsedFile


def lint_files(
    files: Sequence[ParsedFile],
    live: Mapping[Identity, Known],
    *,
    images: Images = HOST_IMAGES,
    others: LockUsers | None = None,
    notes: bool = False,
) -> tuple[Finding, ...]:
    """What is wrong across the documents of `files`, by path, line and column; the files' own findings are not repeated.

    `live` are the other known definitions, by identity: those of files that are not given. A document of `files` hides a live
    one. `images` are those that the settings map to a runtime. `others` know which live definitions name which locks; without
    them names and orders of locks are compared among `files` alone. `notes` also tells what may well be meant so. In a file
    that is bad already only those checks are made that its errors cannot mislead.
    """
    tree = Tree(files, live, images)
    found = _Found()
    if tree.documents:
        attempt(tree, tree.documents[0], check_identities, tree)
    for document in tree.documents:
        for check in (check_cron, check_infrastructure, check_freeze):
            attempt(tree, document, check, tree, document)
        view = attempt(tree, document, _workflow, tree, document) if document.spec is not None else None
        attempt(tree, document, check_annotations, tree, document, view)
        if view is not None:
            _check_spec(tree, view, found)
    attempt_all(tree, "pipelines", check_pipelines, found.members, lambda member: member.view.document)
    asks = [*found.asks, *asks_of_others(tree, found.asks, others)]
    attempt_all(tree, "circles of locks", check_circles, asks, lambda ask: ask.view.document)
    attempt_all(tree, "names of locks", lambda uses: check_names(tree, uses, others), found.uses, lambda use: use.document)
    if notes:
        attempt_all(tree, "single locks", lambda uses: note_names(tree, uses), found.uses, lambda use: use.document)
    findings = dict.fromkeys(tree.findings)
    return tuple(sorted(findings, key=lambda f: (f.place.path, f.place.line, f.place.column, f.rule, f.message)))


class _Found:
    """What the documents have of things that are looked at across them."""

    def __init__(self) -> None:
        self.asks: list[Ask] = []
        self.uses: list[KeyUse] = []
        self.members: list[Member] = []


def _workflow(tree: Tree, document: Document) -> View:
    assert document.spec is not None
    return View(tree, document, document.spec)


_CHECKS: tuple[Callable[[View], None], ...] = (
    check_policy,
    check_references,
    check_order,
    check_outputs,
    check_tags,
    check_needs,
    check_locks,
    check_deployment,
    check_images,
    check_size,
)


def _check_spec(tree: Tree, view: View, found: _Found) -> None:
    document = view.document
    for check in _CHECKS:
        attempt(tree, document, check, view)
    member = attempt(tree, document, check_barriers, view)
    found.members += [member] if member is not None else []
    found.uses += attempt(tree, document, _check_keys, view) or ()
    found.asks += attempt(tree, document, _check_held, view) or ()


def _check_keys(view: View) -> Sequence[KeyUse]:
    uses = list(uses_of(view)) if view.has_locks else ()
    check_spelling(view, uses)
    return uses


def _check_held(view: View) -> list[Ask]:
    if view.is_partial:
        return []
    asks = list(asks_of(view))
    check_held(asks)
    return asks
