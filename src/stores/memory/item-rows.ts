import { namespaceRange, namespaceText } from "../../core/item-namespace.js";
import type { ItemEmbedding, ItemVector } from "../../core/item-store.js";
import type { Item } from "../../core/item.js";
import type { EpochMs, JsonObject } from "../../core/json.js";
import { copyJson } from "../../core/json.js";
import { SortedRows } from "./sorted-rows.js";

/** Up to this many items under a prefix are filtered and sorted at once; beyond, the latest are walked first. */
const FEW_ROWS = 2_000;

/** What of an item a put may change. */
export interface ItemContent {
  readonly value: JsonObject;
  readonly updatedAt: EpochMs;
  readonly ttlMs: number | null;
  readonly expiresAt: EpochMs | null;
  readonly embedding: ItemEmbedding | null;
  readonly vectors: readonly ItemVector[];
}

export interface ItemRow {
  readonly place: NamespaceRow;
  readonly key: string;
  readonly createdAt: EpochMs;
  /** Order of creation, for equal times. */
  readonly sequence: number;
  content: ItemContent;
}

export interface NamespaceRow {
  readonly namespace: readonly string[];
  readonly text: string;
  readonly items: Map<string, ItemRow>;
}

/** The rows of the long-term store in memory, by place, time of update and time of expiry. */
export function createItemRows() {
  const namespaces = new Map<string, NamespaceRow>();
  const byText = new SortedRows<NamespaceRow>((a, b) => (a.text === b.text ? 0 : a.text < b.text ? -1 : 1));
  const byTime = new SortedRows<ItemRow>(
    (a, b) => a.content.updatedAt - b.content.updatedAt || a.sequence - b.sequence,
  );
  const byCreation = new SortedRows<ItemRow>((a, b) => a.sequence - b.sequence);
  const byExpiry = new SortedRows<ItemRow>(
    (a, b) => (a.content.expiresAt ?? 0) - (b.content.expiresAt ?? 0) || a.sequence - b.sequence,
  );
  let sequence = 0;

  const placeOf = (namespace: readonly string[]): NamespaceRow => {
    const text = namespaceText(namespace);
    const existing = namespaces.get(text);
    if (existing !== undefined) return existing;
    const place: NamespaceRow = { namespace: [...namespace], text, items: new Map() };
    namespaces.set(text, place);
    byText.insert(place);
    return place;
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

  return {
    under,
    /** In the order of creation. */
    byCreation,
    byExpiry,

    find: (namespace: readonly string[], key: string): ItemRow | undefined =>
      namespaces.get(namespaceText(namespace))?.items.get(key),

    insert(item: Pick<Item, "namespace" | "key" | "createdAt">, content: ItemContent): void {
      const place = placeOf(item.namespace);
      sequence += 1;
      const row: ItemRow = { place, key: item.key, createdAt: item.createdAt, sequence, content };
      place.items.set(item.key, row);
      byTime.insert(row);
      byCreation.insert(row);
      if (content.expiresAt !== null) byExpiry.insert(row);
    },

    change(row: ItemRow, content: ItemContent): void {
      byTime.remove(row);
      if (row.content.expiresAt !== null) byExpiry.remove(row);
      row.content = content;
      byTime.insert(row);
      if (content.expiresAt !== null) byExpiry.insert(row);
    },

    remove(row: ItemRow): void {
      const { place } = row;
      place.items.delete(row.key);
      byTime.remove(row);
      byCreation.remove(row);
      if (row.content.expiresAt !== null) byExpiry.remove(row);
      if (place.items.size > 0) return;
      namespaces.delete(place.text);
      byText.remove(place);
    },

    /** Items under a prefix, latest first: all of them when they are few, otherwise as the order of time has them. */
    latestUnder(prefix: readonly string[]): readonly ItemRow[] {
      const rows: ItemRow[] = [];
      if (prefix.length === 0) return byTime.toArray("desc");
      for (const place of under(prefix)) {
        if (rows.length + place.items.size > FEW_ROWS) {
          const isUnder = placesUnder(prefix);
          return byTime.toArray("desc").filter(({ place: { text } }) => isUnder(text));
        }
        for (const row of place.items.values()) rows.push(row);
      }
      return rows.sort(latestFirst);
    },

    clear(): void {
      namespaces.clear();
    },
  };
}

/** Whether a namespace, as text, is or is under a prefix. */
export function placesUnder(prefix: readonly string[]): (text: string) => boolean {
  const own = namespaceText(prefix);
  const { from, to } = namespaceRange(prefix);
  return (text) => text === own || (text >= from && text < to);
}

/** The row as a filter sees it: not a copy. */
export function itemView(row: ItemRow): Pick<Item, "namespace" | "key" | "value"> {
  return { namespace: row.place.namespace, key: row.key, value: row.content.value };
}

export function itemOf(row: ItemRow): Item {
  return {
    namespace: [...row.place.namespace],
    key: row.key,
    value: copyJson(row.content.value),
    createdAt: row.createdAt,
    updatedAt: row.content.updatedAt,
  };
}

export function latestFirst(a: ItemRow, b: ItemRow): number {
  return b.content.updatedAt - a.content.updatedAt || b.sequence - a.sequence;
}
