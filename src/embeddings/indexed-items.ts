import type { Embedder } from "../core/embedder.js";
import { HeddleError } from "../core/errors.js";
import type { IndexedItems, ItemPut } from "../core/indexed-items.js";
import { withoutIndex } from "../core/indexed-items.js";
import type { ItemEmbedding, ItemStore, ItemVector } from "../core/item-store.js";
import type { TextLimits, TextPath } from "../core/item-text.js";
import { parseTextPath, textsAt } from "../core/item-text.js";
import type { JsonObject } from "../core/json.js";

/** The configured index, opened. */
export interface ItemIndex {
  readonly embedder: Embedder;
  /** What is embedded unless a put says otherwise. */
  readonly fields: readonly TextPath[];
  /** Of model, dims and fields: stored beside vectors, which are stale under another. */
  readonly fingerprint: string;
}

/** Configured times to live. */
export interface ItemTtl {
  /** `null`: items live for ever unless their put says otherwise. */
  readonly defaultTtlMs: number | null;
  /** Whether a read that does not say so lengthens what it reads. */
  readonly refreshOnRead: boolean;
}

/** Of one item. Each text costs a vector and its part of a call; a model reads some thousand words of it. */
const TEXT_LIMITS: TextLimits = { maxTexts: 256, maxChars: 1_000_000 };
/** Paths that one put may name. */
const MAX_PATHS_PER_PUT = 64;

/**
 * The long-term store with what the configuration adds to it.
 * @param deps.index default: none
 * @param deps.ttl default: items live for ever unless their put says otherwise, and reads lengthen them
 */
export function createIndexedItems(deps: {
  readonly items: ItemStore;
  readonly index?: ItemIndex | null;
  readonly ttl?: ItemTtl;
}): IndexedItems {
  const { items, index = null, ttl = { defaultTtlMs: null, refreshOnRead: true } } = deps;
  return {
    index: index === null ? null : { dims: index.embedder.dims, fields: index.fields.map((path) => path.text) },
    async putAll(puts) {
      const embedded = await embedAll(puts, index);
      const outcomes = [];
      for (const [at, { namespace, key, value, access, ttlMs = ttl.defaultTtlMs }] of puts.entries()) {
        outcomes.push(await items.put({ namespace, key, value, access, ttlMs, ...embedded[at] }));
      }
      return outcomes;
    },
    get: async ({ refreshTtl = ttl.refreshOnRead, ...params }) => items.get({ ...params, refreshTtl }),
    delete: async (params) => items.delete(params),
    async search({ query, refreshTtl = ttl.refreshOnRead, ...params }) {
      if (query === undefined || query.trim() === "") return items.search({ ...params, refreshTtl });
      if (index === null) throw withoutIndex("query");
      const { embedder, fingerprint } = index;
      return items.search({ ...params, refreshTtl, nearest: await embedder.embedQuery(query), fingerprint });
    },
    listNamespaces: async (params) => items.listNamespaces(params),
  };
}

interface Embedded {
  readonly vectors?: readonly ItemVector[];
  readonly embedding?: ItemEmbedding;
}

/** All items' texts in one go, so that a batch costs few calls and a failure comes before the first write. */
async function embedAll(puts: readonly ItemPut[], index: ItemIndex | null): Promise<readonly Embedded[]> {
  const wanted = puts.map(({ index: asked }) => (asked === false ? [] : (asked?.map(readPath) ?? null)));
  if (index === null) {
    return puts.map(({ index: asked }) =>
      asked === undefined ? {} : { embedding: { fingerprint: "", paths: asked === false ? [] : asked } },
    );
  }
  const vectors = await embedItems(
    puts.map(({ value }, at) => ({ value, paths: wanted[at] ?? index.fields })),
    index.embedder,
  );
  return vectors.map((own, at) => ({
    vectors: own,
    embedding: { fingerprint: index.fingerprint, paths: wanted[at]?.map((path) => path.text) ?? null },
  }));
}

/**
 * The vectors of some values at their paths.
 * @throws HeddleError `ITEM_INVALID` for a value with too many texts; `EMBEDDING_FAILED`
 */
export async function embedItems(
  places: readonly { readonly value: JsonObject; readonly paths: readonly TextPath[] }[],
  embedder: Embedder,
): Promise<readonly (readonly ItemVector[])[]> {
  const texts = places.map(({ value, paths }) => {
    const own = textsAt(value, paths, TEXT_LIMITS);
    if (own !== null) return own;
    const { maxTexts, maxChars } = TEXT_LIMITS;
    throw new HeddleError("ITEM_INVALID", {
      message: `index: the value has more than ${maxTexts} texts, or ${maxChars} characters of text, to embed. Name less of it in "index", or false, or put parts of it as items of their own.`,
      details: { field: "index" },
    });
  });
  // One text is embedded once, however often it stands there.
  const distinct = [...new Set(texts.flat().map(({ text }) => text))];
  const embedded = distinct.length === 0 ? [] : await embedder.embedTexts(distinct);
  const byText = new Map(distinct.map((text, at) => [text, embedded[at]]));
  return texts.map((own) =>
    own.flatMap(({ path, text }) => {
      const values = byText.get(text);
      return values === undefined ? [] : [{ path, values }];
    }),
  );
}

function readPath(text: string, at: number, all: readonly string[]): TextPath {
  if (all.length > MAX_PATHS_PER_PUT) {
    throw new HeddleError("ITEM_INVALID", {
      message: `index: has ${all.length} paths; ${MAX_PATHS_PER_PUT} are allowed.`,
      details: { field: "index" },
    });
  }
  const path = parseTextPath(text);
  if (!("problem" in path)) return path;
  throw new HeddleError("ITEM_INVALID", {
    message: `index[${at}]: "${text.slice(0, 100)}" ${path.problem}.`,
    details: { field: `index[${at}]` },
  });
}
