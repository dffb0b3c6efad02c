import type { RunStore } from "../../core/metadata-store.js";
import { claimRuns } from "./claim-runs.js";
import { createRun } from "./create-run.js";
import { explanationOf } from "./explain-run.js";
import { finishRun, releaseRun } from "./finish-run.js";
import { listRuns } from "./list-runs.js";
import { locateRun } from "./locate-run.js";
import { reapExpired } from "./reap-expired.js";
import { cancelRun, deleteRun } from "./remove-run.js";
import { leaseText, runOf } from "./rows.js";
import type { Session } from "./session.js";

/** How many due delayed runs `nextDueAt` looks at in one go. */
const DELAYED_PER_READ = 50;

/** The run queue in MongoDB. What decides is in the documents of the threads: README.md of this folder. */
export function createMongoRuns(session: Session): RunStore {
  const { threads } = session;

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
      const lost = leases.filter((lease) => !cancels.has(leaseText(lease)));
      for (const lease of lost) session.leases.forget(leaseText(lease));
      return {
        lost: lost.map(({ runId }) => runId),
        cancelRequested: leases.flatMap((lease) => {
          const action = cancels.get(leaseText(lease)) ?? null;
          return action === null ? [] : [{ runId: lease.runId, action }];
        }),
      };
    },

    finish: (params) => finishRun(session, params),

    release: ({ lease }) => releaseRun(session, lease),

    requestCancel: (params) => cancelRun(session, params),

    reapExpired: (params) => reapExpired(session, params),

    async holds(lease) {
      const held = { "running.lease": leaseText(lease) };
      return (await session.retrying(() => threads.findOne(held, { projection: { _id: 1 } }))) !== null;
    },

    async get(params) {
      const found = await locateRun(session, params);
      return found === null ? null : runOf(found.run, found.place);
    },

    async explain(params) {
      const found = await locateRun(session, params);
      return found === null ? null : explanationOf({ ...found, now: session.now() });
    },

    list: (params) => listRuns(session, params),

    delete: (params) => deleteRun(session, params),

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
