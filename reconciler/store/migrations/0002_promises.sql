-- What the promises need that 0.1.0 did not keep. A row that was there before counts as what its defaults say.

-- Proof of death: an attempt of which nobody can tell whether its processes live.
ALTER TABLE attempt ADD COLUMN reserved INTEGER NOT NULL DEFAULT 0 CHECK (reserved IN (0, 1));  -- its record was made before this row said so
ALTER TABLE attempt ADD COLUMN unknown_at TEXT;                 -- since when nothing would prove its end; NULL: its end will be told
ALTER TABLE attempt ADD COLUMN unknown TEXT NOT NULL DEFAULT '';  -- why, and the processes that were seen last
CREATE INDEX attempt_unknown ON attempt (run_id) WHERE unknown_at IS NOT NULL AND state IN ('intended', 'live');

CREATE TABLE notice_anew (                      -- as notice, with the kinds that came since
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  kind        TEXT NOT NULL CHECK (kind IN (
                'held-for-a-failure', 'holder-unknown', 'overdue', 'cycle', 'queue-full', 'sync-failed', 'cron-error', 'disk-low',
                'machine')),
  key         TEXT NOT NULL,                   -- the occurrence: it is told once
  at          TEXT NOT NULL,
  detail_json TEXT NOT NULL DEFAULT '{}',
  state       TEXT NOT NULL CHECK (state IN ('waiting', 'sent', 'given-up')),
  tries       INTEGER NOT NULL DEFAULT 0,
  tried_at    TEXT,                            -- the first try
  next_at     TEXT,
  done_at     TEXT,
  problem     TEXT NOT NULL DEFAULT '',        -- of the last try
  CHECK ((state = 'waiting') = (next_at IS NOT NULL)),
  CHECK ((state = 'waiting') = (done_at IS NULL))
) STRICT;
INSERT INTO notice_anew SELECT * FROM notice;
DELETE FROM sqlite_sequence WHERE name = 'notice_anew';
INSERT INTO sqlite_sequence (name, seq) SELECT 'notice_anew', seq FROM sqlite_sequence WHERE name = 'notice';
DROP TABLE notice;
ALTER TABLE notice_anew RENAME TO notice;
CREATE UNIQUE INDEX notice_once ON notice (kind, key);
CREATE INDEX notice_waiting ON notice (next_at, id) WHERE state = 'waiting';
CREATE INDEX notice_done ON notice (done_at) WHERE done_at IS NOT NULL;

-- What a run of ten thousand nodes needs: its work in slices, and each question about it answered from an index.

CREATE TABLE slice (                           -- what is left to do of a run whose decision was too large for one tick
  run_id     INTEGER PRIMARY KEY REFERENCES run (id) ON DELETE CASCADE,
  later_json TEXT NOT NULL DEFAULT '[]',       -- names of nodes to take up again, in that order; none of them may end before
  below      TEXT,                             -- then: unfinished nodes whose names sort before this; NULL: they were looked at
  ends       INTEGER NOT NULL DEFAULT 0 CHECK (ends IN (0, 1)),  -- they are being ended: nothing starts, no lock goes, until done
  CHECK (later_json <> '[]' OR below IS NOT NULL)
) STRICT;

ALTER TABLE node ADD COLUMN made INTEGER NOT NULL DEFAULT 0;  -- of a group: how many of its calls and turns, in order, have nodes
DROP INDEX node_children;  -- it left the roots out, and so could not serve the foreign key: each node that went looked at all others
CREATE INDEX node_children ON node (parent_id);
CREATE INDEX node_bad ON node (run_id, parent_id) WHERE phase IN ('Failed', 'Error');

ALTER TABLE attempt ADD COLUMN cpu_ms INTEGER;     -- processor time of all its processes; NULL: unknown
ALTER TABLE attempt ADD COLUMN memory_kb INTEGER;  -- the most that one of its processes had; NULL: unknown
