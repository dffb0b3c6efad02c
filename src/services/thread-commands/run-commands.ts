import type { Caller } from "../../core/auth.js";
import type { Engine } from "../../core/engine.js";
import { HeddleError, isHeddleError } from "../../core/errors.js";
import type { JsonObject, JsonValue } from "../../core/json.js";
import { isJsonObject } from "../../core/json.js";
import type { MetadataStore } from "../../core/metadata-store.js";
import type { MultitaskStrategy, Run } from "../../core/run.js";
import type { Thread } from "../../core/thread.js";
import type { Authorize } from "../authorization.js";
import { isRefusal } from "../authorization.js";
import type { RunRequest } from "../run-request.js";
import type { RunsService } from "../runs.js";
import { threadNotFound } from "../threads.js";
import { answeredBy, pendingInterrupts, waitingIds } from "./pending-interrupts.js";

/** What every command that starts a run may bring. */
export interface RunOptions {
  readonly config?: JsonObject;
  readonly metadata?: JsonObject;
}

export interface RunStart extends RunOptions {
  readonly assistantId: string;
  readonly input: JsonValue;
  /** Instead of input. */
  readonly command?: JsonObject;
  readonly multitaskStrategy: MultitaskStrategy;
  readonly langsmithTracer?: { readonly projectName?: string; readonly exampleId?: string };
}

export interface InputAnswers extends RunOptions {
  /** At least one; no id twice. */
  readonly responses: readonly { readonly interruptId: string; readonly response: JsonValue }[];
  readonly update?: JsonValue;
  readonly goto?: JsonValue;
}

export interface RunCommandDeps {
  readonly store: MetadataStore;
  readonly engine: Engine;
  readonly runs: RunsService;
  readonly authorize: Authorize;
  /** For what a command does with, or without: a refusal is no failure of it, and none for the audit log. */
  readonly unaudited: Authorize;
}

/** Commands that start a run (docs/wire/langgraph-api.md §4.3.1, §4.3.2). Each authorizes on its own. */
export function createRunCommands(deps: RunCommandDeps) {
  const { store, runs, authorize } = deps;

  const find = async (caller: Caller, threadId: string): Promise<Thread | null> => {
    const { access } = await authorize(caller, "threads", "read", { thread_id: threadId });
    return store.threads.get({ threadId, access });
  };

  /** Who may start runs need not be one who may read: to them no thread waits on anything. */
  const findIfReadable = async (caller: Caller, threadId: string): Promise<Thread | null> => {
    try {
      const { access } = await deps.unaudited(caller, "threads", "read", { thread_id: threadId });
      return await store.threads.get({ threadId, access });
    } catch (error) {
      if (isRefusal(error)) return null;
      throw error;
    }
  };

  const answers = async (thread: Thread, answer: InputAnswers): Promise<RunRequest> => {
    const { ids, inflight } = await pendingInterrupts(deps, thread);
    const unknown = answer.responses.find(({ interruptId }) => !ids.has(interruptId));
    if (unknown !== undefined) {
      const { interruptId } = unknown;
      const answered = inflight.some((run) => answeredBy(run).includes(interruptId));
      if (answered) throw notFound(interruptId, "it is being answered already");
      if (ids.size > 0) throw notFound(interruptId, `the thread waits on ${[...ids].join(", ")}`);
      throw new HeddleError("THREAD_NOT_INTERRUPTED", {
        message:
          inflight.length === 0
            ? "No interrupted run is bound to this thread."
            : "input.respond can only be used while the run is interrupted.",
      });
    }
    return {
      ...requestOf(answer),
      assistantId: assistantOf(thread),
      command: {
        resume: Object.fromEntries(answer.responses.map(({ interruptId, response }) => [interruptId, response])),
        ...(answer.update === undefined ? {} : { update: answer.update }),
        ...(answer.goto === undefined ? {} : { goto: answer.goto }),
      },
      // Of two clients that answer at once one must find the other's run, instead of a second run behind it.
      multitaskStrategy: thread.status === "busy" ? "enqueue" : "reject",
    };
  };

  return {
    /**
     * Start a run; on a thread that waits on interrupts, input that is not `null` answers them, unless `config` names a
     * checkpoint to start from; to callers who may not read the thread input is input. A command is carried out as it is.
     * @throws as `runs.create`; `RUN_IN_FLIGHT` with the strategy `reject`
     */
    async start(caller: Caller, threadId: string, request: RunStart): Promise<Run> {
      const { input, command, assistantId, multitaskStrategy, langsmithTracer } = request;
      const base = requestOf(request);
      const mayAnswer = command === undefined && input !== null && base.checkpoint === undefined;
      const thread = mayAnswer ? await findIfReadable(caller, threadId) : null;
      return runs.create(caller, threadId, {
        ...base,
        assistantId,
        multitaskStrategy,
        ...(langsmithTracer === undefined ? {} : { langsmithTracer }),
        ...(command === undefined ? inputFor(thread, input) : { command }),
      });
    },

    /**
     * Answer interrupts by id, in one run of the assistant that ran last. The thread's row and checkpoints are the truth, so
     * this works in any process and after a restart.
     * @throws `THREAD_NOT_FOUND`, `THREAD_HAS_NO_GRAPH` (nothing ran), `THREAD_NOT_INTERRUPTED`, `INTERRUPT_NOT_FOUND` (not pending,
     *   or answered already)
     */
    async respond(caller: Caller, threadId: string, answer: InputAnswers): Promise<Run> {
      for (let attempt = 1; ; attempt += 1) {
        const thread = await find(caller, threadId);
        if (thread === null) throw threadNotFound(threadId);
        const request = await answers(thread, answer);
        try {
          return await runs.create(caller, threadId, request);
        } catch (error) {
          // A run came in between: look again what is pending now.
          if (!isHeddleError(error) || error.code !== "RUN_IN_FLIGHT" || attempt === MAX_ATTEMPTS) throw error;
        }
      }
    },

    /** Run from a checkpoint of the thread, as the assistant that ran last. @throws as {@link respond} */
    async fork(
      caller: Caller,
      threadId: string,
      request: RunOptions & { readonly checkpointId: string; readonly input: JsonValue },
    ): Promise<Run> {
      const thread = await find(caller, threadId);
      if (thread === null) throw threadNotFound(threadId);
      return runs.create(caller, threadId, {
        ...requestOf(request),
        assistantId: assistantOf(thread),
        input: request.input,
        checkpoint: { checkpointId: request.checkpointId },
        multitaskStrategy: "enqueue",
      });
    },

    /** Run with some input as soon as the thread is free. @throws as {@link respond} */
    async enqueue(caller: Caller, thread: Thread, input: JsonValue): Promise<Run> {
      return runs.create(caller, thread.threadId, {
        ...requestOf({}),
        assistantId: assistantOf(thread),
        input,
        multitaskStrategy: "enqueue",
      });
    },
  };
}

const MAX_ATTEMPTS = 5;

/** Input of a thread that waits on interrupts is their answer. */
function inputFor(thread: Thread | null, input: JsonValue) {
  return thread !== null && waitingIds(thread).size > 0 ? { command: { resume: input } } : { input };
}

/** The assistant that ran last. @throws `THREAD_HAS_NO_GRAPH` */
function assistantOf(thread: Thread): string {
  const { assistant_id: assistantId, graph_id: graphId } = thread.metadata;
  const last = typeof assistantId === "string" ? assistantId : graphId;
  if (typeof last === "string") return last;
  throw new HeddleError("THREAD_HAS_NO_GRAPH", { message: "Thread has no active assistant; call run.start first." });
}

/** The part that is the same for all: what is streamed is the thread's log, which needs no stream mode (§4.3.1 step 4). */
function requestOf(options: RunOptions) {
  const { config, metadata } = options;
  const checkpoint = checkpointOf(config);
  return {
    streamModes: ["values"] as const,
    streamSubgraphs: false,
    streamResumable: true,
    ifNotExists: "create" as const,
    onCompletion: "keep" as const,
    afterSeconds: 0,
    durability: "async" as const,
    watched: true as const,
    ...(config === undefined ? {} : { config }),
    ...(metadata === undefined ? {} : { metadata }),
    ...(checkpoint === undefined ? {} : { checkpoint }),
  };
}

/** `config.configurable.checkpoint_id`: where the SDK puts a fork's start. */
function checkpointOf(config: JsonObject | undefined) {
  const configurable = config?.["configurable"];
  if (!isJsonObject(configurable)) return undefined;
  const { checkpoint_id: checkpointId, checkpoint_ns: checkpointNs, checkpoint_map: checkpointMap } = configurable;
  if (typeof checkpointId !== "string" || checkpointId === "") return undefined;
  return {
    checkpointId,
    ...(typeof checkpointNs === "string" && { checkpointNs }),
    ...(isJsonObject(checkpointMap) && { checkpointMap }),
  };
}

function notFound(interruptId: string, why: string): HeddleError {
  return new HeddleError("INTERRUPT_NOT_FOUND", { message: `No pending interrupt ${interruptId}: ${why}.` });
}
