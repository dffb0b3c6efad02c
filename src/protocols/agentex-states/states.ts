import type { Caller } from "../../core/auth.js";
import { HeddleError } from "../../core/errors.js";
import { isUuid } from "../../core/ids.js";
import type { JsonText } from "../../core/json.js";
import { ownerOf } from "../../core/owner.js";
import type { RecordKey, RecordStore, StoredRecord } from "../../core/record.js";
import { newId } from "../../services/identifiers.js";
import { listStates } from "./state-order.js";
import type { TaskAccess } from "./task-access.js";
import { itemNotFound } from "./task-access.js";
import type { StateCreate, StateListing } from "./wire.js";
import { stateLabels } from "./wire.js";

export const STATES_SPACE = "agentex-states";
const COLLECTION = "states";

/** Each lost race means that somebody else has written. */
const MAX_ATTEMPTS = 200;

/** The five operations on states (docs/wire/agentex-states.md). A state is a record of its owner's, its text the record's value. */
export type StatesOperations = ReturnType<typeof createStates>;

export function createStates({ records, tasks }: { readonly records: RecordStore; readonly tasks: TaskAccess }) {
  const placeOf = (caller: Caller) => ({ space: STATES_SPACE, owner: ownerOf(caller), collection: COLLECTION });

  const find = async (caller: Caller, id: string, action: "read" | "update"): Promise<StoredRecord> => {
    const key = id.toLowerCase();
    const record = isUuid(id) ? await records.get({ ...placeOf(caller), key }) : null;
    await tasks.reachItem(caller, { id, taskId: record === null ? null : (record.labels["task_id"] ?? "") }, action);
    if (record === null) throw itemNotFound(id);
    return record;
  };

  /** Read, decide and write until nobody comes in between. */
  const change = async <T>(
    caller: Caller,
    id: string,
    attempt: (at: RecordKey, found: StoredRecord) => Promise<T | null>,
  ): Promise<T> => {
    let found = await find(caller, id, "update");
    for (let attempts = 0; attempts < MAX_ATTEMPTS; attempts += 1) {
      const at = { ...placeOf(caller), key: found.key };
      const done = await attempt(at, found);
      if (done !== null) return done;
      const again = await records.get(at);
      if (again === null) throw itemNotFound(id);
      found = again;
    }
    throw new HeddleError("RATE_LIMITED", { message: `Too many requests change the state '${id}' at once` });
  };

  return {
    /** @throws HeddleError `NOT_FOUND` for a task that is a thread which the caller does not see */
    async create(caller: Caller, { taskId, agentId, state }: StateCreate): Promise<StoredRecord> {
      await tasks.mayUpdate(caller, taskId);
      const labels = stateLabels({ taskId, agentId });
      await tasks.noteRecords(taskId, [{ ...placeOf(caller), labels: stateLabels({ taskId }) }]);
      const at = { ...placeOf(caller), key: newId() };
      const outcome = await records.write({ ...at, value: state, labels, expected: 0, disposable: true });
      if (outcome.kind === "conflict") throw new HeddleError("INTERNAL", { message: "an id was given out twice" });
      return outcome.record;
    },

    /** @throws HeddleError `NOT_FOUND` */
    retrieve: (caller: Caller, id: string): Promise<StoredRecord> => find(caller, id, "read"),

    /** Those of the caller. Of a task that it does not see it has none. */
    async list(caller: Caller, listing: StateListing): Promise<readonly StoredRecord[]> {
      const { taskId } = listing;
      if (taskId === undefined || taskId === "") await tasks.search(caller);
      else if (!(await tasks.sees(caller, taskId, "read"))) return [];
      return listStates(records, placeOf(caller), listing);
    },

    /**
     * Replaces the state; of several at once the last one stays, whole.
     * @throws HeddleError `NOT_FOUND`
     */
    update: (caller: Caller, id: string, state: JsonText): Promise<StoredRecord> =>
      change(caller, id, async (at, { version, labels }) => {
        const outcome = await records.write({ ...at, value: state, labels, expected: version, disposable: true });
        return outcome.kind === "written" ? outcome.record : null;
      }),

    /** @returns the state as it was. @throws HeddleError `NOT_FOUND` */
    delete: (caller: Caller, id: string): Promise<StoredRecord> =>
      change(caller, id, async (at, found) => {
        const outcome = await records.remove({ ...at, expected: found.version });
        return outcome.kind === "removed" ? found : null;
      }),
  };
}
