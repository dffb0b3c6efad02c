import type { Caller } from "../../core/auth.js";
import { isHeddleError } from "../../core/errors.js";
import type { JsonObject } from "../../core/json.js";
import type { RunParts } from "./context.js";
import { EVENTS_SPACE, isTerminalStatus, type NewOpenwopEvent, type OpenwopStatus } from "./event.js";
import type { RunAccess } from "./run-access.js";
import { type DrainPolicy, RUNS_SPACE, type RunRecord } from "./run-record.js";
import { OpenwopRefusal } from "./seams.js";
import { callerOf } from "./launcher.js";
import type { RunFold } from "./snapshot-types.js";
import { cancelledNodes } from "./translate.js";

/** How long the answer to a pause waits for the node that is under way. */
const DRAIN_WAIT_MS = 10_000;
/** How deep children of children are cancelled. */
const MAX_DEPTH = 16;
/** Of one page. */
const CHILDREN = 100;

/** Ending runs, and letting them rest. */
export type RunControl = ReturnType<typeof createRunControl>;

// oxlint-disable-next-line eslint/max-lines-per-function -- operations that share what they work on
export function createRunControl(parts: RunParts, access: RunAccess) {
  const { context, logs, runRecords, launcher } = parts;
  const { hints, clock, logger } = context;

  const cancelTree = async (
    caller: Caller,
    record: RunRecord,
    how: { readonly reason: string; readonly parentRunId?: string; readonly depth: number },
  ): Promise<OpenwopStatus> => {
    const { reason, parentRunId, depth } = how;
    const decision = await logs.decide(record, (fold) =>
      cancelEvents(fold, { reason, parentRunId: parentRunId ?? null }),
    );
    const { status } = decision.fold;
    // One that is cancelled already may have lost who did it before all of this was done.
    if (status !== "cancelled") return status;
    await launcher.stop(caller, record);
    if (depth >= MAX_DEPTH) return status;
    for (let offset = 0; ; offset += CHILDREN) {
      const children = await runRecords.children(record, { limit: CHILDREN, offset });
      for (const child of children) {
        await cancelTree(callerOf(child), child, { ...byParent(record), depth: depth + 1 });
      }
      if (children.length < CHILDREN) return status;
    }
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
      // Those that have not begun rest when they do.
      if (policy === "immediate") await launcher.stop(caller, paused ?? record, ["running"]);
      const reached = await drained(record);
      if (reached === "paused" || reached === "running" || reached === "pending") return reached;
      // It ended, or waits for somebody, before it could rest.
      await runRecords.update(record, (current) => ({ ...current, pause: null }));
      throw stateConflict(reached, "it got there before it could be paused");
    },

    /** @throws OpenwopRefusal 409 with `details.runStatus` */
    async resume(caller: Caller, runId: string): Promise<OpenwopStatus> {
      const record = await access(caller, runId, "update");
      let { status } = await logs.read(record);
      const isStopping = record.pause?.policy === "immediate" && EXECUTING.has(status);
      if (isStopping) {
        // Its LangGraph run is told to stop, or who wanted that has died: nothing takes that back, it goes on from its rest.
        await launcher.stop(caller, record, ["running"]);
        status = await drained(record);
      }
      const wasAsked = record.pause !== null && !isStopping && !isTerminalStatus(status);
      if (status !== "paused" && !wasAsked) throw stateConflict(status, "only a paused run can be resumed");
      const current = (await runRecords.update(record, (one) => ({ ...one, pause: null }))) ?? record;
      const decision = await logs.decide(current, (fold) =>
        fold.status === "paused" ? [{ type: "run.resumed", payload: {} }] : null,
      );
      // It never came to rest, and goes on.
      if (decision.kind === "declined") return decision.fold.status;
      const { sequence } = decision.events[0] ?? { sequence: -1 };
      const launch = decision.fold.launches.find((one) => one.sequence === sequence);
      try {
        if (launch !== undefined) await launcher.create(current, launch);
      } catch (error) {
        // It is resumed; the sweep makes the graph go on.
        logger.error({ err: error, runId }, "a resumed run could not go on yet");
      }
      return decision.fold.status;
    },
  };
}

const EXECUTING: ReadonlySet<OpenwopStatus> = new Set(["running", "pending"]);

/** Why a run ends when the one that has started it was cancelled. */
export function byParent({ runId }: Pick<RunRecord, "runId">) {
  return { reason: "parent cancelled", parentRunId: runId };
}

/** @param how.parentRunId of a run that ends with its parent */
export function cancelEvents(
  fold: RunFold,
  { reason, parentRunId }: { readonly reason: string; readonly parentRunId: string | null },
): readonly NewOpenwopEvent[] {
  const cancelledBy = parentRunId === null ? "api" : "parent";
  const payload = { reason, cancelledBy, ...(parentRunId !== null && { parentRunId }) };
  return [...cancelledNodes(fold, reason), { type: "run.cancelled", payload }];
}

function stateConflict(runStatus: OpenwopStatus, why: string): OpenwopRefusal {
  return new OpenwopRefusal({
    status: 409,
    code: "run_state_conflict",
    message: `The run is ${runStatus}: ${why}.`,
    details: { runStatus },
  });
}
