"""Reads what the views of past and structure need: earlier holds, who waits for whom, the record of claims, contradictions.

Nothing here writes. The statements about contradictions trust no index that a broken copy could have bent, and repair nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _sqlite3 import Row
    from typing import Any

    from reconciler.store.read import Reader

    Values = tuple[Any, ...]

_PAGE = 4000
_PAGES = 10  # no more than the latest 40,000 claims are looked at

# earlier holds -------------------------------------------------------------------------------------------------------------

_LAST_CLAIM = "SELECT max(id) FROM claim"
_SPANS = """
SELECT claim_lock.lock_id, (julianday(ifnull(claim_lock.let_go_at, claim.released_at)) - julianday(claim.granted_at)) * 86400.0
FROM claim_lock JOIN claim ON claim.id = claim_lock.claim_id
WHERE claim_lock.claim_id > :low AND claim_lock.claim_id <= :high AND claim_lock.state = 'released' AND claim_lock.nested = 0
  AND claim_lock.lock_id IN (SELECT value FROM json_each(:ids)) AND claim.granted_at IS NOT NULL
  AND claim_lock.units < 2147483647
ORDER BY claim_lock.claim_id DESC LIMIT :limit"""


def list_hold_spans(reader: Reader, ids: list[int], most: int) -> dict[int, list[float]]:
    """By lock id, how many seconds its latest ended holds took, latest first, at most `most`; locks without one are absent."""
    found: dict[int, list[float]] = {}
    wanted = set(ids)
    high = reader.number(_LAST_CLAIM) if wanted else 0
    for _ in range(_PAGES):
        if high <= 0 or not wanted:
            break
        low = high - _PAGE
        limit = most * len(wanted) if len(wanted) == 1 else -1
        for lock, seconds in reader.tuples(_SPANS, low=low, high=high, ids=str(list(wanted)), limit=limit):
            spans = found.setdefault(int(lock), [])
            if len(spans) < most:
                spans.append(max(0.0, round(seconds, 3)))
        wanted = {lock for lock in wanted if len(found.get(lock, ())) < most}
        high = low
    return found


_GRANTS = """
SELECT claim.requested_at, claim.granted_at, claim.released_at FROM claim_lock JOIN claim ON claim.id = claim_lock.claim_id
WHERE claim_lock.lock_id = :lock AND claim_lock.nested = 0 AND claim_lock.claim_id > :low AND claim.epoch IS NOT NULL
  AND claim_lock.units < 2147483647
ORDER BY claim.epoch DESC LIMIT :limit"""


def list_grants(reader: Reader, lock_id: int, most: int) -> list[tuple[str, str, str | None]]:
    """When the lock's latest claims were asked for, granted and released (None: not yet), the latest grant first.

    Only the latest claims of the home are looked through, as for `list_hold_spans`.
    """
    low = reader.number(_LAST_CLAIM) - _PAGES * _PAGE
    return reader.tuples(_GRANTS, lock=lock_id, low=low, limit=most)


_NEEDS_MORE = """
SELECT 1 FROM claim_lock AS waiter WHERE waiter.lock_id = :lock AND waiter.state = 'waiting' AND waiter.nested = 0
  AND (waiter.priority > :priority OR (waiter.priority = :priority
    AND (waiter.queue_order, waiter.claim_id) <= (:queue_order, :claim)))
  AND EXISTS (SELECT 1 FROM claim_lock AS other WHERE other.claim_id = waiter.claim_id AND other.lock_id <> :lock) LIMIT 1"""


def needs_more(reader: Reader, claim: Row) -> bool:
    """True if the claim, or one before it in the queue of the lock that the row names, needs another lock as well."""
    names = {"lock": claim["lock_id"], "claim": claim["claim_id"]}
    order = {"priority": claim["priority"], "queue_order": claim["queue_order"]}
    return reader.row(_NEEDS_MORE, **names, **order) is not None


_IDLE = """
SELECT run.id, run.suspended FROM run
WHERE run.id IN (SELECT value FROM json_each(:ids)) AND run.finished_at IS NULL
  AND (run.suspended = 1 OR EXISTS (SELECT 1 FROM node
    WHERE node.run_id = run.id AND node.finished_at IS NULL AND node.type = 'Suspend' AND node.phase = 'Running'
      AND node.wake_at IS NULL))
  AND NOT EXISTS (SELECT 1 FROM attempt WHERE attempt.run_id = run.id AND attempt.state IN ('intended', 'live'))
  AND (run.suspended = 1
    OR NOT EXISTS (SELECT 1 FROM attempt WHERE attempt.run_id = run.id AND attempt.state = 'queued'))
  AND NOT EXISTS (SELECT 1 FROM claim_lock WHERE claim_lock.run_id = run.id AND claim_lock.state = 'waiting')"""
_PAUSED_AT = """
SELECT id, parent_id, name, display, started_at FROM node
WHERE run_id = :run AND finished_at IS NULL AND type = 'Suspend' AND phase = 'Running' AND wake_at IS NULL ORDER BY id"""
_ABOVE = """
WITH RECURSIVE above (id) AS (SELECT :node UNION SELECT node.parent_id FROM above JOIN node ON node.id = above.id
  WHERE node.parent_id IS NOT NULL)
SELECT 1 FROM above WHERE id = :top"""


def find_idle(reader: Reader, runs: list[int]) -> dict[int, bool]:
    """Those of the runs in which nothing goes on before a person acts: True if the run itself is suspended, else a node is."""
    return {int(run): bool(suspended) for run, suspended in reader.tuples(_IDLE, ids=str(runs))} if runs else {}


def list_paused_nodes(reader: Reader, run_id: int) -> list[Row]:
    """The run's suspend nodes that no instant will end, by id."""
    return reader.rows(_PAUSED_AT, run=run_id)


def is_below(reader: Reader, node_id: int, top: int) -> bool:
    """True if a node is `top` or was made inside it."""
    return reader.row(_ABOVE, node=node_id, top=top) is not None


# who waits for whom --------------------------------------------------------------------------------------------------------

_PARTIES = """
SELECT claim_lock.claim_id, claim_lock.lock_id, claim_lock.nested, claim_lock.units,
  claim.run_id, claim.node_id, claim.level, claim.epoch,
  ifnull(claim.granted_at, claim.requested_at) AS since, run.namespace, run.name AS run, node.name AS node, node.display
FROM claim_lock JOIN claim ON claim.id = claim_lock.claim_id
  LEFT JOIN run ON run.id = claim.run_id LEFT JOIN node ON node.id = claim.node_id
"""
_HELD = _PARTIES + "WHERE claim_lock.state = 'held' ORDER BY claim_lock.lock_id, claim_lock.claim_id"
_WAITING = (
    _PARTIES
    + """WHERE claim_lock.state = 'waiting'
ORDER BY claim_lock.lock_id, claim_lock.priority DESC, claim_lock.queue_order, claim_lock.claim_id"""
)
_LOCKS = """
SELECT id, key, namespace, capacity, held_back FROM lock
WHERE id IN (SELECT lock_id FROM claim_lock WHERE state IN ('held', 'waiting')) ORDER BY key"""
_PARENTS = """
WITH RECURSIVE above (id, parent) AS (
  SELECT node.id, node.parent_id FROM claim_lock JOIN claim ON claim.id = claim_lock.claim_id JOIN node ON node.id = claim.node_id
  WHERE claim_lock.state = 'waiting'
  UNION SELECT node.id, node.parent_id FROM above JOIN node ON node.id = above.parent)
SELECT id, parent FROM above"""


def list_open_parties(reader: Reader) -> tuple[list[Row], list[Row]]:
    """Every lock that a claim holds, and every one that a claim waits for in the order of serving, turns inside holders too."""
    return reader.rows(_HELD), reader.rows(_WAITING)


def list_open_locks(reader: Reader) -> list[Row]:
    """The locks of those claims, by key."""
    return reader.rows(_LOCKS)


def list_enclosing(reader: Reader) -> dict[int, int | None]:
    """By node, the node that made it; of all nodes that wait and of those around them."""
    return dict(reader.tuples(_PARENTS))


def is_anybody_knotted(reader: Reader) -> bool:
    """True if some waiting claim was seen in a cycle; it may have come apart since."""
    return reader.row("SELECT 1 FROM claim WHERE state = 'waiting' AND knot > 0 LIMIT 1") is not None


def holds_anything(reader: Reader, run_id: int) -> bool:
    """True if the run or a node of it holds a lock."""
    return reader.row("SELECT 1 FROM claim_lock WHERE run_id = :run AND state = 'held' LIMIT 1", run=run_id) is not None


# the record of claims ------------------------------------------------------------------------------------------------------

_EVENTS = """
SELECT seq, at, kind, actor, namespace, run, detail_json FROM journal
WHERE kind IN ('claim.requested', 'claim.granted', 'claim.released', 'claim.withdrawn', 'claim.refused')
  AND (subject = :key OR instr(detail_json, :quoted) > 0)
ORDER BY seq"""
_OPEN_EVENTS = """
SELECT journal.seq, at, kind, actor, namespace, run, detail_json, json_group_array(lock.value) AS open_json
FROM journal, json_each(detail_json, '$.locks') AS lock
WHERE at <= :until AND kind IN ('claim.requested', 'claim.granted')
  AND (:key = '' OR subject = :key OR instr(detail_json, :quoted) > 0)
  AND (json_extract(detail_json, '$.claim'), lock.value) NOT IN (
    SELECT json_extract(detail_json, '$.claim'), gone.value FROM journal, json_each(detail_json, '$.locks') AS gone
    WHERE at <= :until AND kind IN ('claim.released', 'claim.withdrawn', 'claim.refused')
      AND (:key = '' OR subject = :key OR instr(detail_json, :quoted) > 0))
GROUP BY journal.seq ORDER BY journal.seq"""
_ENDERS = """
SELECT seq, at, kind, actor, detail_json FROM journal
WHERE namespace = :namespace AND run = :run AND seq <= :seq AND at >= :since AND kind IN ('holder.terminated', 'run.shutdown')
ORDER BY kind = 'holder.terminated' DESC, seq DESC LIMIT 1"""
_EDGES = "SELECT min(seq), (SELECT at FROM journal ORDER BY seq LIMIT 1) FROM journal"
_CLAIMS = """
SELECT claim.id AS claim, claim_lock.nested, claim.level, claim.state, claim.priority, claim.epoch, claim.requested_at,
  claim.granted_at, ifnull(claim_lock.let_go_at, claim.released_at) AS released_at, claim.release_reason,
  run.namespace, run.name AS run, node.name AS node, node.display
FROM claim_lock JOIN claim ON claim.id = claim_lock.claim_id
  LEFT JOIN run ON run.id = claim.run_id LEFT JOIN node ON node.id = claim.node_id
WHERE claim_lock.lock_id = (SELECT id FROM lock WHERE key = :key)"""
_TURNS = """
SELECT claim_lock.claim_id, lock.key, claim_lock.nested > 0 FROM claim_lock JOIN lock ON lock.id = claim_lock.lock_id
WHERE claim_lock.claim_id IN (SELECT value FROM json_each(:ids))"""
_CREATED = """
SELECT max(seq) FROM journal WHERE namespace = :namespace AND run = :run AND seq <= :seq AND kind = 'run.created'"""
_LIMIT = """
SELECT detail_json FROM journal WHERE subject = :key AND at <= :until AND kind = 'lock.limit' ORDER BY seq DESC LIMIT 1"""


def list_claim_events(reader: Reader, key: str, quoted: str) -> list[Row]:
    """What the record tells of the claims for a lock, oldest first.

    `quoted` is the key as the record's JSON has it: it may also stand in other values, which the caller has to tell.
    """
    return reader.rows(_EVENTS, key=key, quoted=quoted)


def list_open_events(reader: Reader, key: str, quoted: str, until: str) -> list[Row]:
    """How the claims that were open at an instant were asked for and granted; of one lock, or with `key` '' of all.

    `open_json` has the keys that were open: of several locks of a claim some may have been let go before.
    """
    return reader.rows(_OPEN_EVENTS, key=key, quoted=quoted, until=until)


def find_ender(reader: Reader, event: Row, since: str) -> Row | None:
    """The order, given between an instant and a row of the record, to end that row's run or its hold; or None."""
    return reader.row(_ENDERS, namespace=event["namespace"], run=event["run"], seq=event["seq"], since=since)


def find_record_start(reader: Reader) -> tuple[int, str]:
    """Number and instant of the record's first row; (0, '') if it is empty."""
    found = reader.tuples(_EDGES)
    return (int(found[0][0]), str(found[0][1])) if found and found[0][0] is not None else (0, "")


def list_claims_of_lock(reader: Reader, key: str) -> list[Row]:
    """Every claim for the lock whose run is not deleted, with run and node; `nested` ones took only a turn inside a holder."""
    return reader.rows(_CLAIMS, key=key)


def find_turns(reader: Reader, claims: list[int]) -> dict[tuple[int, str], bool]:
    """By claim and lock, whether it takes only a turn inside a holder; for those of the claims whose runs are not deleted."""
    return {(claim, key): bool(nested) for claim, key, nested in reader.tuples(_TURNS, ids=str(claims))}


def find_arrival(reader: Reader, namespace: str, run: str, seq: int) -> int:
    """The number of the record's row that tells of the run's making, the latest up to `seq`; 0 if there is none."""
    return reader.number(_CREATED, namespace=namespace, run=run, seq=seq)


def find_limit_at(reader: Reader, key: str, until: str) -> str:
    """The detail of the last change of a lock's limit up to an instant; '' if none is recorded."""
    found = reader.row(_LIMIT, key=key, until=until)
    return "" if found is None else str(found[0])
