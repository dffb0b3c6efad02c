import type { Assistant, RunConfig } from "../core/assistant.js";
import type { Caller } from "../core/auth.js";
import { HeddleError } from "../core/errors.js";
import type { JsonObject, JsonValue } from "../core/json.js";
import { isJsonObject } from "../core/json.js";
import type { NewRun } from "../core/metadata-store.js";
import type { RunWebhook } from "../core/webhook.js";
import type { CheckpointRef, Durability, MultitaskStrategy, RunKwargs, StreamMode } from "../core/run.js";
import {
  callerConfigurable,
  mergeConfig,
  mergeContext,
  mirrorContext,
  withConfigurable,
  withoutCaller,
} from "./run-config.js";

/** A decoded run body (docs/wire/langgraph-api.md §2.5). Absent means not sent; defaults are the decoder's. */
export interface RunRequest {
  readonly assistantId: string;
  readonly input?: JsonValue;
  readonly command?: JsonObject;
  readonly checkpoint?: CheckpointRef;
  readonly config?: RunConfig;
  readonly context?: JsonValue;
  readonly metadata?: JsonObject;
  readonly streamModes: readonly StreamMode[];
  readonly streamSubgraphs: boolean;
  readonly streamResumable: boolean;
  readonly interruptBefore?: "*" | readonly string[];
  readonly interruptAfter?: "*" | readonly string[];
  readonly multitaskStrategy: MultitaskStrategy;
  readonly ifNotExists: "reject" | "create";
  /** Stateless runs only. */
  readonly onCompletion: "delete" | "keep";
  readonly afterSeconds: number;
  readonly durability: Durability;
  /** One attempt may take this long. */
  readonly timeoutMs?: number;
  /** Not empty, each once. */
  readonly feedbackKeys?: readonly string[];
  readonly langsmithTracer?: { readonly projectName?: string; readonly exampleId?: string };
  /** Judged already. */
  readonly webhook?: RunWebhook;
  /** Its thread is followed by the event protocol from now on. */
  readonly watched?: true;
}

/** What a request and its assistant make together: the draft that the store inserts. */
export function draftRun(params: {
  readonly caller: Caller;
  readonly assistant: Assistant;
  readonly request: RunRequest;
  /** Headers that the configuration allows. */
  readonly fromHeaders: JsonObject;
  readonly runId: string;
  readonly threadId: string;
  readonly stateless: boolean;
}): NewRun {
  const { caller, assistant, request, stateless } = params;
  const assistantConfig = withoutCaller(assistant.config);
  const mirrored = mirrorContext(withoutCaller(request.config ?? {}), request.context);
  // Once more: a context becomes the configurable where there is none, and may say who asks just as well.
  const config = withConfigurable(mergeConfig(assistantConfig, withoutCaller(mirrored.config)), {
    // The deployer names the headers, and may have a proxy set them: a body does not replace them.
    ...params.fromHeaders,
    ...callerConfigurable(caller),
  });
  const context = mergeContext(assistant.context, mirrored.context);
  const kwargs: RunKwargs = {
    ...(request.input === undefined ? {} : { input: request.input }),
    ...(request.command === undefined ? {} : { command: request.command }),
    ...(request.checkpoint === undefined ? {} : { checkpoint: request.checkpoint }),
    config,
    ...(context === undefined ? {} : { context }),
    streamModes: request.streamModes,
    streamSubgraphs: request.streamSubgraphs,
    streamResumable: request.streamResumable,
    ...(request.interruptBefore === undefined ? {} : { interruptBefore: request.interruptBefore }),
    ...(request.interruptAfter === undefined ? {} : { interruptAfter: request.interruptAfter }),
    durability: request.durability,
    ...(request.timeoutMs === undefined ? {} : { timeoutMs: request.timeoutMs }),
    temporary: stateless && request.onCompletion === "delete",
    ...(request.feedbackKeys === undefined ? {} : { feedbackKeys: request.feedbackKeys }),
    ...(request.langsmithTracer === undefined ? {} : { langsmithTracer: request.langsmithTracer }),
    ...(request.webhook === undefined ? {} : { webhook: request.webhook }),
  };
  return {
    runId: params.runId,
    threadId: params.threadId,
    assistantId: assistant.assistantId,
    graphId: assistant.graphId,
    kwargs,
    multitaskStrategy: request.multitaskStrategy,
    delayMs: Math.round(request.afterSeconds * 1000),
    assistantMetadata: assistant.metadata,
    metadata: request.metadata ?? {},
    assistantConfig,
    createThread: stateless || request.ifNotExists === "create",
    ...(request.watched === true && { watched: true }),
  };
}

/** What an authorization handler sees of a run, in the words of the wire (docs/wire/langgraph-api.md §7.3 `kwargs`). */
export function authorizedKwargs(kwargs: RunKwargs): JsonObject {
  return {
    input: kwargs.input,
    command: kwargs.command,
    config: kwargs.config,
    context: kwargs.context,
    checkpoint: kwargs.checkpoint === undefined ? undefined : checkpointOf(kwargs.checkpoint),
    stream_mode: kwargs.streamModes,
    subgraphs: kwargs.streamSubgraphs,
    resumable: kwargs.streamResumable,
    interrupt_before: kwargs.interruptBefore,
    interrupt_after: kwargs.interruptAfter,
    durability: kwargs.durability,
    temporary: kwargs.temporary,
    webhook: kwargs.webhook?.url,
  };
}

function checkpointOf({ checkpointId, checkpointNs, checkpointMap }: CheckpointRef): JsonObject {
  return { checkpoint_id: checkpointId, checkpoint_ns: checkpointNs, checkpoint_map: checkpointMap };
}

/**
 * The same after the handler: input, command, config and context are what it left there.
 * @throws `INVALID_REQUEST` for a config or command that is no object any more
 */
export function grantedKwargs(kwargs: RunKwargs, granted: JsonObject): RunKwargs {
  const { input, command, config, context } = granted;
  if (input === kwargs.input && command === kwargs.command && config === kwargs.config && context === kwargs.context) {
    return kwargs;
  }
  const { input: _, command: __, context: ___, ...rest } = kwargs;
  return {
    ...rest,
    ...(input === undefined ? {} : { input }),
    ...(command === undefined || command === null ? {} : { command: requireObject("command", command) }),
    config: requireObject("config", config ?? {}),
    ...(context === undefined ? {} : { context }),
  };
}

function requireObject(field: string, value: JsonValue): JsonObject {
  if (isJsonObject(value)) return value;
  throw new HeddleError("INVALID_REQUEST", {
    message: `The authorization of threads:create_run left kwargs whose ${field} is not valid.`,
  });
}
