/** Whole rows of a copy (core/row-transfer): inserted, or in place of what has the same key. */
export const IMPORT_FUNCTIONS: string = String.raw`
CREATE FUNCTION heddle_import_threads(p_rows json) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  given record;
BEGIN
  FOR given IN
    SELECT * FROM json_to_recordset(p_rows) AS g (thread_id text, created_at bigint, updated_at bigint, state_updated_at bigint,
      settled_status text, temporary boolean, state_values text, interrupts text, error text, metadata jsonb, config text)
    ORDER BY g.thread_id COLLATE "C"
  LOOP
    INSERT INTO heddle_threads AS t (thread_id, updated_at, state_updated_at, status, settled_status, temporary,
        state_values, interrupts, error)
      VALUES (given.thread_id, given.updated_at, given.state_updated_at, given.settled_status, given.settled_status,
        given.temporary, given.state_values, given.interrupts, given.error)
      ON CONFLICT (thread_id) DO UPDATE SET updated_at = excluded.updated_at, state_updated_at = excluded.state_updated_at, status = excluded.status, settled_status = excluded.settled_status,
        temporary = excluded.temporary, state_values = excluded.state_values, interrupts = excluded.interrupts, error = excluded.error;
    INSERT INTO heddle_thread_metadata (thread_id, created_at, metadata, config)
      VALUES (given.thread_id, given.created_at, given.metadata, given.config)
      ON CONFLICT (thread_id) DO UPDATE SET created_at = excluded.created_at, metadata = excluded.metadata, config = excluded.config;
    PERFORM heddle_refresh_thread(given.thread_id, given.updated_at, false);
  END LOOP;
END $$;

-- The first run whose thread is missing; then nothing was written.
CREATE FUNCTION heddle_import_runs(p_rows json, OUT run_id text, OUT thread_id text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  thread_ids text[];
  v_thread_id text;
BEGIN
  thread_ids := ARRAY(SELECT DISTINCT g ->> 'thread_id' FROM json_array_elements(p_rows) g);
  PERFORM 1 FROM heddle_threads t WHERE t.thread_id = ANY (thread_ids) ORDER BY t.thread_id FOR UPDATE;
  SELECT g ->> 'run_id', g ->> 'thread_id' INTO run_id, thread_id FROM json_array_elements(p_rows) g
    WHERE NOT EXISTS (SELECT 1 FROM heddle_threads t WHERE t.thread_id = g ->> 'thread_id') LIMIT 1;
  IF FOUND THEN RETURN; END IF;
  INSERT INTO heddle_runs (run_id, thread_id, assistant_id, graph_id, created_at, updated_at, due_at, status, multitask_strategy,
      temporary, attempt, lease_token, cancel_action, metadata, kwargs, error)
    SELECT g.run_id, g.thread_id, g.assistant_id, g.graph_id, g.created_at, g.updated_at, g.due_at, g.status, g.multitask_strategy,
      g.temporary, g.attempt, g.lease_token, g.cancel_action, g.metadata, g.kwargs, g.error
    FROM json_to_recordset(p_rows) AS g (run_id text, thread_id text, assistant_id text, graph_id text, created_at bigint,
      updated_at bigint, due_at bigint, status text, multitask_strategy text, temporary boolean, attempt integer, lease_token bigint,
      cancel_action text, metadata jsonb, kwargs text, error text)
    ON CONFLICT (run_id) DO UPDATE SET thread_id = excluded.thread_id, assistant_id = excluded.assistant_id,
      graph_id = excluded.graph_id, created_at = excluded.created_at, updated_at = excluded.updated_at, due_at = excluded.due_at,
      status = excluded.status, multitask_strategy = excluded.multitask_strategy, temporary = excluded.temporary,
      attempt = excluded.attempt, lease_token = excluded.lease_token, worker_id = NULL, heartbeat_at = NULL, lease_until = NULL,
      cancel_action = excluded.cancel_action, metadata = excluded.metadata, kwargs = excluded.kwargs, error = excluded.error;
  -- The status and the queue follow from the runs; the thread's times stay as they were copied.
  FOREACH v_thread_id IN ARRAY thread_ids LOOP
    PERFORM heddle_refresh_thread(v_thread_id, (SELECT t.updated_at FROM heddle_threads t WHERE t.thread_id = v_thread_id), true);
  END LOOP;
END $$;
`;
