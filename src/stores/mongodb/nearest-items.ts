import { isItemVisible, matchesItemFilter } from "../../core/item-filter.js";
import type { FoundItem, ItemStore } from "../../core/item-store.js";
import type { MongoDatabase } from "../../databases/mongodb/open.js";
import { similarity, vectorOf } from "../../core/item-vectors.js";
import { ranked } from "../../core/ranking.js";
import { startTimeSlice } from "../time-slice.js";
import { createVectorMemory } from "../vector-memory.js";
import { collectionsOf } from "./collections.js";
import type { ItemDocument } from "./documents.js";
import { isLive, itemOf, itemsUnder, liveAt, WITHOUT_VECTORS } from "./item-documents.js";

/** Documents whose vectors one query fetches: some megabytes. */
const FETCH = 500;
/** Documents that are looked at together, from the best on. */
const PAGE = 50;

export type NearestItems = (
  params: Pick<
    Parameters<ItemStore["search"]>[0],
    "namespacePrefix" | "filter" | "limit" | "offset" | "access" | "fingerprint"
  >,
  query: Float64Array,
) => Promise<readonly { readonly document: Pick<ItemDocument, "_id" | "rev" | "ttlMs">; readonly item: FoundItem }[]>;

/**
 * Exact semantic search: MongoDB says which documents have vectors, this process compares them, and looks up the best until enough
 * pass. Vectors are kept in memory by the `rev` of their document, which every change replaces. Atlas' `$vectorSearch` is not used:
 * it takes one vector per document, knows none of the filters, and there is none to test against. Of equal scores the order is that
 * of ids.
 */
export function createNearestItems(database: MongoDatabase, dims: number): NearestItems {
  const { items } = collectionsOf(database.db);
  const memory = createVectorMemory<string>();

  return async ({ namespacePrefix, filter = {}, limit, offset, access, fingerprint }, query) => {
    const embedded = fingerprint === undefined ? { dims } : { dims, "embedding.fingerprint": fingerprint };
    const candidates = await database.retrying(() =>
      items
        .find(
          { $and: [itemsUnder(namespacePrefix), liveAt(database.serverNow()), embedded] },
          { projection: { rev: 1 }, batchSize: 10_000 },
        )
        .toArray(),
    );
    const slice = startTimeSlice();
    memory.makeRoom(() => new Set(candidates.map(({ rev }) => rev)));
    const scored: { id: string; rev: string }[] = [];
    const scores: number[] = [];
    const add = (id: string, rev: string, vectors: Float32Array): void => {
      let best = -1;
      for (let at = 0; at < vectors.length; at += dims) best = Math.max(best, similarity(query, vectors, at));
      scored.push({ id, rev });
      scores.push(best);
    };
    const missing: string[] = [];
    for (const [at, { _id: id, rev }] of candidates.entries()) {
      if (at % 64 === 0 && slice.isOver()) await slice.next();
      const vectors = memory.get(rev);
      if (vectors === undefined) missing.push(id);
      else add(id, rev, vectors);
    }
    for (let from = 0; from < missing.length; from += FETCH) {
      const ids = missing.slice(from, from + FETCH);
      const documents = await database.retrying(() =>
        items.find({ _id: { $in: ids }, dims }, { projection: { rev: 1, vectors: 1 } }).toArray(),
      );
      for (const { _id: id, rev, vectors = [] } of documents) {
        const numbers = vectorOf(Buffer.concat(vectors.map(({ values }) => values)));
        memory.add(rev, numbers);
        add(id, rev, numbers);
      }
      if (slice.isOver()) await slice.next();
    }

    const found: { document: ItemDocument; item: FoundItem }[] = [];
    const order = ranked(scores, (a, b) => (scored[a]?.id ?? "") < (scored[b]?.id ?? ""));
    for (let skipped = 0; found.length < limit;) {
      const page = [...take(order, PAGE)];
      if (page.length === 0) break;
      const ids = page.map((at) => scored[at]?.id ?? "");
      const documents = await database.retrying(() =>
        items.find({ _id: { $in: ids } }, { projection: WITHOUT_VECTORS }).toArray(),
      );
      const byId = new Map(documents.map((document) => [document._id, document]));
      for (const at of page) {
        const document = byId.get(scored[at]?.id ?? "");
        // The score is of another content.
        if (document === undefined || document.rev !== scored[at]?.rev) continue;
        if (!isLive(document, database.serverNow())) continue;
        const item = itemOf(document);
        if (!matchesItemFilter(item.value, filter) || !isItemVisible(access, item)) continue;
        if (skipped < offset) skipped += 1;
        else if (found.length < limit) found.push({ document, item: { ...item, score: scores[at] as number } });
      }
    }
    return found;
  };
}

/** The next few. A `for` over the generator would end it. */
function* take<T>(from: Generator<T, void, void>, count: number): Generator<T, void, void> {
  for (let n = 0; n < count; n += 1) {
    const { value, done } = from.next();
    if (done === true) return;
    yield value;
  }
}
