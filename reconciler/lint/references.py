"""Checks of what names what: identities, templates, dependencies, inputs and arguments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from reconciler.lint import rules
from reconciler.lint.scope import Path, SiteCall, Tree, View, calls_in, dig
from reconciler.manifest.reading import nearest
from reconciler.model.source import Identity, identity_of
from reconciler.model.spec import Dag, Document, Kind, Parameter, Template


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
            _check_call(view, site)
        if isinstance(template.body, Dag):
            _check_dependencies(view, template)
    if not view.is_partial:
        _check_recursion(view)
        _check_reach(view)
    _check_arguments(view)


def _check_base(view: View) -> None:
    name = view.own.template_ref
    document = view.document
    cluster_scope = dig(document.body, (*view.at, "workflowTemplateRef", "clusterScope"))  # refused already
    if name and not cluster_scope and view.tree.find(Kind.WORKFLOW_TEMPLATE, document.namespace, name) is None:
        known = view.tree.names(Kind.WORKFLOW_TEMPLATE, document.namespace)
        message = f'WorkflowTemplate "{document.namespace}/{name}" is not known; {_advice(name, known, "add it")}'
        view.report(rules.NO_WORKFLOW_TEMPLATE, (*view.at, "workflowTemplateRef", "name"), message)


def _check_starts(view: View) -> None:
    """The entrypoint and the exit handler exist and get the inputs that they need from the workflow's arguments."""
    if view.own.template_ref and view.base is None:
        return
    spec = view.effective
    given = {p.name for p in spec.arguments}  # one without a value is told as such
    for field, name, own in (
        ("entrypoint", spec.entrypoint, view.own.entrypoint),
        ("onExit", spec.on_exit, view.own.on_exit),
    ):
        path: Path = (*view.at, field) if own else (*view.at, "workflowTemplateRef", "name")
        if not name:
            if field == "entrypoint" and view.is_submitted and view.own.template_ref:
                message = f'neither the spec nor WorkflowTemplate "{view.own.template_ref}" has an entrypoint; add one'
                view.report(rules.NO_TEMPLATE, path, message)
            continue
        template = spec.templates.get(name)
        if template is None:
            message = f'{field} "{name}" is no template of this workflow; {_advice(name, spec.templates, "define it")}'
            view.report(rules.NO_TEMPLATE, path, message)
            continue
        for parameter in _required(template) if view.is_submitted else ():
            if parameter.name not in given:
                message = (
                    f'{field} "{name}" needs input "{parameter.name}", and the workflow has no such argument; '
                    "add it under arguments.parameters"
                )
                view.report(rules.NO_INPUT, path, message)


def _check_call(view: View, site: SiteCall) -> None:
    call = site.call
    if not call.template:
        return
    template = view.own.templates.get(call.template)
    if template is None:
        advice = _advice(call.template, view.own.templates, "define it")
        message = f'"{call.name}" calls template "{call.template}", which does not exist; {advice}'
        view.report(rules.NO_TEMPLATE, (*site.path, "template"), message)
        return
    given = {argument.name: argument.value for argument in call.arguments}
    for parameter in _required(template):
        if given.get(parameter.name) is None:
            message = (
                f'"{call.name}" gives no value for input "{parameter.name}" of template "{template.name}"; '
                "add it under arguments.parameters"
            )
            view.report(rules.NO_INPUT, (*site.path, "name"), message)
    inputs = {parameter.name: parameter for parameter in template.inputs}
    for number, argument in enumerate(call.arguments):
        path = (*site.path, "arguments", "parameters", number)
        if argument.name in inputs:
            _check_enum(view, argument.name, argument.value, inputs[argument.name].enum, (*path, "value"))
        elif argument.name:
            advice = _advice(argument.name, inputs, "remove it")
            message = f'argument "{argument.name}" is no input of template "{template.name}"; {advice}'
            view.report(rules.EXTRA_ARGUMENT, (*path, "name"), message)


def _required(template: Template) -> list[Parameter]:
    return [parameter for parameter in template.inputs if parameter.value is None and parameter.default is None]


def _check_enum(view: View, name: str, value: str | None, allowed: Sequence[str], path: Path) -> None:
    if value is not None and allowed and "{{" not in value and value not in allowed:
        message = f'parameter "{name}" is "{value}"; it must be one of {", ".join(allowed)}'
        view.report(rules.NOT_IN_ENUM, path, message)


def _check_dependencies(view: View, template: Template) -> None:
    assert isinstance(template.body, Dag)
    tasks = {task.name: task for task in template.body.tasks}
    paths = {site.call.name: site.path for site in view.calls_of(template)}
    for task in tasks.values():
        for number, name in enumerate(task.dependencies):
            if name not in tasks:
                message = f'task "{task.name}" depends on "{name}", which does not exist; {_advice(name, tasks, "define it")}'
                view.report(rules.NO_DEPENDENCY, (*paths[task.name], "dependencies", number), message)
    cycle = _find_cycle({task.name: [name for name in task.dependencies if name in tasks] for task in tasks.values()})
    if cycle:
        message = f"tasks wait for each other: {' -> '.join(cycle)}; remove one of these dependencies"
        view.report(rules.DEPENDENCY_CYCLE, (*paths[cycle[0]], "dependencies"), message, on_key=True)


def _find_cycle(graph: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """The names of one circle, its alphabetically first name at both ends; () if there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        ring: list[str] = error.args[1][:-1][::-1]  # graphlib tells it against the arrows
        start = ring.index(min(ring))
        return (*ring[start:], *ring[:start], ring[start])
    return ()


def _check_recursion(view: View) -> None:
    templates = view.own.templates
    graph = {
        name: [call.template for call in calls_in(template) if call.template in templates] for name, template in templates.items()
    }
    cycle = _find_cycle(graph)
    if cycle:
        site = next(site for site in view.calls_of(templates[cycle[0]]) if site.call.template == cycle[1])
        message = f"templates call each other without an end: {' -> '.join(cycle)}; remove one of these calls"
        view.report(rules.RECURSION, (*site.path, "template"), message)


def _check_reach(view: View) -> None:
    """Templates that a workflow's start never leads to; a WorkflowTemplate may be started elsewhere."""
    spec = view.own
    if not view.is_submitted or spec.entrypoint not in spec.templates:
        return
    reached = view.reachable(spec.entrypoint) | view.reachable(spec.on_exit)
    for name, template in spec.templates.items():
        if name not in reached:
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
        if view.is_submitted and parameter.value is None and parameter.default is None:
            message = f'parameter "{parameter.name}" has no value; add a value under arguments.parameters'
            view.report(rules.NO_ARGUMENT, path, message)


def _advice(name: str, known: Iterable[str], otherwise: str) -> str:
    advice = nearest(name, known)
    return otherwise if advice == "remove it" else advice
