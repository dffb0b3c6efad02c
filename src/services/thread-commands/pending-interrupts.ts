import { ALL_ROWS } from "../../core/auth.js";
import type { Engine } from "../../core/engine.js";
import { HeddleError } from "../../core/errors.js";
import { isJsonObject, parseJsonText } from "../../core/json.js";
import type { MetadataStore } from "../../core/metadata-store.js";
import type { Run } from "../../core/run.js";
import type { Thread } from "../../core/thread.js";
import { graphOf } from "../thread-state.js";

/** What waits for an answer on a thread. */
export interface PendingInterrupts {
  readonly ids: ReadonlySet<string>;
  /** Runs of the thread that are pending or running. */
  readonly inflight: readonly Run[];
}

/**
 * Ids of the interrupts that a thread waits on. The row has them once the run has ended; while one is in flight, the
 * checkpoints tell, so that a client may answer `input.requested` before the run that asked is over. What a run in flight
 * answers already is not pending.
 */
export async function pendingInterrupts(
  deps: { readonly store: MetadataStore; readonly engine: Engine },
  thread: Thread,
): Promise<PendingInterrupts> {
  const { threadId, status } = thread;
  if (status !== "busy" && status !== "interrupted") return { ids: new Set(), inflight: [] };
  if (status === "interrupted") {
    const ids = waitingIds(thread);
    // Of several, those that were answered one by one are still in the row.
    return { ids: ids.size > 1 ? await waitingNow(deps, thread) : ids, inflight: [] };
  }
  const inflight = await deps.store.runs.list({
    threadId,
    status: ["pending", "running"],
    limit: 1_000,
    offset: 0,
    access: ALL_ROWS,
  });
  const ids = await waitingNow(deps, thread);
  for (const run of inflight) for (const id of answeredBy(run)) ids.delete(id);
  return { ids, inflight };
}

/** Interrupts of the tasks of the last checkpoint that have no result yet. */
async function waitingNow({ engine }: { readonly engine: Engine }, thread: Thread): Promise<Set<string>> {
  const { threadId, config } = thread;
  const graphId = graphOf(engine, thread);
  if (graphId === null) {
    throw new HeddleError("THREAD_HAS_NO_GRAPH", { message: "Nothing has run on this thread; call run.start first." });
  }
  const { tasks } = await engine.getState({ graphId, threadId, config, subgraphs: false });
  const waiting = tasks.filter((task) => task.result === null);
  return new Set(waiting.flatMap((task) => idsOf(parseJsonText(task.interrupts))));
}

/** Ids that a run answers, when it resumes by id. */
export function answeredBy(run: Run): readonly string[] {
  const resume = run.kwargs.command?.["resume"];
  return isJsonObject(resume) ? Object.keys(resume) : [];
}

/** Ids that a thread waits on as its row has it: none while a run is in flight, and none at a static breakpoint (§4.4). */
export function waitingIds({ status, interrupts }: Thread): ReadonlySet<string> {
  if (status !== "interrupted" || interrupts === null) return new Set();
  return new Set(Object.values(parseJsonText(interrupts) ?? {}).flatMap(idsOf));
}

function idsOf(interrupts: unknown): readonly string[] {
  if (!Array.isArray(interrupts)) return [];
  return interrupts.flatMap((interrupt: unknown) => {
    const id = isJsonObject(interrupt) ? (interrupt["id"] ?? interrupt["interrupt_id"]) : undefined;
    return typeof id === "string" ? [id] : [];
  });
}
