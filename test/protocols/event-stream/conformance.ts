import type { CommandResponse, ErrorCode, ErrorResponse, Event } from "@langchain/protocol";
import { z } from "zod";

/**
 * The protocol's types as run-time checks. Each schema's output is assigned to the type of `@langchain/protocol` that it
 * stands for, so that it does not compile when the two differ; `looseObject` where the type is `Extensible`.
 */
const namespace = z.array(z.string());
const place = { namespace, timestamp: z.int().positive(), node: z.string().optional() };
const params = <T extends z.ZodType>(data: T) => z.looseObject({ ...place, data });
const blockIndex = z.union([z.int(), z.string()]).optional();
const text = z.looseObject({ type: z.literal("text"), text: z.string() });
const reasoning = z.looseObject({ type: z.literal("reasoning"), reasoning: z.string().optional() });
const toolCall = z.looseObject({
  type: z.literal("tool_call"),
  id: z.string().nullable(),
  name: z.string(),
  args: z.record(z.string(), z.unknown()),
  index: blockIndex,
});
const toolCallChunk = z.looseObject({
  type: z.literal("tool_call_chunk"),
  id: z.string().nullable(),
  name: z.string().nullable(),
  args: z.string().nullable(),
  index: blockIndex,
});
const invalidToolCall = z.looseObject({
  type: z.literal("invalid_tool_call"),
  id: z.string().nullable(),
  name: z.string().nullable(),
  args: z.string().nullable(),
  error: z.string().nullable(),
});
const finalBlock = z.discriminatedUnion("type", [text, reasoning, toolCall, invalidToolCall]);
const block = z.discriminatedUnion("type", [text, reasoning, toolCall, toolCallChunk, invalidToolCall]);
const scalar = z.union([z.null(), z.boolean(), z.number(), z.string()]);
const count = z.number().optional();

const messages = z.discriminatedUnion("event", [
  z.looseObject({
    event: z.literal("message-start"),
    role: z.enum(["ai", "human", "system"]),
    id: z.string(),
    metadata: z.record(z.string(), scalar).optional(),
  }),
  z.looseObject({ event: z.literal("content-block-start"), index: z.number(), content: block }),
  z.looseObject({
    event: z.literal("content-block-delta"),
    index: z.number(),
    delta: z.discriminatedUnion("type", [
      z.looseObject({ type: z.literal("text-delta"), text: z.string() }),
      z.looseObject({ type: z.literal("reasoning-delta"), reasoning: z.string() }),
      z.looseObject({ type: z.literal("tool-call-delta"), args: z.string() }),
      z.looseObject({ type: z.literal("block-delta"), fields: z.looseObject({ type: z.string() }) }),
    ]),
  }),
  z.looseObject({ event: z.literal("content-block-finish"), index: z.number(), content: finalBlock }),
  z.looseObject({
    event: z.literal("message-finish"),
    usage: z.looseObject({ input_tokens: count, output_tokens: count, total_tokens: count }).optional(),
  }),
  z.looseObject({ event: z.literal("error"), message: z.string(), code: z.string().optional() }),
]);

const callId = { tool_call_id: z.string() };
const tools = z.discriminatedUnion("event", [
  z.looseObject({ event: z.literal("tool-started"), ...callId, tool_name: z.string() }),
  z.looseObject({ event: z.literal("tool-output-delta"), ...callId, delta: z.string() }),
  z.looseObject({ event: z.literal("tool-finished"), ...callId, output: z.unknown() }),
  z.looseObject({ event: z.literal("tool-error"), ...callId, message: z.string(), code: z.string().optional() }),
]);

const checkpointRef = z.looseObject({ id: z.string(), ns: z.string().optional() });
const status = z.enum(["started", "running", "completed", "failed", "interrupted"]);
const lifecycle = z.looseObject({
  event: status,
  graph_name: z.string().optional(),
  cause: z
    .discriminatedUnion("type", [
      z.looseObject({ type: z.literal("toolCall"), tool_call_id: z.string() }),
      z.looseObject({ type: z.literal("send"), from_node: z.string() }),
      z.looseObject({ type: z.literal("edge"), from_node: z.string() }),
    ])
    .optional(),
  error: z.string().optional(),
  checkpoint: checkpointRef.optional(),
});

const event = <M extends string, D extends z.ZodType>(method: M, data: D) =>
  z.looseObject({
    type: z.literal("event"),
    event_id: z.string(),
    seq: z.int().positive().optional(),
    method: z.literal(method),
    params: params(data),
  });
const anyState = z.record(z.string(), z.unknown());

const events = z.discriminatedUnion("method", [
  event("lifecycle", lifecycle),
  event("values", anyState),
  event("updates", z.looseObject({ node: z.string().optional(), values: anyState })),
  event("messages", messages),
  event("tools", tools),
  event("tasks", z.looseObject({ id: z.string(), name: z.string() })),
  event("custom", z.looseObject({ name: z.string().optional(), payload: z.unknown() })),
  event("input.requested", z.looseObject({ interrupt_id: z.string(), payload: z.unknown() })),
  event("input.answered", z.looseObject({ interrupt_ids: z.array(z.string()).min(1) })),
  event(
    "checkpoints",
    z.looseObject({
      id: z.string(),
      parent_id: z.string().optional(),
      step: z.number(),
      source: z.enum(["input", "loop", "update", "fork"]),
    }),
  ),
]);

const meta = z.looseObject({ thread_id: z.string(), applied_through_seq: z.int().min(0).optional() }).optional();
const success = z.looseObject({ type: z.literal("success"), id: z.int().min(0), result: z.looseObject({}), meta });
const errorCodes = [
  "invalid_argument",
  "unknown_command",
  "unknown_error",
  "no_such_run",
  "no_such_subscription",
  "no_such_namespace",
  "no_such_interrupt",
  "no_such_checkpoint",
  "permission_denied",
  "not_supported",
] as const satisfies readonly ErrorCode[];
const failure = z.looseObject({
  type: z.literal("error"),
  id: z.int().min(0).nullable(),
  error: z.enum(errorCodes),
  message: z.string().min(1),
  meta,
});

/** Does not compile when the schemas allow what the types do not. */
const ASSIGNABLE: {
  readonly event: (value: Loose<z.output<typeof events>>) => Loose<Event>;
  readonly success: (value: z.output<typeof success>) => Loose<CommandResponse>;
  readonly failure: (value: z.output<typeof failure>) => Loose<ErrorResponse>;
} = { event: (value) => value, success: (value) => value, failure: (value) => value };

/** `exactOptionalPropertyTypes` tells `undefined` from absent; JSON has no `undefined`. */
type Loose<T> = T extends readonly unknown[]
  ? { [K in keyof T]: Loose<T[K]> }
  : T extends object
    ? { [K in keyof T]: Loose<T[K]> | (undefined extends T[K] ? undefined : never) }
    : T;

/** @throws ZodError that names what is not as the protocol has it */
export function checkEvent(value: unknown): void {
  ASSIGNABLE.event(events.parse(value));
}

/** @throws ZodError */
export function checkResponse(value: unknown): void {
  z.discriminatedUnion("type", [success, failure]).parse(value);
}
