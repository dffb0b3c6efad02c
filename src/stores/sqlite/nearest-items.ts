import { isItemVisible, matchesItemFilter } from "../../core/item-filter.js";
import { namespaceRange, namespaceText } from "../../core/item-namespace.js";
import type { FoundItem, ItemStore } from "../../core/item-store.js";
import { similarity } from "../../core/item-vectors.js";
import { ranked } from "../../core/ranking.js";
import { startTimeSlice } from "../time-slice.js";
import { isLive, ITEM_COLUMNS, type ItemColumns, itemOf, UNDER } from "./item-rows.js";
import { guarded, type Session } from "./session.js";
import { createVectorCache, floatsOf, type VectorColumns, type VectorPlace } from "./vector-cache.js";

/** Up to this many items with this many vectors under a prefix, those are read by themselves; beyond, all vectors are compared. */
const FEW = 1_000;

const COUNT = `SELECT count(*) AS count FROM (SELECT 1 FROM items WHERE ${UNDER} LIMIT ${FEW + 1})`;
const VECTORS = `SELECT v.id, i.namespace, i.embedding AS fingerprint, v.embedding FROM items i CROSS JOIN item_vectors v ON v.item = i.id
  WHERE ${UNDER.replaceAll("namespace", "i.namespace")} AND length(v.embedding) = ? AND (? IS NULL OR i.embedding = ?) LIMIT ${FEW + 1}`;
const ITEM = `SELECT i.id, ${ITEM_COLUMNS.map((name) => `i.${name}`).join(", ")}
  FROM item_vectors v JOIN items i ON i.id = v.item WHERE v.id = ?`;

export type NearestItems = (
  params: Pick<
    Parameters<ItemStore["search"]>[0],
    "namespacePrefix" | "filter" | "limit" | "offset" | "access" | "fingerprint"
  >,
  query: Float64Array,
) => Promise<readonly { readonly id: number; readonly item: FoundItem }[]>;

/**
 * Exact semantic search: vectors are scored, then items are looked up from the best on, until enough pass. Of equal scores the
 * later vector comes first.
 */
export function createNearestItems(session: Session, dims: number): NearestItems {
  const cache = createVectorCache(session, dims);
  const count = session.sql<{ count: number }>(COUNT);
  const vectors = session.sql<VectorColumns>(VECTORS);

  return async ({ namespacePrefix, filter = {}, limit, offset, access, fingerprint }, query) => {
    const slice = startTimeSlice();
    const own = namespaceText(namespacePrefix);
    const { from, to } = namespaceRange(namespacePrefix);
    const isFew = namespacePrefix.length > 0 && (guarded(() => count.get(own, from, to))?.count ?? 0) <= FEW;
    const asked = fingerprint ?? null;
    const few = isFew ? guarded(() => vectors.all(own, from, to, dims * 4, asked, asked)) : null;
    const isWanted = (place: VectorPlace): boolean =>
      (fingerprint === undefined || place.fingerprint === fingerprint) &&
      (place.namespace === own || (place.namespace >= from && place.namespace < to));
    const { ids, scores } =
      few !== null && few.length <= FEW ? scoreFew(few) : await cache.score(query, isWanted, slice);

    const found: { id: number; item: FoundItem }[] = [];
    const seen = new Set<number>();
    let skipped = 0;
    const lookUp = session.sql<ItemColumns>(ITEM);
    for (const at of ranked(scores, (a, b) => (ids[a] as number) > (ids[b] as number))) {
      if (found.length >= limit) break;
      if (slice.isOver()) await slice.next();
      const row = guarded(() => lookUp.get(ids[at]));
      // Gone, or its item was met by a better vector.
      if (row === undefined || seen.has(row.id) || !isLive(row, session.clock.now())) continue;
      seen.add(row.id);
      const item = itemOf(row);
      if (!matchesItemFilter(item.value, filter) || !isItemVisible(access, item)) continue;
      if (skipped < offset) skipped += 1;
      else found.push({ id: row.id, item: { ...item, score: scores[at] as number } });
    }
    return found;

    function scoreFew(rows: readonly VectorColumns[]): { ids: readonly number[]; scores: readonly number[] } {
      return {
        ids: rows.map(({ id }) => id),
        scores: rows.map(({ embedding }) => similarity(query, floatsOf(embedding))),
      };
    }
  };
}
