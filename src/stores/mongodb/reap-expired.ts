import type { Filter } from "mongodb";
import { toJsonText } from "../../core/json.js";
import type { RunStore } from "../../core/metadata-store.js";
import { afterExpiredLease } from "../../core/run-lifecycle.js";
import type { RunRef } from "../../core/run.js";
import { maxAttemptsError, retryAtAfter } from "../run-rules.js";
import { withDeliveries } from "./delivery-contents.js";
import type { RunningEntry, ThreadDocument } from "./documents.js";
import { endedEntry, requeued } from "./queue.js";
import { repair } from "./repair.js";
import type { Session } from "./session.js";
import { changeThread, type Decision } from "./thread-change.js";
import { settledState } from "./thread-state.js";

type Reaped = "requeued" | "failed" | null;
type ReapParameters = Parameters<RunStore["reapExpired"]>[0];

/** `runs.reapExpired` of the MongoDB store; then what dead processes have left half done. */
export async function reapExpired(
  session: Session,
  params: ReapParameters,
): Promise<{ readonly requeued: readonly RunRef[]; readonly failed: readonly RunRef[] }> {
  const { isAlive } = params;
  const isLost = ({ leaseUntil, workerId }: RunningEntry, now: number): boolean =>
    leaseUntil <= now || !(isAlive?.(workerId) ?? true);
  const filter: Filter<ThreadDocument> =
    isAlive === undefined ? { "running.leaseUntil": { $lte: session.now() } } : { "running.lease": { $exists: true } };
  const running = await session.retrying(() => session.threads.find(filter, { projection: { running: 1 } }).toArray());
  const found: { readonly ref: RunRef; readonly reaped: Reaped }[] = [];
  for (const { _id: threadId, running: entry } of running) {
    if (entry === null || !isLost(entry, session.now())) continue;
    const reaped = await reapOne(session, threadId, { entry, isLost, params });
    found.push({ ref: { runId: entry.runId, threadId }, reaped });
  }
  await repair(session);
  const refs = (kind: Reaped): readonly RunRef[] => found.filter(({ reaped }) => reaped === kind).map(({ ref }) => ref);
  return { requeued: refs("requeued"), failed: refs("failed") };
}

async function reapOne(
  session: Session,
  threadId: string,
  {
    entry,
    isLost,
    params: { maxAttempts, retryDelayMs },
  }: {
    readonly entry: RunningEntry;
    readonly isLost: (entry: RunningEntry, now: number) => boolean;
    readonly params: ReapParameters;
  },
): Promise<Reaped> {
  return changeThread(session, { threadId }, async (thread): Promise<Decision<Reaped>> => {
    const now = session.now();
    const running = thread?.running ?? null;
    if (thread === null || running === null || running.lease !== entry.lease || !isLost(running, now)) {
      return { kind: "leave", result: null };
    }
    // A heartbeat that comes first keeps the run.
    const onlyIf: Filter<ThreadDocument> = {
      "running.lease": running.lease,
      "running.leaseUntil": running.leaseUntil,
    };
    const { attempt, cancel, workerId } = running;
    // With a cancel requested no attempt will execute the graph again, so none is one too many.
    if (cancel !== null || afterExpiredLease({ attempt, maxAttempts }) === "pending") {
      const retryAt = retryAtAfter({ now, attempt, cancel, retryDelayMs });
      return {
        kind: "change",
        change: requeued(thread, running, { attempt, retryAt, now }),
        onlyIf,
        result: "requeued",
      };
    }
    const error = toJsonText(maxAttemptsError(attempt, workerId));
    const state = settledState(session, { patch: { error }, runError: error });
    const change = {
      running: null,
      ended: await withDeliveries(session, thread, [endedEntry(running, { end: "error", error, now })]),
      ...(await state.changeFor(thread, "error", now)),
    };
    return { kind: "change", change, onlyIf, result: "failed" };
  });
}
