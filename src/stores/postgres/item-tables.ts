/**
 * Time to live and vectors of items. Vectors are arrays, which every Postgres has; where pgvector is there too, an index is made
 * over them as vectors (./pgvector.ts), and nothing is stored twice. A vector's row never changes and its id is never used again.
 */
export const ITEM_VECTORS = String.raw`
ALTER TABLE heddle_items
  ADD COLUMN ttl_ms bigint,
  ADD COLUMN expires_at bigint,
  -- fingerprint of what made the vectors, and the paths that the put named
  ADD COLUMN embedding text,
  ADD COLUMN embedding_paths text[];
CREATE INDEX heddle_items_by_expires_at ON heddle_items (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE heddle_item_vectors (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  place bytea NOT NULL REFERENCES heddle_items (place) ON DELETE CASCADE,
  path text COLLATE "C" NOT NULL,
  -- beside the array, which may be stored apart
  dims integer NOT NULL,
  -- at unit length
  embedding real[] NOT NULL,
  UNIQUE (place, path)
);
-- Floats don't get smaller.
ALTER TABLE heddle_item_vectors ALTER COLUMN embedding SET STORAGE EXTERNAL;

-- Statements of their own, so that each sees what another put of the same place has left, for which the first one waited.
CREATE FUNCTION heddle_put_vectors(p_place bytea, p_paths text[], p_vectors text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM heddle_item_vectors WHERE place = p_place;
  INSERT INTO heddle_item_vectors (place, path, dims, embedding)
    SELECT p_place, given.path, cardinality(given.vector::real[]), given.vector::real[]
    FROM unnest(p_paths, p_vectors) AS given (path, vector);
END $$;

CREATE FUNCTION heddle_put_item(
  p_now bigint, p_place bytea, p_namespace text, p_labels text[], p_key text, p_value jsonb, p_rule jsonb,
  p_ttl_ms bigint, p_embedding text, p_embedding_paths text[], p_paths text[], p_vectors text[]
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  now_ms bigint := heddle_now(p_now);
BEGIN
  INSERT INTO heddle_items AS i (place, namespace, labels, item_key, item_value, created_at, updated_at,
      ttl_ms, expires_at, embedding, embedding_paths)
    VALUES (p_place, p_namespace, p_labels, p_key, p_value, now_ms, now_ms, p_ttl_ms, now_ms + p_ttl_ms, p_embedding, p_embedding_paths)
    ON CONFLICT (place) DO UPDATE SET
      item_value = excluded.item_value,
      -- What takes the place of an expired one is a new item.
      created_at = CASE WHEN i.expires_at <= now_ms THEN excluded.created_at ELSE i.created_at END,
      updated_at = excluded.updated_at,
      ttl_ms = excluded.ttl_ms,
      expires_at = excluded.expires_at,
      embedding = excluded.embedding,
      embedding_paths = excluded.embedding_paths
    WHERE p_rule IS NULL OR i.expires_at <= now_ms
      OR heddle_visible(i.item_value || jsonb_build_object('namespace', to_jsonb(i.labels), 'key', i.item_key), p_rule);
  IF NOT FOUND THEN RETURN false; END IF;
  PERFORM heddle_put_vectors(p_place, p_paths, p_vectors);
  RETURN true;
END $$;

CREATE FUNCTION heddle_embed_item(
  p_now bigint, p_place bytea, p_updated_at bigint, p_value jsonb,
  p_embedding text, p_embedding_paths text[], p_paths text[], p_vectors text[]
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  UPDATE heddle_items SET item_value = coalesce(p_value, item_value), embedding = p_embedding, embedding_paths = p_embedding_paths
    WHERE place = p_place AND updated_at = p_updated_at AND embedding IS DISTINCT FROM p_embedding
      AND (expires_at IS NULL OR expires_at > heddle_now(p_now));
  IF NOT FOUND THEN RETURN false; END IF;
  PERFORM heddle_put_vectors(p_place, p_paths, p_vectors);
  RETURN true;
END $$;
`;
