/**
 * Tables of assistants, threads and runs. What is large and rarely read (a thread's state, a run's kwargs) has a table
 * of its own, because SQLite writes a whole row when one column of it changes. Only ever append to this list.
 */
export const METADATA_MIGRATIONS: readonly string[] = [
  `
CREATE TABLE assistants (
  id INTEGER PRIMARY KEY,
  assistant_id TEXT NOT NULL UNIQUE,
  graph_id TEXT NOT NULL,
  name TEXT NOT NULL,
  description TEXT,
  config TEXT NOT NULL,
  context TEXT NOT NULL,
  metadata TEXT NOT NULL,
  version INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
);
CREATE INDEX assistants_by_graph_id ON assistants (graph_id);
CREATE INDEX assistants_by_name ON assistants (name);
CREATE INDEX assistants_by_created_at ON assistants (created_at);
CREATE INDEX assistants_by_updated_at ON assistants (updated_at);

CREATE TABLE assistant_versions (
  assistant INTEGER NOT NULL REFERENCES assistants (id) ON DELETE CASCADE,
  version INTEGER NOT NULL,
  graph_id TEXT NOT NULL,
  name TEXT NOT NULL,
  description TEXT,
  config TEXT NOT NULL,
  context TEXT NOT NULL,
  metadata TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (assistant, version)
) WITHOUT ROWID;

CREATE TABLE threads (
  id INTEGER PRIMARY KEY,
  thread_id TEXT NOT NULL UNIQUE,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  state_updated_at INTEGER NOT NULL,
  status TEXT NOT NULL,
  -- the status without runs in flight
  settled_status TEXT NOT NULL,
  metadata TEXT NOT NULL,
  config TEXT NOT NULL,
  -- made for a stateless run, to be removed with it
  temporary INTEGER NOT NULL,
  -- first pending run, while none is running: the queue
  head_due_at INTEGER,
  head_run_id TEXT
);
CREATE INDEX threads_by_created_at ON threads (created_at);
CREATE INDEX threads_by_updated_at ON threads (updated_at);
CREATE INDEX threads_by_state_updated_at ON threads (state_updated_at);
CREATE INDEX threads_by_status ON threads (status);
CREATE INDEX threads_queue ON threads (head_due_at, head_run_id) WHERE head_due_at IS NOT NULL;
CREATE INDEX threads_temporary ON threads (updated_at) WHERE temporary = 1;

CREATE TABLE thread_states (
  thread INTEGER PRIMARY KEY REFERENCES threads (id) ON DELETE CASCADE,
  state_values TEXT,
  interrupts TEXT,
  error TEXT
);

-- Top-level scalars of a thread's metadata, as core/filter-terms spells them.
CREATE TABLE thread_terms (
  term TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  thread INTEGER NOT NULL,
  PRIMARY KEY (term, created_at, thread)
) WITHOUT ROWID;

CREATE TABLE runs (
  id INTEGER PRIMARY KEY,
  run_id TEXT NOT NULL UNIQUE,
  thread INTEGER NOT NULL REFERENCES threads (id) ON DELETE CASCADE,
  assistant_id TEXT NOT NULL,
  graph_id TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  due_at INTEGER NOT NULL,
  status TEXT NOT NULL,
  metadata TEXT NOT NULL,
  multitask_strategy TEXT NOT NULL,
  temporary INTEGER NOT NULL,
  attempt INTEGER NOT NULL DEFAULT 0,
  error TEXT,
  lease_token INTEGER NOT NULL DEFAULT 0,
  worker_id TEXT,
  lease_until INTEGER,
  cancel_action TEXT
);
CREATE UNIQUE INDEX runs_one_running_per_thread ON runs (thread) WHERE status = 'running';
CREATE INDEX runs_by_thread ON runs (thread, created_at, run_id);
CREATE INDEX runs_pending ON runs (thread, due_at, run_id) WHERE status = 'pending';
CREATE INDEX runs_delayed ON runs (due_at) WHERE status = 'pending' AND due_at > created_at;

CREATE TABLE run_kwargs (
  run INTEGER PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE,
  kwargs TEXT NOT NULL
);
`,
  `
ALTER TABLE runs ADD COLUMN heartbeat_at INTEGER;
-- after a crash: until then no run of its thread starts
ALTER TABLE runs ADD COLUMN retry_at INTEGER;
CREATE INDEX runs_retrying ON runs (thread, retry_at) WHERE status = 'pending' AND retry_at IS NOT NULL;

-- the latest retry_at of the pending runs
ALTER TABLE threads ADD COLUMN head_retry_at INTEGER;
DROP INDEX threads_queue;
CREATE INDEX threads_queue ON threads (head_due_at, head_run_id, head_retry_at) WHERE head_due_at IS NOT NULL;
`,
  `
-- followed by the event protocol
ALTER TABLE threads ADD COLUMN watched INTEGER NOT NULL DEFAULT 0;
`,
  `
-- of the secret there is only its SHA-256
CREATE TABLE api_keys (
  key_id TEXT PRIMARY KEY,
  digest TEXT NOT NULL,
  label TEXT NOT NULL,
  identity TEXT NOT NULL,
  tenant TEXT,
  -- JSON array
  permissions TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  revoked_at INTEGER
) WITHOUT ROWID;
CREATE INDEX api_keys_by_digest ON api_keys (digest);

CREATE TABLE stream_tickets (
  digest TEXT PRIMARY KEY,
  caller TEXT NOT NULL,
  thread_id TEXT,
  expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX stream_tickets_by_expires_at ON stream_tickets (expires_at);
`,
  `
-- leases by name: what one process at a time does for all
CREATE TABLE chores (
  name TEXT PRIMARY KEY,
  worker_id TEXT NOT NULL,
  lease_until INTEGER NOT NULL
) WITHOUT ROWID;
`,
  `
ALTER TABLE threads ADD COLUMN ttl_ms INTEGER;
ALTER TABLE threads ADD COLUMN ttl_strategy TEXT;
-- updated_at of when its checkpoints were pruned last because it had expired
ALTER TABLE threads ADD COLUMN pruned_at INTEGER;
CREATE INDEX threads_expiring ON threads (ttl_strategy, updated_at + ttl_ms)
  WHERE ttl_ms IS NOT NULL AND pruned_at IS NOT updated_at;

-- expired threads whose checkpoints and events are still to be removed: nobody makes a thread of the same id meanwhile
CREATE TABLE thread_removals (
  thread_id TEXT PRIMARY KEY,
  removed_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX thread_removals_by_time ON thread_removals (removed_at);
`,
];

/** Table of the long-term store. Only ever append to this list. */
export const ITEM_MIGRATIONS: readonly string[] = [
  `
CREATE TABLE items (
  id INTEGER PRIMARY KEY,
  -- JSON array of labels
  namespace TEXT NOT NULL,
  item_key TEXT NOT NULL,
  item_value TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX items_by_place ON items (namespace, item_key);
CREATE INDEX items_by_updated_at ON items (updated_at);
`,
  `
ALTER TABLE items ADD COLUMN ttl_ms INTEGER;
ALTER TABLE items ADD COLUMN expires_at INTEGER;
CREATE INDEX items_by_expires_at ON items (expires_at) WHERE expires_at IS NOT NULL;

-- fingerprint of what made the vectors, and the paths that the put named (JSON array)
ALTER TABLE items ADD COLUMN embedding TEXT;
ALTER TABLE items ADD COLUMN embedding_paths TEXT;

-- Rows are never changed, and ids never used again: whoever has read up to one needs only those after it.
CREATE TABLE item_vectors (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  item INTEGER NOT NULL REFERENCES items (id) ON DELETE CASCADE,
  path TEXT NOT NULL,
  -- 32-bit floats, little-endian, at unit length
  embedding BLOB NOT NULL
);
CREATE UNIQUE INDEX item_vectors_by_item ON item_vectors (item, path);
`,
];
