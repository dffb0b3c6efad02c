/** `runs.reapExpired`. */
export const REAP_FUNCTIONS: string = String.raw`
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
    -- Whoever holds a lock is ending, taking back or renewing the run.
    PERFORM 1 FROM heddle_threads t WHERE t.thread_id = candidate.thread_id FOR UPDATE SKIP LOCKED;
    CONTINUE WHEN NOT FOUND;
    now_ms := heddle_now(p_now);
    SELECT r.cancel_action INTO taken FROM heddle_runs r
      WHERE r.run_id = candidate.run_id AND r.status = 'running' AND r.lease_token = candidate.lease_token
        AND (candidate.dead OR r.lease_until <= now_ms) FOR UPDATE SKIP LOCKED;
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
`;
