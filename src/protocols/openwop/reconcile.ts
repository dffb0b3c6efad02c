import { ALL_ROWS } from "../../core/auth.js";
import { isHeddleError } from "../../core/errors.js";
import { isTerminal } from "../../core/run-lifecycle.js";
import type { Run } from "../../core/run.js";
import type { RunParts } from "./context.js";
import { byParent, cancelEvents } from "./control.js";
import { eventKey, isTerminalStatus, type NewOpenwopEvent } from "./event.js";
import { indexWrite, LAUNCHES_SPACE, launchWrite } from "./event-log.js";
import { callerOf } from "./launcher.js";
import { replayOf } from "./observe.js";
import { endEvents } from "./run-end.js";
import { INDEX_SPACE, type RunRecord } from "./run-record.js";
import type { InterruptFold, RunFold } from "./snapshot-types.js";
import { threadFacts } from "./thread-facts.js";
import { cancelledNodes } from "./translate.js";

/** A log that says nothing for so long is compared with what its thread says. */
const QUIET_MS = 2_000;
/** Runs that are looked at in one go. */
const PAGE = 100;

/**
 * Makes up for what a crash has kept from being done: a LangGraph run that a log calls for is created, the end of one that has ended is
 * told of. Whoever reads a run and the sweep both do it; the log's own order makes it happen once.
 */
export type Reconciler = ReturnType<typeof createReconciler>;

export function createReconciler(parts: RunParts) {
  const reconcile = createRepair(parts);
  return { reconcile, sweep: createRound(parts, reconcile) };
}

type Reconcile = (record: RunRecord, fold: RunFold) => Promise<void>;

/** Of one run. */
function createRepair(parts: RunParts): Reconcile {
  const { context, logs, runRecords, launcher, rules } = parts;
  const { store, clock, records, logger } = context;

  /** @param seen last event of the log when it was seen that nothing executes any more: what has come since knows better */
  const settle = async (before: RunRecord, run: Run, seen: number): Promise<void> => {
    if (!isTerminal(run.status)) return;
    const [now, replay] = await Promise.all([runRecords.find(before.owner, before.runId), replayOf(parts, before)]);
    // As it is after the run was stopped: a pause may have been asked for.
    const record = now ?? before;
    const thread = await store.threads.get({ threadId: record.runId, access: ALL_ROWS });
    const { next, interrupts } = await threadFacts(context, record);
    const end = {
      status: run.status,
      error: run.error,
      ...(thread?.values !== undefined && thread.values !== null && { values: thread.values }),
    };
    const decision = await logs.decide(record, (fold) => {
      if (fold.sequence !== seen || !isQuiet(fold, clock.now())) return null;
      const known = new Set(
        fold.interrupts.filter((one) => one.status === "pending").map((one) => one.langgraphInterruptId),
      );
      const held = interrupts.filter((one) => !known.has(one.langgraphInterruptId));
      const ended = {
        end,
        langgraphRunId: run.runId,
        hasBegun: next.length > 0 && fold.launches.some(({ kind }) => kind === "start"),
        isLast: true,
        held,
        hasNext: next.length > 0,
        nextNode: next[0] ?? null,
        ...(replay !== null && { replay }),
      };
      const events = endEvents(ended, { record, fold, rules, nowMs: clock.now() });
      return events === null || replay === null ? events : replay.completed(events, fold);
    });
    if (decision.kind === "declined") return;
    // What a replay answers itself.
    const launches = decision.fold.launches.filter(({ sequence }) => sequence > seen);
    for (const one of launches) await launcher.repeat(record, one);
  };

  const launch = async (record: RunRecord, fold: RunFold): Promise<void> => {
    for (const one of fold.launches) {
      const key = { space: LAUNCHES_SPACE, owner: record.owner, collection: record.runId, key: eventKey(one.sequence) };
      const right = await records.write(launchWrite(record.owner, record.runId, one.sequence));
      if (right.kind === "conflict") continue;
      try {
        await launcher.repeat(record, one);
      } catch (error) {
        if (!isHeddleError(error) || !FINAL.has(error.code)) throw error;
        await fail(record, "node_execution_failed", `The run can't go on: ${error.message}`);
      } finally {
        await records.remove({ ...key, expected: right.record.version });
      }
    }
  };

  const fail = async (record: RunRecord, code: string, message: string): Promise<void> => {
    await logs.decide(record, (fold) => [
      ...cancelledNodes(fold, code),
      { type: "run.failed", payload: { error: { code, message } } },
    ]);
  };

  const look = async (record: RunRecord, fold: RunFold): Promise<void> => {
    const { sequence } = fold;
    const runs = await store.runs.list({ threadId: record.runId, limit: 20, offset: 0, access: ALL_ROWS });
    if (runs.some(({ status }) => !isTerminal(status))) return;
    const ids = new Set(runs.map(({ runId }) => runId));
    const missing = fold.launches.some((one) => !ids.has(one.langgraphRunId));
    const [newest] = runs;
    if (missing) await launch(record, fold);
    else if (newest !== undefined) await settle(record, newest, sequence);
    else if (fold.status !== "pending") await lost(record, sequence);
  };

  /** Somebody has deleted the thread. */
  const lost = async (record: RunRecord, seen: number): Promise<void> => {
    const reason = "thread deleted";
    await logs.decide(record, (fold) =>
      fold.sequence !== seen || isTerminalStatus(fold.status)
        ? null
        : [...cancelledNodes(fold, reason), { type: "run.cancelled", payload: { reason, cancelledBy: "langgraph" } }],
    );
  };

  /** Whoever reads a run reads it also when it can't be made up for now: that is tried again. */
  return async (record, fold) => {
    try {
      if (overdue(fold, clock.now()) !== undefined) {
        await logs.decide(record, (now) => expiryEvents(now, clock.now()));
      }
      if ((fold.status !== "running" && fold.status !== "pending") || !isQuiet(fold, clock.now())) return;
      await look(record, fold);
    } catch (error) {
      logger.warn(
        { err: error, runId: record.runId },
        "what a crash may have left of an OpenWOP run could not be made up for; trying again",
      );
    }
  };
}

/** Of the next runs of all, from the start again after the last. */
function createRound(parts: RunParts, reconcile: Reconcile): () => Promise<void> {
  const { context, logs, runRecords, launcher } = parts;
  const { records, logger } = context;
  let after: string | null = null;

  /** Its parent was cancelled by a process that died before it came to this one, or while this one was created. */
  const endWithParent = async (record: RunRecord): Promise<boolean> => {
    const { owner, parentRunId } = record;
    const parent = parentRunId === null ? null : await runRecords.find(owner, parentRunId);
    if (parent === null || (await logs.read(parent)).status !== "cancelled") return false;
    await logs.decide(record, (fold) => cancelEvents(fold, byParent(parent)));
    await launcher.stop(callerOf(record), record);
    return true;
  };

  /** It has ended, and still counts as active: where the storage has no step for both, a crash leaves it so. */
  const noteEnded = async ({ owner, runId }: RunRecord): Promise<void> => {
    const row = await records.get({ space: INDEX_SPACE, owner: "", collection: "", key: runId });
    if (row?.labels["active"] === undefined) return;
    await records.write({ ...indexWrite({ owner, runId }, false), expected: row.version });
  };

  return async () => {
    const ids = await runRecords.active(after, PAGE);
    after = ids.length < PAGE ? null : (ids.at(-1) ?? null);
    for (const runId of ids) {
      try {
        const record = await runRecords.findByThread(runId);
        if (record === null) continue;
        const fold = await logs.read(record);
        if (isTerminalStatus(fold.status)) await noteEnded(record);
        else if (!(await endWithParent(record))) await reconcile(record, fold);
      } catch (error) {
        logger.warn({ err: error, runId }, "what a crash may have left of an OpenWOP run could not be looked at");
      }
    }
  };
}

/** What a LangGraph run will never be created for. */
const FINAL: ReadonlySet<string> = new Set([
  "ASSISTANT_NOT_FOUND",
  "GRAPH_NOT_FOUND",
  "THREAD_NOT_FOUND",
  "FORBIDDEN",
  "UNAUTHENTICATED",
]);

/** Nobody has answered in time. */
function expiryEvents(fold: RunFold, nowMs: number): readonly NewOpenwopEvent[] | null {
  const late = overdue(fold, nowMs);
  if (late === undefined) return null;
  const code = late.suspension.kind === "approval" ? "approval_timeout" : "interrupt_timeout";
  const { nodeId, interruptId } = late;
  const error = { code, message: `Nobody has answered ${interruptId} in time.` };
  return [
    { type: "node.failed", nodeId, payload: { nodeId, error }, hidden: { taskId: late.taskId } },
    ...cancelledNodes(fold, code, new Map([[late.taskId, "failed"]])),
    { type: "run.failed", payload: { error, failedNodeId: nodeId } },
  ];
}

function overdue({ status, interrupts }: RunFold, nowMs: number): InterruptFold | undefined {
  if (!status.startsWith("waiting-")) return undefined;
  return interrupts.find((one) => one.status === "pending" && one.expiresAt !== null && one.expiresAt <= nowMs);
}

function isQuiet({ lastTimestamp }: RunFold, nowMs: number): boolean {
  return lastTimestamp === null || nowMs - Date.parse(lastTimestamp) >= QUIET_MS;
}
