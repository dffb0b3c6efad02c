import type { FoundItem, ItemStore } from "../../core/item-store.js";
import { bestSimilarity } from "../../core/item-vectors.js";
import { ranked } from "../../core/ranking.js";
import { startTimeSlice } from "../time-slice.js";
import { itemOf, type ItemRow, latestFirst } from "./item-rows.js";

/** How many vectors are compared between two looks at the clock. */
const VECTORS_PER_LOOK = 64;

/**
 * Exact semantic search: every row is compared, in time slices; then the best are taken as far as the page needs.
 * @param query at unit length
 * @param passes whether a row is there, and what filter and access say of it
 */
export async function nearestItems(
  rows: readonly ItemRow[],
  query: Float64Array,
  { limit, offset }: Pick<Parameters<ItemStore["search"]>[0], "limit" | "offset">,
  passes: (row: ItemRow) => boolean,
): Promise<readonly { readonly row: ItemRow; readonly item: FoundItem }[]> {
  const slice = startTimeSlice();
  const scored: ItemRow[] = [];
  const scores: number[] = [];
  for (let i = 0; i < rows.length; i += 1) {
    if (i % VECTORS_PER_LOOK === 0 && slice.isOver()) await slice.next();
    const row = rows[i] as ItemRow;
    const score = bestSimilarity(query, row.content.vectors);
    if (score === null) continue;
    scored.push(row);
    scores.push(score);
  }
  const found: { row: ItemRow; item: FoundItem }[] = [];
  let skipped = 0;
  const order = ranked(scores, (a, b) => latestFirst(scored[a] as ItemRow, scored[b] as ItemRow) < 0);
  for (const i of order) {
    if (found.length >= limit) break;
    if (slice.isOver()) await slice.next();
    const row = scored[i] as ItemRow;
    // Of the vectors that belong to the value which is judged and handed out: it may be newer than the first score.
    const score = bestSimilarity(query, row.content.vectors);
    if (score === null || !passes(row)) continue;
    if (skipped < offset) skipped += 1;
    else found.push({ row, item: { ...itemOf(row), score } });
  }
  return found;
}
