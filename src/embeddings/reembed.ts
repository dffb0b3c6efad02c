import { ALL_ROWS } from "../core/auth.js";
import { isHeddleError } from "../core/errors.js";
import type { ItemStore, ItemVector, ScannedItem } from "../core/item-store.js";
import type { TextPath } from "../core/item-text.js";
import { parseTextPath } from "../core/item-text.js";
import type { Logger } from "../core/logger.js";
import { embedItems, type ItemIndex } from "./indexed-items.js";

/** Items of one round: a round should be short beside the traffic. */
const ITEMS_PER_ROUND = 100;
/** Items that are tried at once by themselves, after their round failed: the model's other callers come in between. */
const ITEMS_AT_ONCE = 4;
/** When so many in a row fail and none before did not, it is the model. */
const FAILURES_OF_MODEL = 12;
/** So often all items are gone through for those that failed while others did not, as by a model's limit of calls. */
const MAX_PASSES = 4;

/**
 * Embeds anew what was embedded by another model, with other dims or fields, or before there was an index. What a put said of
 * `index` still holds.
 */
export interface Reembedding {
  /**
   * One round. What fails for all of its items is tried again by the next round.
   * @returns how many items have new vectors, and whether there may be more; `isAgain`: only such as failed, to be tried later
   * @throws HeddleError `EMBEDDING_FAILED`, and what the store throws
   */
  round(): Promise<{ readonly embedded: number; readonly hasMore: boolean; readonly isAgain?: true }>;
  /** Leave the items of the round that failed as they are. @returns whether there may be more */
  skip(): boolean;
}

export function createReembedding(deps: {
  readonly items: ItemStore;
  readonly index: ItemIndex;
  readonly logger: Logger;
}): Reembedding {
  const { items, index, logger } = deps;
  let after: string | null = null;
  let next: string | null = null;
  let failed = 0;
  let passes = 1;

  const vectorsOf = async (found: readonly ScannedItem[]): Promise<readonly (readonly ItemVector[])[]> =>
    embedItems(
      found.map(({ item, embedding }) => ({ value: item.value, paths: pathsOf(embedding?.paths ?? null, index) })),
      index.embedder,
    );
  /** One item that the model refuses must not keep the others from it. */
  const oneByOne = async (found: readonly ScannedItem[], error: unknown) => {
    const settled: PromiseSettledResult<Awaited<ReturnType<typeof vectorsOf>>>[] = [];
    while (settled.length < found.length) {
      const some = found.slice(settled.length, settled.length + ITEMS_AT_ONCE);
      settled.push(...(await Promise.allSettled(some.map((one) => vectorsOf([one])))));
      const isTold = settled.length >= Math.min(found.length, FAILURES_OF_MODEL);
      if (isTold && settled.every((one) => one.status === "rejected" && !isRefusal(one.reason))) throw error;
    }
    return settled.map((one, at) => {
      if (one.status === "fulfilled") return one.value[0] ?? null;
      const { namespace, key } = found[at]?.item ?? {};
      if (!isRefusal(one.reason)) failed += 1;
      logger.warn({ err: one.reason as unknown, namespace, key }, "an item could not be embedded anew");
      return null;
    });
  };

  return {
    async round() {
      const page = await items.scan({
        namespacePrefix: [],
        staleFor: index.fingerprint,
        limit: ITEMS_PER_ROUND,
        after,
        access: ALL_ROWS,
      });
      next = page.next;
      const vectors = await vectorsOf(page.items).catch((error: unknown) => oneByOne(page.items, error));
      let embedded = 0;
      for (const [at, { item, embedding }] of page.items.entries()) {
        const own = vectors[at];
        if (own === null || own === undefined) continue;
        const { namespace, key, updatedAt } = item;
        const made = { fingerprint: index.fingerprint, paths: embedding?.paths ?? null };
        // False: it was put meanwhile, which embedded it.
        if (await items.embed({ namespace, key, updatedAt, vectors: own, embedding: made })) embedded += 1;
      }
      after = next;
      if (after !== null || failed === 0 || passes >= MAX_PASSES) return { embedded, hasMore: after !== null };
      failed = 0;
      passes += 1;
      return { embedded, hasMore: true, isAgain: true };
    },
    skip() {
      after = next;
      return after !== null;
    },
  };
}

/** It is the item, and not the model. */
function isRefusal(error: unknown): boolean {
  return isHeddleError(error) && error.code === "ITEM_INVALID";
}

function pathsOf(texts: readonly string[] | null, index: ItemIndex): readonly TextPath[] {
  if (texts === null) return index.fields;
  return texts.flatMap((text) => {
    const path = parseTextPath(text);
    return "problem" in path ? [] : [path];
  });
}
