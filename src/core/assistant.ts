import type { EpochMs, JsonObject, JsonValue } from "./json.js";

/** Per-run configuration as LangGraph knows it, keys as the user wrote them (`recursion_limit`, `configurable`, `tags`, …). */
export type RunConfig = JsonObject;

/** A graph with configuration, versioned (docs/wire/langgraph-api.md §2.2). */
export interface Assistant {
  readonly assistantId: string;
  readonly graphId: string;
  readonly name: string;
  readonly description: string | null;
  readonly config: RunConfig;
  readonly context: JsonValue;
  readonly metadata: JsonObject;
  /** Starts at 1; every update appends `max + 1`. */
  readonly version: number;
  readonly createdAt: EpochMs;
  readonly updatedAt: EpochMs;
}

/** One entry of an assistant's history. */
export type AssistantVersion = Omit<Assistant, "updatedAt">;

/** Metadata by which the server's own assistants are known, one for each graph (docs/wire/langgraph-api.md §5.6). */
export const SYSTEM_MARK = Object.freeze({ key: "created_by", value: "system" });

/** Whether metadata says that the server made its assistant. */
export function hasSystemMark(metadata: JsonObject | undefined): boolean {
  return metadata?.[SYSTEM_MARK.key] === SYSTEM_MARK.value;
}

/** What an update may replace. Absent keeps the old value; `metadata` is merged shallowly. */
export interface AssistantPatch {
  readonly graphId?: string;
  readonly name?: string;
  readonly description?: string | null;
  readonly config?: RunConfig;
  readonly context?: JsonValue;
  readonly metadata?: JsonObject;
}

export type AssistantSortField = "assistant_id" | "graph_id" | "created_at" | "updated_at" | "name";
