import { NEVER } from "./lasting-logs.js";

/** Rows of one multi-row insert. */
export const INSERT_ROWS = 32;

/**
 * `event_logs`: one row per run's log. `expires_at` is set when it is sealed, `keep_ms` or more later, or while a lasting log rests
 * (then {@link NEVER} once its events are gone); an abandoned log has no run any more and waits for its events to be deleted. `changed` is the
 * count of `event_changes` at a lasting log's last write. `run_events.event_key` = log_id << 32 | seq. `kind`: 0 token, 1 state, 2 control.
 */
export const EVENT_MIGRATIONS: readonly string[] = [
  `CREATE TABLE event_logs (
    log_id INTEGER PRIMARY KEY,
    run_id TEXT UNIQUE,
    thread_id TEXT,
    resumable INTEGER NOT NULL,
    next_seq INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    tokens_evicted_to INTEGER NOT NULL,
    states_evicted_to INTEGER NOT NULL,
    sealed_at INTEGER,
    expires_at INTEGER
  );
  CREATE INDEX event_logs_thread ON event_logs (thread_id);
  CREATE INDEX event_logs_expiry ON event_logs (expires_at) WHERE expires_at IS NOT NULL;
  CREATE INDEX event_logs_unsealed ON event_logs (log_id) WHERE sealed_at IS NULL;
  CREATE INDEX event_logs_abandoned ON event_logs (log_id) WHERE run_id IS NULL;
  CREATE TABLE run_events (
    event_key INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    event TEXT NOT NULL,
    data TEXT NOT NULL
  )`,
  `ALTER TABLE event_logs ADD COLUMN lease_token INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE event_logs ADD COLUMN keep_ms INTEGER NOT NULL DEFAULT 0`,
  `ALTER TABLE event_logs ADD COLUMN lasting INTEGER NOT NULL DEFAULT 0;
  DROP INDEX event_logs_unsealed;
  CREATE INDEX event_logs_unsealed ON event_logs (log_id) WHERE sealed_at IS NULL AND lasting = 0;
  CREATE INDEX event_logs_restless ON event_logs (run_id) WHERE lasting = 1 AND expires_at IS NULL;
  CREATE INDEX event_logs_lasting ON event_logs (run_id) WHERE lasting = 1`,
  `ALTER TABLE event_logs ADD COLUMN changed INTEGER NOT NULL DEFAULT 0;
  CREATE INDEX event_logs_changed ON event_logs (changed) WHERE lasting = 1;
  CREATE TABLE event_changes (id INTEGER PRIMARY KEY, count INTEGER NOT NULL);
  INSERT INTO event_changes (id, count) VALUES (1, 0)`,
];

/** Parameters per row: log_id, seq, kind, bytes, event, data. */
export function insertEvents(rows: number): string {
  const row = "(? << 32 | ?, ?, ?, ?, ?)";
  return `INSERT OR IGNORE INTO run_events (event_key, kind, bytes, event, data) VALUES ${Array.from({ length: rows }, () => row).join(", ")}`;
}

const SEQ = "event_key & 4294967295";

export const SQL = {
  head: `SELECT log_id, next_seq, bytes, resumable, lasting, sealed_at, expires_at, lease_token, tokens_evicted_to, states_evicted_to
    FROM event_logs WHERE run_id = ? AND thread_id = ?`,

  make: `INSERT INTO event_logs (run_id, thread_id, resumable, lasting, next_seq, bytes, lease_token, tokens_evicted_to,
      states_evicted_to, sealed_at, expires_at, changed)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING log_id`,

  change: `UPDATE event_changes SET count = count + 1 RETURNING count`,
  changes: `SELECT count FROM event_changes`,
  changed: `SELECT run_id, thread_id FROM event_logs WHERE lasting = 1 AND changed > ? LIMIT ?`,

  grow: `UPDATE event_logs SET
      changed = iif(lasting, @changed, 0),
      next_seq = max(next_seq, @nextSeq),
      bytes = bytes + @bytes,
      lease_token = @leaseToken,
      tokens_evicted_to = max(tokens_evicted_to, @tokensTo),
      states_evicted_to = max(states_evicted_to, @statesTo),
      sealed_at = iif(lasting, NULL, @sealedAt),
      expires_at = @sealedAt + iif(lasting, @sealForMs, max(@sealForMs, keep_ms))
    WHERE log_id = @logId`,

  read: `SELECT ${SEQ} AS seq, kind, event, data, bytes FROM run_events
    WHERE event_key >= (? << 32 | ?) AND event_key < (? << 32 | ?) ORDER BY event_key`,

  newest: `SELECT ${SEQ} FROM run_events
    WHERE kind = ? AND event_key >= (? << 32) AND event_key < (? + 1 << 32) ORDER BY event_key DESC LIMIT 1`,

  oldest: `SELECT ${SEQ} AS seq, bytes FROM run_events
    WHERE event_key >= (? << 32) AND event_key < (? << 32 | ?) AND kind = ? ORDER BY event_key`,

  evict: `DELETE FROM run_events WHERE event_key >= (? << 32) AND event_key <= (? << 32 | ?) AND kind = ?`,

  evicted: `UPDATE event_logs SET bytes = bytes - ?, tokens_evicted_to = max(tokens_evicted_to, ?),
      states_evicted_to = max(states_evicted_to, ?) WHERE log_id = ?`,

  keep: `UPDATE event_logs SET keep_ms = max(keep_ms, @ms), expires_at = max(expires_at, sealed_at + @ms)
    WHERE run_id = @runId AND thread_id = @threadId AND lasting = 0`,

  expired: `SELECT run_id, thread_id, lasting AND next_seq > 0 AS stays FROM event_logs WHERE expires_at <= ? AND run_id IS NOT NULL ORDER BY expires_at LIMIT ?`,

  /** The head of a lasting log once more, for the time after its events: the old one is abandoned with them. */
  empty: `INSERT INTO event_logs (run_id, thread_id, resumable, lasting, next_seq, bytes, lease_token, tokens_evicted_to,
      states_evicted_to, sealed_at, expires_at)
    SELECT @runId, @threadId, resumable, 1, next_seq, 0, lease_token, next_seq - 1, next_seq - 1, NULL, ${NEVER}
    FROM event_logs WHERE log_id = @logId`,

  unsealed: `SELECT run_id, thread_id FROM event_logs WHERE sealed_at IS NULL AND lasting = 0 AND run_id IS NOT NULL
    ORDER BY log_id LIMIT ? OFFSET ?`,
  restless: `SELECT run_id, thread_id, lease_token FROM event_logs WHERE lasting = 1 AND expires_at IS NULL AND run_id IS NOT NULL
    ORDER BY run_id LIMIT ? OFFSET ?`,
  lasting: `SELECT run_id, thread_id FROM event_logs WHERE lasting = 1 AND next_seq > 0 AND run_id > ? ORDER BY run_id LIMIT ?`,

  abandonRun: `UPDATE event_logs SET run_id = NULL, thread_id = NULL, sealed_at = 0, lasting = 0 WHERE run_id = ? AND thread_id = ?`,
  abandonThread: `UPDATE event_logs SET run_id = NULL, thread_id = NULL, sealed_at = 0, lasting = 0 WHERE thread_id = ?`,
  abandoned: `SELECT log_id FROM event_logs WHERE run_id IS NULL`,
  purge: `DELETE FROM run_events WHERE event_key IN (SELECT event_key FROM run_events
    WHERE event_key >= (? << 32) AND event_key < (? + 1 << 32) LIMIT ?)`,
  forget: `DELETE FROM event_logs WHERE log_id = ?`,
} as const;
