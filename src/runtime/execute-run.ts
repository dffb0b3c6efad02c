import { ALL_ROWS } from "../core/auth.js";
import type { Checkpointer } from "../core/checkpointer.js";
import type { Clock } from "../core/clock.js";
import type { Engine, ExecutionOutcome, FinalState } from "../core/engine.js";
import type { EventLog } from "../core/event-log.js";
import { toJsonText } from "../core/json.js";
import type { Logger } from "../core/logger.js";
import type { MetadataStore, RunOutcome } from "../core/metadata-store.js";
import { endEvent, errorEvent, metadataEvent } from "../core/run-event.js";
import type { AbortReason } from "../core/run-lifecycle.js";
import type { CancelAction, ClaimedRun, Run } from "../core/run.js";
import { retry } from "./retry.js";

export interface ExecuteRunDeps {
  readonly store: MetadataStore;
  readonly engine: Engine;
  readonly checkpointer: Checkpointer;
  readonly eventLog: EventLog;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** How this worker's hold of a run ended. */
export type ExecutionEnd =
  /** The run has ended; `nextPending`: its thread has another run waiting. */
  | { readonly kind: "finished"; readonly nextPending: boolean }
  /** Another worker has it, or its thread was deleted: nothing was published. */
  | { readonly kind: "lost" }
  /** Given back unfinished at shutdown. */
  | { readonly kind: "released" };

/** Events, outcome, end of one claimed run (design §5, steps 6–9): persist first, publish second. */
export async function executeRun(
  deps: ExecuteRunDeps,
  claimed: ClaimedRun,
  signal: AbortSignal,
): Promise<ExecutionEnd> {
  const { run, lease } = claimed;
  const { eventLog } = deps;
  await eventLog.begin(run, { resumable: run.kwargs.streamResumable });
  const outcome = claimed.cancel === null ? await execute(deps, claimed, signal) : await untouched(deps, run);
  const cancel = claimed.cancel ?? cancelOf(outcome, signal);
  if (outcome.kind === "aborted" && cancel === null) {
    await eventLog.flush(run);
    if ((signal.reason as AbortReason).kind !== "shutdown") return { kind: "lost" };
    await deps.store.runs.release({ lease });
    return { kind: "released" };
  }
  return end(deps, claimed, outcome, cancel);
}

async function execute(deps: ExecuteRunDeps, claimed: ClaimedRun, signal: AbortSignal): Promise<ExecutionOutcome> {
  const { run } = claimed;
  deps.eventLog.append(run, [metadataEvent(run.runId, run.attempt)]);
  try {
    const events = deps.engine.execute({ claimed, signal });
    for (;;) {
      const next = await events.next();
      if (next.done) return next.value;
      deps.eventLog.append(run, next.value);
    }
  } catch (error) {
    deps.logger.error({ err: error, runId: run.runId, threadId: run.threadId }, "run failed outside its graph");
    const text = toJsonText({ error: "InternalError", message: "The server failed to execute this run." });
    return { kind: "error", error: text, hasNext: false };
  }
}

/** A run that was cancelled while nobody held it: its state is what its last worker left. */
async function untouched(deps: ExecuteRunDeps, run: Run): Promise<ExecutionOutcome> {
  return { kind: "aborted", ...(await storedState(deps, run)) };
}

async function storedState(deps: ExecuteRunDeps, run: Run): Promise<FinalState> {
  if (run.kwargs.temporary) return { hasNext: false };
  const thread = await deps.store.threads.get({ threadId: run.threadId, access: ALL_ROWS });
  return deps.engine.finalState({ graphId: run.graphId, threadId: run.threadId, config: thread?.config ?? {} });
}

function cancelOf(outcome: ExecutionOutcome, signal: AbortSignal): CancelAction | null {
  if (outcome.kind !== "aborted") return null;
  const reason = signal.reason as AbortReason;
  return reason.kind === "cancel" ? reason.action : null;
}

async function end(
  deps: ExecuteRunDeps,
  claimed: ClaimedRun,
  outcome: ExecutionOutcome,
  cancel: CancelAction | null,
): Promise<ExecutionEnd> {
  const { run, lease } = claimed;
  const { store, eventLog } = deps;
  let final: FinalState = outcome;
  if (cancel === "rollback" && !run.kwargs.temporary) {
    // Before the row: a crash in between finds the run still cancelled, and does this again.
    await deps.checkpointer.deleteRun({ threadId: run.threadId, runId: run.runId });
    final = await storedState(deps, run);
  }
  const result = runOutcome(outcome, cancel);
  const finished = await retry(deps, () =>
    store.runs.finish({
      lease,
      outcome: result,
      threadPatch: {
        ...(final.values === undefined ? {} : { values: final.values }),
        ...(final.interrupts === undefined ? {} : { interrupts: final.interrupts }),
        error: outcome.kind === "error" && cancel === null ? outcome.error : null,
      },
      hasNext: final.hasNext,
    }),
  );
  if (!finished.accepted) {
    if (finished.cancelRequested === undefined || cancel !== null) return { kind: "lost" };
    return end(deps, claimed, outcome, finished.cancelRequested);
  }
  const status = result.kind === "rolled-back" ? "rollback" : result.status;
  eventLog.append(run, [
    outcome.kind === "error" && cancel === null ? errorEvent(outcome.error) : endEvent(run.runId, status),
  ]);
  await eventLog.seal(run);
  if (run.kwargs.temporary && !run.kwargs.streamResumable) {
    await store.threads.delete({ threadId: run.threadId, access: ALL_ROWS });
  }
  return { kind: "finished", nextPending: finished.nextPending };
}

function runOutcome(outcome: ExecutionOutcome, cancel: CancelAction | null): RunOutcome {
  if (cancel === "rollback") return { kind: "rolled-back" };
  if (cancel === "interrupt") return { kind: "ended", status: "interrupted" };
  if (outcome.kind === "error") return { kind: "ended", status: "error", error: outcome.error };
  return { kind: "ended", status: "success" };
}
