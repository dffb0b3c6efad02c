import { HeddleError } from "../../core/errors.js";
import type { IndexedItems, ItemPut } from "../../core/indexed-items.js";
import type { Item } from "../../core/item.js";
import { checkItemFilter, isItemVisible, matchesItemFilter } from "../../core/item-filter.js";
import { createNamespaceListing } from "../../core/item-namespace.js";
import type { FoundItem, ItemStore } from "../../core/item-store.js";
import { parseJsonText, toJsonText } from "../../core/json.js";
import type { StoredRecord } from "../../core/record.js";
import { valueOfItem } from "./operations.js";
import { STATE_LABEL, workflowOf } from "./places.js";
import type { ScannedValue, StateScan } from "./scan.js";
import type { StateValues } from "./values.js";

/** Items of the store below that are looked at at once, where some may have to be left out. */
const PAGE = 100;

type PutOutcome = Awaited<ReturnType<ItemStore["put"]>>;

/**
 * The long-term store with the State Store's values in it: `{value}` under `["state", workflow]`. They are the same values, read and
 * written by either: a put or delete here counts a version and is told to who follows the value. Items that lay there before are not
 * seen. Values have no embeddings, so that searches by meaning don't find them, and their time to live is counted from their last
 * write only: reads lengthen nothing.
 * @param deps.isWorkflow whether a namespace is one of the State Store's
 */
export function withStateValues(
  items: IndexedItems,
  deps: {
    readonly values: StateValues;
    readonly scan: StateScan;
    readonly isWorkflow: (namespace: readonly string[]) => boolean;
  },
): IndexedItems {
  const { values, scan, isWorkflow } = deps;

  const putValue = async ({ namespace, key, value, ttlMs = null, access }: ItemPut): Promise<PutOutcome> => {
    const held = valueOfItem(value);
    const outcome = await values.set({ namespace, key }, { value: toJsonText(held), ttlMs, access });
    if (outcome.kind === "hidden" || outcome.kind === "forbidden") return outcome;
    return { kind: "stored" };
  };

  /** The newest ones of the store below, without those that the State Store's hide. */
  const othersOf = async (params: Parameters<IndexedItems["search"]>[0], wanted: number): Promise<FoundItem[]> => {
    const found: FoundItem[] = [];
    for (let offset = 0; found.length < wanted;) {
      const limit = Math.max(PAGE, wanted - found.length);
      const page = await items.search({ ...params, limit, offset });
      found.push(...page.filter(({ namespace }) => !isWorkflow(namespace)));
      if (page.length < limit) break;
      offset += page.length;
    }
    return found.slice(0, wanted);
  };

  return {
    index: items.index,

    async putAll(puts) {
      const isValue = puts.map(({ namespace }) => isWorkflow(namespace));
      for (const [at, put] of puts.entries()) if (isValue[at] === true) checkPut(put);
      // First, because its model may fail before anything is written.
      const others = [...(await items.putAll(puts.filter((_, at) => isValue[at] !== true)))];
      const outcomes: PutOutcome[] = [];
      for (const [at, put] of puts.entries()) {
        outcomes.push(isValue[at] === true ? await putValue(put) : (others.shift() as PutOutcome));
      }
      return outcomes;
    },

    async get(params) {
      const { namespace, key, access } = params;
      if (!isWorkflow(namespace)) return items.get(params);
      const found = await values.get({ namespace, key }, access);
      return found.kind === "found" ? { kind: "found", item: itemOf(namespace, found.record) } : found;
    },

    async delete(params) {
      const { namespace, key, access } = params;
      if (!isWorkflow(namespace)) return items.delete(params);
      const { kind } = await values.delete({ namespace, key }, access);
      return { kind: kind === "forbidden" ? "missing" : kind };
    },

    async search(params) {
      const { namespacePrefix: prefix, filter = {}, limit, offset, access, query } = params;
      const byMeaning = query !== undefined && query.trim() !== "";
      if (byMeaning || !mayHoldWorkflows(prefix, isWorkflow)) return items.search(params);
      checkItemFilter(filter);
      const wanted = offset + limit;
      const found: FoundItem[] = [];
      const passes = (scanned: ScannedValue): boolean => {
        const item = itemOf(scanned.namespace, scanned.record);
        return isWorkflow(item.namespace) && matchesItemFilter(item.value, filter) && isItemVisible(access, item);
      };
      for await (const { namespace, record } of scan.latest(prefix, wanted, passes)) {
        found.push(itemOf(namespace, record));
      }
      found.push(...(await othersOf(params, wanted)));
      return found.sort((a, b) => b.updatedAt - a.updatedAt).slice(offset, wanted);
    },

    async listNamespaces(params) {
      const { prefix = [], limit, offset, access, ...query } = params;
      const literal = prefix.includes("*") ? prefix.slice(0, prefix.indexOf("*")) : prefix;
      if (!mayHoldWorkflows(literal, isWorkflow)) return items.listNamespaces(params);
      const listing = createNamespaceListing({ prefix, ...query });
      for await (const { namespace, record } of scan.all(literal)) {
        if (!isWorkflow(namespace) || !listing.wants(namespace)) continue;
        if (isItemVisible(access, itemOf(namespace, record))) listing.add(namespace);
      }
      const wanted = offset + limit;
      let seen = 0;
      for (let others = 0; others < wanted;) {
        const page = await items.listNamespaces({ ...params, limit: wanted, offset: seen });
        for (const namespace of page) {
          if (isWorkflow(namespace)) continue;
          listing.add(namespace);
          others += 1;
        }
        seen += page.length;
        if (page.length < wanted) break;
      }
      return listing.page(limit, offset);
    },
  };
}

/**
 * Which namespaces are the State Store's.
 * @param isApart callers' items lie under labels of their own; else only `["state", …]` itself is
 */
export function workflowNamespaces(isApart: boolean): (namespace: readonly string[]) => boolean {
  return (namespace) => {
    const at = workflowOf(namespace);
    return at !== null && (isApart || at.prefix.length === 0);
  };
}

/** Whether there may be workflows' namespaces under a prefix: not below one, and without labels of callers only below `["state"]`. */
function mayHoldWorkflows(prefix: readonly string[], isWorkflow: (namespace: readonly string[]) => boolean): boolean {
  if (isWorkflow(prefix)) return true;
  // Some label may follow, or `state` and some label.
  return (
    isWorkflow([...prefix, "-"]) ||
    isWorkflow([...prefix, STATE_LABEL, "-"]) ||
    isWorkflow([...prefix, "-", STATE_LABEL, "-"])
  );
}

function itemOf(namespace: readonly string[], { key, value, createdAt, updatedAt }: StoredRecord): Item {
  return { namespace, key, value: { value: parseJsonText(value) }, createdAt, updatedAt };
}

/** @throws HeddleError `ITEM_INVALID`, `UNSUPPORTED_OPTION` */
function checkPut({ namespace, value, index }: ItemPut): void {
  const where = `Items under ${JSON.stringify(namespace)} are values of the State Store`;
  if (valueOfItem(value) === undefined) {
    throw new HeddleError("ITEM_INVALID", {
      message: `${where}: {"value": …} and nothing else. Put other items under another namespace.`,
    });
  }
  if (!Array.isArray(index)) return;
  throw new HeddleError("UNSUPPORTED_OPTION", {
    message: `${where}, which are not embedded: leave index out or send false.`,
    details: { field: "index" },
  });
}
