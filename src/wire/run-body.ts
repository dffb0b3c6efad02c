import { z } from "zod";
import type { Durability, StreamMode } from "../core/run.js";
import { STREAM_MODES } from "../core/run.js";
import type { RunWebhook, WebhookPolicy } from "../core/webhook.js";
import { checkpointOf } from "./checkpoint.js";
import { command } from "./command.js";
import { decode, invalid, present, unsupported } from "./decode.js";
import {
  anyJson,
  checkpoint,
  config,
  jsonObject,
  langsmithTracer,
  multitaskStrategy,
  strings,
  text,
} from "./schema.js";

const streamMode = z.enum(STREAM_MODES);
/** Ten years: what a date can hold with ease. */
const MAX_DELAY_SECONDS = 315_360_000;
/** 24.8 days: the longest delay that Node's timers take. */
const MAX_TIMEOUT_SECONDS = 2_147_483;
/** Each is a request to LangSmith. */
const MAX_FEEDBACK_KEYS = 100;

const breakpoints = z
  .custom<"*" | readonly string[]>(
    (value) => value === "*" || strings.safeParse(value).success,
    'expected "*" or an array of node names',
  )
  .meta({ oneOf: [{ const: "*" }, { type: "array", items: { type: "string" } }] });

/** Body of the six endpoints that create a run, and element of a batch (docs/wire/langgraph-api.md §2.5). */
export const runBody = z
  .object({
    assistant_id: text,
    input: anyJson.optional(),
    command: command.nullish(),
    checkpoint: checkpoint.nullish(),
    checkpoint_id: text.nullish(),
    config: config.nullish(),
    context: anyJson.optional(),
    metadata: jsonObject.nullish(),
    webhook: z.string().max(65_536).nullish(),
    interrupt_before: breakpoints.nullish(),
    interrupt_after: breakpoints.nullish(),
    stream_mode: z.union([streamMode, z.array(streamMode)], { error: streamModeError }).nullish(),
    stream_subgraphs: z.boolean().nullish(),
    stream_resumable: z.boolean().nullish(),
    feedback_keys: strings.nullish(),
    multitask_strategy: multitaskStrategy.nullish(),
    if_not_exists: z.enum(["reject", "create"]).nullish(),
    on_disconnect: z.enum(["continue", "cancel"]).nullish(),
    on_completion: z.enum(["delete", "keep"]).nullish(),
    after_seconds: z.number().min(0).max(MAX_DELAY_SECONDS).nullish(),
    /** Heddle's own; LangGraph's API has no limit per run. */
    timeout_seconds: z.number().min(0.001).max(MAX_TIMEOUT_SECONDS).nullish(),
    durability: z.enum(["sync", "async", "exit"]).nullish(),
    checkpoint_during: z.boolean().nullish(),
    langsmith_tracer: langsmithTracer.nullish(),
    strict_resume: z.boolean().nullish(),
  })
  .meta({ id: "RunCreate" });

type RunBody = z.output<typeof runBody>;

export const runBatchBody = z.array(runBody).min(1).max(1000);

/** What this server's configuration makes possible. */
export interface RunSupport {
  /** A LangSmith key is configured, so that `feedback_keys` can be honoured. */
  readonly langsmith: boolean;
  /** Which webhooks runs may have; `null`: none. */
  readonly webhooks: WebhookPolicy | null;
}

/**
 * Decode a run body once. Defaults are the Platform's (Appendix B): multitask `enqueue`, durability `async`, stream mode
 * `values`.
 * @throws `INVALID_REQUEST`, `UNSUPPORTED_OPTION`
 */
export function decodeRun(body: unknown, support: RunSupport) {
  return toRunRequest(decode(runBody, body), support);
}

/** A batch; each element as {@link decodeRun}. */
export function decodeRunBatch(body: unknown, support: RunSupport) {
  return decode(runBatchBody, body).map((run) => toRunRequest(run, support));
}

/** A request of a body that was decoded already, by {@link runBody} or a schema made of parts of it. */
export function toRunRequest(body: RunBody, support: RunSupport) {
  refuseUnsupported(body);
  return {
    /** The client wants the run cancelled when it leaves (§2.9.4). */
    cancelOnDisconnect: body.on_disconnect === "cancel",
    request: {
      assistantId: body.assistant_id,
      streamModes: streamModes(body.stream_mode),
      streamSubgraphs: body.stream_subgraphs ?? false,
      streamResumable: body.stream_resumable ?? false,
      multitaskStrategy: body.multitask_strategy ?? ("enqueue" as const),
      ifNotExists: body.if_not_exists ?? ("reject" as const),
      onCompletion: body.on_completion ?? ("delete" as const),
      afterSeconds: body.after_seconds ?? 0,
      durability: durabilityOf(body),
      ...present({
        input: body.input,
        command: body.command,
        checkpoint: checkpointOf(body),
        config: body.config,
        context: body.context,
        metadata: body.metadata,
        timeoutMs: body.timeout_seconds ? Math.ceil(body.timeout_seconds * 1000) : null,
        interruptBefore: body.interrupt_before,
        interruptAfter: body.interrupt_after,
        feedbackKeys: feedbackKeys(body.feedback_keys, support),
        langsmithTracer: body.langsmith_tracer,
        webhook: webhookOf(body.webhook, support),
      }),
    },
  };
}

function refuseUnsupported(body: RunBody): void {
  if (body.strict_resume) unsupported("strict_resume", "leave the field out, or send false");
}

/** @throws `INVALID_REQUEST` for a URL that the configuration does not allow, `UNSUPPORTED_OPTION` where there are no webhooks */
function webhookOf(sent: string | null | undefined, { webhooks }: Pick<RunSupport, "webhooks">): RunWebhook | null {
  if (sent === undefined || sent === null) return null;
  if (webhooks === null) unsupported("webhook", "webhooks are switched off here (http.disable_webhooks); leave it out");
  const judged = webhooks.judge(sent);
  return judged.kind === "allowed" ? judged.webhook : invalid("webhook", judged.reason);
}

/** Without repetitions; `null` when there are none. */
function feedbackKeys(sent: RunBody["feedback_keys"], { langsmith }: RunSupport): readonly string[] | null {
  const keys = [...new Set(sent ?? [])];
  if (keys.length === 0) return null;
  if (!langsmith)
    unsupported("feedback_keys", "it needs a LangSmith key; set LANGSMITH_API_KEY or leave the field out");
  if (keys.length > MAX_FEEDBACK_KEYS) invalid("feedback_keys", `at most ${MAX_FEEDBACK_KEYS} keys`);
  return keys;
}

/** Without repetitions; an empty list means `values` (docs/wire/langgraph-api.md §3.6). */
function streamModes(sent: RunBody["stream_mode"]): readonly StreamMode[] {
  if (sent === undefined || sent === null) return ["values"];
  return knownModes("stream_mode", typeof sent === "string" ? [sent] : sent) ?? ["values"];
}

/**
 * Modes by name, without repetitions; `null` when there are none.
 * @throws `INVALID_REQUEST` for names that nobody knows
 */
export function knownModes(field: string, names: readonly string[]): readonly StreamMode[] | null {
  if (names.length === 0) return null;
  return [...new Set(names)].map((name) => {
    const mode = STREAM_MODES.find((known) => known === name);
    if (mode !== undefined) return mode;
    return invalid(field, `unknown mode "${name}"; use one of ${STREAM_MODES.join(", ")}`);
  });
}

function streamModeError(): string {
  return `expected one of ${STREAM_MODES.join(", ")}, or a list of them`;
}

/** `checkpoint_during` is the older name of `durability` (§2.9.7): false ≙ `exit`, true ≙ `async`. */
function durabilityOf(body: RunBody): Durability {
  const { durability, checkpoint_during: during } = body;
  if (during === undefined || during === null) return durability ?? "async";
  if (durability === undefined || durability === null) return during ? "async" : "exit";
  if (during === (durability === "exit")) {
    invalid("checkpoint_during", `${during} contradicts durability "${durability}"; send only durability`);
  }
  return durability;
}
