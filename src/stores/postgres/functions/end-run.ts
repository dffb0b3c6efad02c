/** How runs end, go back, or are asked to stop. */
export const END_FUNCTIONS: string = String.raw`
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
BEGIN
  kind := 'refused';
  SELECT t.thread_id, t.settled_status, t.head_due_at INTO thread FROM heddle_threads t
    WHERE t.thread_id = (SELECT r.thread_id FROM heddle_runs r WHERE r.run_id = p_run_id) FOR UPDATE;
  IF NOT FOUND THEN
    IF p_again AND p_status = 'rolled-back' THEN kind := 'accepted'; END IF;
    RETURN;
  END IF;
  now_ms := heddle_now(p_now);
  IF p_status = 'rolled-back' THEN
    PERFORM heddle_delete_runs(ARRAY[r.run_id]) FROM heddle_runs r
      WHERE r.run_id = p_run_id AND r.status = 'running' AND r.lease_token = p_lease_token;
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
  kind := 'accepted';
  next_pending := heddle_settle_thread(thread.thread_id, now_ms, CASE
    WHEN p_status = 'rolled-back' AND thread.settled_status = 'error' THEN 'error'
    WHEN p_status IN ('error', 'timeout') THEN 'error'
    WHEN p_has_next THEN 'interrupted'
    ELSE 'idle' END, p_values, p_interrupts, coalesce(p_thread_error, p_error), p_metadata);
END $$;

CREATE FUNCTION heddle_release_run(p_now bigint, p_request uuid, p_run_id text, p_lease_token bigint) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  run record;
  now_ms bigint;
BEGIN
  SELECT r.thread_id INTO run FROM heddle_runs r WHERE r.run_id = p_run_id;
  PERFORM 1 FROM heddle_threads t WHERE t.thread_id = run.thread_id FOR UPDATE;
  IF NOT FOUND THEN RETURN false; END IF;
  SELECT r.thread_id, r.status, r.lease_token, r.request INTO run FROM heddle_runs r WHERE r.run_id = p_run_id;
  IF run.status = 'running' AND run.lease_token = p_lease_token THEN
    now_ms := heddle_now(p_now);
    UPDATE heddle_runs r SET status = 'pending', attempt = r.attempt - 1, worker_id = NULL, updated_at = now_ms, request = p_request
      WHERE r.run_id = p_run_id;
    PERFORM heddle_refresh_thread(run.thread_id, now_ms, false);
    RETURN true;
  END IF;
  RETURN coalesce(run.request = p_request, false);
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
  IF NOT FOUND THEN RETURN; END IF;
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
