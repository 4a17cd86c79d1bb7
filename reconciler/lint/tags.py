"""Checks that every `{{tag}}` has a value where it stands, and that no value becomes code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from reconciler.expr.tags import find_tags, is_variable
from reconciler.lint import rules
from reconciler.lint.scope import Path, View
from reconciler.model.spec import Kind, LockRef, Program, Template

_GLOBALS = frozenset(
    f"workflow.{name}"
    for name in (
        "name",
        "namespace",
        "uid",
        "priority",
        "mainEntrypoint",
        "serviceAccountName",
        "creationTimestamp",
        "creationTimestamp.RFC3339",
        "parameters",
        "parameters.json",
    )
)
_FREE_PREFIXES = ("workflow.labels.", "workflow.annotations.")
_EXIT_ONLY = frozenset({"workflow.status", "workflow.failures"})
_NODE = frozenset({"pod.name", "node.name", "inputs.parameters"})
_LATER = ("steps.", "tasks.", "outputs.", "item", "retries", "lastRetry.")
_SHELLS = frozenset({"sh", "bash", "dash", "ash", "zsh", "ksh"})


def check_tags(view: View) -> None:
    """All tags of one spec's own texts."""
    scope = _workflow_scope(view)
    for path, text in _lock_texts(view, view.own.locks, (*view.at, "synchronization")):
        _check_text(view, path, text, scope, is_name=True)
    exit_only = view.reachable(view.effective.on_exit) - view.reachable(view.effective.entrypoint)
    for template in view.own.templates.values():
        inside = scope | _NODE | {f"inputs.parameters.{parameter.name}" for parameter in template.inputs}
        if template.name in exit_only:
            inside |= _EXIT_ONLY
        _check_template(view, template, inside, scope)


def _workflow_scope(view: View) -> frozenset[str]:
    declared = {f"workflow.parameters.{parameter.name}" for parameter in view.effective.arguments}
    scheduled = set() if view.document.kind is Kind.WORKFLOW else {"workflow.scheduledTime"}
    return _GLOBALS | declared | scheduled


def _check_template(view: View, template: Template, inside: frozenset[str], outside: frozenset[str]) -> None:
    at = view.path_of(template)
    for path, text in _lock_texts(view, template.locks, (*at, "synchronization")):
        _check_text(view, path, text, inside, is_name=True)
    for number, parameter in enumerate(template.inputs):
        path = (*at, "inputs", "parameters", number)
        for field, value in (("value", parameter.value), ("default", parameter.default)):
            _check_text(view, (*path, field), value or "", outside)
    for site in view.calls_of(template):
        for number, argument in enumerate(site.call.arguments):
            path = (*site.path, "arguments", "parameters", number, "value")
            _check_text(view, path, argument.value or "", inside)
    if isinstance(template.body, Program):
        body = template.body
        for path, text in _program_texts(body, (*at, "container" if body.source is None else "script")):
            _check_text(view, path, text, inside)
        _check_injection(view, template, body, at)


def _program_texts(program: Program, at: Path) -> Iterator[tuple[Path, str]]:
    yield (*at, "image"), program.image
    yield (*at, "workingDir"), program.working_dir
    yield (*at, "source"), program.source or ""
    for field, words in (("command", program.command), ("args", program.args)):
        for number, word in enumerate(words):
            yield (*at, field, number), word
    for number, variable in enumerate(program.env):
        yield (*at, "env", number, "value"), variable.value


def _lock_texts(view: View, locks: Iterable[LockRef], block: Path) -> Iterator[tuple[Path, str]]:
    for lock, (_, path) in zip(locks, view.lock_paths(block), strict=False):
        yield (*path, "name"), lock.name
        yield (*path, "namespace"), lock.namespace or ""
        yield (*path, "configMapKeyRef", "name"), lock.configmap
        yield (*path, "configMapKeyRef", "key"), lock.key


def _check_text(view: View, path: Path, text: str, scope: frozenset[str], *, is_name: bool = False) -> None:
    for tag in find_tags(text):
        if tag in scope or tag.startswith(_FREE_PREFIXES) or not (is_name or is_variable(tag)):
            continue
        if view.is_partial and tag.startswith(_LATER):
            continue  # the loop or the outputs that it belongs to are refused already
        view.report(rules.LOCK_NAME if is_name else rules.TAG, path, f"{{{{{_shown(tag)}}}}} {_why(tag)}")


def _shown(tag: str) -> str:
    """A tag on one line, not too long."""
    line = " ".join(tag.split())
    return line if len(line) <= 80 else line[:80] + "..."


def _why(tag: str) -> str:
    if tag.startswith("="):
        return "is an expression, and expressions are not supported yet; write the value"
    if tag.startswith(_LATER):
        return "is not supported yet; pass the value through a file at a path of this machine"
    if tag in _EXIT_ONLY:
        return "is known only in the templates of onExit; move it there"
    if tag.startswith("workflow.parameters."):
        return "is not declared; add the parameter under the spec's arguments.parameters"
    if tag.startswith("inputs.parameters."):
        return "is not declared here; add the parameter under the template's inputs.parameters"
    return "has no value here; correct the name"


def _check_injection(view: View, template: Template, program: Program, at: Path) -> None:
    """A value that stands in program text is read as code: one warning a template."""
    texts: list[tuple[Path, str]] = []
    if program.source is not None:
        texts = [((*at, "script", "source"), program.source)]
    elif _is_shell(program):
        place = (*at, "container")
        texts = [((*place, "command", i), word) for i, word in enumerate(program.command)]
        texts += [((*place, "args", i), word) for i, word in enumerate(program.args)]
    for path, text in texts:
        tags = [tag for tag in find_tags(text) if tag.startswith(("inputs.parameters.", "workflow.parameters."))]
        if tags:
            message = (
                f'{{{{{tags[0]}}}}} stands in the program text of template "{template.name}": its value is read as code; '
                "pass it as a variable under env"
            )
            view.report(rules.TAG_IN_SCRIPT, path, message)
            return


def _is_shell(program: Program) -> bool:
    words = (*program.command, *program.args)
    return bool(words) and words[0].rpartition("/")[2] in _SHELLS and any(w.startswith("-") and "c" in w for w in words[1:3])
