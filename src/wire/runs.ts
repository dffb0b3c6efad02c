import { z } from "zod";
import type { EventPosition } from "../core/event-log.js";
import { isUuid } from "../core/ids.js";
import type { JsonObject, JsonText } from "../core/json.js";
import { isJsonObject } from "../core/json.js";
import type { Run, RunKwargs } from "../core/run.js";
import { decode, invalid, present, unsupported } from "./decode.js";
import type { FieldEncoders } from "./json.js";
import { encodeFields, isoText, quote, toJsonText } from "./json.js";
import type { Query } from "./query.js";
import { knownModes } from "./run-body.js";
import { queryBoolean, queryInteger, queryStrings, select, uuid } from "./schema.js";

const RUN_FIELDS = [
  "run_id",
  "thread_id",
  "assistant_id",
  "metadata",
  "status",
  "kwargs",
  "multitask_strategy",
  "created_at",
  "updated_at",
  "langsmith_session_name",
] as const;
export type RunField = (typeof RUN_FIELDS)[number];

const RUN_STATUSES = ["pending", "running", "success", "error", "timeout", "interrupted"] as const;

const ENCODERS: FieldEncoders<Run, RunField> = {
  run_id: (run) => quote(run.runId),
  thread_id: (run) => quote(run.threadId),
  assistant_id: (run) => quote(run.assistantId),
  metadata: (run) => toJsonText(run.metadata),
  status: (run) => quote(run.status),
  kwargs: (run) => toJsonText(encodeKwargs(run)),
  multitask_strategy: (run) => quote(run.multitaskStrategy),
  created_at: (run) => isoText(run.createdAt),
  updated_at: (run) => isoText(run.updatedAt),
  langsmith_session_name: () => "null",
};
/** The tenth belongs to the Platform: sent only when it is asked for. */
const DEFAULT_FIELDS = RUN_FIELDS.slice(0, 9);

/** A run as clients know it (docs/wire/langgraph-api.md §2.2, Run). */
export function encodeRun(run: Run, fields: readonly RunField[] = DEFAULT_FIELDS): JsonText {
  return encodeFields(ENCODERS, run, fields);
}

function encodeKwargs(run: Run): JsonObject {
  const kwargs: RunKwargs = run.kwargs;
  return {
    input: kwargs.input,
    command: kwargs.command,
    checkpoint: kwargs.checkpoint && encodeCheckpoint(kwargs.checkpoint),
    config: withRunKeys(run),
    context: kwargs.context ?? {},
    stream_mode: kwargs.streamModes,
    interrupt_before: kwargs.interruptBefore,
    interrupt_after: kwargs.interruptAfter,
    temporary: kwargs.temporary,
    subgraphs: kwargs.streamSubgraphs,
    resumable: kwargs.streamResumable,
    durability: kwargs.durability,
    webhook: kwargs.webhook?.url,
    timeout_seconds: kwargs.timeoutMs === undefined ? undefined : kwargs.timeoutMs / 1000,
  };
}

function encodeCheckpoint(ref: NonNullable<RunKwargs["checkpoint"]>): JsonObject {
  return {
    thread_id: ref.threadId,
    checkpoint_ns: ref.checkpointNs,
    checkpoint_id: ref.checkpointId,
    checkpoint_map: ref.checkpointMap,
  };
}

/** The run's config with the keys that it executes with; the caller's own record stays inside the server. */
function withRunKeys(run: Run): JsonObject {
  const { config } = run.kwargs;
  const configurable = config["configurable"];
  return {
    ...config,
    configurable: {
      ...(isJsonObject(configurable) ? configurable : {}),
      langgraph_auth_user: undefined,
      run_id: run.runId,
      thread_id: run.threadId,
      graph_id: run.graphId,
      assistant_id: run.assistantId,
    },
    metadata: run.metadata,
  };
}

export const runListQuery = z
  .object({
    limit: queryInteger({ min: 1, max: 1000 }),
    offset: queryInteger({ min: 0 }),
    status: z.enum(RUN_STATUSES),
    select: queryStrings.pipe(select(RUN_FIELDS)),
  })
  .partial();

/** Query of `GET /threads/{id}/runs` (§2.6.4). */
export function decodeRunList(query: Query) {
  const { limit, offset, status, select: fields } = decode(runListQuery, query);
  return { limit: limit ?? 10, offset: offset ?? 0, ...present({ status }), fields: fields ?? DEFAULT_FIELDS };
}

export const joinQuery = z
  .object({
    cancel_on_disconnect: queryBoolean,
    stream_mode: queryStrings,
    last_event_id: z.string(),
    namespace: queryStrings,
    checkpoint_id: z.string(),
  })
  .partial();

/**
 * Query of join and join-stream (§2.6.7, §2.6.8). `checkpoint_id` names the state that the client already shows: a server
 * may leave out what came before it, or send the whole run, as this one does (@langchain/langgraph-sdk 1.15.0, `joinStream`;
 * its `useStream` sends it with every reconnect).
 */
export function decodeJoin(query: Query, lastEventIdHeader: string | undefined) {
  const sent = decode(joinQuery, query);
  refuseNamespaces(query);
  return {
    cancelOnDisconnect: sent.cancel_on_disconnect ?? false,
    // The Python langgraph_sdk 0.4.3 sends `stream_mode=` when no mode is chosen.
    streamModes: knownModes(
      "stream_mode",
      (sent.stream_mode ?? []).filter((name) => name !== ""),
    ),
    position: eventPosition(lastEventIdHeader ?? sent.last_event_id),
  };
}

/** Query of the endpoints that stream: the newest SDK may narrow a stream to namespaces (§2.5). */
export function refuseNamespaces(query: Query): void {
  if (query["namespace"] !== undefined) unsupported("namespace", "filter the stream's events by name instead");
}

/** `-1` (and `-`) from the start, another number strictly after it, nothing or garbage from now on (§3.10). */
export function eventPosition(lastEventId: string | undefined): EventPosition {
  if (lastEventId === undefined) return "now";
  if (lastEventId === "-1" || lastEventId === "-") return "start";
  const seq = Number(lastEventId);
  return /^\d+$/.test(lastEventId) && Number.isSafeInteger(seq) ? { afterSeq: seq } : "now";
}

const cancelAction = z.enum(["interrupt", "rollback"]);

export const cancelQuery = z.object({ wait: queryBoolean, action: cancelAction, reason: z.string() }).partial();

/** Query of `POST …/cancel` (§2.6.9). */
export function decodeCancel(query: Query) {
  const { wait, action, reason } = decode(cancelQuery, query);
  if (reason !== undefined) unsupported("reason", "leave it out");
  return { wait: wait ?? false, action: action ?? ("interrupt" as const) };
}

export const cancelManyQuery = z.object({ action: cancelAction }).partial();
export const cancelManyBody = z
  .object({
    status: z.enum(["pending", "running", "all"]).nullish(),
    thread_id: uuid.nullish(),
    run_ids: z.array(uuid).min(1).max(1000).nullish(),
  })
  .meta({ id: "RunsCancel" });

/** `POST /runs/cancel`: a status, or a thread and its runs (§2.6.10). */
export function decodeCancelMany(query: Query, body: unknown) {
  const { action } = decode(cancelManyQuery, query);
  const sent = decode(cancelManyBody, body);
  const byIds = sent.thread_id || sent.run_ids;
  if (Boolean(sent.status) === Boolean(byIds)) {
    invalid("status", "send either status, or thread_id with run_ids");
  }
  const withAction = { action: action ?? ("interrupt" as const) };
  if (sent.status) return { ...withAction, selection: { status: sent.status } };
  if (!sent.thread_id) return invalid("thread_id", "is required beside run_ids");
  if (!sent.run_ids) return invalid("run_ids", "is required beside thread_id");
  return { ...withAction, selection: { threadId: sent.thread_id, runIds: sent.run_ids } };
}

/** A path parameter that must be a UUID (docs/wire/langgraph-api.md §2.1.4). */
export function pathUuid(name: string, value: string): string {
  // Stored in lower case, whatever the client writes.
  return isUuid(value) ? value.toLowerCase() : invalid(name, "expected a UUID");
}

/** A run's place, as `Content-Location` says it; clients read it with a regular expression (§2.1.2). */
export function runPath(run: Pick<Run, "runId" | "threadId">, stateless: boolean): string {
  return stateless ? `/runs/${run.runId}` : `/threads/${run.threadId}/runs/${run.runId}`;
}
