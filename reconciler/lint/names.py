"""Which variables have a value where (Argo: docs/variables.md), and why another one has none.

Owns the rules of scope. It reads no text and reports nothing; what is not known, such as the template of a document that is
elsewhere, counts as right.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from graphlib import CycleError, TopologicalSorter

from reconciler.lint.scope import Path, SiteCall, View, links_of
from reconciler.lint.slips import near_name
from reconciler.manifest import hooks_of
from reconciler.model.spec import Call, Dag, Kind, Program, Steps, Template, TemplateRef, WorkflowSpec

LATER = ("steps.", "tasks.", "outputs.", "item", "retries", "lastRetry.", "inputs.artifacts.", "workflow.outputs.")

_WORKFLOW = frozenset(
    {
        "name",
        "namespace",
        "uid",
        "priority",
        "mainEntrypoint",
        "serviceAccountName",
        "creationTimestamp",
        "duration",
        "parameters",
        "parameters.json",
        "labels",
        "labels.json",
        "annotations",
        "annotations.json",
    }
)
_FREE = ("labels.", "annotations.")
_INSTANT = re.compile(r"creationTimestamp\.(RFC3339|[A-Za-z])")  # a letter of strftime, or s: seconds since 1970
_BRANCHES = frozenset({"", "outputs", "outputs.parameters"})
_EXIT_ONLY = frozenset({"status", "failures"})
_RETRY = frozenset({"retries", "lastRetry.exitCode", "lastRetry.status", "lastRetry.duration", "lastRetry.message"})
_NODE = frozenset({"pod.name", "node.name"})
_OF_CALL = frozenset({"id", "status", "exitCode", "ip", "startedAt", "finishedAt", "hostNodeName", "name"})
_ROOT = re.compile(r"\w*")
_MOST_READ, _EACH = 300_000, 50  # characters; what it costs to begin
_UNKNOWN = "has no value here; correct the name"


class Variables:
    """What one document's names mean, found when first asked for."""

    def __init__(self, view: View) -> None:
        self.view = view
        self._unread = _MOST_READ
        self._before: dict[str, Mapping[str, int]] = {}
        self._groups: dict[str, Mapping[str, tuple[int, Call]]] = {}
        self._inputs: dict[str, frozenset[str]] = {}
        self._outputs: dict[str, frozenset[str] | None] = {}

    def may_read(self, text: str) -> bool:
        """False once a document has more expressions than anybody can look at: reading them is dear."""
        self._unread -= len(text) + _EACH
        return self._unread >= 0

    @cached_property
    def parameters(self) -> frozenset[str]:
        """The workflow's parameters."""
        return frozenset([parameter.name for parameter in self.view.effective.arguments])

    @cached_property
    def at_exit(self) -> frozenset[str]:
        """Keys of the templates that run only as exit handlers; in a template of others, all that its own start never calls."""
        view, spec = self.view, self.view.effective
        ends: set[str] = set()
        for hook in hooks_of(spec).values():
            ends |= view.reachable(hook.template) if hook.reference is None else set()
        if not view.is_submitted:
            ends = set(spec.templates)
        return frozenset(ends - view.reachable(spec.entrypoint))

    @cached_property
    def outputs(self) -> frozenset[str] | None:
        """The workflow's outputs; None if other documents, which are not known, may have more."""
        if not self.view.is_submitted:
            return None
        found: set[str] = set()
        for spec in self._all_specs():
            if spec is None:
                return None
            found |= {output.global_name for template in spec.templates.values() for output in template.outputs}
        return None if any("{{" in name for name in found) else frozenset(found)

    def _all_specs(self) -> Iterator[WorkflowSpec | None]:
        """This spec and those that it refers to, each once; None for one that is not known."""
        view = self.view
        if view.own.template_ref and view.base is None:
            yield None
        seen: set[TemplateRef] = set()
        waiting = [view.effective]
        while waiting:
            spec = waiting.pop()
            yield spec
            links = [link for template in spec.templates.values() for _, link in links_of(template)]
            for link in {*links, *(hook.reference for hook in hooks_of(spec).values())} - seen - {None}:
                assert link is not None
                seen.add(link)
                target = view.spec_of(link)
                if target is None:
                    yield None
                else:
                    waiting.append(target)

    def inputs_of(self, template: Template) -> frozenset[str]:
        """The names of a template's inputs."""
        found = self._inputs.get(template.name)
        if found is None:
            found = self._inputs[template.name] = frozenset([parameter.name for parameter in template.inputs])
        return found

    def outputs_of(self, call: Call) -> frozenset[str] | None:
        """The names of the outputs of what is called; None if that is not known."""
        if call.template not in self._outputs:
            target = self.view.target(call.template, call.reference)
            self._outputs[call.template] = frozenset([one.name for one in target.outputs]) if target else None
        return self._outputs[call.template]

    def steps_of(self, template: Template, body: Steps) -> Mapping[str, tuple[int, Call]]:
        """Each step with the number of its group."""
        found = self._groups.get(template.name)
        if found is None:
            found = {call.name: (number, call) for number, group in enumerate(body.groups) for call in group}
            self._groups[template.name] = found
        return found

    def is_before(self, template: Template, dag: Dag, name: str, task: str) -> bool:
        """True if `name` has ended, or was left out, whenever `task` starts; also where tasks wait in a circle."""
        masks = self._before.get(template.name)
        if masks is None:
            masks = ancestors_of(dag)
            self._before[template.name] = masks
        number = masks.get(f"#{name}", -1)
        return not masks or number < 0 or bool(masks.get(task, 0) >> number & 1)


def ancestors_of(dag: Dag) -> Mapping[str, int]:
    """For each task a number with a bit for each ancestor; under `#NAME` which bit. {} where tasks wait in a circle.

    Sets would grow with the square.
    """
    graph = {task.name: [name for name in task.after if name in dag.by_name] for task in dag.tasks}
    masks: dict[str, int] = {}
    try:
        for number, name in enumerate(TopologicalSorter(graph).static_order()):
            masks[f"#{name}"] = number
            mask = 0
            for before in graph[name]:
                mask |= masks[before] | 1 << masks[f"#{before}"]
            masks[name] = mask
    except CycleError:
        return {}
    return masks


class Spot:
    """Where a text stands, and so what its variables may be.

    Without a template: in the workflow itself. With a `site`: in the call of a steps or dag template, or (`is_hook`) in a hook
    of that call, which also sees the call itself. `is_end`: in what a template gives when all its calls have ended.
    `sees_item`: what is written once for each item. `outer` is where an inline template stands.
    """

    __slots__ = ("is_end", "is_exit", "is_hook", "outer", "sees_inputs", "sees_item", "site", "template", "variables")

    def __init__(self, variables: Variables, template: Template | None = None, outer: Spot | None = None) -> None:
        self.variables = variables
        self.template = template
        self.outer = outer
        self.site: SiteCall | None = None
        self.is_end = self.is_exit = self.is_hook = self.sees_item = False
        self.sees_inputs = template is not None

    def inputs(self) -> Spot:
        """In the template's own inputs, which do not see each other."""
        spot = Spot(self.variables, self.template, self.outer)
        spot.sees_inputs = False
        return spot

    def end(self) -> Spot:
        """In the template's outputs."""
        spot = Spot(self.variables, self.template, self.outer)
        spot.is_end = True
        return spot

    def call(self, site: SiteCall, *, sees_item: bool = True) -> Spot:
        """In one of the template's calls; `sees_item` only matters for a loop."""
        spot = Spot(self.variables, self.template, self.outer)
        spot.site = site
        spot.sees_item = sees_item and site.call.is_loop
        return spot

    def hook(self) -> Spot:
        """In a hook of this call, or of the workflow."""
        spot = Spot(self.variables, self.template, self.outer)
        spot.site, spot.sees_item, spot.is_hook, spot.is_exit = self.site, self.sees_item, True, self.template is None
        return spot

    @property
    def at(self) -> Path:
        """Where the template, or the spec, is written."""
        view = self.variables.view
        return view.path_of(self.template) if self.template is not None else view.at

    def full(self, path: Path) -> Path:
        """A path inside the template, or inside the spec, as one inside the document; one of the document stays."""
        return path if path[:1] == ("spec",) else (*self.at, *path)

    def why_not(self, name: str, *, part: bool = False) -> str:
        """Why `name` has no value here, with advice; '' if it has one. `part`: also a name that others begin with will do."""
        match = _ROOT.match(name)
        root = match[0] if match else ""
        look = _LOOKS.get(root)
        why = look(self, name, part) if look else self._no_root(name)
        if why and self.outer is not None and not self.outer.why_not(name, part=part):
            return ""
        return why

    def _no_root(self, name: str) -> str:
        near = near_name(name, sees_item=self.sees_item)
        return f'has no value here; did you mean "{near}"?' if near else _UNKNOWN

    def advice(self, name: str, known: Iterable[str], otherwise: str) -> str:
        """A near name, else what else to do."""
        return self.variables.view.advice(name, known, otherwise)


def _workflow(spot: Spot, name: str, part: bool) -> str:  # noqa: FBT001 - the type of a look
    variables = spot.variables
    rest = name[len("workflow.") :]
    if rest in _WORKFLOW or rest.startswith(_FREE) or _INSTANT.fullmatch(rest) or (part and rest in _BRANCHES):
        return ""
    if rest.startswith("parameters."):
        given = rest[len("parameters.") :]
        otherwise = "add the parameter under the spec's arguments.parameters"
        if given in variables.parameters:
            return ""
        return f"is not declared; {spot.advice(given, variables.parameters, otherwise)}"
    if rest.startswith("outputs.parameters."):
        given = rest[len("outputs.parameters.") :]
        if variables.outputs is None or given in variables.outputs:
            return ""
        return f"is no output: nothing has that globalName; {spot.advice(given, variables.outputs, 'add it to an output')}"
    if rest == "scheduledTime":
        return _UNKNOWN if variables.view.document.kind is Kind.WORKFLOW else ""
    if rest in _EXIT_ONLY:
        template = spot.template
        if spot.is_exit or spot.is_hook or (template is not None and template.name in variables.at_exit):
            return ""
        return "is known only in the templates of onExit; move it there"
    return _UNKNOWN


def _inputs(spot: Spot, name: str, part: bool) -> str:  # noqa: FBT001
    if spot.template is not None and spot.sees_inputs:
        if name == "inputs.parameters" or (part and name == "inputs"):
            return ""
        if name.startswith("inputs.parameters.") and name[len("inputs.parameters.") :] in spot.variables.inputs_of(spot.template):
            return ""
    if not name.startswith("inputs.parameters."):
        return _UNKNOWN
    otherwise = "add the parameter under the template's inputs.parameters"
    known = spot.variables.inputs_of(spot.template) if spot.template and spot.sees_inputs else ()
    return f"is not declared here; {spot.advice(name[len('inputs.parameters.') :], known, otherwise)}"


def _item(spot: Spot, name: str, part: bool) -> str:  # noqa: ARG001, FBT001
    return "" if spot.sees_item else "is known only in a call with withItems, withParam or withSequence; add one, or pass it on"


def _of_node(spot: Spot, name: str, part: bool) -> str:  # noqa: FBT001
    return "" if spot.template is not None and (name in _NODE or (part and name in ("pod", "node"))) else _UNKNOWN


def _of_retry(spot: Spot, name: str, part: bool) -> str:  # noqa: FBT001
    template, spec = spot.template, spot.variables.view.effective
    if template is None or (template.retry is None and (spec.retry is None or template.name != spec.entrypoint)):
        return "is known only in a template with a retryStrategy; add one"
    return "" if name in _RETRY or (part and name == "lastRetry") else _UNKNOWN


def _outputs(spot: Spot, name: str, part: bool) -> str:  # noqa: ARG001, FBT001
    template = spot.template
    if template is None or not isinstance(template.body, Program):
        return _UNKNOWN
    if any(name == f"outputs.parameters.{output.name}.path" for output in template.outputs):
        return ""
    return "is no path of an output of this template; write outputs.parameters.NAME.path of one that it has"


def _calls(spot: Spot, name: str, part: bool) -> str:  # noqa: FBT001
    root, _, rest = name.partition(".")
    body = spot.template.body if spot.template is not None else None
    if not isinstance(body, Steps if root == "steps" else Dag):
        return f"is known only in the calls of a {'steps' if root == 'steps' else 'dag'} template; pass it on as an argument"
    if (part and not rest) or (rest == "name" and spot.site is not None):
        return ""
    wanted, _, rest = rest.partition(".")
    call = _find_call(spot, body, wanted)
    if isinstance(call, str):
        return call
    return _of_call(spot, call, rest, part=part)


def _find_call(spot: Spot, body: Steps | Dag, wanted: str) -> Call | str:
    """The call of this name, if it has ended where the text stands; else why not."""
    assert spot.template is not None
    site, variables = spot.site, spot.variables
    if isinstance(body, Steps):
        steps = variables.steps_of(spot.template, body)
        if wanted not in steps:
            return f'names no step of this template; {spot.advice(wanted, steps, "correct the name")}'
        group, found = steps[wanted]
        before = site is None or (site.call.name in steps and group < steps[site.call.name][0])
    else:
        if wanted not in body.by_name:
            return f'names no task of this template; {spot.advice(wanted, body.by_name, "correct the name")}'
        before = site is None or variables.is_before(spot.template, body, wanted, site.call.name)
        found = body.by_name[wanted]
    if spot.is_end or (site is not None and (before or (spot.is_hook and site.call.name == wanted))):
        return found
    if site is None:
        return "is known only in the calls and the outputs of this template; pass it on as an argument"
    if isinstance(body, Steps):
        return f'is not known yet: step "{wanted}" is in no group before; move this call into a later group'
    return f'is not known yet: task "{wanted}" is not waited for; add it to the dependencies'


def _of_call(spot: Spot, call: Call, rest: str, *, part: bool) -> str:
    if rest in _OF_CALL or rest == "outputs.parameters" or (part and rest in ("", "outputs")):
        return ""
    variables = spot.variables
    if rest == "outputs.result":
        target = variables.view.target(call.template, call.reference)
        if target is None or call.is_loop or isinstance(target.body, Program):
            return ""
        return f'is never made: what "{call.name}" calls is neither a container nor a script; use one of its outputs'
    output = rest.removeprefix("outputs.parameters.")
    if output == rest:
        return _UNKNOWN
    outputs = variables.outputs_of(call)
    if outputs is None or output in outputs:
        return ""
    advice = spot.advice(output, outputs, "add it under its outputs.parameters")
    return f'is no output of the template that "{call.name}" calls; {advice}'


_LOOKS = {
    "workflow": _workflow,
    "inputs": _inputs,
    "item": _item,
    "pod": _of_node,
    "node": _of_node,
    "retries": _of_retry,
    "lastRetry": _of_retry,
    "outputs": _outputs,
    "steps": _calls,
    "tasks": _calls,
}
