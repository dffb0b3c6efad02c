import type { AccessFilter, Caller } from "../../core/auth.js";
import { ALL_ROWS } from "../../core/auth.js";
import { HeddleError } from "../../core/errors.js";
import { isUuid } from "../../core/ids.js";
import type { MetadataStore } from "../../core/metadata-store.js";
import type { RecordStore } from "../../core/record.js";
import type { ThreadRecords } from "../../core/thread-records.js";
import { noteThreadRecords } from "../../core/thread-records.js";
import type { Authorize } from "../../services/authorization.js";
import { isRefusal } from "../../services/authorization.js";

export interface TaskAccessDeps {
  readonly authorize: Authorize;
  readonly store: Pick<MetadataStore, "threads">;
  readonly records: RecordStore;
}

export type TaskAction = "read" | "update" | "delete";

/** What has no record, or none that the caller may see, in the original's words. */
export function itemNotFound(id: string): HeddleError {
  return new HeddleError("NOT_FOUND", { message: `Item with id '${id}' does not exist.` });
}

/**
 * Who may do something with what belongs to a task. A task is the thread of its id, and what is done with its states and checkpoints is
 * authorized as what is done with a thread's state: `threads:read`, `update`, `delete`, `search`. Ids that are no thread's are nobody's:
 * whoever uses one has it for itself, as records have owners.
 */
export type TaskAccess = ReturnType<typeof createTaskAccess>;

export function createTaskAccess({ authorize, store, records }: TaskAccessDeps) {
  const isVisible = async (taskId: string, access: AccessFilter): Promise<boolean> =>
    isUuid(taskId) && (await store.threads.count({ ids: [taskId.toLowerCase()], access })) > 0;

  /** @returns false for a thread that the caller does not see */
  const sees = async (caller: Caller, taskId: string, action: TaskAction): Promise<boolean> => {
    const { access } = await authorize(caller, "threads", action, { thread_id: taskId });
    return access.kind === "all" || (await isVisible(taskId, access)) || !(await isVisible(taskId, ALL_ROWS));
  };

  return {
    sees,

    /** @throws HeddleError `NOT_FOUND` for a thread that the caller does not see */
    async mayUpdate(caller: Caller, taskId: string): Promise<void> {
      if (!(await sees(caller, taskId, "update"))) throw itemNotFound(taskId);
    },

    /**
     * The same for something that a caller asks for by an id of its own: what it may not do with one that it has is not there.
     * @param taskId `null`: the caller has none of this id; who may do nothing is told so
     * @throws HeddleError `NOT_FOUND`
     */
    async reachItem(
      caller: Caller,
      { id, taskId }: { readonly id: string; readonly taskId: string | null },
      action: "read" | "update",
    ): Promise<void> {
      if (taskId === null) {
        await authorize(caller, "threads", action, {});
        throw itemNotFound(id);
      }
      try {
        if (await sees(caller, taskId, action)) return;
      } catch (error) {
        if (!isRefusal(error)) throw error;
      }
      throw itemNotFound(id);
    },

    /** @throws what the authorizer throws for who may not look for anything */
    async search(caller: Caller): Promise<void> {
      await authorize(caller, "threads", "search", {});
    },

    /** When the task is a thread, these go with it. Call it before they are written, of tasks that the caller sees. */
    async noteRecords(taskId: string, places: readonly ThreadRecords[]): Promise<void> {
      if (await isVisible(taskId, ALL_ROWS)) await noteThreadRecords(records, taskId, places);
    },
  };
}
