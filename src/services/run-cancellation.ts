import type { AccessFilter, Caller } from "../core/auth.js";
import { ALL_ROWS } from "../core/auth.js";
import { HeddleError } from "../core/errors.js";
import type { CancelOutcome, SupersededRun } from "../core/metadata-store.js";
import { retry } from "../core/retry.js";
import { endEvent } from "../core/run-event.js";
import { isTerminal } from "../core/run-lifecycle.js";
import type { CancelAction, Run, RunRef } from "../core/run.js";
import type { RunFollowing } from "./run-following.js";
import type { RunsDeps } from "./runs.js";
import { threadNotFound } from "./threads.js";

/** Ending runs early (docs/wire/langgraph-api.md §2.9.3). The store decides; signals only make it fast. */
export function createRunCancellation(deps: RunsDeps & { readonly following: RunFollowing }) {
  const { store, checkpointer, engine, eventLog, dispatcher, authorize, logger } = deps;

  /** For what comes after the store has decided: nobody would do it later. */
  const retrying = <T>(call: () => Promise<T>): Promise<T> => retry(deps, call, () => true);

  /** A run that never started has ended: tell its readers, and remove the thread of a stateless one. */
  const endPending = async (run: RunRef, action: CancelAction, temporary: boolean): Promise<void> => {
    // Its creator may not have come to this yet.
    await retrying(() => eventLog.begin(run));
    const last = endEvent(run.runId, action === "rollback" ? "rollback" : "interrupted");
    await retrying(() => eventLog.seal(run, [last]));
    if (temporary) await retrying(() => store.threads.delete({ threadId: run.threadId, access: ALL_ROWS }));
  };

  const request = async (run: RunRef, action: CancelAction, access: AccessFilter): Promise<CancelOutcome> => {
    const outcome = await store.runs.requestCancel({ runId: run.runId, threadId: run.threadId, action, access });
    if (outcome.kind === "cancelled") await endPending(run, action, outcome.run.kwargs.temporary);
    if (outcome.kind === "requested") {
      dispatcher.signal(run, action);
      // A run that was taken back from a dead worker waits to be claimed: whoever does so ends it.
      dispatcher.announce(run.threadId);
    }
    return outcome;
  };

  const authorizeCancel = (caller: Caller, run: RunRef, action: CancelAction) =>
    authorize(caller, "threads", "update", {
      thread_id: run.threadId,
      action,
      metadata: { run_ids: [run.runId], status: "pending" },
    });

  const missing = async (threadId: string, access: AccessFilter): Promise<HeddleError> =>
    (await store.threads.get({ threadId, access })) === null
      ? threadNotFound(threadId)
      : new HeddleError("RUN_NOT_FOUND");

  return {
    request,

    /** @throws `THREAD_NOT_FOUND`, `RUN_NOT_FOUND` for a run that the caller may see, but not cancel; `FORBIDDEN` */
    async requireCancellable(caller: Caller, run: RunRef): Promise<void> {
      const { access } = await authorizeCancel(caller, run, "interrupt");
      const { runId, threadId } = run;
      if ((await store.runs.get({ runId, threadId, access })) === null) throw await missing(threadId, access);
    },

    /**
     * What a multitask strategy did to older runs: tell their workers, or their readers. A failure is logged: the new run
     * stands (§2.9.2).
     */
    async afterSuperseded(superseded: readonly SupersededRun[]): Promise<void> {
      for (const run of superseded) {
        if (run.was === "running") {
          dispatcher.signal(run, run.action);
          continue;
        }
        try {
          await endPending(run, run.action, run.temporary);
        } catch (error) {
          logger.error(
            { err: error, runId: run.runId, threadId: run.threadId },
            "a superseded run's readers were not told",
          );
        }
      }
    },

    /**
     * @param options.wait resolve only when the run has ended
     * @throws `RUN_NOT_FOUND`, `THREAD_NOT_FOUND`, `RUN_FINISHED`
     */
    async cancel(
      caller: Caller,
      run: RunRef,
      options: { readonly action: CancelAction; readonly wait: boolean; readonly signal?: AbortSignal },
    ): Promise<void> {
      const { access } = await authorizeCancel(caller, run, options.action);
      const outcome = await request(run, options.action, access);
      if (outcome.kind === "not-found") throw await missing(run.threadId, access);
      if (outcome.kind === "finished") {
        throw new HeddleError("RUN_FINISHED", {
          message: `Run ${run.runId} is already finished (${outcome.run.status})`,
        });
      }
      if (outcome.kind === "requested" && options.wait) await deps.following.ended(run, options.signal);
    },

    /** By status, or by thread and ids (§2.6.10). @returns how many were cancelled */
    async cancelMany(
      caller: Caller,
      selection:
        | { readonly status: "pending" | "running" | "all" }
        | { readonly threadId: string; readonly runIds: readonly string[] },
      action: CancelAction,
    ): Promise<number> {
      const { access } = await authorize(caller, "threads", "update", {
        thread_id: "threadId" in selection ? selection.threadId : undefined,
        action,
        metadata: { run_ids: "runIds" in selection ? selection.runIds : [], status: "pending" },
      });
      const status =
        "status" in selection && selection.status !== "all" ? [selection.status] : (["pending", "running"] as const);
      let cancelled = 0;
      // Newest first: a queued run must not start because the one before it was just cancelled.
      const seen = new Set<string>();
      for (;;) {
        const runs: readonly Run[] = await store.runs.list({
          ...("threadId" in selection ? { threadId: selection.threadId, runIds: selection.runIds } : {}),
          status,
          limit: 1000,
          offset: 0,
          access,
        });
        const fresh = runs.filter((run) => !seen.has(run.runId));
        if (fresh.length === 0) return cancelled;
        for (const run of fresh) {
          seen.add(run.runId);
          const outcome = await request(run, action, access);
          if (outcome.kind === "cancelled" || outcome.kind === "requested") cancelled++;
        }
        if (runs.length < 1000) return cancelled;
      }
    },

    /** Removes the run and its checkpoints; a running one is rolled back first (§2.6.6). */
    async delete(caller: Caller, ref: RunRef): Promise<void> {
      const { access } = await authorize(caller, "threads", "delete", { thread_id: ref.threadId, run_id: ref.runId });
      const found = await store.runs.get({ ...ref, access });
      // Before the row, which can be seen and deleted again after a crash: without it nothing names the run's checkpoints.
      if (found !== null && isTerminal(found.status)) await checkpointer.deleteRun(refOf(found));
      const outcome = await store.runs.delete({ ...ref, access });
      if (outcome.kind === "not-found") throw await missing(ref.threadId, access);
      if (outcome.kind === "running") {
        const cancelled = await request(ref, "rollback", access);
        if (cancelled.kind === "requested") await deps.following.ended(ref);
        // It may have finished between the two questions: then it is an ordinary finished run now.
        const again = await store.runs.delete({ ...ref, access });
        if (again.kind !== "deleted") return;
      }
      await checkpointer.deleteRun(refOf(ref));
      await eventLog.drop(ref);
      const thread = await store.threads.get({ threadId: ref.threadId, access });
      if (thread === null) return;
      const graphId = thread.metadata["graph_id"];
      if (typeof graphId !== "string" || !engine.has(graphId)) return;
      const final = await engine.finalState({ graphId, threadId: ref.threadId, config: thread.config });
      await store.threads.patchState({ threadId: ref.threadId, patch: final, hasNext: final.hasNext });
    },
  };
}

function refOf({ runId, threadId }: RunRef): RunRef {
  return { runId, threadId };
}
