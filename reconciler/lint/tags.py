"""Checks that every `{{tag}}` and every expression can be read and has its values, and that no value becomes code.

Owns where texts with tags and expressions stand; `names` says what has a value there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from reconciler.expr.tags import find_tags, is_variable
from reconciler.lint import rules
from reconciler.lint.names import LATER, Spot, Variables
from reconciler.lint.scope import Path, SiteCall, View
from reconciler.lint.slips import near_name, read_tags
from reconciler.manifest import hooks_of
from reconciler.model.locks import LockRef
from reconciler.model.spec import Dag, Hook, Parameter, Program, Suspend, Template, ValueFrom

_SHELLS = frozenset({"sh", "bash", "dash", "ash", "zsh", "ksh"})
_VALUES = ("inputs.parameters.", "workflow.parameters.", "item", "steps.", "tasks.", "=")
_Texts = Iterator[tuple[Path, str]]  # where in the template, and what; only texts with tags


def check_tags(view: View) -> None:
    """All tags and expressions of one spec's own texts."""
    variables = Variables(view)
    spot = Spot(variables)
    for path, text in _lock_texts(view.own.locks, view.lock_paths()):
        _check_text(spot, path, text, is_name=True)
    for name, hook in hooks_of(view.own).items():
        if hook.arguments or hook.expression:
            _check_hook(spot.hook(), hook, view.hook_path(name, view.at)[len(view.at) :])
    for template in view.own.templates.values():
        _check_template(variables, template)


def _check_template(variables: Variables, template: Template) -> None:
    spot = _spot_of(variables, template)
    for path, text in _lock_texts(template.locks, variables.view.lock_paths(template)) if template.locks else ():
        _check_text(spot, path, text, is_name=True)
    for field, around, parameters in (("inputs", spot.inputs(), template.inputs), ("outputs", spot.end(), template.outputs)):
        for number, parameter in enumerate(parameters):
            _check_parameter(around, parameter, (field, "parameters", number))
    _check_limits(spot, template)
    body = template.body
    if isinstance(body, Program):
        _check_program(spot, body, template)
        return
    if isinstance(body, Suspend):
        _check_text(spot, ("suspend", "duration"), body.duration)
    elif isinstance(body, Dag):
        _check_text(spot, ("dag", "target"), body.target)
    for site in variables.view.sites_in(template):
        _check_call(spot, site)


def _spot_of(variables: Variables, template: Template) -> Spot:
    """Inside a template; an inline one also sees what the call that holds it sees."""
    around = variables.view.inline_sites.get(template.name) if template.is_inline else None
    if around is None:
        return Spot(variables, template)
    return Spot(variables, template, _spot_of(variables, around[0]).call(around[1]))


def _check_parameter(spot: Spot, parameter: Parameter, at: Path) -> None:
    if parameter.value is not None and "{{" in parameter.value:
        _check_text(spot, (*at, "value"), parameter.value)
    if parameter.default is not None and "{{" in parameter.default:
        _check_text(spot, (*at, "default"), parameter.default)
    if parameter.value_from is not None:
        _check_source(spot, parameter.value_from, (*at, "valueFrom"))


def _check_source(spot: Spot, source: ValueFrom, at: Path) -> None:
    _check_text(spot, (*at, "path"), source.path)
    _check_text(spot, (*at, "parameter"), source.parameter)
    _check_text(spot, (*at, "default"), source.default or "")
    _check_expression(spot, (*at, "expression"), source.expression)
    for field, text in zip(("name", "key"), source.configmap or (), strict=False):
        _check_text(spot, (*at, "configMapKeyRef", field), text)


def _check_limits(spot: Spot, template: Template) -> None:
    if template.active_deadline:
        _check_text(spot, ("activeDeadlineSeconds",), template.active_deadline)
    if template.timeout:
        _check_text(spot, ("timeout",), template.timeout)
    retry, at = template.retry, ("retryStrategy",)
    if retry is None:
        return
    _check_text(spot, (*at, "limit"), retry.limit)
    _check_text(spot, (*at, "retryPolicy"), retry.policy)
    _check_expression(spot, (*at, "expression"), retry.expression)
    if retry.backoff is not None:
        backoff = retry.backoff
        for field, text in (
            ("duration", backoff.duration),
            ("factor", backoff.factor),
            ("cap", backoff.cap),
            ("maxDuration", backoff.max_duration),
        ):
            _check_text(spot, (*at, "backoff", field), text)


def _check_call(around: Spot, site: SiteCall) -> None:
    call, at = site.call, site.path
    if not (call.arguments or call.when or call.is_loop or call.hooks):
        return
    spot = around.call(site)
    for number, argument in enumerate(call.arguments):
        _check_parameter(spot, argument, (*at, "arguments", "parameters", number))
    if call.when:
        _check_condition(spot, (*at, "when"), call.when)
    if call.is_loop:
        _check_loop(around.call(site, sees_item=False), site)
    for name, hook in call.hooks.items():
        path = around.variables.view.hook_path(name, (*around.at, *at))
        _check_hook(spot.hook(), hook, path[len(around.at) :])


def _check_loop(spot: Spot, site: SiteCall) -> None:
    call, at = site.call, site.path
    for number, item in enumerate(call.items or ()):
        for inside, text in _texts_in(item):
            _check_text(spot, (*at, "withItems", number, *inside), text)
    _check_text(spot, (*at, "withParam"), call.with_param or "")
    if call.sequence is not None:
        for field in ("count", "start", "end", "format"):
            _check_text(spot, (*at, "withSequence", field), getattr(call.sequence, field))


def _texts_in(data: Any) -> _Texts:
    """The texts with tags inside plain data."""
    if isinstance(data, str):
        if "{{" in data:
            yield (), data
    elif isinstance(data, dict | list):
        for key, value in data.items() if isinstance(data, dict) else enumerate(data):
            for inside, text in _texts_in(value):
                yield (key, *inside), text


def _check_hook(spot: Spot, hook: Hook, at: Path) -> None:
    for number, argument in enumerate(hook.arguments):
        _check_parameter(spot, argument, (*at, "arguments", "parameters", number))
    _check_expression(spot, (*at, "expression"), hook.expression)


def _check_program(spot: Spot, body: Program, template: Template) -> None:
    kind = "container" if body.source is None else "script"
    has_tags = False
    for path, text in _program_texts(body, kind):
        has_tags = True
        _check_text(spot, path, text)
    if has_tags:
        _check_injection(spot, template, body)


def _program_texts(body: Program, kind: str) -> _Texts:
    for field, text in (("image", body.image), ("workingDir", body.working_dir), ("source", body.source)):
        if text and "{{" in text:
            yield (kind, field), text
    for field, words in (("command", body.command), ("args", body.args)):
        for number, word in enumerate(words):
            if "{{" in word:
                yield (kind, field, number), word
    for number, variable in enumerate(body.env):
        if "{{" in variable.value:
            yield (kind, "env", number, "value"), variable.value


def _lock_texts(locks: Iterable[LockRef], paths: Iterable[Path]) -> _Texts:
    for lock, path in zip(locks, paths, strict=False):
        for place, text in (
            (("name",), lock.name),
            (("namespace",), lock.namespace or ""),
            (("configMapKeyRef", "name"), lock.configmap),
            (("configMapKeyRef", "key"), lock.key),
        ):
            if "{{" in text:
                yield (*path, *place), text


def _check_condition(spot: Spot, path: Path, text: str) -> None:
    if "{{" in text:
        _check_text(spot, path, text)
        return
    if not spot.variables.may_read(text):
        return
    from reconciler.expr.condition import check_condition
    from reconciler.expr.errors import ExpressionError

    try:
        check_condition(text)
    except ExpressionError as error:
        _report_unread(spot, path, error)


def _check_text(spot: Spot, path: Path, text: str, *, is_name: bool = False) -> None:
    """The tags of a text; a tag of another program may stay, but not where `is_name`."""
    if "{{" not in text:
        return
    tags, unclosed = read_tags(text)
    for tag in tags:
        name = tag.rpartition("{{")[2].strip()  # of tags inside each other, the innermost is replaced first
        if name.startswith("="):
            _check_expression(spot, path, name[1:], is_name=is_name)
        elif is_name or is_variable(name) or name.startswith("item["):
            _check_name(spot, path, name, shown=name, is_name=is_name)
        elif near := near_name(name, sees_item=spot.sees_item):
            why = f"is no variable and stays as it is; did you mean {{{{{_cut(near)}}}}}?"
            spot.variables.view.report(rules.SLIP, spot.full(path), f"{{{{{_cut(name)}}}}} {why}")
    for name in unclosed:
        why = f"never closed, so it stays as it is; write {{{{{_cut(name)}}}}}"
        spot.variables.view.report(rules.UNCLOSED, spot.full(path), f"{{{{{_cut(name)}: {why}")


def _check_expression(spot: Spot, path: Path, text: str, *, is_name: bool = False) -> None:
    """An expression without the braces around it; one with tags inside can be read only when they have values."""
    if not text:
        return
    if "{{" in text:
        _check_text(spot, path, text, is_name=is_name)
        return
    if not spot.variables.may_read(text):
        return
    from reconciler.expr import language
    from reconciler.expr.errors import ExpressionError

    try:
        language.check(text)
        names = language.names(text)
    except ExpressionError as error:
        _report_unread(spot, path, error)
        return
    for name in map(".".join, names):
        if is_variable(name) or "$env" not in text:  # of that a name may be missing
            _check_name(spot, path, name, shown="=" + text, is_name=is_name)


def _report_unread(spot: Spot, path: Path, error: Exception) -> None:
    spot.variables.view.report(rules.EXPRESSION, spot.full(path), str(error))


def _check_name(spot: Spot, path: Path, name: str, *, shown: str, is_name: bool) -> None:
    is_part = shown.startswith("=")
    why = spot.why_not(name, part=is_part)
    view = spot.variables.view
    if not why or (view.is_partial and name.startswith(LATER)):
        return  # in a bad file the loop or the outputs that it belongs to are refused already
    rule = rules.LOCK_NAME if is_name else rules.TAG
    if name.startswith("workflow.parameters.") and not view.is_submitted:
        rule = rules.UNDECLARED
        why = "is not declared in this document: whoever uses the template must; declare it under arguments.parameters"
    what = f'{_cut(name)} in expression "{_cut(shown[1:])}"' if is_part else f"{{{{{_cut(name)}}}}}"
    view.report(rule, spot.full(path), f"{what} {why}")


def _cut(tag: str) -> str:
    """A tag on one line, not too long."""
    line = " ".join(tag.split())
    return line if len(line) <= 80 else line[:80] + "..."


def _check_injection(spot: Spot, template: Template, program: Program) -> None:
    """A value that stands in program text is read as code: one warning a template."""
    texts: list[tuple[Path, str]] = []
    if program.source is not None:
        texts = [(("script", "source"), program.source)]
    elif _is_shell(program):
        texts = [(("container", "command", i), word) for i, word in enumerate(program.command)]
        texts += [(("container", "args", i), word) for i, word in enumerate(program.args)]
    for path, text in texts:
        tags = [tag for tag in find_tags(text) if tag.startswith(_VALUES)]
        if tags:
            message = (
                f'{{{{{_cut(tags[0])}}}}} stands in the program text of template "{template.name}": its value is read as code; '
                "pass it as a variable under env"
            )
            spot.variables.view.report(rules.TAG_IN_SCRIPT, spot.full(path), message)
            return


def _is_shell(program: Program) -> bool:
    words = (*program.command, *program.args)
    return bool(words) and words[0].rpartition("/")[2] in _SHELLS and any(w.startswith("-") and "c" in w for w in words[1:3])
