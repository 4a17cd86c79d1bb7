"""How many nodes a run will surely have, where its templates say it: beyond the bounds of a run, that is told before it runs.

Owns the count. It never follows other documents, and what a condition, an expression or a parameter decides counts as little as
it can: a run may have many more nodes than are counted here, and is then ended by its bound.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from reconciler.lint.scope import View, calls_in
from reconciler.manifest import rules
from reconciler.model.spec import Call, Sequence, Steps, Template
from reconciler.workflow.bounds import Rules

USUAL = Rules()  # lint knows no settings
_MOST = 10**12  # as many as anybody counts


def check_size(view: View) -> None:
    """Loops with more items than one may have, and an entrypoint that surely leads to more nodes than a run may have."""
    for template in view.own.templates.values():
        for site in view.calls_of(template):
            if (turns := turns_of(site.call)) > USUAL.loop_items:
                where = "withItems" if site.call.items is not None else "withSequence"
                bound = f"one may have {USUAL.loop_items:,} unless the setting limits.loop_items says more"
                view.report(rules.MANY_NODES, (*site.path, where), f"the loop has {turns:,} items; {bound}")
    if not view.own.entrypoint:
        return
    nodes = least_nodes(view.effective.templates, view.own.entrypoint)
    if nodes > USUAL.nodes:
        bound = f"one may have {USUAL.nodes:,} unless the setting limits.nodes says more"
        view.report(rules.MANY_NODES, (*view.at, "entrypoint"), f"a run makes at least {nodes:,} nodes; {bound}")


def turns_of(call: Call) -> int:
    """How often a call is surely made: once, or as often as its loop has items; 0 where that is not written down."""
    if call.items is not None:
        return len(call.items)
    if call.sequence is not None:
        return _length_of(call.sequence)
    return 0 if call.is_loop else 1


def _length_of(sequence: Sequence) -> int:
    try:
        if sequence.count:
            return max(0, int(sequence.count))
        return abs(int(sequence.end) - int(sequence.start or "0")) + 1 if sequence.end else 0
    except ValueError:  # a tag, or what another rule tells
        return 0


def least_nodes(templates: Mapping[str, Template], start: str) -> int:
    """The nodes that a call of `start` surely makes if all goes well, at most `_MOST`. A circle is gone round once."""
    known: dict[str, int] = {}
    path: list[tuple[Template, Iterator[Call]]] = []
    waiting: str | None = start
    while waiting is not None or path:
        if waiting is not None:
            known[waiting] = 1  # until it is counted, or for good if it is not known
            if (found := templates.get(waiting)) is not None:
                path.append((found, _sure_calls(found)))
        template, calls = path[-1] if path else (None, iter(()))
        waiting = next((call.template for call in calls if call.template not in known), None)
        if waiting is None and template is not None:
            path.pop()
            known[template.name] = _count(template, known)
    return known[start]


def _sure_calls(template: Template) -> Iterator[Call]:
    return (call for call in calls_in(template) if call.reference is None and not call.when and turns_of(call))


def _count(template: Template, known: Mapping[str, int]) -> int:
    nodes = 1 + (template.retry is not None) + (len(template.body.groups) if isinstance(template.body, Steps) else 0)
    for call in calls_in(template):
        turns = turns_of(call)
        below = 1 if call.when or call.reference is not None else known.get(call.template, 1)
        nodes += call.is_loop + turns * below
    return min(nodes, _MOST)
