import type { Statement } from "../databases/postgres/open.js";
import { NEVER } from "./lasting-logs.js";

/**
 * `heddle_event_logs`: one row per run's log. `followed`: a process that does not write it wants to hear of its growth; it has asked
 * for it, or made it, or wrote it before. `expires_at` is set when it is sealed, `keep_ms` or more later, or while a lasting log rests
 * (then {@link NEVER} once its events are gone).
 * `heddle_events.kind`: 0 token, 1 state, 2 control. `data` is JSON text as it came: `jsonb` would change it, and refuse `\u0000`.
 * It lives for minutes. Compressed by lz4 a frame with a large state takes half of the time to store, to log and to checkpoint; where the
 * server has no lz4 compressing would cost more than it saves.
 */
export const EVENT_MIGRATIONS: readonly string[] = [
  `CREATE TABLE heddle_event_logs (
    log_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id text NOT NULL UNIQUE,
    thread_id text NOT NULL,
    resumable boolean NOT NULL,
    next_seq integer NOT NULL,
    bytes bigint NOT NULL,
    lease_token integer NOT NULL,
    followed boolean NOT NULL,
    tokens_evicted_to integer NOT NULL,
    states_evicted_to integer NOT NULL,
    keep_ms bigint NOT NULL DEFAULT 0,
    sealed_at bigint,
    expires_at bigint
  ) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05);
  CREATE INDEX heddle_event_logs_thread ON heddle_event_logs (thread_id);
  CREATE INDEX heddle_event_logs_expiry ON heddle_event_logs (expires_at) WHERE expires_at IS NOT NULL;
  CREATE INDEX heddle_event_logs_unsealed ON heddle_event_logs (log_id) WHERE sealed_at IS NULL;
  CREATE TABLE heddle_events (
    log_id bigint NOT NULL,
    seq integer NOT NULL,
    kind smallint NOT NULL,
    bytes integer NOT NULL,
    event text NOT NULL,
    data text NOT NULL,
    PRIMARY KEY (log_id, seq)
  ) WITH (autovacuum_vacuum_scale_factor = 0.05);
  ALTER TABLE heddle_events ALTER COLUMN data SET STORAGE EXTERNAL`,
  `ALTER TABLE heddle_event_logs ALTER COLUMN lease_token TYPE bigint, ADD COLUMN lasting boolean NOT NULL DEFAULT false;
  DROP INDEX heddle_event_logs_unsealed;
  CREATE INDEX heddle_event_logs_unsealed ON heddle_event_logs (log_id) WHERE sealed_at IS NULL AND NOT lasting;
  CREATE INDEX heddle_event_logs_restless ON heddle_event_logs (run_id COLLATE "C") WHERE lasting AND expires_at IS NULL;
  CREATE INDEX heddle_event_logs_lasting ON heddle_event_logs (run_id COLLATE "C") WHERE lasting`,
  // Through EXECUTE: servers before 14 read the block whole before anything is caught.
  `DO $$
  BEGIN
    EXECUTE 'ALTER TABLE heddle_events ALTER COLUMN data SET COMPRESSION lz4';
    ALTER TABLE heddle_events ALTER COLUMN data SET STORAGE EXTENDED;
  EXCEPTION WHEN feature_not_supported OR syntax_error THEN NULL;
  END $$`,
];

/**
 * Between the texts of a write's events, which travel as one parameter: an array of texts would be escaped here and parsed there, character by
 * character. JSON has none of these.
 */
export const SEPARATOR = "\u0002";

const idempotent = true;
const NOW = "COALESCE($1::bigint, (extract(epoch FROM clock_timestamp()) * 1000)::bigint)";

const HEAD =
  "next_seq, bytes, resumable, sealed_at IS NOT NULL AS sealed, lasting, lasting AND expires_at IS NOT NULL AS resting, " +
  "lease_token, tokens_evicted_to, states_evicted_to";

/** Rows of one read, however small. */
const READ_ROWS = 1_000;

/** What `EventStorage.write` asks of a log `l`; evaluated again for a row that another writer held. */
const ACCEPTS = (from: string): string =>
  `l.thread_id = ${from}.thread_id AND l.lease_token <= ${from}.lease_token AND l.sealed_at IS NULL`;
const CHANGES = (from: string): string => `
      next_seq = greatest(l.next_seq, ${from}.next_seq),
      lease_token = ${from}.lease_token,
      followed = l.followed OR l.lease_token < ${from}.lease_token,
      tokens_evicted_to = greatest(l.tokens_evicted_to, ${from}.tokens_evicted_to),
      states_evicted_to = greatest(l.states_evicted_to, ${from}.states_evicted_to),
      sealed_at = CASE WHEN NOT l.lasting THEN ${from}.sealed_at END,
      expires_at = CASE WHEN l.lasting THEN ${from}.expires_at ELSE ${from}.sealed_at + greatest(${from}.keep_ms, l.keep_ms) END`;

export const SQL = {
  /**
   * $1 now; one array per column of logs, $2…$12: run, thread, resumable, token, storedSeq, nextSeq, bytes, tokensTo,
   * statesTo, sealForMs, lasting; one per column of events, $13…$17: place of its log among these from 1 on, seq, kind, bytes,
   * event; $18 their data, {@link SEPARATOR} between. Returns the refused runs (a repeated seal is one), and the followed ones.
   */
  write: {
    name: "heddle_event_write",
    idempotent,
    text: `WITH clock AS MATERIALIZED (SELECT ${NOW} AS now),
    input AS MATERIALIZED (
      SELECT t.*, CASE WHEN t.keep_ms IS NOT NULL THEN (SELECT now FROM clock) END AS sealed_at,
        (SELECT now FROM clock) + t.keep_ms AS expires_at
      FROM unnest($2::text[], $3::text[], $4::boolean[], $5::bigint[], $6::integer[], $7::integer[], $8::bigint[],
        $9::integer[], $10::integer[], $11::bigint[], $12::boolean[]) WITH ORDINALITY
        AS t (run_id, thread_id, resumable, lease_token, stored_seq, next_seq, bytes, tokens_evicted_to, states_evicted_to,
          keep_ms, lasting, place)
    ),
    event AS MATERIALIZED (
      SELECT * FROM unnest($13::integer[], $14::integer[], $15::smallint[], $16::integer[], $17::text[],
        (SELECT string_to_array($18::text, chr(2))))
        AS t (place, seq, kind, bytes, event, data)
    ),
    grown AS (
      UPDATE heddle_event_logs AS l SET ${CHANGES("i")},
        bytes = l.bytes + CASE WHEN l.next_seq = i.stored_seq THEN i.bytes
          ELSE (SELECT COALESCE(sum(e.bytes), 0) FROM event e WHERE e.place = i.place AND e.seq >= l.next_seq) END
      FROM input i
      WHERE l.run_id = i.run_id AND i.stored_seq <= l.next_seq AND ${ACCEPTS("i")}
      RETURNING l.log_id, l.followed, i.place
    ),
    made AS (
      INSERT INTO heddle_event_logs AS l (run_id, thread_id, resumable, lasting, next_seq, bytes, lease_token, followed,
        tokens_evicted_to, states_evicted_to, keep_ms, sealed_at, expires_at)
      SELECT run_id, thread_id, resumable, lasting, next_seq, bytes, lease_token, lease_token = 0, tokens_evicted_to,
        states_evicted_to, COALESCE(keep_ms, 0), CASE WHEN NOT lasting THEN sealed_at END, expires_at
      FROM input WHERE stored_seq IS NULL ORDER BY run_id
      ON CONFLICT (run_id) DO UPDATE SET ${CHANGES("excluded")},
        bytes = l.bytes + CASE WHEN l.next_seq < excluded.next_seq THEN excluded.bytes ELSE 0 END
      WHERE ${ACCEPTS("excluded")}
      RETURNING l.log_id, l.followed, l.run_id
    ),
    taken AS (
      SELECT log_id, followed, place FROM grown
      UNION ALL SELECT m.log_id, m.followed, i.place FROM made m JOIN input i ON i.run_id = m.run_id
    ),
    stored AS (
      INSERT INTO heddle_events (log_id, seq, kind, bytes, event, data)
      SELECT t.log_id, e.seq, e.kind, e.bytes, e.event, e.data FROM event e JOIN taken t ON t.place = e.place
      ON CONFLICT (log_id, seq) DO NOTHING
    )
    SELECT i.run_id, i.thread_id, t.place IS NULL AS refused FROM input i LEFT JOIN taken t USING (place)
    WHERE t.place IS NULL OR t.followed`,
  },

  /** $1 runs. Committed before their heads are read: a write that this did not see sees this. Returns those that are there. */
  follow: {
    name: "heddle_event_follow",
    idempotent,
    text: "UPDATE heddle_event_logs SET followed = true WHERE run_id = ANY ($1::text[]) RETURNING run_id",
  },

  heads: {
    name: "heddle_event_heads",
    idempotent,
    text: `SELECT run_id, thread_id, ${HEAD} FROM heddle_event_logs WHERE run_id = ANY ($1::text[])`,
  },

  /** $1 run, $2 thread, $3 fromSeq, $4 beforeSeq, $5 maxBytes */
  read: {
    name: "heddle_event_read",
    idempotent,
    text: `SELECT seq, kind, event, data FROM (
        SELECT seq, kind, event, data, sum(bytes) OVER (ORDER BY seq) - bytes AS bytes_before
        FROM heddle_events
        WHERE log_id = (SELECT log_id FROM heddle_event_logs WHERE run_id = $1 AND thread_id = $2) AND seq >= $3 AND seq < $4
        ORDER BY seq LIMIT ${READ_ROWS}
      ) AS e WHERE bytes_before < greatest($5::bigint, 1) ORDER BY seq`,
  },

  /**
   * One array per column of what is asked, $1…$3: run, thread, fromSeq or null; $4 maxBytes. Per log one row without `kind`, which is
   * its head, and one per event.
   */
  look: {
    name: "heddle_event_look",
    idempotent,
    text: `WITH asked AS MATERIALIZED (
      SELECT a.place, a.from_seq, l.*
      FROM unnest($1::text[], $2::text[], $3::integer[]) WITH ORDINALITY AS a (run_id, thread_id, from_seq, place)
      JOIN heddle_event_logs l ON l.run_id = a.run_id AND l.thread_id = a.thread_id
    )
    SELECT place, NULL AS seq, NULL AS kind, NULL AS event, NULL AS data, ${HEAD} FROM asked
    UNION ALL
    SELECT a.place, e.seq, e.kind, e.event, e.data, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
    FROM asked a CROSS JOIN LATERAL (
      SELECT seq, kind, event, data, sum(bytes) OVER (ORDER BY seq) - bytes AS bytes_before
      FROM heddle_events WHERE log_id = a.log_id AND seq >= a.from_seq ORDER BY seq LIMIT ${READ_ROWS}
    ) AS e WHERE e.bytes_before < greatest($4::bigint, 1)`,
  },

  /** $1 run, $2 thread, $3 kind, $4 beforeSeq, $5 bytes */
  evict: {
    name: "heddle_event_evict",
    text: `WITH log AS MATERIALIZED (
      SELECT log_id FROM heddle_event_logs WHERE run_id = $1 AND thread_id = $2 FOR UPDATE
    ),
    newest AS MATERIALIZED (
      SELECT seq FROM heddle_events WHERE log_id = (SELECT log_id FROM log) AND kind = 1 ORDER BY seq DESC LIMIT 1
    ),
    oldest AS MATERIALIZED (
      SELECT seq, sum(bytes) OVER (ORDER BY seq) - bytes AS bytes_before FROM heddle_events
      WHERE log_id = (SELECT log_id FROM log) AND kind = $3 AND seq < $4
        AND ($3 <> 1 OR seq < (SELECT seq FROM newest))
    ),
    gone AS (
      DELETE FROM heddle_events WHERE log_id = (SELECT log_id FROM log)
        AND seq = ANY (ARRAY(SELECT seq FROM oldest WHERE bytes_before < $5))
      RETURNING seq, bytes
    ),
    total AS MATERIALIZED (SELECT COALESCE(sum(bytes), 0)::bigint AS freed, COALESCE(max(seq), -1) AS last FROM gone),
    marked AS (
      UPDATE heddle_event_logs SET bytes = bytes - total.freed,
        tokens_evicted_to = CASE WHEN $3 = 0 THEN greatest(tokens_evicted_to, total.last) ELSE tokens_evicted_to END,
        states_evicted_to = CASE WHEN $3 = 1 THEN greatest(states_evicted_to, total.last) ELSE states_evicted_to END
      FROM total WHERE log_id = (SELECT log_id FROM log)
    )
    SELECT freed, last FROM total`,
  },

  /** $1 run, $2 thread, $3 ms */
  keep: {
    name: "heddle_event_keep",
    idempotent,
    text: `UPDATE heddle_event_logs SET keep_ms = greatest(keep_ms, $3), expires_at = greatest(expires_at, sealed_at + $3)
      WHERE run_id = $1 AND thread_id = $2 AND NOT lasting`,
  },

  /** $1 thread, $2 run or null for all of the thread. First the logs, then, by another snapshot, all that was ever written to them. */
  deleteLogs: {
    name: "heddle_event_delete_logs",
    text: "DELETE FROM heddle_event_logs WHERE thread_id = $1 AND ($2::text IS NULL OR run_id = $2) RETURNING log_id, run_id",
  },
  deleteEvents: {
    name: "heddle_event_delete_events",
    text: "DELETE FROM heddle_events WHERE log_id = ANY ($1::bigint[])",
  },

  /**
   * $1 now, $2 limit. Several sweepers share the work. Nobody writes to a sealed log, so that one snapshot has all of it; whoever
   * writes to one that rests has cleared its expiry before, or waits for its head.
   */
  deleteExpired: {
    name: "heddle_event_delete_expired",
    text: `WITH expired AS MATERIALIZED (
      SELECT log_id, lasting AND next_seq > 0 AS stays FROM heddle_event_logs WHERE expires_at <= (SELECT ${NOW})
      ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED
    ),
    events AS (DELETE FROM heddle_events WHERE log_id IN (SELECT log_id FROM expired)),
    emptied AS (
      UPDATE heddle_event_logs SET bytes = 0, tokens_evicted_to = next_seq - 1, states_evicted_to = next_seq - 1, expires_at = ${NEVER}
      WHERE log_id IN (SELECT log_id FROM expired WHERE stays) RETURNING run_id, thread_id
    ),
    gone AS (
      DELETE FROM heddle_event_logs WHERE log_id IN (SELECT log_id FROM expired WHERE NOT stays) RETURNING run_id, thread_id
    )
    SELECT * FROM emptied UNION ALL SELECT * FROM gone`,
  },

  unsealed: {
    name: "heddle_event_unsealed",
    idempotent,
    text: `SELECT run_id, thread_id FROM heddle_event_logs WHERE sealed_at IS NULL AND NOT lasting
      ORDER BY log_id LIMIT $1 OFFSET $2`,
  },

  restless: {
    name: "heddle_event_restless",
    idempotent,
    text: `SELECT run_id, thread_id, lease_token FROM heddle_event_logs WHERE lasting AND expires_at IS NULL
      ORDER BY run_id COLLATE "C" LIMIT $1 OFFSET $2`,
  },

  /** $1 limit, $2 after */
  lasting: {
    name: "heddle_event_lasting",
    idempotent,
    text: `SELECT run_id, thread_id FROM heddle_event_logs WHERE lasting AND next_seq > 0 AND run_id COLLATE "C" > $2
      ORDER BY run_id COLLATE "C" LIMIT $1`,
  },

  notify: { name: "heddle_event_notify", idempotent, text: "SELECT pg_notify($1, $2)" },
} as const satisfies Readonly<Record<string, Statement>>;
