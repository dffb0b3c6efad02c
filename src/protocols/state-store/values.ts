import type { AccessFilter } from "../../core/auth.js";
import { HeddleError } from "../../core/errors.js";
import { isItemVisible, mayHoldVisible } from "../../core/item-filter.js";
import type { JsonText } from "../../core/json.js";
import { parseJsonText } from "../../core/json.js";
import type { RecordStore, StoredRecord } from "../../core/record.js";
import type { RecordHints } from "../../services/record-hints.js";
import type { Owners } from "./owners.js";
import { type ItemPlace, recordKeyOf } from "./places.js";
import { recordsByKey } from "./records-by-key.js";

/** So often a value may change between the look whether it may be seen and the write, before it is given up. */
const MAX_TRIES = 50;

export type SetOutcome =
  | { readonly kind: "written"; readonly version: number }
  | { readonly kind: "conflict"; readonly current: number }
  /** There is one that the caller may not see. */
  | { readonly kind: "hidden" }
  /** The caller could not see it then. */
  | { readonly kind: "forbidden" };

/** The values behind the State Store and its view among the items: every change counts a version and tells who follows the value. */
export type StateValues = ReturnType<typeof createStateValues>;

export function createStateValues(deps: {
  readonly records: RecordStore;
  readonly hints: Pick<RecordHints, "touched">;
  readonly owners: Owners;
}) {
  const { records, hints, owners } = deps;

  /** Under an access filter one has to see what there is before it is replaced: by compare-and-set, so that it is the same. */
  const setVisible = async (
    place: ItemPlace,
    { value, ttlMs, expected, access }: SetParams & { readonly access: AccessFilter },
  ): Promise<SetOutcome> => {
    const key = recordKeyOf(place);
    for (let tries = 0; tries < MAX_TRIES; tries += 1) {
      const found = await records.get(key);
      if (found !== null && !isValueVisible(access, place, found.value)) return { kind: "hidden" };
      if (!isValueVisible(access, place, value)) return { kind: "forbidden" };
      const current = found?.version ?? 0;
      if (expected !== undefined && expected !== current) return { kind: "conflict", current };
      const outcome = await records.write({ ...key, value, expected: current, ttlMs, tracked: true });
      if (outcome.kind === "written") return { kind: "written", version: outcome.record.version };
    }
    throw new HeddleError("STORAGE_UNAVAILABLE", { message: "The value changes too often to be written" });
  };

  return {
    /** @returns `null`: there is none, or none that `access` lets the caller see */
    async get(
      place: ItemPlace,
      access: AccessFilter,
    ): Promise<
      | { readonly kind: "found"; readonly record: StoredRecord }
      | { readonly kind: "missing" }
      | { readonly kind: "hidden" }
    > {
      const record = await records.get(recordKeyOf(place));
      if (record === null) return { kind: "missing" };
      return isValueVisible(access, place, record.value) ? { kind: "found", record } : { kind: "hidden" };
    },

    /** @param params.expected the version that must be there, 0 for none; absent: any */
    async set(place: ItemPlace, params: SetParams & { readonly access: AccessFilter }): Promise<SetOutcome> {
      const key = recordKeyOf(place);
      await owners.remember(place.namespace);
      const { value, ttlMs, expected, access } = params;
      let outcome: SetOutcome;
      if (access.kind === "match") outcome = await setVisible(place, params);
      else {
        const wanted = { ...key, value, ttlMs, tracked: true };
        const written = await records.write(expected === undefined ? wanted : { ...wanted, expected });
        outcome = written.kind === "written" ? { kind: "written", version: written.record.version } : written;
      }
      if (outcome.kind === "written") hints.touched(key);
      return outcome;
    },

    async delete(
      place: ItemPlace,
      access: AccessFilter,
    ): Promise<{ readonly kind: "deleted" | "missing" | "hidden" | "forbidden" }> {
      const key = recordKeyOf(place);
      for (let tries = 0; tries < MAX_TRIES; tries += 1) {
        let expected: number | undefined;
        if (access.kind === "match") {
          const found = await records.get(key);
          // What is missing can be judged by its place only (docs/wire/langgraph-api.md §7.6).
          if (found === null) return { kind: mayHoldVisible(access, place) ? "missing" : "forbidden" };
          if (!isValueVisible(access, place, found.value)) return { kind: "hidden" };
          expected = found.version;
        }
        const outcome = await records.remove({ ...key, tracked: true, ...(expected !== undefined && { expected }) });
        if (outcome.kind === "conflict") continue;
        if (outcome.kind === "removed") hints.touched(key);
        return { kind: outcome.kind === "removed" ? "deleted" : "missing" };
      }
      throw new HeddleError("STORAGE_UNAVAILABLE", { message: "The value changes too often to be deleted" });
    },

    /** Keys of a workflow that the caller may see, by code points. */
    async keys(namespace: readonly string[], access: AccessFilter): Promise<readonly string[]> {
      const { key: _, ...collection } = recordKeyOf({ namespace, key: "" });
      const keys: string[] = [];
      for await (const { key, value } of recordsByKey(records, collection)) {
        if (isValueVisible(access, { namespace, key }, value)) keys.push(key);
      }
      return keys;
    },
  };
}

interface SetParams {
  readonly value: JsonText;
  /** `null`: it stays. */
  readonly ttlMs: number | null;
  readonly expected?: number;
}

/** Whether a value may be seen, as the item that it is. */
export function isValueVisible(access: AccessFilter, place: ItemPlace, value: JsonText): boolean {
  return access.kind === "all" || isItemVisible(access, { ...place, value: { value: parseJsonText(value) } });
}
