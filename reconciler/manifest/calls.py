"""Steps and DAG tasks as values: what they call, with which arguments, when, how often, and what follows their end.

Owns what one entry of a step group or of `dag.tasks` means. It never looks at the template that is called: an inline one is
put aside under its key, and `templates` reads it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from reconciler.manifest import rules, schema
from reconciler.manifest.parameters import read_parameters
from reconciler.manifest.positions import Path
from reconciler.manifest.reading import Reading, label, shown
from reconciler.model.spec import Call, Dag, Hook, Parameter, Sequence, Steps, TemplateRef, template_key

EXIT = "exit"
_NAME = re.compile(r"[a-zA-Z0-9][-a-zA-Z0-9]*")
_HOOK_NAME = re.compile(r"[-_a-zA-Z0-9]{1,128}")
_LOOPS = ("withItems", "withParam", "withSequence")
_LARGEST_PLAIN = 1e21


@dataclass(frozen=True, slots=True, kw_only=True)
class Inline:
    """A template that is written inside a call: its name in its document, its data, and where it stands."""

    name: str
    value: Any
    at: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where calls are read: in which document (`scope` as in `TemplateRef`), in which template; `inline` collects."""

    r: Reading
    scope: str = ""
    template: str = ""
    inline: list[Inline] = field(default_factory=list)

    def key(self, name: str) -> str:
        """The key of a template of the same document; '' for no name."""
        return template_key(self.scope, name) if name and self.scope else name


def read_steps(site: Site, value: Any, at: Path) -> Steps:
    """Groups of steps, names unique among all of them."""
    r = site.r
    groups = []
    named: list[tuple[str, Path]] = []
    for number, group in enumerate(r.items(value, at)):
        path = (*at, number)
        if group.__class__ is not list:
            message = f'{label(path)} is {shown(group)}, not a list of steps; start each group with two dashes: "- - name: ..."'
            r.note(rules.WRONG_TYPE, path, message)
            continue
        calls = tuple([_call(site, item, (*path, i), schema.STEP) for i, item in enumerate(group)])
        named.extend((call.name, (*path, i)) for i, call in enumerate(calls))
        groups.append(calls)
    r.unique(named, "step")
    return Steps(groups=tuple(groups))


def read_dag(site: Site, value: Any, at: Path) -> Dag:
    """Tasks, names unique; either all of them say `depends` or all of them `dependencies`."""
    r = site.r
    fields = r.fields(value, at, schema.DAG)
    path = (*at, "tasks")
    items = r.items(fields.get("tasks"), path)
    tasks = tuple([_call(site, item, (*path, i), schema.TASK) for i, item in enumerate(items)])
    if not fields.get("tasks"):
        r.missing("tasks", at, "a dag")
    r.unique(((task.name, (*path, i)) for i, task in enumerate(tasks)), "task")
    if any(task.depends for task in tasks):
        _check_depends(r, tasks, path)
    fail_fast = fields.get("failFast")
    return Dag(
        tasks=tasks,
        fail_fast=fail_fast is None or r.boolean(fail_fast, (*at, "failFast")),
        target=r.text(fields["target"], (*at, "target")) if "target" in fields else "",
    )


def _check_depends(r: Reading, tasks: tuple[Call, ...], at: Path) -> None:
    """What cannot stand beside `depends` anywhere in one DAG (Argo: docs/enhanced-depends-logic.md)."""
    for number, task in enumerate(tasks):
        path = (*at, number)
        if task.dependencies:
            message = f'task "{task.name}" has "dependencies" in a dag that uses "depends"; write all of them as depends'
            r.note(rules.CONFLICT, (*path, "dependencies"), message, on_key=True)
        if task.continue_on_failed or task.continue_on_error:
            message = f'task "{task.name}" has "continueOn" in a dag that uses "depends"; name the results there, as in a.Failed'
            r.note(rules.CONFLICT, (*path, "continueOn"), message, on_key=True)
        if task.name[:1].isdigit():
            message = f'task "{task.name}" starts with a digit, which a dag that uses "depends" cannot read; rename it'
            r.note(rules.NAME, (*path, "name"), message)


def _call(site: Site, value: Any, at: Path, shape: schema.Shape) -> Call:
    r = site.r
    fields = r.fields(value, at, shape)
    name = read_name(r, fields, at, shape.what)
    if name == "onExit" and shape is schema.TASK:
        r.note(rules.NAME, (*at, "name"), 'task "onExit": the name is the exit handler\'s; rename it')
    template = fields.get("template")
    if template is None and fields.get("templateRef") is None and fields.get("inline") is None:
        r.missing("template", at, f'{shape.what.removeprefix("a ")} "{name}"' if name else shape.what)
    arguments = fields.get("arguments")
    dependencies = fields.get("dependencies")
    call = Call(
        name=name,
        template=template if template.__class__ is str and not site.scope else site.key(r.text(template, (*at, "template"))),
        arguments=() if arguments is None else read_arguments(r, arguments, (*at, "arguments")),
        dependencies=() if dependencies is None else r.texts(dependencies, (*at, "dependencies")),
    )
    is_plain = len(fields) == 1 + (template is not None) + (arguments is not None) + (dependencies is not None)
    return call if is_plain else replace(call, **_more(site, fields, at, name))


def read_arguments(r: Reading, value: Any, at: Path) -> tuple[Parameter, ...]:
    """The parameters of an `arguments` block; none for null."""
    fields = r.fields(value, at, schema.ARGUMENTS)
    return read_parameters(r, fields.get("parameters"), (*at, "parameters"))


def _more(site: Site, fields: Mapping[str, Any], at: Path, name: str) -> dict[str, Any]:
    """What only few calls say, as the fields of a Call."""
    r = site.r
    more: dict[str, Any] = {}
    for field_name in ("when", "depends"):
        if fields.get(field_name) is not None:
            more[field_name] = r.text(fields[field_name], (*at, field_name))
    given = [name for name in ("template", "templateRef", "inline") if fields.get(name) not in (None, "")]
    if len(given) > 1:
        r.note(rules.CONFLICT, (*at, given[1]), f'a call has "{given[0]}" and "{given[1]}"; keep one', on_key=True)
    if fields.get("templateRef") is not None:
        reference = more["reference"] = read_reference(r, fields["templateRef"], (*at, "templateRef"))
        more["template"] = reference.key
    elif fields.get("inline") is not None and name:
        inline = Inline(name=f"{site.template}/{name}", value=fields["inline"], at=(*at, "inline"))
        site.inline.append(inline)
        more["template"] = site.key(inline.name)
    if fields.get("continueOn") is not None:
        path = (*at, "continueOn")
        wanted = r.fields(fields["continueOn"], path, schema.CONTINUE_ON)
        more["continue_on_failed"] = r.boolean(wanted.get("failed"), (*path, "failed"))
        more["continue_on_error"] = r.boolean(wanted.get("error"), (*path, "error"))
    if "hooks" in fields or "onExit" in fields:
        more["hooks"] = read_hooks(site, fields, at)
    if any(name in fields for name in _LOOPS):
        more.update(_loop(r, fields, at))
    return more


def read_reference(r: Reading, value: Any, at: Path) -> TemplateRef:
    """A templateRef: a template of another document, by names without tags."""
    fields = r.fields(value, at, schema.REFERENCE)
    texts = {}
    for part in ("name", "template"):
        text = texts[part] = r.needed_text(fields, part, at, "templateRef")
        if "{{" in text:
            message = f'templateRef {part} "{text}": it is looked up before a tag has a value; write the name itself'
            r.note(rules.UNSUPPORTED, (*at, part), message)
    return TemplateRef(**texts, cluster=r.boolean(fields.get("clusterScope"), (*at, "clusterScope")))


def read_hooks(site: Site, fields: Mapping[str, Any], at: Path) -> dict[str, Hook]:
    """The hooks of a call or a spec by name; the legacy `onExit` is the hook `exit`."""
    r = site.r
    hooks: dict[str, Hook] = {}
    legacy = r.text(fields.get("onExit"), (*at, "onExit"))
    if legacy:
        hooks[EXIT] = Hook(template=site.key(legacy))
    path = (*at, "hooks")
    given = fields.get("hooks")
    if given is not None and not isinstance(given, dict):
        r.wrong_type(given, path, "a mapping")
        return hooks
    for name, value in (given or {}).items():
        if value is None:
            continue
        hook = _hook(site, value, (*path, name), name)
        if name in hooks:
            r.note(rules.CONFLICT, (*path, name), '"onExit" and the hook "exit" are the same; keep one', on_key=True)
        hooks[name] = hook
    return hooks


def _hook(site: Site, value: Any, at: Path, name: str) -> Hook:
    r = site.r
    what = f'hook "{name}"'
    fields = r.fields(value, at, schema.HOOK)
    if not _HOOK_NAME.fullmatch(name):
        message = f'{what}: a name has letters, digits, "-" and "_" only, and at most 128 of them; rename it'
        r.note(rules.NAME, at, message, on_key=True)
    expression = r.text(fields.get("expression"), (*at, "expression"))
    if name != EXIT and not expression and isinstance(value, dict):
        r.note(rules.MISSING, at, f'{what} has no "expression", so nothing says when it starts; add it, or call the hook "exit"')
    reference = None
    if fields.get("templateRef") is not None:
        reference = read_reference(r, fields["templateRef"], (*at, "templateRef"))
    if fields.get("template") and reference is not None:
        r.note(rules.CONFLICT, (*at, "templateRef"), f'{what} has "template" and "templateRef"; keep one', on_key=True)
    if reference is None and isinstance(value, dict):
        template = site.key(r.needed_text(fields, "template", at, what))
    else:
        template = reference.key if reference is not None else ""
    arguments = fields.get("arguments")
    return Hook(
        template=template,
        arguments=() if arguments is None else read_arguments(r, arguments, (*at, "arguments")),
        expression=expression,
        reference=reference,
    )


def _loop(r: Reading, fields: Mapping[str, Any], at: Path) -> dict[str, Any]:
    given = [name for name in _LOOPS if fields.get(name) not in (None, "", [])]
    if len(given) > 1:
        r.note(rules.CONFLICT, (*at, given[1]), f'a call has "{given[0]}" and "{given[1]}"; keep one', on_key=True)
    loop: dict[str, Any] = {}
    if "withItems" in given:
        if isinstance(fields["withItems"], str):
            message = f"withItems is {shown(fields['withItems'])}, not a list; write a list, or use withParam for a text"
            r.note(rules.WRONG_TYPE, (*at, "withItems"), message)
        else:
            loop["items"] = tuple([_as_go(item) for item in r.items(fields["withItems"], (*at, "withItems"))])
    if "withParam" in given:
        loop["with_param"] = r.text(fields["withParam"], (*at, "withParam"))
    if "withSequence" in given:
        loop["sequence"] = _sequence(r, fields["withSequence"], (*at, "withSequence"))
    return loop


def _as_go(item: Any) -> Any:
    """An item, its numbers as Go writes them into JSON: 1.0 is 1."""
    if isinstance(item, float) and item.is_integer() and abs(item) < _LARGEST_PLAIN:
        return int(item)
    if isinstance(item, list):
        return [_as_go(part) for part in item]
    if isinstance(item, dict):
        return {name: _as_go(part) for name, part in item.items()}
    return item


def _sequence(r: Reading, value: Any, at: Path) -> Sequence:
    fields = r.fields(value, at, schema.SEQUENCE)
    least = -(2**31)
    sequence = Sequence(
        count=r.integer_text(fields.get("count"), (*at, "count"), least=least),
        start=r.integer_text(fields.get("start"), (*at, "start"), least=least),
        end=r.integer_text(fields.get("end"), (*at, "end"), least=least),
        format=r.text(fields.get("format"), (*at, "format")),
    )
    if sequence.count and sequence.end:
        r.note(rules.CONFLICT, (*at, "end"), 'withSequence has "count" and "end"; keep one', on_key=True)
    elif fields.get("count") is None and fields.get("end") is None and isinstance(value, dict):
        r.note(rules.MISSING, at, "withSequence says neither count nor end; add one of them")
    return sequence


def read_name(r: Reading, fields: Mapping[str, Any], at: Path, what: str) -> str:
    """The name of a template, step or task: letters, digits and '-', at most 128."""
    name = r.needed_text(fields, "name", at, what)
    if name and (len(name) > 128 or not _NAME.fullmatch(name)):
        message = (
            f'{what.removeprefix("a ")} "{name}": a name has letters, digits and "-" only, and at most 128 of them; rename it'
        )
        r.note(rules.NAME, (*at, "name"), message)
    return name
