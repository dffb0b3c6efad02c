import { z } from "zod";
import type { Assistant } from "../../core/assistant.js";
import type { JsonObject, JsonText } from "../../core/json.js";
import { isJsonObject, toJsonText } from "../../core/json.js";
import type { Thread, ThreadSortField, ThreadStatus } from "../../core/thread.js";
import { decode, invalid } from "../../wire/decode.js";
import type { Query } from "../../wire/query.js";
import { jsonObject, queryInteger } from "../../wire/schema.js";
import { MAX_PAGE } from "./wire.js";

/* A task is a thread, read as the client's `tasks` has it. */

const DEFAULT_PAGE = 50;
const MAX_PAGE_NUMBER = 2 ** 31 - 1;

/** Statuses that a thread can have; the others belong to tasks that nobody has. */
const STATUS_OF: Readonly<Record<ThreadStatus, string>> = {
  idle: "COMPLETED",
  busy: "RUNNING",
  interrupted: "INTERRUPTED",
  error: "FAILED",
};
const STATUSES = [
  "CANCELED",
  "COMPLETED",
  "FAILED",
  "RUNNING",
  "INTERRUPTED",
  "TERMINATED",
  "TIMED_OUT",
  "DELETED",
] as const;

const ORDERS = { id: "thread_id", status: "status", created_at: "created_at", updated_at: "updated_at" } as const;
type TaskOrder = keyof typeof ORDERS;

const relationships = z.string().optional().meta({ description: "`agents`, or several with commas between" });
export const taskQuery = z.object({ relationships });
export const taskListQuery = z.object({
  relationships,
  agent_id: z.string().optional(),
  agent_name: z.string().optional(),
  status: z.enum(STATUSES).optional(),
  task_metadata: z.string().optional().meta({ description: "A JSON object, which a task's metadata must contain" }),
  limit: queryInteger({ min: 1, max: MAX_PAGE }).optional(),
  page_number: queryInteger({ min: 1, max: MAX_PAGE_NUMBER }).optional(),
  order_by: z.enum(Object.keys(ORDERS) as [TaskOrder, ...TaskOrder[]]).optional(),
  order_direction: z.enum(["asc", "desc"]).optional(),
});

const time = z.iso.datetime();
export const taskSchema = z
  .object({
    id: z.string(),
    name: z.string().nullable(),
    status: z.enum(STATUSES),
    task_metadata: jsonObject,
    created_at: time,
    updated_at: time,
    agents: z.array(jsonObject).optional(),
  })
  .meta({ id: "AgentexTask" });
export const deletedTask = z.object({ id: z.string(), message: z.string() }).meta({ id: "AgentexDeletedTask" });

export interface TaskListing {
  readonly withAgents: boolean;
  readonly search: {
    /** None, where no task can have the status that was asked for. */
    readonly ids?: readonly [];
    readonly metadata?: JsonObject;
    readonly status?: ThreadStatus;
    readonly limit: number;
    readonly offset: number;
    readonly sortBy: ThreadSortField;
    readonly sortOrder: "asc" | "desc";
  };
}

/** @throws HeddleError `INVALID_REQUEST` */
export function decodeTaskQuery(query: Query): { readonly withAgents: boolean } {
  return { withAgents: asksForAgents(decode(taskQuery, query).relationships) };
}

/** @throws HeddleError `INVALID_REQUEST` */
export function decodeTaskList(query: Query): TaskListing {
  const sent = decode(taskListQuery, query);
  const withAgents = asksForAgents(sent.relationships);
  const status = statusOf(sent.status);
  const metadata = {
    ...metadataOf(sent.task_metadata),
    ...(sent.agent_id !== undefined && { assistant_id: sent.agent_id }),
    ...(sent.agent_name !== undefined && { graph_id: sent.agent_name }),
  };
  const { limit = DEFAULT_PAGE, page_number: page = 1, order_by: orderBy, order_direction: direction = "desc" } = sent;
  return {
    withAgents,
    search: {
      ...(Object.keys(metadata).length > 0 && { metadata }),
      ...(status !== undefined && status !== null && { status }),
      ...(status === null && { ids: [] }),
      limit,
      offset: (page - 1) * limit,
      sortBy: orderBy === undefined ? "created_at" : ORDERS[orderBy],
      sortOrder: orderBy === undefined ? "asc" : direction,
    },
  };
}

function statusOf(asked: string | undefined): ThreadStatus | null | undefined {
  if (asked === undefined) return undefined;
  const found = Object.entries(STATUS_OF).find(([, status]) => status === asked);
  return found === undefined ? null : (found[0] as ThreadStatus);
}

function metadataOf(text: string | undefined): JsonObject {
  if (text === undefined) return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return invalid("task_metadata", "expected a JSON object");
  }
  return isJsonObject(value) ? value : invalid("task_metadata", "expected a JSON object");
}

function asksForAgents(sent: string | undefined): boolean {
  const names = sent === undefined || sent === "" ? [] : sent.split(",");
  if (names.some((name) => name !== "agents")) invalid("relationships", 'expected "agents"');
  return names.length > 0;
}

/** @param agents `null`: nobody asked for them */
export function encodeTask(thread: Thread, agents: readonly Assistant[] | null): JsonText {
  const { name } = thread.metadata;
  return toJsonText({
    id: thread.threadId,
    name: typeof name === "string" ? name : null,
    status: STATUS_OF[thread.status],
    task_metadata: thread.metadata,
    created_at: new Date(thread.createdAt).toISOString(),
    updated_at: new Date(thread.updatedAt).toISOString(),
    ...(agents !== null && { agents: agents.map(agentOf) }),
  });
}

function agentOf({ assistantId, name, description, createdAt, updatedAt, graphId }: Assistant): JsonObject {
  return {
    id: assistantId,
    name,
    description: description ?? "",
    acp_type: "async",
    status: "Ready",
    created_at: new Date(createdAt).toISOString(),
    updated_at: new Date(updatedAt).toISOString(),
    registration_metadata: { graph_id: graphId },
  };
}

export function encodeDeleted(id: string): JsonText {
  return toJsonText({ id, message: `Task '${id}' was deleted.` });
}
