import { z } from "zod";
import { HeddleError } from "../../core/errors.js";
import type { EpochMs, JsonObject, JsonText } from "../../core/json.js";
import { toJsonText } from "../../core/json.js";
import { decode, present } from "../../wire/decode.js";
import { isoText, quote } from "../../wire/json.js";
import type { Query } from "../../wire/query.js";
import { jsonObject, queryInteger } from "../../wire/schema.js";
import { DEFAULT_TTL_SECONDS, MAX_METADATA_BYTES, MAX_STATE_BYTES, MAX_TTL_SECONDS } from "./limits.js";
import { checkpointId } from "./places.js";
import type { Checkpoint } from "./stored.js";

/** Characters are code points, as JSON Schema counts them; what no storage can keep as a key is refused. */
const chars = (min: number, max: number) =>
  z
    .string()
    .refine((text) => lengthOf(text) >= min, `must have at least ${min} character${min === 1 ? "" : "s"}`)
    .refine((text) => lengthOf(text) <= max, `must have at most ${max} characters`)
    .refine((text) => text.isWellFormed() && !text.includes("\0"), "must be well-formed Unicode without U+0000")
    .meta({ type: "string", minLength: min, maxLength: max });

const lengthOf = (text: string): number => Array.from(text).length;

const workflowId = chars(1, 128);

/** The original coerces scalars: `"3"` is 3. Floats are refused in either form. */
const step = z
  .union([
    z.int(),
    z
      .string()
      .regex(/^\d{1,16}$/, "expected an integer")
      .transform(Number),
  ])
  .refine((value) => Number.isSafeInteger(value) && value >= 0, "must be an integer from 0 to 9007199254740991")
  .meta({ type: "integer", minimum: 0, maximum: Number.MAX_SAFE_INTEGER });

export const saveBody = z
  .strictObject({
    workflow_id: workflowId,
    step,
    state: jsonObject,
    label: chars(0, 256).nullish(),
    agent_id: chars(0, 255).nullish(),
    metadata: jsonObject.nullish(),
  })
  .meta({ id: "SnapStateSave" });

export interface SaveRequest {
  readonly workflowId: string;
  readonly step: number;
  readonly state: JsonObject;
  /** The state's compact JSON. */
  readonly text: JsonText;
  /** UTF-8 bytes of it. */
  readonly size: number;
  readonly label: string | null;
  readonly metadata: JsonObject | null;
  readonly agentId: string | null;
  readonly ttlMs: number;
  readonly ifMatch: string | null;
}

/** @throws HeddleError `INVALID_REQUEST`; `PAYLOAD_TOO_LARGE` for a state of more than {@link MAX_STATE_BYTES}, and metadata */
export function decodeSave(
  body: unknown,
  headers: { readonly ttl: string | undefined; readonly ifMatch: string | undefined },
): SaveRequest {
  const sent = decode(saveBody, body);
  const text = toJsonText(sent.state);
  const size = boundedBytes("state", text, MAX_STATE_BYTES);
  if (sent.metadata) boundedBytes("metadata", toJsonText(sent.metadata), MAX_METADATA_BYTES);
  const agentId = sent.agent_id || null;
  const metadata = sent.metadata ?? null;
  return {
    workflowId: sent.workflow_id,
    step: sent.step,
    state: sent.state,
    text,
    size,
    label: sent.label || null,
    metadata: agentId === null ? metadata : { ...metadata, agent_id: agentId },
    agentId,
    ttlMs: ttlSeconds(headers.ttl) * 1000,
    ifMatch: headers.ifMatch?.trim() || null,
  };
}

/** @returns UTF-8 bytes of a field's JSON. @throws HeddleError `PAYLOAD_TOO_LARGE` */
export function boundedBytes(field: string, text: JsonText, maxBytes: number): number {
  const size = Buffer.byteLength(text);
  if (size <= maxBytes) return size;
  throw new HeddleError("PAYLOAD_TOO_LARGE", {
    message: `${field}: is ${size} bytes as JSON, and at most ${maxBytes} are kept`,
  });
}

/** What is no positive integer counts as absent, as in the original; more than a hundred years are a hundred. */
function ttlSeconds(header: string | undefined): number {
  const seconds = /^\s*\d+\s*$/.test(header ?? "") ? Number(header) : 0;
  return seconds > 0 ? Math.min(seconds, MAX_TTL_SECONDS) : DEFAULT_TTL_SECONDS;
}

const anyStep = queryInteger({ min: 0, max: Number.MAX_SAFE_INTEGER });

export const replayQuery = z.strictObject({
  from_step: anyStep.optional(),
  to_step: anyStep.optional(),
  limit: queryInteger({ min: 1, max: 1000 }).optional(),
});

export interface ReplayRequest {
  readonly fromStep?: number;
  readonly toStep?: number;
  readonly limit: number;
}

/** @throws HeddleError `INVALID_REQUEST` */
export function decodeReplay(query: Query): ReplayRequest {
  const { from_step: fromStep, to_step: toStep, limit = 100 } = decode(replayQuery, { ...query });
  return { ...present({ fromStep, toStep }), limit };
}

const common = (checkpoint: Checkpoint) => ({
  checkpoint_id: quote(checkpointId(checkpoint.workflowId, checkpoint.step)),
  workflow_id: quote(checkpoint.workflowId),
  step: String(checkpoint.step),
});

const written = ({ etag, createdAt, diff, size }: Checkpoint) => ({
  etag: quote(etag),
  created_at: isoText(createdAt),
  diff_from_previous: toJsonText({ ...diff }),
  size_bytes: String(size),
});

/** Answer of a save. */
export function encodeSaved(checkpoint: Checkpoint): JsonText {
  return object({ ...common(checkpoint), ...written(checkpoint) });
}

/** A checkpoint by id, and in a replay. */
export function encodeCheckpoint(checkpoint: Checkpoint, absentMetadata: JsonObject | null = null): JsonText {
  return object({
    ...common(checkpoint),
    label: toJsonText(checkpoint.label),
    state: toJsonText(checkpoint.state),
    metadata: toJsonText(checkpoint.metadata ?? absentMetadata),
    ...written(checkpoint),
    expires_at: checkpoint.expiresAt === null ? "null" : isoText(checkpoint.expiresAt),
  });
}

/** What is told of a workflow by `resume`. */
export interface Resumed {
  readonly workflowId: string;
  readonly latest: Checkpoint;
  readonly total: number;
  readonly startedAt: EpochMs;
}

export function encodeResumed({ workflowId: id, latest, total, startedAt }: Resumed): JsonText {
  return object({
    workflow_id: quote(id),
    latest_checkpoint: encodeCheckpoint(latest, {}),
    total_checkpoints: String(total),
    workflow_started_at: isoText(startedAt),
    last_activity_at: isoText(latest.createdAt),
  });
}

export function encodeReplay(id: string, checkpoints: readonly JsonText[], hasMore: boolean): JsonText {
  return object({
    workflow_id: quote(id),
    checkpoints: `[${checkpoints.join(",")}]`,
    total: String(checkpoints.length),
    has_more: String(hasMore),
  });
}

function object(fields: Readonly<Record<string, string>>): JsonText {
  const members = Object.entries(fields).map(([name, text]) => `${quote(name)}:${text}`);
  return `{${members.join(",")}}` as JsonText;
}
