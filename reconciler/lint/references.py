"""Checks of what names what: identities, templates here and in other documents, inputs and arguments."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.lint import rules
from reconciler.lint.scope import Path, Tree, Use, View
from reconciler.manifest import hooks_of
from reconciler.model.source import Identity, identity_of
from reconciler.model.spec import Document, Kind, Parameter, Template, TemplateRef, WorkflowSpec


def check_identities(tree: Tree) -> None:
    """Two documents with one identity are both refused, each finding naming the other's place."""
    by_identity: dict[Identity, list[Document]] = {}
    for document in tree.documents:
        by_identity.setdefault(identity_of(document), []).append(document)
    for (kind, namespace, name), documents in by_identity.items():
        for document in documents if len(documents) > 1 else ():
            others = ", ".join(str(other.place) for other in documents if other is not document)
            message = f'{kind} "{namespace}/{name}" is also defined at {others}; rename one'
            tree.report(rules.SAME_IDENTITY, document, ("metadata", "name"), message)


def check_references(view: View) -> None:
    """All checks of one spec's own names."""
    _check_base(view)
    _check_starts(view)
    for template in view.own.templates.values():
        for site in view.calls_of(template):
            for use in view.uses_of(site):
                _check_use(view, use)
    _check_reach(view)
    _check_arguments(view)


def _check_base(view: View) -> None:
    name, cluster = view.own.template_ref, view.own.template_ref_cluster
    if name and view.base is None and view.can_see(cluster=cluster):
        _report_unknown(view, name, (*view.at, "workflowTemplateRef", "name"), cluster=cluster)


def _report_unknown(view: View, name: str, path: Path, *, cluster: bool) -> None:
    kind, namespace = (Kind.CLUSTER_TEMPLATE, "") if cluster else (Kind.WORKFLOW_TEMPLATE, view.document.namespace)
    shown = f"{namespace}/{name}" if namespace else name
    message = f'{kind} "{shown}" is not known; {view.advice(name, view.tree.names(kind, namespace), "add it")}'
    view.report(rules.NO_WORKFLOW_TEMPLATE, path, message)


def _check_starts(view: View) -> None:
    """The entrypoint and the exit handler exist and get the inputs that they need from the workflow's arguments."""
    if view.own.template_ref and view.base is None:
        return
    base: Path = (*view.at, "workflowTemplateRef", "name")
    name = view.effective.entrypoint
    if name:
        path: Path = (*view.at, "entrypoint") if view.own.entrypoint else base
        _check_start(view, "entrypoint", name, view.effective.templates.get(name), path)
    elif view.is_submitted and view.own.template_ref:
        kind = Kind.CLUSTER_TEMPLATE if view.own.template_ref_cluster else Kind.WORKFLOW_TEMPLATE
        message = f'neither the spec nor {kind} "{view.own.template_ref}" has an entrypoint; add one'
        view.report(rules.NO_TEMPLATE, base, message)
    own = {use.at[-1] if use.at[-1] != "onExit" else "exit": use for use in view.hook_uses()}
    for name, hook in hooks_of(view.effective).items():
        use = own.get(name)
        if hook.reference is None:
            path, who = (use.name_at, use.who) if use else (base, "onExit" if name == "exit" else f'hook "{name}"')
            _check_start(view, who, hook.template, view.effective.templates.get(hook.template), path, hook.arguments)
        elif use is not None:
            _check_use(view, use)


def _check_start(
    view: View, field: str, name: str, template: Template | None, path: Path, own: Sequence[Parameter] = ()
) -> None:
    if template is None:
        advice = view.advice(name, _named(view.effective), "define it")
        view.report(rules.NO_TEMPLATE, path, f'{field} "{name}" is no template of this workflow; {advice}')
        return
    given = {p.name for p in (*view.effective.arguments, *own)}  # one without a value is told as such
    for parameter in _required(template) if view.is_submitted else ():
        if parameter.name not in given:
            message = (
                f'{field} "{name}" needs input "{parameter.name}", and the workflow has no such argument; '
                "add it under arguments.parameters"
            )
            view.report(rules.NO_INPUT, path, message)


def _named(spec: WorkflowSpec) -> list[str]:
    """The templates that an author can name."""
    return [name for name, template in spec.templates.items() if not template.is_inline]


def _check_use(view: View, use: Use) -> None:
    if not use.template and use.reference is None:
        return  # told when the call was read
    template = view.target(use.template, use.reference)
    if template is None:
        _report_missing(view, use)
        return
    shown = _shown(use)
    given = {argument.name: argument for argument in use.arguments}
    for parameter in _required(template):
        argument = given.get(parameter.name)
        if argument is None or not _has_value(argument):
            message = f'{use.who} gives no value for input "{parameter.name}" of {shown}; add it under arguments.parameters'
            view.report(rules.NO_INPUT, (*use.at, "name"), message)
    inputs = {parameter.name: parameter for parameter in template.inputs}
    for number, argument in enumerate(use.arguments):
        path = (*use.at, "arguments", "parameters", number)
        if argument.name in inputs:
            _check_enum(view, argument.name, argument.value, inputs[argument.name].enum, (*path, "value"))
        elif argument.name:
            message = f'argument "{argument.name}" is no input of {shown}; {view.advice(argument.name, inputs, "remove it")}'
            view.report(rules.EXTRA_ARGUMENT, (*path, "name"), message)


def _report_missing(view: View, use: Use) -> None:
    if use.reference is None:
        advice = view.advice(use.template, _named(view.effective), "define it")
        message = f'{use.who} calls template "{use.template}", which does not exist; {advice}'
        view.report(rules.NO_TEMPLATE, use.name_at, message)
        return
    reference = use.reference
    if not view.can_see(cluster=reference.cluster):
        return
    if view.find(reference) is None:
        _report_unknown(view, reference.name, (*use.name_at[:-1], "name"), cluster=reference.cluster)
        return
    spec = view.spec_of(reference)
    if spec is None:
        return
    advice = view.advice(reference.template, _named(spec), "define it there")
    message = f'{use.who} calls template "{reference.template}" of {_document(reference)}, which has none such; {advice}'
    view.report(rules.NO_TEMPLATE, use.name_at, message)


def _document(reference: TemplateRef) -> str:
    return f'{Kind.CLUSTER_TEMPLATE if reference.cluster else Kind.WORKFLOW_TEMPLATE} "{reference.name}"'


def _shown(use: Use) -> str:
    """The template of a use, for a message."""
    if use.reference is not None:
        return f'template "{use.reference.template}" of {_document(use.reference)}'
    return "its inline template" if "/" in use.template else f'template "{use.template}"'


def _has_value(parameter: Parameter) -> bool:
    return parameter.value is not None or parameter.default is not None or parameter.value_from is not None


def _required(template: Template) -> list[Parameter]:
    return [parameter for parameter in template.inputs if not _has_value(parameter)]


def _check_enum(view: View, name: str, value: str | None, allowed: Sequence[str], path: Path) -> None:
    if value is not None and allowed and "{{" not in value and value not in allowed:
        message = f'parameter "{name}" is "{value}"; it must be one of {", ".join(allowed)}'
        view.report(rules.NOT_IN_ENUM, path, message)


def _check_reach(view: View) -> None:
    """Templates that a workflow's start never leads to; a template of others may be started elsewhere."""
    spec = view.own
    if view.is_partial or not view.is_submitted or spec.entrypoint not in spec.templates or len(spec.templates) == 1:
        return
    reached = view.reachable(spec.entrypoint)
    for hook in hooks_of(spec).values():
        reached |= view.reachable(hook.template) if hook.reference is None else set()
    for name, template in spec.templates.items():
        if name not in reached and not template.is_inline:
            message = f'template "{name}" is never called; call it or remove it'
            view.report(rules.UNREACHABLE, (*view.path_of(template), "name"), message)


def _check_arguments(view: View) -> None:
    own = {parameter.name: number for number, parameter in enumerate(view.own.arguments)}
    for parameter in view.effective.arguments:
        path: Path = (*view.at, "workflowTemplateRef", "name")
        if parameter.name in own:
            path = (*view.at, "arguments", "parameters", own[parameter.name])
        _check_enum(view, parameter.name, parameter.value, parameter.enum, (*path, "value"))
        _check_enum(view, parameter.name, parameter.default, parameter.enum, (*path, "default"))
        if view.is_submitted and not _has_value(parameter):
            message = f'parameter "{parameter.name}" has no value; add a value under arguments.parameters'
            view.report(rules.NO_ARGUMENT, path, message)
