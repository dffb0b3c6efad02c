import {
  BaseStore,
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
import type { IndexedItems, ItemPut } from "../core/indexed-items.js";
import { MAX_TTL_MINUTES, ttlMsOf } from "../core/indexed-items.js";
import { namespaceProblem } from "../core/item-namespace.js";
import type { FoundItem } from "../core/item-store.js";
import type { Item } from "../core/item.js";
import type { JsonObject } from "../core/json.js";

export interface StoreAdapterOptions {
  readonly items: IndexedItems;
  /** Told once, when a graph asks for something that needs a vector index. */
  readonly onNotice?: (message: string) => void;
}

/** What LangGraph's Python stores take and its JavaScript ones have no word for: in `batch`, and in the methods' own options. */
export interface PutOptions {
  readonly index?: false | string[] | undefined;
  /** Minutes; `null`: for ever. Default: as configured. */
  readonly ttl?: number | null | undefined;
}

/** Options of reads, as {@link PutOptions}. */
interface RefreshOption {
  /** Start the time of what is read anew. Default: as configured. */
  readonly refreshTtl?: boolean | undefined;
}

type SearchOptions = Parameters<BaseStore["search"]>[1] & RefreshOption;

/**
 * The long-term store as graphs see it (`config.store`). Graphs may see every item: authorization is for callers.
 *
 * Like LangGraph's `InMemoryStore`: reads of a batch see the state before its puts; of two puts of one key the last wins; with an
 * index a batch's texts are embedded before its first put, and without one `query` and `index` have no effect. How it differs:
 * docs/guides/store.md. Labels may hold what LangGraph's own checks refuse (`:`, the root `langgraph`), times to live are taken.
 *
 * Values that are no objects are refused (`ITEM_INVALID`), as are namespaces that are empty or have periods in them.
 */
export function createStoreAdapter(options: StoreAdapterOptions): BaseStore {
  return new StoreAdapter(options);
}

class StoreAdapter extends BaseStore {
  readonly #items: IndexedItems;
  readonly #onNotice: (message: string) => void;
  #noticed = false;

  constructor(options: StoreAdapterOptions) {
    super();
    this.#items = options.items;
    this.#onNotice = options.onNotice ?? (() => {});
  }

  // LangGraph's own of these four check namespaces more strictly (checkpoint 1.2.2), and have no times to live.
  override async get(namespace: string[], key: string, options: RefreshOption = {}): Promise<LangGraphItem | null> {
    return this.#get({ namespace, key, ...options });
  }

  override async search(namespacePrefix: string[], options: SearchOptions = {}): Promise<SearchItem[]> {
    return this.#search({ namespacePrefix, ...options });
  }

  override async put(
    namespace: string[],
    key: string,
    value: Record<string, unknown>,
    index?: PutOptions | PutOptions["index"],
  ): Promise<void> {
    const options = index === false || Array.isArray(index) ? { index } : index;
    await this.batch([{ namespace, key, value, ...options } as PutOperation]);
  }

  override async delete(namespace: string[], key: string): Promise<void> {
    await this.batch([{ namespace, key, value: null }]);
  }

  override async batch<Op extends readonly Operation[]>(operations: Op): Promise<OperationResults<Op>> {
    const puts = new Map<string, PutOperation>();
    for (const operation of operations) {
      if (isPut(operation)) puts.set(JSON.stringify([operation.namespace, operation.key]), checked(operation));
    }
    const results = await Promise.all(operations.map((operation) => this.#read(operation)));
    await this.#putAll([...puts.values()]);
    return results as OperationResults<Op>;
  }

  async #read(operation: Operation): Promise<LangGraphItem | SearchItem[] | string[][] | null> {
    if (isPut(operation)) return null;
    if (isSearch(operation)) return this.#search(operation);
    if (isGet(operation)) return this.#get(operation);
    return this.#namespaces(operation);
  }

  async #get({ namespace, key, refreshTtl }: GetOperation & RefreshOption): Promise<LangGraphItem | null> {
    const refresh = refreshTtl === undefined ? {} : { refreshTtl };
    const found = await this.#items.get({ namespace, key, access: ALL_ROWS, ...refresh });
    return found.kind === "found" ? toLangGraph(found.item) : null;
  }

  async #putAll(operations: readonly PutOperation[]): Promise<void> {
    const puts: ItemPut[] = [];
    for (const operation of operations) {
      const { namespace, key, value, index } = operation;
      if (value === null) continue;
      if (Array.isArray(index) && this.#items.index === null) this.#noticeIndex(`"index" of put`);
      const ttl = ttlOf(operation);
      puts.push({
        namespace,
        key,
        value: value as JsonObject,
        access: ALL_ROWS,
        ...(index !== undefined && { index }),
        ...(ttl !== undefined && { ttlMs: ttlMsOf(ttl) }),
      });
    }
    if (puts.length > 0) await this.#items.putAll(puts);
    for (const { namespace, key, value } of operations) {
      if (value === null) await this.#items.delete({ namespace, key, access: ALL_ROWS });
    }
  }

  async #search(operation: SearchOperation & RefreshOption): Promise<SearchItem[]> {
    const { namespacePrefix, filter, limit = 10, offset = 0, query, refreshTtl } = operation;
    const isAsked = query !== undefined && query !== null && query.trim() !== "";
    if (isAsked && this.#items.index === null) this.#noticeIndex(`"query" of search`);
    const found = await this.#items.search({
      namespacePrefix,
      ...(filter === undefined ? {} : { filter: filter as JsonObject }),
      limit,
      offset,
      access: ALL_ROWS,
      ...(isAsked && this.#items.index !== null && { query }),
      ...(refreshTtl !== undefined && { refreshTtl }),
    });
    return found.map(toSearchItem);
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
    this.#onNotice(`The long-term store has no vector index (store.index): ${what} has no effect.`);
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
  const strange = (namespace as readonly unknown[]).find((label) => typeof label !== "string");
  if (strange !== undefined) throw invalid(`labels must be strings, not ${typeof strange}`, namespace);
  const problem = namespaceProblem(namespace);
  if (problem !== null) throw invalid(problem, namespace);
  if (typeof key !== "string") throw invalid(`the key must be a string, not ${typeof key}`, namespace);
  // SQLite holds half a surrogate pair as U+FFFD: two keys would be one.
  if (!key.isWellFormed()) throw invalid("the key is no well-formed Unicode: it has half a surrogate pair", namespace);
  if (value !== null && (typeof value !== "object" || Array.isArray(value))) {
    throw invalid(`the value must be an object, not ${Array.isArray(value) ? "an array" : typeof value}`, namespace);
  }
  const ttl: unknown = ttlOf(operation);
  if (ttl !== undefined && ttl !== null && !(typeof ttl === "number" && ttl > 0 && ttl <= MAX_TTL_MINUTES)) {
    throw invalid(`ttl must be minutes, more than 0 and at most ${MAX_TTL_MINUTES}, or null for ever`, namespace);
  }
  return operation;
}

function ttlOf(operation: PutOperation & { readonly ttl?: number | null }): number | null | undefined {
  return operation.ttl;
}

function invalid(reason: string, namespace: readonly string[]): HeddleError {
  const message = `Can't put an item into [${namespace.map((label) => JSON.stringify(label)).join(", ")}]: ${reason}`;
  return new HeddleError("ITEM_INVALID", { message: message.endsWith(".") ? message : `${message}.` });
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

function toSearchItem(item: FoundItem): SearchItem {
  return { ...toLangGraph(item), ...(item.score !== undefined && { score: item.score }) };
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
