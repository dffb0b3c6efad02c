import type { CancelOutcome, RunStore } from "../../core/metadata-store.js";
import { isTerminal } from "../../core/run-lifecycle.js";
import type { Run } from "../../core/run.js";
import { strongerCancel } from "../run-rules.js";
import { withDeliveries } from "./delivery-contents.js";
import { endedPlace, locateRun } from "./locate-run.js";
import { cancelledLater, endedEntry } from "./queue.js";
import { placeOf, runOf } from "./rows.js";
import type { Session } from "./session.js";
import { changeThread, type Decision } from "./thread-change.js";

type DeleteOutcome = Awaited<ReturnType<RunStore["delete"]>>;

/** `runs.requestCancel` of the MongoDB store. */
export async function cancelRun(
  session: Session,
  params: Parameters<RunStore["requestCancel"]>[0],
): Promise<CancelOutcome> {
  const { runId, action } = params;
  const found = await locateRun(session, params);
  if (found === null) return { kind: "not-found" };
  const { run } = found;
  return changeThread(session, { threadId: run.threadId }, async (thread): Promise<Decision<CancelOutcome>> => {
    const leave = (result: CancelOutcome): Decision<CancelOutcome> => ({ kind: "leave", result });
    if (thread === null || thread.uid !== run.thread) return leave({ kind: "not-found" });
    const place = placeOf(thread, run) ?? (await endedPlace(session, runId));
    if (place === null) return leave({ kind: "not-found" });
    const { entry } = place;
    const current = runOf(run, place);
    if (entry === null) return leave({ kind: "finished", run: current });
    const requested = { kind: "requested", run: current } as const;
    if ("lease" in entry) {
      const change = { cancelRunning: strongerCancel(entry.cancel, action) };
      return { kind: "change", change, result: requested };
    }
    // A run that a worker has held before may have left checkpoints: the next worker undoes or keeps them.
    if (entry.leaseToken > 0) {
      const queue = thread.queue.map((other) => (other === entry ? cancelledLater(other, action) : other));
      return { kind: "change", change: { queue }, result: requested };
    }
    const now = session.now();
    const ended = endedEntry(entry, { end: action === "rollback" ? "deleted" : "interrupted", now });
    const told = await withDeliveries(session, thread, [ended]);
    const after = placeOf({ running: null, queue: [], ended: [ended] }, run);
    return {
      kind: "change",
      change: { queue: thread.queue.filter((other) => other !== entry), ended: told },
      result: { kind: "cancelled", run: after === null ? current : runOf(run, after) },
    };
  });
}

/** `runs.delete` of the MongoDB store. */
export async function deleteRun(session: Session, params: Parameters<RunStore["delete"]>[0]): Promise<DeleteOutcome> {
  const { runId, threadId } = params;
  const found = await locateRun(session, params);
  if (found === null) return { kind: "not-found" };
  const { run } = found;
  const outcome = await changeThread(session, { threadId }, async (thread): Promise<Decision<DeleteOutcome>> => {
    const place = thread === null || thread.uid !== run.thread ? null : placeOf(thread, run);
    // It was found, so it has ended meanwhile and was struck off.
    if (thread === null || place === null) return { kind: "leave", result: deleted(runOf(run, found.place)) };
    if (place.status === "running") return { kind: "leave", result: { kind: "running" } };
    const { entry } = place;
    const ended = entry === null ? null : endedEntry(entry, { end: "deleted", now: session.now() });
    // Nobody is told of it from here any more, and the end that is not written yet may be one to tell of.
    if (ended === null) await session.outbox.settle([{ threadId, ended: thread.ended }]);
    if (ended === null) return { kind: "leave", result: deleted(runOf(run, place)) };
    const queue = thread.queue.filter((other) => other !== entry);
    return { kind: "change", change: { queue, ended: [ended] }, result: deleted(runOf(run, place)) };
  });
  if (outcome.kind === "deleted" && isTerminal(outcome.run.status)) {
    // An end that is not written yet would find nothing to write to.
    await session.retrying(() => session.runs.deleteOne({ _id: runId, thread: run.thread }));
  }
  return outcome;
}

function deleted(run: Run): { readonly kind: "deleted"; readonly run: Run } {
  return { kind: "deleted", run };
}
