"""The annotations about deployments, read; and the deployment of a frozen spec, to JSON and back.

Owns what the annotations mean. It never looks at another document and never fills in a tag.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from reconciler.errors import ManifestError
from reconciler.model.deployment import Deployment, DeploymentRequest, Infrastructure
from reconciler.model.locks import LockKind, LockRef

SERVICE = "lineclear.dev/service"
INFRASTRUCTURE = "lineclear.dev/infrastructure"
STRATEGY = "lineclear.dev/concurrency-strategy"
WORKFLOW_TYPE = "lineclear.dev/workflow-type"
PRE_DEPLOYMENT = "lineclear.dev/pre-deployment"
CONSTRAINTS = "lineclear.dev/resource-constraints"
STRATEGIES = ("AcquireLock", "NotRequired")
WORKFLOW_TYPES = ("deployment", "build")

_CONSTRAINT = re.compile(r"(?P<name>[a-z0-9]([-.a-z0-9]*[a-z0-9])?)(/(?P<unit>[^\s,=]+))?(=(?P<units>[0-9]{1,9}))?")


def read_deployment(annotations: Mapping[str, str]) -> DeploymentRequest:
    """What the annotations of a run ask for. Raises ManifestError for one that cannot be meant so."""
    service = annotations.get(SERVICE, "").strip()
    names = tuple(name.strip() for name in annotations.get(INFRASTRUCTURE, "").split(",") if name.strip())
    if bool(service) != bool(names):
        there, lacking = (SERVICE, INFRASTRUCTURE) if service else (INFRASTRUCTURE, SERVICE)
        raise ManifestError(f'annotation "{there}" means nothing without "{lacking}"; add that, or remove it')
    if len(set(names)) < len(names):
        raise ManifestError(f'annotation "{INFRASTRUCTURE}" names an infrastructure twice: "{", ".join(names)}"; name each once')
    strategy, kind = annotations.get(STRATEGY, STRATEGIES[0]), annotations.get(WORKFLOW_TYPE, WORKFLOW_TYPES[0])
    for name, value, allowed in ((STRATEGY, strategy, STRATEGIES), (WORKFLOW_TYPE, kind, WORKFLOW_TYPES)):
        if value not in allowed:
            raise ManifestError(f'annotation "{name}" is "{value}"; use {" or ".join(allowed)}')
    return DeploymentRequest(
        service=service,
        infrastructures=names,
        is_locked=strategy == "AcquireLock" and kind == "deployment",
        pre_deployment=annotations.get(PRE_DEPLOYMENT, "").strip(),
        constraints=read_constraints(annotations.get(CONSTRAINTS, "")),
    )


def read_constraints(text: str) -> tuple[LockRef, ...]:
    """The constraints of an annotation: `NAME=UNITS, NAME/QUEUE=UNITS`; one unit where no number stands.

    Raises ManifestError for text of another form, and for a queue that is named twice.
    """
    found: list[LockRef] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = _CONSTRAINT.fullmatch(part)
        units = int(match["units"] or 1) if match else 0
        if match is None or not units:
            advice = "write NAME=UNITS or NAME/QUEUE=UNITS, several with commas, UNITS 1 or more"
            raise ManifestError(f'annotation "{CONSTRAINTS}": "{part}" is no constraint; {advice}')
        name = match["name"] + (f"/{match['unit']}" if match["unit"] else "")
        if any(one.name == name for one in found):
            raise ManifestError(f'annotation "{CONSTRAINTS}" names "{name}" twice; add the units up')
        found.append(LockRef(kind=LockKind.CONSTRAINT, name=name, units=units))
    return tuple(found)


def deployment_to_json(deployment: Deployment) -> dict[str, Any]:
    """As it stands in a frozen spec."""
    return {
        "service": deployment.service,
        "infrastructures": [{"name": i.name, "place": i.place, "fields": dict(i.fields)} for i in deployment.infrastructures],
        "preDeployment": deployment.pre_deployment,
        "constraints": [{"name": ref.name, "units": ref.units} for ref in deployment.constraints],
    }


def deployment_from_json(body: Mapping[str, Any]) -> Deployment:
    """Back from a frozen spec."""
    return Deployment(
        service=body["service"],
        infrastructures=tuple(
            Infrastructure(name=one["name"], place=one["place"], fields=one["fields"]) for one in body["infrastructures"]
        ),
        pre_deployment=body["preDeployment"],
        constraints=tuple(
            LockRef(kind=LockKind.CONSTRAINT, name=one["name"], units=one["units"]) for one in body["constraints"]
        ),
    )
