import { z } from "zod";
import type { JsonObject } from "../../core/json.js";
import { isJsonObject } from "../../core/json.js";
import type { InjectedMessage, InputAnswers, RunStart } from "../../services/thread-commands/index.js";
import { command } from "../../wire/command.js";
import { decode, invalid, present } from "../../wire/decode.js";
import { anyJson, config, jsonObject, langsmithTracer, multitaskStrategy, text } from "../../wire/schema.js";
import { CommandRefused } from "./protocol-errors.js";
import { namespace } from "./wire.js";

const options = { config: config.nullish(), metadata: jsonObject.nullish() };

const runStart = z.object({
  input: anyJson.optional(),
  ...options,
  multitask_strategy: multitaskStrategy.nullish(),
  multitaskStrategy: multitaskStrategy.nullish(),
  langsmith_tracer: langsmithTracer.nullish(),
});

/**
 * A `Command` in place of input, as `RemoteGraph.streamEvents` version 3 sends it (@langchain/langgraph 1.7.3). The protocol has no
 * form of its own for it.
 */
const commandInput = z.object({ input: command });

/** `run.start` (docs/wire/langgraph-api.md §4.3.1). */
export function runStartParams(params: JsonObject): RunStart {
  const { assistant_id: assistantId } = params;
  if (typeof assistantId !== "string" || assistantId === "") refuse("run.start requires an assistant_id.");
  refuseWebhook("run.start", params);
  const sent = decode(runStart, params);
  const isCommand = isJsonObject(sent.input) && sent.input["lg_name"] === "Command";
  return {
    assistantId,
    input: sent.input ?? null,
    multitaskStrategy: sent.multitask_strategy ?? sent.multitaskStrategy ?? "enqueue",
    ...present({
      config: sent.config,
      metadata: sent.metadata,
      command: isCommand ? decode(commandInput, params).input : null,
      langsmithTracer: sent.langsmith_tracer,
    }),
  };
}

const respondOptions = z.object({ ...options, strict_resume: z.boolean().nullish() });

/** `input.respond`, one answer or several (§4.3.2). `strict_resume` asks for what is always done: unknown ids are refused. */
export function inputRespondParams(params: JsonObject): InputAnswers {
  const responses = answersOf(params);
  const ids = responses.map(({ interruptId }) => interruptId);
  const twice = ids.find((id, at) => ids.indexOf(id) !== at);
  if (twice !== undefined) refuse(`input.respond answers interrupt ${twice} twice.`);
  refuseWebhook("input.respond", params);
  const sent = decode(respondOptions, params);
  const { update, goto } = params;
  decode(command, { update, goto });
  return { responses, ...present({ config: sent.config, metadata: sent.metadata, update, goto }) };
}

function answersOf(params: JsonObject): InputAnswers["responses"] {
  const { responses, interrupt_id: interruptId, response } = params;
  if (responses === undefined || responses === null) {
    if (typeof interruptId !== "string") refuse("input.respond requires an interrupt_id.");
    return [{ interruptId, response: response ?? null }];
  }
  if (!Array.isArray(responses) || responses.length === 0) refuse("input.respond requires at least one response.");
  return responses.map((entry: unknown) => {
    const id = isJsonObject(entry) ? entry["interrupt_id"] : undefined;
    if (!isJsonObject(entry) || typeof id !== "string") {
      refuse("input.respond responses entries require an interrupt_id.");
    }
    return { interruptId: id, response: entry["response"] ?? null };
  });
}

const inputInject = z.object({
  namespace: namespace.nullish(),
  message: z.object({ role: z.enum(["user", "system"]), content: z.string(), name: z.string().nullish() }),
});

export function inputInjectParams(params: JsonObject): {
  readonly namespace: readonly string[];
  readonly message: InjectedMessage;
} {
  refuseWebhook("input.inject", params);
  const { namespace: at, message } = decode(inputInject, params);
  const { role, content, name } = message;
  return { namespace: at ?? [], message: { role, content, ...present({ name }) } };
}

const stateGet = z.object({ namespace: namespace.nullish() });

/** `state.get`: `keys` counts only as a list of strings (§4.3.3). */
export function stateGetParams(params: JsonObject): {
  readonly namespace: readonly string[];
  readonly keys?: readonly string[];
} {
  const { keys } = params;
  const isList = Array.isArray(keys) && keys.every((key) => typeof key === "string");
  return {
    namespace: decode(stateGet, params).namespace ?? [],
    ...(isList && { keys }),
  };
}

const listCheckpoints = z.object({
  namespace: namespace.nullish(),
  limit: z.int().min(1).max(1_000).nullish(),
  before: text.nullish(),
});

export function listCheckpointsParams(params: JsonObject): {
  readonly namespace: readonly string[];
  readonly limit: number;
  readonly before?: string;
} {
  const { namespace: at, limit, before } = decode(listCheckpoints, params);
  return { namespace: at ?? [], limit: limit ?? 10, ...present({ before }) };
}

const fork = z.object({ checkpoint_id: text, input: anyJson.optional(), ...options });

export function stateForkParams(params: JsonObject) {
  refuseWebhook("state.fork", params);
  const sent = decode(fork, params);
  return {
    checkpointId: sent.checkpoint_id,
    input: sent.input ?? null,
    ...present({ config: withoutCheckpoint(sent.config), metadata: sent.metadata }),
  };
}

/** The command names the checkpoint; another one in the config would contradict it. */
function withoutCheckpoint(sent: JsonObject | null | undefined): JsonObject | null | undefined {
  const configurable = sent?.["configurable"];
  if (isJsonObject(configurable) && configurable["checkpoint_id"] !== undefined) {
    invalid("config.configurable.checkpoint_id", "state.fork takes the checkpoint as checkpoint_id");
  }
  return sent;
}

const tree = z.object({ run_id: text.nullish() });

export function treeParams(params: JsonObject): { readonly runId: string | undefined } {
  return { runId: decode(tree, params).run_id ?? undefined };
}

const reconnect = z.object({
  run_id: text,
  last_event_id: z
    .string()
    .regex(/^(?:synth:[^:]+:)?\d{1,15}$/, "expected the event_id of a numbered event")
    .nullish(),
  subscriptions: z.array(z.string()).nullish(),
});

export function reconnectParams(params: JsonObject) {
  const sent = decode(reconnect, params);
  return {
    runId: sent.run_id,
    lastSeq: Number(sent.last_event_id?.split(":").at(-1) ?? 0),
    subscriptionIds: [...new Set(sent.subscriptions ?? [])],
  };
}

/** The protocol has no webhooks (§4.3.1). Whoever sends one would wait for it in vain. */
function refuseWebhook(method: string, { webhook }: JsonObject): void {
  if (webhook === undefined || webhook === null) return;
  refuse(`${method} takes no webhook: start the run by POST /threads/{thread_id}/runs, and listen to it here.`);
}

function refuse(message: string): never {
  throw new CommandRefused("invalid_argument", message);
}
