"""How the rows say that nothing proves a process' end: one wording, as SQL, for every reader."""

from __future__ import annotations

HOLDER_UNKNOWN = "holder unknown"
_IS = "unknown_at IS NOT NULL AND state IN ('intended', 'live')"  # as the index `attempt_unknown` has it
_SINCE = f"'{HOLDER_UNKNOWN} since ' || substr(unknown_at, 1, 19) || 'Z: '"

OF_NODE = f"SELECT {_SINCE} || unknown FROM attempt WHERE attempt.node_id = node.id AND {_IS}"
OF_RUN = f"SELECT {_SINCE} || unknown FROM attempt WHERE attempt.run_id = run.id AND {_IS} ORDER BY id LIMIT 1"
OF_CLAIM = f"""
SELECT 'of its step ' || ifnull(nullif(ltrim(inside.name, '.'), ''), inside.display) || ' since '
    || substr(unknown_at, 1, 19) || 'Z: ' || unknown
  FROM attempt JOIN node AS inside ON inside.id = attempt.node_id
  WHERE attempt.run_id = claim.run_id AND {_IS} AND (claim.node_id IS NULL OR inside.id = claim.node_id
    OR substr(inside.name, 1, length(node.name) + 1) IN (node.name || '.', node.name || '[', node.name || '('))
  ORDER BY attempt.id LIMIT 1"""
NODE_MESSAGE = f"ifnull(({OF_NODE}), node.message) AS message"
RUN_MESSAGE = f"CASE WHEN finished_at IS NULL THEN ifnull(({OF_RUN}), message) ELSE message END AS message"
COUNT = f"SELECT count(*) FROM attempt WHERE {_IS}"
LIST = """
SELECT run.namespace, run.name AS run, ifnull(nullif(ltrim(node.name, '.'), ''), ifnull(node.display, '')) AS step,
  substr(unknown_at, 1, 19) || 'Z' AS since, unknown AS why
FROM attempt JOIN run ON run.id = attempt.run_id LEFT JOIN node ON node.id = attempt.node_id
WHERE unknown_at IS NOT NULL AND attempt.state IN ('intended', 'live') ORDER BY attempt.id"""
