import { z } from "zod";
import type { Cron, CronPayload } from "../core/cron.js";
import type { EpochMs, JsonObject, JsonText } from "../core/json.js";
import { decode, present, unsupported } from "./decode.js";
import type { FieldEncoders } from "./json.js";
import { encodeFields, isoText, quote, toJsonText } from "./json.js";
import { type RunSupport, runBody, toRunRequest } from "./run-body.js";
import { jsonObject, limit, multitaskStrategy, offset, select, sortOrder, text, uuid } from "./schema.js";

const FIELDS = [
  "cron_id",
  "assistant_id",
  "thread_id",
  "on_run_completed",
  "end_time",
  "schedule",
  "timezone",
  "created_at",
  "updated_at",
  "user_id",
  "payload",
  "next_run_date",
  "metadata",
  "enabled",
] as const;
type CronField = (typeof FIELDS)[number];

const ENCODERS: FieldEncoders<Cron, CronField> = {
  cron_id: (cron) => quote(cron.cronId),
  assistant_id: (cron) => quote(cron.assistantId),
  thread_id: (cron) => textOf(cron.threadId),
  on_run_completed: (cron) => quote(cron.onRunCompleted),
  end_time: (cron) => timeOf(cron.endTime),
  schedule: (cron) => quote(cron.schedule),
  timezone: (cron) => textOf(cron.timezone),
  created_at: (cron) => isoText(cron.createdAt),
  updated_at: (cron) => isoText(cron.updatedAt),
  user_id: ({ creator }) => textOf(creator.kind === "server" ? null : creator.identity),
  payload: (cron) => toJsonText(encodePayload(cron)),
  next_run_date: (cron) => timeOf(cron.nextRunAt),
  metadata: (cron) => toJsonText(cron.metadata),
  enabled: (cron) => String(cron.enabled),
};

function textOf(value: string | null): string {
  return value === null ? "null" : quote(value);
}

function timeOf(at: EpochMs | null): string {
  return at === null ? "null" : isoText(at);
}

/** A cron as clients know it (docs/wire/langgraph-api.md §2.2, Cron). */
export function encodeCron(cron: Cron, fields: readonly CronField[] = FIELDS): JsonText {
  return encodeFields(ENCODERS, cron, fields);
}

/** What each run is started with, in the words of a run's body; also what authorization handlers see. */
function encodePayload(cron: Pick<Cron, "assistantId" | "multitaskStrategy" | "metadata" | "payload">): JsonObject {
  const { payload } = cron;
  return {
    assistant_id: cron.assistantId,
    input: payload.input,
    config: payload.config,
    context: payload.context,
    metadata: cron.metadata,
    webhook: payload.webhook?.url,
    interrupt_before: payload.interruptBefore,
    interrupt_after: payload.interruptAfter,
    stream_mode: payload.streamModes,
    stream_subgraphs: payload.streamSubgraphs,
    stream_resumable: payload.streamResumable,
    durability: payload.durability,
    multitask_strategy: cron.multitaskStrategy,
    timeout_seconds: payload.timeoutMs === undefined ? undefined : payload.timeoutMs / 1000,
  };
}

/** Five fields take far less. */
const schedule = text.max(256);
const timezone = z.string().min(1).max(64);
const dateTime = z
  .string()
  .refine((value) => !Number.isNaN(timeFrom(value)), "expected a date and time (ISO 8601)")
  .meta({
    type: "string",
    format: "date-time",
  });
const onRunCompleted = z.enum(["delete", "keep"]);

const payloadFields = {
  input: true,
  config: true,
  context: true,
  metadata: true,
  webhook: true,
  interrupt_before: true,
  interrupt_after: true,
  stream_mode: true,
  stream_subgraphs: true,
  stream_resumable: true,
  durability: true,
  checkpoint_during: true,
  timeout_seconds: true,
} as const;

/** §2.8, CronCreate and ThreadCronCreate. */
export const cronCreateBody = runBody
  .pick({ assistant_id: true, ...payloadFields })
  .extend({
    schedule,
    timezone: timezone.nullish(),
    end_time: dateTime.nullish(),
    enabled: z.boolean().nullish(),
    on_run_completed: onRunCompleted.nullish(),
    multitask_strategy: multitaskStrategy.nullish(),
  })
  .meta({ id: "CronCreate" });

/** @param onThread the cron is for a thread that is there: that one is not removed after a run */
export function decodeCronCreate(body: unknown, support: RunSupport, { onThread }: { readonly onThread: boolean }) {
  const sent = decode(cronCreateBody, body);
  if (onThread && sent.on_run_completed === "delete") refuseDeletion();
  const { request } = toRunRequest(sent, support);
  return {
    assistantId: request.assistantId,
    schedule: sent.schedule,
    timezone: sent.timezone ?? null,
    endTime: sent.end_time === undefined || sent.end_time === null ? null : timeFrom(sent.end_time),
    enabled: sent.enabled ?? true,
    onRunCompleted: onThread ? ("keep" as const) : (sent.on_run_completed ?? ("delete" as const)),
    multitaskStrategy: request.multitaskStrategy,
    metadata: sent.metadata ?? {},
    payload: payloadOf(request),
  };
}

function refuseDeletion(): never {
  return unsupported(
    'on_run_completed "delete"',
    "the thread of this cron is not removed after its runs; leave it out",
  );
}

function payloadOf(request: ReturnType<typeof toRunRequest>["request"]): CronPayload {
  const { input, config, context, webhook, interruptBefore, interruptAfter, timeoutMs } = request;
  const { streamModes, streamSubgraphs, streamResumable, durability } = request;
  return {
    ...present({ input, config, context, webhook, interruptBefore, interruptAfter, timeoutMs }),
    streamModes,
    streamSubgraphs,
    streamResumable,
    durability,
  };
}

export const cronPatchBody = runBody
  .pick(payloadFields)
  .extend({
    schedule: schedule.nullish(),
    timezone: timezone.nullish(),
    end_time: dateTime.nullish(),
    enabled: z.boolean().nullish(),
    on_run_completed: onRunCompleted.nullish(),
  })
  .meta({ id: "CronPatch" });

/** Which field of a payload a field of the wire sets. */
const PAYLOAD_FIELDS = {
  input: "input",
  config: "config",
  context: "context",
  webhook: "webhook",
  interrupt_before: "interruptBefore",
  interrupt_after: "interruptAfter",
  timeout_seconds: "timeoutMs",
  stream_mode: "streamModes",
  stream_subgraphs: "streamSubgraphs",
  stream_resumable: "streamResumable",
  durability: "durability",
  checkpoint_during: "durability",
} as const;

/**
 * §2.8, CronPatch: what is absent stays. `null` clears `end_time`, `timezone` (back to UTC) and what a payload may lack, and sets back
 * to its default what it must have.
 */
export function decodeCronPatch(body: unknown, support: RunSupport) {
  const sent = decode(cronPatchBody, body);
  const given = new Set(Object.entries(sent).flatMap(([name, value]) => (value === undefined ? [] : [name])));
  const full = payloadOf(toRunRequest({ ...sent, assistant_id: "-" }, support).request);
  const payload: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(PAYLOAD_FIELDS)) {
    if (given.has(name)) payload[field] = full[field];
  }
  return {
    ...present({
      schedule: sent.schedule,
      enabled: sent.enabled,
      onRunCompleted: sent.on_run_completed,
      metadata: sent.metadata,
    }),
    ...(given.has("timezone") && { timezone: sent.timezone ?? null }),
    ...(given.has("end_time") && {
      endTime: sent.end_time === undefined || sent.end_time === null ? null : timeFrom(sent.end_time),
    }),
    /** Members that are `undefined` are taken out. */
    payload: payload as { readonly [K in keyof CronPayload]?: CronPayload[K] | undefined },
  };
}

const SORT_FIELDS = [
  "cron_id",
  "assistant_id",
  "thread_id",
  "next_run_date",
  "end_time",
  "created_at",
  "updated_at",
] as const;

export const cronCountBody = z
  .object({
    assistant_id: text.nullish(),
    thread_id: uuid.nullish(),
    enabled: z.boolean().nullish(),
    metadata: jsonObject.nullish(),
  })
  .meta({ id: "CronCount" });

export const cronSearchBody = cronCountBody
  .extend({
    limit: limit.nullish(),
    offset: offset.nullish(),
    sort_by: z.enum(SORT_FIELDS).nullish(),
    sort_order: sortOrder.nullish(),
    select: select(FIELDS).nullish(),
  })
  .meta({ id: "CronSearch" });

export function decodeCronCount(body: unknown) {
  return filterOf(decode(cronCountBody, body));
}

export function decodeCronSearch(body: unknown) {
  const sent = decode(cronSearchBody, body);
  return {
    fields: sent.select ?? FIELDS,
    query: {
      ...filterOf(sent),
      limit: sent.limit ?? 10,
      offset: sent.offset ?? 0,
      sortBy: sent.sort_by ?? ("created_at" as const),
      sortOrder: sent.sort_order ?? ("desc" as const),
    },
  };
}

function filterOf(sent: z.output<typeof cronCountBody>) {
  return present({
    assistantId: sent.assistant_id,
    threadId: sent.thread_id?.toLowerCase(),
    enabled: sent.enabled,
    metadata: sent.metadata,
  });
}

const HAS_ZONE = /(?:z|[+-]\d\d:?\d\d)$/i;

/** Without a zone it is UTC, as clients of the Python SDK send it for naive times. NaN for what is no time. */
function timeFrom(value: string): EpochMs {
  if (!/^\d{4}-\d\d-\d\d/.test(value)) return Number.NaN;
  if (value.length <= 10 || HAS_ZONE.test(value)) return Date.parse(value);
  return Date.parse(`${value}Z`);
}
