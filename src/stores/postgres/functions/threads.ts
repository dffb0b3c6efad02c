/** Threads: in step with their runs, and whole rows. Who calls one with `p_now` as a time holds the lock of the thread. */
export const THREAD_FUNCTIONS: string = String.raw`
CREATE FUNCTION heddle_refresh_thread(p_thread_id text, p_now bigint, p_end_pause boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  head_due bigint;
  head_run text;
  running boolean := EXISTS (SELECT 1 FROM heddle_runs r WHERE r.thread_id = p_thread_id AND r.status || '' = 'running');
BEGIN
  IF NOT running THEN
    SELECT r.due_at, r.run_id INTO head_due, head_run FROM heddle_runs r
      WHERE r.thread_id = p_thread_id AND r.status || '' = 'pending' ORDER BY r.due_at, r.run_id LIMIT 1;
  END IF;
  UPDATE heddle_threads t SET
    updated_at = CASE WHEN t.status = (CASE WHEN running OR head_run IS NOT NULL THEN 'busy' ELSE t.settled_status END)
      THEN t.updated_at ELSE p_now END,
    status = CASE WHEN running OR head_run IS NOT NULL THEN 'busy' ELSE t.settled_status END,
    head_due_at = head_due,
    head_run_id = head_run,
    retry_at = CASE WHEN head_run IS NOT NULL AND NOT p_end_pause THEN t.retry_at END
  WHERE t.thread_id = p_thread_id;
END $$;

-- Writes what a run's end leaves, and says whether another run of the thread may start. No run of the thread is running.
CREATE FUNCTION heddle_settle_thread(
  p_thread_id text, p_now bigint, p_settled text, p_values text, p_interrupts text, p_error text, p_metadata jsonb
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  next_due bigint;
BEGIN
  UPDATE heddle_threads t SET
    updated_at = p_now,
    state_updated_at = CASE WHEN p_values IS NULL THEN t.state_updated_at ELSE p_now END,
    settled_status = p_settled,
    status = CASE WHEN head.run_id IS NULL THEN p_settled ELSE 'busy' END,
    head_due_at = head.due_at,
    head_run_id = head.run_id,
    retry_at = CASE WHEN head.run_id IS NOT NULL THEN t.retry_at END,
    state_values = coalesce(p_values, t.state_values),
    interrupts = coalesce(p_interrupts, t.interrupts),
    error = CASE WHEN p_settled = 'error' THEN coalesce(p_error, t.error) END
  FROM (SELECT 1) one LEFT JOIN LATERAL (
    SELECT r.due_at, r.run_id FROM heddle_runs r WHERE r.thread_id = p_thread_id AND r.status || '' = 'pending' ORDER BY r.due_at, r.run_id LIMIT 1
  ) head ON true
  WHERE t.thread_id = p_thread_id RETURNING t.head_due_at INTO next_due;
  IF p_metadata IS NOT NULL THEN
    UPDATE heddle_thread_metadata m SET metadata = m.metadata || p_metadata WHERE m.thread_id = p_thread_id;
  END IF;
  RETURN coalesce(next_due <= p_now, false);
END $$;

CREATE VIEW heddle_thread_rows AS
  SELECT t.thread_id, m.created_at, t.updated_at, t.state_updated_at, t.status, m.metadata, m.config, t.state_values, t.interrupts,
    t.error, t.request, t.settled_status, t.temporary
  FROM heddle_threads t JOIN heddle_thread_metadata m ON m.thread_id = t.thread_id;

CREATE FUNCTION heddle_update_thread(p_now bigint, p_thread_id text, p_metadata jsonb, p_access jsonb)
RETURNS SETOF heddle_thread_rows LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM heddle_threads t WHERE t.thread_id = p_thread_id FOR UPDATE;
  IF NOT FOUND THEN RETURN; END IF;
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

-- Runs that their creator executes need not be remembered: he has his answer.
CREATE FUNCTION heddle_delete_runs(p_run_ids text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  now_ms bigint := heddle_now(NULL);
BEGIN
  WITH gone AS (
    DELETE FROM heddle_runs r WHERE r.run_id = ANY (p_run_ids) RETURNING r.run_id, r.created_at, r.due_at, r.heartbeat_at
  ) INSERT INTO heddle_gone_runs (run_id, created_at, due_at, gone_at)
    SELECT g.run_id, g.created_at, g.due_at, now_ms FROM gone g
    WHERE g.created_at > now_ms - 60000 AND g.heartbeat_at IS DISTINCT FROM g.created_at
    ON CONFLICT DO NOTHING;
END $$;

CREATE FUNCTION heddle_delete_thread(p_thread_id text, p_access jsonb) RETURNS SETOF heddle_thread_rows LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM heddle_threads t WHERE t.thread_id = p_thread_id FOR UPDATE;
  -- It may be made right now: then it is not locked, and not there yet.
  IF NOT FOUND THEN RETURN; END IF;
  RETURN QUERY SELECT * FROM heddle_thread_rows v WHERE v.thread_id = p_thread_id AND heddle_visible(v.metadata, p_access);
  IF NOT FOUND THEN RETURN; END IF;
  PERFORM heddle_delete_runs(ARRAY(SELECT r.run_id FROM heddle_runs r WHERE r.thread_id = p_thread_id));
  DELETE FROM heddle_thread_metadata m WHERE m.thread_id = p_thread_id;
  DELETE FROM heddle_threads t WHERE t.thread_id = p_thread_id;
END $$;
`;
