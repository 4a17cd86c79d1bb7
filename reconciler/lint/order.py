"""Checks of what comes after what: dependencies, the expressions of `depends`, targets, circles and calls without an end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter

from reconciler.lint import rules
from reconciler.lint.scope import Path, View, calls_in
from reconciler.model.spec import Call, Dag, Program, Suspend, Template


def check_order(view: View) -> None:
    """All checks of the order of one spec's own calls."""
    has_calls = False
    for template in view.own.templates.values():
        has_calls = has_calls or not isinstance(template.body, Program | Suspend)
        if isinstance(template.body, Dag):
            _check_dag(view, template, template.body)
    if has_calls and not view.is_partial:
        _check_recursion(view)


def _check_dag(view: View, template: Template, dag: Dag) -> None:
    tasks = dag.by_name
    graph: dict[str, list[str]] = {}
    paths: dict[str, Path] = {}
    for site in view.calls_of(template):
        task = site.call
        paths[task.name] = site.path
        after: list[tuple[str, Path]] = []
        if task.depends:
            place = (*site.path, "depends")
            after = [(name, place) for name in _read_depends(view, task.depends, place)]
        else:
            after = [(name, (*site.path, "dependencies", number)) for number, name in enumerate(task.dependencies)]
        for name, path in after:
            if name not in tasks:
                advice = view.advice(name, tasks, "define it")
                view.report(rules.NO_DEPENDENCY, path, f'task "{task.name}" depends on "{name}", which does not exist; {advice}')
        graph[task.name] = [name for name, _ in after if name in tasks]
    for name in dag.target.split() if "{{" not in dag.target else ():
        if name not in tasks:
            message = f'target "{name}" is no task of this dag; {view.advice(name, tasks, "define it")}'
            view.report(rules.NO_DEPENDENCY, (*view.path_of(template), "dag", "target"), message)
    cycle = _find_cycle(graph)
    if cycle:
        field = "depends" if tasks[cycle[0]].depends else "dependencies"
        message = f"tasks wait for each other: {' -> '.join(cycle)}; remove one of these dependencies"
        view.report(rules.DEPENDENCY_CYCLE, (*paths[cycle[0]], field), message, on_key=True)


def _read_depends(view: View, text: str, path: Path) -> tuple[str, ...]:
    """The tasks that an expression names; none if it cannot be read, which is told."""
    from reconciler.expr.depends import parse_depends
    from reconciler.expr.errors import ExpressionError

    try:
        return tuple(parse_depends(text).tasks)
    except ExpressionError as error:
        view.report(rules.EXPRESSION, path, str(error))
        return ()


def _find_cycle(graph: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """The names of one circle, its alphabetically first name at both ends; () if there is none."""
    if not any(graph.get(name) for names in graph.values() for name in names):
        return ()  # nothing leads further than one step
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        ring: list[str] = error.args[1][:-1][::-1]  # graphlib tells it against the arrows
        start = ring.index(min(ring))
        return (*ring[start:], *ring[:start], ring[start])
    return ()


def _check_recursion(view: View) -> None:
    """Templates that call each other, and nothing on the way can keep one from being called again."""
    templates = view.own.templates
    graph = {
        name: [call.template for call in _certain(template) if call.reference is None and call.template in templates]
        for name, template in templates.items()
    }
    cycle = _find_cycle(graph)
    if cycle:
        outer = templates[cycle[0]]
        site = next(site for site in view.calls_of(outer) if site.call.template == cycle[1])
        place = "inline" if templates[cycle[1]].is_inline else "template"
        message = f"templates call each other and no condition ends it: {' -> '.join(cycle)}; add a when to one of these calls"
        view.report(rules.RECURSION, (*site.path, place), message)


def _certain(template: Template) -> Iterator[Call]:
    """The calls that are made whenever all before them succeed."""
    return (call for call in calls_in(template) if not (call.when or call.is_loop or call.depends))
