"""The page about every field: made from the schema's own tables, so that it says what the reader does.

Owns the page's wording and order. It never reads a manifest.
"""

from __future__ import annotations

from reconciler.manifest import schema
from reconciler.manifest.schema import Shape

_ORDER = (
    ("Any document", (schema.DOCUMENT, schema.METADATA)),
    (
        "A workflow's spec",
        (
            schema.WORKFLOW_SPEC,
            schema.WORKFLOW_METADATA,
            schema.TEMPLATE_REF,
            schema.TTL,
            schema.TEMPLATE_DEFAULTS,
            schema.ARGUMENTS,
        ),
    ),
    ("A template", (schema.TEMPLATE, schema.TEMPLATE_METADATA, schema.RETRY, schema.BACKOFF, schema.SUSPEND)),
    ("Steps and tasks", (schema.STEP, schema.TASK, schema.DAG)),
    ("Parts of a call", (schema.REFERENCE, schema.HOOK, schema.CONTINUE_ON, schema.SEQUENCE)),
    ("Parameters", (schema.INPUTS, schema.OUTPUTS, schema.PARAMETER, schema.VALUE_FROM)),
    ("Containers and scripts", (schema.CONTAINER, schema.SCRIPT, schema.ENV_VAR, schema.ENV_SOURCE, schema.SECRET_KEY)),
    ("Locks", (schema.SYNCHRONIZATION, schema.MUTEX, schema.SEMAPHORE, schema.CONFIG_KEY, schema.DATABASE_KEY)),
    ("Other kinds", (schema.CRON_SPEC, schema.CONFIG_MAP)),
    ("Kinds of lineclear.dev", (schema.LOCK_POLICY, schema.FREEZE, schema.INFRASTRUCTURE, schema.CONSTRAINT)),
)
_HEAD = """\
# Fields

Every field of Argo's format that may stand in a document of ours, and what becomes of it. *Yes*: it does what it does in
Argo. *Ignored*: accepted, and lint says so; the reason is that it makes sense only in a pod, unless another is given.
*Refused*: it would change the outcome and is not supported; the message names file, line, column and what to do instead. A
field that is in no table does not exist in the format, and is refused as such. What the fields mean here is in
[manifests](manifests.md). This page is made from the reader's own tables by `make docs`.
"""


def fields_page() -> str:
    """The text of docs/reference/fields.md."""
    parts = [_HEAD]
    for title, shapes in _ORDER:
        parts.append(f"\n## {title}\n")
        parts += [_table(shape) for shape in shapes]
    return "".join(parts)


def shapes_shown() -> frozenset[int]:
    """Ids of the tables that the page has."""
    return frozenset(id(shape) for _, shapes in _ORDER for shape in shapes)


def _table(shape: Shape) -> str:
    rows = [(name, "yes", "") for name in shape.supported]
    rows += [(name, "ignored", shape.reasons.get(name, "")) for name in shape.ignored]
    rows += [(name, "refused", advice) for name, advice in shape.refused.items()]
    lines = [f"| `{name}` | {state} | {note} |" for name, state, note in sorted(rows)]
    return f"\n### {shape.what[:1].upper()}{shape.what[1:]}\n\n| field | | |\n|---|---|---|\n" + "\n".join(lines) + "\n"
