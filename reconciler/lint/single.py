"""Checks that need one document only: schedules, images, and the annotations that are Lineclear's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from reconciler.cron.schedule import load_zone, parse_schedule
from reconciler.lint import rules
from reconciler.lint.scope import Path, Tree, View, dig
from reconciler.manifest.deployment import STRATEGIES, WORKFLOW_TYPES
from reconciler.manifest.reading import nearest
from reconciler.manifest.scalars import go_text
from reconciler.model.concurrency import KEY_ANNOTATION, POLICY_ANNOTATION, ConcurrencyPolicy
from reconciler.model.duration import parse_argo_duration
from reconciler.model.images import Images
from reconciler.model.own_kinds import LockPolicy
from reconciler.model.spec import Document, Program, Template

HOST_IMAGES = Images()
_PREFIX = "lineclear.dev/"


def _one_of(value: str, *allowed: str) -> str:
    return "" if value in allowed else f'is "{value}"; use {" or ".join(allowed)}'


def _any(value: str) -> str:
    return "" if value.strip() else "is empty; give it a value, or remove it"


def _duration(value: str) -> str:
    try:
        length = parse_argo_duration(value)
    except ValueError as error:
        return f"is no limit: {error}; correct it"
    return "" if length else f'is "{value}", which is no time at all; give it a duration such as 30m'


_ANNOTATIONS: Mapping[str, Callable[[str], str]] = {  # what is wrong with a value, '' if nothing
    "lineclear.dev/on-failure": lambda value: _one_of(value, "Hold", "Release"),
    "lineclear.dev/rerun": lambda value: _one_of(value, "OnChange"),
    "lineclear.dev/override-freeze": lambda value: "" if value.strip() else "is empty; say why freeze windows may not stop it",
    "lineclear.dev/wait-timeout": _duration,
    "lineclear.dev/concurrency-strategy": lambda value: _one_of(value, *STRATEGIES),
    "lineclear.dev/workflow-type": lambda value: _one_of(value, *WORKFLOW_TYPES),
    "lineclear.dev/service": _any,
    "lineclear.dev/infrastructure": _any,
    "lineclear.dev/pre-deployment": _any,
    "lineclear.dev/pipeline": _any,
    "lineclear.dev/barrier": lambda _value: "",  # the place counts too: see `barriers`
    "lineclear.dev/barrier-timeout": lambda _value: "",
    "lineclear.dev/resource-constraints": _any,  # what is wrong with it is told by its reader
    POLICY_ANNOTATION: lambda value: _one_of(value, *ConcurrencyPolicy),
    KEY_ANNOTATION: lambda _value: "",  # any text, which `concurrency` looks into
}


_TOLD = frozenset(  # by `get` of what is live
    f"{_PREFIX}{name}" for name in ("commit", "concurrency-group", "concurrency-policy-place", "place", "stale")
)


def check_cron(tree: Tree, document: Document) -> None:
    """The schedules and the time zone of a CronWorkflow."""
    cron = document.cron
    if cron is None:
        return
    has_list = bool(dig(document.body, ("spec", "schedules")))
    for number, text in enumerate(cron.schedules):
        _check_schedule(tree, document, ("spec", "schedules", number) if has_list else ("spec", "schedule"), text)
    if cron.timezone:
        _check_zone(tree, document, ("spec", "timezone"), cron.timezone)


def check_freeze(tree: Tree, document: Document) -> None:
    """The schedules and time zones of a LockPolicy's freeze windows."""
    if not isinstance(document.own, LockPolicy):
        return
    for number, window in enumerate(document.own.freeze):
        at: Path = ("spec", "freeze", number)
        _check_schedule(tree, document, (*at, "schedule"), window.schedule)
        _check_zone(tree, document, (*at, "timezone"), window.timezone)


def _check_schedule(tree: Tree, document: Document, at: Path, text: str) -> None:
    try:
        parse_schedule(text)
    except ValueError as error:
        tree.report(rules.SCHEDULE, document, at, f"{error}; correct the schedule")


def _check_zone(tree: Tree, document: Document, at: Path, name: str) -> None:
    try:
        load_zone(name)
    except ValueError as error:
        tree.report(rules.TIME_ZONE, document, at, str(error))


def check_images(view: View) -> None:
    """Every program has a command, its own or its image's, and an image that the settings map to a runtime."""
    images = view.tree.images
    for template in view.own.templates.values():
        program = template.body
        if not isinstance(program, Program):
            continue
        said = images.find(program.image) if program.image else None
        if said is not None and (program.command or said.command):
            continue
        path = (*view.path_of(template), "container" if program.source is None else "script")
        if not program.command and "{{" not in program.image:
            _report_no_command(view, template, program, path, is_mapped=said is not None)
        elif program.image and said is None and images.mapped_only:
            message = f'image "{program.image}" is not mapped and image_policy is "mapped-only"; map it under [images]'
            view.report(rules.IMAGE_REFUSED, (*path, "image"), message)
        elif program.image and said is None:
            message = (
                f'image "{program.image}" is not mapped: the command of template "{template.name}" runs on this machine; '
                'write "host", or map the image in lineclear.toml under [images]'
            )
            view.report(rules.IMAGE_ON_HOST, (*path, "image"), message)


def _report_no_command(view: View, template: Template, program: Program, path: Path, *, is_mapped: bool) -> None:
    """An image's own command is known only if the settings name it: steps are processes of this machine."""
    image, advice = "no image", "add a command"
    if program.image:
        image = f'image "{program.image}"'
        advice += f", or {'give the image one' if is_mapped else 'map the image with one'} in lineclear.toml under [images]"
    message = f'template "{template.name}" has {image} and no command, so nothing says what to run; {advice}'
    view.report(rules.IMAGE, (*path, "image") if program.image else path, message)


def check_annotations(tree: Tree, document: Document, view: View | None) -> None:
    """Annotations under lineclear.dev/ are known and have values that mean something, wherever they are looked up."""
    _check_annotations(tree, document, ("metadata", "annotations"))
    if view is None:
        return
    _check_annotations(tree, document, (*view.at, "workflowMetadata", "annotations"))
    _check_annotations(tree, document, ("spec", "workflowMetadata", "annotations")) if len(view.at) > 1 else None
    for template in view.own.templates.values():
        if template.annotations:
            _check_annotations(tree, document, (*view.path_of(template), "metadata", "annotations"))


def _check_annotations(tree: Tree, document: Document, at: Path) -> None:
    annotations = dig(document.body, at)
    for name, value in annotations.items() if isinstance(annotations, dict) else ():
        if not name.startswith(_PREFIX):
            continue
        check = _ANNOTATIONS.get(name)
        if name in _TOLD:
            message = f'annotation "{name}" is what `get` tells of a document, and does nothing here; remove it'
            tree.report(rules.IDLE_ANNOTATION, document, (*at, name), message, on_key=True)
        elif check is None:
            advice = nearest(name.removeprefix(_PREFIX), [known.removeprefix(_PREFIX) for known in _ANNOTATIONS])
            message = f'annotation "{name}" is not supported; {advice}'
            tree.report(rules.ANNOTATION, document, (*at, name), message, on_key=True)
        elif wrong := check(go_text(value)):
            tree.report(rules.ANNOTATION_VALUE, document, (*at, name), f'annotation "{name}" {wrong}')
