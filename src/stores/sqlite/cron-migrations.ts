/**
 * Table of crons; it refers to threads and assistants, and its rows go with theirs. What a search sorts by has a value in every
 * row: no end and no next tick come after all others. Only ever append to this list.
 */
export const CRON_MIGRATIONS: readonly string[] = [
  `
CREATE TABLE crons (
  id INTEGER PRIMARY KEY,
  cron_id TEXT NOT NULL UNIQUE,
  assistant_id TEXT NOT NULL REFERENCES assistants (assistant_id) ON DELETE CASCADE,
  thread_id TEXT REFERENCES threads (thread_id) ON DELETE CASCADE,
  schedule TEXT NOT NULL,
  timezone TEXT,
  end_time INTEGER,
  enabled INTEGER NOT NULL,
  on_run_completed TEXT NOT NULL,
  multitask_strategy TEXT NOT NULL,
  payload TEXT NOT NULL,
  metadata TEXT NOT NULL,
  creator TEXT NOT NULL,
  next_run_at INTEGER,
  revision INTEGER NOT NULL DEFAULT 1,
  lease_token INTEGER NOT NULL DEFAULT 0,
  lease_until INTEGER,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  thread_key TEXT GENERATED ALWAYS AS (coalesce(thread_id, char(1114111))) VIRTUAL,
  next_run_key INTEGER GENERATED ALWAYS AS (coalesce(next_run_at, 9007199254740991)) VIRTUAL,
  end_key INTEGER GENERATED ALWAYS AS (coalesce(end_time, 9007199254740991)) VIRTUAL
);
CREATE INDEX crons_by_assistant_id ON crons (assistant_id);
CREATE INDEX crons_by_thread_id ON crons (thread_id);
CREATE INDEX crons_by_thread_key ON crons (thread_key);
CREATE INDEX crons_by_next_run_key ON crons (next_run_key);
CREATE INDEX crons_by_end_key ON crons (end_key);
CREATE INDEX crons_by_created_at ON crons (created_at);
CREATE INDEX crons_by_updated_at ON crons (updated_at);
-- the queue, and what is claimed from it
CREATE INDEX crons_due ON crons (next_run_at, cron_id) WHERE next_run_at IS NOT NULL;
CREATE INDEX crons_free ON crons (next_run_at) WHERE next_run_at IS NOT NULL AND lease_until IS NULL;
CREATE INDEX crons_claimed ON crons (lease_until) WHERE next_run_at IS NOT NULL AND lease_until IS NOT NULL;
`,
];
