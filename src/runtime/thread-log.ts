import { ALL_ROWS } from "../core/auth.js";
import type { Clock } from "../core/clock.js";
import type { EventLog } from "../core/event-log.js";
import { isJsonObject, type JsonObject, parseJsonText, toJsonText } from "../core/json.js";
import type { MetadataStore } from "../core/metadata-store.js";
import type { NewRunEvent, RunEvent } from "../core/run-event.js";
import type { Run, RunStatus } from "../core/run.js";
import { threadEvent, threadLogOf } from "../core/thread-event.js";

/** How a run ends for its thread's listeners (docs/wire/langgraph-api.md §4.4 `lifecycle`). */
export type RootEnd =
  { readonly event: "completed" | "interrupted" } | { readonly event: "failed"; readonly error: string };

interface ThreadLogDeps {
  readonly store: MetadataStore;
  readonly eventLog: EventLog;
  readonly clock: Clock;
}

const ENDED = ["success", "error", "timeout", "interrupted"] as const;
const ROOT_ENDS: ReadonlySet<unknown> = new Set(["completed", "failed", "interrupted"]);
/** A log that says it has events shows its newest one within this time. */
const TAIL_MS = 2_000;

/** `lifecycle` of the whole graph. `run_id` in its params is this server's addition. */
export function rootLifecycle(
  clock: Pick<Clock, "now">,
  run: Pick<Run, "runId" | "graphId">,
  data: RootEnd | { readonly event: "running" },
): NewRunEvent {
  const params = {
    namespace: [],
    timestamp: clock.now(),
    data: { ...data, graph_name: run.graphId },
    run_id: run.runId,
  };
  return threadEvent("lifecycle", [], toJsonText(params), "control");
}

/** The end of a run, from what its row tells. */
export function rootEndOf(ended: {
  readonly status: RunStatus | "rolled-back";
  readonly error: string | null;
  /** Nodes are left to run. */
  readonly hasNext: boolean;
}): RootEnd {
  const { status, error, hasNext } = ended;
  if (status === "error" || status === "timeout") return { event: "failed", error: messageOf(error) };
  return { event: status === "success" && !hasNext ? "completed" : "interrupted" };
}

/**
 * The end of the run whose events a thread's log ends with, when they lack it: its process died after the run had ended, or was
 * not fast enough before the next run began elsewhere.
 * @param next the run that begins, of which the log may hold an earlier attempt; absent when none does
 * @returns `null` when nothing is missing
 */
export async function missingEnd(
  { store, eventLog, clock }: ThreadLogDeps,
  threadId: string,
  next?: Pick<Run, "runId">,
): Promise<NewRunEvent | null> {
  const tail = await newestEvent(eventLog, threadId);
  if (tail === null || isRootEnd(tail)) return null;
  const rows = await store.runs.list({ threadId, status: ENDED, limit: 10, offset: 0, access: ALL_ROWS });
  const before = rows.filter((run) => run.runId !== next?.runId);
  const ended = before.toSorted((a, b) => b.updatedAt - a.updatedAt)[0];
  if (ended === undefined) return null;
  // An earlier attempt of the next run has written since.
  if (next !== undefined && timeOf(tail) > ended.updatedAt) return null;
  return rootLifecycle(clock, ended, await rootEndOfRow(store, ended));
}

/** The same for a run that ended elsewhere, or earlier: whether it stopped at an interrupt is what its thread says. */
export async function rootEndOfRow(
  store: MetadataStore,
  run: Pick<Run, "threadId" | "status" | "error">,
): Promise<RootEnd> {
  const thread = await store.threads.get({ threadId: run.threadId, access: ALL_ROWS });
  return rootEndOf({ ...run, hasNext: thread?.status === "interrupted" || hasMembers(thread?.interrupts) });
}

async function newestEvent(eventLog: EventLog, threadId: string): Promise<RunEvent | null> {
  const log = threadLogOf(threadId);
  const extent = await eventLog.extent(log);
  if (extent === null || extent.evictedToSeq >= extent.nextSeq - 1) return null;
  const cursor = await eventLog.open(log, extent.nextSeq === 1 ? "start" : { afterSeq: extent.nextSeq - 2 });
  if (cursor === null) return null;
  const late = AbortSignal.timeout(TAIL_MS);
  try {
    for (;;) {
      const read = await cursor.next(late);
      if (read.kind === "events") return read.events.at(-1) ?? null;
      if (read.kind === "end") return null;
    }
  } catch (error) {
    // What was there has expired meanwhile.
    if (late.aborted) return null;
    throw error;
  } finally {
    cursor.close();
  }
}

function isRootEnd({ event, data }: RunEvent): boolean {
  if (event !== "lifecycle") return false;
  const params = parseJsonText(data);
  return isJsonObject(params) && isJsonObject(params["data"]) && ROOT_ENDS.has(params["data"]["event"]);
}

function timeOf({ data }: RunEvent): number {
  const params = parseJsonText(data);
  return isJsonObject(params) && typeof params["timestamp"] === "number" ? params["timestamp"] : 0;
}

function hasMembers(text: string | undefined | null): boolean {
  return text !== undefined && text !== null && text !== "{}" && text !== "null";
}

function messageOf(error: string | null): string {
  const parsed: unknown = error === null ? null : JSON.parse(error);
  const message = (parsed as JsonObject | null)?.["message"];
  return typeof message === "string" && message !== "" ? message : "The run failed.";
}
