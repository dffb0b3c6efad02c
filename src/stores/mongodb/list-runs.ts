import type { Filter } from "mongodb";
import type { RunQuery } from "../../core/metadata-store.js";
import { isTerminal } from "../../core/run-lifecycle.js";
import type { Run, RunStatus } from "../../core/run.js";
import type { RunDocument, ThreadDocument } from "./documents.js";
import { placeOf, runOf, type RunPlace, showsMetadata } from "./rows.js";
import type { Session } from "./session.js";

/** How many runs are held against their threads in one go. */
const RUNS_PER_READ = 200;

type Owner = Pick<ThreadDocument, "_id" | "uid" | "metadata" | "running" | "queue" | "ended">;

const OWNER = { uid: 1, metadata: 1, running: 1, queue: 1, ended: 1 } as const;

/** `runs.list` of the MongoDB store, newest first. Within a thread the server pages; across threads their documents do. */
export async function listRuns(
  session: Session,
  query: RunQuery & { readonly limit: number; readonly offset: number },
): Promise<readonly Run[]> {
  if (query.limit <= 0 || query.status?.length === 0) return [];
  return query.threadId === undefined ? acrossThreads(session, query) : ofThread(session, query.threadId, query);
}

async function ofThread(
  session: Session,
  threadId: string,
  { status, runIds, access, limit, offset }: RunQuery & { readonly limit: number; readonly offset: number },
): Promise<readonly Run[]> {
  // First the thread, then its runs: a run that has left the thread says itself how it ended.
  const thread = await session.retrying(() => session.threads.findOne({ _id: threadId }, { projection: OWNER }));
  if (thread === null || !showsMetadata(access, thread.metadata)) return [];
  const conditions: Filter<RunDocument>[] = [{ thread: thread.uid }, statusCondition(thread, status)];
  if (runIds !== undefined) conditions.push({ _id: { $in: [...runIds] } });
  const found = await session.retrying(() =>
    session.runs.find({ $and: conditions }).sort({ createdAt: -1, _id: -1 }).skip(offset).limit(limit).toArray(),
  );
  return found.flatMap((run) => {
    const place = placeOf(thread, run);
    return place === null ? [] : [runOf(run, place)];
  });
}

/** What the thread knows of its runs goes before what their documents say. */
function statusCondition(thread: Owner, status: readonly RunStatus[] | undefined): Filter<RunDocument> {
  const wants = (one: RunStatus): boolean => status === undefined || status.includes(one);
  const known = [
    ...(thread.running === null ? [] : [{ runId: thread.running.runId, status: "running" as const }]),
    ...thread.queue.map(({ runId }) => ({ runId, status: "pending" as const })),
    ...thread.ended.map(({ runId, end }) => ({ runId, status: end })),
  ];
  const shown = known.filter((run) => run.status !== "deleted" && wants(run.status)).map(({ runId }) => runId);
  const all = known.map(({ runId }) => runId);
  const ended: Filter<RunDocument>["status"] =
    status === undefined ? { $ne: "inflight" } : { $in: status.filter(isTerminal) };
  return { $or: [{ _id: { $in: shown } }, { status: ended, _id: { $nin: all } }] };
}

async function acrossThreads(
  session: Session,
  { status, runIds, access, limit, offset }: RunQuery & { readonly limit: number; readonly offset: number },
): Promise<readonly Run[]> {
  const wanted = status === undefined ? null : new Set<RunStatus>(status);
  // In flight, a document may be out of date: its thread is asked. Ended ones stay as they are.
  const filter: Filter<RunDocument> = {
    ...(runIds === undefined ? {} : { _id: { $in: [...runIds] } }),
    ...(status === undefined ? {} : { status: { $in: ["inflight", ...status.filter(isTerminal)] } }),
  };
  const page: Run[] = [];
  let skipped = 0;
  let last: RunDocument | undefined;
  while (page.length < limit) {
    const from = last;
    const batch = await session.retrying(() =>
      session.runs
        .find(from === undefined ? filter : { $and: [filter, olderThan(from)] })
        .sort({ createdAt: -1, _id: -1 })
        .limit(RUNS_PER_READ)
        .toArray(),
    );
    for (const { run, thread, place } of await locateRuns(session, batch)) {
      if (!showsMetadata(access, thread.metadata) || (wanted !== null && !wanted.has(place.status))) continue;
      if (skipped < offset) skipped += 1;
      else if (page.length < limit) page.push(runOf(run, place));
    }
    last = batch.at(-1);
    if (last === undefined || batch.length < RUNS_PER_READ) break;
  }
  return page;
}

function olderThan({ createdAt, _id }: RunDocument): Filter<RunDocument> {
  return { $or: [{ createdAt: { $lt: createdAt } }, { createdAt, _id: { $lt: _id } }] };
}

/** Runs with their threads and their states; without those that do not count, or not any more. */
export async function locateRuns(
  session: Session,
  batch: readonly RunDocument[],
): Promise<readonly { readonly run: RunDocument; readonly thread: Owner; readonly place: RunPlace }[]> {
  const owners = await readOwners(session, batch);
  const current = await endedSince(session, batch, owners);
  return batch.flatMap((read) => {
    const run = current.get(read._id) ?? read;
    const thread = owners.get(run.thread);
    const place = thread === undefined ? null : placeOf(thread, run);
    return thread === undefined || place === null ? [] : [{ run, thread, place }];
  });
}

async function readOwners(session: Session, runs: readonly RunDocument[]): Promise<ReadonlyMap<string, Owner>> {
  const ids = [...new Set(runs.map(({ threadId }) => threadId))];
  if (ids.length === 0) return new Map();
  const found = await session.retrying(() =>
    session.threads.find({ _id: { $in: ids } }, { projection: OWNER }).toArray(),
  );
  return new Map(found.map((thread) => [thread.uid, thread]));
}

/** Runs that ended, and were struck off their threads, after their documents were read and before the threads were. */
async function endedSince(
  session: Session,
  batch: readonly RunDocument[],
  owners: ReadonlyMap<string, Owner>,
): Promise<ReadonlyMap<string, RunDocument>> {
  const unknown = batch.filter((run) => {
    const owner = owners.get(run.thread);
    if (owner === undefined || run.status !== "inflight") return false;
    return ![owner.running, ...owner.queue, ...owner.ended].some((entry) => entry?.runId === run._id);
  });
  if (unknown.length === 0) return new Map();
  const ids = unknown.map(({ _id }) => _id);
  const found = await session.retrying(() => session.runs.find({ _id: { $in: ids } }).toArray());
  return new Map(found.map((run) => [run._id, run]));
}
