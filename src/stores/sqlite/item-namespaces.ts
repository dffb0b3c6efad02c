import type { AccessFilter } from "../../core/auth.js";
import { isItemVisible } from "../../core/item-filter.js";
import { createNamespaceListing, literalPrefix, namespaceRange, namespaceText } from "../../core/item-namespace.js";
import type { ItemStore } from "../../core/item-store.js";
import { startTimeSlice } from "../time-slice.js";
import { ITEM_COLUMNS, type ItemColumns, itemOf } from "./item-rows.js";
import { guarded, type Session } from "./session.js";

const LIVE = "(expires_at IS NULL OR expires_at > ?)";

/** `ItemStore.listNamespaces` in SQLite, in time slices. */
export async function listNamespaces(
  session: Session,
  { limit, offset, access, ...query }: Parameters<ItemStore["listNamespaces"]>[0],
): Promise<readonly (readonly string[])[]> {
  const listing = createNamespaceListing(query);
  const slice = startTimeSlice();
  for (const text of namespacesUnder(session, literalPrefix(query.prefix ?? []))) {
    if (slice.isOver()) await slice.next();
    const namespace = JSON.parse(text) as readonly string[];
    if (listing.wants(namespace) && (await hasVisibleItem(session, text, access))) listing.add(namespace);
  }
  return listing.page(limit, offset);
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
  const now = session.clock.now();
  if (access.kind === "all") {
    const any = session.sql(`SELECT 1 FROM items WHERE namespace = ? AND ${LIVE} LIMIT 1`);
    return guarded(() => any.get(namespace, now)) !== undefined;
  }
  const slice = startTimeSlice();
  const sql = `SELECT id, ${ITEM_COLUMNS.join(", ")} FROM items WHERE namespace = ? AND ${LIVE} AND item_key > ?
    ORDER BY item_key LIMIT 200`;
  const first = sql.replace("AND item_key > ?", "");
  let last: string | undefined;
  for (;;) {
    const from = last;
    const rows = guarded(() =>
      from === undefined
        ? session.sql<ItemColumns>(first).all(namespace, now)
        : session.sql<ItemColumns>(sql).all(namespace, now, from),
    );
    if (rows.some((row) => isItemVisible(access, itemOf(row)))) return true;
    last = rows.at(-1)?.item_key;
    if (last === undefined) return false;
    if (slice.isOver()) await slice.next();
  }
}
