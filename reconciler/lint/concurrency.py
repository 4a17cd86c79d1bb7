"""Checks of concurrency policies: the groups that keys name, and annotations that nothing would ever look up."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.cron.concurrency import key_faults
from reconciler.expr.tags import find_tags
from reconciler.lint import rules
from reconciler.lint.scope import Path, View, dig
from reconciler.model.concurrency import KEY_ANNOTATION, KEY_TAG, POLICY_ANNOTATION
from reconciler.model.spec import Kind

_OURS = (POLICY_ANNOTATION, KEY_ANNOTATION)
_METADATA: Path = ("metadata", "annotations")


def check_policy(view: View) -> None:
    """The annotations of one document that ask for a concurrency policy."""
    written = [(path, name, value) for path in _places(view) for name, value in _said(view, path)]
    for path, name, value in written:
        if name == KEY_ANNOTATION:
            _check_key(view, (*path, name), value)
            if not _has_policy(view, [other for _, other, _ in written]):
                message = f'annotation "{name}" does nothing without "{POLICY_ANNOTATION}"; write that too, or remove it'
                view.report(rules.IDLE_ANNOTATION, (*path, name), message, on_key=True)
        elif view.document.cron is not None and view.document.cron.concurrency_policy is not None:
            policy = view.document.cron.concurrency_policy
            message = f'annotation "{name}" does nothing beside concurrencyPolicy "{policy}" of the spec; remove one of the two'
            view.report(rules.IDLE_ANNOTATION, (*path, name), message, on_key=True)
    for template in view.own.templates.values():
        path = (*view.path_of(template), *_METADATA)
        for name, _ in _said(view, path) if template.annotations else ():
            message = f'annotation "{name}" does nothing on one template: a policy is for runs; move it to metadata.annotations'
            view.report(rules.IDLE_ANNOTATION, (*path, name), message, on_key=True)


def _has_policy(view: View, names: list[str]) -> bool:
    """True also where a policy may come from somewhere else: a template that is referred to, or whoever uses this one."""
    is_open = bool(view.own.template_ref) or not view.is_submitted or view.is_partial
    return is_open or POLICY_ANNOTATION in names or view.document.kind is Kind.CRON_WORKFLOW


def _places(view: View) -> Iterator[Path]:
    yield _METADATA
    yield (*view.at, "workflowMetadata", "annotations")
    if view.document.kind is Kind.CRON_WORKFLOW:
        yield ("spec", "workflowMetadata", "annotations")


def _said(view: View, path: Path) -> list[tuple[str, str]]:
    annotations = dig(view.document.body, path)
    return [(name, str(annotations[name])) for name in _OURS if name in annotations] if isinstance(annotations, dict) else []


def _check_key(view: View, path: Path, text: str) -> None:
    faults = key_faults(text)
    for fault in faults:
        view.report(rules.GROUP_KEY, path, fault)
    if faults or not view.is_submitted or view.is_partial or (view.own.template_ref and view.base is None):
        return
    declared = {parameter.name for parameter in view.effective.arguments}
    for tag in find_tags(text):
        name = tag.removeprefix(KEY_TAG)
        if name not in declared:
            advice = view.advice(name, declared, "declare it under spec.arguments")
            message = f'annotation "{KEY_ANNOTATION}" has the tag {{{{{tag}}}}}, but no parameter "{name}" is declared; {advice}'
            view.report(rules.GROUP_KEY, path, message)
