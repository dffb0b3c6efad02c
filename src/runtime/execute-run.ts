import { ALL_ROWS } from "../core/auth.js";
import type { Checkpointer } from "../core/checkpointer.js";
import type { Clock } from "../core/clock.js";
import type { Engine, ExecutionOutcome, FinalState } from "../core/engine.js";
import type { EventLog } from "../core/event-log.js";
import { type JsonText, toJsonText } from "../core/json.js";
import type { Logger } from "../core/logger.js";
import { errorName, isHeddleError } from "../core/errors.js";
import type { MetadataStore, RunOutcome, RunStore } from "../core/metadata-store.js";
import { retry } from "../core/retry.js";
import type { NewRunEvent } from "../core/run-event.js";
import { endEvent, errorEvent, lastEvent, metadataEvent } from "../core/run-event.js";
import { removeRunLeftovers } from "../core/run-leftovers.js";
import type { AbortReason } from "../core/run-lifecycle.js";
import type { ObservedEnd, ObservedLease, ObserveRun, RunObserver } from "../core/run-observer.js";
import { isTerminal, runTimeoutError, timeLimitMs } from "../core/run-lifecycle.js";
import type { CancelAction, ClaimedRun } from "../core/run.js";
import { createThreadEventWriter, type ThreadEventWriter } from "./thread-events.js";
import { NO_END, type RootEnd, rootEndOf, rootEndOfRow } from "./thread-log.js";
import { withTimeLimit } from "./time-limit.js";
import type { ExecutionControl } from "./worker.js";

export interface ExecuteRunDeps {
  readonly store: MetadataStore;
  readonly engine: Engine;
  readonly checkpointer: Checkpointer;
  readonly eventLog: EventLog;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Limit of one attempt; `null`: only a run's own. */
  readonly runTimeoutMs: number | null;
  /** Who wants to follow runs. Default nobody. */
  readonly observe?: ObserveRun;
}

/** How this worker's hold of a run ended. */
export type ExecutionEnd =
  /** The run has ended; `nextPending`: its thread has another run waiting. */
  | { readonly kind: "finished"; readonly nextPending: boolean }
  /** Another worker has it, or its thread was deleted: nothing was published. */
  | { readonly kind: "lost" }
  /** Given back unfinished at shutdown. */
  | { readonly kind: "released" };

/** One claimed run of this worker, on its way. */
interface Execution extends ExecuteRunDeps {
  readonly claimed: ClaimedRun;
  /** The thread's log; `null` when nobody watches it. */
  readonly threadEvents: ThreadEventWriter | null;
  readonly observer: RunObserver | null;
  readonly control: ExecutionControl;
  /** Repeat a storage call, for long only while the run is this worker's. */
  readonly retrying: <T>(call: () => Promise<T>) => Promise<T>;
}

/** How the execution itself went, and why it was stopped if it was. */
interface Stopped {
  readonly outcome: ExecutionOutcome;
  /** `null`: the graph ended by itself. */
  readonly reason: AbortReason | null;
}

/** Events, outcome, end of one claimed run (design §5, steps 6–9): persist first, publish second. */
export async function executeRun(
  deps: ExecuteRunDeps,
  claimed: ClaimedRun,
  control: ExecutionControl,
): Promise<ExecutionEnd> {
  const isStopping = (): boolean => control.signal.aborted && (control.signal.reason as AbortReason).kind !== "cancel";
  const execution: Execution = {
    ...deps,
    claimed,
    threadEvents: createThreadEventWriter(deps, claimed),
    observer: (await deps.observe?.(claimed, observedLease(deps, claimed, control))) ?? null,
    control,
    retrying: (call) => retry(deps, call, isStopping),
  };
  const { run, lease } = claimed;
  const { leaseToken } = lease;
  const { threadEvents } = execution;
  await execution.retrying(() => deps.eventLog.begin(run, { resumable: run.kwargs.streamResumable, leaseToken }));
  if (threadEvents !== null) await execution.retrying(() => threadEvents.begin());
  const { outcome, reason } = claimed.cancel === null ? await execute(execution) : await untouched(execution);
  const cancel = claimed.cancel ?? (outcome.kind === "aborted" && reason?.kind === "cancel" ? reason.action : null);
  if (outcome.kind !== "success" && cancel === null && reason?.kind === "timeout") {
    return end(execution, { ...outcome, kind: "timeout", error: toJsonText(runTimeoutError(reason.timeoutMs)) }, null);
  }
  if (outcome.kind === "aborted" && cancel === null) {
    await execution.retrying(() => deps.eventLog.flush(run));
    if (execution.observer !== null && reason?.kind === "shutdown") await execution.observer.flush();
    if (threadEvents !== null) await execution.retrying(() => threadEvents.flush());
    if (reason?.kind !== "shutdown") return afterLoss(execution);
    await execution.retrying(() => deps.store.runs.release({ lease }));
    return { kind: "released" };
  }
  return end(execution, outcome, cancel);
}

async function execute(execution: Execution): Promise<Stopped> {
  const { claimed, control, clock, runTimeoutMs, observer } = execution;
  if ((await observer?.begin()) === "stop") {
    return { outcome: { kind: "success", ...(await storedState(execution)) }, reason: null };
  }
  const limited = withTimeLimit(clock, control.signal, timeLimitMs(claimed.run.kwargs.timeoutMs, runTimeoutMs));
  const outcome = await stream(execution, limited.signal);
  limited.clear();
  const reason = limited.signal.aborted ? (limited.signal.reason as AbortReason) : null;
  return { outcome, reason };
}

/** Let the graph run, and its events into the log as long as the lease holds. */
async function stream(
  { claimed, control, engine, eventLog, threadEvents, observer, logger }: Execution,
  signal: AbortSignal,
): Promise<ExecutionOutcome> {
  const { run } = claimed;
  eventLog.append(run, [metadataEvent(run.runId, run.attempt)]);
  // A graph may keep the event loop busy until it ends: requests that came with this one are answered first.
  await new Promise<void>((resolve) => setImmediate(resolve));
  try {
    const events = engine.execute({
      claimed,
      signal,
      threadEvents: threadEvents !== null,
      ...(observer !== null && { observer }),
    });
    for (;;) {
      const next = await events.next();
      const confirmation = control.confirmLease();
      if (confirmation !== null) await confirmation;
      if (next.done) return next.value;
      // What is left of a run that another worker has is nobody's to see.
      if (isLost(control.signal)) continue;
      if (next.value.run.length > 0) eventLog.append(run, next.value.run);
      threadEvents?.append(next.value.thread);
    }
  } catch (error) {
    // Told to stop, it stopped.
    if (signal.aborted) return { kind: "aborted", hasNext: false };
    logger.error({ err: error, runId: run.runId, threadId: run.threadId }, "run failed outside its graph");
    const text = toJsonText({ error: "InternalError", message: "The server failed to execute this run." });
    return { kind: "error", error: text, hasNext: false };
  }
}

function isLost(signal: AbortSignal): boolean {
  return signal.aborted && (signal.reason as AbortReason).kind === "lease-lost";
}

/** A run that was cancelled while nobody held it: its state is what its last worker left. */
async function untouched(execution: Execution): Promise<Stopped> {
  return { outcome: { kind: "aborted", ...(await storedState(execution)) }, reason: null };
}

/** What the thread was before a run that is undone: another graph's, where another one ran on it last. */
async function formerState(execution: Execution): Promise<FinalState> {
  const { claimed, engine } = execution;
  const state = await storedState(execution);
  const graphId = state.madeBy?.graphId;
  if (graphId === undefined || graphId === claimed.run.graphId || !engine.has(graphId)) return state;
  return storedState(execution, graphId);
}

async function storedState(
  { claimed: { run }, store, engine, logger, retrying }: Execution,
  graphId: string = run.graphId,
): Promise<FinalState> {
  if (run.kwargs.temporary) return { hasNext: false };
  const thread = await retrying(() => store.threads.get({ threadId: run.threadId, access: ALL_ROWS }));
  try {
    return await engine.finalState({ graphId, threadId: run.threadId, config: thread?.config ?? {} });
  } catch (error) {
    // A graph that does not load any more must not keep its cancelled run, and with it the thread, for ever.
    logger.error({ err: error, runId: run.runId, threadId: run.threadId }, "state of a cancelled run can't be read");
    return { hasNext: false };
  }
}

/** How an execution ended; one that took too long has an error, too. */
type EndedExecution =
  ExecutionOutcome | ({ readonly kind: "timeout"; readonly error: JsonText } & Omit<FinalState, "madeBy">);

async function end(execution: Execution, outcome: EndedExecution, cancel: CancelAction | null): Promise<ExecutionEnd> {
  const { checkpointer, claimed, retrying } = execution;
  const { run } = claimed;
  let final: FinalState = outcome;
  if (cancel === "rollback" && !run.kwargs.temporary) {
    // Before the row: a crash in between finds the run still cancelled, and does this again.
    await retrying(() => checkpointer.deleteRun({ threadId: run.threadId, runId: run.runId }));
    final = await formerState(execution);
  }
  await retrying(() => storeEvents(execution));
  const { result, finished } = await finish(execution, final, { result: runOutcome(outcome, cancel), cancel });
  if (finished.accepted) {
    await publishEnd(execution, {
      last: lastEventOf(run.runId, result),
      root: rootEndOf({ ...endedAs(result), hasNext: final.hasNext }),
      observed: { ...endedAs(result), ...(final.values !== undefined && { values: final.values }) },
    });
    return { kind: "finished", nextPending: finished.nextPending };
  }
  if (finished.cancelRequested === undefined || cancel === "rollback") return afterLoss(execution);
  return end(execution, outcome, finished.cancelRequested);
}

/**
 * Who comes back for a run's events, or follows its thread, finds those before the end also when this process dies right after
 * the row has ended: only the end itself is then made up by others.
 */
async function storeEvents({ claimed: { run }, eventLog, threadEvents, observer }: Execution): Promise<void> {
  const own = run.kwargs.streamResumable ? eventLog.flush(run) : undefined;
  await Promise.all([threadEvents?.flush(), own, observer?.flush()]);
}

/**
 * Run and thread, in one step. A state that the store cannot hold (MongoDB: 16 MB) makes the run an error that says so, and
 * leaves the thread with the state it had; nobody could end the run otherwise.
 */
async function finish(
  execution: Execution,
  final: FinalState,
  intended: { readonly result: RunOutcome; readonly cancel: CancelAction | null },
): Promise<{ readonly result: RunOutcome; readonly finished: Awaited<ReturnType<RunStore["finish"]>> }> {
  const { store, claimed, retrying } = execution;
  const { result, cancel } = intended;
  const { values, interrupts, hasNext, madeBy } = final;
  try {
    const finished = await retrying(() =>
      store.runs.finish({
        lease: claimed.lease,
        outcome: result,
        threadPatch: {
          ...(values === undefined ? {} : { values }),
          ...(interrupts === undefined ? {} : { interrupts }),
          error: result.kind === "ended" ? (result.error ?? null) : null,
        },
        hasNext,
        ...(cancel === "rollback" && madeBy !== undefined
          ? { threadMetadata: { graph_id: madeBy.graphId, assistant_id: madeBy.assistantId } }
          : {}),
      }),
    );
    return { result, finished };
  } catch (error) {
    const isTooLarge = isHeddleError(error) && error.code === "STATE_TOO_LARGE";
    if (!isTooLarge || (values === undefined && interrupts === undefined)) throw error;
    const reason = toJsonText({ error: errorName(error.code), message: error.message });
    const instead: RunOutcome = cancel === null ? { kind: "ended", status: "error", error: reason } : result;
    const rest: FinalState = { hasNext, ...(madeBy !== undefined && { madeBy }) };
    return finish(execution, rest, { result: instead, cancel });
  }
}

/** The run has ended in the store, so nothing that fails here may give it to another worker. */
async function publishEnd(
  execution: Execution,
  {
    last,
    root,
    observed,
  }: { readonly last: NewRunEvent; readonly root: RootEnd; readonly observed: ObservedEnd | null },
): Promise<void> {
  const { claimed, store, eventLog, threadEvents, observer, logger, retrying } = execution;
  const { run } = claimed;
  try {
    threadEvents?.end(root);
    if (observed !== null) await observer?.ended(observed);
    // Before readers see the end: whoever has read it finds no thread any more.
    if (run.kwargs.temporary && !run.kwargs.streamResumable) {
      await store.threads.delete({ threadId: run.threadId, access: ALL_ROWS }).catch((error: unknown) => {
        logger.warn({ err: error, threadId: run.threadId }, "a stateless run's thread is left to the sweeper");
      });
    }
    const rested = threadEvents === null ? undefined : retrying(() => threadEvents.rest());
    await Promise.all([rested, retrying(() => eventLog.seal(run, [last]))]);
  } catch (error) {
    logger.error({ err: error, runId: run.runId, threadId: run.threadId }, "the end of a run could not be tidied up");
  }
}

/**
 * The lease is gone: another worker has the run; or an earlier try of `finish` was carried out and only its answer was
 * lost; or the run was deleted, with its thread or without, while it was running.
 */
async function afterLoss(execution: Execution): Promise<ExecutionEnd> {
  const { claimed, store, eventLog, threadEvents, retrying } = execution;
  const { run } = claimed;
  const { runId, threadId } = run;
  const row = await retrying(() => store.runs.get({ runId, access: ALL_ROWS }));
  if (row !== null) {
    if (!isTerminal(row.status) || row.attempt !== run.attempt) return { kind: "lost" };
    const root = threadEvents === null ? NO_END : await retrying(() => rootEndOfRow(store, row));
    const observed = { status: row.status, error: row.error };
    await publishEnd(execution, { last: lastEvent(runId, row), root, observed });
    return { kind: "finished", nextPending: true };
  }
  // What was written after the deletion would stay for ever, and a new thread of the same id would show it.
  if (!run.kwargs.temporary) await retrying(() => removeRunLeftovers(execution, run));
  if ((await retrying(() => store.threads.get({ threadId, access: ALL_ROWS }))) !== null) {
    await publishEnd(execution, { last: lastEvent(runId, null), root: NO_END, observed: null });
    return { kind: "finished", nextPending: true };
  }
  // And so would readers of the log.
  await retrying(() => eventLog.drop(run));
  if (threadEvents !== null) await retrying(() => threadEvents.drop());
  return { kind: "lost" };
}

function observedLease({ store }: ExecuteRunDeps, { lease }: ClaimedRun, control: ExecutionControl): ObservedLease {
  return {
    async isHeld() {
      await control.confirmLease();
      return !isLost(control.signal);
    },
    isHeldInStore: async () => !isLost(control.signal) && (await store.runs.holds(lease)),
  };
}

function endedAs(result: RunOutcome): Pick<ObservedEnd, "status" | "error"> {
  if (result.kind === "rolled-back") return { status: "rolled-back", error: null };
  return { status: result.status, error: result.error ?? null };
}

function lastEventOf(runId: string, result: RunOutcome): NewRunEvent {
  if (result.kind === "rolled-back") return endEvent(runId, "rollback");
  return result.error === undefined ? endEvent(runId, result.status) : errorEvent(result.error);
}

function runOutcome(outcome: EndedExecution, cancel: CancelAction | null): RunOutcome {
  if (cancel === "rollback") return { kind: "rolled-back" };
  if (cancel === "interrupt") return { kind: "ended", status: "interrupted" };
  if (outcome.kind === "error" || outcome.kind === "timeout") {
    return { kind: "ended", status: outcome.kind, error: outcome.error };
  }
  return { kind: "ended", status: "success" };
}
