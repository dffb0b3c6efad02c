import type { Caller } from "../../core/auth.js";
import { isHeddleError } from "../../core/errors.js";
import type { JsonObject } from "../../core/json.js";
import type { RunParts } from "./context.js";
import { EVENTS_SPACE, isTerminalStatus, type OpenwopStatus } from "./event.js";
import type { RunAccess } from "./run-access.js";
import { type DrainPolicy, RUNS_SPACE, type RunRecord } from "./run-record.js";
import { OpenwopRefusal } from "./seams.js";
import { callerOf } from "./launcher.js";
import { cancelledNodes } from "./translate.js";

/** How long the answer to a pause waits for the node that is under way. */
const DRAIN_WAIT_MS = 10_000;
/** How deep children of children are cancelled. */
const MAX_DEPTH = 16;

/** Ending runs, and letting them rest. */
export type RunControl = ReturnType<typeof createRunControl>;

// oxlint-disable-next-line eslint/max-lines-per-function -- operations that share what they work on
export function createRunControl(parts: RunParts, access: RunAccess) {
  const { context, logs, runRecords, launcher } = parts;
  const { services, hints, clock, logger } = context;

  /** LangGraph runs of the thread stop. The log has ended already, so whatever they still do is not told. */
  const stopLanggraph = async (caller: Caller, { runId: threadId }: RunRecord): Promise<void> => {
    for (const status of ["pending", "running"] as const) {
      try {
        const runs = await services.runs.list(caller, threadId, { status, limit: 100, offset: 0 });
        for (const { runId } of runs) {
          await services.runs.cancel(caller, { threadId, runId }, { action: "interrupt", wait: false });
        }
      } catch (error) {
        if (!isHeddleError(error) || !ENDED.has(error.code)) throw error;
      }
    }
  };

  const cancelTree = async (
    caller: Caller,
    record: RunRecord,
    how: { readonly reason: string; readonly parentRunId?: string; readonly depth: number },
  ): Promise<OpenwopStatus> => {
    const { reason, parentRunId, depth } = how;
    const decision = await logs.decide(record, (fold) => [
      ...cancelledNodes(fold, reason),
      {
        type: "run.cancelled",
        payload: {
          reason,
          cancelledBy: parentRunId === undefined ? "api" : "parent",
          ...(parentRunId !== undefined && { parentRunId }),
        },
      },
    ]);
    if (decision.kind === "declined") return decision.fold.status;
    await stopLanggraph(caller, record);
    if (depth >= MAX_DEPTH) return decision.fold.status;
    for (const child of await runRecords.children(record)) {
      await cancelTree(callerOf(child), child, {
        reason: "parent cancelled",
        parentRunId: record.runId,
        depth: depth + 1,
      });
    }
    return decision.fold.status;
  };

  const cancel = async (caller: Caller, runId: string, body: JsonObject): Promise<OpenwopStatus> => {
    const record = await access(caller, runId, "update");
    const { reason } = body;
    return cancelTree(caller, record, { reason: typeof reason === "string" ? reason : "cancelled", depth: 0 });
  };

  /** Until the run rests, or does something else than to run. */
  const drained = async (record: RunRecord): Promise<OpenwopStatus> => {
    const topic = { space: EVENTS_SPACE, owner: record.owner, collection: record.runId };
    const until = clock.now() + DRAIN_WAIT_MS;
    for (;;) {
      const stop = new AbortController();
      const hint = hints.wait(topic, { timeoutMs: Math.max(1, until - clock.now()), signal: stop.signal });
      const { status } = await logs.read(record);
      if ((status !== "running" && status !== "pending") || clock.now() >= until || context.closing.aborted) {
        stop.abort();
        return status;
      }
      await hint;
    }
  };

  return {
    cancel,

    /** @returns in order of `runIds`; what is wrong with one does not keep the others */
    async cancelMany(caller: Caller, runIds: readonly string[], body: JsonObject): Promise<readonly JsonObject[]> {
      const results: JsonObject[] = [];
      for (const runId of runIds) {
        try {
          results.push({ runId, ok: true, status: await cancel(caller, runId, body) });
        } catch (error) {
          if (!(error instanceof OpenwopRefusal) && !isHeddleError(error)) throw error;
          const isKnown = error instanceof OpenwopRefusal;
          if (!isKnown && error.code !== "FORBIDDEN") throw error;
          const said = { error: isKnown ? error.code : "forbidden", message: error.message };
          results.push({ runId, ok: false, error: said });
        }
      }
      return results;
    },

    /**
     * Let it rest after the superstep that is under way, or at once.
     * @returns how it stands then: `paused`; still `running` when its node takes longer than {@link DRAIN_WAIT_MS}
     * @throws OpenwopRefusal 409 with `details.runStatus`
     */
    async pause(
      caller: Caller,
      runId: string,
      { policy, reason }: { readonly policy: DrainPolicy; readonly reason: string | null },
    ): Promise<OpenwopStatus> {
      const record = await access(caller, runId, "update");
      const { status } = await logs.read(record);
      if (status !== "running" && status !== "pending")
        throw stateConflict(status, "only a run that executes can be paused");
      let isFirst = false;
      const paused = await runRecords.update(record, (current) => {
        isFirst = current.pause === null;
        return isFirst ? { ...current, pause: { policy, reason } } : null;
      });
      if (!isFirst) throw stateConflict("paused", "it is being paused already");
      hints.touched({ space: RUNS_SPACE, owner: record.owner, collection: runId });
      if (policy === "immediate") await stopLanggraph(caller, paused ?? record);
      const reached = await drained(record);
      if (reached === "paused" || reached === "running" || reached === "pending") return reached;
      // It ended, or waits for somebody, before it could rest.
      await runRecords.update(record, (current) => ({ ...current, pause: null }));
      throw stateConflict(reached, "it got there before it could be paused");
    },

    /** @throws OpenwopRefusal 409 with `details.runStatus` */
    async resume(caller: Caller, runId: string): Promise<OpenwopStatus> {
      const record = await access(caller, runId, "update");
      const before = await logs.read(record);
      const wasAsked = record.pause !== null && !isTerminalStatus(before.status);
      if (before.status !== "paused" && !wasAsked)
        throw stateConflict(before.status, "only a paused run can be resumed");
      const current = (await runRecords.update(record, (one) => ({ ...one, pause: null }))) ?? record;
      const decision = await logs.decide(current, (fold) =>
        fold.status === "paused" ? [{ type: "run.resumed", payload: {} }] : null,
      );
      // It never came to rest, and goes on.
      if (decision.kind === "declined") return decision.fold.status;
      const { sequence } = decision.events[0] ?? { sequence: -1 };
      const launch = decision.fold.launches.find((one) => one.sequence === sequence);
      if (launch !== undefined) await launcher.create(current, launch);
      else logger.warn({ runId }, "a resumed run was taken up by somebody else");
      return decision.fold.status;
    },
  };
}

/** What is over when it is to be stopped. */
const ENDED: ReadonlySet<string> = new Set(["THREAD_NOT_FOUND", "RUN_NOT_FOUND", "RUN_FINISHED"]);

function stateConflict(runStatus: OpenwopStatus, why: string): OpenwopRefusal {
  return new OpenwopRefusal({
    status: 409,
    code: "run_state_conflict",
    message: `The run is ${runStatus}: ${why}.`,
    details: { runStatus },
  });
}
