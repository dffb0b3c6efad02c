import type { ClaimRequest } from "../../core/metadata-store.js";
import type { ClaimedRun } from "../../core/run.js";
import type { QueueHead, RunDocument } from "./documents.js";
import { freed, mayStart } from "./fire-cron.js";
import { dueEntry, endedEntry, started } from "./queue.js";
import { leaseText, placeOfEntry, runOf } from "./rows.js";
import type { Session } from "./session.js";
import { changeThread, type Decision } from "./thread-change.js";

/** How often it looks again when other workers were faster. */
const MAX_ROUNDS = 8;

interface Candidate {
  readonly threadId: string;
  readonly head: QueueHead;
}

/** `runs.claim` of the MongoDB store: the threads that are due, oldest first, each claimed on its own. */
export async function claimRuns(
  session: Session,
  params: ClaimRequest & { readonly limit: number; readonly threadId?: string },
): Promise<readonly ClaimedRun[]> {
  const { threadId } = params;
  if (threadId !== undefined) {
    const run = params.limit > 0 ? await claimOne(session, threadId, { claim: params, documents: new Map() }) : null;
    return run === null ? [] : [run];
  }
  const claimed: ClaimedRun[] = [];
  for (let round = 0; round < MAX_ROUNDS && claimed.length < params.limit; round += 1) {
    const wanted = params.limit - claimed.length;
    const due = await dueThreads(session, wanted);
    if (due.length === 0) break;
    const documents = await readRuns(session, due);
    const attempts = await Promise.allSettled(
      due.map((candidate) => claimOne(session, candidate.threadId, { claim: params, documents })),
    );
    claimed.push(...attempts.flatMap((done) => (done.status === "fulfilled" && done.value ? [done.value] : [])));
    const failed = attempts.find((done) => done.status === "rejected");
    if (failed !== undefined) {
      // What is claimed must reach the worker, else it waits for the end of its lease.
      if (claimed.length > 0) break;
      throw failed.reason;
    }
    if (due.length < wanted && attempts.every((done) => done.status === "fulfilled" && done.value !== null)) break;
  }
  return claimed.sort((a, b) => a.run.dueAt - b.run.dueAt || (a.run.runId < b.run.runId ? -1 : 1));
}

async function dueThreads({ threads, retrying, now: clock }: Session, limit: number): Promise<readonly Candidate[]> {
  const now = clock();
  const found = await retrying(() =>
    threads
      .find(
        {
          "head.dueAt": { $lte: now },
          $or: [{ "head.retryAt": null }, { "head.retryAt": { $lte: now } }],
        },
        { projection: { head: 1 } },
      )
      .sort({ "head.dueAt": 1, "head.runId": 1 })
      .limit(limit)
      .toArray(),
  );
  return found.flatMap(({ _id, head }) => (head === null ? [] : [{ threadId: _id, head }]));
}

async function readRuns(session: Session, due: readonly Candidate[]): Promise<Map<string, RunDocument>> {
  // One is claimed with the document that it is read with anyway.
  if (due.length < 2) return new Map();
  const ids = due.map(({ head }) => head.runId);
  const found = await session.retrying(() => session.runs.find({ _id: { $in: ids } }).toArray());
  return new Map(found.map((document) => [document._id, document]));
}

/** @returns `null` when another worker was faster */
async function claimOne(
  session: Session,
  threadId: string,
  { claim, documents }: { readonly claim: ClaimRequest; readonly documents: ReadonlyMap<string, RunDocument> },
): Promise<ClaimedRun | null> {
  const claimed = await changeThread(session, { threadId }, async (thread): Promise<Decision<ClaimedRun | null>> => {
    const now = session.now();
    const entry = thread === null ? null : dueEntry(thread, now);
    if (thread === null || entry === null) return { kind: "leave", result: null };
    const document =
      documents.get(entry.runId) ?? (await session.retrying(() => session.runs.findOne({ _id: entry.runId })));
    const queue = thread.queue.slice(1);
    if (document === null) {
      // Its creator was stopped for so long that the run was swept before it counted.
      return { kind: "change", change: { queue, ended: [endedEntry(entry, { end: "deleted", now })] }, result: null };
    }
    if (entry.hold !== undefined && !(await mayStart(session, entry.hold, { threadId, runId: entry.runId }))) {
      return { kind: "change", change: { queue, ended: [endedEntry(entry, { end: "deleted", now })] }, result: null };
    }
    const running = started(freed(entry), claim, now);
    const { runId, leaseToken, cancel } = running;
    return {
      kind: "change",
      change: { running, queue },
      result: {
        run: runOf(document, placeOfEntry(running)),
        lease: { runId, leaseToken },
        cancel,
        watched: thread.watched === true,
      },
    };
  });
  if (claimed !== null) session.leases.remember(leaseText(claimed.lease), threadId);
  return claimed;
}
