import type { RecordKey, RecordStore, StoredRecord } from "../../core/record.js";

const PAGE = 500;

/** Records of a collection, or of all of an owner's, in order of their keys: none that stays is missed or seen twice. */
export async function* recordsByKey(
  records: RecordStore,
  place: Pick<RecordKey, "space" | "owner"> & Partial<Pick<RecordKey, "collection">>,
): AsyncGenerator<StoredRecord, undefined> {
  let last: string | undefined;
  /** Collections whose record of the last key was seen. */
  let seen = new Set<string>();
  for (;;) {
    // Those of the last key come again: pages begin with a key, so that what goes meanwhile shifts nothing.
    const limit = PAGE + seen.size;
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
  }
}
