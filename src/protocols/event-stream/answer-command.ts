import type { Caller } from "../../core/auth.js";
import type { ErrorCode } from "../../core/errors.js";
import { isHeddleError } from "../../core/errors.js";
import { isUuid } from "../../core/ids.js";
import type { JsonObject, JsonText, JsonValue } from "../../core/json.js";
import { asJsonText, toJsonText } from "../../core/json.js";
import type { Logger } from "../../core/logger.js";
import type { GuardedRequest } from "../../http/request-guard.js";
import { codeOf } from "../../http/request-guard.js";
import { isRefusal } from "../../services/authorization.js";
import type { Services } from "../../services/create-services.js";
import type { AgentTree, CheckpointSummary, StateOfNamespace } from "../../services/thread-commands/index.js";
import {
  inputInjectParams,
  inputRespondParams,
  listCheckpointsParams,
  runStartParams,
  stateForkParams,
  stateGetParams,
  treeParams,
} from "./command-params.js";
import { errorFrame, successFrame } from "./frames.js";
import { CommandRefused, protocolFailure } from "./protocol-errors.js";
import type { Command } from "./wire.js";

const EMPTY = asJsonText("{}");

/** Who asks, of which thread. */
export interface CommandContext {
  readonly services: Pick<Services, "threadCommands" | "threadEvents">;
  readonly caller: Caller;
  readonly threadId: string;
  readonly requestId: string;
  readonly logger: Logger;
  /** Limits and audit; `null`: there are none. */
  readonly guarded: Pick<GuardedRequest, "command" | "permits"> | null;
  /** `subscription.*`; `null` where there is no connection for them to live on. */
  readonly subscriptions: ((command: Command) => Promise<JsonText>) | null;
}

type Handler = (params: JsonObject, context: CommandContext) => Promise<JsonText>;

/** Every command but `subscription.*` (docs/wire/langgraph-api.md §4.3). */
const HANDLERS: Readonly<Record<string, Handler>> = {
  async "run.start"(params, { services, caller, threadId }) {
    const run = await services.threadCommands.start(caller, threadId, runStartParams(params));
    return toJsonText({ run_id: run.runId });
  },
  async "input.respond"(params, { services, caller, threadId }) {
    await services.threadCommands.respond(caller, threadId, inputRespondParams(params));
    return EMPTY;
  },
  async "input.inject"(params, { services, caller, threadId }) {
    await services.threadCommands.inject(caller, threadId, inputInjectParams(params));
    return EMPTY;
  },
  async "state.get"(params, { services, caller, threadId }) {
    return encodeStateOf(await services.threadCommands.getState(caller, threadId, stateGetParams(params)));
  },
  async "state.listCheckpoints"(params, { services, caller, threadId }) {
    const listed = await services.threadCommands.listCheckpoints(caller, threadId, listCheckpointsParams(params));
    return toJsonText({ checkpoints: listed.map(encodeCheckpoint) });
  },
  async "state.fork"(params, { services, caller, threadId }) {
    const run = await services.threadCommands.fork(caller, threadId, stateForkParams(params));
    return toJsonText({ run_id: run.runId, thread_id: run.threadId });
  },
  async "agent.getTree"(params, { services, caller, threadId }) {
    const { runId } = treeParams(params);
    // An id of another form is no run's; stores expect UUIDs.
    if (runId !== undefined && !isUuid(runId)) throw new CommandRefused("no_such_run", `No run ${runId}`);
    return toJsonText({ tree: encodeTree(await services.threadCommands.tree(caller, threadId, runId)) });
  },
};

/**
 * Carry out a command. @returns its response frame: of success, or of what was wrong
 * @throws what a client should try again by HTTP's own means: `SHUTTING_DOWN`, `STORAGE_UNAVAILABLE`
 */
export async function answerCommand(command: Command, context: CommandContext): Promise<string> {
  const { id, method, params } = command;
  try {
    const carryOut = (): Promise<JsonText> =>
      method.startsWith("subscription.") ? subscriptionResult(command, context) : handlerOf(method)(params, context);
    const { guarded } = context;
    const answered = async () => ({ result: await carryOut(), appliedThroughSeq: await appliedThrough(context) });
    const answer = await (guarded === null ? answered() : guarded.command(nameOf(method), answered, codeOfCommand));
    return successFrame({ id, ...answer, threadId: context.threadId });
  } catch (error) {
    if (isHeddleError(error) && (error.code === "SHUTTING_DOWN" || error.code === "STORAGE_UNAVAILABLE")) throw error;
    return failureFrame(id, method, error, context);
  }
}

/** What a client is told of a failed command, logged when nobody expected it. */
export function failureFrame(
  id: number | null,
  method: string,
  error: unknown,
  context: Pick<CommandContext, "requestId" | "threadId" | "logger">,
): string {
  const { requestId, threadId, logger } = context;
  const failure = protocolFailure(error, requestId);
  if (failure.isFault) logger.error({ requestId, threadId, method, err: error }, "command failed");
  return errorFrame(id, failure.code, failure.message);
}

/** The code that an audit log has for a command that failed. */
export function codeOfCommand(error: unknown): ErrorCode {
  return error instanceof CommandRefused ? "INVALID_REQUEST" : codeOf(error);
}

/** Every command of the protocol. */
export const COMMANDS: ReadonlySet<string> = new Set([
  ...Object.keys(HANDLERS),
  "subscription.subscribe",
  "subscription.unsubscribe",
  "subscription.reconnect",
]);

/** What a client calls its command goes nowhere but into an error frame. */
function nameOf(method: string): string {
  return COMMANDS.has(method) ? method : "unknown";
}

function handlerOf(method: string): Handler {
  const handler = Object.hasOwn(HANDLERS, method) ? HANDLERS[method] : undefined;
  if (handler === undefined) throw new CommandRefused("unknown_command", `Unknown protocol command: ${method}`);
  return handler;
}

function subscriptionResult(command: Command, { subscriptions }: CommandContext): Promise<JsonText> {
  if (subscriptions !== null) return subscriptions(command);
  throw new CommandRefused(
    "not_supported",
    `${command.method} needs a WebSocket. Over HTTP the filter is the body of POST …/stream/events.`,
  );
}

/** The command has been carried out: that the log cannot be asked now is no failure of it. */
async function appliedThrough({ services, caller, threadId, logger }: CommandContext): Promise<number | null> {
  try {
    return await services.threadEvents.lastSeq(caller, threadId);
  } catch (error) {
    // Who may start runs need not be one who may read: `run.start` needs `threads:create_run` and `assistants:read` alone.
    if (isRefusal(error)) return null;
    logger.warn({ threadId, err: error }, "the event log did not say how far it goes");
    return null;
  }
}

function encodeStateOf({ values, checkpoint }: StateOfNamespace): JsonText {
  return asJsonText(
    checkpoint === null
      ? `{"values":${values}}`
      : `{"values":${values},"checkpoint":${toJsonText({ id: checkpoint.id, ns: checkpoint.ns })}}`,
  );
}

function encodeCheckpoint(summary: CheckpointSummary): JsonObject {
  return {
    id: summary.id,
    timestamp: summary.timestamp,
    step: summary.step,
    node_name: summary.nodeName,
    metadata: summary.metadata,
  };
}

function encodeTree(tree: AgentTree): JsonObject {
  const children: readonly JsonValue[] = tree.children.map(encodeTree);
  return {
    namespace: tree.namespace,
    status: tree.status,
    graph_name: tree.graphName,
    ...(children.length === 0 ? {} : { children }),
  };
}
