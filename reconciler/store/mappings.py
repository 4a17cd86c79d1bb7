"""Where InfrastructureDefinitions led: one row for each service and place that a run has asked for."""

from __future__ import annotations

import json

from reconciler.model.state import InfraMapping, LockId
from reconciler.store.writer import Writer

_RECORD = (
    "INSERT INTO mapping (namespace, definition, lock_id, service, fields_json, first_at, last_at)"
    " VALUES (:namespace, :definition, :lock, :service, :fields, :now, :now)"
    " ON CONFLICT DO UPDATE SET last_at = excluded.last_at, deployments = deployments + 1"
)


def record(writer: Writer, lock_id: LockId, namespace: str, mapping: InfraMapping) -> None:
    """Notes that a deployment asks for this place; a new one is told in the record."""
    values = {
        "namespace": namespace,
        "definition": mapping.definition,
        "lock": lock_id,
        "service": mapping.service,
        "fields": json.dumps(dict(mapping.fields)),
        "now": writer.now,
    }
    sql = "SELECT 1 FROM mapping WHERE namespace = ? AND definition = ? AND lock_id = ?"
    if writer.db.execute(sql, (namespace, mapping.definition, lock_id)).fetchone() is None:
        detail = {"service": mapping.service, "fields": dict(mapping.fields)}
        writer.journal("infrastructure.mapped", namespace=namespace, subject=mapping.definition, detail=detail)
    writer.db.execute(_RECORD, values)
