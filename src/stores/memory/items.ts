import type { StoreClock } from "../../core/clock.js";
import { checkItemFilter, isItemVisible, matchesItemFilter } from "../../core/item-filter.js";
import { createNamespaceListing, literalPrefix, namespaceRange, namespaceText } from "../../core/item-namespace.js";
import type { ItemStore } from "../../core/item-store.js";
import type { Item } from "../../core/item.js";
import type { EpochMs, JsonObject } from "../../core/json.js";
import { copyJson } from "../../core/json.js";
import type { TransferRow } from "../../core/row-transfer.js";
import { startTimeSlice } from "../time-slice.js";
import { itemRow, transferKey, valueOf } from "../transfer-rows.js";
import { SortedRows } from "./sorted-rows.js";

/** Up to this many items under a prefix are filtered and sorted at once; beyond, the latest are walked first. */
const FEW_ROWS = 2_000;

/** How many rows are decided between two looks at the clock. */
const ROWS_PER_LOOK = 8;

interface ItemRow {
  readonly place: NamespaceRow;
  readonly key: string;
  readonly createdAt: EpochMs;
  /** Order of creation, for equal times. */
  readonly sequence: number;
  value: JsonObject;
  updatedAt: EpochMs;
}

interface NamespaceRow {
  readonly namespace: readonly string[];
  readonly text: string;
  readonly items: Map<string, ItemRow>;
}

/** An item store whose rows `heddle copy` can read and write. */
export interface MemoryItems extends ItemStore {
  readonly transfer: {
    read(after: string | null, limit: number): readonly TransferRow[];
    write(rows: readonly TransferRow[]): void;
  };
}

/** The long-term store in memory. Values are copied when they come in and when they go out. */
export function createMemoryItems(clock: StoreClock): MemoryItems {
  const namespaces = new Map<string, NamespaceRow>();
  const byText = new SortedRows<NamespaceRow>((a, b) => (a.text === b.text ? 0 : a.text < b.text ? -1 : 1));
  const byTime = new SortedRows<ItemRow>((a, b) =>
    a.updatedAt === b.updatedAt ? a.sequence - b.sequence : a.updatedAt - b.updatedAt,
  );
  let sequence = 0;

  const find = (namespace: readonly string[], key: string): ItemRow | undefined =>
    namespaces.get(namespaceText(namespace))?.items.get(key);

  const placeOf = (namespace: readonly string[]): NamespaceRow => {
    const text = namespaceText(namespace);
    const existing = namespaces.get(text);
    if (existing !== undefined) return existing;
    const place: NamespaceRow = { namespace: [...namespace], text, items: new Map() };
    namespaces.set(text, place);
    byText.insert(place);
    return place;
  };

  const insert = (item: Item): void => {
    const place = placeOf(item.namespace);
    sequence += 1;
    const { key, value, createdAt, updatedAt } = item;
    const row: ItemRow = { place, key, value, createdAt, updatedAt, sequence };
    place.items.set(key, row);
    byTime.insert(row);
  };

  const remove = (row: ItemRow): void => {
    const { place } = row;
    place.items.delete(row.key);
    byTime.remove(row);
    if (place.items.size > 0) return;
    namespaces.delete(place.text);
    byText.remove(place);
  };

  /** Namespaces that are, or are under, a prefix. */
  const under = (prefix: readonly string[]): Generator<NamespaceRow, void, void> => {
    const own = namespaceText(prefix);
    const { from, to } = namespaceRange(prefix);
    // In the order of texts, `["a","b"]` comes before `["a"]`.
    return byText.range(
      (place) => place.text < from,
      (place) => place.text < to || place.text === own,
    );
  };

  /** Items under a prefix, latest first: all of them when they are few, otherwise as the order of time has them. */
  const latestUnder = (prefix: readonly string[]): readonly ItemRow[] => {
    const rows: ItemRow[] = [];
    if (prefix.length === 0) return byTime.toArray("desc");
    for (const place of under(prefix)) {
      if (rows.length + place.items.size > FEW_ROWS) {
        const own = namespaceText(prefix);
        const { from, to } = namespaceRange(prefix);
        return byTime.toArray("desc").filter(({ place: { text } }) => text === own || (text >= from && text < to));
      }
      rows.push(...place.items.values());
    }
    return rows.sort(latestFirst);
  };

  return {
    async put({ namespace, key, value, access }) {
      const existing = find(namespace, key);
      if (existing !== undefined && !isItemVisible(access, itemView(existing))) return { kind: "hidden" };
      if (!isItemVisible(access, { namespace, key, value })) return { kind: "forbidden" };
      const copy = copyJson(value);
      const now = clock.now();
      if (existing !== undefined) {
        byTime.remove(existing);
        existing.value = copy;
        existing.updatedAt = now;
        byTime.insert(existing);
        return { kind: "stored" };
      }
      insert({ namespace, key, value: copy, createdAt: now, updatedAt: now });
      return { kind: "stored" };
    },

    async get({ namespace, key, access }) {
      const row = find(namespace, key);
      if (row === undefined) return { kind: "missing" };
      return isItemVisible(access, itemView(row)) ? { kind: "found", item: itemOf(row) } : { kind: "hidden" };
    },

    async delete({ namespace, key, access }) {
      const row = find(namespace, key);
      if (row === undefined) return { kind: "missing" };
      if (!isItemVisible(access, itemView(row))) return { kind: "hidden" };
      remove(row);
      return { kind: "deleted" };
    },

    async search({ namespacePrefix, filter = {}, limit, offset, access }) {
      checkItemFilter(filter);
      const slice = startTimeSlice();
      const found: ItemRow[] = [];
      const rows = latestUnder(namespacePrefix);
      for (let i = 0; i < rows.length && found.length < offset + limit; i += 1) {
        if (i % ROWS_PER_LOOK === 0 && slice.isOver()) await slice.next();
        const row = rows[i] as ItemRow;
        if (row.place.items.get(row.key) !== row) continue;
        if (matchesItemFilter(row.value, filter) && isItemVisible(access, itemView(row))) found.push(row);
      }
      return found.slice(offset).map(itemOf);
    },

    async listNamespaces({ limit, offset, access, ...query }) {
      const slice = startTimeSlice();
      const listing = createNamespaceListing(query);
      let looked = 0;
      // A snapshot: namespaces may come and go while the walk pauses.
      const places = [...under(literalPrefix(query.prefix ?? []))];
      for (const place of places) {
        looked += 1;
        if (looked % ROWS_PER_LOOK === 0 && slice.isOver()) await slice.next();
        if (!listing.wants(place.namespace)) continue;
        for (const row of place.items.values()) {
          if (!isItemVisible(access, itemView(row))) continue;
          listing.add(place.namespace);
          break;
        }
      }
      return listing.page(limit, offset);
    },

    transfer: {
      read: (after, limit) =>
        [...byTime]
          .map((row) => ({ row, key: transferKey("items", itemView(row)) }))
          .filter(({ key }) => after === null || key > after)
          .sort((a, b) => (a.key < b.key ? -1 : 1))
          .slice(0, limit)
          .map(({ row }) => itemRow(itemOf(row))),
      write(rows) {
        for (const row of rows) {
          const item = valueOf("items", row);
          const existing = find(item.namespace, item.key);
          if (existing !== undefined) remove(existing);
          insert(item);
        }
      },
    },

    async close() {
      namespaces.clear();
    },
  };
}

/** The row as a filter sees it: not a copy. */
function itemView(row: ItemRow): Pick<Item, "namespace" | "key" | "value"> {
  return { namespace: row.place.namespace, key: row.key, value: row.value };
}

function itemOf(row: ItemRow): Item {
  return {
    namespace: [...row.place.namespace],
    key: row.key,
    value: copyJson(row.value),
    createdAt: row.createdAt,
    updatedAt: row.updatedAt,
  };
}

function latestFirst(a: ItemRow, b: ItemRow): number {
  return a.updatedAt === b.updatedAt ? b.sequence - a.sequence : b.updatedAt - a.updatedAt;
}
