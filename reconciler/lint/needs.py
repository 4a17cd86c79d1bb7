"""Checks that a workflow declares the parameters which templates of other documents expect of whoever uses them.

Owns the way from a use to those templates. A document of templates is warned of what it leaves to others (`tags`); here
the others are checked.
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.expr.tags import find_tags
from reconciler.lint import rules
from reconciler.lint.scope import Path, View, links_of
from reconciler.manifest import hooks_of
from reconciler.model.spec import Template, TemplateRef, WorkflowSpec

_PREFIX = "workflow.parameters."


def check_needs(view: View) -> None:
    """One error for each parameter that a template of another document uses and this workflow does not declare."""
    if not view.is_submitted or view.is_partial:
        return
    declared = {parameter.name for parameter in view.effective.arguments}
    for who, path, starts in _ways_out(view):
        for name in sorted(_needed(view, starts) - declared):
            message = (
                f"{who} uses {{{{{_PREFIX}{name}}}}}, which this workflow does not declare; "
                "add the parameter under the spec's arguments.parameters"
            )
            view.report(rules.TAG, path, message)


_Start = tuple[WorkflowSpec, str, TemplateRef | None]  # the spec that names it, its key there, or what it refers to


def _ways_out(view: View) -> Iterator[tuple[str, Path, list[_Start]]]:
    own, spec = view.own, view.effective
    base = TemplateRef(name=own.template_ref, template="", cluster=own.template_ref_cluster)
    if own.template_ref and view.spec_of(base) is not None:
        starts: list[_Start] = [(spec, spec.entrypoint, None)]
        starts += [(spec, hook.template, hook.reference) for hook in hooks_of(spec).values()]
        yield f'"{own.template_ref}"', (*view.at, "workflowTemplateRef", "name"), starts
    for use in view.hook_uses():
        if use.reference is not None:
            yield f"what {use.who} starts", use.name_at, [(own, "", use.reference)]
    for template in own.templates.values():
        if any(reference for _, reference in links_of(template)):
            for site in view.calls_of(template):
                for one in view.uses_of(site):
                    if one.reference is not None:
                        yield f"what {one.who} calls", one.name_at, [(own, "", one.reference)]


def _needed(view: View, starts: list[_Start]) -> set[str]:
    """The workflow's parameters in the texts of all templates that the starts lead to."""
    needed: set[str] = set()
    seen: set[tuple[int, str]] = set()
    waiting = list(starts)
    while waiting:
        home, key, reference = waiting.pop()
        if reference is not None:
            target, key = view.spec_of(reference), reference.template
            if target is None:
                continue
            home = target
        template = home.templates.get(key)
        if template is None or (id(home), key) in seen:
            continue
        seen.add((id(home), key))
        needed |= _named_in(template)
        waiting += [(home, name, link) for name, link in links_of(template)]
    return needed


def _named_in(template: Template) -> set[str]:
    """The parameters of the workflow in any text of a template; its texts are looked at all at once."""
    return {tag[len(_PREFIX) :] for tag in find_tags(repr(template)) if tag.startswith(_PREFIX)}
