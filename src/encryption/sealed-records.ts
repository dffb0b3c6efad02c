import { type Cipher, openJsonText, sealJsonText } from "../core/cipher.js";
import type { JsonText } from "../core/json.js";
import type { RecordStore, RecordWrite, StoredRecord } from "../core/record.js";
import { PLACES } from "./sealed-rows.js";

/** Records whose values are sealed, also those of the feed. Where they lie, their labels, versions and times are what the store looks at. */
export function sealedRecords(store: RecordStore, cipher: Cipher): RecordStore {
  const sealed = (write: RecordWrite): RecordWrite => ({
    ...write,
    value: sealJsonText(cipher, write.value, PLACES.record(write)),
  });
  const opened = (record: StoredRecord): StoredRecord => ({
    ...record,
    value: openJsonText(cipher, record.value, PLACES.record(record)),
  });
  return {
    async get(key) {
      const record = await store.get(key);
      return record && opened(record);
    },
    version: (key) => store.version(key),
    async write(write) {
      const outcome = await store.write(sealed(write));
      if (outcome.kind !== "written") return outcome;
      const { record, previous } = outcome;
      return {
        ...outcome,
        // What was sealed just now need not be opened.
        record: { ...record, value: write.value },
        previous: previous && openJsonText(cipher, previous, PLACES.record(write)),
      };
    },
    async writeAll(writes) {
      const outcome = await store.writeAll(writes.map(sealed));
      if (outcome.kind !== "written") return outcome;
      const records = outcome.records.map((record, at) => ({ ...record, value: writes[at]?.value ?? record.value }));
      return { ...outcome, records };
    },
    async remove(params) {
      const outcome = await store.remove(params);
      if (outcome.kind !== "removed") return outcome;
      return { ...outcome, previous: openJsonText(cipher, outcome.previous, PLACES.record(params)) };
    },
    list: async (params) => (await store.list(params)).map(opened),
    count: (query) => store.count(query),
    removeCollection: (params) => store.removeCollection(params),
    async changes(params) {
      const place = PLACES.record(params);
      const open = (text: JsonText | null): JsonText | null => text && openJsonText(cipher, text, place);
      const changes = await store.changes(params);
      return changes.map(({ key, version, previous, value, at }) => {
        return { key, version, previous: open(previous), value: open(value), at };
      });
    },
    expired: async (params) => (await store.expired(params)).map(opened),
    sweepExpired: (params) => store.sweepExpired(params),
  };
}
