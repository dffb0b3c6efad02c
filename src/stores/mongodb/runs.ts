import type { AccessFilter } from "../../core/auth.js";
import { toJsonText } from "../../core/json.js";
import type { CancelOutcome, RunStore } from "../../core/metadata-store.js";
import { isTerminal } from "../../core/run-lifecycle.js";
import type { Run, RunLease } from "../../core/run.js";
import { settledStatusAfter, strongerCancel } from "../run-rules.js";
import { claimRuns } from "./claim-runs.js";
import { createRun } from "./create-run.js";
import type { RunDocument, RunningEntry, ThreadDocument } from "./documents.js";
import { explanationOf } from "./explain-run.js";
import { listRuns } from "./list-runs.js";
import { cancelledLater, dueEntry, endedEntry, requeued } from "./queue.js";
import { reapExpired } from "./reap-expired.js";
import { leaseText, parseObject, placeOf, type RunPlace, runOf, showsMetadata } from "./rows.js";
import type { Session } from "./session.js";
import { changeThread, type Decision, WITHOUT_TEXTS } from "./thread-change.js";
import { settledState } from "./thread-state.js";

/** How many due delayed runs `nextDueAt` looks at in one go. */
const DELAYED_PER_READ = 50;

type FinishOutcome = Awaited<ReturnType<RunStore["finish"]>>;

/** The run queue in MongoDB. What decides is in the documents of the threads: README.md of this folder. */
export function createMongoRuns(session: Session): RunStore {
  const { runs, threads } = session;

  const findRun = (runId: string, threadId: string | undefined): Promise<RunDocument | null> =>
    session.retrying(() => runs.findOne({ _id: runId, ...(threadId === undefined ? {} : { threadId }) }));

  const located = async (params: {
    readonly runId: string;
    readonly threadId?: string;
    readonly access: AccessFilter;
  }): Promise<{ run: RunDocument; thread: ThreadDocument; place: RunPlace } | null> => {
    // A run's document says how it ended only after its thread did: read first, it may be older, never newer.
    const run = await findRun(params.runId, params.threadId);
    if (run === null) return null;
    const thread = await session.retrying(() => threads.findOne({ _id: run.threadId }, { projection: WITHOUT_TEXTS }));
    if (thread === null || thread.uid !== run.thread || !showsMetadata(params.access, thread.metadata)) return null;
    const place = placeOf(thread, run);
    if (place !== null) return { run, thread, place };
    // It may have ended, and been struck off the thread, between the two reads.
    const again = await findRun(params.runId, params.threadId);
    const ended = again === null ? null : placeOf({ running: null, queue: [], ended: [] }, again);
    return again === null || ended === null ? null : { run: again, thread, place: ended };
  };

  const heldBy = (thread: ThreadDocument | null, lease: RunLease): RunningEntry | null =>
    thread?.running?.lease === leaseText(lease) ? thread.running : null;

  return {
    create: (params) => createRun(session, params),

    claim: (params) => claimRuns(session, params),

    async nextDueAt() {
      const now = session.now();
      const [retrying] = await session.retrying(() =>
        threads
          .find({ "head.retryAt": { $gt: now } }, { projection: { head: 1 } })
          .sort({ "head.retryAt": 1 })
          .limit(1)
          .toArray(),
      );
      const times = [retrying?.head?.retryAt, await nextDelayed(session, now)].filter((at) => typeof at === "number");
      return times.length === 0 ? null : Math.min(...times);
    },

    async heartbeat({ leases, leaseMs }) {
      if (leases.length === 0) return { lost: [], cancelRequested: [] };
      const now = session.now();
      const held = { "running.lease": { $in: leases.map(leaseText) } };
      await session.retrying(() =>
        threads.updateMany(held, { $set: { "running.leaseUntil": now + leaseMs, "running.heartbeatAt": now } }),
      );
      const found = await session.retrying(() => threads.find(held, { projection: { running: 1 } }).toArray());
      const cancels = new Map(found.map(({ running }) => [running?.lease, running?.cancel ?? null]));
      return {
        lost: leases.filter((lease) => !cancels.has(leaseText(lease))).map(({ runId }) => runId),
        cancelRequested: leases.flatMap((lease) => {
          const action = cancels.get(leaseText(lease)) ?? null;
          return action === null ? [] : [{ runId: lease.runId, action }];
        }),
      };
    },

    async finish({ lease, outcome, threadPatch, hasNext, threadMetadata }) {
      const end = outcome.kind === "ended" ? outcome.status : "deleted";
      const error = outcome.kind === "ended" ? (outcome.error ?? null) : null;
      const state = settledState(session, { patch: threadPatch, runError: error });
      return changeThread(session, { lease: leaseText(lease) }, async (thread): Promise<Decision<FinishOutcome>> => {
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
          ended: [endedEntry(running, { end, error, now })],
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
      });
    },

    release: ({ lease }) =>
      changeThread(session, { lease: leaseText(lease) }, (thread): Decision<{ readonly accepted: boolean }> => {
        const running = heldBy(thread, lease);
        if (thread === null || running === null) return { kind: "leave", result: { accepted: false } };
        const now = session.now();
        const next = { attempt: running.attempt - 1, retryAt: null, now };
        return { kind: "change", change: requeued(thread, running, next), result: { accepted: true } };
      }),

    async requestCancel({ runId, threadId, action, access }) {
      const found = await located({ runId, ...(threadId === undefined ? {} : { threadId }), access });
      if (found === null) return { kind: "not-found" };
      const { run } = found;
      return changeThread(session, { threadId: run.threadId }, async (thread): Promise<Decision<CancelOutcome>> => {
        const leave = (result: CancelOutcome): Decision<CancelOutcome> => ({ kind: "leave", result });
        if (thread === null || thread.uid !== run.thread) return leave({ kind: "not-found" });
        let place = placeOf(thread, run);
        if (place === null) {
          const again = await findRun(runId, undefined);
          place = again === null ? null : placeOf({ running: null, queue: [], ended: [] }, again);
        }
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
        const after = placeOf({ running: null, queue: [], ended: [ended] }, run);
        return {
          kind: "change",
          change: { queue: thread.queue.filter((other) => other !== entry), ended: [ended] },
          result: { kind: "cancelled", run: after === null ? current : runOf(run, after) },
        };
      });
    },

    reapExpired: (params) => reapExpired(session, params),

    async holds(lease) {
      const held = { "running.lease": leaseText(lease) };
      return (await session.retrying(() => threads.findOne(held, { projection: { _id: 1 } }))) !== null;
    },

    async get(params) {
      const found = await located(params);
      return found === null ? null : runOf(found.run, found.place);
    },

    async explain(params) {
      const found = await located(params);
      return found === null ? null : explanationOf({ ...found, now: session.now() });
    },

    list: (params) => listRuns(session, params),

    async delete({ runId, threadId, access }) {
      const found = await located({ runId, threadId, access });
      if (found === null) return { kind: "not-found" };
      const { run } = found;
      type Outcome = Awaited<ReturnType<RunStore["delete"]>>;
      const outcome = await changeThread(session, { threadId }, (thread): Decision<Outcome> => {
        const place = thread === null || thread.uid !== run.thread ? null : placeOf(thread, run);
        // `located` found it, so it has ended meanwhile and was struck off.
        if (thread === null || place === null) return { kind: "leave", result: deleted(runOf(run, found.place)) };
        if (place.status === "running") return { kind: "leave", result: { kind: "running" } };
        const { entry } = place;
        const ended = entry === null ? null : endedEntry(entry, { end: "deleted", now: session.now() });
        if (ended === null) return { kind: "leave", result: deleted(runOf(run, place)) };
        const queue = thread.queue.filter((other) => other !== entry);
        return { kind: "change", change: { queue, ended: [ended] }, result: deleted(runOf(run, place)) };
      });
      if (outcome.kind === "deleted" && isTerminal(outcome.run.status)) {
        // An end that is not written yet would find nothing to write to.
        await session.retrying(() => runs.deleteOne({ _id: runId, thread: run.thread }));
      }
      return outcome;
    },

    async abandonedTemporaryThreads({ limit, endedBeforeMs }) {
      const found = await session.retrying(() =>
        threads
          .find(
            { temporary: true, updatedAt: { $lte: session.now() - endedBeforeMs }, status: { $ne: "busy" } },
            { projection: { _id: 1 } },
          )
          .sort({ updatedAt: 1 })
          .limit(Math.max(limit, 1))
          .toArray(),
      );
      return found.slice(0, Math.max(limit, 0)).map(({ _id }) => _id);
    },
  };
}

function deleted(run: Run): { readonly kind: "deleted"; readonly run: Run } {
  return { kind: "deleted", run };
}

/** The next time at which a delayed run in flight becomes due. */
async function nextDelayed({ runs, threads, retrying }: Session, now: number): Promise<number | null> {
  for (let offset = 0; ; offset += DELAYED_PER_READ) {
    const delayed = await retrying(() =>
      runs
        .find({ delayedUntil: { $gt: now } }, { projection: { threadId: 1, dueAt: 1 } })
        .sort({ delayedUntil: 1 })
        .skip(offset)
        .limit(DELAYED_PER_READ)
        .toArray(),
    );
    const ids = [...new Set(delayed.map(({ threadId }) => threadId))];
    const found = await retrying(() => threads.find({ _id: { $in: ids } }, { projection: { queue: 1 } }).toArray());
    // A run may be forgotten, or ended without its document saying so yet.
    const waiting = new Set(found.flatMap(({ queue }) => queue.map(({ runId }) => runId)));
    const next = delayed.find(({ _id }) => waiting.has(_id));
    if (next !== undefined) return next.dueAt;
    if (delayed.length < DELAYED_PER_READ) return null;
  }
}
