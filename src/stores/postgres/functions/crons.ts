/**
 * Crons, which go with their thread and their assistant. Who takes locks takes the thread's before the cron's; a deletion of an
 * assistant takes them the other way round, and whoever loses such a deadlock is repeated.
 */
export const CRONS: string = String.raw`
CREATE TABLE heddle_crons (
  cron_id text COLLATE "C" PRIMARY KEY,
  assistant_id text COLLATE "C" NOT NULL REFERENCES heddle_assistants ON DELETE CASCADE,
  thread_id text COLLATE "C" REFERENCES heddle_threads ON DELETE CASCADE,
  schedule text NOT NULL,
  timezone text,
  end_time bigint,
  enabled boolean NOT NULL,
  on_run_completed text NOT NULL,
  multitask_strategy text NOT NULL,
  payload text NOT NULL,
  metadata jsonb NOT NULL,
  creator text NOT NULL,
  next_run_at bigint,
  revision integer NOT NULL DEFAULT 1,
  lease_token bigint NOT NULL DEFAULT 0,
  lease_until bigint,
  -- that moved it on
  request uuid,
  created_at bigint NOT NULL,
  updated_at bigint NOT NULL
);
CREATE INDEX heddle_crons_by_assistant_id ON heddle_crons (assistant_id);
CREATE INDEX heddle_crons_by_thread_id ON heddle_crons (thread_id);
CREATE INDEX heddle_crons_by_created_at ON heddle_crons (created_at);
CREATE INDEX heddle_crons_by_metadata ON heddle_crons USING gin (metadata jsonb_path_ops);
-- the queue, and what is claimed from it
CREATE INDEX heddle_crons_due ON heddle_crons (next_run_at, cron_id);
CREATE INDEX heddle_crons_free ON heddle_crons (next_run_at) WHERE lease_until IS NULL;
CREATE INDEX heddle_crons_claimed ON heddle_crons (lease_until) WHERE lease_until IS NOT NULL;

-- A tick's run and the cron's move, in one transaction: a process that is killed has done both or neither.
CREATE FUNCTION heddle_fire_cron(
  p_cron_id text, p_lease_token bigint, p_next bigint, p_watched boolean,
  p_now bigint, p_request uuid, p_again boolean,
  p_run_id text, p_thread_id text, p_assistant_id text, p_graph_id text, p_kwargs text, p_strategy text, p_delay_ms bigint,
  p_assistant_metadata jsonb, p_metadata jsonb, p_config text, p_create_thread boolean, p_temporary boolean, p_access jsonb,
  OUT fired boolean, OUT kind text, OUT created_at bigint, OUT due_at bigint, OUT leased boolean, OUT metadata text,
  OUT superseded text, OUT inflight text, OUT watched boolean
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  is_there boolean;
BEGIN
  PERFORM 1 FROM heddle_threads t WHERE t.thread_id = p_thread_id FOR UPDATE;
  fired := p_again AND EXISTS (SELECT 1 FROM heddle_crons c WHERE c.cron_id = p_cron_id AND c.request = p_request);
  is_there := EXISTS (SELECT 1 FROM heddle_runs r WHERE r.run_id = p_run_id)
    OR EXISTS (SELECT 1 FROM heddle_gone_runs g WHERE g.run_id = p_run_id);
  IF fired AND NOT is_there THEN
    -- It was done, and the run has ended and gone since: there is nothing left to tell of.
    fired := false;
    RETURN;
  END IF;
  IF NOT fired THEN
    UPDATE heddle_crons c SET next_run_at = p_next, lease_until = NULL, request = p_request
      WHERE c.cron_id = p_cron_id AND c.lease_token = p_lease_token AND c.lease_until IS NOT NULL;
    fired := FOUND;
    IF NOT fired THEN RETURN; END IF;
  END IF;
  SELECT m.kind, m.created_at, m.due_at, m.leased, m.metadata, m.superseded, m.inflight
    INTO kind, created_at, due_at, leased, metadata, superseded, inflight
    FROM heddle_create_run(p_now, p_request, is_there, p_run_id, p_thread_id, p_assistant_id, p_graph_id, p_kwargs, p_strategy,
      p_delay_ms, p_assistant_metadata, p_metadata, p_config, p_create_thread, p_temporary, p_access, NULL, NULL) m;
  IF kind = 'created' THEN watched := heddle_watch_thread(p_thread_id, p_watched); END IF;
END $$;
`;
