/**
 * What the run queue does in one round trip, as functions of the database. Each locks the thread's row first and looks at its
 * runs second: a statement that waits for a lock goes on with the snapshot that it had before (design §7.1). Locks are taken in
 * the order thread, run, and several threads in the order of their ids, so that nobody waits in a circle.
 *
 * Parameters: `p_now` a test's clock, else null; `p_request` names the call, `p_again` says that it may have been carried out
 * already, by a connection that was lost before it answered.
 */

const CLOCK = String.raw`
CREATE FUNCTION heddle_now(p_now bigint) RETURNS bigint LANGUAGE sql VOLATILE AS $$
  SELECT coalesce(p_now, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint)
$$;
`;

/** Filters. `rule` is what stores/postgres/filters makes of an access filter; null shows everything. */
const FILTERS = String.raw`
CREATE FUNCTION heddle_visible(metadata jsonb, rule jsonb) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF rule IS NULL THEN RETURN true; END IF;
  IF rule ? 'has' THEN RETURN metadata @> (rule -> 'has'); END IF;
  IF rule ? 'all' THEN
    RETURN NOT EXISTS (SELECT 1 FROM jsonb_array_elements(rule -> 'all') part WHERE NOT heddle_visible(metadata, part));
  END IF;
  RETURN EXISTS (SELECT 1 FROM jsonb_array_elements(rule -> 'any') part WHERE heddle_visible(metadata, part));
END $$;

-- JSON as it was given as what databases/postgres/storable makes of it. Null where Postgres cannot hold it: too deep, too large.
CREATE FUNCTION heddle_searchable(given text) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE STRICT COST 10000 AS $$
DECLARE
  storable text := given;
BEGIN
  IF position('\u' IN given) > 0 THEN
    -- Without escaped backslashes every backslash before a u starts an escape.
    storable := replace(storable, '\\', '\u005c');
    storable := regexp_replace(storable, '\\u(000[01])', '\\u0001\1', 'g');
    storable := regexp_replace(storable, '\\u(d[89ab][0-9a-f]{2})(?!\\ud[c-f])', '\\u0001\1', 'gi');
    storable := regexp_replace(storable, '(?<!\\ud[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})', '\\u0001\1', 'gi');
  END IF;
  RETURN storable::jsonb;
EXCEPTION WHEN statement_too_complex OR program_limit_exceeded OR untranslatable_character OR invalid_text_representation THEN
  RETURN NULL;
END $$;
`;

/** Brings a thread in step with its runs. The caller holds the thread's lock. */
const THREADS = String.raw`
CREATE FUNCTION heddle_refresh_thread(p_thread_id text, p_now bigint, p_end_pause boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  head record;
BEGIN
  SELECT r.status, r.due_at, r.run_id INTO head FROM heddle_runs r
    WHERE r.thread_id = p_thread_id AND r.status IN ('pending', 'running')
    ORDER BY r.status DESC, r.due_at, r.run_id LIMIT 1;
  UPDATE heddle_threads t SET
    updated_at = CASE WHEN t.status = (CASE WHEN head.run_id IS NULL THEN t.settled_status ELSE 'busy' END)
      THEN t.updated_at ELSE p_now END,
    status = CASE WHEN head.run_id IS NULL THEN t.settled_status ELSE 'busy' END,
    head_due_at = CASE WHEN head.status = 'pending' THEN head.due_at END,
    head_run_id = CASE WHEN head.status = 'pending' THEN head.run_id END,
    retry_at = CASE WHEN head.status = 'pending' AND NOT p_end_pause THEN t.retry_at END
  WHERE t.thread_id = p_thread_id;
END $$;

-- Writes what a run's end leaves, and says whether another run of the thread may start.
CREATE FUNCTION heddle_settle_thread(
  p_thread_id text, p_now bigint, p_settled text, p_values text, p_interrupts text, p_error text, p_metadata jsonb
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  head record;
BEGIN
  SELECT r.status, r.due_at, r.run_id INTO head FROM heddle_runs r
    WHERE r.thread_id = p_thread_id AND r.status IN ('pending', 'running')
    ORDER BY r.status DESC, r.due_at, r.run_id LIMIT 1;
  UPDATE heddle_threads t SET
    updated_at = p_now,
    state_updated_at = CASE WHEN p_values IS NULL THEN t.state_updated_at ELSE p_now END,
    settled_status = p_settled,
    status = CASE WHEN head.run_id IS NULL THEN p_settled ELSE 'busy' END,
    head_due_at = CASE WHEN head.status = 'pending' THEN head.due_at END,
    head_run_id = CASE WHEN head.status = 'pending' THEN head.run_id END,
    retry_at = CASE WHEN head.status = 'pending' THEN t.retry_at END,
    state_values = coalesce(p_values, t.state_values),
    interrupts = coalesce(p_interrupts, t.interrupts),
    error = CASE WHEN p_settled = 'error' THEN coalesce(p_error, t.error) END
  WHERE t.thread_id = p_thread_id;
  IF p_metadata IS NOT NULL THEN
    UPDATE heddle_thread_metadata m SET metadata = m.metadata || p_metadata WHERE m.thread_id = p_thread_id;
  END IF;
  RETURN coalesce(head.status = 'pending' AND head.due_at <= p_now, false);
END $$;
`;

const CREATE_RUN = String.raw`
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
    INSERT INTO heddle_threads (thread_id, created_at, updated_at, state_updated_at, status, settled_status, temporary, head_due_at, head_run_id)
      VALUES (p_thread_id, now_ms, now_ms, now_ms, 'busy', 'idle', p_temporary,
        CASE WHEN NOT leased THEN now_ms + p_delay_ms END, CASE WHEN NOT leased THEN p_run_id END)
      ON CONFLICT DO NOTHING;
    IF FOUND THEN
      is_new := true;
      thread_metadata := p_metadata || ids;
      INSERT INTO heddle_thread_metadata (thread_id, metadata, config) VALUES (p_thread_id, thread_metadata, p_config);
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
    IF was_status = 'busy' THEN
      FOR other IN
        SELECT r.run_id, r.status, r.lease_token, r.cancel_action, r.temporary FROM heddle_runs r
        WHERE r.thread_id = p_thread_id AND r.status IN ('pending', 'running') ORDER BY r.status DESC, r.due_at, r.run_id
      LOOP
        IF p_strategy = 'reject' THEN
          others := others || to_jsonb(other.run_id);
        ELSIF p_strategy = 'enqueue' THEN
          waiting := true;
          running := running OR other.status = 'running';
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
            DELETE FROM heddle_runs r WHERE r.run_id = other.run_id;
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
        WHERE r.thread_id = p_thread_id AND r.status = 'pending' ORDER BY r.due_at, r.run_id LIMIT 1;
    END IF;
    UPDATE heddle_threads t SET
      status = 'busy', updated_at = now_ms, temporary = t.temporary AND p_temporary,
      head_due_at = CASE WHEN leased OR running THEN NULL WHEN waiting THEN head_due ELSE due_at END,
      head_run_id = CASE WHEN leased OR running THEN NULL WHEN waiting THEN head_run ELSE p_run_id END,
      retry_at = CASE WHEN waiting AND NOT end_pause THEN t.retry_at END
    WHERE t.thread_id = p_thread_id;
  END IF;
END $$;
`;

const CLAIM_RUNS = String.raw`
-- Runs whose statement was carried out although its answer was lost are found by its name.
CREATE FUNCTION heddle_claim_runs(
  p_now bigint, p_request uuid, p_again boolean, p_worker_id text, p_lease_ms bigint, p_limit integer, p_thread_id text
) RETURNS SETOF heddle_runs LANGUAGE plpgsql AS $$
DECLARE
  now_ms bigint := heddle_now(p_now);
  due text[];
BEGIN
  IF p_again THEN
    RETURN QUERY SELECT r.* FROM heddle_runs r WHERE r.status = 'running' AND r.request = p_request ORDER BY r.due_at, r.run_id;
    IF FOUND THEN RETURN; END IF;
  END IF;
  IF p_thread_id IS NULL THEN
    due := ARRAY(SELECT t.thread_id FROM heddle_threads t
      WHERE t.head_run_id IS NOT NULL AND t.head_due_at <= now_ms AND (t.retry_at IS NULL OR t.retry_at <= now_ms)
      ORDER BY t.head_due_at, t.head_run_id LIMIT p_limit FOR UPDATE SKIP LOCKED);
  ELSE
    due := ARRAY(SELECT t.thread_id FROM heddle_threads t
      WHERE t.thread_id = p_thread_id AND t.head_run_id IS NOT NULL AND t.head_due_at <= now_ms
        AND (t.retry_at IS NULL OR t.retry_at <= now_ms)
      LIMIT p_limit FOR UPDATE);
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

const END_RUN = String.raw`
-- p_status: a terminal one, or 'rolled-back'. o_kind: accepted, refused, rollback.
CREATE FUNCTION heddle_finish_run(
  p_now bigint, p_request uuid, p_again boolean, p_run_id text, p_lease_token bigint, p_status text, p_error text,
  p_has_next boolean, p_values text, p_interrupts text, p_thread_error text, p_metadata jsonb,
  OUT kind text, OUT next_pending boolean
) LANGUAGE plpgsql AS $$
DECLARE
  run record;
  thread record;
  now_ms bigint;
  settled text;
BEGIN
  kind := 'refused';
  SELECT r.thread_id INTO run FROM heddle_runs r WHERE r.run_id = p_run_id;
  IF NOT FOUND THEN
    IF p_again AND p_status = 'rolled-back' THEN kind := 'accepted'; END IF;
    RETURN;
  END IF;
  SELECT t.thread_id, t.settled_status, t.head_due_at INTO thread FROM heddle_threads t WHERE t.thread_id = run.thread_id FOR UPDATE;
  IF NOT FOUND THEN RETURN; END IF;
  now_ms := heddle_now(p_now);
  IF p_status = 'rolled-back' THEN
    DELETE FROM heddle_runs r WHERE r.run_id = p_run_id AND r.status = 'running' AND r.lease_token = p_lease_token;
  ELSE
    UPDATE heddle_runs r SET status = p_status, error = p_error, worker_id = NULL, updated_at = now_ms, request = p_request
      WHERE r.run_id = p_run_id AND r.status = 'running' AND r.lease_token = p_lease_token
        AND r.cancel_action IS DISTINCT FROM 'rollback';
  END IF;
  IF NOT FOUND THEN
    SELECT r.status, r.lease_token, r.request INTO run FROM heddle_runs r WHERE r.run_id = p_run_id;
    IF run.status = 'running' AND run.lease_token = p_lease_token THEN
      kind := 'rollback';
    ELSIF run.request = p_request OR (p_again AND p_status = 'rolled-back' AND run.status IS NULL) THEN
      kind := 'accepted';
      next_pending := thread.head_due_at <= now_ms;
    END IF;
    RETURN;
  END IF;
  settled := CASE
    WHEN p_status = 'rolled-back' AND thread.settled_status = 'error' THEN 'error'
    WHEN p_status IN ('error', 'timeout') THEN 'error'
    WHEN p_has_next THEN 'interrupted'
    ELSE 'idle' END;
  kind := 'accepted';
  next_pending := heddle_settle_thread(
    run.thread_id, now_ms, settled, p_values, p_interrupts, coalesce(p_thread_error, p_error), p_metadata);
END $$;

CREATE FUNCTION heddle_release_run(p_now bigint, p_request uuid, p_run_id text, p_lease_token bigint) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  v_thread_id text;
  now_ms bigint;
BEGIN
  SELECT r.thread_id INTO v_thread_id FROM heddle_runs r WHERE r.run_id = p_run_id;
  PERFORM 1 FROM heddle_threads t WHERE t.thread_id = v_thread_id FOR UPDATE;
  now_ms := heddle_now(p_now);
  UPDATE heddle_runs r SET status = 'pending', attempt = r.attempt - 1, worker_id = NULL, updated_at = now_ms, request = p_request
    WHERE r.run_id = p_run_id AND r.status = 'running' AND r.lease_token = p_lease_token;
  IF NOT FOUND THEN
    RETURN EXISTS (SELECT 1 FROM heddle_runs r WHERE r.run_id = p_run_id AND r.request = p_request);
  END IF;
  PERFORM heddle_refresh_thread(v_thread_id, now_ms, false);
  RETURN true;
END $$;

-- kind: not-found, finished, requested, cancelled; gone: a repeated rollback that has removed the row.
CREATE FUNCTION heddle_cancel_run(
  p_now bigint, p_request uuid, p_again boolean, p_run_id text, p_thread_id text, p_action text, p_access jsonb,
  OUT kind text, OUT run heddle_runs
) LANGUAGE plpgsql AS $$
DECLARE
  v_thread_id text;
  now_ms bigint;
BEGIN
  kind := CASE WHEN p_again AND p_action = 'rollback' THEN 'gone' ELSE 'not-found' END;
  SELECT r.thread_id INTO v_thread_id FROM heddle_runs r WHERE r.run_id = p_run_id;
  IF NOT FOUND THEN RETURN; END IF;
  PERFORM 1 FROM heddle_threads t WHERE t.thread_id = v_thread_id FOR UPDATE;
  SELECT r.* INTO run FROM heddle_runs r WHERE r.run_id = p_run_id;
  IF NOT FOUND THEN RETURN; END IF;
  IF (p_thread_id IS NOT NULL AND v_thread_id <> p_thread_id) OR (p_access IS NOT NULL AND NOT heddle_visible(
    (SELECT m.metadata FROM heddle_thread_metadata m WHERE m.thread_id = v_thread_id), p_access)) THEN
    kind := 'not-found';
    run := NULL;
    RETURN;
  END IF;
  now_ms := heddle_now(p_now);
  IF run.status NOT IN ('pending', 'running') THEN
    kind := CASE WHEN p_again AND run.request = p_request THEN 'cancelled' ELSE 'finished' END;
  -- A run that a worker has held before may have left checkpoints: the next worker undoes or keeps them.
  ELSIF run.status = 'running' OR run.lease_token > 0 THEN
    kind := 'requested';
    UPDATE heddle_runs r SET cancel_action = CASE WHEN r.cancel_action = 'rollback' THEN 'rollback' ELSE p_action END
      WHERE r.run_id = p_run_id;
    UPDATE heddle_threads t SET retry_at = NULL WHERE t.thread_id = v_thread_id AND t.retry_at IS NOT NULL;
  ELSIF p_action = 'rollback' THEN
    kind := 'cancelled';
    DELETE FROM heddle_runs r WHERE r.run_id = p_run_id;
    PERFORM heddle_refresh_thread(v_thread_id, now_ms, false);
  ELSE
    kind := 'cancelled';
    UPDATE heddle_runs r SET status = 'interrupted', updated_at = now_ms, request = p_request WHERE r.run_id = p_run_id
      RETURNING r.* INTO run;
    PERFORM heddle_refresh_thread(v_thread_id, now_ms, false);
  END IF;
END $$;

-- p_candidates: [{runId, leaseToken, dead, error, retryMs}]; error null: back into the queue, retryMs later at the earliest.
CREATE FUNCTION heddle_reap_runs(p_now bigint, p_request uuid, p_again boolean, p_candidates jsonb)
RETURNS TABLE (run_id text, thread_id text, failed boolean) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  candidate record;
  now_ms bigint;
  taken record;
  failure text;
BEGIN
  IF p_again THEN
    RETURN QUERY SELECT r.run_id, r.thread_id, r.status = 'error' FROM heddle_runs r
      WHERE r.run_id IN (SELECT c ->> 'runId' FROM jsonb_array_elements(p_candidates) c) AND r.request = p_request;
    IF FOUND THEN RETURN; END IF;
  END IF;
  FOR candidate IN
    SELECT r.run_id, r.thread_id, (c ->> 'leaseToken')::bigint AS lease_token, (c ->> 'dead')::boolean AS dead,
      c ->> 'error' AS error, (c ->> 'retryMs')::bigint AS retry_ms
    FROM jsonb_array_elements(p_candidates) c JOIN heddle_runs r ON r.run_id = c ->> 'runId' ORDER BY r.thread_id
  LOOP
    -- Whoever holds the lock is ending or taking back the run.
    PERFORM 1 FROM heddle_threads t WHERE t.thread_id = candidate.thread_id FOR UPDATE SKIP LOCKED;
    CONTINUE WHEN NOT FOUND;
    now_ms := heddle_now(p_now);
    SELECT r.cancel_action INTO taken FROM heddle_runs r
      WHERE r.run_id = candidate.run_id AND r.status = 'running' AND r.lease_token = candidate.lease_token
        AND (candidate.dead OR r.lease_until <= now_ms) FOR UPDATE;
    CONTINUE WHEN NOT FOUND;
    -- With a cancel requested no attempt will execute the graph again, so none is one too many.
    failure := CASE WHEN taken.cancel_action IS NULL THEN candidate.error END;
    UPDATE heddle_runs r SET status = CASE WHEN failure IS NULL THEN 'pending' ELSE 'error' END, error = failure,
      worker_id = NULL, updated_at = now_ms, request = p_request WHERE r.run_id = candidate.run_id;
    IF failure IS NULL THEN
      PERFORM heddle_refresh_thread(candidate.thread_id, now_ms, false);
      IF candidate.retry_ms > 0 AND taken.cancel_action IS NULL THEN
        UPDATE heddle_threads t SET retry_at = now_ms + candidate.retry_ms WHERE t.thread_id = candidate.thread_id;
      END IF;
    ELSE
      PERFORM heddle_settle_thread(candidate.thread_id, now_ms, 'error', NULL, NULL, failure, NULL);
    END IF;
    RETURN QUERY SELECT candidate.run_id, candidate.thread_id, failure IS NOT NULL;
  END LOOP;
END $$;

CREATE FUNCTION heddle_delete_run(p_now bigint, p_run_id text, p_thread_id text, p_access jsonb, OUT kind text, OUT run heddle_runs)
LANGUAGE plpgsql AS $$
BEGIN
  kind := 'not-found';
  PERFORM 1 FROM heddle_threads t WHERE t.thread_id = p_thread_id FOR UPDATE;
  IF NOT FOUND OR (p_access IS NOT NULL AND NOT heddle_visible(
    (SELECT m.metadata FROM heddle_thread_metadata m WHERE m.thread_id = p_thread_id), p_access)) THEN RETURN; END IF;
  SELECT r.* INTO run FROM heddle_runs r WHERE r.run_id = p_run_id AND r.thread_id = p_thread_id;
  IF NOT FOUND THEN RETURN; END IF;
  IF run.status = 'running' THEN
    kind := 'running';
    RETURN;
  END IF;
  kind := 'deleted';
  DELETE FROM heddle_runs r WHERE r.run_id = p_run_id;
  IF run.status = 'pending' THEN PERFORM heddle_refresh_thread(p_thread_id, heddle_now(p_now), run.lease_token > 0); END IF;
END $$;
`;

const THREAD_ROWS = String.raw`
CREATE VIEW heddle_thread_rows AS
  SELECT t.thread_id, t.created_at, t.updated_at, t.state_updated_at, t.status, m.metadata, m.config, t.state_values, t.interrupts,
    t.error, t.request
  FROM heddle_threads t JOIN heddle_thread_metadata m ON m.thread_id = t.thread_id;

CREATE FUNCTION heddle_update_thread(p_now bigint, p_thread_id text, p_metadata jsonb, p_access jsonb)
RETURNS SETOF heddle_thread_rows LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM heddle_threads t WHERE t.thread_id = p_thread_id FOR UPDATE;
  UPDATE heddle_thread_metadata m SET metadata = m.metadata || coalesce(p_metadata, '{}')
    WHERE m.thread_id = p_thread_id AND heddle_visible(m.metadata, p_access);
  IF NOT FOUND THEN RETURN; END IF;
  UPDATE heddle_threads t SET updated_at = heddle_now(p_now) WHERE t.thread_id = p_thread_id;
  RETURN QUERY SELECT * FROM heddle_thread_rows v WHERE v.thread_id = p_thread_id;
END $$;

CREATE FUNCTION heddle_patch_thread_state(
  p_now bigint, p_thread_id text, p_settled text, p_values text, p_interrupts text, p_error text, p_metadata jsonb
) RETURNS SETOF heddle_thread_rows LANGUAGE plpgsql AS $$
DECLARE
  v_status text;
BEGIN
  SELECT t.status INTO v_status FROM heddle_threads t WHERE t.thread_id = p_thread_id FOR UPDATE;
  IF NOT FOUND THEN RETURN; END IF;
  IF v_status <> 'busy' THEN
    PERFORM heddle_settle_thread(p_thread_id, heddle_now(p_now), p_settled, p_values, p_interrupts, p_error, p_metadata);
  END IF;
  RETURN QUERY SELECT * FROM heddle_thread_rows v WHERE v.thread_id = p_thread_id;
END $$;

CREATE FUNCTION heddle_delete_thread(p_thread_id text, p_access jsonb) RETURNS SETOF heddle_thread_rows LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM heddle_threads t WHERE t.thread_id = p_thread_id FOR UPDATE;
  RETURN QUERY SELECT * FROM heddle_thread_rows v WHERE v.thread_id = p_thread_id AND heddle_visible(v.metadata, p_access);
  IF NOT FOUND THEN RETURN; END IF;
  DELETE FROM heddle_runs r WHERE r.thread_id = p_thread_id;
  DELETE FROM heddle_thread_metadata m WHERE m.thread_id = p_thread_id;
  DELETE FROM heddle_threads t WHERE t.thread_id = p_thread_id;
END $$;
`;

const ASSISTANT_ROWS = String.raw`
-- A parameter that is null keeps the old value, but for the description.
CREATE FUNCTION heddle_update_assistant(
  p_now bigint, p_request uuid, p_again boolean, p_assistant_id text, p_access jsonb, p_graph_id text, p_name text, p_name_folded bytea,
  p_sets_description boolean, p_description text, p_config text, p_context text, p_metadata jsonb
) RETURNS SETOF heddle_assistants LANGUAGE plpgsql AS $$
DECLARE
  next_version integer;
BEGIN
  PERFORM 1 FROM heddle_assistants a WHERE a.assistant_id = p_assistant_id FOR UPDATE;
  IF p_again AND EXISTS (SELECT 1 FROM heddle_assistant_versions v WHERE v.assistant_id = p_assistant_id AND v.request = p_request) THEN
    RETURN QUERY SELECT a.* FROM heddle_assistants a WHERE a.assistant_id = p_assistant_id;
    RETURN;
  END IF;
  SELECT coalesce(max(v.version), 0) + 1 INTO next_version FROM heddle_assistant_versions v WHERE v.assistant_id = p_assistant_id;
  RETURN QUERY UPDATE heddle_assistants a SET
      graph_id = coalesce(p_graph_id, a.graph_id), name = coalesce(p_name, a.name), name_folded = coalesce(p_name_folded, a.name_folded),
      description = CASE WHEN p_sets_description THEN p_description ELSE a.description END,
      config = coalesce(p_config, a.config), context = coalesce(p_context, a.context),
      metadata = a.metadata || coalesce(p_metadata, '{}'), version = next_version, updated_at = heddle_now(p_now)
    WHERE a.assistant_id = p_assistant_id AND heddle_visible(a.metadata, p_access) RETURNING a.*;
  IF NOT FOUND THEN RETURN; END IF;
  INSERT INTO heddle_assistant_versions (assistant_id, version, graph_id, name, name_folded, description, config, context, metadata, created_at, request)
    SELECT a.assistant_id, a.version, a.graph_id, a.name, a.name_folded, a.description, a.config, a.context, a.metadata, a.updated_at, p_request
    FROM heddle_assistants a WHERE a.assistant_id = p_assistant_id;
END $$;

-- Remove an assistant, its versions and its runs, but for the running ones, and bring their threads in step.
CREATE FUNCTION heddle_delete_assistant(p_now bigint, p_assistant_id text, p_access jsonb)
RETURNS SETOF heddle_assistants LANGUAGE plpgsql AS $$
DECLARE
  waiting text[];
  v_thread_id text;
BEGIN
  RETURN QUERY DELETE FROM heddle_assistants a WHERE a.assistant_id = p_assistant_id AND heddle_visible(a.metadata, p_access) RETURNING a.*;
  IF NOT FOUND THEN RETURN; END IF;
  DELETE FROM heddle_assistant_versions v WHERE v.assistant_id = p_assistant_id;
  PERFORM 1 FROM heddle_threads t WHERE t.thread_id IN (
    SELECT r.thread_id FROM heddle_runs r WHERE r.assistant_id = p_assistant_id AND r.status IN ('pending', 'running')
  ) ORDER BY t.thread_id FOR UPDATE;
  waiting := ARRAY(SELECT DISTINCT r.thread_id FROM heddle_runs r WHERE r.assistant_id = p_assistant_id AND r.status = 'pending');
  DELETE FROM heddle_runs r WHERE r.assistant_id = p_assistant_id AND r.status <> 'running';
  FOREACH v_thread_id IN ARRAY waiting LOOP
    PERFORM heddle_refresh_thread(v_thread_id, heddle_now(p_now), false);
  END LOOP;
END $$;
`;

export const FUNCTIONS: string = [
  CLOCK,
  FILTERS,
  THREADS,
  CREATE_RUN,
  CLAIM_RUNS,
  END_RUN,
  THREAD_ROWS,
  ASSISTANT_ROWS,
].join("\n");
