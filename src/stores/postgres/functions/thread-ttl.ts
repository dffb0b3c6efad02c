/** Threads with a time to live. Nothing is written when one is active: it expires by `updated_at`. */
export const THREAD_TTL: string = String.raw`
ALTER TABLE heddle_threads
  ADD COLUMN ttl_ms bigint,
  ADD COLUMN ttl_strategy text COLLATE "C",
  -- updated_at of when its checkpoints were pruned last because it had expired
  ADD COLUMN pruned_at bigint;
CREATE INDEX heddle_threads_expiring ON heddle_threads (ttl_strategy, (updated_at + ttl_ms))
  WHERE ttl_ms IS NOT NULL AND pruned_at IS DISTINCT FROM updated_at;

CREATE OR REPLACE VIEW heddle_thread_rows AS
  SELECT t.thread_id, m.created_at, t.updated_at, t.state_updated_at, t.status, m.metadata, m.config, t.state_values, t.interrupts,
    t.error, t.request, t.settled_status, t.temporary, t.ttl_ms, t.ttl_strategy
  FROM heddle_threads t JOIN heddle_thread_metadata m ON m.thread_id = t.thread_id;

-- Expired threads whose checkpoints and events are still to be removed.
CREATE TABLE heddle_thread_removals (
  thread_id text COLLATE "C" PRIMARY KEY,
  removed_at bigint NOT NULL
);
CREATE INDEX heddle_thread_removals_by_time ON heddle_thread_removals (removed_at);

-- After the insert, not before it: one that waits for the removal of the old row goes on in its own, older snapshot, this here
-- looks anew.
CREATE FUNCTION heddle_refuse_removed_thread() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM heddle_thread_removals r WHERE r.thread_id = NEW.thread_id) THEN
    RAISE EXCEPTION USING ERRCODE = 'HDRMV', MESSAGE = NEW.thread_id;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER heddle_thread_removed AFTER INSERT ON heddle_threads
  FOR EACH ROW EXECUTE FUNCTION heddle_refuse_removed_thread();

CREATE FUNCTION heddle_update_thread_once(
  p_request uuid, p_now bigint, p_thread_id text, p_metadata jsonb, p_access jsonb, p_ttl_ms bigint, p_ttl_strategy text
) RETURNS SETOF heddle_thread_rows LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM heddle_threads t WHERE t.thread_id = p_thread_id FOR UPDATE;
  IF heddle_is_new_request(p_request) THEN
    PERFORM heddle_update_thread(p_now, p_thread_id, p_metadata, p_access);
    IF NOT FOUND THEN RETURN; END IF;
    UPDATE heddle_threads t SET ttl_ms = p_ttl_ms, ttl_strategy = p_ttl_strategy WHERE t.thread_id = p_thread_id;
  END IF;
  RETURN QUERY SELECT * FROM heddle_thread_rows v WHERE v.thread_id = p_thread_id AND heddle_visible(v.metadata, p_access);
END $$;

-- For a thread that a run has made just now: when the run was created, the thread was too.
CREATE FUNCTION heddle_expire_new_thread(p_thread_id text, p_created_at bigint, p_ttl_ms bigint, p_ttl_strategy text)
RETURNS void LANGUAGE sql AS $$
  UPDATE heddle_threads t SET ttl_ms = p_ttl_ms, ttl_strategy = p_ttl_strategy FROM heddle_thread_metadata m
    WHERE t.thread_id = p_thread_id AND t.ttl_ms IS NULL AND m.thread_id = p_thread_id AND m.created_at = p_created_at;
$$;

CREATE FUNCTION heddle_remove_expired_threads(p_now bigint, p_limit integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  now_ms bigint := heddle_now(p_now);
  ids text[];
BEGIN
  ids := ARRAY(SELECT t.thread_id FROM heddle_threads t
    WHERE t.ttl_ms IS NOT NULL AND t.pruned_at IS DISTINCT FROM t.updated_at AND t.ttl_strategy = 'delete'
      AND t.updated_at + t.ttl_ms <= now_ms AND t.status <> 'busy'
    ORDER BY t.updated_at + t.ttl_ms LIMIT p_limit FOR UPDATE SKIP LOCKED);
  IF cardinality(ids) = 0 THEN RETURN 0; END IF;
  INSERT INTO heddle_thread_removals (thread_id, removed_at) SELECT id, now_ms FROM unnest(ids) AS id ON CONFLICT DO NOTHING;
  PERFORM heddle_delete_runs(ARRAY(SELECT r.run_id FROM heddle_runs r WHERE r.thread_id = ANY (ids)));
  DELETE FROM heddle_thread_metadata m WHERE m.thread_id = ANY (ids);
  DELETE FROM heddle_threads t WHERE t.thread_id = ANY (ids);
  RETURN cardinality(ids);
END $$;

CREATE OR REPLACE FUNCTION heddle_import_threads(p_rows json) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  given record;
BEGIN
  FOR given IN
    SELECT * FROM json_to_recordset(p_rows) AS g (thread_id text, created_at bigint, updated_at bigint, state_updated_at bigint,
      settled_status text, temporary boolean, watched boolean, state_values text, interrupts text, error text, metadata jsonb,
      config text, ttl_ms bigint, ttl_strategy text)
    ORDER BY g.thread_id COLLATE "C"
  LOOP
    INSERT INTO heddle_threads AS t (thread_id, updated_at, state_updated_at, status, settled_status, temporary, watched,
        state_values, interrupts, error, ttl_ms, ttl_strategy)
      VALUES (given.thread_id, given.updated_at, given.state_updated_at, given.settled_status, given.settled_status,
        given.temporary, coalesce(given.watched, false), given.state_values, given.interrupts, given.error, given.ttl_ms,
        given.ttl_strategy)
      ON CONFLICT (thread_id) DO UPDATE SET updated_at = excluded.updated_at, state_updated_at = excluded.state_updated_at,
        status = excluded.status, settled_status = excluded.settled_status, temporary = excluded.temporary,
        watched = excluded.watched, state_values = excluded.state_values, interrupts = excluded.interrupts, error = excluded.error,
        ttl_ms = excluded.ttl_ms, ttl_strategy = excluded.ttl_strategy, pruned_at = NULL;
    INSERT INTO heddle_thread_metadata (thread_id, created_at, metadata, config)
      VALUES (given.thread_id, given.created_at, given.metadata, given.config)
      ON CONFLICT (thread_id) DO UPDATE SET created_at = excluded.created_at, metadata = excluded.metadata, config = excluded.config;
    PERFORM heddle_refresh_thread(given.thread_id, given.updated_at, false);
  END LOOP;
END $$;
`;
