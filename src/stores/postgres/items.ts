import { createHash } from "node:crypto";
import type { AccessFilter } from "../../core/auth.js";
import { checkItemFilter, isItemVisible } from "../../core/item-filter.js";
import { literalPrefix, namespaceRange, namespaceText } from "../../core/item-namespace.js";
import type { ItemStore } from "../../core/item-store.js";
import type { Item } from "../../core/item.js";
import type { JsonObject } from "../../core/json.js";
import type { Statement } from "../../databases/postgres/open.js";
import { fromJsonb, fromText, toJsonb, toText } from "../../databases/postgres/storable.js";
import { filterSql, ruleParameter } from "./filters.js";
import { itemFilterSql } from "./item-filters.js";
import type { Session } from "./session.js";
import { plainItems } from "../plain-items.js";

const idempotent = true;
export const ITEM_COLUMNS = "namespace, item_key, item_value::text AS item_value, created_at, updated_at";
/** An item as an access filter sees it (core/item-filter `isItemVisible`). */
const VIEW = "(i.item_value || jsonb_build_object('namespace', to_jsonb(i.labels), 'key', i.item_key))";

export type ItemColumns = {
  readonly namespace: string;
  readonly item_key: string;
  readonly item_value: string;
  readonly created_at: number;
  readonly updated_at: number;
};

const PUT: Statement = {
  name: "heddle_put_item",
  idempotent,
  text: `INSERT INTO heddle_items AS i (place, namespace, labels, item_key, item_value, created_at, updated_at)
    SELECT $2, $3, $4::text[], $5, $6::jsonb, now, now FROM (SELECT heddle_now($1) AS now OFFSET 0) AS clock
    ON CONFLICT (place) DO UPDATE SET item_value = excluded.item_value, updated_at = excluded.updated_at
      WHERE $7::jsonb IS NULL OR heddle_visible(${VIEW}, $7)
    RETURNING 1`,
};
const GET: Statement = {
  name: "heddle_get_item",
  idempotent,
  text: `SELECT ${ITEM_COLUMNS}, $2::jsonb IS NULL OR heddle_visible(${VIEW}, $2) AS visible FROM heddle_items i WHERE place = $1`,
};
const DELETE: Statement = {
  name: "heddle_delete_item",
  idempotent,
  text: `DELETE FROM heddle_items i WHERE place = $1 AND ($2::jsonb IS NULL OR heddle_visible(${VIEW}, $2)) RETURNING 1`,
};

/** The long-term store in Postgres. @param close gives the database back */
export function createPostgresItems(session: Session, close: () => Promise<void>): ItemStore {
  const find = async (
    namespace: readonly string[],
    key: string,
    access: AccessFilter,
  ): Promise<{ readonly item: Item; readonly visible: boolean } | null> => {
    const values = [placeOf(namespace, key), ruleParameter(access)];
    const [row] = await session.query<ItemColumns & { readonly visible: boolean }>(GET, values);
    return row === undefined ? null : { item: itemOf(row), visible: row.visible };
  };

  return plainItems({
    async put({ namespace, key, value, access }) {
      if (!isItemVisible(access, { namespace, key, value })) {
        const existing = await find(namespace, key, access);
        return { kind: existing?.visible === false ? "hidden" : "forbidden" };
      }
      const rows = await session.query(PUT, [
        session.now(),
        placeOf(namespace, key),
        namespaceText(namespace),
        namespace.map(toText),
        toText(key),
        toJsonb(value),
        ruleParameter(access),
      ]);
      return { kind: rows.length === 0 ? "hidden" : "stored" };
    },

    async get({ namespace, key, access }) {
      const found = await find(namespace, key, access);
      if (found === null) return { kind: "missing" };
      return found.visible ? { kind: "found", item: found.item } : { kind: "hidden" };
    },

    async delete({ namespace, key, access }) {
      const rows = await session.query(DELETE, [placeOf(namespace, key), ruleParameter(access)]);
      if (rows.length > 0) return { kind: "deleted" };
      return { kind: (await find(namespace, key, access)) === null ? "missing" : "hidden" };
    },

    async search({ namespacePrefix, filter = {}, limit, offset, access }) {
      checkItemFilter(filter);
      const parameters: unknown[] = [];
      const conditions = [
        underSql(namespacePrefix, parameters),
        ...itemFilterSql("i.item_value", filter, parameters),
        filterSql(VIEW, { access }, parameters),
      ].filter((condition) => condition !== null);
      const text = `SELECT ${ITEM_COLUMNS} FROM heddle_items i ${whereSql(conditions)}
        ORDER BY i.updated_at DESC, i.position DESC LIMIT $${parameters.push(limit)} OFFSET $${parameters.push(offset)}`;
      const rows = await session.query<ItemColumns>({ name: "", idempotent, text }, parameters);
      return rows.map(itemOf);
    },

    async listNamespaces({ prefix = [], suffix = [], maxDepth, limit, offset, access }) {
      const parameters: unknown[] = [];
      const parameter = (value: unknown): string => `$${parameters.push(value)}`;
      const conditions = [
        underSql(literalPrefix(prefix), parameters),
        `cardinality(i.labels) >= ${parameter(Math.max(prefix.length, suffix.length))}::integer`,
        ...labelsSql(prefix, (i) => `${i + 1}`, parameter),
        ...labelsSql(suffix, (i) => `cardinality(i.labels) - ${suffix.length - i - 1}`, parameter),
        filterSql(VIEW, { access }, parameters),
      ].filter((condition) => condition !== null);
      const labels = maxDepth === undefined ? "i.labels" : `i.labels[1:${parameter(maxDepth)}::integer]`;
      const text = `SELECT DISTINCT ${labels} AS labels FROM heddle_items i ${whereSql(conditions)}
        ORDER BY 1 LIMIT ${parameter(limit)} OFFSET ${parameter(offset)}`;
      const rows = await session.query<{ labels: readonly string[] }>({ name: "", idempotent, text }, parameters);
      return rows.map((row) => row.labels.map(fromText));
    },

    close,
  });
}

/** What tells places apart, of one length: an index takes no long texts. */
export function placeOf(namespace: readonly string[], key: string): Buffer {
  return createHash("sha256")
    .update(JSON.stringify([namespace, key]))
    .digest();
}

/** How much of a namespace the index has. */
const INDEXED_CHARACTERS = 512;

/** Namespaces that are, or are under, a prefix; `null`: all. */
function underSql(prefix: readonly string[], parameters: unknown[]): string | null {
  if (prefix.length === 0) return null;
  const { from, to } = namespaceRange(prefix);
  const own = namespaceText(prefix);
  const parameter = (value: string): string => `$${parameters.push(value)}`;
  const exact = `(i.namespace = ${parameter(own)} OR (i.namespace >= ${parameter(from)} AND i.namespace < ${parameter(to)}))`;
  // Everything under a prefix starts with its text but for the closing bracket; no character comes after the last one.
  const start = own.slice(0, -1);
  if (start.length >= INDEXED_CHARACTERS) return exact;
  const indexed = `left(i.namespace, ${INDEXED_CHARACTERS})`;
  return `${exact} AND ${indexed} >= ${parameter(start)} AND ${indexed} < ${parameter(`${start}\u{10ffff}`)}`;
}

function labelsSql(
  labels: readonly string[],
  index: (i: number) => string,
  parameter: (value: unknown) => string,
): readonly string[] {
  return labels.flatMap((label, i) => (label === "*" ? [] : [`i.labels[${index(i)}] = ${parameter(toText(label))}`]));
}

function whereSql(conditions: readonly string[]): string {
  return conditions.length === 0 ? "" : `WHERE ${conditions.join(" AND ")}`;
}

export function itemOf(row: ItemColumns): Item {
  return {
    namespace: JSON.parse(row.namespace) as readonly string[],
    key: fromText(row.item_key),
    value: fromJsonb(row.item_value) as JsonObject,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}
