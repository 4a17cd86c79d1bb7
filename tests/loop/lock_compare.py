"""What the store says beside what the model says, and what must be so whatever the model says."""

PHASES = {"new": "Pending", "asking": "Pending", "on": "Running", "good": "Succeeded", "bad": "Failed"}
CROWDED = (
    "SELECT l.key FROM claim_lock cl JOIN lock l ON l.id = cl.lock_id WHERE cl.state = 'held' AND cl.nested = 0"
    " AND l.kind = 'Mutex' GROUP BY l.key HAVING count(*) > 1"
)
TORN = (  # of a held claim some locks may be gone, and then others are not
    "SELECT c.id FROM claim c JOIN claim_lock cl ON cl.claim_id = c.id WHERE c.state <> cl.state AND NOT"
    " (c.state = 'held' AND cl.state = 'released'"
    " AND EXISTS (SELECT 1 FROM claim_lock o WHERE o.claim_id = c.id AND o.state = 'held'))"
)
FREED = (
    "SELECT j.seq, c.level, r.finished_at, n.finished_at, n.id, r.id FROM journal j"
    " JOIN claim c ON c.id = json_extract(j.detail_json, '$.claim')"
    " LEFT JOIN run r ON r.id = c.run_id LEFT JOIN node n ON n.id = c.node_id"
    " WHERE j.kind = 'claim.released' AND j.seq > ?"
    " AND NOT (j.actor <> '' AND json_extract(j.detail_json, '$.reason') LIKE 'retried: %')"  # it asks for all of them again
)
HALF = "SELECT r.name, n.name FROM node n JOIN run r ON r.id = n.run_id WHERE r.finished_at IS NOT NULL AND n.finished_at IS NULL"
TWICE = "SELECT node_id FROM attempt WHERE state IN ('intended', 'live') GROUP BY node_id HAVING count(*) > 1"


def same(what, found, expected):
    assert found == expected, f"{what}: found {found}, expected {expected}"


def compare(model, world):
    """Holders, queues, phases and processes are the model's."""
    same("holders", world.holders(), expected(model, held=True))
    same("queues", world.queue(), expected(model, held=False))
    phases = {name: "Failed" if phase == "Error" else phase for name, phase in world.rows("SELECT name, phase FROM run")}
    same("phases", phases, {job.name: PHASES[job.state] for job in model.jobs.values()})
    same("processes", sorted(world.running()), sorted((x.job.name, x.name) for x in model.processes()))


def expected(model, *, held):
    found = {}
    for claim in sorted((c for c in model.locks.claims if c.held is held), key=lambda c: c.rank):
        who = claim.job.name if claim.owner is claim.job else f"{claim.job.name}{claim.owner.name}/"
        for lock, under in claim.units:
            if under is None:
                found.setdefault(lock, []).append(who)
    return {lock: sorted(names) if held else names for lock, names in found.items()}


def check_rows(world, seen=0):
    """The promises that need no model; `seen` is the last journal row that was looked at. Returns the last one now."""
    same("mutexes with two holders", world.rows(CROWDED), [])
    same("claims that differ from their copies", world.rows(TORN), [])
    same("nodes with two processes", world.rows(TWICE), [])
    for seq, level, run_end, node_end, node, run in world.rows(FREED, seen):
        gone = run is None or (level == "node" and node is None)
        assert gone or (node_end if level == "node" else run_end), f"journal row {seq} lets a live holder's lock go"
    same("unfinished nodes of ended runs", world.rows(HALF), [])
    return world.one("SELECT ifnull(max(seq), 0) FROM journal")[0]
