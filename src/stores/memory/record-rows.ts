import type { RecordChange, RecordKey, RecordQuery } from "../../core/record.js";
import { compareCodePoints } from "../record-keys.js";
import { isLive, type LiveRow, type RecordRow, visible } from "../record-steps.js";
import { SortedRows } from "./sorted-rows.js";

/** Order of `SortedRows`: the kept row of a key is replaced, never changed. */
const byKey = (a: RecordRow, b: RecordRow): number => compareCodePoints(a.key, b.key);
const byPlace = (a: RecordRow, b: RecordRow): number => compareCodePoints(a.collection, b.collection) || byKey(a, b);
const byExpiry = (a: RecordRow, b: RecordRow): number =>
  (a.expiresAt ?? 0) - (b.expiresAt ?? 0) ||
  compareCodePoints(a.space, b.space) ||
  compareCodePoints(a.owner, b.owner) ||
  byPlace(a, b);

const ORDERS = {
  key: (a: RecordRow, b: RecordRow): number => byKey(a, b) || byPlace(a, b),
  created: (a: RecordRow, b: RecordRow): number => a.sequence - b.sequence || byPlace(a, b),
  updated: (a: RecordRow, b: RecordRow): number => a.updatedAt - b.updatedAt || byPlace(a, b),
} as const;

const KEYS_UP = { order: "key", direction: "asc" } as const;

export interface PageOfRecords {
  readonly order: keyof typeof ORDERS;
  readonly direction: "asc" | "desc";
  readonly limit: number;
  readonly offset: number;
}

/** The rows of one collection that have a value. */
interface CollectionRows {
  readonly byKey: SortedRows<LiveRow>;
  readonly bySequence: SortedRows<LiveRow>;
}

/** Records of this process: by key, by collection in order of keys and of creation, by expiry; what has gone by the time of its end. */
export class RecordRows {
  /** Also of what is gone. */
  readonly #rows = new Map<string, RecordRow>();
  readonly #owners = new Map<string, Map<string, CollectionRows>>();
  readonly #expiring = new SortedRows<LiveRow>(byExpiry);
  /** Oldest first. */
  readonly #gone = new Map<string, RecordRow>();
  readonly #changes = new Map<string, RecordChange[]>();
  #sequence = 0;

  nextSequence(): number {
    this.#sequence += 1;
    return this.#sequence;
  }

  get(key: RecordKey): RecordRow | null {
    return this.#rows.get(idOf(key)) ?? null;
  }

  /** @param after `null`: nothing is left */
  replace(key: RecordKey, after: RecordRow | null): void {
    const id = idOf(key);
    const before = this.#rows.get(id);
    if (before !== undefined) this.#unlink(id, before);
    if (after === null) {
      this.#rows.delete(id);
      return;
    }
    this.#sequence = Math.max(this.#sequence, after.sequence);
    if (after.value === null) {
      this.#rows.set(id, after);
      this.#gone.set(id, after);
      return;
    }
    const row: LiveRow = { ...after, value: after.value };
    this.#rows.set(id, row);
    const collection = this.#collection(row);
    collection.byKey.insert(row);
    collection.bySequence.insert(row);
    if (row.expiresAt !== null) this.#expiring.insert(row);
  }

  addChanges(key: RecordKey, changes: readonly RecordChange[]): void {
    if (changes.length === 0) return;
    const id = idOf(key);
    const kept = this.#changes.get(id) ?? [];
    kept.push(...changes);
    this.#changes.set(id, kept);
  }

  /** Of a record that a copy replaces. */
  dropAllChanges(key: RecordKey): void {
    this.#changes.delete(idOf(key));
  }

  /** Take back the last ones of {@link addChanges}. */
  dropChanges(key: RecordKey, count: number): void {
    const kept = this.#changes.get(idOf(key));
    kept?.splice(kept.length - count, count);
  }

  changes(key: RecordKey): readonly RecordChange[] {
    return this.#changes.get(idOf(key)) ?? [];
  }

  /** Forget changes and what is gone from before these times. */
  forget({ changesUntil, goneUntil }: { readonly changesUntil: number; readonly goneUntil: number }): void {
    for (const [id, changes] of this.#changes) {
      const first = changes.findIndex(({ at }) => at > changesUntil);
      if (first === -1) this.#changes.delete(id);
      else if (first > 0) changes.splice(0, first);
    }
    for (const [id, row] of this.#gone) {
      if (row.updatedAt > goneUntil) break;
      this.#gone.delete(id);
      this.#rows.delete(id);
    }
  }

  /** What somebody may see, in order. */
  page(query: RecordQuery, { order, direction, limit, offset }: PageOfRecords, now: number): readonly LiveRow[] {
    // A collection's rows are in these orders already.
    if (order !== "updated" && query.collection !== undefined) {
      const page: LiveRow[] = [];
      let skipped = 0;
      if (limit <= 0) return page;
      for (const row of this.matching(query, now, { order, direction })) {
        if (skipped < offset) skipped += 1;
        else if (page.push(row) >= limit) break;
      }
      return page;
    }
    const rows = [...this.matching(query, now)].sort(ORDERS[order]);
    return (direction === "asc" ? rows : rows.toReversed()).slice(offset, offset + limit);
  }

  /** What somebody may see, collection by collection. */
  *matching(
    query: RecordQuery,
    now: number,
    { order, direction }: { readonly order: "key" | "created"; readonly direction: "asc" | "desc" } = KEYS_UP,
  ): Generator<LiveRow, undefined> {
    const { collection, labels = {}, fromKey, toKey } = query;
    const collections = this.#owners.get(ownerOf(query));
    if (collections === undefined) return;
    const wanted = Object.entries(labels);
    const isEarly = ({ key }: LiveRow): boolean => fromKey !== undefined && compareCodePoints(key, fromKey) < 0;
    const isLate = ({ key }: LiveRow): boolean => toKey !== undefined && compareCodePoints(key, toKey) > 0;
    const only = collection === undefined ? undefined : collections.get(collection);
    const chosen = collection === undefined ? [...collections.values()] : only === undefined ? [] : [only];
    for (const { byKey: inKeys, bySequence } of chosen) {
      const walked =
        order === "created"
          ? bySequence.walk(direction)
          : direction === "asc"
            ? inKeys.range(isEarly, (row) => !isLate(row))
            : inKeys.walk("desc");
      for (const row of walked) {
        if (order === "key" && direction === "desc" && isEarly(row)) break;
        if (isEarly(row) || isLate(row) || visible(row, now) === null) continue;
        if (wanted.every(([name, value]) => Object.hasOwn(row.labels, name) && row.labels[name] === value)) yield row;
      }
    }
  }

  /** All that lie in a collection, also expired ones. */
  inCollection(place: Omit<RecordKey, "key">): readonly LiveRow[] {
    return this.#owners.get(ownerOf(place))?.get(place.collection)?.byKey.toArray("asc") ?? [];
  }

  /** Oldest expiry first. */
  *expired(now: number): Generator<LiveRow, undefined> {
    for (const row of this.#expiring) {
      if (row.expiresAt === null || row.expiresAt > now) return;
      yield row;
    }
  }

  all(): Iterable<RecordRow> {
    return this.#rows.values();
  }

  #collection(row: RecordRow): CollectionRows {
    const owner = ownerOf(row);
    const collections = this.#owners.get(owner) ?? new Map<string, CollectionRows>();
    this.#owners.set(owner, collections);
    const rows = collections.get(row.collection) ?? {
      byKey: new SortedRows<LiveRow>(byKey),
      bySequence: new SortedRows<LiveRow>(ORDERS.created),
    };
    collections.set(row.collection, rows);
    return rows;
  }

  #unlink(id: string, row: RecordRow): void {
    this.#gone.delete(id);
    if (!isLive(row)) return;
    if (row.expiresAt !== null) this.#expiring.remove(row);
    const owner = ownerOf(row);
    const collections = this.#owners.get(owner);
    const rows = collections?.get(row.collection);
    rows?.byKey.remove(row);
    rows?.bySequence.remove(row);
    if (rows?.byKey.size === 0) collections?.delete(row.collection);
    if (collections?.size === 0) this.#owners.delete(owner);
  }
}

/** No part has a NUL. */
function idOf({ space, owner, collection, key }: RecordKey): string {
  return `${space}\0${owner}\0${collection}\0${key}`;
}

function ownerOf({ space, owner }: Pick<RecordKey, "space" | "owner">): string {
  return `${space}\0${owner}`;
}
