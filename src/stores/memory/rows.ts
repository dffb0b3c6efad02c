import type { Assistant, AssistantVersion, RunConfig } from "../../core/assistant.js";
import type { EpochMs, JsonObject, JsonText, JsonValue } from "../../core/json.js";
import { asJsonText, copyJson, parseJsonText } from "../../core/json.js";
import type { CancelAction, MultitaskStrategy, Run, RunKwargs, RunStatus } from "../../core/run.js";
import type { Thread, ThreadStatus, ThreadTtl } from "../../core/thread.js";
import type { SettledStatus } from "../run-rules.js";

/*
 * Rows own what they hold: user JSON is copied when it comes in and when it goes out. A run's kwargs and metadata are
 * kept as text, which copies for free, takes a third of the space and is read only when the run is.
 */

export interface AssistantRow {
  readonly assistantId: string;
  readonly createdAt: EpochMs;
  graphId: string;
  name: string;
  description: string | null;
  config: RunConfig;
  context: JsonValue;
  metadata: JsonObject;
  version: number;
  updatedAt: EpochMs;
  /** Oldest first. Never changed once made; shares its JSON with the row. */
  readonly versions: AssistantVersion[];
}

export interface ThreadRow {
  readonly threadId: string;
  readonly createdAt: EpochMs;
  updatedAt: EpochMs;
  stateUpdatedAt: EpochMs;
  metadata: JsonObject;
  config: RunConfig;
  status: ThreadStatus;
  /** The status without runs in flight: what the last run or state update left. */
  settledStatus: SettledStatus;
  values: JsonText | null;
  interrupts: JsonText | null;
  error: JsonText | null;
  ttl: ThreadTtl | null;
  /** `updatedAt` of when its checkpoints were pruned last because it had expired; `null`: never. */
  prunedAt: EpochMs | null;
  /** Made for a stateless run, to be removed with it. */
  temporary: boolean;
  /** Followed by the event protocol. */
  watched: boolean;
  /** In order of creation. */
  runs: RunRow[];
  /** In order of (dueAt, runId). */
  pending: RunRow[];
  running: RunRow | null;
  /** The pending run after whose crash the thread pauses. */
  retrying: RunRow | null;
}

export interface RunRow {
  readonly runId: string;
  readonly thread: ThreadRow;
  readonly assistantId: string;
  readonly graphId: string;
  readonly createdAt: EpochMs;
  readonly dueAt: EpochMs;
  readonly metadata: string;
  readonly kwargs: string;
  readonly multitaskStrategy: MultitaskStrategy;
  readonly temporary: boolean;
  updatedAt: EpochMs;
  status: RunStatus;
  attempt: number;
  error: JsonText | null;
  /** 0 until the first claim. */
  leaseToken: number;
  workerId: string | null;
  leaseUntil: EpochMs;
  heartbeatAt: EpochMs;
  /** Until then no run of its thread starts. */
  retryAt: EpochMs | null;
  cancel: CancelAction | null;
}

export function assistantOf(row: AssistantRow): Assistant {
  return {
    assistantId: row.assistantId,
    graphId: row.graphId,
    name: row.name,
    description: row.description,
    config: copyJson(row.config),
    context: copyJson(row.context),
    metadata: copyJson(row.metadata),
    version: row.version,
    createdAt: row.createdAt,
    updatedAt: row.updatedAt,
  };
}

export function versionOf(version: AssistantVersion): AssistantVersion {
  return {
    ...version,
    config: copyJson(version.config),
    context: copyJson(version.context),
    metadata: copyJson(version.metadata),
  };
}

/** @param withState false leaves out what a poll does not need */
export function threadOf(row: ThreadRow, withState = true): Thread {
  return {
    threadId: row.threadId,
    createdAt: row.createdAt,
    updatedAt: row.updatedAt,
    stateUpdatedAt: row.stateUpdatedAt,
    metadata: copyJson(row.metadata),
    config: copyJson(row.config),
    status: row.status,
    values: withState ? row.values : null,
    interrupts: withState ? row.interrupts : null,
    error: withState && row.status === "error" ? row.error : null,
    ttl: row.ttl,
  };
}

/** @param kwargs the caller's own, where the row was just made from them */
export function runOf(row: RunRow, kwargs?: RunKwargs): Run {
  return {
    runId: row.runId,
    threadId: row.thread.threadId,
    assistantId: row.assistantId,
    graphId: row.graphId,
    createdAt: row.createdAt,
    updatedAt: row.updatedAt,
    dueAt: row.dueAt,
    status: row.status,
    metadata: parseJsonText(asJsonText(row.metadata)) as JsonObject,
    kwargs: kwargs ?? (JSON.parse(row.kwargs) as RunKwargs),
    multitaskStrategy: row.multitaskStrategy,
    attempt: row.attempt,
    error: row.error,
  };
}
