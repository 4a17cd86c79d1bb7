BEGIN TRANSACTION;
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
INSERT INTO "_sqlite_migrations" VALUES(1,'lineclear','0001_initial.sql','2026-12-01 01:53:08.146418+00:00');
CREATE TABLE attempt (                         -- one process of a Pod node, started at most once
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  run_id      INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
  node_id     INTEGER NOT NULL UNIQUE REFERENCES node (id) ON DELETE CASCADE,
  state       TEXT NOT NULL CHECK (state IN ('queued', 'intended', 'live', 'exited', 'lost', 'revoked')),
  priority    INTEGER NOT NULL DEFAULT 0,
  queue_order INTEGER NOT NULL,
  boot_id     TEXT NOT NULL DEFAULT '',
  pid         INTEGER,
  stop        TEXT NOT NULL DEFAULT '' CHECK (stop IN ('', 'stop', 'kill')),
  stop_at     TEXT,
  exit_code   INTEGER,
  signal      INTEGER,
  outputs_json TEXT NOT NULL DEFAULT '{}',    -- as node.outputs_json, read from its files at its end
  problem     TEXT NOT NULL DEFAULT '',       -- why an output could not be read
  queued_at   TEXT NOT NULL,
  intended_at TEXT,
  finished_at TEXT,
  CHECK ((state IN ('exited', 'lost', 'revoked')) = (finished_at IS NOT NULL))
) STRICT;
INSERT INTO "attempt" VALUES(1,1,1,'live',0,1,'14e563c8-309e-4faf-b44f-b0a7c4d7b7bc',2871,'',NULL,NULL,NULL,'{}','','2026-12-01T01:53:08.664208Z','2026-12-01T01:53:08.664208Z',NULL);
INSERT INTO "attempt" VALUES(2,2,2,'exited',0,2,'14e563c8-309e-4faf-b44f-b0a7c4d7b7bc',NULL,'',NULL,3,NULL,'{}','','2026-12-01T01:53:08.664208Z','2026-12-01T01:53:08.664208Z','2026-12-01T01:53:08.672726Z');
CREATE TABLE barrier (                         -- a run of a pipeline run, at a barrier that others of it have too
  id       INTEGER PRIMARY KEY,
  pipeline INTEGER NOT NULL,                  -- the pipeline run: the id of its first run
  name     TEXT NOT NULL,                     -- the barrier's own id, as it is annotated
  run_id   INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
  node_id  INTEGER,                           -- the node that waits there
  state    TEXT NOT NULL CHECK (state IN ('absent', 'arrived', 'reached', 'passed', 'failed')),
  message  TEXT NOT NULL DEFAULT '',          -- why it failed, or who let it pass
  knot     INTEGER NOT NULL DEFAULT 0,        -- as claim.knot
  CHECK (state <> 'arrived' OR node_id IS NOT NULL)
) STRICT;
CREATE TABLE claim (                           -- one request for one or more locks; all or none
  id             INTEGER PRIMARY KEY AUTOINCREMENT,
  run_id         INTEGER NOT NULL,
  node_id        INTEGER,                     -- NULL: workflow level or policy
  level          TEXT NOT NULL CHECK (level IN ('run', 'node', 'policy')),
  state          TEXT NOT NULL CHECK (state IN ('waiting', 'held', 'released')),
  priority       INTEGER NOT NULL DEFAULT 0,
  queue_order    INTEGER NOT NULL,
  epoch          INTEGER UNIQUE,
  requested_at   TEXT NOT NULL,
  granted_at     TEXT,
  overdue_at     TEXT,                        -- when to ask whether its hold takes longer than others did; NULL: not to be asked
  released_at    TEXT,
  release_reason TEXT NOT NULL DEFAULT '',
  wait_until     TEXT,                        -- a wait beyond this is refused
  overtaken      INTEGER NOT NULL DEFAULT 0,  -- how many later claims have passed it
  knot           INTEGER NOT NULL DEFAULT 0,  -- the oldest waiting claim of those that were seen to wait for one another
  CHECK ((state = 'waiting') = (granted_at IS NULL AND released_at IS NULL)),
  CHECK ((state = 'released') = (released_at IS NOT NULL)),
  CHECK ((epoch IS NULL) = (granted_at IS NULL)),
  CHECK ((level = 'node') = (node_id IS NOT NULL))
) STRICT;
INSERT INTO "claim" VALUES(1,1,NULL,'run','held',0,1,1,'2026-12-01T01:53:08.664208Z','2026-12-01T01:53:08.664208Z',NULL,NULL,'',NULL,0,0);
INSERT INTO "claim" VALUES(2,2,NULL,'run','held',0,2,2,'2026-12-01T01:53:08.664208Z','2026-12-01T01:53:08.664208Z',NULL,NULL,'',NULL,0,0);
INSERT INTO "claim" VALUES(3,3,NULL,'run','waiting',0,3,NULL,'2026-12-01T01:53:08.721552Z',NULL,NULL,NULL,'',NULL,0,0);
CREATE TABLE claim_lock (
  claim_id    INTEGER NOT NULL REFERENCES claim (id) ON DELETE CASCADE,
  lock_id     INTEGER NOT NULL REFERENCES lock (id),
  nested      INTEGER NOT NULL DEFAULT 0 CHECK (nested >= 0),  -- the claim of the ancestor that holds it: takes no unit, only a turn
  mutex       INTEGER NOT NULL CHECK (mutex IN (0, 1)),
  node_level  INTEGER NOT NULL DEFAULT 0 CHECK (node_level IN (0, 1)),
  template    TEXT NOT NULL,                  -- the name as written
  resolved_json TEXT NOT NULL DEFAULT '[]',   -- [[tag, value], ...] that made the name
  units       INTEGER NOT NULL DEFAULT 1 CHECK (units > 0),  -- 2147483647: a maintenance hold, which takes the lock whole
  thaws       INTEGER NOT NULL DEFAULT 0 CHECK (thaws IN (0, 1)),  -- it is let in although the lock is frozen
  due_at      TEXT,                           -- when something happens to a hold of it:
  due_what    TEXT NOT NULL DEFAULT '' CHECK (due_what IN ('', 'alarm', 'end', 'release')),
  let_go_at   TEXT,                           -- when it was released while the claim kept others; NULL: with the claim
  -- copies of the claim's own columns, so that one index is the queue; written by the same statements only
  state       TEXT NOT NULL CHECK (state IN ('waiting', 'held', 'released')),
  priority    INTEGER NOT NULL,
  queue_order INTEGER NOT NULL,
  run_id      INTEGER NOT NULL,
  PRIMARY KEY (claim_id, lock_id)
) STRICT, WITHOUT ROWID;
INSERT INTO "claim_lock" VALUES(1,1,0,1,0,'M','[]',1,0,NULL,'',NULL,'held',0,1,1);
INSERT INTO "claim_lock" VALUES(2,2,0,1,0,'F','[]',1,0,NULL,'',NULL,'held',0,2,2);
INSERT INTO "claim_lock" VALUES(3,1,0,1,0,'M','[]',1,0,NULL,'',NULL,'waiting',0,3,3);
CREATE TABLE cron (                            -- what outlives the definition: decided instants and operators' overrides
  namespace     TEXT NOT NULL,
  name          TEXT NOT NULL,
  since         TEXT NOT NULL,                -- first seen: nothing before it is due
  watermark     TEXT,                         -- the latest instant decided: decided once, for ever
  next_at       TEXT,                         -- NULL: suspended, retired or never again
  suspended     INTEGER CHECK (suspended IN (0, 1)),  -- an operator's override; NULL: as the definition says
  resumed_at    TEXT,                         -- the end of the last suspension
  last_run_at   TEXT,
  PRIMARY KEY (namespace, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE definition (
  id               INTEGER PRIMARY KEY,
  kind             TEXT NOT NULL CHECK (kind IN (
                     'Workflow', 'WorkflowTemplate', 'ClusterWorkflowTemplate', 'CronWorkflow', 'ConfigMap',
                     'InfrastructureDefinition', 'ResourceConstraint', 'LockPolicy')),
  namespace        TEXT NOT NULL,
  name             TEXT NOT NULL,             -- metadata.name; with generateName: path, index and prefix (it has a '#')
  path             TEXT NOT NULL,
  doc_index        INTEGER NOT NULL,
  line             INTEGER NOT NULL,
  digest           TEXT NOT NULL,
  commit_sha       TEXT NOT NULL,
  labels_json      TEXT NOT NULL DEFAULT '{}',
  annotations_json TEXT NOT NULL DEFAULT '{}',
  body_json        TEXT NOT NULL,             -- the whole document
  stale            TEXT NOT NULL DEFAULT '',  -- why the file's newest version is not live
  applied_at       TEXT NOT NULL,
  retired_at       TEXT
) STRICT;
CREATE TABLE file (
  path          TEXT PRIMARY KEY,
  blob          TEXT NOT NULL,
  bad           INTEGER NOT NULL DEFAULT 0 CHECK (bad IN (0, 1)),
  foreign_count INTEGER NOT NULL DEFAULT 0,
  refused       INTEGER NOT NULL DEFAULT 0 CHECK (refused IN (0, 1)),  -- another file claims an identity of it
  findings_json TEXT NOT NULL DEFAULT '[]'    -- [[line, column, rule, severity, message], ...]
) STRICT, WITHOUT ROWID;
CREATE TABLE journal (                         -- append-only; rows go by whole segments, and a row says so
  seq         INTEGER PRIMARY KEY,             -- without gaps
  at          TEXT NOT NULL,
  kind        TEXT NOT NULL,
  actor       TEXT NOT NULL DEFAULT '',
  namespace   TEXT NOT NULL DEFAULT '',
  run         TEXT NOT NULL DEFAULT '',
  subject     TEXT NOT NULL DEFAULT '',       -- a lock's key, a definition, a commit
  detail_json TEXT NOT NULL DEFAULT '{}',
  hash        BLOB NOT NULL CHECK (length(hash) = 32)  -- SHA-256 over the hash before it and this row
) STRICT;
INSERT INTO "journal" VALUES(1,'2026-12-01T01:53:08.608911Z','source.missing','','','','','{"reason": "branch main is not there: nothing is removed; push it again"}',X'3E00A5E7F0D76126B35266116238187483A2398064A57D5F2048CDA475238B32');
INSERT INTO "journal" VALUES(2,'2026-12-01T01:53:08.664208Z','run.created','root','default','holder','','{"origin": "submit", "from": "Workflow/holder", "commit": ""}',X'B0F9CE8D1430813ABC269B93A2A86012C47ED1D2E3D58FB865E076569A986E6F');
INSERT INTO "journal" VALUES(3,'2026-12-01T01:53:08.664208Z','run.created','root','default','broken','','{"origin": "submit", "from": "Workflow/broken", "commit": ""}',X'2EC951F466886641941B44DCF179B1FC0260B16DD381D64C557DC57D60D9C436');
INSERT INTO "journal" VALUES(4,'2026-12-01T01:53:08.664208Z','claim.requested','','default','holder','default/Mutex/M','{"claim": 1, "locks": ["default/Mutex/M"], "level": "run", "priority": 0}',X'71705A3CD0E4EC00AEF89B538CABA78C16B26DFC273902E36AC1B41D70714622');
INSERT INTO "journal" VALUES(5,'2026-12-01T01:53:08.664208Z','claim.requested','','default','broken','default/Mutex/F','{"claim": 2, "locks": ["default/Mutex/F"], "level": "run", "priority": 0}',X'DDD6082C26FF016744AF47C87E5D3CC3D1FDEA3760D5A2A0E7163B857CB91703');
INSERT INTO "journal" VALUES(6,'2026-12-01T01:53:08.664208Z','claim.granted','','default','holder','default/Mutex/M','{"claim": 1, "epoch": 1, "locks": ["default/Mutex/M"], "level": "run"}',X'3F5EA5189C6D6B3EB735783F7328F10C40D624078DF09DB47A2056E843984BA5');
INSERT INTO "journal" VALUES(7,'2026-12-01T01:53:08.664208Z','claim.granted','','default','broken','default/Mutex/F','{"claim": 2, "epoch": 2, "locks": ["default/Mutex/F"], "level": "run"}',X'4FCAAC484A8EDD9B342FFCB9784BC3636B59C19D7374004A5A7F1E2213FBE15C');
INSERT INTO "journal" VALUES(8,'2026-12-01T01:53:08.664208Z','run.started','','default','holder','','{}',X'E55B788E54FF8059CBEDF5302E071BC27E8B00F31E7E13024EEC2AB8C53F8AD3');
INSERT INTO "journal" VALUES(9,'2026-12-01T01:53:08.664208Z','run.started','','default','broken','','{}',X'E95BC4D33EE00A14A0FA52B9A23F7A2AB32B7C9ADE8A0117107D152BCBC9F8B8');
INSERT INTO "journal" VALUES(10,'2026-12-01T01:53:08.672726Z','attempt.exited','','default','broken','','{"node": "", "attempt": 2, "exit_code": 3, "message": ""}',X'82CE98ACEDDEBD90F49DD36E93A60C43B97087003CA801CC9693EB1DE7697152');
INSERT INTO "journal" VALUES(11,'2026-12-01T01:53:08.672726Z','run.finished','','default','broken','','{"phase": "Failed", "message": "Error (exit code 3)"}',X'6A6E42A6124F500B579470377B7ACA83417AE00B266DE9A31804F8BCEE3EC6BB');
INSERT INTO "journal" VALUES(12,'2026-12-01T01:53:08.721552Z','run.created','root','default','waiter','','{"origin": "submit", "from": "Workflow/waiter", "commit": ""}',X'6E449E8F9C2CFF751DCC1E5C5927F6F5A25BB06536E5401BF203F4055BAD94CD');
INSERT INTO "journal" VALUES(13,'2026-12-01T01:53:08.721552Z','claim.requested','','default','waiter','default/Mutex/M','{"claim": 3, "locks": ["default/Mutex/M"], "level": "run", "priority": 0}',X'D687D1B7B3E82B44280E97813D580699AA89ADAD453ECD5CEA02E150EAFC869C');
CREATE TABLE lock (
  id           INTEGER PRIMARY KEY,
  key          TEXT NOT NULL UNIQUE,          -- Argo's: NS/Mutex/NAME, NS/ConfigMap/MAP/KEY; ours: NS/Policy/GROUP
  kind         TEXT NOT NULL CHECK (kind IN (
                 'Mutex', 'ConfigMap', 'DatabaseMutex', 'Database', 'Policy', 'Infrastructure', 'Constraint')),
  namespace    TEXT NOT NULL,
  name         TEXT NOT NULL,
  capacity     INTEGER,                       -- NULL: never read; it admits nobody
  limit_source TEXT NOT NULL DEFAULT '',      -- where the limit was read, and what was wrong with it last
  held_back    TEXT NOT NULL DEFAULT '',      -- why it admits nobody until `unhold`: its last holder was let go unproven
  blocked_head INTEGER NOT NULL DEFAULT 0 CHECK (blocked_head IN (0, 1)),  -- it has room, yet its first waiter lacks another lock
  -- what the LockPolicy says that fits it, copied here when one of the two is made or changed
  policy       TEXT NOT NULL DEFAULT '',      -- which policy that is: NAME (path:line)
  queue_limit  INTEGER CHECK (queue_limit > 0),              -- places, the holders' included; NULL: no limit
  overflow     TEXT NOT NULL DEFAULT 'RejectNew' CHECK (overflow IN ('RejectNew', 'DropOldest', 'KeepLatest')),
  reserved     INTEGER NOT NULL DEFAULT 0,    -- of the places, for runs that a person submitted
  wait_limit_s INTEGER,
  hold_limit_s INTEGER,
  ends_hold    INTEGER NOT NULL DEFAULT 0 CHECK (ends_hold IN (0, 1)),
  overtake     INTEGER NOT NULL DEFAULT 0,    -- how often a waiter that cannot go may be passed
  on_failure   TEXT NOT NULL DEFAULT '' CHECK (on_failure IN ('', 'Hold', 'Release')),  -- '': as the settings say
  hold_for_s   INTEGER,                       -- a failed run keeps it so long
  fails_youngest INTEGER NOT NULL DEFAULT 0 CHECK (fails_youngest IN (0, 1)),
  freeze_json  TEXT NOT NULL DEFAULT '[]',    -- [[schedule, seconds, time zone, reason], ...]: windows in which it admits nobody
  frozen_until TEXT,                          -- the end of the window that is open; NULL: none is
  frozen_why   TEXT NOT NULL DEFAULT '',      -- which policy that is, and its reason
  freeze_at    TEXT,                          -- when that changes next
  CHECK (kind NOT IN ('Mutex', 'DatabaseMutex', 'Infrastructure') OR capacity IS 1)
) STRICT;
INSERT INTO "lock" VALUES(1,'default/Mutex/M','Mutex','default','M',1,'','',0,'',NULL,'RejectNew',0,NULL,NULL,0,0,'',NULL,0,'[]',NULL,'',NULL);
INSERT INTO "lock" VALUES(2,'default/Mutex/F','Mutex','default','F',1,'','',0,'',NULL,'RejectNew',0,NULL,NULL,0,0,'',NULL,0,'[]',NULL,'',NULL);
CREATE TABLE mapping (                         -- each place that an InfrastructureDefinition was resolved to, with its service
  namespace   TEXT NOT NULL,
  definition  TEXT NOT NULL,
  lock_id     INTEGER NOT NULL REFERENCES lock (id),
  service     TEXT NOT NULL,
  fields_json TEXT NOT NULL,                  -- {NAME: VALUE}
  first_at    TEXT NOT NULL,
  last_at     TEXT NOT NULL,
  deployments INTEGER NOT NULL DEFAULT 1,
  PRIMARY KEY (namespace, definition, lock_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE meta (
  key   TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "meta" VALUES('boot_id','14e563c8-309e-4faf-b44f-b0a7c4d7b7bc');
INSERT INTO "meta" VALUES('epoch','2');
INSERT INTO "meta" VALUES('source_state','branch main is not there: nothing is removed; push it again');
CREATE TABLE named_lock (                      -- the locks that a definition names, as they are written there
  key           TEXT NOT NULL,                 -- NAMESPACE/KIND/NAME; a ClusterWorkflowTemplate has no namespace
  definition_id INTEGER NOT NULL REFERENCES definition (id) ON DELETE CASCADE,
  uses          INTEGER NOT NULL CHECK (uses > 0),
  PRIMARY KEY (key, definition_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE node (
  id          INTEGER PRIMARY KEY,
  run_id      INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
  parent_id   INTEGER REFERENCES node (id),   -- the node that made it: steps, group, DAG, retry; NULL for the root and onExit
  name        TEXT NOT NULL,                  -- Argo's node name less the run's: '', '[0].build', '.deploy(1)', '.onExit'
  display     TEXT NOT NULL,
  type        TEXT NOT NULL CHECK (type IN (
                'Pod', 'Steps', 'StepGroup', 'DAG', 'TaskGroup', 'Retry', 'Suspend', 'Skipped', 'Lock')),
  template    TEXT NOT NULL DEFAULT '',       -- its key in the frozen spec: NAME, SCOPE:NAME, or TEMPLATE/CALL (inline)
  phase       TEXT NOT NULL CHECK (phase IN ('Pending', 'Running', 'Succeeded', 'Failed', 'Error', 'Skipped', 'Omitted')),
  message     TEXT NOT NULL DEFAULT '',
  inputs_json TEXT NOT NULL DEFAULT '{}',
  outputs_json TEXT NOT NULL DEFAULT '{}',    -- {"parameters": {NAME: VALUE}, "result": TEXT}
  item_json   TEXT NOT NULL DEFAULT '',       -- the loop's item
  exit_code   INTEGER,
  created_at  TEXT NOT NULL,
  started_at  TEXT,
  finished_at TEXT,
  deadline_at TEXT,                           -- when it is to be ended
  wake_at     TEXT,                           -- when a pause of it ends
  CHECK ((phase IN ('Succeeded', 'Failed', 'Error', 'Skipped', 'Omitted')) = (finished_at IS NOT NULL))
) STRICT;
INSERT INTO "node" VALUES(1,1,NULL,'','holder','Pod','main','Running','','{}','{}','',NULL,'2026-12-01T01:53:08.664208Z','2026-12-01T01:53:08.664208Z',NULL,NULL,NULL);
INSERT INTO "node" VALUES(2,2,NULL,'','broken','Pod','main','Failed','Error (exit code 3)','{}','{}','',3,'2026-12-01T01:53:08.664208Z','2026-12-01T01:53:08.664208Z','2026-12-01T01:53:08.672726Z',NULL,NULL);
CREATE TABLE notice (                          -- the outbox: what people are to be told, written with what it tells
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  kind        TEXT NOT NULL CHECK (kind IN (
                'held-for-a-failure', 'overdue', 'cycle', 'queue-full', 'sync-failed', 'cron-error', 'disk-low')),
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
CREATE TABLE ran (
  kind      TEXT NOT NULL,
  namespace TEXT NOT NULL,
  name      TEXT NOT NULL,
  digest    TEXT NOT NULL,
  run_name  TEXT NOT NULL,                     -- '': its policy forbade the run; a push may try again, nothing else does
  at        TEXT NOT NULL,
  PRIMARY KEY (kind, namespace, name, digest)
) STRICT, WITHOUT ROWID;
CREATE TABLE reference (                       -- the templates of other documents that a definition names, by either kind of field
  kind          TEXT NOT NULL CHECK (kind IN ('WorkflowTemplate', 'ClusterWorkflowTemplate')),
  namespace     TEXT NOT NULL,
  name          TEXT NOT NULL,
  definition_id INTEGER NOT NULL REFERENCES definition (id) ON DELETE CASCADE,
  PRIMARY KEY (kind, namespace, name, definition_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE revision (
  id           INTEGER PRIMARY KEY,
  sha          TEXT NOT NULL,
  seen_at      TEXT NOT NULL,
  applied_at   TEXT,
  state        TEXT NOT NULL CHECK (state IN ('applied', 'held', 'superseded')),
  author       TEXT NOT NULL DEFAULT '',
  subject      TEXT NOT NULL DEFAULT '',
  message      TEXT NOT NULL DEFAULT '',      -- why it is held
  outcome_json TEXT NOT NULL DEFAULT '{}',    -- what the push was answered, counted
  noted        INTEGER NOT NULL DEFAULT 0 CHECK (noted IN (0, 1)),
  CHECK ((state = 'applied') = (applied_at IS NOT NULL))
) STRICT;
CREATE TABLE run (
  id               INTEGER PRIMARY KEY AUTOINCREMENT,
  uid              TEXT NOT NULL,
  namespace        TEXT NOT NULL,
  name             TEXT NOT NULL,
  phase            TEXT NOT NULL CHECK (phase IN ('Pending', 'Running', 'Succeeded', 'Failed', 'Error')),
  message          TEXT NOT NULL DEFAULT '',
  priority         INTEGER NOT NULL DEFAULT 0,
  queue_order      INTEGER NOT NULL,          -- arrival; a Replace or Latest successor has its predecessor's
  spec_digest      TEXT NOT NULL REFERENCES spec (digest),
  arguments_json   TEXT NOT NULL DEFAULT '{}',
  labels_json      TEXT NOT NULL DEFAULT '{}',
  annotations_json TEXT NOT NULL DEFAULT '{}',
  origin           TEXT NOT NULL CHECK (origin IN ('git', 'submit', 'cron', 'resubmit', 'hold')),
  origin_kind      TEXT NOT NULL DEFAULT '',  -- the definition that it came from
  origin_name      TEXT NOT NULL DEFAULT '',
  origin_place     TEXT NOT NULL DEFAULT '',  -- path:line
  commit_sha       TEXT NOT NULL DEFAULT '',
  cron             TEXT NOT NULL DEFAULT '',
  scheduled_at     TEXT,
  successor_of     INTEGER,                   -- Replace, Latest: the run that must be gone first
  policy           TEXT NOT NULL DEFAULT '' CHECK (policy IN ('', 'Allow', 'Forbid', 'Replace', 'Latest')),
  policy_group     TEXT NOT NULL DEFAULT '',  -- the runs that the policy counts together
  policy_place     TEXT NOT NULL DEFAULT '',  -- where the policy is written
  removed          INTEGER NOT NULL DEFAULT 0 CHECK (removed IN (0, 1)),  -- its manifest left Git while it ran
  shutdown         TEXT NOT NULL DEFAULT '' CHECK (shutdown IN ('', 'Stop', 'Terminate')),
  suspended        INTEGER NOT NULL DEFAULT 0 CHECK (suspended IN (0, 1)),  -- nothing of it begins until it is resumed
  outputs_json     TEXT NOT NULL DEFAULT '{}',  -- the global output parameters
  ended_by         TEXT NOT NULL DEFAULT '',  -- '' = by itself; else stop, terminate, delete, replace, superseded, removed, or why it was refused
  created_at       TEXT NOT NULL,
  started_at       TEXT,
  finished_at      TEXT,
  deadline_at      TEXT,
  ttl_at           TEXT,
  pipeline         INTEGER,                   -- the first run of its pipeline run, where it shares a barrier with others
  until_at         TEXT,                      -- when a maintenance hold is over by the wall clock, granted or not
  CHECK ((phase IN ('Succeeded', 'Failed', 'Error')) = (finished_at IS NOT NULL)),
  CHECK (phase <> 'Running' OR started_at IS NOT NULL),
  CHECK ((policy = '') = (policy_group = ''))
) STRICT;
INSERT INTO "run" VALUES(1,'b0997ff1-8c57-4ccb-a784-9f1e876e34cf','default','holder','Running','',0,1,'9519b7bf9fc50af5a038e4c6c276907a0c124807632a29456ee4e7fabab77a20','{}','{}','{}','submit','Workflow','holder','hold.yaml:1','','',NULL,NULL,'','','',0,'',0,'{}','','2026-12-01T01:53:08.664208Z','2026-12-01T01:53:08.664208Z',NULL,NULL,NULL,NULL,NULL);
INSERT INTO "run" VALUES(2,'a7d7f5f7-b613-4ddc-acbe-a1b7da892811','default','broken','Failed','Error (exit code 3)',0,2,'2d722af58ee49009161f69e51969253d443bbba099ce690628a149da9c57345c','{}','{}','{}','submit','Workflow','broken','bad.yaml:1','','',NULL,NULL,'','','',0,'',0,'{}','','2026-12-01T01:53:08.664208Z','2026-12-01T01:53:08.664208Z','2026-12-01T01:53:08.672726Z',NULL,NULL,NULL,NULL);
INSERT INTO "run" VALUES(3,'84be2a3d-4fb0-4c50-bfa1-27f86651bd26','default','waiter','Pending','',0,3,'f4dc291adf52c8304dc0b6431ea986f5fecba9404f02995160cfd471817578e0','{}','{}','{}','submit','Workflow','waiter','wait.yaml:1','','',NULL,NULL,'','','',0,'',0,'{}','','2026-12-01T01:53:08.721552Z',NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE segment (                         -- a closed stretch of the journal; what comes after the last one is open
  number     INTEGER PRIMARY KEY,
  first_seq  INTEGER NOT NULL UNIQUE,
  last_seq   INTEGER NOT NULL UNIQUE,
  first_at   TEXT NOT NULL,
  last_at    TEXT NOT NULL,
  head       BLOB NOT NULL CHECK (length(head) = 32),  -- the hash of its last row: the next segment is built on it
  closed_at  TEXT NOT NULL,
  dropped_at TEXT,                             -- its rows are gone
  CHECK (first_seq <= last_seq)
) STRICT;
CREATE TABLE semaphore_limit (                 -- what `limit set` says of a database semaphore, before and after its first use
  namespace TEXT NOT NULL,
  key       TEXT NOT NULL,
  capacity  INTEGER NOT NULL CHECK (capacity >= 0),
  source    TEXT NOT NULL,                     -- who set it, and when
  PRIMARY KEY (namespace, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE spec (                            -- a frozen spec, template merged in; shared by the runs that have it
  digest    TEXT PRIMARY KEY,
  spec_json TEXT NOT NULL
) STRICT;
INSERT INTO "spec" VALUES('9519b7bf9fc50af5a038e4c6c276907a0c124807632a29456ee4e7fabab77a20','{"synchronization":{"mutexes":[{"name":"M"}]},"entrypoint":"main","templates":[{"name":"main","script":{"image":"host","command":["bash"],"source":"sleep 12"}}]}');
INSERT INTO "spec" VALUES('2d722af58ee49009161f69e51969253d443bbba099ce690628a149da9c57345c','{"synchronization":{"mutexes":[{"name":"F"}]},"entrypoint":"main","templates":[{"name":"main","script":{"image":"host","command":["bash"],"source":"exit 3"}}]}');
INSERT INTO "spec" VALUES('f4dc291adf52c8304dc0b6431ea986f5fecba9404f02995160cfd471817578e0','{"synchronization":{"mutexes":[{"name":"M"}]},"entrypoint":"main","templates":[{"name":"main","script":{"image":"host","command":["bash"],"source":"true"}}]}');
CREATE TABLE tick (
  namespace  TEXT NOT NULL,
  cron       TEXT NOT NULL,
  due_at     TEXT NOT NULL,
  decision   TEXT NOT NULL CHECK (decision IN (
    'ran', 'forbidden', 'replaced', 'when-false', 'suspended', 'stopped', 'missed', 'caught-up', 'error')),
  reason     TEXT NOT NULL DEFAULT '',
  run_name   TEXT NOT NULL DEFAULT '',
  count      INTEGER NOT NULL DEFAULT 1,      -- a row may stand for several missed or suspended instants up to due_at
  decided_at TEXT NOT NULL,
  PRIMARY KEY (namespace, cron, due_at)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name");
CREATE INDEX revision_sha ON revision (sha);
CREATE INDEX revision_unnoted ON revision (id) WHERE noted = 0 AND state = 'applied';
CREATE UNIQUE INDEX revision_held_once ON revision (state) WHERE state = 'held';
CREATE INDEX file_bad ON file (path) WHERE bad = 1;
CREATE INDEX file_refused ON file (path) WHERE refused = 1;
CREATE UNIQUE INDEX definition_live ON definition (kind, namespace, name) WHERE retired_at IS NULL;
CREATE INDEX definition_path ON definition (path) WHERE retired_at IS NULL;
CREATE INDEX reference_definition ON reference (definition_id);
CREATE INDEX named_lock_definition ON named_lock (definition_id);
CREATE UNIQUE INDEX run_name ON run (namespace, name);
CREATE INDEX run_open ON run (id) WHERE finished_at IS NULL;
CREATE INDEX run_cron ON run (namespace, cron, id) WHERE cron <> '';
CREATE INDEX run_deadline ON run (deadline_at) WHERE deadline_at IS NOT NULL AND finished_at IS NULL;
CREATE INDEX run_commit ON run (commit_sha);
CREATE INDEX run_ttl ON run (ttl_at) WHERE ttl_at IS NOT NULL;
CREATE INDEX run_until ON run (until_at) WHERE until_at IS NOT NULL AND finished_at IS NULL;
CREATE INDEX run_successor ON run (successor_of) WHERE successor_of IS NOT NULL;
CREATE INDEX run_origin ON run (namespace, origin_kind, origin_name, id) WHERE finished_at IS NULL;
CREATE UNIQUE INDEX node_name ON node (run_id, name);
CREATE INDEX node_unfinished ON node (run_id, parent_id) WHERE finished_at IS NULL;
CREATE INDEX node_children ON node (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX node_wake ON node (wake_at) WHERE wake_at IS NOT NULL AND finished_at IS NULL;
CREATE INDEX node_deadline ON node (deadline_at) WHERE deadline_at IS NOT NULL AND finished_at IS NULL;
CREATE INDEX attempt_queue ON attempt (priority DESC, queue_order, id, run_id) WHERE state = 'queued';
CREATE INDEX attempt_active ON attempt (id) WHERE state IN ('intended', 'live');
CREATE INDEX attempt_run ON attempt (run_id);
CREATE UNIQUE INDEX barrier_member ON barrier (pipeline, name, run_id);
CREATE INDEX barrier_run ON barrier (run_id);
CREATE INDEX barrier_open ON barrier (pipeline, name) WHERE state IN ('absent', 'arrived');
CREATE INDEX barrier_knot ON barrier (knot) WHERE knot <> 0;
CREATE INDEX barrier_arrived ON barrier (id) WHERE state = 'arrived';
CREATE INDEX lock_of_kind ON lock (namespace, kind);
CREATE INDEX lock_freeze ON lock (freeze_at) WHERE freeze_at IS NOT NULL;
CREATE INDEX lock_blocked_head ON lock (id) WHERE blocked_head = 1;
CREATE UNIQUE INDEX claim_one_open ON claim (run_id, level, ifnull(node_id, 0)) WHERE state <> 'released';
CREATE INDEX claim_run ON claim (run_id);
CREATE INDEX claim_knot ON claim (knot) WHERE state = 'waiting' AND knot > 0;
CREATE INDEX claim_patience ON claim (wait_until) WHERE state = 'waiting' AND wait_until IS NOT NULL;
CREATE INDEX claim_overdue ON claim (overdue_at) WHERE overdue_at IS NOT NULL AND state = 'held';
CREATE INDEX queue ON claim_lock (lock_id, priority DESC, queue_order, claim_id) WHERE state = 'waiting' AND nested = 0;
CREATE INDEX queue_of_nodes ON claim_lock (lock_id, priority DESC, queue_order, claim_id)
  WHERE state = 'waiting' AND nested = 0 AND node_level = 1;
CREATE INDEX held ON claim_lock (lock_id) WHERE state = 'held' AND nested = 0;
CREATE INDEX queue_inside ON claim_lock (lock_id, nested, priority DESC, queue_order, claim_id) WHERE state = 'waiting' AND nested > 0;
CREATE UNIQUE INDEX one_turn_inside ON claim_lock (lock_id, nested) WHERE state = 'held' AND nested > 0;
CREATE UNIQUE INDEX mutex_has_one_holder ON claim_lock (lock_id) WHERE state = 'held' AND nested = 0 AND mutex = 1;
CREATE INDEX queue_thawed ON claim_lock (lock_id, priority DESC, queue_order, claim_id)
  WHERE state = 'waiting' AND nested = 0 AND thaws = 1;
CREATE INDEX queue_of_holds ON claim_lock (lock_id, priority DESC, queue_order, claim_id)
  WHERE state = 'waiting' AND units = 2147483647;
CREATE INDEX held_by_run ON claim_lock (run_id) WHERE state = 'held';
CREATE INDEX held_until ON claim_lock (due_at) WHERE state = 'held' AND due_at IS NOT NULL;
CREATE INDEX waiting_by_run ON claim_lock (run_id) WHERE state = 'waiting';
CREATE INDEX cron_due ON cron (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX journal_run ON journal (namespace, run, seq);
CREATE INDEX journal_subject ON journal (subject, seq);
CREATE INDEX segment_kept ON segment (number) WHERE dropped_at IS NULL;
CREATE UNIQUE INDEX notice_once ON notice (kind, key);
CREATE INDEX notice_waiting ON notice (next_at, id) WHERE state = 'waiting';
CREATE INDEX notice_done ON notice (done_at) WHERE done_at IS NOT NULL;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('run',3);
INSERT INTO "sqlite_sequence" VALUES('claim',3);
INSERT INTO "sqlite_sequence" VALUES('attempt',2);
COMMIT;
