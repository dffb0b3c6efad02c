import { checkItemFilter, isItemVisible } from "../../core/item-filter.js";
import { literalPrefix, namespaceText } from "../../core/item-namespace.js";
import type { FoundItem, ItemStore } from "../../core/item-store.js";
import type { AccessFilter } from "../../core/auth.js";
import type { Statement } from "../../databases/postgres/open.js";
import { fromText, toJsonb, toText } from "../../databases/postgres/storable.js";
import { unitQuery, unitVectors, type VectorOptions } from "../../core/item-vectors.js";
import { filterSql, ruleParameter } from "./filters.js";
import {
  embeddingOf,
  embeddingValues,
  ITEM_COLUMNS,
  type ItemColumns,
  itemOf,
  liveSql,
  placeOf,
  searchSql,
  underSql,
  vectorValues,
  VIEW,
} from "./item-rows.js";
import type { NearestItems } from "./nearest-items.js";
import type { Session } from "./session.js";

const idempotent = true;
const LIVE = "(i.expires_at IS NULL OR i.expires_at > heddle_now($1))";

const PUT: Statement = {
  name: "heddle_put_item",
  idempotent,
  text: "SELECT heddle_put_item($1, $2, $3, $4, $5, $6::jsonb, $7::jsonb, $8, $9, $10, $11, $12) AS stored",
};
const EMBED: Statement = {
  name: "heddle_embed_item",
  idempotent,
  text: "SELECT heddle_embed_item($1, $2, $3, $4::jsonb, $5, $6, $7, $8) AS stored",
};
const GET: Statement = {
  name: "heddle_get_item",
  idempotent,
  text: `SELECT ${ITEM_COLUMNS}, $3::jsonb IS NULL OR heddle_visible(${VIEW}, $3) AS visible FROM heddle_items i
    WHERE place = $2 AND ${LIVE}`,
};
const REFRESH: Statement = {
  name: "heddle_refresh_items",
  idempotent,
  text: `UPDATE heddle_items i SET expires_at = heddle_now($1) + ttl_ms WHERE place = ANY ($2) AND ttl_ms IS NOT NULL AND ${LIVE}`,
};
const DELETE: Statement = {
  name: "heddle_delete_item",
  idempotent,
  text: `DELETE FROM heddle_items i WHERE place = $2 AND ${LIVE} AND ($3::jsonb IS NULL OR heddle_visible(${VIEW}, $3)) RETURNING 1`,
};
/** A row that somebody else holds can wait for the next round. */
const SWEEP: Statement = {
  name: "heddle_sweep_items",
  idempotent,
  text: `DELETE FROM heddle_items i WHERE ctid = ANY (ARRAY(
      SELECT ctid FROM heddle_items WHERE expires_at <= (SELECT heddle_now($1)) ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED
    )) AND i.expires_at <= heddle_now($1) RETURNING 1`,
};

/**
 * The long-term store in Postgres.
 * @param close gives the database back
 * @param vectors absent: it keeps none
 */
export function createPostgresItems(
  session: Session,
  close: () => Promise<void>,
  vectors?: VectorOptions & { readonly nearestItems: NearestItems },
): ItemStore {
  const find = async (namespace: readonly string[], key: string, access: AccessFilter) => {
    const values = [session.now(), placeOf(namespace, key), ruleParameter(access)];
    const [row] = await session.query<ItemColumns & { readonly visible: boolean }>(GET, values);
    return row ?? null;
  };

  const refresh = async (items: readonly Pick<FoundItem, "namespace" | "key">[]): Promise<void> => {
    if (items.length === 0) return;
    await session.query(REFRESH, [session.now(), items.map(({ namespace, key }) => placeOf(namespace, key))]);
  };

  return {
    async put({ namespace, key, value, access, ttlMs = null, vectors: given, embedding }) {
      const units = unitVectors(given, vectors);
      if (!isItemVisible(access, { namespace, key, value })) {
        const existing = await find(namespace, key, access);
        return { kind: existing?.visible === false ? "hidden" : "forbidden" };
      }
      const [row] = await session.query<{ stored: boolean }>(PUT, [
        session.now(),
        placeOf(namespace, key),
        namespaceText(namespace),
        namespace.map(toText),
        toText(key),
        toJsonb(value),
        ruleParameter(access),
        ttlMs,
        ...embeddingValues(embedding),
        ...vectorValues(units),
      ]);
      return { kind: row?.stored === true ? "stored" : "hidden" };
    },

    async get({ namespace, key, access, refreshTtl = false }) {
      const found = await find(namespace, key, access);
      if (found === null) return { kind: "missing" };
      if (!found.visible) return { kind: "hidden" };
      const item = itemOf(found);
      if (refreshTtl && found.ttl_ms !== null) await refresh([item]);
      return { kind: "found", item };
    },

    async delete({ namespace, key, access }) {
      const rows = await session.query(DELETE, [session.now(), placeOf(namespace, key), ruleParameter(access)]);
      if (rows.length > 0) return { kind: "deleted" };
      return { kind: (await find(namespace, key, access)) === null ? "missing" : "hidden" };
    },

    async search({ namespacePrefix, filter = {}, limit, offset, access, nearest, fingerprint, refreshTtl = false }) {
      checkItemFilter(filter);
      const query = nearest && unitQuery(nearest, vectors);
      const now = session.now();
      if (query !== undefined && vectors !== undefined) {
        const search = { now, namespacePrefix, filter, limit, offset, access, fingerprint };
        const found = await vectors.nearestItems(search, query);
        if (refreshTtl) await refresh(found);
        return found;
      }
      const parameters: unknown[] = [];
      const conditions = searchSql({ now, namespacePrefix, filter, access }, parameters);
      const text = `SELECT ${ITEM_COLUMNS} FROM heddle_items i WHERE ${conditions.join(" AND ")}
        ORDER BY i.updated_at DESC, i.position DESC LIMIT $${parameters.push(limit)} OFFSET $${parameters.push(offset)}`;
      const rows = await session.query<ItemColumns>({ name: "", idempotent, text }, parameters);
      const items = rows.map(itemOf);
      if (refreshTtl) await refresh(items.filter((_, at) => rows[at]?.ttl_ms !== null));
      return items;
    },

    listNamespaces: (query) => listNamespaces(session, query),
    scan: (params) => scanItems(session, params),

    async embed({ namespace, key, updatedAt, vectors: given, embedding, value }) {
      const [row] = await session.query<{ stored: boolean }>(EMBED, [
        session.now(),
        placeOf(namespace, key),
        updatedAt,
        value === undefined ? null : toJsonb(value),
        ...embeddingValues(embedding),
        ...vectorValues(unitVectors(given, vectors)),
      ]);
      return row?.stored === true;
    },

    async sweepExpired({ limit }) {
      return (await session.query(SWEEP, [session.now(), limit])).length;
    },

    close,
  };
}

async function listNamespaces(
  session: Session,
  { prefix = [], suffix = [], maxDepth, limit, offset, access }: Parameters<ItemStore["listNamespaces"]>[0],
): ReturnType<ItemStore["listNamespaces"]> {
  const parameters: unknown[] = [];
  const parameter = (value: unknown): string => `$${parameters.push(value)}`;
  const conditions = [
    underSql(literalPrefix(prefix), parameters),
    liveSql(session.now(), parameters),
    `cardinality(i.labels) >= ${parameter(Math.max(prefix.length, suffix.length))}::integer`,
    ...labelsSql(prefix, (i) => `${i + 1}`, parameter),
    ...labelsSql(suffix, (i) => `cardinality(i.labels) - ${suffix.length - i - 1}`, parameter),
    filterSql(VIEW, { access }, parameters),
  ].filter((condition) => condition !== null);
  const labels = maxDepth === undefined ? "i.labels" : `i.labels[1:${parameter(maxDepth)}::integer]`;
  const text = `SELECT DISTINCT ${labels} AS labels FROM heddle_items i WHERE ${conditions.join(" AND ")}
    ORDER BY 1 LIMIT ${parameter(limit)} OFFSET ${parameter(offset)}`;
  const rows = await session.query<{ labels: readonly string[] }>({ name: "", idempotent, text }, parameters);
  return rows.map((row) => row.labels.map(fromText));
}

async function scanItems(
  session: Session,
  { namespacePrefix, staleFor, limit, after, access }: Parameters<ItemStore["scan"]>[0],
): ReturnType<ItemStore["scan"]> {
  const parameters: unknown[] = [];
  const conditions = [...searchSql({ now: session.now(), namespacePrefix, filter: {}, access }, parameters)];
  if (after !== null) conditions.push(`i.place > $${parameters.push(Buffer.from(after, "hex"))}`);
  if (staleFor !== undefined) {
    conditions.push(`i.embedding IS DISTINCT FROM $${parameters.push(toText(staleFor))}`);
  }
  const text = `SELECT ${ITEM_COLUMNS}, encode(i.place, 'hex') AS place FROM heddle_items i
    WHERE ${conditions.join(" AND ")} ORDER BY i.place LIMIT $${parameters.push(limit)}`;
  const rows = await session.query<ItemColumns & { place: string }>({ name: "", idempotent, text }, parameters);
  return {
    items: rows.map((row) => ({ item: itemOf(row), embedding: embeddingOf(row) })),
    next: rows.length < limit ? null : (rows.at(-1)?.place ?? after),
  };
}

function labelsSql(
  labels: readonly string[],
  index: (i: number) => string,
  parameter: (value: unknown) => string,
): readonly string[] {
  return labels.flatMap((label, i) => (label === "*" ? [] : [`i.labels[${index(i)}] = ${parameter(toText(label))}`]));
}
