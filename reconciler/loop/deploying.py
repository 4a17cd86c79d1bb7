"""What a run that is made says of deployments, frozen with it: the infrastructure as it is defined now, the constraints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from reconciler.errors import ManifestError, NotFound
from reconciler.loop.context import Context
from reconciler.manifest import deployment_to_json, read_constraint, read_deployment, read_infrastructure
from reconciler.model.deployment import Deployment, Infrastructure
from reconciler.model.locks import LockKind, LockRef
from reconciler.model.spec import Kind, WorkflowSpec
from reconciler.store import catalogue

if TYPE_CHECKING:
    from reconciler.loop.submit import Source


def freeze_deployment(
    ctx: Context, source: Source, spec: WorkflowSpec, annotations: Mapping[str, str]
) -> dict[str, Any] | None:
    """The deployment of a run as plain data, None if it is none. Raises ManifestError or NotFound for one that cannot be."""
    where = source.place or "the manifest"
    try:
        asked = read_deployment(annotations)
    except ManifestError as error:
        raise ManifestError(f"{where}: {error}") from None
    _check_constraints(ctx, source.namespace, where, [*asked.constraints, *_of_templates(spec)])
    if not (asked.pre_deployment or asked.constraints or (asked.is_locked and asked.infrastructures)):
        return None
    if asked.pre_deployment and asked.pre_deployment not in spec.templates:
        raise ManifestError(f'{where}: pre-deployment names template "{asked.pre_deployment}", which the workflow does not have')
    names = asked.infrastructures if asked.is_locked else ()
    found = Deployment(
        service=asked.service,
        infrastructures=tuple(_infrastructure(ctx, source.namespace, name, where) for name in names),
        pre_deployment=asked.pre_deployment,
        constraints=asked.constraints,
    )
    return deployment_to_json(found)


def _of_templates(spec: WorkflowSpec) -> list[LockRef]:
    return [lock for template in spec.templates.values() for lock in template.locks if lock.kind is LockKind.CONSTRAINT]


def _infrastructure(ctx: Context, namespace: str, name: str, where: str) -> Infrastructure:
    definition = catalogue.find_definition(ctx.writer, Kind.INFRASTRUCTURE, namespace, name)
    if definition is None:
        known = ", ".join(catalogue.live_names(ctx.writer, Kind.INFRASTRUCTURE, namespace)) or "no InfrastructureDefinition"
        raise NotFound(f"{where}: it deploys to infrastructure {name!r}, which is not live here; there is {known}")
    return Infrastructure(name=name, place=definition.place, fields=read_infrastructure(definition.body).fields)


def _check_constraints(ctx: Context, namespace: str, where: str, wanted: Iterable[LockRef]) -> None:
    """Each constraint is live and has as many units as are wanted at once."""
    for ref in wanted:
        name = ref.name.partition("/")[0]
        definition = catalogue.find_definition(ctx.writer, Kind.CONSTRAINT, ref.namespace or namespace, name)
        if definition is None:
            known = ", ".join(catalogue.live_names(ctx.writer, Kind.CONSTRAINT, namespace)) or "no ResourceConstraint"
            raise NotFound(f"{where}: it takes constraint {name!r}, which is not live here; there is {known}")
        capacity = read_constraint(definition.body).capacity
        if capacity and ref.units > capacity:
            raise ManifestError(f"{where}: it takes {ref.units} units of constraint {name!r}, which has {capacity}; take fewer")
