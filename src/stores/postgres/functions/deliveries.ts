/**
 * The outbox of webhooks. Whatever ends a run calls `heddle_deliver` in the same statement, and so in the same transaction: it
 * sees what the functions before it have done, the thread's values among it.
 */
export const DELIVERIES: string = String.raw`
CREATE TABLE heddle_deliveries (
  delivery_id text COLLATE "C" PRIMARY KEY,
  run_id text COLLATE "C" NOT NULL,
  thread_id text COLLATE "C" NOT NULL,
  assistant_id text COLLATE "C" NOT NULL,
  host text COLLATE "C" NOT NULL,
  status text COLLATE "C" NOT NULL,
  created_at bigint NOT NULL,
  updated_at bigint NOT NULL,
  -- the run's end, or the last redelivery
  pending_since bigint NOT NULL,
  -- set while it is pending
  next_attempt_at bigint,
  lease_token bigint NOT NULL,
  attempts integer NOT NULL,
  failures integer NOT NULL,
  -- JSON array of attempts
  log text NOT NULL
) WITH (fillfactor = 85);
CREATE INDEX heddle_deliveries_due ON heddle_deliveries (next_attempt_at, delivery_id) WHERE next_attempt_at IS NOT NULL;
CREATE INDEX heddle_deliveries_by_thread ON heddle_deliveries (thread_id);
CREATE INDEX heddle_deliveries_by_run ON heddle_deliveries (run_id);
CREATE INDEX heddle_deliveries_by_created_at ON heddle_deliveries (created_at, delivery_id);
CREATE INDEX heddle_deliveries_done ON heddle_deliveries (updated_at) WHERE next_attempt_at IS NULL;

-- The run as it ended, and its thread's values then.
CREATE TABLE heddle_delivery_contents (
  delivery_id text COLLATE "C" PRIMARY KEY REFERENCES heddle_deliveries ON DELETE CASCADE,
  run_id text COLLATE "C" NOT NULL,
  thread_id text COLLATE "C" NOT NULL,
  graph_id text COLLATE "C" NOT NULL,
  run_created_at bigint NOT NULL,
  run_updated_at bigint NOT NULL,
  run_due_at bigint NOT NULL,
  run_status text COLLATE "C" NOT NULL,
  run_attempt integer NOT NULL,
  multitask_strategy text COLLATE "C" NOT NULL,
  metadata jsonb NOT NULL,
  kwargs text NOT NULL,
  error text,
  started_at bigint,
  state_values text
);
DO $$
BEGIN
  EXECUTE 'ALTER TABLE heddle_delivery_contents ALTER COLUMN state_values SET COMPRESSION lz4, ALTER COLUMN kwargs SET COMPRESSION lz4';
EXCEPTION WHEN feature_not_supported OR syntax_error THEN NULL;
END $$;

-- Nothing for a run that is gone, or has no webhook: core/kwargs-text.
CREATE FUNCTION heddle_deliver(p_run_id text, p_started_at bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  run record;
BEGIN
  SELECT r.thread_id, r.assistant_id, r.updated_at, r.status,
      substring(left(r.kwargs, 300) FROM '^\{"webhook":\{"host":"([^"\\]*)"') AS host
    INTO run FROM heddle_runs r WHERE r.run_id = p_run_id;
  IF run.host IS NULL OR run.status IN ('pending', 'running') THEN RETURN; END IF;
  INSERT INTO heddle_deliveries (delivery_id, run_id, thread_id, assistant_id, host, status, created_at, updated_at, pending_since,
      next_attempt_at, lease_token, attempts, failures, log)
    VALUES ('msg_' || p_run_id, p_run_id, run.thread_id, run.assistant_id, run.host, 'pending', run.updated_at, run.updated_at,
      run.updated_at, run.updated_at, 0, 0, 0, '[]')
    ON CONFLICT (delivery_id) DO NOTHING;
  -- The call was repeated because its answer was lost.
  IF NOT FOUND THEN RETURN; END IF;
  INSERT INTO heddle_delivery_contents (delivery_id, run_id, thread_id, graph_id, run_created_at, run_updated_at, run_due_at, run_status,
      run_attempt, multitask_strategy, metadata, kwargs, error, started_at, state_values)
    SELECT 'msg_' || r.run_id, r.run_id, r.thread_id, r.graph_id, r.created_at, r.updated_at, r.due_at, r.status,
      r.attempt, r.multitask_strategy, r.metadata, r.kwargs, r.error, p_started_at,
      (SELECT t.state_values FROM heddle_threads t WHERE t.thread_id = r.thread_id)
    FROM heddle_runs r WHERE r.run_id = p_run_id;
END $$;

-- Runs that a new one has ended before they began, as heddle_create_run reports them.
CREATE FUNCTION heddle_deliver_superseded(p_superseded json) RETURNS void LANGUAGE sql AS $$
  SELECT heddle_deliver(s ->> 'runId', NULL) FROM json_array_elements(p_superseded) s
    WHERE s ->> 'was' = 'pending' AND s ->> 'action' = 'interrupt'
$$;
`;

/**
 * Messages, which are of no run: their deliveries have empty ids of runs and assistants, and perhaps of threads. The two are written
 * by one statement. @returns whether there was none of this id
 */
export const DELIVERY_MESSAGES: string = String.raw`
CREATE TABLE heddle_delivery_messages (
  delivery_id text COLLATE "C" PRIMARY KEY REFERENCES heddle_deliveries ON DELETE CASCADE,
  message text NOT NULL
);
DO $$
BEGIN
  EXECUTE 'ALTER TABLE heddle_delivery_messages ALTER COLUMN message SET COMPRESSION lz4';
EXCEPTION WHEN feature_not_supported OR syntax_error THEN NULL;
END $$;

CREATE FUNCTION heddle_enqueue_message(p_now bigint, p_delivery_id text, p_thread_id text, p_host text, p_message text)
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO heddle_deliveries (delivery_id, run_id, thread_id, assistant_id, host, status, created_at, updated_at, pending_since,
      next_attempt_at, lease_token, attempts, failures, log)
    VALUES (p_delivery_id, '', p_thread_id, '', p_host, 'pending', p_now, p_now, p_now, p_now, 0, 0, 0, '[]')
    ON CONFLICT (delivery_id) DO NOTHING;
  IF NOT FOUND THEN RETURN false; END IF;
  INSERT INTO heddle_delivery_messages (delivery_id, message) VALUES (p_delivery_id, p_message);
  RETURN true;
END $$;
`;
