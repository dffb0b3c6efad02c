/** Time and filters. `rule` is what stores/postgres/filters makes of an access filter; null shows everything. */
export const FILTER_FUNCTIONS: string = String.raw`
CREATE FUNCTION heddle_now(p_now bigint) RETURNS bigint LANGUAGE sql VOLATILE AS $$
  SELECT coalesce(p_now, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint)
$$;

CREATE FUNCTION heddle_visible(metadata jsonb, rule jsonb) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF rule IS NULL THEN RETURN true; END IF;
  IF rule ? 'has' THEN RETURN metadata @> (rule -> 'has'); END IF;
  IF rule ? 'all' THEN
    RETURN NOT EXISTS (SELECT 1 FROM jsonb_array_elements(rule -> 'all') part WHERE NOT heddle_visible(metadata, part));
  END IF;
  RETURN EXISTS (SELECT 1 FROM jsonb_array_elements(rule -> 'any') part WHERE heddle_visible(metadata, part));
END $$;

-- JSON as it was given as what databases/postgres/storable makes of it. Null where Postgres cannot hold it: too deep, too large.
CREATE FUNCTION heddle_searchable(given text) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE STRICT COST 10000 AS $$
DECLARE
  storable text := given;
BEGIN
  IF position('\u' IN given) > 0 THEN
    -- Without escaped backslashes every backslash before a u starts an escape.
    storable := replace(storable, '\\', '\u005c');
    storable := regexp_replace(storable, '\\u(000[01])', '\\u0001\1', 'g');
    storable := regexp_replace(storable, '\\u(d[89ab][0-9a-f]{2})(?!\\ud[c-f])', '\\u0001\1', 'gi');
    storable := regexp_replace(storable, '(?<!\\ud[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})', '\\u0001\1', 'gi');
  END IF;
  RETURN storable::jsonb;
EXCEPTION WHEN statement_too_complex OR program_limit_exceeded OR untranslatable_character OR invalid_text_representation THEN
  RETURN NULL;
END $$;
`;
