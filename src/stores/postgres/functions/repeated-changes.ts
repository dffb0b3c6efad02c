/**
 * Changes of threads whose answer was lost are repeated, and must not be done to what others have made of the thread since: an
 * older state or an older value would come back, or a new thread of the same id would go. So each is noted by its request, in its
 * own transaction. The thread is locked first: of a call and its repetition, which may both be under way, one waits for the other.
 */
export const REPEATED_CHANGES: string = String.raw`
-- Logged: a restart of the server is what loses answers.
CREATE TABLE heddle_done_requests (
  request uuid PRIMARY KEY,
  done_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX heddle_done_requests_by_time ON heddle_done_requests (done_at);

-- Whether the request is new; from then on it is done. Calls are repeated for seconds, so notes are kept for minutes.
CREATE FUNCTION heddle_is_new_request(p_request uuid) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  is_new boolean;
BEGIN
  INSERT INTO heddle_done_requests (request) VALUES (p_request) ON CONFLICT DO NOTHING;
  is_new := FOUND;
  IF random() < 0.01 THEN
    DELETE FROM heddle_done_requests d WHERE d.request IN (
      SELECT o.request FROM heddle_done_requests o WHERE o.done_at < now() - interval '10 minutes'
      ORDER BY o.done_at LIMIT 1000 FOR UPDATE SKIP LOCKED
    );
  END IF;
  RETURN is_new;
END $$;

CREATE FUNCTION heddle_update_thread_once(p_request uuid, p_now bigint, p_thread_id text, p_metadata jsonb, p_access jsonb)
RETURNS SETOF heddle_thread_rows LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM heddle_threads t WHERE t.thread_id = p_thread_id FOR UPDATE;
  IF heddle_is_new_request(p_request) THEN
    RETURN QUERY SELECT * FROM heddle_update_thread(p_now, p_thread_id, p_metadata, p_access);
  ELSE
    RETURN QUERY SELECT * FROM heddle_thread_rows v WHERE v.thread_id = p_thread_id AND heddle_visible(v.metadata, p_access);
  END IF;
END $$;

CREATE FUNCTION heddle_patch_thread_state_once(
  p_request uuid, p_now bigint, p_thread_id text, p_settled text, p_values text, p_interrupts text, p_error text, p_metadata jsonb
) RETURNS SETOF heddle_thread_rows LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM heddle_threads t WHERE t.thread_id = p_thread_id FOR UPDATE;
  IF heddle_is_new_request(p_request) THEN
    RETURN QUERY SELECT * FROM heddle_patch_thread_state(p_now, p_thread_id, p_settled, p_values, p_interrupts, p_error, p_metadata);
  ELSE
    RETURN QUERY SELECT * FROM heddle_thread_rows v WHERE v.thread_id = p_thread_id;
  END IF;
END $$;

-- Nothing comes back from a repetition. Ids of temporary threads are Heddle's own, and never used again.
CREATE FUNCTION heddle_delete_thread_once(p_request uuid, p_thread_id text, p_access jsonb) RETURNS SETOF heddle_thread_rows LANGUAGE plpgsql AS $$
DECLARE
  is_temporary boolean;
BEGIN
  SELECT t.temporary INTO is_temporary FROM heddle_threads t WHERE t.thread_id = p_thread_id FOR UPDATE;
  IF NOT FOUND THEN RETURN; END IF;
  IF is_temporary OR heddle_is_new_request(p_request) THEN
    RETURN QUERY SELECT * FROM heddle_delete_thread(p_thread_id, p_access);
  END IF;
END $$;
`;
