"""Checks of what a workflow says of deployments: its annotations, the infrastructure and the constraints that they name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from reconciler.errors import ManifestError
from reconciler.expr.tags import find_tags
from reconciler.lint import rules
from reconciler.lint.scope import Path, Tree, View, dig
from reconciler.manifest import read_deployment
from reconciler.manifest.deployment import (
    CONSTRAINTS,
    INFRASTRUCTURE,
    PRE_DEPLOYMENT,
    SERVICE,
    STRATEGIES,
    STRATEGY,
    WORKFLOW_TYPE,
    WORKFLOW_TYPES,
)
from reconciler.model.deployment import DeploymentRequest
from reconciler.model.locks import LockKind
from reconciler.model.own_kinds import InfrastructureDefinition, ResourceConstraint
from reconciler.model.spec import Document, Kind

NAMES = (SERVICE, INFRASTRUCTURE, STRATEGY, WORKFLOW_TYPE, PRE_DEPLOYMENT, CONSTRAINTS)
_PARAMETERS = "workflow.parameters."
_OUTPUTS = "workflow.outputs.parameters."


def check_infrastructure(tree: Tree, document: Document) -> None:
    """The tags of an InfrastructureDefinition's fields are such as a run gives a value to."""
    if not isinstance(document.own, InfrastructureDefinition):
        return
    for name, text in document.own.fields.items():
        for tag in find_tags(text):
            if not tag.startswith(("workflow.", "=")):
                message = f"{{{{{tag}}}}} has no value in an InfrastructureDefinition; use {{{{{_PARAMETERS}NAME}}}}"
                tree.report(rules.TAG, document, ("spec", "fields", name), message)


def check_deployment(view: View) -> None:
    """What a document's annotations ask for can be had: names that are known, units that there are, values for every tag."""
    _check_template_constraints(view)
    said = dict(_annotations(view))
    if not said or view.is_partial:
        return
    if said.get(STRATEGY, ("AcquireLock",))[0] not in STRATEGIES or said.get(WORKFLOW_TYPE, ("build",))[0] not in WORKFLOW_TYPES:
        return  # told with the annotation itself
    try:
        asked = read_deployment({name: value for name, (value, _) in said.items()})
    except ManifestError as error:
        if view.is_submitted:  # a template may leave the other half to those who use it
            view.report(rules.DEPLOYMENT, next(iter(said.values()))[1], str(error))
        return
    _check_constraints(view, asked, said)
    if asked.pre_deployment and view.is_submitted and asked.pre_deployment not in view.effective.templates:
        advice = view.advice(asked.pre_deployment, list(view.effective.templates), "define it")
        message = f'pre-deployment names template "{asked.pre_deployment}", which does not exist; {advice}'
        view.report(rules.NO_TEMPLATE, said[PRE_DEPLOYMENT][1], message)
    if not asked.is_locked:
        return
    for name in asked.infrastructures:
        _check_use(view, name, asked, said)
    if asked.infrastructures and asked.pre_deployment and view.effective.locks:
        message = (
            "the workflow's own locks are taken before its pre-deployment, its infrastructure after it: two claims, and the"
            " first is held while the second waits; take the locks in a template, or do without one of the two"
        )
        view.report(rules.TWO_CLAIMS, said[PRE_DEPLOYMENT][1], message)


def _annotations(view: View) -> Iterator[tuple[str, tuple[str, Path]]]:
    """The document's annotations about deployments and where each is written; the nearest to the run counts."""
    found: dict[str, tuple[str, Path]] = {}
    places: list[Path] = [("metadata", "annotations"), ("spec", "workflowMetadata", "annotations")]
    for at in (*places, (*view.at, "workflowMetadata", "annotations")):
        annotations = dig(view.document.body, at)
        for name in NAMES if isinstance(annotations, dict) else ():
            if name in annotations and name not in found:
                found[name] = (str(annotations[name]), (*at, name))
    yield from found.items()


def _check_use(view: View, name: str, asked: DeploymentRequest, said: Mapping[str, tuple[str, Path]]) -> None:
    namespace = view.document.namespace
    known = view.tree.find(Kind.INFRASTRUCTURE, namespace, name)
    place = said[INFRASTRUCTURE][1]
    if known is None:
        advice = view.advice(name, view.tree.names(Kind.INFRASTRUCTURE, namespace), "add it")
        message = f'InfrastructureDefinition "{name}" is not known in namespace "{namespace}"; {advice}'
        view.report(rules.NO_INFRASTRUCTURE, place, message)
        return
    if not isinstance(known.own, InfrastructureDefinition) or not view.is_submitted:
        return
    declared = {parameter.name for parameter in view.effective.arguments}
    for field, text in known.own.fields.items():
        for tag in find_tags(text):
            wanted = tag.removeprefix(_PARAMETERS)
            lacks = ""
            if wanted != tag and wanted not in declared:
                lacks = "which this workflow does not declare; add the parameter"
            elif tag.startswith(_OUTPUTS) and not asked.pre_deployment:
                lacks = "which only a pre-deployment could make; name one"
            if lacks:
                view.report(rules.TAG, place, f'field {field} of infrastructure "{name}" is {{{{{tag}}}}}, {lacks}')


def _check_constraints(view: View, asked: DeploymentRequest, said: Mapping[str, tuple[str, Path]]) -> None:
    for ref in asked.constraints:
        _check_constraint(view, ref.name, ref.units, said[CONSTRAINTS][1])


def _check_template_constraints(view: View) -> None:
    for template in view.own.templates.values():
        for ref in template.locks:
            if ref.kind is LockKind.CONSTRAINT:
                place = (*view.path_of(template), "metadata", "annotations", CONSTRAINTS)
                _check_constraint(view, ref.name, ref.units, place)


def _check_constraint(view: View, full: str, units: int, place: Path) -> None:
    name, namespace = full.partition("/")[0], view.document.namespace
    known = view.tree.find(Kind.CONSTRAINT, namespace, name)
    if known is None:
        advice = view.advice(name, view.tree.names(Kind.CONSTRAINT, namespace), "add it")
        view.report(rules.NO_CONSTRAINT, place, f'ResourceConstraint "{name}" is not known in namespace "{namespace}"; {advice}')
    elif isinstance(known.own, ResourceConstraint) and 0 < known.own.capacity < units:
        message = f'{units} units of constraint "{name}" are wanted, and it has {known.own.capacity}; it could never start'
        view.report(rules.TOO_MANY_UNITS, place, message)
