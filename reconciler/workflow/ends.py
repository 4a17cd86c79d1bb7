"""The end of a node that makes others: its outputs, and whether a failure keeps it from making more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.errors import ManifestError
from reconciler.expr.errors import AbsentValue
from reconciler.model.spec import Parameter, Template
from reconciler.model.state import NodeState, Outputs, Phase
from reconciler.workflow.calls import call_of
from reconciler.workflow.outcome import bad_among
from reconciler.workflow.producers import default_of
from reconciler.workflow.values import Values, argument_value

if TYPE_CHECKING:
    from reconciler.workflow.engine import Decision


def succeed(d: Decision, node: NodeState) -> None:
    """Ends a steps or dag node well, with the outputs that its template promises; an output that cannot be made is an Error."""
    template = d.scope.template(node)
    if not template.outputs:
        d.finish(node, Phase.SUCCEEDED, "")
        return
    scope = d.scope.of(node)
    try:
        found = {parameter.name: output_value(parameter, scope) for parameter in template.outputs}
    except ManifestError as error:
        d.finish(node, Phase.ERROR, str(error))
        return
    outputs = Outputs(parameters={name: value for name, value in found.items() if value is not None})
    d.finish(node, Phase.SUCCEEDED, "", outputs=outputs)


def output_value(parameter: Parameter, scope: Values) -> str | None:
    """What an output is once everything that it refers to has ended; its default where that was never made."""
    try:
        return argument_value(parameter, scope)
    except AbsentValue:
        value = default_of(parameter)
        if value is None:
            raise
        return value


def failed_fast(d: Decision, template: Template, group: NodeState) -> bool:
    """True if the template's failFast forbids to make more, because a child has failed that counts.

    Argo: with parallelism only.
    """
    if not template.fail_fast or template.parallelism is None:
        return False
    return any(True for _ in bad_among(d.tree.bad(group), lambda name: call_of(d, name, group)))
