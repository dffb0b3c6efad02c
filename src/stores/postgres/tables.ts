/**
 * Tables of assistants, threads and runs. Times are epoch milliseconds; identifiers compare by bytes; what is searched is
 * JSONB (databases/postgres/storable), what must come back as it was is text.
 *
 * A thread's row changes twice per run, and every change that touches an indexed column writes an entry into each index of its
 * table: so its metadata, with the costly index, has a table of its own.
 */
export const TABLES = `
CREATE TABLE heddle_assistants (
  assistant_id text COLLATE "C" PRIMARY KEY,
  graph_id text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL,
  -- lower case as JavaScript has it, UTF-8: what a search by name looks into
  name_folded bytea NOT NULL,
  description text,
  config text NOT NULL,
  context text NOT NULL,
  metadata jsonb NOT NULL,
  version integer NOT NULL,
  created_at bigint NOT NULL,
  updated_at bigint NOT NULL
);
CREATE INDEX heddle_assistants_by_graph_id ON heddle_assistants (graph_id);
CREATE INDEX heddle_assistants_by_created_at ON heddle_assistants (created_at);
CREATE INDEX heddle_assistants_by_updated_at ON heddle_assistants (updated_at);
CREATE INDEX heddle_assistants_by_metadata ON heddle_assistants USING gin (metadata jsonb_path_ops);

CREATE TABLE heddle_assistant_versions (
  assistant_id text COLLATE "C" NOT NULL,
  version integer NOT NULL,
  graph_id text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL,
  description text,
  config text NOT NULL,
  context text NOT NULL,
  metadata jsonb NOT NULL,
  name_folded bytea NOT NULL,
  created_at bigint NOT NULL,
  -- the request that made it: one that is repeated after a lost connection recognises its own work
  request uuid,
  PRIMARY KEY (assistant_id, version)
);

CREATE TABLE heddle_threads (
  thread_id text COLLATE "C" PRIMARY KEY,
  updated_at bigint NOT NULL,
  state_updated_at bigint NOT NULL,
  status text COLLATE "C" NOT NULL,
  -- the status without runs in flight
  settled_status text COLLATE "C" NOT NULL,
  -- made for a stateless run, to be removed with it
  temporary boolean NOT NULL,
  -- first pending run, while none is running: the queue
  head_due_at bigint,
  head_run_id text COLLATE "C",
  -- after a lost worker no run starts before
  retry_at bigint,
  state_values text,
  interrupts text,
  error text,
  request uuid
) WITH (fillfactor = 85);
CREATE INDEX heddle_threads_by_updated_at ON heddle_threads (updated_at);
-- Most threads are idle, most of the time.
CREATE INDEX heddle_threads_not_idle ON heddle_threads (status, updated_at) WHERE status <> 'idle';
CREATE INDEX heddle_threads_queue ON heddle_threads (head_due_at, head_run_id) WHERE head_run_id IS NOT NULL;
CREATE INDEX heddle_threads_paused ON heddle_threads (retry_at) WHERE retry_at IS NOT NULL;
CREATE INDEX heddle_threads_temporary ON heddle_threads (updated_at) WHERE temporary;

CREATE TABLE heddle_thread_metadata (
  thread_id text COLLATE "C" PRIMARY KEY,
  created_at bigint NOT NULL,
  metadata jsonb NOT NULL,
  config text NOT NULL
);
CREATE INDEX heddle_thread_metadata_by_created_at ON heddle_thread_metadata (created_at);
CREATE INDEX heddle_thread_metadata_by_metadata ON heddle_thread_metadata USING gin (metadata jsonb_path_ops);

CREATE TABLE heddle_runs (
  run_id text COLLATE "C" PRIMARY KEY,
  thread_id text COLLATE "C" NOT NULL,
  assistant_id text COLLATE "C" NOT NULL,
  graph_id text COLLATE "C" NOT NULL,
  created_at bigint NOT NULL,
  updated_at bigint NOT NULL,
  due_at bigint NOT NULL,
  status text COLLATE "C" NOT NULL,
  multitask_strategy text COLLATE "C" NOT NULL,
  temporary boolean NOT NULL,
  attempt integer NOT NULL,
  lease_token bigint NOT NULL,
  worker_id text,
  heartbeat_at bigint,
  lease_until bigint,
  cancel_action text,
  metadata jsonb NOT NULL,
  kwargs text NOT NULL,
  error text,
  -- the request that last claimed, ended or requeued it, and what its creation superseded
  request uuid,
  superseded json
) WITH (fillfactor = 85);
-- Leases are not indexed: a heartbeat that changes no indexed column writes no index entries, and running rows are few.
-- Their conditions are not spelled as other queries spell them: the planner would look up a run by its id and status in an index
-- that has few entries, many dead ones, and no ids. Who wants them spells it the same.
CREATE UNIQUE INDEX heddle_runs_one_running_per_thread ON heddle_runs (thread_id) WHERE status || '' = 'running';
CREATE INDEX heddle_runs_waiting ON heddle_runs (thread_id, due_at, run_id) WHERE status || '' = 'pending';
CREATE INDEX heddle_runs_delayed ON heddle_runs (due_at) WHERE status || '' = 'pending' AND due_at > created_at;
CREATE INDEX heddle_runs_by_thread ON heddle_runs (thread_id, created_at);

-- Runs that others executed and that were deleted lately: a creation that is repeated because its answer was lost must not bring
-- one back. Not logged: it is of use for less than a minute.
CREATE UNLOGGED TABLE heddle_gone_runs (
  run_id text COLLATE "C" PRIMARY KEY,
  created_at bigint NOT NULL,
  due_at bigint NOT NULL,
  gone_at bigint NOT NULL
);

-- Faster than the default, where the server has it. Large states are compressed with every run. Through EXECUTE: servers before 14
-- read the block whole before anything is caught.
DO $$
BEGIN
  EXECUTE 'ALTER TABLE heddle_threads ALTER COLUMN state_values SET COMPRESSION lz4, ALTER COLUMN interrupts SET COMPRESSION lz4';
  EXECUTE 'ALTER TABLE heddle_runs ALTER COLUMN kwargs SET COMPRESSION lz4';
EXCEPTION WHEN feature_not_supported OR syntax_error THEN NULL;
END $$;
`;

/**
 * Table of the long-term store. Namespaces are JSON arrays of labels, as core/item-namespace writes them. Indices have what
 * tells places apart as a digest, and the beginning of a namespace: Postgres takes no entries over 2.7 kB.
 */
export const ITEM_TABLES = String.raw`
CREATE TABLE heddle_items (
  place bytea PRIMARY KEY,
  namespace text COLLATE "C" NOT NULL,
  labels text[] COLLATE "C" NOT NULL,
  item_key text COLLATE "C" NOT NULL,
  item_value jsonb NOT NULL,
  created_at bigint NOT NULL,
  updated_at bigint NOT NULL,
  -- of creation, for equal times
  position bigint GENERATED ALWAYS AS IDENTITY
);
CREATE INDEX heddle_items_by_updated_at ON heddle_items (updated_at, position);
CREATE INDEX heddle_items_by_namespace ON heddle_items (left(namespace, 512));

-- A number, or the one that a string spells in JavaScript; null for anything else.
CREATE FUNCTION heddle_number(stored jsonb) RETURNS float8 LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE
  spelled text;
  digits text;
  base integer;
  total numeric := 0;
BEGIN
  IF jsonb_typeof(stored) = 'number' THEN RETURN (stored #>> '{}')::float8; END IF;
  IF jsonb_typeof(stored) <> 'string' THEN RETURN NULL; END IF;
  spelled := btrim(stored #>> '{}', E' 	

                 　﻿');
  IF spelled ~ '^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$' THEN
    BEGIN
      RETURN spelled::float8;
    EXCEPTION WHEN numeric_value_out_of_range THEN
      RETURN CASE WHEN spelled ~ '[eE]-' THEN '0' WHEN left(spelled, 1) = '-' THEN '-Infinity' ELSE 'Infinity' END::float8;
    END;
  END IF;
  IF spelled ~ '^[+-]?Infinity$' THEN RETURN ltrim(spelled, '+')::float8; END IF;
  base := CASE WHEN spelled ~ '^0[xX][0-9a-fA-F]+$' THEN 16 WHEN spelled ~ '^0[oO][0-7]+$' THEN 8 WHEN spelled ~ '^0[bB][01]+$' THEN 2 END;
  IF base IS NULL OR length(spelled) > 300 THEN RETURN NULL; END IF;
  digits := lower(substr(spelled, 3));
  FOR i IN 1 .. length(digits) LOOP
    total := total * base + position(substr(digits, i, 1) IN '0123456789abcdef') - 1;
  END LOOP;
  RETURN total::float8;
END $$;
`;
