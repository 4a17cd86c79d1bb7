"""Barriers: what is annotated so, and whether the runs of one pipeline can come to all of theirs.

Owns what of a workflow is certain to happen before a barrier. What a condition could keep away is left out, so an error is one
whatever the values are; the rest is found by the daemon, in the tick in which it happens.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from reconciler.errors import ManifestError
from reconciler.lint import rules
from reconciler.lint.circles import capacity_of
from reconciler.lint.holding import known_text, workflow_values
from reconciler.lint.locks import lock_title
from reconciler.lint.names import ancestors_of
from reconciler.lint.scope import Path, View, dig, place_in
from reconciler.manifest import lock_key, read_deployment
from reconciler.model.barrier import BARRIER, BARRIER_TIMEOUT, PIPELINE, barrier_of
from reconciler.model.duration import parse_argo_duration
from reconciler.model.locks import LockRef
from reconciler.model.own_kinds import InfrastructureDefinition
from reconciler.model.spec import Call, Dag, Document, Kind, Place, Steps, Suspend, Template, TemplateRef, WorkflowSpec

_NAME = re.compile(r"[A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?")
_DEEPEST = 100  # as deep as calls may be nested
_OTHER_THAN_SUCCESS = re.compile(r"\|\||!|\.(?!Succeeded)")
_MOST_LOOKS = 50_000


class Taken(NamedTuple):
    """A lock of a workflow: `units` of `capacity` (None if that is not known), and how messages name it."""

    title: str
    units: int
    capacity: int | None


@dataclass(slots=True)
class Way:
    """What is certain to happen on the way through a template, or a whole workflow.

    `before` has (what, barrier): a barrier that is passed, or a lock that is taken, earlier; `around` (lock, barrier).
    """

    barriers: set[str] = field(default_factory=set)
    locks: set[str] = field(default_factory=set)
    before: set[tuple[str, str]] = field(default_factory=set)
    around: set[tuple[str, str]] = field(default_factory=set)

    def follow(self, other: Way) -> None:
        """Goes on with another way, once all so far has happened."""
        self.before |= {(what, barrier) for barrier in other.barriers for what in (*self.barriers, *self.locks)}
        self.join(other)

    def join(self, other: Way) -> None:
        """Takes another way in, of which nothing is known to come earlier or later."""
        self.barriers |= other.barriers
        self.locks |= other.locks
        self.before |= other.before
        self.around |= other.around


class Member(NamedTuple):
    """One workflow of a pipeline."""

    view: View
    way: Way
    taken: dict[str, Taken]


# one document ------------------------------------------------------------------------------------------------------------


def check_barriers(view: View) -> Member | None:
    """What is annotated as a barrier can be one; what is known of the document as a member of a pipeline, if it is one."""
    for at in (("metadata", "annotations"), (*view.at, "workflowMetadata", "annotations")):
        for name in (BARRIER, BARRIER_TIMEOUT):
            if dig(view.document.body, (*at, name)) is not None:
                message = f'annotation "{name}" belongs on a suspend template; move it there'
                view.report(rules.BARRIER, (*at, name), message, on_key=True)
    for template in view.own.templates.values():
        if template.annotations.keys() & {BARRIER, BARRIER_TIMEOUT}:
            _check_template(view, template)
    _check_handlers(view)
    if view.document.kind is not Kind.WORKFLOW or view.is_partial or not _pipeline(view):
        return None
    walk = _Walk(view)
    return Member(view, walk.whole(), walk.taken)


def _check_template(view: View, template: Template) -> None:
    at: Path = (*view.path_of(template), "metadata", "annotations")
    if BARRIER not in template.annotations:
        message = f'annotation "{BARRIER_TIMEOUT}" means nothing without "{BARRIER}"; add that'
        view.report(rules.BARRIER, (*at, BARRIER_TIMEOUT), message)
        return
    if not isinstance(template.body, Suspend):
        message = f'template "{template.name}" is no suspend template, so it is no barrier; move the annotation to one'
        view.report(rules.BARRIER, (*at, BARRIER), message)
        return
    for path, message in _faults(view, template, at):
        view.report(rules.BARRIER, path, message)


def _faults(view: View, template: Template, at: Path) -> Iterator[tuple[Path, str]]:
    name, limit, body = template.annotations[BARRIER].strip(), template.annotations.get(BARRIER_TIMEOUT), template.body
    if not _NAME.fullmatch(name):
        yield (*at, BARRIER), f'barrier "{name}" is no name: letters, digits, "-", "_" and ".", and no variables; write it out'
    try:
        if limit is not None and not parse_argo_duration(limit):
            yield (*at, BARRIER_TIMEOUT), f'barrier-timeout "{limit}" is no time at all; give it a duration such as 30m'
    except ValueError as error:
        yield (*at, BARRIER_TIMEOUT), f"barrier-timeout: {error}; correct it"
    own = view.path_of(template)
    if isinstance(body, Suspend) and body.duration:
        yield (*own, "suspend", "duration"), f"a barrier waits for others, not for a time; bound the wait with {BARRIER_TIMEOUT}"
    if template.retry is not None:
        yield (*own, "retryStrategy"), "a barrier is not tried again, for all have failed at it; retry the runs"
    if any(one.value_from is not None and one.value_from.supplied and one.value_from.default is None for one in template.outputs):
        yield (*own, "outputs"), "nobody supplies outputs at a barrier; give them defaults, or ask a person in a step of its own"


def _check_handlers(view: View) -> None:
    """Nobody is waited for in a hook: it is not certain to begin at all."""
    own = {key: name for key, template in view.own.templates.items() if (name := barrier_of(template))}
    if not own:
        return
    starts = [use.template for use in view.hook_uses() if use.reference is None]
    for template in view.own.templates.values():
        calls = [site.call for site in view.sites_in(template)]
        starts += [hook.template for call in calls for hook in call.hooks.values() if hook.reference is None]
    for key in sorted({key for start in set(starts) for key in view.reachable(start)} & own.keys()):
        message = f'barrier "{own[key]}" is reached from a hook or exit handler, where nobody is waited for; call it from a step'
        view.report(rules.BARRIER, (*view.path_of(view.own.templates[key]), "metadata", "annotations", BARRIER), message)


def _annotations(view: View) -> dict[str, str]:
    """The document's own, over those of its spec, over those of the template document that it uses."""
    named = view.own.template_ref
    base = view.find(TemplateRef(name=named, template="", cluster=view.own.template_ref_cluster)) if named else None
    inherited = base.annotations if isinstance(base, Document) else {}
    return {**inherited, **view.effective.annotations, **view.document.annotations}


def _pipeline(view: View) -> str:
    return _annotations(view).get(PIPELINE, "")


class _Walk:
    """Goes through a workflow from its entrypoint, each template once."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._values = workflow_values(view.effective)
        self._known: dict[tuple[int, str], Way] = {}
        self._left = _MOST_LOOKS
        self.taken: dict[str, Taken] = {}

    def whole(self) -> Way:
        """The way of the run, inside its own locks."""
        spec = self._view.effective
        held = {*self._keys(spec.locks), *self._of_deployment()}
        return _inside(held, self._template(spec, spec.entrypoint, 0))

    def _template(self, spec: WorkflowSpec, key: str, depth: int) -> Way:
        found = self._known.get((id(spec), key))
        template = spec.templates.get(key)
        if found is not None or template is None or depth > _DEEPEST:
            return found or Way()
        self._known[id(spec), key] = Way()  # a template that calls itself adds nothing that is certain
        self._left -= 1
        way = Way()
        if barrier_of(template):
            way.barriers.add(barrier_of(template))
        elif isinstance(template.body, Steps):
            for group in template.body.groups:
                both = Way()
                for call in group:
                    both.join(self._call(spec, call, depth))
                way.follow(both)
        elif isinstance(template.body, Dag):
            way = self._dag(spec, template.body, depth)
        way = self._known[id(spec), key] = _inside(self._keys(template.locks), way)
        return way

    def _dag(self, spec: WorkflowSpec, dag: Dag, depth: int) -> Way:
        ways = {task.name: self._call(spec, task, depth) for task in dag.tasks}
        found, masks = Way(), ancestors_of(dag)
        for name, way in ways.items():
            found.join(way)
            for other, earlier in ways.items() if way.barriers and masks else ():
                self._left -= 1
                if self._left >= 0 and masks[name] >> masks[f"#{other}"] & 1:
                    found.before |= {(what, barrier) for barrier in way.barriers for what in (*earlier.barriers, *earlier.locks)}
        return found

    def _call(self, spec: WorkflowSpec, call: Call, depth: int) -> Way:
        is_sure = not (call.when or _OTHER_THAN_SUCCESS.search(call.depends) or "{{" in call.template)
        if not is_sure or self._left < 0 or (call.is_loop and not call.items):
            return Way()
        if call.reference is None:
            return self._template(spec, call.template, depth + 1)
        target = self._view.spec_of(call.reference)
        return Way() if target is None else self._template(target, call.reference.template, depth + 1)

    def _keys(self, locks: Sequence[LockRef]) -> set[str]:
        found = set()
        for lock in locks:
            key = known_text(lock_key(lock, self._view.document.namespace), self._values)
            if "{{" not in key:
                found.add(key)
                self.taken[key] = Taken(lock_title(lock), lock.units, capacity_of(self._view, lock))
        return found

    def _of_deployment(self) -> set[str]:
        """The infrastructures that the run locks, as far as it is written down where they are."""
        try:
            asked = read_deployment(_annotations(self._view))
        except ManifestError:
            return set()
        found = set()
        for name in asked.infrastructures if asked.is_locked and "{{" not in asked.service else ():
            known = self._view.tree.find(Kind.INFRASTRUCTURE, self._view.document.namespace, name)
            own = known.own if isinstance(known, Document) else None
            if isinstance(own, InfrastructureDefinition) and not any("{{" in text for text in own.fields.values()):
                key = f"infrastructure/{asked.service}/{sorted(own.fields.items())}"
                found.add(key)
                self.taken[key] = Taken(f'the infrastructure "{name}" of service "{asked.service}"', 1, 1)
        return found


def _inside(keys: set[str], way: Way) -> Way:
    """The same way, inside locks."""
    pairs = {(key, barrier) for key in keys for barrier in way.barriers}
    return Way(way.barriers, way.locks | keys, way.before | pairs, way.around | pairs)


# the members of one pipeline -----------------------------------------------------------------------------------------------


def check_pipelines(members: Sequence[Member]) -> None:
    """Reports barriers in crossed orders, and locks that one member holds at a barrier while another needs them to get there."""
    pipelines: dict[tuple[str, str], list[Member]] = {}
    for member in members:
        pipelines.setdefault((member.view.document.namespace, _pipeline(member.view)), []).append(member)
    for group in pipelines.values():
        count = Counter(barrier for member in group for barrier in member.way.barriers)
        shared = sorted(barrier for barrier, number in count.items() if number > 1)
        _check_orders(group, shared)
        for barrier in shared:
            _check_held(barrier, [member for member in group if barrier in member.way.barriers])


def _check_orders(group: Sequence[Member], shared: Sequence[str]) -> None:
    orders: dict[str, dict[str, Member]] = {}
    for member in group:
        for first, second in sorted(member.way.before):
            if first in shared and second in shared and (second, first) not in member.way.before:
                orders.setdefault(first, {}).setdefault(second, member)
    told: set[frozenset[str]] = set()
    for first in shared:
        circle = _circle(orders, first)
        if circle and frozenset(circle) not in told:
            told.add(frozenset(circle))
            pairs = list(zip(circle, (*circle[1:], circle[0]), strict=True))
            (_, here), *others = pairs
            member = orders[circle[0]][here]
            rest = [f'"{second}" after "{one}" at {_place(orders[one][second], second)}' for one, second in others]
            message = (
                f'barrier "{here}" comes after "{circle[0]}" here, and {", and ".join(rest)}: they wait for each other until a'
                " timeout; meet in one order everywhere"
            )
            member.view.report(rules.BARRIER_ORDER, _path(member, here), message)


def _circle(orders: dict[str, dict[str, Member]], start: str) -> list[str]:
    """The barriers of a shortest circle from `start`, in their order; [] if there is none."""
    before: dict[str, str] = {}
    waiting = [start]
    for one in waiting:
        for other in orders.get(one, ()):
            if other not in before:
                before[other] = one
                waiting.append(other)
        if start in before:
            break
    if start not in before:
        return []
    back = [before[start]]
    while back[-1] != start:
        back.append(before[back[-1]])
    return back[::-1]


def _check_held(barrier: str, members: Sequence[Member]) -> None:
    """A lock that is held here by as many as it admits, and that another member takes before it comes here."""
    keys = sorted({key for member in members for key, at in member.way.around if at == barrier})
    for key in keys:
        holders = [member for member in members if (key, barrier) in member.way.around]
        capacity = holders[0].taken[key].capacity
        if not capacity:
            continue
        takers = [member for member in members if (key, barrier) in member.way.before and member not in holders]
        wanted = sum(member.taken[key].units for member in holders)
        if wanted + max((member.taken[key].units for member in takers), default=0) <= capacity:
            continue
        first, *rest = [*holders, *takers]
        others = ", ".join(f"{_place(member, barrier)}" for member in rest)
        message = (
            f'{first.taken[key].title} is held at barrier "{barrier}", and needed to come to it at {others}: one waits for the'
            " other until the barrier's timeout; let go of it before the barrier, or take it after"
        )
        first.view.report(rules.BARRIER_LOCK, _path(first, barrier), message)


def _path(member: Member, barrier: str) -> Path:
    """Where a member has a barrier: in its own document, or else where that begins."""
    for template in member.view.own.templates.values():
        if barrier_of(template) == barrier:
            return (*member.view.path_of(template), "metadata", "annotations", BARRIER)
    return member.view.at


def _place(member: Member, barrier: str) -> Place:
    return place_in(member.view.document, _path(member, barrier))
