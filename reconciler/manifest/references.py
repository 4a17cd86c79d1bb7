"""What a spec names: templates of other documents, locks, and calls whose standard output somebody reads.

Owns the finding only. It never looks a document up.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from reconciler.model.locks import LockRef
from reconciler.model.source import Identity
from reconciler.model.spec import Call, Dag, Document, Hook, Kind, Steps, Template, TemplateRef, WorkflowSpec


def _part(name: str) -> str:
    """A field access in JSON text: `.name`, `?.name`, `['name']` or `["name"]`, its quotes escaped any number of times."""
    quote = r"""\\*["']"""
    return rf"(?:\??\.{name}|(?:\?\.)?\[\s*{quote}{name}{quote}\s*\])"


_RESULT = re.compile(
    r"(?<![-\w])(?:steps|tasks)"
    r"""(?:\??\.([-\w]+)|(?:\?\.)?\[\s*\\*["']([-\w]+)\\*["']\s*\])"""
    + _part("outputs")
    + _part("result")
    + r"(?![-\w])"
)


def find_result_calls(body: Any) -> frozenset[str]:
    """Names of the steps and tasks whose `outputs.result` is read anywhere in plain data."""
    text = json.dumps(body)
    if "outputs" not in text or "result" not in text:
        return frozenset()
    return frozenset(dotted or quoted for dotted, quoted in _RESULT.findall(text))


def hooks_of(spec: WorkflowSpec) -> dict[str, Hook]:
    """What a spec starts besides its entrypoint, by name: the exit handler (`exit`) and the other hooks."""
    return {**({"exit": spec.on_exit} if spec.on_exit is not None else {}), **spec.hooks}


def references_of(spec: WorkflowSpec) -> tuple[TemplateRef, ...]:
    """Every template of another document that the spec's templates and hooks name: each once, in the order of writing."""
    found: dict[TemplateRef, None] = {}
    for hook in hooks_of(spec).values():
        if hook.reference is not None:
            found[hook.reference] = None
    for template in spec.templates.values():
        for call in calls_in(template):
            for holder in _holders(call):
                if holder.reference is not None:
                    found[holder.reference] = None
    return tuple(found)


def calls_in(template: Template) -> Iterator[Call]:
    """The steps or tasks of a template."""
    if isinstance(template.body, Steps):
        for group in template.body.groups:
            yield from group
    elif isinstance(template.body, Dag):
        yield from template.body.tasks


def _holders(call: Call) -> Iterator[Call | Hook]:
    yield call
    yield from call.hooks.values()


def named_templates(document: Document) -> tuple[Identity, ...]:
    """Kind, namespace and name of every template document that a document names, each once, in order.

    The namespaced ones that a ClusterWorkflowTemplate names are those of whoever uses it: they are left out.
    """
    if document.spec is None:
        return ()
    named = [(document.spec.template_ref_cluster, document.spec.template_ref)] if document.spec.template_ref else []
    named += [(reference.cluster, reference.name) for reference in references_of(document.spec)]
    found = [
        (Kind.CLUSTER_TEMPLATE.value, "", name) if cluster else (Kind.WORKFLOW_TEMPLATE.value, document.namespace, name)
        for cluster, name in named
        if cluster or document.namespace
    ]
    return tuple(dict.fromkeys(found))


def lock_key(lock: LockRef, namespace: str) -> str:
    """A lock's key as it is written, spaces inside braces gone: `default/Mutex/deploy-{{workflow.parameters.x}}`."""
    key = f"{lock.namespace or namespace}/{lock.kind.value}/{lock.written}"
    return "}}".join(_tight(part) for part in key.split("}}")) if "{{" in key else key


def _tight(part: str) -> str:
    before, braces, tag = part.partition("{{")
    return before + braces + tag.strip()


def named_locks(document: Document) -> Mapping[str, int]:
    """The keys of the locks that a document names, with how often; a ClusterWorkflowTemplate's have no namespace."""
    spec = document.spec
    if spec is None:
        return {}
    locks = list(spec.locks)
    for template in spec.templates.values():
        if template.locks:
            locks += template.locks
    return Counter(lock_key(lock, document.namespace) for lock in locks) if locks else {}
