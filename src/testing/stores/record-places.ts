import { type JsonText, type JsonValue, toJsonText } from "../../core/json.js";
import type { RecordKey, RecordStore, RecordWrite, StoredRecord } from "../../core/record.js";

export const PLACE: Omit<RecordKey, "key"> = { space: "test", owner: "ada", collection: "c" };
export const at = (key: string): RecordKey => ({ ...PLACE, key });
export const json = (value: JsonValue): JsonText => toJsonText(value);

/** A write that must succeed. */
export async function put(records: RecordStore, write: RecordWrite): Promise<StoredRecord> {
  const outcome = await records.write(write);
  if (outcome.kind !== "written") throw new Error(`conflict with version ${outcome.current}`);
  return outcome.record;
}
