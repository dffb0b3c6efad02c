/** Assistants with their versions. */
export const ASSISTANT_FUNCTIONS: string = String.raw`
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
  locked text[];
  waiting text[];
  doomed text[];
  v_thread_id text;
BEGIN
  RETURN QUERY DELETE FROM heddle_assistants a WHERE a.assistant_id = p_assistant_id AND heddle_visible(a.metadata, p_access) RETURNING a.*;
  IF NOT FOUND THEN RETURN; END IF;
  DELETE FROM heddle_assistant_versions v WHERE v.assistant_id = p_assistant_id;
  locked := ARRAY(SELECT t.thread_id FROM heddle_threads t WHERE t.thread_id IN (
    SELECT r.thread_id FROM heddle_runs r WHERE r.assistant_id = p_assistant_id AND (r.status || '' = 'running' OR r.status || '' = 'pending')
  ) ORDER BY t.thread_id FOR UPDATE);
  SELECT array_agg(r.run_id), array_agg(DISTINCT r.thread_id) INTO doomed, waiting FROM heddle_runs r
    WHERE r.assistant_id = p_assistant_id AND r.status || '' = 'pending' AND r.thread_id = ANY (locked);
  -- Runs that were created meanwhile, in threads that are not locked, come after the deletion.
  DELETE FROM heddle_runs r WHERE r.assistant_id = p_assistant_id AND r.status || '' <> 'running' AND (r.status || '' <> 'pending' OR r.run_id = ANY (coalesce(doomed, '{}')));
  FOREACH v_thread_id IN ARRAY coalesce(waiting, '{}') LOOP
    PERFORM heddle_refresh_thread(v_thread_id, heddle_now(p_now), false);
  END LOOP;
END $$;
`;
