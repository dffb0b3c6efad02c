import type { Assistant, AssistantVersion } from "../../core/assistant.js";
import type { JsonObject, JsonText, JsonValue } from "../../core/json.js";
import { asJsonText } from "../../core/json.js";
import type { CancelAction, MultitaskStrategy, Run, RunKwargs, RunStatus } from "../../core/run.js";
import type { Thread, ThreadStatus, TtlStrategy } from "../../core/thread.js";
import { type SettledStatus, ttlOf } from "../run-rules.js";

/* Rows as the tables of migrations.ts have them, and what they become. */

export interface VersionColumns {
  readonly graph_id: string;
  readonly name: string;
  readonly description: string | null;
  readonly config: string;
  readonly context: string;
  readonly metadata: string;
  readonly version: number;
  readonly created_at: number;
}

export interface AssistantColumns extends VersionColumns {
  readonly id: number;
  readonly assistant_id: string;
  readonly updated_at: number;
}

export interface ThreadColumns {
  readonly id: number;
  readonly thread_id: string;
  readonly created_at: number;
  readonly updated_at: number;
  readonly state_updated_at: number;
  readonly status: ThreadStatus;
  readonly settled_status: SettledStatus;
  readonly metadata: string;
  readonly config: string;
  readonly temporary: 0 | 1;
  readonly watched: 0 | 1;
  readonly ttl_ms: number | null;
  readonly ttl_strategy: TtlStrategy | null;
  readonly pruned_at: number | null;
}

export interface StateColumns {
  readonly state_values: string | null;
  readonly interrupts: string | null;
  readonly error: string | null;
}

export interface RunColumns {
  readonly id: number;
  readonly run_id: string;
  readonly thread: number;
  readonly thread_id: string;
  readonly thread_metadata: string;
  readonly assistant_id: string;
  readonly graph_id: string;
  readonly created_at: number;
  readonly updated_at: number;
  readonly due_at: number;
  readonly status: RunStatus;
  readonly metadata: string;
  readonly multitask_strategy: MultitaskStrategy;
  readonly temporary: 0 | 1;
  readonly attempt: number;
  readonly error: string | null;
  readonly lease_token: number;
  readonly worker_id: string | null;
  readonly lease_until: number | null;
  readonly heartbeat_at: number | null;
  readonly retry_at: number | null;
  readonly cancel_action: CancelAction | null;
}

/** A kwargs column. */
export function parseKwargs(text: string): RunKwargs {
  return JSON.parse(text) as RunKwargs;
}

/** A metadata column. */
export function parseObject(text: string): JsonObject {
  return JSON.parse(text) as JsonObject;
}

export function versionOf(assistantId: string, row: VersionColumns): AssistantVersion {
  return {
    assistantId,
    graphId: row.graph_id,
    name: row.name,
    description: row.description,
    config: parseObject(row.config),
    context: JSON.parse(row.context) as JsonValue,
    metadata: parseObject(row.metadata),
    version: row.version,
    createdAt: row.created_at,
  };
}

export function assistantOf(row: AssistantColumns): Assistant {
  return { ...versionOf(row.assistant_id, row), updatedAt: row.updated_at };
}

/** @param state absent leaves the state columns out */
export function threadOf(row: ThreadColumns, state?: StateColumns): Thread {
  return {
    threadId: row.thread_id,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    stateUpdatedAt: row.state_updated_at,
    metadata: parseObject(row.metadata),
    config: parseObject(row.config),
    status: row.status,
    values: jsonText(state?.state_values),
    interrupts: jsonText(state?.interrupts),
    error: row.status === "error" ? jsonText(state?.error) : null,
    ttl: ttlOf(row),
  };
}

export function runOf(
  row: Pick<
    RunColumns,
    | "run_id"
    | "thread_id"
    | "assistant_id"
    | "graph_id"
    | "created_at"
    | "updated_at"
    | "due_at"
    | "status"
    | "metadata"
    | "multitask_strategy"
    | "attempt"
    | "error"
  >,
  kwargs: RunKwargs,
): Run {
  return {
    runId: row.run_id,
    threadId: row.thread_id,
    assistantId: row.assistant_id,
    graphId: row.graph_id,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    dueAt: row.due_at,
    status: row.status,
    metadata: parseObject(row.metadata),
    kwargs,
    multitaskStrategy: row.multitask_strategy,
    attempt: row.attempt,
    error: jsonText(row.error),
  };
}

export function jsonText(column: string | null | undefined): JsonText | null {
  return column === null || column === undefined ? null : asJsonText(column);
}
