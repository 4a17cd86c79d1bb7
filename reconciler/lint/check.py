"""All checks over a set of files, in a fixed order. Owns the order and nothing else; it reads no disk and no settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reconciler.lint.barriers import Member, check_barriers, check_pipelines
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
from reconciler.lint.tags import check_tags
from reconciler.model.images import Images
from reconciler.model.source import Identity
from reconciler.model.spec import Finding, ParsedFile


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
    check_identities(tree)
    asks: list[Ask] = []
    uses: list[KeyUse] = []
    members: list[Member] = []
    for document in tree.documents:
        check_cron(tree, document)
        check_infrastructure(tree, document)
        check_freeze(tree, document)
        view = View(tree, document, document.spec) if document.spec is not None else None
        check_annotations(tree, document, view)
        if view is None:
            continue
        check_policy(view)
        check_references(view)
        check_order(view)
        check_outputs(view)
        check_tags(view)
        check_needs(view)
        check_locks(view)
        check_deployment(view)
        members += [member] if (member := check_barriers(view)) is not None else []
        uses += _check_keys(view)
        asks += _check_held(view)
        check_images(view)
    check_pipelines(members)
    check_circles([*asks, *asks_of_others(tree, asks, others)])
    check_names(tree, uses, others)
    if notes:
        note_names(tree, uses)
    findings = dict.fromkeys(tree.findings)
    return tuple(sorted(findings, key=lambda f: (f.place.path, f.place.line, f.place.column, f.rule, f.message)))


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
