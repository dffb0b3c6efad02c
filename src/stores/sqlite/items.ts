import { checkItemFilter, isItemVisible } from "../../core/item-filter.js";
import type { ItemStore } from "../../core/item-store.js";
import { toJsonText } from "../../core/json.js";
import { unitQuery, unitVectors, type VectorOptions } from "../../core/item-vectors.js";
import { listNamespaces } from "./item-namespaces.js";
import {
  embeddingColumns,
  findItem,
  isLive,
  type ItemColumns,
  itemOf,
  packed,
  putItem,
  replaceVectors,
} from "./item-rows.js";
import { scanItems } from "./item-scan.js";
import { latestItems } from "./latest-items.js";
import { createNearestItems } from "./nearest-items.js";
import type { Session } from "./session.js";

/**
 * The long-term store in SQLite.
 * @param close gives the connection back
 * @param vectors absent: it keeps none
 */
export function createSqliteItems(session: Session, close: () => void, vectors?: VectorOptions): ItemStore {
  const nearestItems = vectors && createNearestItems(session, vectors.dims);

  const find = (namespace: readonly string[], key: string): ItemColumns | undefined => {
    const row = findItem(session, namespace, key);
    return row !== undefined && isLive(row, session.clock.now()) ? row : undefined;
  };

  const refresh = (ids: readonly number[]): void => {
    const now = session.clock.now();
    const update = session.sql("UPDATE items SET expires_at = ? + ttl_ms WHERE id = ? AND expires_at > ?");
    for (const id of ids) update.run(now, id, now);
  };

  return {
    async put({ namespace, key, value, access, ttlMs = null, vectors: given, embedding = null }) {
      const text = toJsonText(value);
      const bytes = packed(unitVectors(given, vectors));
      return session.write(() => {
        const stored = findItem(session, namespace, key);
        const now = session.clock.now();
        const existing = stored !== undefined && isLive(stored, now) ? stored : undefined;
        if (existing !== undefined && !isItemVisible(access, itemOf(existing))) return { kind: "hidden" };
        if (!isItemVisible(access, { namespace, key, value })) return { kind: "forbidden" };
        // What takes the place of an expired one is a new item.
        if (stored !== undefined && existing === undefined) deleteRow(session, stored.id);
        const expiresAt = ttlMs === null ? null : now + ttlMs;
        const createdAt = existing?.created_at ?? now;
        putItem(session, { namespace, key, text, createdAt, updatedAt: now, ttlMs, expiresAt, embedding }, bytes);
        return { kind: "stored" };
      });
    },

    async get({ namespace, key, access, refreshTtl = false }) {
      const row = await session.read(() => find(namespace, key));
      if (row === undefined) return { kind: "missing" };
      const item = itemOf(row);
      if (!isItemVisible(access, item)) return { kind: "hidden" };
      // Most items live for ever, and reading those writes nothing.
      if (refreshTtl && row.ttl_ms !== null) await session.write(() => refresh([row.id]));
      return { kind: "found", item };
    },

    delete: ({ namespace, key, access }) =>
      session.write(() => {
        const row = find(namespace, key);
        if (row === undefined) return { kind: "missing" };
        if (!isItemVisible(access, itemOf(row))) return { kind: "hidden" };
        deleteRow(session, row.id);
        return { kind: "deleted" };
      }),

    async search(params) {
      const { filter = {}, nearest, refreshTtl = false } = params;
      checkItemFilter(filter);
      const query = nearest && unitQuery(nearest, vectors);
      if (params.limit <= 0) return [];
      if (query !== undefined && nearestItems !== undefined) {
        const found = await nearestItems(params, query);
        if (refreshTtl && found.length > 0) await session.write(() => refresh(found.map(({ id }) => id)));
        return found.map(({ item }) => item);
      }
      const rows = await latestItems(session, params);
      const mortal = rows.filter((row) => row.ttl_ms !== null).map((row) => row.id);
      if (refreshTtl && mortal.length > 0) await session.write(() => refresh(mortal));
      return rows.map(itemOf);
    },

    listNamespaces: (query) => listNamespaces(session, query),

    scan: (params) => scanItems(session, params),

    async embed({ namespace, key, updatedAt, vectors: given, embedding, value }) {
      const bytes = packed(unitVectors(given, vectors));
      const text = value === undefined ? null : toJsonText(value);
      return session.write(() => {
        const row = find(namespace, key);
        if (row === undefined || row.updated_at !== updatedAt || row.embedding === embedding.fingerprint) return false;
        session
          .sql("UPDATE items SET item_value = ?, embedding = ?, embedding_paths = ? WHERE id = ?")
          .run(text ?? row.item_value, ...embeddingColumns(embedding), row.id);
        replaceVectors(session, row.id, bytes);
        return true;
      });
    },

    sweepExpired: ({ limit }) =>
      session.write(
        () =>
          session
            .sql(
              `DELETE FROM items WHERE id IN
                 (SELECT id FROM items WHERE expires_at IS NOT NULL AND expires_at <= ? ORDER BY expires_at LIMIT ?)`,
            )
            .run(session.clock.now(), limit).changes,
      ),

    close: async () => close(),
  };
}

function deleteRow(session: Session, id: number): void {
  session.sql("DELETE FROM items WHERE id = ?").run(id);
}
