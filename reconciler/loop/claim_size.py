"""How many locks one claim may want: a bound, so that no manifest makes the queues of everybody slow.

Checked when a run is made, for the run as a whole and for each of its templates; each turn of a loop makes a claim of its own.
"""

from __future__ import annotations

from reconciler.errors import ManifestError, UsageError
from reconciler.model.spec import WorkflowSpec

SETTING = "limits.locks"


def check_claims(spec: WorkflowSpec, most: int, where: str) -> None:
    """Raises ManifestError, naming the template, for a claim of more locks than the setting allows."""
    deployment = spec.deployment
    apart = len(deployment.constraints) + 1 if deployment is not None else 0
    sizes = {"the workflow": len(spec.locks), "the deployment": apart}
    sizes |= {f"template {name}": len(template.locks) for name, template in spec.templates.items()}
    for what, size in sizes.items():
        if size > most:
            raise ManifestError(
                f"{where}: {what} wants {size} locks at once, and one claim may want {most} (the setting {SETTING});"
                " take one lock for what they stand for together, or take them in several templates"
            )


def check_hold(count: int, most: int) -> None:
    """Raises UsageError for a maintenance hold of more locks."""
    if count > most:
        raise UsageError(f"a hold of {count} locks: one claim may want {most} (the setting {SETTING}); hold them in parts")
