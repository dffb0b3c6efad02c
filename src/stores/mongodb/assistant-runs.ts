import { endedEntry } from "./queue.js";
import type { Session } from "./session.js";
import { changeThread, type Decision } from "./thread-change.js";

/** Remove an assistant's finished and pending runs; a running one stays. */
export async function deleteRunsOf(session: Session, assistantId: string): Promise<void> {
  const { runs, outbox } = session;
  const inflight = await session.retrying(() =>
    runs.find({ assistantId, status: "inflight" }, { projection: { threadId: 1 } }).toArray(),
  );
  const ids = new Set(inflight.map(({ _id }) => _id));
  for (const threadId of new Set(inflight.map((run) => run.threadId))) {
    await changeThread(session, { threadId }, (thread): Decision<null> => {
      const gone = thread?.queue.filter(({ runId }) => ids.has(runId)) ?? [];
      if (thread === null || gone.length === 0) return { kind: "leave", result: null };
      const now = session.now();
      const change = {
        queue: thread.queue.filter((entry) => !gone.includes(entry)),
        ended: gone.map((entry) => endedEntry(entry, { end: "deleted", now })),
      };
      return { kind: "change", change, result: null };
    });
  }
  // Ends that are still to be written make documents that are to be removed.
  await outbox.flush();
  await session.retrying(() => runs.deleteMany({ assistantId, status: { $ne: "inflight" } }));
}
