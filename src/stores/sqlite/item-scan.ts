import { isItemVisible } from "../../core/item-filter.js";
import { namespaceRange, namespaceText } from "../../core/item-namespace.js";
import type { ItemStore } from "../../core/item-store.js";
import { startTimeSlice } from "../time-slice.js";
import { embeddingOf, ITEM_COLUMNS, type ItemColumns, itemOf } from "./item-rows.js";
import { guarded, type Session } from "./session.js";

/** Rows of one statement, wanted or not: a few milliseconds, where values are large too. */
const ROWS_PER_STATEMENT = 100;

/** A row on the way, with its value only if it is wanted. */
type Passed =
  (ItemColumns & { readonly is_wanted: 1 }) | (Pick<ItemColumns, "namespace" | "item_key"> & { readonly is_wanted: 0 });

const WANTED = "((expires_at IS NULL OR expires_at > @now) AND (@fresh IS NULL OR embedding IS NOT @fresh))";
const COLUMNS = ITEM_COLUMNS.map((name) =>
  name === "item_value" ? `CASE WHEN ${WANTED} THEN item_value END AS item_value` : name,
).join(", ");

function walk(where: string): string {
  return `SELECT id, ${COLUMNS}, ${WANTED} AS is_wanted FROM items WHERE ${where} AND namespace < @to
    ORDER BY namespace, item_key LIMIT ${ROWS_PER_STATEMENT}`;
}

const FIRST = walk("namespace >= @from");
const NEXT = walk("(namespace, item_key) > (@namespace, @key)");

/** `ItemStore.scan` in SQLite: along the index of places, in time slices; a statement visits few rows, also where none is wanted. */
export async function scanItems(
  session: Session,
  { namespacePrefix, staleFor, limit, after, access }: Parameters<ItemStore["scan"]>[0],
): ReturnType<ItemStore["scan"]> {
  const found: ItemColumns[] = [];
  const slice = startTimeSlice();
  const given = { now: session.clock.now(), fresh: staleFor ?? null };
  let last = after === null ? null : (JSON.parse(after) as readonly [namespace: string, key: string]);
  for (const { from, to } of rangesUnder(namespacePrefix)) {
    if (last !== null && last[0] >= to) continue;
    // The place before may be in the range before.
    let at = last !== null && last[0] >= from ? last : null;
    for (;;) {
      const [namespace, key] = at ?? [];
      const rows = guarded(() =>
        namespace === undefined
          ? session.sql<Passed>(FIRST).all({ ...given, from, to })
          : session.sql<Passed>(NEXT).all({ ...given, namespace, key, to }),
      );
      for (const row of rows) {
        last = at = [row.namespace, row.item_key];
        if (row.is_wanted === 1 && isItemVisible(access, itemOf(row))) found.push(row);
        if (found.length >= limit) return { items: found.map(scanned), next: JSON.stringify(last) };
        if (slice.isOver()) await slice.next();
      }
      if (rows.length < ROWS_PER_STATEMENT) break;
    }
  }
  return { items: found.map(scanned), next: null };
}

/** Of texts of namespaces, in their order: `["a","b"]` comes before `["a"]`. */
function rangesUnder(prefix: readonly string[]): readonly { readonly from: string; readonly to: string }[] {
  const range = namespaceRange(prefix);
  if (prefix.length === 0) return [range];
  const own = namespaceText(prefix);
  return [range, { from: own, to: `${own} ` }];
}

function scanned(row: ItemColumns) {
  return { item: itemOf(row), embedding: embeddingOf(row) };
}
