import { z } from "zod";
import type { JsonText } from "../../core/json.js";
import { asJsonText } from "../../core/json.js";
import type { StoredRecord } from "../../core/record.js";
import { decode } from "../../wire/decode.js";
import { isoText, quote } from "../../wire/json.js";
import type { Query } from "../../wire/query.js";
import { jsonObject, queryInteger } from "../../wire/schema.js";
import type { ExactBody } from "./exact-json.js";
import { withinBytes } from "./limits.js";

/** The fields of a State, all of which lists may be ordered by. */
export const STATE_FIELDS = ["id", "task_id", "agent_id", "state", "created_at", "updated_at"] as const;
export type StateField = (typeof STATE_FIELDS)[number];

export const MAX_PAGE = 1000;
const DEFAULT_PAGE = 50;
/** Larger offsets than this are past the end of anything. */
const MAX_PAGE_NUMBER = 2 ** 31 - 1;

/** Ids of tasks and agents are the clients' own. */
export const opaqueId = z
  .string()
  .min(1)
  .max(1024)
  .refine((id) => id.isWellFormed() && !id.includes("\0"), "is no well-formed Unicode: it has half a surrogate pair");

export const stateSchema = z
  .object({
    id: z.string(),
    task_id: z.string(),
    agent_id: z.string(),
    state: jsonObject,
    created_at: z.iso.datetime(),
    updated_at: z.iso.datetime().nullable(),
  })
  .meta({ id: "AgentexState" });

export const stateCreateBody = z.object({ task_id: opaqueId, agent_id: opaqueId, state: jsonObject });
export const stateUpdateBody = z.object({ state: jsonObject });

export const stateListQuery = z.object({
  task_id: z.string().max(1024).optional(),
  agent_id: z.string().max(1024).optional(),
  limit: queryInteger({ min: 1, max: MAX_PAGE }).optional(),
  page_number: queryInteger({ min: 1, max: MAX_PAGE_NUMBER }).optional(),
  order_by: z.enum(STATE_FIELDS).optional(),
  order_direction: z.enum(["asc", "desc"]).optional(),
});

export interface StateCreate {
  readonly taskId: string;
  readonly agentId: string;
  /** As it was written. */
  readonly state: JsonText;
}

export interface StateListing {
  readonly taskId?: string;
  readonly agentId?: string;
  readonly limit: number;
  readonly offset: number;
  /** `null`: as they were created. */
  readonly orderBy: StateField | null;
  readonly direction: "asc" | "desc";
}

/** @throws HeddleError `INVALID_REQUEST`, `PAYLOAD_TOO_LARGE` */
export function decodeStateCreate(body: ExactBody): StateCreate {
  const { task_id: taskId, agent_id: agentId } = decode(stateCreateBody, body.document);
  return { taskId, agentId, state: stateText(body) };
}

/** @throws HeddleError `INVALID_REQUEST`, `PAYLOAD_TOO_LARGE` */
export function decodeStateUpdate(body: ExactBody): JsonText {
  decode(stateUpdateBody, body.document);
  return stateText(body);
}

function stateText(body: ExactBody): JsonText {
  return withinBytes("state", body.member("state") ?? asJsonText("{}"));
}

/** @throws HeddleError `INVALID_REQUEST` */
export function decodeStateList(query: Query): StateListing {
  const sent = decode(stateListQuery, query);
  const { limit = DEFAULT_PAGE, page_number: page = 1 } = sent;
  return {
    ...(sent.task_id !== undefined && { taskId: sent.task_id }),
    ...(sent.agent_id !== undefined && { agentId: sent.agent_id }),
    limit,
    offset: (page - 1) * limit,
    orderBy: sent.order_by ?? null,
    direction: sent.order_direction ?? "desc",
  };
}

/** Labels by which lists select. */
export function stateLabels({ taskId, agentId }: Pick<StateListing, "taskId" | "agentId">): Record<string, string> {
  return { ...(taskId !== undefined && { task_id: taskId }), ...(agentId !== undefined && { agent_id: agentId }) };
}

export function encodeState({ key, labels, value, createdAt, updatedAt }: StoredRecord): JsonText {
  const { task_id: taskId = "", agent_id: agentId = "" } = labels;
  return asJsonText(
    `{"id":${quote(key)},"task_id":${quote(taskId)},"agent_id":${quote(agentId)},"state":${value},` +
      `"created_at":${isoText(createdAt)},"updated_at":${isoText(updatedAt)}}`,
  );
}
