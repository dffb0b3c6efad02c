import { checkItemFilter, isItemVisible, matchesItemFilter } from "../../core/item-filter.js";
import { createNamespaceListing, literalPrefix, namespaceRange, namespaceText } from "../../core/item-namespace.js";
import type { ItemStore } from "../../core/item-store.js";
import type { Item } from "../../core/item.js";
import type { AccessFilter } from "../../core/auth.js";
import { toJsonText } from "../../core/json.js";
import { startTimeSlice } from "../time-slice.js";
import { parseObject } from "./rows.js";
import { scan, type Entry } from "./scan.js";
import { guarded, type Session } from "./session.js";
import { plainItems } from "../plain-items.js";

/** Up to this many items under a prefix are read and sorted at once; beyond, the latest are walked first. */
const FEW_ROWS = 1_000;

export interface ItemColumns {
  readonly id: number;
  readonly namespace: string;
  readonly item_key: string;
  readonly item_value: string;
  readonly created_at: number;
  readonly updated_at: number;
}

const COLUMNS = ["namespace", "item_key", "item_value", "created_at", "updated_at"] as const;
const UNDER = "(namespace = ? OR (namespace >= ? AND namespace < ?))";

/** The long-term store in SQLite. @param close gives the connection back */
export function createSqliteItems(session: Session, close: () => void): ItemStore {
  const find = (namespace: readonly string[], key: string): ItemColumns | undefined =>
    session
      .sql<ItemColumns>(`SELECT id, ${COLUMNS.join(", ")} FROM items WHERE namespace = ? AND item_key = ?`)
      .get(namespaceText(namespace), key);

  /** The first few items under a prefix, in no order. */
  const fewUnder = (prefix: readonly string[]): readonly ItemColumns[] => {
    const { from, to } = namespaceRange(prefix);
    const sql = `SELECT id, ${COLUMNS.join(", ")} FROM items WHERE ${UNDER} LIMIT ${FEW_ROWS + 1}`;
    return session.sql<ItemColumns>(sql).all(namespaceText(prefix), from, to);
  };

  return plainItems({
    async put({ namespace, key, value, access }) {
      const text = toJsonText(value);
      return session.write(() => {
        const existing = find(namespace, key);
        if (existing !== undefined && !isItemVisible(access, itemOf(existing))) return { kind: "hidden" };
        if (!isItemVisible(access, { namespace, key, value })) return { kind: "forbidden" };
        const now = session.clock.now();
        session
          .sql(
            `INSERT INTO items (namespace, item_key, item_value, created_at, updated_at) VALUES (?, ?, ?, ?, ?)
             ON CONFLICT (namespace, item_key) DO UPDATE SET
               item_value = excluded.item_value, updated_at = excluded.updated_at`,
          )
          .run(namespaceText(namespace), key, text, now, now);
        return { kind: "stored" };
      });
    },

    get: ({ namespace, key, access }) =>
      session.read(() => {
        const row = find(namespace, key);
        if (row === undefined) return { kind: "missing" };
        const item = itemOf(row);
        return isItemVisible(access, item) ? { kind: "found", item } : { kind: "hidden" };
      }),

    delete: ({ namespace, key, access }) =>
      session.write(() => {
        const row = find(namespace, key);
        if (row === undefined) return { kind: "missing" };
        if (!isItemVisible(access, itemOf(row))) return { kind: "hidden" };
        session.sql("DELETE FROM items WHERE id = ?").run(row.id);
        return { kind: "deleted" };
      }),

    async search({ namespacePrefix, filter = {}, limit, offset, access }) {
      checkItemFilter(filter);
      const found: Item[] = [];
      const consider = (row: ItemColumns): boolean => {
        const item = itemOf(row);
        if (matchesItemFilter(item.value, filter) && isItemVisible(access, item)) found.push(item);
        return found.length < offset + limit;
      };
      if (limit <= 0) return [];
      const few = guarded(() => fewUnder(namespacePrefix));
      if (few.length <= FEW_ROWS) {
        const slice = startTimeSlice();
        for (const row of [...few].sort(latestFirst)) {
          if (!consider(row)) break;
          if (slice.isOver()) await slice.next();
        }
      } else {
        const { from, to } = namespaceRange(namespacePrefix);
        const parameters = [namespaceText(namespacePrefix), from, to];
        await scan<ItemColumns & Entry>(
          session,
          {
            table: "items",
            column: "updated_at",
            order: "desc",
            condition: UNDER.replaceAll("namespace", "t.namespace"),
            parameters,
            columns: COLUMNS,
          },
          consider,
        );
      }
      return found.slice(offset);
    },

    async listNamespaces({ limit, offset, access, ...query }) {
      const listing = createNamespaceListing(query);
      const slice = startTimeSlice();
      for (const text of namespacesUnder(session, literalPrefix(query.prefix ?? []))) {
        if (slice.isOver()) await slice.next();
        const namespace = JSON.parse(text) as readonly string[];
        if (listing.wants(namespace) && (await hasVisibleItem(session, text, access))) listing.add(namespace);
      }
      return listing.page(limit, offset);
    },

    close: async () => close(),
  });
}

/** Distinct namespaces, one index seek each: their items are not visited. */
function* namespacesUnder(session: Session, prefix: readonly string[]): Generator<string, void, void> {
  const { from, to } = namespaceRange(prefix);
  const own = namespaceText(prefix);
  const next = (sql: string, ...parameters: string[]): string | null =>
    guarded(() => session.sql<{ namespace: string | null }>(sql).get(...parameters)?.namespace ?? null);
  let at = next("SELECT min(namespace) AS namespace FROM items WHERE namespace >= ? AND namespace < ?", from, to);
  while (at !== null) {
    yield at;
    at = next("SELECT min(namespace) AS namespace FROM items WHERE namespace > ? AND namespace < ?", at, to);
  }
  // `[]` lies within its own range.
  if (prefix.length > 0 && next("SELECT min(namespace) AS namespace FROM items WHERE namespace = ?", own) !== null) {
    yield own;
  }
}

async function hasVisibleItem(session: Session, namespace: string, access: AccessFilter): Promise<boolean> {
  if (access.kind === "all") return true;
  const slice = startTimeSlice();
  const sql = `SELECT id, ${COLUMNS.join(", ")} FROM items WHERE namespace = ? AND item_key > ? ORDER BY item_key LIMIT 200`;
  const first = sql.replace("AND item_key > ?", "");
  let last: string | undefined;
  for (;;) {
    const from = last;
    const rows = guarded(() =>
      from === undefined
        ? session.sql<ItemColumns>(first).all(namespace)
        : session.sql<ItemColumns>(sql).all(namespace, from),
    );
    if (rows.some((row) => isItemVisible(access, itemOf(row)))) return true;
    last = rows.at(-1)?.item_key;
    if (last === undefined) return false;
    if (slice.isOver()) await slice.next();
  }
}

export function itemOf(row: ItemColumns): Item {
  return {
    namespace: JSON.parse(row.namespace) as readonly string[],
    key: row.item_key,
    value: parseObject(row.item_value),
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

function latestFirst(a: ItemColumns, b: ItemColumns): number {
  return a.updated_at === b.updated_at ? b.id - a.id : b.updated_at - a.updated_at;
}
