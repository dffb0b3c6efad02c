/**
 * Records. What an index has of a place is digests (`stores/record-keys.ts`), because entries may not be over 2.7 kB. A record is
 * locked before its time is asked, so that times follow versions. Values are text: JSONB would not give back what it was given.
 */
export const RECORDS: string = String.raw`
CREATE SEQUENCE heddle_record_sequence AS bigint;

CREATE TABLE heddle_records (
  id bytea PRIMARY KEY,
  owner_id bytea NOT NULL,
  collection_id bytea NOT NULL,
  space text COLLATE "C" NOT NULL,
  owner text COLLATE "C" NOT NULL,
  collection text COLLATE "C" NOT NULL,
  record_key text COLLATE "C" NOT NULL,
  version bigint NOT NULL,
  -- order of creation
  sequence bigint NOT NULL,
  created_at bigint NOT NULL,
  updated_at bigint NOT NULL,
  expires_at bigint,
  -- when it ended: only its version is left
  gone_at bigint,
  tracked boolean NOT NULL,
  disposable boolean NOT NULL,
  -- that wrote it last: one that is repeated after a lost connection recognises its own work
  request uuid,
  -- JSON object, and the digests of its members
  labels text NOT NULL,
  label_ids bytea[] NOT NULL,
  record_value text
) WITH (fillfactor = 85);
CREATE INDEX heddle_records_by_key ON heddle_records (collection_id, left(record_key, 256));
CREATE INDEX heddle_records_by_sequence ON heddle_records (owner_id, sequence) WHERE gone_at IS NULL;
CREATE INDEX heddle_records_by_collection ON heddle_records (collection_id, sequence) WHERE gone_at IS NULL;
CREATE INDEX heddle_records_by_label ON heddle_records USING gin (label_ids) WHERE label_ids <> '{}';
CREATE INDEX heddle_records_expiring ON heddle_records (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX heddle_records_gone ON heddle_records (gone_at) WHERE gone_at IS NOT NULL;

CREATE TABLE heddle_record_changes (
  id bytea NOT NULL,
  version bigint NOT NULL,
  previous text,
  record_value text,
  changed_at bigint NOT NULL,
  PRIMARY KEY (id, version)
);
CREATE INDEX heddle_record_changes_by_time ON heddle_record_changes (changed_at);

-- Faster than the default, where the server has it.
DO $$
BEGIN
  EXECUTE 'ALTER TABLE heddle_records ALTER COLUMN record_value SET COMPRESSION lz4';
  EXECUTE 'ALTER TABLE heddle_record_changes ALTER COLUMN previous SET COMPRESSION lz4, ALTER COLUMN record_value SET COMPRESSION lz4';
EXCEPTION WHEN feature_not_supported OR syntax_error THEN NULL;
END $$;

CREATE FUNCTION heddle_write_record(
  p_now bigint, p_request uuid, p_again boolean,
  p_id bytea, p_owner_id bytea, p_collection_id bytea, p_space text, p_owner text, p_collection text, p_key text,
  p_value text, p_expected bigint, p_ttl_ms bigint, p_labels text, p_label_ids bytea[], p_tracked boolean, p_disposable boolean,
  OUT written boolean, OUT current bigint, OUT created_at bigint, OUT updated_at bigint, OUT expires_at bigint, OUT previous text
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  r heddle_records%ROWTYPE;
  is_live boolean;
  base bigint;
BEGIN
  written := true;
  LOOP
    SELECT * INTO r FROM heddle_records t WHERE t.id = p_id FOR UPDATE;
    EXIT WHEN FOUND;
    current := 0;
    IF p_expected <> 0 THEN
      written := false;
      RETURN;
    END IF;
    updated_at := heddle_now(p_now);
    INSERT INTO heddle_records (id, owner_id, collection_id, space, owner, collection, record_key, version, sequence, created_at,
        updated_at, expires_at, tracked, disposable, request, labels, label_ids, record_value)
      VALUES (p_id, p_owner_id, p_collection_id, p_space, p_owner, p_collection, p_key, 1, nextval('heddle_record_sequence'),
        updated_at, updated_at, updated_at + p_ttl_ms, p_tracked, p_disposable, p_request, p_labels, p_label_ids, p_value)
      ON CONFLICT DO NOTHING;
    IF FOUND THEN
      current := 1;
      created_at := updated_at;
      expires_at := updated_at + p_ttl_ms;
      IF p_tracked THEN
        INSERT INTO heddle_record_changes (id, version, record_value, changed_at) VALUES (p_id, 1, p_value, updated_at);
      END IF;
      RETURN;
    END IF;
  END LOOP;

  IF p_again AND r.request = p_request THEN
    current := r.version;
    created_at := r.created_at;
    updated_at := r.updated_at;
    expires_at := r.expires_at;
    SELECT c.previous INTO previous FROM heddle_record_changes c WHERE c.id = p_id AND c.version = r.version;
    RETURN;
  END IF;

  updated_at := heddle_now(p_now);
  is_live := r.gone_at IS NULL AND (r.expires_at IS NULL OR r.expires_at > updated_at);
  current := CASE WHEN is_live THEN r.version ELSE 0 END;
  IF p_expected <> current THEN
    written := false;
    RETURN;
  END IF;
  base := r.version;
  IF r.gone_at IS NULL AND NOT is_live THEN
    base := CASE WHEN r.disposable THEN 0 ELSE r.version + 1 END;
    IF r.tracked THEN
      INSERT INTO heddle_record_changes (id, version, previous, changed_at) VALUES (p_id, base, r.record_value, updated_at);
    END IF;
  END IF;
  current := base + 1;
  created_at := CASE WHEN is_live THEN r.created_at ELSE updated_at END;
  expires_at := updated_at + p_ttl_ms;
  previous := CASE WHEN is_live THEN r.record_value END;
  UPDATE heddle_records t SET version = base + 1, sequence = CASE WHEN is_live THEN r.sequence ELSE nextval('heddle_record_sequence') END,
      created_at = heddle_write_record.created_at, updated_at = heddle_write_record.updated_at,
      expires_at = heddle_write_record.expires_at, gone_at = NULL, tracked = p_tracked,
      disposable = p_disposable AND (base = 0 OR r.disposable), request = p_request, labels = p_labels, label_ids = p_label_ids,
      record_value = p_value
    WHERE t.id = p_id;
  IF p_tracked THEN
    INSERT INTO heddle_record_changes (id, version, previous, record_value, changed_at)
      VALUES (p_id, base + 1, previous, p_value, updated_at);
  END IF;
END $$;

-- Several writes or none, sorted by id by the caller, so that nobody waits in a circle; index says where each came from. What is
-- caught undoes all that came before it.
CREATE FUNCTION heddle_write_records(
  p_now bigint, p_request uuid, p_writes json, OUT conflict integer, OUT current bigint, OUT answers text[]
) LANGUAGE plpgsql AS $$
DECLARE
  w record;
  done record;
BEGIN
  FOR w IN SELECT * FROM json_to_recordset(p_writes) AS x (
    index integer, id text, owner_id text, collection_id text, space text, owner text, collection text, key text,
    value text, expected bigint, ttl_ms bigint, labels text, label_ids text[], tracked boolean, disposable boolean
  ) LOOP
    CONTINUE WHEN w.index > conflict;
    done := heddle_write_record(p_now, p_request, false,
      decode(w.id, 'hex'), decode(w.owner_id, 'hex'), decode(w.collection_id, 'hex'), w.space, w.owner, w.collection, w.key,
      w.value, w.expected, w.ttl_ms, w.labels, ARRAY(SELECT decode(l, 'hex') FROM unnest(w.label_ids) l), w.tracked, w.disposable);
    IF NOT done.written THEN
      conflict := w.index;
      current := done.current;
    ELSE
      answers[w.index] := json_build_array(done.current, done.created_at, done.updated_at, done.expires_at)::text;
    END IF;
  END LOOP;
  IF conflict IS NOT NULL THEN RAISE EXCEPTION USING ERRCODE = 'HDRCF'; END IF;
EXCEPTION WHEN SQLSTATE 'HDRCF' THEN
  answers := NULL;
END $$;

CREATE FUNCTION heddle_remove_record(
  p_now bigint, p_id bytea, p_expected bigint, p_tracked boolean, OUT kind text, OUT current bigint, OUT previous text
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  r heddle_records%ROWTYPE;
  now_ms bigint;
BEGIN
  SELECT * INTO r FROM heddle_records t WHERE t.id = p_id FOR UPDATE;
  now_ms := heddle_now(p_now);
  IF r.id IS NULL OR r.gone_at IS NOT NULL OR r.expires_at <= now_ms THEN
    kind := 'absent';
    RETURN;
  END IF;
  current := r.version;
  IF p_expected <> current THEN
    kind := 'conflict';
    RETURN;
  END IF;
  kind := 'removed';
  current := r.version + 1;
  previous := r.record_value;
  IF r.disposable AND NOT p_tracked THEN
    DELETE FROM heddle_records t WHERE t.id = p_id;
  ELSE
    UPDATE heddle_records t SET version = heddle_remove_record.current, updated_at = now_ms, expires_at = NULL, gone_at = now_ms,
        tracked = false, disposable = false, request = NULL, labels = '{}', label_ids = '{}', record_value = NULL
      WHERE t.id = p_id;
  END IF;
  IF p_tracked THEN
    INSERT INTO heddle_record_changes (id, version, previous, changed_at) VALUES (p_id, current, previous, now_ms);
  END IF;
END $$;
`;
