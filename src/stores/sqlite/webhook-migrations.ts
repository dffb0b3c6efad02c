/** The outbox of webhooks: what is sent, and beside it what it says, which never changes. Only ever append to this list. */
export const WEBHOOK_MIGRATIONS: readonly string[] = [
  `
CREATE TABLE deliveries (
  id INTEGER PRIMARY KEY,
  delivery_id TEXT NOT NULL UNIQUE,
  run_id TEXT NOT NULL,
  thread_id TEXT NOT NULL,
  assistant_id TEXT NOT NULL,
  host TEXT NOT NULL,
  status TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  -- the run's end, or the last redelivery
  pending_since INTEGER NOT NULL,
  -- set while it is pending
  next_attempt_at INTEGER,
  lease_token INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  failures INTEGER NOT NULL,
  -- JSON array of attempts
  log TEXT NOT NULL
);
CREATE INDEX deliveries_due ON deliveries (next_attempt_at, delivery_id, host) WHERE next_attempt_at IS NOT NULL;
CREATE INDEX deliveries_by_thread ON deliveries (thread_id, created_at, delivery_id);
CREATE INDEX deliveries_by_run ON deliveries (run_id);
CREATE INDEX deliveries_by_created_at ON deliveries (created_at, delivery_id);
CREATE INDEX deliveries_done ON deliveries (updated_at) WHERE next_attempt_at IS NULL;

-- The run as it ended, and its thread's values then.
CREATE TABLE delivery_contents (
  delivery INTEGER PRIMARY KEY REFERENCES deliveries (id) ON DELETE CASCADE,
  graph_id TEXT NOT NULL,
  run_created_at INTEGER NOT NULL,
  run_updated_at INTEGER NOT NULL,
  run_due_at INTEGER NOT NULL,
  run_status TEXT NOT NULL,
  run_attempt INTEGER NOT NULL,
  multitask_strategy TEXT NOT NULL,
  metadata TEXT NOT NULL,
  kwargs TEXT NOT NULL,
  error TEXT,
  started_at INTEGER,
  state_values TEXT
);
`,
  `
-- Messages, which are of no run: their deliveries have empty ids of runs and assistants, and perhaps of threads.
CREATE TABLE delivery_messages (
  delivery INTEGER PRIMARY KEY REFERENCES deliveries (id) ON DELETE CASCADE,
  message TEXT NOT NULL
);
`,
];
