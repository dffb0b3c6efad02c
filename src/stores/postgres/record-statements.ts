import type { RecordQuery } from "../../core/record.js";
import type { Statement } from "../../databases/postgres/open.js";
import { RECORD_COLUMNS } from "../record-columns.js";
import { collectionDigest, labelDigests, ownerDigest } from "../record-keys.js";

const idempotent = true;

export const GET: Statement = {
  name: "heddle_get_record",
  idempotent,
  text: `SELECT ${RECORD_COLUMNS} FROM heddle_records
    WHERE id = $2 AND gone_at IS NULL AND (expires_at IS NULL OR expires_at > (SELECT heddle_now($1)))`,
};

export const VERSION: Statement = {
  name: "heddle_record_version",
  idempotent,
  text: "SELECT version FROM heddle_records WHERE id = $1",
};

const WRITE_TEXT =
  "SELECT * FROM heddle_write_record($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)";
/** Its repetition finds its own work, or another version than it expects. */
export const WRITE_EXPECTING: Statement = { name: "heddle_write_record_expecting", idempotent, text: WRITE_TEXT };
/** Repeated it could write over what came after it. */
export const WRITE: Statement = { name: "heddle_write_record", text: WRITE_TEXT };
export const WRITE_ALL: Statement = {
  name: "heddle_write_records",
  text: "SELECT * FROM heddle_write_records($1, $2, $3)",
};
export const REMOVE: Statement = {
  name: "heddle_remove_record",
  text: "SELECT * FROM heddle_remove_record($1, $2, $3, $4)",
};

/** What ends a row of `found`: whose column `told` says whether it leaves a change. */
const END = `changed AS (
      INSERT INTO heddle_record_changes (id, version, previous, changed_at)
      SELECT id, version + 1, record_value, now FROM found WHERE told
    ), disposed AS (
      DELETE FROM heddle_records r USING found f WHERE r.id = f.id AND f.disposable
    ), ended AS (
      UPDATE heddle_records r SET version = f.version + 1, updated_at = f.now, expires_at = NULL, gone_at = f.now, tracked = false,
        disposable = false, request = NULL, labels = '{}', label_ids = '{}', record_value = NULL
      FROM found f WHERE r.id = f.id AND NOT f.disposable
    )`;

export const REMOVE_COLLECTION: Statement = {
  name: "heddle_remove_record_collection",
  idempotent,
  text: `WITH clock AS MATERIALIZED (SELECT heddle_now($1) AS now), found AS MATERIALIZED (
      SELECT r.id, r.version, r.record_value, r.disposable, r.expires_at, false AS told, clock.now FROM heddle_records r, clock
      WHERE r.collection_id = $2 AND r.gone_at IS NULL ORDER BY r.id FOR UPDATE OF r
    ), ${END}
    SELECT count(*) AS removed FROM found WHERE expires_at IS NULL OR expires_at > now`,
};

export const CHANGES: Statement = {
  name: "heddle_record_changes",
  idempotent,
  text: `SELECT version, previous, record_value, changed_at FROM heddle_record_changes WHERE id = $1 AND version > $2
    ORDER BY version LIMIT $3`,
};
export const EXPIRED: Statement = {
  name: "heddle_expired_records",
  idempotent,
  text: `SELECT ${RECORD_COLUMNS} FROM heddle_records WHERE expires_at <= (SELECT heddle_now($1)) AND space = $2
    ORDER BY expires_at, id LIMIT $3`,
};
/** Not idempotent: whose answer is lost does not say whose records they were. */
export const SWEEP: Statement = {
  name: "heddle_sweep_records",
  text: `WITH clock AS MATERIALIZED (SELECT heddle_now($1) AS now), found AS MATERIALIZED (
      SELECT r.id, r.version, r.record_value, r.disposable, r.tracked AS told, clock.now, r.expires_at,
        r.space, r.owner, r.collection, r.record_key
      FROM heddle_records r, clock WHERE r.expires_at <= clock.now AND r.space <> ALL ($2::text[])
      ORDER BY r.expires_at, r.id LIMIT $3 FOR UPDATE OF r SKIP LOCKED
    ), ${END}
    SELECT space, owner, collection, record_key FROM found ORDER BY expires_at, id`,
};
/** Old changes, and versions of what is gone: some of them with each sweep. */
export const FORGET: Statement = {
  name: "heddle_forget_records",
  idempotent,
  text: `WITH clock AS MATERIALIZED (SELECT heddle_now($1) AS now), changes AS (
      DELETE FROM heddle_record_changes c WHERE c.ctid = ANY (ARRAY(
        SELECT o.ctid FROM heddle_record_changes o WHERE o.changed_at <= (SELECT now FROM clock) - $2::bigint LIMIT 1000))
    ) DELETE FROM heddle_records r WHERE r.id = ANY (ARRAY(
        SELECT o.id FROM heddle_records o WHERE o.gone_at <= (SELECT now FROM clock) - $3::bigint LIMIT 1000 FOR UPDATE SKIP LOCKED))`,
};

const ORDER_BY = {
  key: ["left(record_key, 256)", "record_key", "collection"],
  created: ["sequence"],
  updated: ["updated_at", "collection", "record_key"],
} as const;

/** A statement and its parameters; the name tells apart what its text does. */
interface Prepared {
  readonly statement: Statement;
  readonly values: readonly unknown[];
}

/** @param now a test's time, or `null` */
export function countStatement(query: RecordQuery, now: number | null): Prepared {
  const { where, name, values } = conditionsOf(query, now);
  const text = `SELECT count(*) AS count FROM heddle_records WHERE ${where}`;
  return { statement: { name: `heddle_count_records_${name}`, idempotent, text }, values };
}

/** As {@link countStatement}. */
export function listStatement(
  query: RecordQuery,
  page: {
    readonly order: keyof typeof ORDER_BY;
    readonly direction: "asc" | "desc";
    readonly limit: number;
    readonly offset: number;
  },
  now: number | null,
): Prepared {
  const { where, name, values } = conditionsOf(query, now);
  const { order, direction, limit, offset } = page;
  const orderBy = ORDER_BY[order].map((column) => `${column} ${direction}`).join(", ");
  const text = `SELECT ${RECORD_COLUMNS} FROM heddle_records WHERE ${where} ORDER BY ${orderBy}
    LIMIT $${values.length + 1} OFFSET $${values.length + 2}`;
  const statement = { name: `heddle_list_records_${order}_${direction}_${name}`, idempotent, text };
  return { statement, values: [...values, limit, offset] };
}

/** What somebody may see of a query. */
function conditionsOf(
  query: RecordQuery,
  now: number | null,
): { readonly where: string; readonly name: string; readonly values: readonly unknown[] } {
  const { space, owner, collection, fromKey, toKey, labels } = query;
  const values: unknown[] = [now];
  const conditions = ["gone_at IS NULL", "(expires_at IS NULL OR expires_at > (SELECT heddle_now($1::bigint)))"];
  let name = "";
  const add = (letter: string, value: unknown, condition: (parameter: string) => string): void => {
    name += letter;
    conditions.push(condition(`$${values.push(value)}`));
  };
  if (collection === undefined) add("o", ownerDigest({ space, owner }), (id) => `owner_id = ${id}`);
  else add("c", collectionDigest({ space, owner, collection }), (id) => `collection_id = ${id}`);
  // The index has the beginning of a key.
  if (fromKey !== undefined) {
    add("f", fromKey, (from) => `left(record_key, 256) >= left(${from}, 256) AND record_key >= ${from}`);
  }
  if (toKey !== undefined) {
    add("t", toKey, (to) => `left(record_key, 256) <= left(${to}, 256) AND record_key <= ${to}`);
  }
  const ids = labelDigests(query, labels);
  if (ids.length > 0) add("l", ids, (all) => `label_ids <> '{}' AND label_ids @> ${all}::bytea[]`);
  return { where: conditions.join(" AND "), name, values };
}
