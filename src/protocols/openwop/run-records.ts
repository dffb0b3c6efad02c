import { isJsonObject, parseJsonText, toJsonText } from "../../core/json.js";
import type { JsonValue } from "../../core/json.js";
import type { RecordStore, RecordWrite } from "../../core/record.js";
import type { ThreadRecords } from "../../core/thread-records.js";
import { EVENTS_SPACE } from "./event.js";
import { LAUNCHES_SPACE } from "./event-log.js";
import { INDEX_SPACE, RUNS_SPACE, type RunRecord, SCOPES_SPACE } from "./run-record.js";

/** Records of runs. */
export type RunRecords = ReturnType<typeof createRunRecords>;

export function createRunRecords({ records }: { readonly records: RecordStore }) {
  const get = async (owner: string, runId: string) => {
    const row = await records.get({ space: RUNS_SPACE, owner, collection: "", key: runId });
    if (row === null) return null;
    return { record: parseJsonText(row.value) as unknown as RunRecord, version: row.version };
  };

  /** Whose a run is, for those who come without saying so. */
  const ownerOf = async (runId: string): Promise<string | null> => {
    const row = await records.get({ space: INDEX_SPACE, owner: "", collection: "", key: runId });
    const value = row === null ? null : parseJsonText(row.value);
    const owner = isJsonObject(value) ? value["owner"] : null;
    return typeof owner === "string" ? owner : null;
  };

  return {
    ownerOf,
    find: async (owner: string, runId: string): Promise<RunRecord | null> => (await get(owner, runId))?.record ?? null,
    async findByThread(threadId: string): Promise<RunRecord | null> {
      const owner = await ownerOf(threadId);
      return owner === null ? null : ((await get(owner, threadId))?.record ?? null);
    },
    /** @param change `null`: leave it. Pure @returns the record then; `null`: it is gone */
    async update(
      { owner, runId }: Pick<RunRecord, "owner" | "runId">,
      change: (record: RunRecord) => RunRecord | null,
    ): Promise<RunRecord | null> {
      for (;;) {
        const found = await get(owner, runId);
        if (found === null) return null;
        const changed = change(found.record);
        if (changed === null) return found.record;
        const outcome = await records.write({ ...recordWrite(changed), expected: found.version });
        if (outcome.kind === "written") return changed;
      }
    },
    /** Those that this run has started, oldest first. */
    async children(
      { owner, runId }: Pick<RunRecord, "owner" | "runId">,
      { limit = 100, offset = 0 }: { readonly limit?: number; readonly offset?: number } = {},
    ): Promise<readonly RunRecord[]> {
      const rows = await records.list({
        space: RUNS_SPACE,
        owner,
        collection: "",
        labels: { parent: runId },
        order: "created",
        direction: "asc",
        limit,
        offset,
      });
      return rows.map(({ value }) => parseJsonText(value) as unknown as RunRecord);
    },
    /** Runs that have not ended, of all owners. @param after the last one of the page before */
    async active(after: string | null, limit: number): Promise<readonly string[]> {
      const rows = await records.list({
        space: INDEX_SPACE,
        owner: "",
        collection: "",
        labels: { active: "1" },
        ...(after !== null && { fromKey: `${after} ` }),
        order: "key",
        direction: "asc",
        limit,
        offset: 0,
      });
      return rows.map(({ key }) => key);
    },
  };
}

export function recordWrite(record: RunRecord): RecordWrite {
  const { owner, runId, parentRunId } = record;
  return {
    space: RUNS_SPACE,
    owner,
    collection: "",
    key: runId,
    value: toJsonText(record as unknown as JsonValue),
    labels: { run: runId, ...(parentRunId !== null && { parent: parentRunId }) },
  };
}

/** All that is kept of a run, for its thread's removal. */
export function placesOf({
  owner,
  runId,
  heldScope,
}: Pick<RunRecord, "owner" | "runId" | "heldScope">): readonly ThreadRecords[] {
  const labels = { run: runId };
  return [
    { space: EVENTS_SPACE, owner, collection: runId },
    { space: LAUNCHES_SPACE, owner, collection: runId },
    { space: RUNS_SPACE, owner, collection: "", labels },
    { space: INDEX_SPACE, owner: "", collection: "", labels },
    // Only while it is this run's.
    ...(heldScope === null ? [] : [{ space: SCOPES_SPACE, owner, collection: "", labels }]),
  ];
}
