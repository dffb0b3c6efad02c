import { isItemVisible, matchesItemFilter } from "../../core/item-filter.js";
import { namespaceRange, namespaceText } from "../../core/item-namespace.js";
import type { ItemStore } from "../../core/item-store.js";
import { startTimeSlice } from "../time-slice.js";
import { isLive, ITEM_COLUMNS, type ItemColumns, itemOf, latestFirst, UNDER } from "./item-rows.js";
import { scan, type Entry } from "./scan.js";
import { guarded, type Session } from "./session.js";

/** Up to this many items under a prefix are read and sorted at once; beyond, the latest are walked first. */
const FEW_ROWS = 1_000;

/** `ItemStore.search` without a query, in SQLite. */
export async function latestItems(
  session: Session,
  { namespacePrefix, filter = {}, limit, offset, access }: Parameters<ItemStore["search"]>[0],
): Promise<readonly ItemColumns[]> {
  const found: ItemColumns[] = [];
  const consider = (row: ItemColumns): boolean => {
    const item = itemOf(row);
    const passes = matchesItemFilter(item.value, filter) && isItemVisible(access, item);
    if (passes && isLive(row, session.clock.now())) found.push(row);
    return found.length < offset + limit;
  };
  const few = fewUnder(session, namespacePrefix);
  if (few.length <= FEW_ROWS) {
    const slice = startTimeSlice();
    for (const row of [...few].sort(latestFirst)) {
      if (!consider(row)) break;
      if (slice.isOver()) await slice.next();
    }
    return found.slice(offset);
  }
  const { from, to } = namespaceRange(namespacePrefix);
  await scan<ItemColumns & Entry>(
    session,
    {
      table: "items",
      column: "updated_at",
      order: "desc",
      condition: UNDER.replaceAll("namespace", "t.namespace"),
      parameters: [namespaceText(namespacePrefix), from, to],
      columns: ITEM_COLUMNS,
    },
    consider,
  );
  return found.slice(offset);
}

/** The first few items under a prefix, in no order. */
function fewUnder(session: Session, prefix: readonly string[]): readonly ItemColumns[] {
  const { from, to } = namespaceRange(prefix);
  const sql = `SELECT id, ${ITEM_COLUMNS.join(", ")} FROM items WHERE ${UNDER} LIMIT ${FEW_ROWS + 1}`;
  return guarded(() => session.sql<ItemColumns>(sql).all(namespaceText(prefix), from, to));
}
