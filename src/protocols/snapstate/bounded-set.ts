import { toJsonText } from "../../core/json.js";
import type { RecordKey, RecordStore, RecordWrite, StoredRecord } from "../../core/record.js";

/**
 * Add a record to a collection that may have so many, however many processes add to it at once: each counts up a version that all of them
 * have to know.
 * @param params.set the record with that version
 * @returns `full`, or `raced`: somebody else was faster, and what there is has to be looked at again
 */
export async function addWithin(
  records: Pick<RecordStore, "count" | "get" | "writeAll">,
  params: { readonly set: RecordKey; readonly max: number; readonly write: RecordWrite },
): Promise<{ readonly kind: "added"; readonly record: StoredRecord } | { readonly kind: "full" | "raced" }> {
  const { set, max, write } = params;
  // Before the count: whoever adds one after it has counted this up by then, or will not be able to.
  const version = (await records.get(set))?.version ?? 0;
  const { space, owner, collection } = write;
  if ((await records.count({ space, owner, collection })) >= max) return { kind: "full" };
  // The set last: where the storage has no such step, it is what decides, and the record is taken back.
  const outcome = await records.writeAll([write, { ...set, expected: version, value: toJsonText({}) }]);
  if (outcome.kind === "conflict") return { kind: "raced" };
  const [record] = outcome.records;
  if (record === undefined) throw new Error("a write of several records gave none back");
  return { kind: "added", record };
}
