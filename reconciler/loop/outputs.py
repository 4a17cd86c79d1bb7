"""Reads what an ended step left behind: its output parameters and its standard output, in the tick that takes its end over.

The files are the attempt's own until then, so a crash before the commit loses nothing: they are read again.
"""

from __future__ import annotations

from reconciler.errors import LineclearError
from reconciler.expr.tags import substitute
from reconciler.loop.context import Context
from reconciler.loop.launch import Surroundings
from reconciler.model.images import Image
from reconciler.model.spec import Program
from reconciler.model.state import NO_OUTPUTS, AttemptState, NodeState, Outputs
from reconciler.runtime.outputs import read_parameter, read_result
from reconciler.store import runs
from reconciler.store.nodes import StoredNodes
from reconciler.workflow.scope import scope_of


def collect(ctx: Context, around: Surroundings, attempt: AttemptState, node: NodeState) -> tuple[Outputs, str]:
    """The outputs of an ended attempt, and why they are not all there ('' if they are)."""
    run = runs.get_run(ctx.writer, attempt.run_id)
    spec = ctx.specs.get(run.spec_digest)
    template = spec.templates[node.template]
    wanted = [(p, p.value_from) for p in template.outputs if p.value_from is not None and p.value_from.path]
    keeps_stdout = node.display.partition("(")[0] in spec.result_calls
    if not isinstance(template.body, Program) or not (wanted or keeps_stdout):
        return NO_OUTPUTS, ""
    directory = around.home.attempt(run.id, attempt.id)
    result = read_result(directory) if keeps_stdout else None
    parameters: dict[str, str] = {}
    problems: list[str] = []
    scope = scope_of(run, spec, StoredNodes(ctx.writer, run.id), node, ctx.writer.now)
    for parameter, source in wanted:
        try:
            image = around.images.find(substitute(template.body.image, scope)) or Image()
            path = substitute(source.path, scope)
            value = read_parameter(directory, path, sandboxed=image.runtime == "sandbox")
        except LineclearError as error:
            problems.append(str(error))
            continue
        if value is None:
            value = parameter.default if source.default is None else source.default
        if value is None:
            name = parameter.name
            problems.append(f'output parameter "{name}" is missing: the step left no file {path}; write it, or give a default')
        else:
            parameters[parameter.name] = value
    return Outputs(parameters=parameters, result=result), "; ".join(problems)
