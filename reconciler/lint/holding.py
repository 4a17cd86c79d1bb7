"""Who asks for locks inside whom: each spec's templates walked from its starts, with the locks held around each of them.

Owns the walk and what a lock's name is known to be on the way: workflow parameters and arguments with constant values are
put in, all other tags stay. It judges nothing; what is asked for inside a holder comes out as an `Ask`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from reconciler.errors import ManifestError
from reconciler.expr.tags import substitute
from reconciler.lint import rules
from reconciler.lint.locks import is_local, lock_title
from reconciler.lint.scope import Known, Path, View, links_of, place_in
from reconciler.manifest import hooks_of, lock_key, references_of
from reconciler.model.locks import LockRef
from reconciler.model.spec import Call, Dag, Document, Hook, Parameter, Steps, Template, TemplateRef, WorkflowSpec

_HELD = "it takes no second unit here, only a turn, while Argo would wait for ever; remove one of the two"
_AROUND_ALL, _AROUND, _INSIDE, _READS_INPUTS = 1, 2, 4, 8  # locks of a spec, of steps and dags, of any template; named by inputs
_MOST_STEPS = 50_000  # a workflow made to be dear has more ways to a template than anybody can look at
_Values = Mapping[str, str]
_Levels = tuple[tuple[str, ...], ...]


class Site(NamedTuple):
    """Which call leads into a frame: the number of its group (or task) and of the call, and the hook's name if it is one."""

    group: int
    call: int = 0
    hook: str = ""
    is_loop: bool = False
    via: Path | None = None  # where the walk's own document leads out of itself


class Written(NamedTuple):
    """Where a template, or (`template` None) a run's own locks, are written: `scope` '' is the walk's effective spec."""

    home: Known | None
    scope: str
    template: Template | None


class Frame:
    """A template on the way from a start, or a run itself: what it locks, and where that is written.

    `keys` are of `locks`, in their order. `is_repeated`: more than one way leads here with the same locks held.
    """

    __slots__ = ("home", "is_repeated", "keys", "locks", "parent", "scope", "site", "template")

    def __init__(
        self, parent: Frame | None, site: Site, written: Written, locks: tuple[LockRef, ...], keys: tuple[str, ...]
    ) -> None:
        self.parent, self.site, self.locks, self.keys = parent, site, locks, keys
        self.home, self.scope, self.template = written
        self.is_repeated = False

    @property
    def key(self) -> str:
        """The template's name."""
        return self.template.name if self.template is not None else ""

    def chain(self) -> list[Frame]:
        """From the run down to this frame."""
        found = [self]
        while found[-1].parent is not None:
            found.append(found[-1].parent)
        return found[::-1]


class Ask(NamedTuple):
    """A template's locks are asked for inside holders: `held` has each key held there with the frame of its nearest holder.

    `levels` are the same keys, those of one holder together, outer holders first.
    """

    view: View
    frame: Frame
    held: Mapping[str, Frame]
    levels: _Levels

    def wanted(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Each key, and the keys that are held against others while it is waited for.

        What an enclosing holder has is only a turn with it: all that could stand in the way is inside that holder, so only
        what is held further in counts.
        """
        for key in self.frame.keys:
            depth = next((number for number, keys in enumerate(self.levels, 1) if key in keys), 0)
            yield key, tuple([one for keys in self.levels[depth:] for one in keys])


class _Step(NamedTuple):
    """What is to be walked next: a template's key in a spec, below a frame, with the values of its arguments."""

    parent: Frame
    site: Site
    home: Known | None
    scope: str
    spec: WorkflowSpec
    key: str
    arguments: _Values
    held: Mapping[str, Frame]
    levels: _Levels


def asks_of(view: View) -> Iterator[Ask]:
    """Every place that a spec's starts lead to, where locks are asked for inside others; each (template, held) once."""
    bits = _reach(view)
    if not (bits & _INSIDE and bits & (_AROUND | _AROUND_ALL)):
        return
    reads_inputs = bits & _READS_INPUTS
    given = workflow_values(view.effective)
    waiting = list(reversed(list(_starts(view, given))))
    seen: dict[tuple[str, str, _Levels, tuple[tuple[str, str], ...]], Frame] = {}
    steps = _MOST_STEPS
    while waiting:
        step = waiting.pop()
        template = step.spec.templates.get(step.key)
        if template is None:
            continue
        inputs = _input_values(template, step.arguments, given) if reads_inputs and template.inputs else {}
        state = (step.scope, step.key, step.levels, tuple(inputs.items()))
        if state in seen:
            seen[state].is_repeated = True
            continue
        steps -= 1 + len(step.held)
        if steps < 0:
            return
        values = {**given, **inputs} if inputs else given
        keys = tuple([_key(view, lock, values) for lock in template.locks])
        frame = Frame(step.parent, step.site, Written(step.home, step.scope, template), template.locks, keys)
        seen[state] = frame
        if keys and step.held:
            yield Ask(view, frame, step.held, step.levels)
        waiting += reversed(list(_calls(view, _inside(step, frame), values if reads_inputs else None)))


def _inside(step: _Step, frame: Frame) -> _Step:
    """The same place, inside the frame's own locks."""
    if not frame.keys:
        return step._replace(parent=frame)
    outer = [tuple([key for key in keys if key not in frame.keys]) for keys in step.levels]
    levels = (*[keys for keys in outer if keys], frame.keys)
    return step._replace(parent=frame, held={**step.held, **dict.fromkeys(frame.keys, frame)}, levels=levels)


def _reach(view: View) -> int:
    """The bits of the spec and of all templates of other documents that it may lead to."""
    bits, waiting = _looked_at(view, view.own)
    if view.base is not None:
        of_base = _looked_at(view, view.base)
        bits, waiting = bits | of_base[0], (*waiting, *of_base[1])
    if not waiting:
        return bits
    free = view.tree.free_of_locks
    todo, seen, beyond = list(waiting), set(), 0
    while todo:
        spec = view.spec_of(todo.pop())
        if spec is not None and id(spec) not in seen and id(spec) not in free:
            seen.add(id(spec))
            here, further = _looked_at(view, spec)
            beyond |= here & ~_AROUND_ALL
            todo += further
    if not beyond:
        free |= seen
    return bits | beyond


def _looked_at(view: View, spec: WorkflowSpec) -> tuple[int, tuple[TemplateRef, ...]]:
    """The bits of a document's spec, and the templates of other documents that it names; found once."""
    known = view.tree.looked_at
    found = known.get(id(spec))
    if found is None:
        bits = _AROUND_ALL if spec.locks else 0
        has_calls = bool(spec.hooks or spec.on_exit)
        for template in spec.templates.values():
            is_outer = isinstance(template.body, Steps | Dag)
            has_calls = has_calls or is_outer
            if template.locks:
                bits |= _INSIDE | _AROUND if is_outer else _INSIDE
                bits |= _READS_INPUTS if any("inputs." in lock.written for lock in template.locks) else 0
        found = known[id(spec)] = (bits, references_of(spec) if has_calls else ())
    return found


def _starts(view: View, given: _Values) -> Iterator[_Step]:
    """The entrypoint and the hooks, inside the spec's own locks; of a template document also what only others can call."""
    spec = view.effective
    document = view.document
    locks = spec.locks
    home = document if view.own.locks or view.base is None else _base(view)
    run = Frame(None, Site(0), Written(home, "", None), locks, tuple([_key(view, lock, given) for lock in locks]))
    held = dict.fromkeys(run.keys, run)
    arguments = {name.removeprefix("workflow.parameters."): value for name, value in given.items()}
    start = _Step(run, Site(0), document, "", spec, spec.entrypoint, arguments, held, (run.keys,) if held else ())
    if spec.entrypoint in spec.templates:
        yield start._replace(home=_home(view, spec.entrypoint), site=Site(0, via=_way_out(view, spec.entrypoint)))
    for number, (name, hook) in enumerate(hooks_of(spec).items(), 1):
        site = Site(-1, number, name, via=_hook_place(view, name, hook))
        yield from _step_into(view, start, site, hook, {**arguments, **_given(hook.arguments, given)})
    if not view.is_submitted:
        bare = Frame(None, Site(0), Written(document, "", None), (), ())
        for key in _only_called_by_others(spec):
            yield _Step(bare, Site(0), _home(view, key), "", spec, key, {}, {}, ())


def _only_called_by_others(spec: WorkflowSpec) -> list[str]:
    called = {spec.entrypoint}
    for template in spec.templates.values():
        called |= {key for key, reference in links_of(template) if reference is None}
    return [key for key in spec.templates if key not in called]


def _base(view: View) -> Known | None:
    return view.find(TemplateRef(name=view.own.template_ref, template="", cluster=view.own.template_ref_cluster))


def _home(view: View, key: str) -> Known | None:
    """The document that one of the effective spec's templates is written in."""
    return view.document if key in view.own.templates or view.base is None else _base(view)


def _way_out(view: View, key: str) -> Path | None:
    """Where the own document names the one that a template of the effective spec is written in, if it is another."""
    return None if key in view.own.templates or view.base is None else (*view.at, "workflowTemplateRef", "name")


def _hook_place(view: View, name: str, hook: Hook) -> Path | None:
    if name not in hooks_of(view.own) or hook.reference is None:
        return _way_out(view, hook.template)
    return (*view.hook_path(name, view.at), "templateRef", "template")


def _calls(view: View, step: _Step, values: _Values | None) -> Iterator[_Step]:
    """What a template's calls and hooks lead to; `step` is inside that template. Without `values` nothing reads an input."""
    assert step.parent.template is not None
    places = _ways_out(view, step.parent.template) if step.site.via is None else {}
    for group, number, call in _numbered(step.parent.template):
        given = {} if values is None else _given(call.arguments, values)
        site = Site(group, number, "", call.is_loop, step.site.via or places.get((group, number, "")))
        yield from _step_into(view, step, site, call, given)
        for name, hook in call.hooks.items():
            site = site._replace(hook=name, via=step.site.via or places.get((group, number, name)))
            own = {} if values is None else _given(hook.arguments, values)
            yield from _step_into(view, step, site, hook, own if hook.arguments else given)


def _numbered(template: Template) -> Iterator[tuple[int, int, Call]]:
    if isinstance(template.body, Steps):
        for group, calls in enumerate(template.body.groups):
            for number, call in enumerate(calls):
                yield group, number, call
    elif isinstance(template.body, Dag):
        for number, call in enumerate(template.body.tasks):
            yield 0, number, call


def _ways_out(view: View, template: Template) -> dict[tuple[int, int, str], Path]:
    """Where the calls (hook '') and hooks of an own template name templates of other documents."""
    if all(reference is None for _, reference in links_of(template)):
        return {}
    found: dict[tuple[int, int, str], Path] = {}
    for (group, number, call), site in zip(_numbered(template), view.calls_of(template), strict=True):
        for name, use in zip(("", *call.hooks), view.uses_of(site), strict=True):
            if use.reference is not None:
                found[group, number, name] = use.name_at
    return found


def _step_into(view: View, around: _Step, site: Site, holder: Call | Hook, arguments: _Values) -> Iterator[_Step]:
    """The template that a call or a hook leads to, if it is known."""
    key, reference = holder.template, holder.reference
    if reference is None:
        home = around.home if around.scope else _home(view, key)
        if site.via is None and not around.scope:
            site = site._replace(via=_way_out(view, key))
        yield around._replace(site=site, home=home, key=key, arguments=arguments)
        return
    spec = view.spec_of(reference)
    if spec is not None:
        yield around._replace(
            site=site,
            home=view.find(reference),
            scope=reference.scope,
            spec=spec,
            key=reference.template,
            arguments=arguments,
        )


def _given(arguments: tuple[Parameter, ...], values: _Values) -> dict[str, str]:
    """The values of arguments; what comes from elsewhere stays a tag."""
    return {p.name: known_text(f"{{{{inputs.parameters.{p.name}}}}}" if p.value is None else p.value, values) for p in arguments}


def workflow_values(spec: WorkflowSpec) -> dict[str, str]:
    """The workflow's parameters whose values are written down, by tag."""
    written = ((p.name, p.default if p.value is None else p.value) for p in spec.arguments if p.value_from is None)
    return {f"workflow.parameters.{name}": value for name, value in written if value is not None}


def _input_values(template: Template, arguments: _Values, given: _Values) -> dict[str, str]:
    """The template's inputs whose values are known, or known to be other tags."""
    found = {}
    for parameter in template.inputs:
        value = arguments.get(parameter.name)
        if value is None and parameter.value_from is None:
            value = parameter.default if parameter.value is None else parameter.value
            value = None if value is None else known_text(value, given)
        if value is not None:
            found[f"inputs.parameters.{parameter.name}"] = value
    return found


def known_text(text: str, values: _Values) -> str:
    """A text with the tags replaced whose values are known."""
    if "{{" not in text:
        return text
    try:
        return substitute(text, values, keep_unknown=True)
    except ManifestError:
        return text


def _key(view: View, lock: LockRef, values: _Values) -> str:
    return known_text(lock_key(lock, view.document.namespace), values)


def place_of(view: View, frame: Frame, key: str) -> tuple[Document, Path] | None:
    """The document and the path in it where a frame's lock is written; None in a document that is not at hand."""
    home = frame.home
    if not isinstance(home, Document) or home.spec is None:
        return None
    there = view if home is view.document else View(view.tree, home, home.spec)
    paths = there.lock_paths(frame.template)
    number = frame.keys.index(key)
    return (home, paths[number]) if number < len(paths) else None


def check_held(asks: Iterable[Ask]) -> None:
    """What an enclosing holder has already: no second unit is taken here, while under Argo it would be waited for."""
    told: set[tuple[Path, str]] = set()
    for ask in asks:
        frame, view = ask.frame, ask.view
        for key, lock in zip(frame.keys, frame.locks, strict=True):
            holder = ask.held.get(key)
            if holder is None or is_local(key) or (holder.home is frame.home is not view.document):
                continue
            path = _own_path(view, frame, key)
            if (path, key) in told:
                continue
            told.add((path, key))
            of = f' of template "{frame.key}"' if frame.home is not view.document else ""
            view.report(rules.LOCK_HELD, path, f"{lock_title(lock)}{of} is already held by {_who(view, holder, key)}: {_HELD}")


def _own_path(view: View, frame: Frame, key: str) -> Path:
    """Where a frame's lock stands in the own document, else where that leads to it."""
    found = place_of(view, frame, key)
    return found[1] if found is not None and found[0] is view.document else frame.site.via or view.at


def _who(view: View, holder: Frame, key: str) -> str:
    who = f'template "{holder.key}" around it' if holder.template is not None else "the workflow"
    found = place_of(view, holder, key)
    return f"{who} ({place_in(*found)})" if found is not None else who
