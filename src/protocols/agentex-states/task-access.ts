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

  /** @throws HeddleError `NOT_FOUND` for a thread that the caller does not see */
  const reach = async (caller: Caller, taskId: string, action: "read" | "update" | "delete"): Promise<void> => {
    const { access } = await authorize(caller, "threads", action, { thread_id: taskId });
    if (access.kind === "all" || (await isVisible(taskId, access))) return;
    if (await isVisible(taskId, ALL_ROWS)) throw itemNotFound(taskId);
  };

  return {
    reach,

    /** The same for something that a caller knows by an id of its own: what it may not do is not there. */
    async reachItem(
      caller: Caller,
      item: { readonly id: string; readonly taskId: string },
      action: "read" | "update",
    ): Promise<void> {
      try {
        await reach(caller, item.taskId, action);
      } catch (error) {
        if (isRefusal(error) || (error instanceof HeddleError && error.code === "NOT_FOUND"))
          throw itemNotFound(item.id);
        throw error;
      }
    },

    /** @throws what the authorizer throws for who may not look for anything */
    async search(caller: Caller): Promise<void> {
      await authorize(caller, "threads", "search", {});
    },

    /** When the task is a thread, these go with it. Call it before they are written, and after {@link reach}. */
    async noteRecords(taskId: string, places: readonly ThreadRecords[]): Promise<void> {
      if (await isVisible(taskId, ALL_ROWS)) await noteThreadRecords(records, taskId, places);
    },
  };
}
