"""Parameters as values: of arguments and inputs, and of outputs with where their values come from.

Owns what one entry of a `parameters` list means. It never fills a value in: that is the engine's business.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from reconciler.manifest import rules, schema
from reconciler.manifest.positions import Path
from reconciler.manifest.reading import Reading, shown
from reconciler.model.spec import Body, Parameter, Program, Severity, Suspend, ValueFrom

_NAME = re.compile(r"[-a-zA-Z0-9_]+")
_SOURCES = ("path", "parameter", "expression", "supplied", "configMapKeyRef")


def read_parameters(r: Reading, value: Any, at: Path) -> tuple[Parameter, ...]:
    """A list of arguments or inputs, names unique."""
    if value is None:
        return ()
    items = r.items(value, at)
    parameters = tuple([_parameter(r, item, (*at, number)) for number, item in enumerate(items)])
    if len(parameters) > 1:
        r.unique(((p.name, (*at, number)) for number, p in enumerate(parameters)), "parameter")
    if any(parameter.value_from is not None or parameter.global_name for parameter in parameters):
        for number, parameter in enumerate(parameters):
            _check_input(r, parameter, (*at, number))
    return parameters


def _check_input(r: Reading, parameter: Parameter, at: Path) -> None:
    source = parameter.value_from
    if parameter.global_name:
        message = f'field "globalName" of parameter "{parameter.name}" is ignored: only an output can be global'
        r.note(rules.IGNORED, (*at, "globalName"), message, on_key=True)
    if source is not None and source.path:
        message = f'parameter "{parameter.name}" has valueFrom.path, which only an output of a container or script can have'
        r.note(rules.NOT_ALLOWED, (*at, "valueFrom", "path"), f"{message}; write the value", on_key=True)


def read_outputs(r: Reading, value: Any, at: Path, body: Body | None) -> tuple[Parameter, ...]:
    """The output parameters of a template with this body (None: of a kind that is not known), names unique."""
    fields = r.fields(value, at, schema.OUTPUTS)
    path = (*at, "parameters")
    outputs = [_parameter(r, item, (*path, number)) for number, item in enumerate(r.items(fields.get("parameters"), path))]
    r.unique(((p.name, (*path, number)) for number, p in enumerate(outputs)), "output parameter")
    for number, output in enumerate(outputs):
        _check_output(r, output, (*path, number), body)
    return tuple(outputs)


def _check_output(r: Reading, output: Parameter, at: Path, body: Body | None) -> None:
    source = output.value_from
    if source is None:
        if output.value is None and output.name:
            r.note(rules.MISSING, at, f'output parameter "{output.name}" has neither value nor valueFrom; add one of them')
        return
    given = next((name for name, is_set in _sources_of(source) if is_set), "")
    wanted: tuple[str, ...]
    if isinstance(body, Program):
        who, wanted = "a container or script", ("path",)
    elif isinstance(body, Suspend):
        who, wanted = "suspend", ("supplied", "parameter", "expression")
    elif body is not None:
        who, wanted = "steps or a dag", ("parameter", "expression")
    else:
        return
    if given and given not in wanted:
        message = f'output parameter "{output.name}" has valueFrom.{given}, but an output of {who} has its value from '
        r.note(rules.NOT_ALLOWED, (*at, "valueFrom", given), message + " or ".join(wanted) + "; use that", on_key=True)


def _sources_of(source: ValueFrom) -> tuple[tuple[str, bool], ...]:
    is_set = (source.path, source.parameter, source.expression, source.supplied, source.configmap)
    return tuple(zip(_SOURCES, map(bool, is_set), strict=True))


def _parameter(r: Reading, value: Any, at: Path) -> Parameter:
    fields = r.fields(value, at, schema.PARAMETER)
    name = fields.get("name")
    if name.__class__ is not str or not _NAME.fullmatch(name):
        name = r.needed_text(fields, "name", at, "a parameter")
        if name and not _NAME.fullmatch(name):
            message = f'parameter "{name}": a name has letters, digits, "-" and "_" only; rename it'
            r.note(rules.NAME, (*at, "name"), message)
    given = fields.get("value")
    default = fields.get("default")
    parameter = Parameter(
        name=name,
        value=None if given is None else r.text(given, (*at, "value"), style="f"),
        default=None if default is None else r.text(default, (*at, "default"), style="f"),
    )
    is_plain = len(fields) == 1 + (given is not None) + (default is not None)
    return parameter if is_plain else replace(parameter, **_more(r, fields, at, name))


def _more(r: Reading, fields: Mapping[str, Any], at: Path, name: str) -> dict[str, Any]:
    """What only few parameters say, as the fields of a Parameter."""
    more: dict[str, Any] = {}
    if fields.get("description") is not None:
        more["description"] = r.text(fields["description"], (*at, "description"))
    if fields.get("enum") is not None:
        more["enum"] = _enum(r, fields["enum"], at)
    if fields.get("globalName"):
        more["global_name"] = _global_name(r, fields["globalName"], (*at, "globalName"))
    if fields.get("valueFrom") is not None:
        more["value_from"] = _value_from(r, fields["valueFrom"], (*at, "valueFrom"))
        if fields.get("value") is not None:
            message = f'parameter "{name}" has "value" and "valueFrom"; keep one'
            r.note(rules.CONFLICT, (*at, "valueFrom"), message, on_key=True)
    return more


def _global_name(r: Reading, value: Any, at: Path) -> str:
    name = r.text(value, at)
    if "{{" not in name and not _NAME.fullmatch(name):
        r.note(rules.NAME, at, f'globalName "{name}": a name has letters, digits, "-" and "_" only; rename it')
    return name


def _enum(r: Reading, value: Any, at: Path) -> tuple[str, ...]:
    path = (*at, "enum")
    items = r.items(value, path)
    if not items and value is not None:
        r.note(rules.NOT_ALLOWED, path, "enum is empty; list the values that are allowed, or remove it")
    return tuple([r.text(item, (*path, number), style="f") for number, item in enumerate(items)])


def _value_from(r: Reading, value: Any, at: Path) -> ValueFrom:
    before = len(r.notes)
    fields = r.fields(value, at, schema.VALUE_FROM)
    given = [name for name in _SOURCES if fields.get(name) not in (None, "")]
    if len(given) > 1:
        r.note(rules.CONFLICT, (*at, given[1]), f'valueFrom has "{given[0]}" and "{given[1]}"; keep one', on_key=True)
    elif not given and not any(note.rule.severity is Severity.ERROR for note in r.notes[before:]):
        r.note(rules.MISSING, at, f"valueFrom says nothing; add one of {', '.join(_SOURCES)}")
    supplied = fields.get("supplied")
    if supplied is not None and not isinstance(supplied, dict):
        message = f"supplied is {shown(supplied)}, not an empty mapping; write supplied: {{}}"
        r.note(rules.WRONG_TYPE, (*at, "supplied"), message)
    default = fields.get("default")
    return ValueFrom(
        path=r.text(fields.get("path"), (*at, "path")),
        parameter=r.text(fields.get("parameter"), (*at, "parameter")),
        expression=r.text(fields.get("expression"), (*at, "expression")),
        supplied=supplied is not None,
        configmap=_configmap(r, fields.get("configMapKeyRef"), (*at, "configMapKeyRef")),
        default=None if default is None else r.text(default, (*at, "default"), style="f"),
    )


def _configmap(r: Reading, value: Any, at: Path) -> tuple[str, str] | None:
    if value is None:
        return None
    fields = r.fields(value, at, schema.CONFIG_KEY)
    r.boolean(fields.get("optional"), (*at, "optional"))  # as Argo: only valueFrom.default helps where the key is missing
    return (r.needed_text(fields, "name", at, "configMapKeyRef"), r.needed_text(fields, "key", at, "configMapKeyRef"))
