/** `runs.create` and `runs.claim`. */
export const CREATE_FUNCTIONS: string = String.raw`
CREATE FUNCTION heddle_create_run(
  p_now bigint, p_request uuid, p_again boolean,
  p_run_id text, p_thread_id text, p_assistant_id text, p_graph_id text, p_kwargs text, p_strategy text, p_delay_ms bigint,
  p_assistant_metadata jsonb, p_metadata jsonb, p_config text, p_create_thread boolean, p_temporary boolean,
  p_access jsonb, p_worker_id text, p_lease_ms bigint,
  OUT kind text, OUT created_at bigint, OUT due_at bigint, OUT leased boolean, OUT metadata text, OUT superseded text, OUT inflight text
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  now_ms bigint;
  was_status text;
  ids jsonb := jsonb_build_object('graph_id', p_graph_id, 'assistant_id', p_assistant_id);
  thread_metadata jsonb;
  thread_config text;
  is_new boolean := false;
  other record;
  others jsonb[] := '{}';
  ended jsonb[] := '{}';
  running boolean := false;
  waiting boolean := false;
  end_pause boolean := false;
  head_due bigint;
  head_run text;
  made jsonb;
BEGIN
  IF p_again THEN
    SELECT 'created', r.created_at, r.due_at, r.status = 'running' AND r.request = p_request, r.metadata::text, r.superseded::text
      INTO kind, created_at, due_at, leased, metadata, superseded FROM heddle_runs r WHERE r.run_id = p_run_id;
    IF FOUND THEN RETURN; END IF;
    -- It has ended meanwhile, and was deleted.
    SELECT 'created', g.created_at, g.due_at, false, (p_assistant_metadata || p_metadata)::text
      INTO kind, created_at, due_at, leased, metadata FROM heddle_gone_runs g WHERE g.run_id = p_run_id;
    IF FOUND THEN RETURN; END IF;
  END IF;
  LOOP
    SELECT t.status INTO was_status FROM heddle_threads t WHERE t.thread_id = p_thread_id FOR UPDATE;
    EXIT WHEN FOUND;
    IF NOT p_create_thread THEN
      kind := 'no-thread';
      RETURN;
    END IF;
    now_ms := heddle_now(p_now);
    leased := p_worker_id IS NOT NULL AND p_delay_ms = 0;
    INSERT INTO heddle_threads (thread_id, updated_at, state_updated_at, status, settled_status, temporary, head_due_at, head_run_id)
      VALUES (p_thread_id, now_ms, now_ms, 'busy', 'idle', p_temporary,
        CASE WHEN NOT leased THEN now_ms + p_delay_ms END, CASE WHEN NOT leased THEN p_run_id END)
      ON CONFLICT DO NOTHING;
    IF FOUND THEN
      is_new := true;
      thread_metadata := p_metadata || ids;
      INSERT INTO heddle_thread_metadata (thread_id, created_at, metadata, config)
        VALUES (p_thread_id, now_ms, thread_metadata, p_config);
      EXIT;
    END IF;
  END LOOP;
  IF NOT is_new THEN
    SELECT m.metadata, m.config INTO thread_metadata, thread_config FROM heddle_thread_metadata m WHERE m.thread_id = p_thread_id;
    IF p_access IS NOT NULL AND NOT heddle_visible(thread_metadata, p_access) THEN
      kind := 'no-thread';
      RETURN;
    END IF;
    now_ms := heddle_now(p_now);
    -- A thread that is not busy has no run in flight.
    IF was_status = 'busy' AND p_strategy = 'enqueue' THEN
      waiting := true;
      running := EXISTS (SELECT 1 FROM heddle_runs r WHERE r.thread_id = p_thread_id AND r.status || '' = 'running');
    ELSIF was_status = 'busy' THEN
      FOR other IN
        SELECT r.run_id, r.status, r.lease_token, r.cancel_action, r.temporary FROM heddle_runs r
        WHERE r.thread_id = p_thread_id AND (r.status || '' = 'running' OR r.status || '' = 'pending') ORDER BY r.status DESC, r.due_at, r.run_id
      LOOP
        IF p_strategy = 'reject' THEN
          others := others || to_jsonb(other.run_id);
        -- A pending run that a worker has held before may have left checkpoints: the next worker undoes or keeps them.
        ELSIF other.status = 'running' OR other.lease_token > 0 THEN
          waiting := true;
          end_pause := true;
          running := running OR other.status = 'running';
          UPDATE heddle_runs r SET cancel_action = CASE WHEN r.cancel_action = 'rollback' THEN 'rollback' ELSE p_strategy END
            WHERE r.run_id = other.run_id RETURNING r.cancel_action INTO other.cancel_action;
          ended := ended || jsonb_build_object(
            'runId', other.run_id, 'action', other.cancel_action, 'was', 'running', 'temporary', other.temporary);
        ELSE
          IF p_strategy = 'rollback' THEN
            PERFORM heddle_delete_runs(ARRAY[other.run_id]);
          ELSE
            UPDATE heddle_runs r SET status = 'interrupted', updated_at = now_ms, request = p_request WHERE r.run_id = other.run_id;
          END IF;
          ended := ended || jsonb_build_object(
            'runId', other.run_id, 'action', p_strategy, 'was', 'pending', 'temporary', other.temporary);
        END IF;
      END LOOP;
      IF cardinality(others) > 0 THEN
        kind := 'busy';
        inflight := to_jsonb(others)::text;
        RETURN;
      END IF;
    END IF;
    leased := p_worker_id IS NOT NULL AND NOT waiting AND p_delay_ms = 0;
    IF thread_config <> p_config OR NOT thread_metadata @> ids THEN
      thread_metadata := thread_metadata || ids;
      UPDATE heddle_thread_metadata m SET metadata = thread_metadata, config = p_config WHERE m.thread_id = p_thread_id;
    END IF;
  END IF;
  made := p_assistant_metadata || thread_metadata || p_metadata;
  kind := 'created';
  created_at := now_ms;
  due_at := now_ms + p_delay_ms;
  metadata := made::text;
  superseded := CASE WHEN cardinality(ended) > 0 THEN to_jsonb(ended)::text END;
  INSERT INTO heddle_runs (run_id, thread_id, assistant_id, graph_id, created_at, updated_at, due_at, status, multitask_strategy,
      temporary, attempt, lease_token, worker_id, heartbeat_at, lease_until, metadata, kwargs, request, superseded)
    VALUES (p_run_id, p_thread_id, p_assistant_id, p_graph_id, now_ms, now_ms, due_at, CASE WHEN leased THEN 'running' ELSE 'pending' END,
      p_strategy, p_temporary, leased::int, leased::int, CASE WHEN leased THEN p_worker_id END, CASE WHEN leased THEN now_ms END,
      CASE WHEN leased THEN now_ms + p_lease_ms END, made, p_kwargs, p_request, superseded::json);
  IF NOT is_new THEN
    IF waiting AND NOT running THEN
      SELECT r.due_at, r.run_id INTO head_due, head_run FROM heddle_runs r
        WHERE r.thread_id = p_thread_id AND r.status || '' = 'pending' ORDER BY r.due_at, r.run_id LIMIT 1;
    END IF;
    UPDATE heddle_threads t SET
      status = 'busy', updated_at = now_ms, temporary = t.temporary AND p_temporary,
      head_due_at = CASE WHEN leased OR running THEN NULL WHEN waiting THEN head_due ELSE due_at END,
      head_run_id = CASE WHEN leased OR running THEN NULL WHEN waiting THEN head_run ELSE p_run_id END,
      retry_at = CASE WHEN waiting AND NOT end_pause THEN t.retry_at END
    WHERE t.thread_id = p_thread_id;
  END IF;
END $$;

-- Runs whose statement was carried out although its answer was lost are found by its name.
CREATE FUNCTION heddle_claim_runs(
  p_now bigint, p_request uuid, p_again boolean, p_worker_id text, p_lease_ms bigint, p_limit integer, p_thread_id text
) RETURNS SETOF heddle_runs LANGUAGE plpgsql
-- Otherwise it is planned anew each time, for its limit: longer than an idle worker's poll takes.
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  now_ms bigint := heddle_now(p_now);
  due text[];
BEGIN
  IF p_again THEN
    RETURN QUERY SELECT r.* FROM heddle_runs r WHERE r.status || '' = 'running' AND r.request = p_request ORDER BY r.due_at, r.run_id;
    IF FOUND THEN RETURN; END IF;
  END IF;
  IF p_thread_id IS NULL THEN
    due := ARRAY(SELECT t.thread_id FROM heddle_threads t
      WHERE t.head_run_id IS NOT NULL AND t.head_due_at <= now_ms AND (t.retry_at IS NULL OR t.retry_at <= now_ms)
      ORDER BY t.head_due_at, t.head_run_id LIMIT p_limit FOR UPDATE SKIP LOCKED);
  ELSE
    due := ARRAY(SELECT t.thread_id FROM heddle_threads t
      WHERE t.thread_id = p_thread_id AND t.head_due_at <= now_ms AND coalesce(t.retry_at <= now_ms, true) AND p_limit > 0 FOR UPDATE);
  END IF;
  IF cardinality(due) = 0 THEN RETURN; END IF;
  RETURN QUERY
    WITH started AS (
      UPDATE heddle_runs r SET status = 'running', attempt = r.attempt + 1, lease_token = r.lease_token + 1,
        worker_id = p_worker_id, heartbeat_at = now_ms, lease_until = now_ms + p_lease_ms, updated_at = now_ms, request = p_request
      FROM heddle_threads t WHERE t.thread_id = ANY (due) AND r.run_id = t.head_run_id RETURNING r.*
    ) SELECT * FROM started s ORDER BY s.due_at, s.run_id;
  UPDATE heddle_threads t SET head_due_at = NULL, head_run_id = NULL, retry_at = NULL WHERE t.thread_id = ANY (due);
END $$;
`;
