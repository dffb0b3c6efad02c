import {
  BaseStore,
  validateNamespace,
  type GetOperation,
  type Item as LangGraphItem,
  type ListNamespacesOperation,
  type MatchCondition,
  type Operation,
  type OperationResults,
  type PutOperation,
  type SearchItem,
  type SearchOperation,
} from "@langchain/langgraph-checkpoint";
import { ALL_ROWS } from "../core/auth.js";
import { HeddleError } from "../core/errors.js";
import type { ItemStore } from "../core/item-store.js";
import type { Item } from "../core/item.js";
import type { JsonObject } from "../core/json.js";

export interface StoreAdapterOptions {
  readonly items: ItemStore;
  /** Told once, when a graph asks for something that needs a vector index. */
  readonly onNotice?: (message: string) => void;
}

/**
 * The long-term store as graphs see it (`config.store`). Graphs may see every item: authorization is for callers.
 *
 * Like LangGraph's `InMemoryStore` without an index: reads of a batch see the state before its puts; of two puts of one
 * key the last wins; `query` and `index` have no effect and results have no `score`. Unlike it:
 * - items are copies, and hold what JSON can hold (`undefined` fields vanish, a Date becomes text);
 * - `search` returns the most recently updated first;
 * - a namespace is listed while it has items, and namespaces are ordered by code unit, label by label;
 * - filters compare nested values by content; an unknown `$operator` is an error instead of matching nothing.
 *
 * Values that are no objects and `ttl` are refused (`ITEM_INVALID`, `UNSUPPORTED_OPTION`).
 */
export function createStoreAdapter(options: StoreAdapterOptions): BaseStore {
  return new StoreAdapter(options);
}

class StoreAdapter extends BaseStore {
  readonly #items: ItemStore;
  readonly #onNotice: (message: string) => void;
  #noticed = false;

  constructor(options: StoreAdapterOptions) {
    super();
    this.#items = options.items;
    this.#onNotice = options.onNotice ?? (() => {});
  }

  override async batch<Op extends readonly Operation[]>(operations: Op): Promise<OperationResults<Op>> {
    const puts = new Map<string, PutOperation>();
    for (const operation of operations) {
      if (isPut(operation)) puts.set(JSON.stringify([operation.namespace, operation.key]), checked(operation));
    }
    const results = await Promise.all(operations.map((operation) => this.#read(operation)));
    for (const operation of puts.values()) await this.#put(operation);
    return results as OperationResults<Op>;
  }

  async #read(operation: Operation): Promise<LangGraphItem | SearchItem[] | string[][] | null> {
    if (isPut(operation)) return null;
    if (isSearch(operation)) return this.#search(operation);
    if (isGet(operation)) return this.#get(operation);
    return this.#namespaces(operation);
  }

  async #get({ namespace, key }: GetOperation): Promise<LangGraphItem | null> {
    const found = await this.#items.get({ namespace, key, access: ALL_ROWS });
    return found.kind === "found" ? toLangGraph(found.item) : null;
  }

  async #put(operation: PutOperation): Promise<void> {
    const { namespace, key, value, index } = operation;
    if (value === null) {
      await this.#items.delete({ namespace, key, access: ALL_ROWS });
      return;
    }
    if (Array.isArray(index)) this.#noticeIndex(`"index" of put`);
    await this.#items.put({ namespace, key, value: value as JsonObject, access: ALL_ROWS });
  }

  async #search(operation: SearchOperation): Promise<SearchItem[]> {
    const { namespacePrefix, filter, limit = 10, offset = 0, query } = operation;
    if (query !== undefined) this.#noticeIndex(`"query" of search`);
    const found = await this.#items.search({
      namespacePrefix,
      ...(filter === undefined ? {} : { filter: filter as JsonObject }),
      limit,
      offset,
      access: ALL_ROWS,
    });
    return found.map(toLangGraph);
  }

  async #namespaces(operation: ListNamespacesOperation): Promise<string[][]> {
    const { matchConditions = [], maxDepth, limit, offset } = operation;
    const prefix = patternOf(matchConditions, "prefix");
    const suffix = patternOf(matchConditions, "suffix");
    if (prefix === null || suffix === null) return [];
    const found = await this.#items.listNamespaces({
      ...(prefix.length === 0 ? {} : { prefix }),
      ...(suffix.length === 0 ? {} : { suffix }),
      ...(maxDepth === undefined ? {} : { maxDepth }),
      limit: limit ?? Number.MAX_SAFE_INTEGER,
      offset: offset ?? 0,
      access: ALL_ROWS,
    });
    return found.map((namespace) => namespace.slice());
  }

  #noticeIndex(what: string): void {
    if (this.#noticed) return;
    this.#noticed = true;
    this.#onNotice(`The long-term store has no vector index: ${what} has no effect.`);
  }
}

// As InMemoryStore tells them apart: a search has no `namespace`, a listing has neither key nor prefix.
function isPut(operation: Operation): operation is PutOperation {
  return "value" in operation;
}

function isSearch(operation: Operation): operation is SearchOperation {
  return "namespacePrefix" in operation;
}

function isGet(operation: Operation): operation is GetOperation {
  return "key" in operation && "namespace" in operation;
}

function checked(operation: PutOperation): PutOperation {
  const { namespace, key, value } = operation;
  validateNamespace(namespace, { allowReservedRoot: true });
  if (typeof key !== "string") throw invalid(`the key must be a string, not ${typeof key}`, namespace);
  // SQLite holds half a surrogate pair as U+FFFD: two keys would be one.
  if (!key.isWellFormed()) throw invalid("the key is no well-formed Unicode: it has half a surrogate pair", namespace);
  if (value !== null && (typeof value !== "object" || Array.isArray(value))) {
    throw invalid(`the value must be an object, not ${Array.isArray(value) ? "an array" : typeof value}`, namespace);
  }
  // Python's stores take a time to live; LangGraph.js 1.7 has no such field, and nothing here would expire the item.
  if ("ttl" in operation && operation.ttl !== undefined && operation.ttl !== null) {
    throw new HeddleError("UNSUPPORTED_OPTION", {
      message: `The long-term store does not support "ttl" yet. Leave it out, or delete the item yourself.`,
      details: { field: "ttl" },
    });
  }
  return operation;
}

function invalid(reason: string, namespace: readonly string[]): HeddleError {
  return new HeddleError("ITEM_INVALID", {
    message: `Can't put an item into [${namespace.map((label) => JSON.stringify(label)).join(", ")}]: ${reason}.`,
  });
}

/** All conditions of one kind as one pattern; `null` when nothing can match them all. */
function patternOf(conditions: readonly MatchCondition[], kind: "prefix" | "suffix"): string[] | null {
  let pattern: string[] = [];
  for (const { matchType, path } of conditions) {
    if (matchType !== kind) continue;
    const [short, long] = pattern.length < path.length ? [pattern, path] : [path, pattern];
    const shift = kind === "prefix" ? 0 : long.length - short.length;
    const merged = long.slice();
    for (const [at, label] of short.entries()) {
      const other = merged[at + shift];
      if (other === "*") merged[at + shift] = label;
      else if (label !== "*" && label !== other) return null;
    }
    pattern = merged;
  }
  return pattern;
}

function toLangGraph(item: Item): LangGraphItem {
  return {
    value: item.value,
    key: item.key,
    namespace: [...item.namespace],
    createdAt: new Date(item.createdAt),
    updatedAt: new Date(item.updatedAt),
  };
}
