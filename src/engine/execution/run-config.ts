import type { ExecuteRequest } from "../../core/engine.js";
import { LEASE_KEY } from "../../core/checkpointer.js";
import type { JsonObject, JsonValue } from "../../core/json.js";
import { isJsonObject } from "../../core/json.js";
import type { CheckpointRef, Run } from "../../core/run.js";

/** What the server says of itself to graphs and traces (docs/wire/langgraph-api.md §3.7). */
export interface ServerInfo {
  /** Version of LangGraph. Default: of the installed package. */
  readonly langgraphVersion?: string;
  /** `LANGGRAPH_API_URL`, when it is set. */
  readonly apiUrl?: string;
}

const CHECKPOINT_KEYS: ReadonlySet<string> = new Set(["checkpoint_id", "checkpoint_ns", "checkpoint_map", "thread_ts"]);

/** Keys of `configurable` that name who is asking: never copied into checkpoints or streamed configs. */
export const isCallerKey = (key: string): boolean => key.startsWith("langgraph_auth_");

/** Keys that belong to LangGraph's and the server's inner workings. */
export const isInternalKey = (key: string): boolean => key.startsWith("__");

/** `configurable` of a config, without what only the runtime may set: a client could otherwise bring its own saver. */
export function userConfigurable(config: JsonObject): Readonly<Record<string, JsonValue | undefined>> {
  const configurable = config["configurable"];
  if (!isJsonObject(configurable)) return {};
  return Object.fromEntries(Object.entries(configurable).filter(([key]) => !isInternalKey(key)));
}

/** The keys that point LangGraph at a checkpoint. */
export function checkpointKeys(ref: CheckpointRef | undefined): JsonObject {
  if (ref === undefined) return {};
  return {
    ...(ref.checkpointNs === undefined ? {} : { checkpoint_ns: ref.checkpointNs }),
    ...(ref.checkpointId === undefined ? {} : { checkpoint_id: ref.checkpointId }),
    ...(ref.checkpointMap === undefined ? {} : { checkpoint_map: ref.checkpointMap }),
  };
}

/**
 * `configurable` of a run as graph factories see it: what was merged when it was created, then what the server alone
 * decides (§2.9.1 step 2). The graph itself gets the lease as well, see {@link leaseConfigurable}.
 */
export function runConfigurable(request: ExecuteRequest): Record<string, unknown> {
  const { run } = request.claimed;
  const configurable: Record<string, unknown> = { ...userConfigurable(run.kwargs.config), ...request.configurable };
  configurable["user_id"] ??= configurable["langgraph_auth_user_id"];
  if (configurable["user_id"] === undefined) delete configurable["user_id"];
  const tracer = run.kwargs.langsmithTracer;
  if (tracer?.projectName !== undefined) configurable["langsmith_project"] = tracer.projectName;
  if (tracer?.exampleId !== undefined) configurable["langsmith_example_id"] = tracer.exampleId;
  return Object.assign(configurable, checkpointKeys(run.kwargs.checkpoint), {
    run_id: run.runId,
    thread_id: run.threadId,
    graph_id: run.graphId,
    assistant_id: run.assistantId,
  });
}

/** What brings a run's lease to the saver. */
export function leaseConfigurable(request: ExecuteRequest): Readonly<Record<string, unknown>> {
  return { [LEASE_KEY]: request.claimed.lease };
}

/** Metadata of a run's callbacks, traces and message events (§3.7). */
export function runMetadata(run: Run, server: Required<Pick<ServerInfo, "langgraphVersion">> & ServerInfo): JsonObject {
  const configured = run.kwargs.config["metadata"];
  return {
    ...(isJsonObject(configured) ? configured : {}),
    ...run.metadata,
    graph_id: run.graphId,
    assistant_id: run.assistantId,
    run_attempt: run.attempt,
    langgraph_version: server.langgraphVersion,
    langgraph_plan: "developer",
    langgraph_host: "self-hosted",
    ...(server.apiUrl === undefined ? {} : { langgraph_api_url: server.apiUrl }),
    thread_id: run.threadId,
    run_id: run.runId,
  };
}

/**
 * What every checkpoint of a run carries besides LangGraph's own metadata: the run's metadata and its configurable
 * (docs/wire/langgraph-api.md §2.2 ThreadState), without inner keys and without the caller's identity.
 */
export function checkpointMetadata(
  configurable: Readonly<Record<string, unknown>>,
  metadata: JsonObject,
): Readonly<Record<string, JsonValue | undefined>> {
  const own: Record<string, JsonValue | undefined> = {};
  for (const [key, value] of Object.entries(configurable)) {
    if (isInternalKey(key) || isCallerKey(key) || CHECKPOINT_KEYS.has(key)) continue;
    own[key] = value as JsonValue;
  }
  for (const [key, value] of Object.entries(metadata)) {
    if (!isInternalKey(key)) own[key] = value;
  }
  return own;
}
