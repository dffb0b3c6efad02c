import { ALL_ROWS, type AuthAction, type Caller } from "../../core/auth.js";
import { ownerOf } from "../../core/owner.js";
import type { RunParts } from "./context.js";
import { runNotFound } from "./errors.js";
import type { RunRecord } from "./run-record.js";

/** A run of the caller's, which it may read or change. */
export type RunAccess = ReturnType<typeof createRunAccess>;

export function createRunAccess({ context, runRecords }: Pick<RunParts, "context" | "runRecords">) {
  const { authorize, store } = context;
  return async (
    caller: Caller,
    runId: string,
    action: Extract<AuthAction, "read" | "update"> = "read",
  ): Promise<RunRecord> => {
    const record = await runRecords.find(ownerOf(caller), runId);
    // Asked also for what is not there: whoever may not ask at all hears that first.
    const { access } = await authorize(caller, "threads", action, { thread_id: runId });
    if (record === null) throw runNotFound(runId);
    if (access.kind === "all") return record;
    const thread = await store.threads.get({ threadId: runId, access });
    // Before LangGraph has made it, or after somebody has deleted it, there is only the owner to go by.
    if (thread === null && (await store.threads.get({ threadId: runId, access: ALL_ROWS })) !== null) {
      throw runNotFound(runId);
    }
    return record;
  };
}
