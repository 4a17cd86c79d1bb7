"""The process of a container or script template as a value, with its environment.

Owns what a command, its arguments and its variables are as written. It never chooses a runtime for an image.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from reconciler.manifest import rules, schema
from reconciler.manifest.positions import Path
from reconciler.manifest.reading import Reading
from reconciler.model.spec import EnvVar, Program


def read_program(r: Reading, value: Any, at: Path, *, is_script: bool) -> Program:
    """A container, or a script with its source."""
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
