import { ALL_ROWS } from "../../core/auth.js";
import { isHeddleError } from "../../core/errors.js";
import { isTerminal } from "../../core/run-lifecycle.js";
import type { Run } from "../../core/run.js";
import type { RunParts } from "./context.js";
import { eventKey, isTerminalStatus } from "./event.js";
import { LAUNCHES_SPACE, launchWrite } from "./event-log.js";
import { endEvents } from "./run-end.js";
import type { RunRecord } from "./run-record.js";
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
  const { context, logs, runRecords, launcher, rules } = parts;
  const { store, clock, records, logger } = context;
  let after: string | null = null;

  const settle = async (record: RunRecord, run: Run): Promise<void> => {
    const thread = await store.threads.get({ threadId: record.runId, access: ALL_ROWS });
    const { next, interrupts } = await threadFacts(context, record);
    if (!isTerminal(run.status)) return;
    const end = {
      status: run.status,
      error: run.error,
      ...(thread?.values !== undefined && thread.values !== null && { values: thread.values }),
    };
    await logs.decide(record, (fold) => {
      const known = new Set(
        fold.interrupts.filter((one) => one.status === "pending").map((one) => one.langgraphInterruptId),
      );
      const held = interrupts.filter((one) => !known.has(one.langgraphInterruptId));
      const ended = { end, langgraphRunId: run.runId, held, hasNext: next.length > 0, nextNode: next[0] ?? null };
      return isQuiet(fold, clock.now()) ? endEvents(ended, { record, fold, rules, nowMs: clock.now() }) : null;
    });
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

  /** Nobody has answered in time. */
  const expire = async (record: RunRecord): Promise<void> => {
    await logs.decide(record, (fold) => {
      const late = overdue(fold, clock.now());
      if (late === undefined) return null;
      const code = late.suspension.kind === "approval" ? "approval_timeout" : "interrupt_timeout";
      const { nodeId, interruptId } = late;
      const error = { code, message: `Nobody has answered ${interruptId} in time.` };
      return [
        { type: "node.failed", nodeId, payload: { nodeId, error }, hidden: { taskId: late.taskId } },
        ...cancelledNodes(fold, code, new Map([[late.taskId, "failed"]])),
        { type: "run.failed", payload: { error, failedNodeId: nodeId } },
      ];
    });
  };

  const look = async (record: RunRecord, fold: RunFold): Promise<void> => {
    const runs = await store.runs.list({ threadId: record.runId, limit: 20, offset: 0, access: ALL_ROWS });
    if (runs.some(({ status }) => !isTerminal(status))) return;
    const ids = new Set(runs.map(({ runId }) => runId));
    const missing = fold.launches.some((one) => !ids.has(one.langgraphRunId));
    const [newest] = runs;
    if (missing) await launch(record, fold);
    else if (newest !== undefined) await settle(record, newest);
    else if (fold.status !== "pending") await lost(record);
  };

  /** Somebody has deleted the thread. */
  const lost = async (record: RunRecord): Promise<void> => {
    const reason = "thread deleted";
    await logs.decide(record, (fold) =>
      isTerminalStatus(fold.status)
        ? null
        : [...cancelledNodes(fold, reason), { type: "run.cancelled", payload: { reason, cancelledBy: "langgraph" } }],
    );
  };

  const reconcile = async (record: RunRecord, fold: RunFold): Promise<void> => {
    if (overdue(fold, clock.now()) !== undefined) await expire(record);
    if ((fold.status !== "running" && fold.status !== "pending") || !isQuiet(fold, clock.now())) return;
    await look(record, fold);
  };

  return {
    reconcile,
    /** The next runs of all, from the start again after the last. */
    async sweep(): Promise<void> {
      const ids = await runRecords.active(after, PAGE);
      after = ids.length < PAGE ? null : (ids.at(-1) ?? null);
      for (const runId of ids) {
        try {
          const record = await runRecords.findByThread(runId);
          if (record !== null) await reconcile(record, await logs.read(record));
        } catch (error) {
          logger.warn({ err: error, runId }, "what a crash may have left of an OpenWOP run could not be looked at");
        }
      }
    },
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

function overdue({ status, interrupts }: RunFold, nowMs: number): InterruptFold | undefined {
  if (!status.startsWith("waiting-")) return undefined;
  return interrupts.find((one) => one.status === "pending" && one.expiresAt !== null && one.expiresAt <= nowMs);
}

function isQuiet({ lastTimestamp }: RunFold, nowMs: number): boolean {
  return lastTimestamp === null || nowMs - Date.parse(lastTimestamp) >= QUIET_MS;
}
