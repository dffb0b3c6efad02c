/** Threads that somebody follows by the event protocol. */
export const WATCHED_THREADS: string = String.raw`
ALTER TABLE heddle_threads ADD COLUMN watched boolean NOT NULL DEFAULT false;

-- Whether a thread is watched, after watching it if asked. It sees what functions before it in the same statement have done.
CREATE FUNCTION heddle_watch_thread(p_thread_id text, p_watch boolean) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  is_watched boolean;
BEGIN
  SELECT t.watched INTO is_watched FROM heddle_threads t WHERE t.thread_id = p_thread_id;
  IF is_watched OR NOT p_watch THEN RETURN coalesce(is_watched, false); END IF;
  UPDATE heddle_threads t SET watched = true WHERE t.thread_id = p_thread_id;
  RETURN FOUND;
END $$;

CREATE OR REPLACE FUNCTION heddle_import_threads(p_rows json) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  given record;
BEGIN
  FOR given IN
    SELECT * FROM json_to_recordset(p_rows) AS g (thread_id text, created_at bigint, updated_at bigint, state_updated_at bigint,
      settled_status text, temporary boolean, watched boolean, state_values text, interrupts text, error text, metadata jsonb, config text)
    ORDER BY g.thread_id COLLATE "C"
  LOOP
    INSERT INTO heddle_threads AS t (thread_id, updated_at, state_updated_at, status, settled_status, temporary, watched,
        state_values, interrupts, error)
      VALUES (given.thread_id, given.updated_at, given.state_updated_at, given.settled_status, given.settled_status,
        given.temporary, coalesce(given.watched, false), given.state_values, given.interrupts, given.error)
      ON CONFLICT (thread_id) DO UPDATE SET updated_at = excluded.updated_at, state_updated_at = excluded.state_updated_at,
        status = excluded.status, settled_status = excluded.settled_status, temporary = excluded.temporary,
        watched = excluded.watched, state_values = excluded.state_values, interrupts = excluded.interrupts, error = excluded.error;
    INSERT INTO heddle_thread_metadata (thread_id, created_at, metadata, config)
      VALUES (given.thread_id, given.created_at, given.metadata, given.config)
      ON CONFLICT (thread_id) DO UPDATE SET created_at = excluded.created_at, metadata = excluded.metadata, config = excluded.config;
    PERFORM heddle_refresh_thread(given.thread_id, given.updated_at, false);
  END LOOP;
END $$;
`;
