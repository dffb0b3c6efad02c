import { ALL_ROWS } from "../core/auth.js";
import type { Clock } from "../core/clock.js";
import type { EventLog } from "../core/event-log.js";
import type { JsonObject } from "../core/json.js";
import { keptEvents } from "../core/kept-events.js";
import type { MetadataStore } from "../core/metadata-store.js";
import type { NewRunEvent } from "../core/run-event.js";
import { isTerminal } from "../core/run-lifecycle.js";
import type { Run, RunStatus } from "../core/run.js";
import { type RootMark, rootLifecycle, rootMark, threadLogOf } from "../core/thread-event.js";

/** How a run ends for its thread's listeners (docs/wire/langgraph-api.md §4.4 `lifecycle`). */
export type RootEnd =
  { readonly step: "completed" | "interrupted" } | { readonly step: "failed"; readonly error: string };

/** Of a run that is gone, or that nobody watches. */
export const NO_END: RootEnd = { step: "interrupted" };

interface ThreadLogDeps {
  readonly store: MetadataStore;
  readonly eventLog: EventLog;
  readonly clock: Clock;
}

/** Events at a log's end that are read, until one tells of a run: a log that is complete ends with it. The last look reads all. */
const LOOKS = [1, 256, undefined] as const;

/** The end of a run, from what its row tells. */
export function rootEndOf(ended: {
  readonly status: RunStatus | "rolled-back";
  readonly error: string | null;
  /** Nodes are left to run. */
  readonly hasNext: boolean;
}): RootEnd {
  const { status, error, hasNext } = ended;
  if (status === "error" || status === "timeout") return { step: "failed", error: messageOf(error) };
  return { step: status === "success" && !hasNext ? "completed" : "interrupted" };
}

/**
 * The end of the run whose events a thread's log ends with, when they lack it: its process died after the run had ended, or was
 * not fast enough before the next run began elsewhere.
 * @param next the run that begins, of which the log may hold an earlier attempt; absent when none does
 * @returns `null` when nothing is missing
 */
export async function missingEnd(
  deps: ThreadLogDeps,
  threadId: string,
  next?: Pick<Run, "runId">,
): Promise<NewRunEvent | null> {
  const { store, clock } = deps;
  const newest = await newestMark(deps, threadId);
  // Whose events they are is what they say: no two processes' clocks are compared.
  if (newest === null || newest.step !== "running" || newest.runId === next?.runId) return null;
  const row = await store.runs.get({ runId: newest.runId, access: ALL_ROWS });
  // Given back, it goes on later.
  if (row !== null && !isTerminal(row.status)) return null;
  const end = row === null ? NO_END : await rootEndOfRow(store, row);
  return rootLifecycle({ ...newest, ...end, timestamp: clock.now() });
}

/** The same for a run that ended elsewhere, or earlier: whether it stopped at an interrupt is what its thread says. */
export async function rootEndOfRow(
  store: MetadataStore,
  run: Pick<Run, "threadId" | "status" | "error">,
): Promise<RootEnd> {
  const thread = await store.threads.get({ threadId: run.threadId, access: ALL_ROWS });
  return rootEndOf({ ...run, hasNext: thread?.status === "interrupted" || hasMembers(thread?.interrupts) });
}

/** Where the newest run began or ended. */
async function newestMark(deps: ThreadLogDeps, threadId: string): Promise<RootMark | null> {
  for (const count of LOOKS) {
    let newest: RootMark | null = null;
    for await (const event of keptEvents(deps, threadLogOf(threadId), count)) newest = rootMark(event) ?? newest;
    if (newest !== null) return newest;
  }
  return null;
}

function hasMembers(text: string | undefined | null): boolean {
  return text !== undefined && text !== null && text !== "{}" && text !== "null";
}

function messageOf(error: string | null): string {
  const parsed: unknown = error === null ? null : JSON.parse(error);
  const message = (parsed as JsonObject | null)?.["message"];
  return typeof message === "string" && message !== "" ? message : "The run failed.";
}
