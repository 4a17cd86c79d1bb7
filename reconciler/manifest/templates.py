"""Templates as values: container, script, steps and dag, with their inputs, retries and locks.

Owns what one entry of `spec.templates` means. It never looks at another template: references are the lint's business.
A template that is partly wrong still becomes a value, so that one mistake is told once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from reconciler.manifest import rules, schema
from reconciler.manifest.positions import Path
from reconciler.manifest.reading import Reading, label, shown
from reconciler.model.spec import (
    Call,
    Dag,
    EnvVar,
    LockKind,
    LockRef,
    Parameter,
    Program,
    Steps,
    Template,
)

_BODIES = ("container", "script", "steps", "dag")
_REFUSED_BODIES = ("suspend", "resource", "http", "data", "containerSet", "plugin", "templateRef", "template")
_NAME = re.compile(r"[a-zA-Z0-9][-a-zA-Z0-9]*")
_PARAMETER_NAME = re.compile(r"[-a-zA-Z0-9_]+")


def read_templates(r: Reading, value: Any, at: Path) -> dict[str, Template]:
    """All templates by name, in their order."""
    items = r.items(value, at)
    templates: dict[str, Template] = {}
    for number, item in enumerate(items):
        template = _template(r, item, (*at, number))
        if template.name and template.name not in templates:
            templates[template.name] = template
        elif template.name:
            r.note(rules.DUPLICATE_NAME, (*at, number, "name"), f'template "{template.name}" is given twice; rename one')
    return templates


def _template(r: Reading, value: Any, at: Path) -> Template:
    fields = r.fields(value, at, schema.TEMPLATE)
    name = read_name(r, fields, at, "a template")
    inputs = r.fields(fields.get("inputs"), (*at, "inputs"), schema.INPUTS)
    metadata = r.fields(fields.get("metadata"), (*at, "metadata"), schema.TEMPLATE_METADATA)
    return Template(
        name=name,
        body=_body(r, fields, value, at),
        inputs=read_parameters(r, inputs.get("parameters"), (*at, "inputs", "parameters")),
        retry_limit=_retry_limit(r, fields.get("retryStrategy"), (*at, "retryStrategy")),
        active_deadline_s=r.integer(fields.get("activeDeadlineSeconds"), (*at, "activeDeadlineSeconds"), least=1, from_text=True),
        locks=read_locks(r, fields.get("synchronization"), (*at, "synchronization")),
        annotations=r.text_map(metadata.get("annotations"), (*at, "metadata", "annotations")),
    )


def _body(r: Reading, fields: Mapping[str, Any], value: Any, at: Path) -> Program | Steps | Dag:
    given = [name for name in _BODIES if fields.get(name) is not None]
    if len(given) > 1:
        r.note(rules.CONFLICT, (*at, given[1]), f'a template has "{given[0]}" and "{given[1]}"; keep one', on_key=True)
    if not given:
        if not (isinstance(value, dict) and any(name in value for name in _REFUSED_BODIES)):
            r.note(rules.MISSING, at, "a template has no body; add one of container, script, steps, dag")
        return Steps(groups=())
    name = given[0]
    path = (*at, name)
    body = fields[name]
    if name == "steps":
        return _steps(r, body, path)
    if name == "dag":
        return _dag(r, body, path)
    return _program(r, body, path, is_script=name == "script")


def _program(r: Reading, value: Any, at: Path, *, is_script: bool) -> Program:
    fields = r.fields(value, at, schema.SCRIPT if is_script else schema.CONTAINER)
    source = r.text(fields.get("source"), (*at, "source")) if is_script else None
    return Program(
        image=r.text(fields.get("image"), (*at, "image")),
        command=r.texts(fields.get("command"), (*at, "command")),
        args=r.texts(fields.get("args"), (*at, "args")),
        env=_env(r, fields.get("env"), (*at, "env")) if "env" in fields else (),
        working_dir=r.text(fields.get("workingDir"), (*at, "workingDir")),
        source=source,
    )


def _env(r: Reading, value: Any, at: Path) -> tuple[EnvVar, ...]:
    return tuple([_env_var(r, item, (*at, number)) for number, item in enumerate(r.items(value, at))])


def _env_var(r: Reading, value: Any, at: Path) -> EnvVar:
    fields = r.fields(value, at, schema.ENV_VAR)
    name = r.needed_text(fields, "name", at, "an environment variable")
    if "=" in name or "\0" in name:
        r.note(rules.NAME, (*at, "name"), f'environment variable "{name}" has a "=" in its name; rename it')
    if fields.get("valueFrom") is None:
        return EnvVar(name=name, value=r.text(fields.get("value"), (*at, "value")))
    if fields.get("value"):
        r.note(rules.CONFLICT, (*at, "valueFrom"), f'environment variable "{name}" has "value" and "valueFrom"; keep one')
    path: Path = (*at, "valueFrom")
    source = r.fields(fields["valueFrom"], path, schema.ENV_SOURCE)
    if source.get("secretKeyRef") is None:
        return EnvVar(name=name)
    path = (*path, "secretKeyRef")
    reference = r.fields(source["secretKeyRef"], path, schema.SECRET_KEY)
    if r.boolean(reference.get("optional"), (*path, "optional")):
        message = f'environment variable "{name}": optional secrets are not supported yet; remove "optional"'
        r.note(rules.UNSUPPORTED, (*path, "optional"), message, on_key=True)
    secret = (
        _secret_part(r, reference, "name", path),
        _secret_part(r, reference, "key", path),
    )
    return EnvVar(name=name, secret=secret)


def _secret_part(r: Reading, fields: Mapping[str, Any], name: str, at: Path) -> str:
    """A part of the path of a secret's file: one name, which cannot lead out of its folder."""
    text = r.needed_text(fields, name, at, "secretKeyRef")
    if text and (text in (".", "..") or not re.fullmatch(r"[-._a-zA-Z0-9]+", text)):
        r.note(rules.NAME, (*at, name), f'secretKeyRef {name} "{text}" may have letters, digits, "-", "_" and "." only')
    return text


def _steps(r: Reading, value: Any, at: Path) -> Steps:
    groups = []
    named: list[tuple[str, Path]] = []
    for number, group in enumerate(r.items(value, at)):
        path = (*at, number)
        if group.__class__ is not list:
            message = f'{label(path)} is {shown(group)}, not a list of steps; start each group with two dashes: "- - name: ..."'
            r.note(rules.WRONG_TYPE, path, message)
            continue
        calls = tuple([_call(r, item, (*path, i), schema.STEP) for i, item in enumerate(group)])
        named.extend((call.name, (*path, i)) for i, call in enumerate(calls))
        groups.append(calls)
    r.unique(named, "step")
    return Steps(groups=tuple(groups))


def _dag(r: Reading, value: Any, at: Path) -> Dag:
    fields = r.fields(value, at, schema.DAG)
    path = (*at, "tasks")
    tasks = tuple([_call(r, item, (*path, i), schema.TASK) for i, item in enumerate(r.items(fields.get("tasks"), path))])
    if not fields.get("tasks"):
        r.missing("tasks", at, "a dag")
    r.unique(((task.name, (*path, i)) for i, task in enumerate(tasks)), "task")
    fail_fast = fields.get("failFast")
    return Dag(tasks=tasks, fail_fast=fail_fast is None or r.boolean(fail_fast, (*at, "failFast")))


def _call(r: Reading, value: Any, at: Path, shape: schema.Shape) -> Call:
    fields = r.fields(value, at, shape)
    name = read_name(r, fields, at, shape.what)
    if name == "onExit" and shape is schema.TASK:
        r.note(rules.NAME, (*at, "name"), 'task "onExit": the name is the exit handler\'s; rename it')
    template = fields.get("template")
    if template is None and not (isinstance(value, dict) and ("templateRef" in value or "inline" in value)):
        r.missing("template", at, f'{shape.what.removeprefix("a ")} "{name}"' if name else shape.what)
    arguments = r.fields(fields.get("arguments"), (*at, "arguments"), schema.ARGUMENTS)
    return Call(
        name=name,
        template=r.text(template, (*at, "template")),
        arguments=read_parameters(r, arguments.get("parameters"), (*at, "arguments", "parameters")),
        dependencies=r.texts(fields.get("dependencies"), (*at, "dependencies")),
    )


def read_parameters(r: Reading, value: Any, at: Path) -> tuple[Parameter, ...]:
    """A list of parameters, names unique."""
    if value is None:
        return ()
    items = r.items(value, at)
    parameters = tuple([_parameter(r, item, (*at, number)) for number, item in enumerate(items)])
    if len(parameters) > 1:
        r.unique(((p.name, (*at, number)) for number, p in enumerate(parameters)), "parameter")
    return parameters


def _parameter(r: Reading, value: Any, at: Path) -> Parameter:
    fields = r.fields(value, at, schema.PARAMETER)
    name = fields.get("name")
    if name.__class__ is not str or not _PARAMETER_NAME.fullmatch(name):
        name = r.needed_text(fields, "name", at, "a parameter")
        if name and not _PARAMETER_NAME.fullmatch(name):
            message = f'parameter "{name}": a name has letters, digits, "-" and "_" only; rename it'
            r.note(rules.NAME, (*at, "name"), message)
    given = fields.get("value")
    if given is None and value.__class__ is dict and "valueFrom" in value:
        given = ""
    default = fields.get("default")
    description = fields.get("description")
    return Parameter(
        name=name,
        value=None if given is None else r.text(given, (*at, "value"), style="f"),
        default=None if default is None else r.text(default, (*at, "default"), style="f"),
        enum=_enum(r, fields["enum"], at) if "enum" in fields else (),
        description="" if description is None else r.text(description, (*at, "description")),
    )


def _enum(r: Reading, value: Any, at: Path) -> tuple[str, ...]:
    path = (*at, "enum")
    items = r.items(value, path)
    if not items and value is not None:
        r.note(rules.NOT_ALLOWED, path, "enum is empty; list the values that are allowed, or remove it")
    return tuple([r.text(item, (*path, number), style="f") for number, item in enumerate(items)])


def _retry_limit(r: Reading, value: Any, at: Path) -> int | None:
    if value is None:
        return None
    fields = r.fields(value, at, schema.RETRY)
    policy = r.text(fields.get("retryPolicy"), (*at, "retryPolicy"))
    if policy not in ("", "OnFailure"):
        message = f'retryPolicy "{policy}" is not supported yet and would change the outcome; use OnFailure'
        r.note(rules.UNSUPPORTED, (*at, "retryPolicy"), message)
    limit = r.integer(fields.get("limit"), (*at, "limit"), from_text=True)
    return -1 if limit is None else limit


def read_locks(r: Reading, value: Any, at: Path) -> tuple[LockRef, ...]:
    """All wanted locks: semaphores in their order, then mutexes (Argo: workflow/sync/syncitems.go)."""
    if value is None:
        return ()
    fields = r.fields(value, at, schema.SYNCHRONIZATION)
    return (*_lock_list(r, fields, "semaphore", at), *_lock_list(r, fields, "mutex", at))


def _lock_list(r: Reading, fields: Mapping[str, Any], singular: str, at: Path) -> list[LockRef]:
    plural = "mutexes" if singular == "mutex" else "semaphores"
    read = _mutex if singular == "mutex" else _semaphore
    path: Path = (*at, plural)
    locks = [read(r, item, (*path, number)) for number, item in enumerate(r.items(fields.get(plural), path))]
    if fields.get(singular) is not None:
        path = (*at, singular)
        r.note(rules.LEGACY, path, f'field "{singular}" is the legacy spelling; write the list "{plural}"', on_key=True)
        locks.append(read(r, fields[singular], path))
    return locks


def _mutex(r: Reading, value: Any, at: Path) -> LockRef:
    fields = r.fields(value, at, schema.MUTEX)
    if r.boolean(fields.get("database"), (*at, "database")):
        message = "a database mutex is not supported yet and would be another lock; remove database"
        r.note(rules.UNSUPPORTED, (*at, "database"), message, on_key=True)
    return LockRef(
        kind=LockKind.MUTEX,
        name=r.needed_text(fields, "name", at, "a mutex"),
        namespace=r.text(fields.get("namespace"), (*at, "namespace")) or None,
    )


def _semaphore(r: Reading, value: Any, at: Path) -> LockRef:
    fields = r.fields(value, at, schema.SEMAPHORE)
    path = (*at, "configMapKeyRef")
    reference = r.fields(fields.get("configMapKeyRef"), path, schema.CONFIG_KEY)
    configmap = key = ""
    if fields.get("configMapKeyRef") is not None:
        configmap = r.needed_text(reference, "name", path, "configMapKeyRef")
        key = r.needed_text(reference, "key", path, "configMapKeyRef")
    elif not (isinstance(value, dict) and value.get("database") is not None):
        r.missing("configMapKeyRef", at, "a semaphore")
    return LockRef(
        kind=LockKind.SEMAPHORE,
        configmap=configmap,
        key=key,
        namespace=r.text(fields.get("namespace"), (*at, "namespace")) or None,
    )


def read_name(r: Reading, fields: Mapping[str, Any], at: Path, what: str) -> str:
    """The name of a template, step or task: letters, digits and '-', at most 128."""
    name = r.needed_text(fields, "name", at, what)
    if name and (len(name) > 128 or not _NAME.fullmatch(name)):
        message = (
            f'{what.removeprefix("a ")} "{name}": a name has letters, digits and "-" only, and at most 128 of them; rename it'
        )
        r.note(rules.NAME, (*at, "name"), message)
    return name
