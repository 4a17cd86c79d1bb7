"""Templates as values: container, script, steps, dag and suspend, with inputs, outputs, retries and locks.

Owns what one entry of `spec.templates` means. It never looks at another template: references are the lint's business.
A template that is partly wrong still becomes a value, so that one mistake is told once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from reconciler.errors import ManifestError
from reconciler.manifest import rules, schema
from reconciler.manifest.calls import Site, read_dag, read_name, read_steps
from reconciler.manifest.defaults import lay_below
from reconciler.manifest.deployment import CONSTRAINTS, read_constraints
from reconciler.manifest.locks import read_locks
from reconciler.manifest.parameters import read_outputs, read_parameters
from reconciler.manifest.positions import Path
from reconciler.manifest.programs import read_program
from reconciler.manifest.reading import Reading
from reconciler.manifest.retries import read_retry
from reconciler.model.locks import LockRef
from reconciler.model.spec import Body, Severity, Steps, Suspend, Template

_BODIES = ("container", "script", "steps", "dag", "suspend")
_REFUSED_BODIES = ("resource", "http", "data", "containerSet", "plugin", "templateRef", "template")


def read_templates(
    r: Reading, value: Any, at: Path, *, scope: str = "", defaults: Mapping[str, Any] | None = None
) -> dict[str, Template]:
    """All templates by key, inline ones after the one that holds them; `defaults` are laid below each, also the inline ones.

    With defaults, each template is judged as it is written; what only the defaults make wrong is told of the template.
    """
    items = r.items(value, at)
    before = len(r.notes)
    templates = _read_all(r, items, at, scope)
    if defaults is None or has_errors(r, before):
        return templates
    quiet = Reading()
    templates = _read_all(quiet, [lay_below(item, defaults) for item in items], at, scope)
    r.notes += [note for note in quiet.notes if note.rule.severity is Severity.ERROR]
    return templates


def has_errors(r: Reading, since: int) -> bool:
    """True if anything after the first `since` notes is an error."""
    return any(note.rule.severity is Severity.ERROR for note in r.notes[since:])


def _read_all(r: Reading, items: Iterable[Any], at: Path, scope: str) -> dict[str, Template]:
    templates: dict[str, Template] = {}
    for number, item in enumerate(items):
        path = (*at, number)
        fields = r.fields(item, path, schema.TEMPLATE)
        name = read_name(r, fields, path, "a template")
        site = Site(r=r, scope=scope, template=name)
        template = _template(site, fields, item, path)
        if name and template.name in templates:
            r.note(rules.DUPLICATE_NAME, (*path, "name"), f'template "{name}" is given twice; rename one')
        elif name:
            templates[template.name] = template
        _read_inline(site, templates)
    return templates


def _read_inline(site: Site, templates: dict[str, Template]) -> None:
    """The templates that were met inside calls, and those inside these."""
    r = site.r
    while site.inline:
        inline = site.inline.pop(0)
        fields = r.fields(inline.value, inline.at, schema.TEMPLATE)
        here = Site(r=r, scope=site.scope, template=inline.name, inline=site.inline)
        template = _template(here, fields, inline.value, inline.at, is_inline=True)
        templates.setdefault(template.name, template)


def _template(site: Site, fields: Mapping[str, Any], value: Any, at: Path, *, is_inline: bool = False) -> Template:
    r = site.r
    body = _body(site, fields, value, at)
    more: dict[str, Any] = {}
    if fields.get("outputs") is not None:
        more["outputs"] = read_outputs(r, fields["outputs"], (*at, "outputs"), body)
    if fields.get("retryStrategy") is not None:
        more["retry"] = read_retry(r, fields["retryStrategy"], (*at, "retryStrategy"))
    if fields.get("activeDeadlineSeconds") is not None:
        path = (*at, "activeDeadlineSeconds")
        more["active_deadline"] = r.integer_text(fields["activeDeadlineSeconds"], path, least=1)
    if fields.get("timeout") is not None:
        more["timeout"] = r.duration(fields["timeout"], (*at, "timeout"))
    if fields.get("parallelism") is not None:
        more["parallelism"] = r.integer(fields["parallelism"], (*at, "parallelism"), least=1)
    if fields.get("failFast") is not None:
        more["fail_fast"] = r.boolean(fields["failFast"], (*at, "failFast"))
    if fields.get("synchronization") is not None:
        more["locks"] = read_locks(r, fields["synchronization"], (*at, "synchronization"))
    if fields.get("metadata") is not None:
        metadata = r.fields(fields["metadata"], (*at, "metadata"), schema.TEMPLATE_METADATA)
        more["annotations"] = r.text_map(metadata.get("annotations"), (*at, "metadata", "annotations"))
        more["locks"] = (*more.get("locks", ()), *_constraints(r, more["annotations"], (*at, "metadata", "annotations")))
    if fields.get("inputs") is not None:
        inputs = r.fields(fields["inputs"], (*at, "inputs"), schema.INPUTS)
        more["inputs"] = read_parameters(r, inputs.get("parameters"), (*at, "inputs", "parameters"))
    return Template(name=site.key(site.template), body=body or Steps(groups=()), is_inline=is_inline, **more)


def _constraints(r: Reading, annotations: Mapping[str, str], at: Path) -> tuple[LockRef, ...]:
    """What a template's annotation wants of constraints: taken with its locks."""
    try:
        return read_constraints(annotations.get(CONSTRAINTS, ""))
    except ManifestError as error:
        r.note(rules.NOT_ALLOWED, (*at, CONSTRAINTS), str(error))
        return ()


def _body(site: Site, fields: Mapping[str, Any], value: Any, at: Path) -> Body | None:
    r = site.r
    given = [name for name in _BODIES if fields.get(name) is not None]
    if len(given) > 1:
        r.note(rules.CONFLICT, (*at, given[1]), f'a template has "{given[0]}" and "{given[1]}"; keep one', on_key=True)
    if not given:
        if not (isinstance(value, dict) and any(name in value for name in _REFUSED_BODIES)):
            r.note(rules.MISSING, at, f"a template has no body; add one of {', '.join(_BODIES)}")
        return None
    return _body_of(site, given[0], fields[given[0]], (*at, given[0]))


def _body_of(site: Site, name: str, value: Any, at: Path) -> Body:
    if name == "steps":
        return read_steps(site, value, at)
    if name == "dag":
        return read_dag(site, value, at)
    if name == "suspend":
        fields = site.r.fields(value, at, schema.SUSPEND)
        return Suspend(duration=site.r.duration(fields.get("duration"), (*at, "duration")))
    return read_program(site.r, value, at, is_script=name == "script")


def read_defaults(r: Reading, value: Any, at: Path) -> Mapping[str, Any] | None:
    """templateDefaults, if they are sound: plain data to be laid below the templates."""
    if value is None:
        return None
    before = len(r.notes)
    fields = r.fields(value, at, schema.TEMPLATE_DEFAULTS)
    plain = {name: part for name, part in fields.items() if name not in (*_BODIES, "outputs")}
    site = Site(r=r)
    _template(site, {**plain, "suspend": {}}, value, at)
    for name in _BODIES:
        part = fields.get(name)
        if name == "dag" and isinstance(part, dict) and not part.get("tasks"):
            part = {**part, "tasks": [{"name": "any", "template": "any"}]}
        if part is not None:
            _body_of(site, name, part, (*at, name))
    if fields.get("outputs") is not None:
        read_outputs(r, fields["outputs"], (*at, "outputs"), None)
    return None if has_errors(r, before) else fields
