import type { Caller } from "../../core/auth.js";
import type { Clock } from "../../core/clock.js";
import { HeddleError } from "../../core/errors.js";
import type { EventLog } from "../../core/event-log.js";
import type { JsonObject } from "../../core/json.js";
import type { Run } from "../../core/run.js";
import type { ThreadStateService } from "../thread-state.js";
import { threadNotFound } from "../threads.js";
import type { AgentTree } from "./agent-tree.js";
import { agentTree } from "./agent-tree.js";
import type { RunCommandDeps } from "./run-commands.js";
import { createRunCommands } from "./run-commands.js";
import { createStateCommands } from "./state-commands.js";

export type { AgentTree } from "./agent-tree.js";
export type { InputAnswers, RunStart } from "./run-commands.js";
export type { CheckpointSummary, StateOfNamespace } from "./state-commands.js";

/** A message from outside, for a run that is under way or the next one. */
export interface InjectedMessage {
  readonly role: "user" | "system";
  readonly content: string;
  readonly name?: string;
}

/** What clients may tell a thread (docs/wire/langgraph-api.md §4.3). Every method authorizes on its own. */
export type ThreadCommandsService = ReturnType<typeof createThreadCommandsService>;

export function createThreadCommandsService(
  deps: RunCommandDeps & { readonly eventLog: EventLog; readonly clock: Clock; readonly state: ThreadStateService },
) {
  const { store, runs, state, authorize } = deps;
  const runCommands = createRunCommands(deps);
  const stateCommands = createStateCommands({ state });

  return {
    start: runCommands.start,
    respond: runCommands.respond,
    getState: stateCommands.get,
    listCheckpoints: stateCommands.list,

    /** @throws `THREAD_NOT_FOUND`, `CHECKPOINT_NOT_FOUND`, `THREAD_HAS_NO_GRAPH` */
    async fork(caller: Caller, threadId: string, request: Parameters<typeof runCommands.fork>[2]): Promise<Run> {
      await stateCommands.requireCheckpoint(caller, threadId, request.checkpointId);
      return runCommands.fork(caller, threadId, request);
    },

    /**
     * Bring a message in from outside. Runs cannot be written into while they execute, so a thread that is busy gets it as the
     * input of a run behind them; otherwise it is written into the namespace's state, where the next run finds it.
     * @throws `THREAD_NOT_FOUND`, `THREAD_HAS_NO_GRAPH`; `UNSUPPORTED_OPTION` for a namespace of a busy thread;
     *   `STATE_UPDATE_REJECTED` by a graph without `messages`
     */
    async inject(
      caller: Caller,
      threadId: string,
      request: { readonly namespace: readonly string[]; readonly message: InjectedMessage },
    ): Promise<void> {
      const { namespace, message } = request;
      const { access } = await authorize(caller, "threads", "read", { thread_id: threadId });
      const thread = await store.threads.get({ threadId, access });
      if (thread === null) throw threadNotFound(threadId);
      const values: JsonObject = { messages: [{ ...message }] };
      if (thread.status === "busy") {
        if (namespace.length > 0) {
          throw new HeddleError("UNSUPPORTED_OPTION", {
            message: "input.inject into a namespace needs a thread without a run in flight; leave the namespace empty.",
          });
        }
        await runCommands.enqueue(caller, thread, values);
        return;
      }
      await state.update(caller, threadId, {
        update: { values },
        ...(namespace.length === 0 ? {} : { checkpoint: { checkpointNs: namespace.join("|") } }),
      });
    },

    /**
     * What happened where in a run.
     * @param runId default: the newest run
     * @throws `RUN_NOT_FOUND` (also when the thread has no run yet)
     */
    async tree(caller: Caller, threadId: string, runId: string | undefined): Promise<AgentTree> {
      if (runId !== undefined) return agentTree(deps, await runs.get(caller, { threadId, runId }));
      const { access } = await authorize(caller, "threads", "read", { thread_id: threadId });
      const newest = await store.runs.list({ threadId, limit: 1, offset: 0, access });
      const running = await store.runs.list({ threadId, status: ["running"], limit: 1, offset: 0, access });
      const run = running[0] ?? newest[0];
      if (run === undefined) {
        throw new HeddleError("RUN_NOT_FOUND", { message: "No active run is bound to this thread." });
      }
      return agentTree(deps, run);
    },
  };
}
