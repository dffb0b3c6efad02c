import type { Assistant, AssistantVersion } from "../../core/assistant.js";
import type { AccessFilter } from "../../core/auth.js";
import { asJsonText, type JsonObject, type JsonText, type JsonValue } from "../../core/json.js";
import { isVisible } from "../../core/metadata-filter.js";
import { isTerminal } from "../../core/run-lifecycle.js";
import type { Run, RunKwargs, RunLease, RunStatus } from "../../core/run.js";
import type { Thread } from "../../core/thread.js";
import type {
  AssistantDocument,
  EndedEntry,
  QueueEntry,
  RunDocument,
  RunningEntry,
  ThreadDocument,
  VersionContent,
} from "./documents.js";

/* What documents become. */

export function parseObject(text: string): JsonObject {
  return JSON.parse(text) as JsonObject;
}

/** Whether `access` shows a row with this metadata; parses it only if it has to. */
export function showsMetadata(access: AccessFilter, metadata: string): boolean {
  return access.kind === "all" || isVisible(access, parseObject(metadata));
}

export function versionOf(assistantId: string, content: VersionContent, createdAt: number): AssistantVersion {
  return {
    assistantId,
    graphId: content.graphId,
    name: content.name,
    description: content.description,
    config: parseObject(content.config),
    context: JSON.parse(content.context) as JsonValue,
    metadata: parseObject(content.metadata),
    version: content.version,
    createdAt,
  };
}

export function assistantOf(document: AssistantDocument): Assistant {
  return { ...versionOf(document._id, document, document.createdAt), updatedAt: document.updatedAt };
}

/** @param state absent leaves the state columns out */
export function threadOf(
  document: Pick<
    ThreadDocument,
    "_id" | "createdAt" | "updatedAt" | "stateUpdatedAt" | "metadata" | "config" | "status" | "ttl"
  >,
  state?: Readonly<Record<"values" | "interrupts" | "error", JsonText | null>>,
): Thread {
  return {
    threadId: document._id,
    createdAt: document.createdAt,
    updatedAt: document.updatedAt,
    stateUpdatedAt: document.stateUpdatedAt,
    metadata: parseObject(document.metadata),
    config: parseObject(document.config),
    status: document.status,
    values: state?.values ?? null,
    interrupts: state?.interrupts ?? null,
    error: document.status === "error" ? (state?.error ?? null) : null,
    ttl: document.ttl ?? null,
  };
}

/** Where a run is, and the part of it that changes. */
export interface RunPlace {
  readonly status: RunStatus;
  readonly updatedAt: number;
  readonly attempt: number;
  readonly leaseToken: number;
  readonly error: string | null;
  /** In flight. */
  readonly entry: QueueEntry | RunningEntry | null;
}

/**
 * The state of a run: its thread's document decides, then its own.
 * @returns `null` for a run that was deleted, or that is not created yet
 */
export function placeOf(
  thread: Pick<ThreadDocument, "running" | "queue" | "ended">,
  run: RunDocument,
): RunPlace | null {
  const { _id: runId } = run;
  if (thread.running?.runId === runId) return placeOfEntry(thread.running);
  const waiting = thread.queue.find((entry) => entry.runId === runId);
  if (waiting !== undefined) return placeOfEntry(waiting);
  const ended = thread.ended.find((entry) => entry.runId === runId);
  if (ended !== undefined) return placeOfEnd(ended);
  return run.status === "inflight" ? null : { ...run, status: run.status, entry: null };
}

export function placeOfEntry(entry: QueueEntry | RunningEntry): RunPlace {
  return { ...entry, status: "lease" in entry ? "running" : "pending", error: null, entry };
}

function placeOfEnd({ end, ...ended }: EndedEntry): RunPlace | null {
  return end === "deleted" ? null : { ...ended, status: end, entry: null };
}

/** @param kwargs the caller's own, where the document was just made from them */
export function runOf(document: RunDocument, place: RunPlace, kwargs?: RunKwargs): Run {
  return {
    runId: document._id,
    threadId: document.threadId,
    assistantId: document.assistantId,
    graphId: document.graphId,
    createdAt: document.createdAt,
    updatedAt: place.updatedAt,
    dueAt: document.dueAt,
    status: place.status,
    metadata: parseObject(document.metadata),
    kwargs: kwargs ?? (JSON.parse(document.kwargs) as RunKwargs),
    multitaskStrategy: document.multitaskStrategy,
    attempt: place.attempt,
    error: place.error === null || !isTerminal(place.status) ? null : asJsonText(place.error),
  };
}

export function leaseText({ runId, leaseToken }: RunLease): string {
  return `${runId}:${leaseToken}`;
}
