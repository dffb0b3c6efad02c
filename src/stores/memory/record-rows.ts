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

export interface PageOfRecords {
  readonly order: keyof typeof ORDERS;
  readonly direction: "asc" | "desc";
  readonly limit: number;
  readonly offset: number;
}

/** Records of this process: by key, by collection in order of keys, by expiry; what has gone by the time of its end. */
export class RecordRows {
  /** Also of what is gone. */
  readonly #rows = new Map<string, RecordRow>();
  readonly #owners = new Map<string, Map<string, SortedRows<LiveRow>>>();
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
    this.#collection(row).insert(row);
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
    // A collection's rows are in order of keys already.
    if (order === "key" && query.collection !== undefined) {
      const page: LiveRow[] = [];
      let skipped = 0;
      for (const row of this.matching(query, now, direction)) {
        if (page.length >= limit) break;
        if (skipped < offset) skipped += 1;
        else page.push(row);
      }
      return page;
    }
    const rows = [...this.matching(query, now)].sort(ORDERS[order]);
    return (direction === "asc" ? rows : rows.reverse()).slice(offset, offset + limit);
  }

  /** What somebody may see, each collection's in the order of keys. */
  *matching(query: RecordQuery, now: number, direction: "asc" | "desc" = "asc"): Generator<LiveRow, undefined> {
    const { collection, labels = {}, fromKey, toKey } = query;
    const collections = this.#owners.get(ownerOf(query));
    if (collections === undefined) return;
    const wanted = Object.entries(labels);
    const only = collection === undefined ? undefined : collections.get(collection);
    const chosen = collection === undefined ? [...collections.values()] : only === undefined ? [] : [only];
    for (const rows of chosen) {
      for (const row of rows.walk(direction)) {
        const early = fromKey !== undefined && compareCodePoints(row.key, fromKey) < 0;
        const late = toKey !== undefined && compareCodePoints(row.key, toKey) > 0;
        if (direction === "asc" ? late : early) break;
        if (early || late || visible(row, now) === null) continue;
        if (wanted.every(([name, value]) => Object.hasOwn(row.labels, name) && row.labels[name] === value)) yield row;
      }
    }
  }

  /** All that lie in a collection, also expired ones. */
  inCollection(place: Omit<RecordKey, "key">): readonly LiveRow[] {
    return this.#owners.get(ownerOf(place))?.get(place.collection)?.toArray("asc") ?? [];
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

  #collection(row: RecordRow): SortedRows<LiveRow> {
    const owner = ownerOf(row);
    const collections = this.#owners.get(owner) ?? new Map<string, SortedRows<LiveRow>>();
    this.#owners.set(owner, collections);
    const rows = collections.get(row.collection) ?? new SortedRows<LiveRow>(byKey);
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
    rows?.remove(row);
    if (rows?.size === 0) collections?.delete(row.collection);
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
