import { ALL_ROWS, type Caller } from "../../core/auth.js";
import { HeddleError, isHeddleError } from "../../core/errors.js";
import type { JsonObject } from "../../core/json.js";
import type { RunRequest } from "../../services/run-request.js";
import type { RunRecord } from "./run-record.js";
import type { LaunchFold } from "./snapshot-types.js";
import type { OpenwopContext } from "./context.js";

/** What a LangGraph client that watches the thread may follow. */
const STREAM_MODES = ["values", "messages-tuple", "updates", "custom"] as const;

/** Creates the LangGraph runs that logs call for, and stops them. */
export type Launcher = ReturnType<typeof createLauncher>;

export function createLauncher({
  services,
  store,
  mountPath,
}: Pick<OpenwopContext, "services" | "store" | "mountPath">) {
  const create = async (record: RunRecord, launch: LaunchFold): Promise<void> => {
    const outcome = await services.runs.createForTick(callerOf(record), {
      runId: launch.langgraphRunId,
      threadId: record.runId,
      newThreadId: record.runId,
      request: requestOf(record, launch, mountPath),
      insert: null,
    });
    if (outcome === "no-thread")
      throw new HeddleError("THREAD_NOT_FOUND", { message: "The thread of the run is gone." });
  };

  return {
    /**
     * Create it: the caller has the right to, because it wrote the event that calls for it.
     * @throws what creating a run throws: `FORBIDDEN`, `LIMIT_REACHED`, …
     */
    create,
    /** The same by somebody else, later. */
    async repeat(record: RunRecord, launch: LaunchFold): Promise<void> {
      const { langgraphRunId: runId } = launch;
      if ((await store.runs.get({ runId, access: ALL_ROWS })) === null) await create(record, launch);
    },
    /** LangGraph runs of the thread stop. What they still do is not told where the log has ended. @param statuses which of them */
    async stop(
      caller: Caller,
      { runId: threadId }: Pick<RunRecord, "runId">,
      statuses: readonly ("pending" | "running")[] = ["pending", "running"],
    ): Promise<void> {
      for (const status of statuses) {
        try {
          const runs = await services.runs.list(caller, threadId, { status, limit: 100, offset: 0 });
          for (const { runId } of runs) {
            await services.runs.cancel(caller, { threadId, runId }, { action: "interrupt", wait: false });
          }
        } catch (error) {
          if (!isHeddleError(error) || !ENDED.has(error.code)) throw error;
        }
      }
    },
  };
}

/** What is over when it is to be stopped. */
const ENDED: ReadonlySet<string> = new Set(["THREAD_NOT_FOUND", "RUN_NOT_FOUND", "RUN_FINISHED"]);

/** What happens later in a run happens as who created it. */
export function callerOf({ caller }: Pick<RunRecord, "caller">): Caller {
  return caller;
}

function requestOf(record: RunRecord, { kind, answers }: LaunchFold, mountPath: string): RunRequest {
  const { runId, workflowId, assistantId, recursionLimit, runTimeoutMs, configurable, source } = record;
  const checkpointId = source?.checkpointId ?? null;
  const starts = kind === "start" && checkpointId === null;
  return {
    assistantId,
    ...(starts && { input: record.variables }),
    ...(kind === "start" && checkpointId !== null && { checkpoint: { checkpointId } }),
    ...(kind === "answer" && { command: { resume: answers } }),
    config: {
      configurable: { ...graphConfigurable(configurable), openwop: { runId, path: mountPath } },
      ...(recursionLimit !== null && { recursion_limit: recursionLimit }),
    },
    metadata: { openwop: { runId, workflowId } },
    streamModes: STREAM_MODES,
    streamSubgraphs: false,
    streamResumable: true,
    // Behind what another answer has begun.
    multitaskStrategy: "enqueue",
    ifNotExists: starts ? "create" : "reject",
    onCompletion: "keep",
    afterSeconds: 0,
    durability: "sync",
    ...(runTimeoutMs !== null && { timeoutMs: runTimeoutMs }),
  };
}

/** Without what would point LangGraph elsewhere. */
function graphConfigurable(configurable: JsonObject): JsonObject {
  const { thread_id: _, checkpoint_id: __, checkpoint_ns: ___, checkpoint_map: ____, ...rest } = configurable;
  return rest;
}
