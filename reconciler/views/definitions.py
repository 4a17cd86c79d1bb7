"""CronWorkflows, WorkflowTemplates and ConfigMaps as objects in Argo's shape and as rows of a list."""

from __future__ import annotations

import json

from reconciler.store import read_rest
from reconciler.views.clean import clean
from reconciler.views.instants import age, epoch_s, span, whole_seconds
from reconciler.views.table import fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _sqlite3 import Row
    from collections.abc import Mapping
    from typing import Any

    from reconciler.store.read import Reader

_POLICY = "lineclear.dev/concurrency-policy"
CRON_HEADER = ("NAME", "AGE", "LAST-RUN", "NEXT-RUN", "SCHEDULES", "TIMEZONE", "POLICY", "SUSPENDED")
HEADER = ("NAME", "AGE", "PLACE", "NOTE")


def definition_object(row: Row) -> dict[str, Any]:
    """The document as it is in Git, with its namespace, and where it is written as annotations."""
    body: dict[str, Any] = json.loads(row["body_json"])
    metadata = dict(body.get("metadata") or {})
    metadata["namespace"] = row["namespace"]
    metadata["creationTimestamp"] = whole_seconds(row["applied_at"])
    annotations = dict(metadata.get("annotations") or {})
    annotations["lineclear.dev/place"] = f"{row['path']}:{row['line']}"
    annotations["lineclear.dev/commit"] = row["commit_sha"]
    if row["stale"]:
        annotations["lineclear.dev/stale"] = row["stale"]
    metadata["annotations"] = annotations
    return {**body, "metadata": metadata}


def cron_object(reader: Reader, row: Row) -> dict[str, Any]:
    """The CronWorkflow with its status: active runs, last scheduled time, suspension by an operator as the spec has it."""
    shown = definition_object(row)
    spec = dict(shown.get("spec") or {})
    if row["suspended"] is not None:
        spec["suspend"] = bool(row["suspended"])
    kind = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow"}
    active = [
        {**kind, "namespace": run["namespace"], "name": run["name"], "uid": run["uid"]}
        for run in read_rest.list_active_runs(reader, row["namespace"], shown["metadata"]["name"])
    ]
    status: dict[str, Any] = {"active": active, "phase": "Active"}
    if row["last_run_at"]:
        status["lastScheduledTime"] = whole_seconds(row["last_run_at"])
    if row["next_at"]:
        status["nextScheduledTime"] = whole_seconds(row["next_at"])
    if row["stale"]:
        status["conditions"] = [{"type": "SpecError", "status": "True", "message": row["stale"]}]
    return {**shown, "spec": spec, "status": status}


def definition_row(row: Row, now_s: float) -> tuple[str, ...]:
    """The cells under HEADER."""
    note = f"its newest version is refused: {row['stale']}" if row["stale"] else ""
    return (row["name"], age(row["applied_at"], now_s), f"{row['path']}:{row['line']}", note)


def cron_row(row: Row, now_s: float) -> tuple[str, ...]:
    """The cells under CRON_HEADER."""
    body = json.loads(row["body_json"])
    spec = body.get("spec") or {}
    return (
        (body.get("metadata") or {}).get("name", ""),
        age(row["applied_at"], now_s),
        age(row["last_run_at"], now_s) or "N/A",
        until(row["next_at"], now_s) or "N/A",
        ", ".join(schedules_of(spec)),
        str(spec.get("timezone") or "-"),
        policy_of(body),
        suspended_text(row, spec),
    )


def cron_text(reader: Reader, row: Row, now_s: float) -> str:
    """One CronWorkflow for people."""
    body = json.loads(row["body_json"])
    spec = body.get("spec") or {}
    name = (body.get("metadata") or {}).get("name", "")
    active = read_rest.list_active_runs(reader, row["namespace"], name)
    parameters = ((spec.get("workflowSpec") or {}).get("arguments") or {}).get("parameters") or []
    text = fields(
        [
            ("Name", name),
            ("Namespace", row["namespace"]),
            ("Place", f"{row['path']}:{row['line']}"),
            ("Created", f"{whole_seconds(row['applied_at'])} ({age(row['applied_at'], now_s)} ago)"),
            ("Schedules", ", ".join(schedules_of(spec))),
            ("Timezone", str(spec.get("timezone") or "")),
            ("Suspended", suspended_text(row, spec)),
            ("StartingDeadline", f"{spec['startingDeadlineSeconds']}s" if spec.get("startingDeadlineSeconds") else ""),
            ("ConcurrencyPolicy", policy_of(body)),
            ("LastScheduledTime", whole_seconds(row["last_run_at"]) or "N/A"),
            ("NextScheduledTime", _next(row, now_s)),
            ("Active Workflows", ", ".join(run["name"] for run in active)),
            ("Stale", row["stale"]),
        ]
    )
    if parameters:
        text += "Workflow Parameters:\n" + "".join(clean(f"  {p.get('name')}: {p.get('value')}") + "\n" for p in parameters)
    return text


def policy_of(body: Mapping[str, Any]) -> str:
    """The concurrency policy that a CronWorkflow asks for: in its spec, else by annotation; that of a template is not seen."""
    spec = body.get("spec") or {}
    inner = spec.get("workflowSpec") or {}
    places = (spec.get("workflowMetadata"), inner.get("workflowMetadata"), body.get("metadata"))
    notes = ((place or {}).get("annotations") or {} for place in places)
    said = (one[_POLICY] for one in notes if one.get(_POLICY))
    return str(spec.get("concurrencyPolicy") or next(said, "Allow"))


def schedules_of(spec: dict[str, Any]) -> list[str]:
    """The schedules, in the present spelling or the legacy one."""
    given = spec.get("schedules") or []
    return [str(one) for one in given] if given else [str(spec.get("schedule") or "")]


def suspended_text(row: Row, spec: dict[str, Any]) -> str:
    """Whether it is suspended, and whether an operator said so against the definition."""
    written = bool(spec.get("suspend"))
    if row["suspended"] is None:
        return str(written).lower()
    now = bool(row["suspended"])
    return f"{str(now).lower()} (by an operator; Git says {str(written).lower()})" if now != written else str(now).lower()


def until(instant: str | None, now_s: float) -> str:
    """The span from now to an instant; '' for None."""
    return "" if instant is None else span(epoch_s(instant) - now_s)


def _next(row: Row, now_s: float) -> str:
    return f"{whole_seconds(row['next_at'])} (in {until(row['next_at'], now_s)})" if row["next_at"] else "N/A"
