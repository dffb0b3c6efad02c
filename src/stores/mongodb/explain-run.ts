import type { RunExplanation } from "../../core/metadata-store.js";
import type { RunDocument, ThreadDocument } from "./documents.js";
import { type RunPlace, runOf } from "./rows.js";

/** `runs.explain` of the MongoDB store. */
export function explanationOf(params: {
  readonly run: RunDocument;
  readonly thread: ThreadDocument;
  readonly place: RunPlace;
  readonly now: number;
}): RunExplanation {
  const { run, thread, place, now } = params;
  const { running, queue } = thread;
  const isPending = place.status === "pending";
  const at = queue.findIndex(({ runId }) => runId === run._id);
  const first = isPending ? (running ?? (at > 0 ? queue[0] : undefined)) : undefined;
  const holder = place.status === "running" ? running : null;
  const retryAt = isPending ? queue.reduce((latest, entry) => Math.max(latest, entry.retryAt ?? 0), 0) : 0;
  return {
    run: runOf(run, place),
    now,
    ahead: isPending ? at + (running === null ? 0 : 1) : 0,
    blockedBy:
      first === undefined
        ? null
        : { runId: first.runId, threadId: run.threadId, status: first === running ? "running" : "pending" },
    holder:
      holder === null
        ? null
        : {
            workerId: holder.workerId,
            leaseToken: holder.leaseToken,
            heartbeatAt: holder.heartbeatAt,
            expiresAt: holder.leaseUntil,
          },
    retryAt: retryAt > now ? retryAt : null,
    cancelRequested: place.entry?.cancel ?? null,
  };
}
