import { toJsonText } from "../../core/json.js";
import type { RunStore } from "../../core/metadata-store.js";
import type { RunLease } from "../../core/run.js";
import { settledStatusAfter } from "../run-rules.js";
import { withDeliveries } from "./delivery-contents.js";
import type { RunningEntry, ThreadDocument } from "./documents.js";
import { dueEntry, endedEntry, requeued } from "./queue.js";
import { leaseText, parseObject } from "./rows.js";
import type { Session } from "./session.js";
import { changeThread, type Decision } from "./thread-change.js";
import { settledState } from "./thread-state.js";

type FinishOutcome = Awaited<ReturnType<RunStore["finish"]>>;

/** `runs.finish` of the MongoDB store: the thread's document changes, and with it the run. */
export async function finishRun(
  session: Session,
  { lease, outcome, threadPatch, hasNext, threadMetadata }: Parameters<RunStore["finish"]>[0],
): Promise<FinishOutcome> {
  const end = outcome.kind === "ended" ? outcome.status : "deleted";
  const error = outcome.kind === "ended" ? (outcome.error ?? null) : null;
  const state = settledState(session, { patch: threadPatch, runError: error });
  const finished = await changeThread(
    session,
    { lease: leaseText(lease) },
    async (thread): Promise<Decision<FinishOutcome>> => {
      const running = heldBy(thread, lease);
      if (thread === null || running === null) return { kind: "leave", result: { accepted: false } };
      if (outcome.kind === "ended" && running.cancel === "rollback") {
        return { kind: "leave", result: { accepted: false, cancelRequested: "rollback" } };
      }
      const now = session.now();
      const status = outcome.kind === "ended" ? outcome.status : outcome.kind;
      const settledStatus = settledStatusAfter(status, hasNext, thread.settledStatus);
      const change = {
        running: null,
        ended: await withDeliveries(session, thread, [endedEntry(running, { end, error, now })], threadPatch.values),
        ...(await state.changeFor(thread, settledStatus, now)),
        ...(threadMetadata === undefined
          ? {}
          : { metadata: toJsonText({ ...parseObject(thread.metadata), ...threadMetadata }) }),
      };
      return {
        kind: "change",
        change,
        result: { accepted: true, nextPending: dueEntry({ running: null, queue: thread.queue }, now) !== null },
      };
    },
  );
  if (finished.accepted) session.leases.forget(leaseText(lease));
  return finished;
}

/** `runs.release` of the MongoDB store. */
export async function releaseRun(session: Session, lease: RunLease): Promise<{ readonly accepted: boolean }> {
  const released = await changeThread(
    session,
    { lease: leaseText(lease) },
    (thread): Decision<{ readonly accepted: boolean }> => {
      const running = heldBy(thread, lease);
      if (thread === null || running === null) return { kind: "leave", result: { accepted: false } };
      const now = session.now();
      const next = { attempt: running.attempt - 1, retryAt: null, now };
      return { kind: "change", change: requeued(thread, running, next), result: { accepted: true } };
    },
  );
  if (released.accepted) session.leases.forget(leaseText(lease));
  return released;
}

function heldBy(thread: ThreadDocument | null, lease: RunLease): RunningEntry | null {
  return thread?.running?.lease === leaseText(lease) ? thread.running : null;
}
