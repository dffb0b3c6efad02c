import type { RecordKey, RecordStore, StoredRecord } from "../../core/record.js";

const FIRST_PAGE = 25;
const MAX_PAGE = 500;
/** Values that are read at once: pages become smaller where they have more. */
const PAGE_CHARS = 4 * 1024 * 1024;

/**
 * Records of a collection, or of all of an owner's, in order of their keys: none that stays is missed or seen twice.
 * @param place.fromKey the first key, and `toKey` the last one; absent: all
 */
export async function* recordsByKey(
  records: Pick<RecordStore, "list">,
  place: Pick<RecordKey, "space" | "owner"> &
    Partial<Pick<RecordKey, "collection">> & { readonly fromKey?: string; readonly toKey?: string },
): AsyncGenerator<StoredRecord, undefined> {
  let last: string | undefined;
  /** Collections whose record of the last key was seen. */
  let seen = new Set<string>();
  let size = FIRST_PAGE;
  for (;;) {
    // Those of the last key come again: pages begin with a key, so that what goes meanwhile shifts nothing.
    const limit = size + seen.size;
    const from = last === undefined ? {} : { fromKey: last };
    const page = await records.list({ ...place, ...from, order: "key", direction: "asc", limit, offset: 0 });
    for (const record of page) {
      if (record.key === last && seen.has(record.collection)) continue;
      if (record.key !== last) seen = new Set();
      last = record.key;
      seen.add(record.collection);
      yield record;
    }
    if (page.length < limit) return;
    size = nextPageSize(size, page);
  }
}

/** Twice as many records while they are small, and so few that no page of the like has too much. */
export function nextPageSize(size: number, page: readonly StoredRecord[]): number {
  const chars = page.reduce((sum, { value }) => sum + value.length, 0);
  const each = chars / Math.max(1, page.length);
  return Math.max(1, Math.min(2 * size, MAX_PAGE, Math.floor(PAGE_CHARS / Math.max(1, each))));
}
