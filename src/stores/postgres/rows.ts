import type { Assistant, AssistantVersion } from "../../core/assistant.js";
import type { JsonObject, JsonText, JsonValue } from "../../core/json.js";
import { asJsonText } from "../../core/json.js";
import type { CancelAction, MultitaskStrategy, Run, RunKwargs, RunStatus } from "../../core/run.js";
import type { Thread, ThreadStatus } from "../../core/thread.js";
import { type TtlColumns, ttlOf } from "../run-rules.js";
import { fromJsonb, fromText } from "../../databases/postgres/storable.js";

/* Rows as the statements of this folder read them, and what they become. `metadata` is read as text. */

export type VersionColumns = {
  readonly graph_id: string;
  readonly name: string;
  readonly description: string | null;
  readonly config: string;
  readonly context: string;
  readonly metadata: string;
  readonly version: number;
  readonly created_at: number;
};

export type AssistantColumns = VersionColumns & {
  readonly assistant_id: string;
  readonly updated_at: number;
};

export type ThreadColumns = {
  readonly thread_id: string;
  readonly created_at: number;
  readonly updated_at: number;
  readonly state_updated_at: number;
  readonly status: ThreadStatus;
  readonly metadata: string;
  readonly config: string;
  /** Absent where the state was not asked for. */
  readonly state_values?: string | null;
  readonly interrupts?: string | null;
  readonly error?: string | null;
} & TtlColumns;

export type RunColumns = {
  readonly run_id: string;
  readonly thread_id: string;
  readonly assistant_id: string;
  readonly graph_id: string;
  readonly created_at: number;
  readonly updated_at: number;
  readonly due_at: number;
  readonly status: RunStatus;
  readonly multitask_strategy: MultitaskStrategy;
  readonly attempt: number;
  readonly metadata: string;
  readonly kwargs: string;
  readonly error: string | null;
};

export type LeaseColumns = {
  readonly lease_token: number;
  readonly cancel_action: CancelAction | null;
};

/** The thread's, beside a run. */
export type WatchedColumn = { readonly watched: boolean };

export const VERSION_COLUMNS =
  "graph_id, name, description, config, context, metadata::text AS metadata, version, created_at";
export const ASSISTANT_COLUMNS = `assistant_id, ${VERSION_COLUMNS}, updated_at`;
const BARE_THREAD_COLUMNS =
  "thread_id, created_at, updated_at, state_updated_at, status, metadata::text AS metadata, config, ttl_ms, ttl_strategy";
export const THREAD_COLUMNS = `${BARE_THREAD_COLUMNS}, state_values, interrupts, error`;
/** @param source of the columns, with its dot: a table's alias, a row */
export function runColumns(source = ""): string {
  const names =
    "run_id thread_id assistant_id graph_id created_at updated_at due_at status multitask_strategy attempt kwargs error";
  return `${names
    .split(" ")
    .map((name) => source + name)
    .join(", ")}, ${source}metadata::text AS metadata`;
}

export function versionOf(assistantId: string, row: VersionColumns): AssistantVersion {
  return {
    assistantId,
    graphId: fromText(row.graph_id),
    name: fromText(row.name),
    description: row.description === null ? null : fromText(row.description),
    config: JSON.parse(row.config) as JsonObject,
    context: JSON.parse(row.context) as JsonValue,
    metadata: fromJsonb(row.metadata) as JsonObject,
    version: row.version,
    createdAt: row.created_at,
  };
}

export function assistantOf(row: AssistantColumns): Assistant {
  return { ...versionOf(fromText(row.assistant_id), row), updatedAt: row.updated_at };
}

export function threadOf(row: ThreadColumns): Thread {
  return {
    threadId: fromText(row.thread_id),
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    stateUpdatedAt: row.state_updated_at,
    metadata: fromJsonb(row.metadata) as JsonObject,
    config: JSON.parse(row.config) as JsonObject,
    status: row.status,
    values: jsonText(row.state_values),
    interrupts: jsonText(row.interrupts),
    error: row.status === "error" ? jsonText(row.error) : null,
    ttl: ttlOf(row),
  };
}

export function runOf(row: RunColumns): Run {
  return {
    runId: fromText(row.run_id),
    threadId: fromText(row.thread_id),
    assistantId: fromText(row.assistant_id),
    graphId: fromText(row.graph_id),
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    dueAt: row.due_at,
    status: row.status,
    metadata: fromJsonb(row.metadata) as JsonObject,
    kwargs: JSON.parse(row.kwargs) as RunKwargs,
    multitaskStrategy: row.multitask_strategy,
    attempt: row.attempt,
    error: jsonText(row.error),
  };
}

export function jsonText(column: string | null | undefined): JsonText | null {
  return column === null || column === undefined ? null : asJsonText(column);
}
