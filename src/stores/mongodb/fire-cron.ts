import type { CronStore } from "../../core/cron.js";
import { createRun } from "./create-run.js";
import type { CronDocument, QueueEntry, RunHold } from "./documents.js";
import type { Session } from "./session.js";
import { changeThread, type Decision } from "./thread-change.js";

/*
 * A tick and its run, where no transaction spans the cron's document and the thread's. The run comes first, held: its entry in the
 * thread's queue says for which tick it was made, and bears a name of that very write. Nobody starts a held run unless the cron has
 * been moved on for it: one update of the cron's document, which takes effect only while that tick is the next one, and leaves the
 * name in `firing`. So of all runs that were ever made for a tick, by processes that were paused or killed in between, the one
 * starts that this update named; others are struck off by whoever meets them. Then the entry is set free, and `firing` is emptied.
 *
 * What a crash leaves, after each write:
 *   run, held             the next claim of the cron finds the run by its id and goes on with it; so does the worker that would start it
 *   cron moved on         the worker finds the name in `firing` and starts it; the next claim of the cron sets it free first
 *   entry free            nothing
 */

/** `crons.fire` of the MongoDB store. */
export async function fireCron(
  session: Session,
  { cronId, leaseToken, next, draft, access }: Parameters<CronStore["fire"]>[0],
): ReturnType<CronStore["fire"]> {
  const { crons } = session;
  const cron = await session.retrying(() => crons.findOne({ _id: cronId, leaseToken, leaseUntil: { $gt: 0 } }));
  if (cron === null || cron.nextRunAt === null) return { kind: "lost" };
  await setFree(session, cron);
  const tick = cron.nextRunAt;
  const outcome = await createRun(session, { draft, access, forTick: { cronId, tick, next } });
  if (outcome.kind !== "created") {
    return (await moveOn(session, { cronId, tick, next }, null)) ? { kind: "fired", outcome } : { kind: "lost" };
  }
  const { threadId, runId } = draft;
  const hold = await holdOf(session, threadId, runId);
  if (hold === null) {
    // A worker was faster and has moved the cron on, or the tick's run is one of before.
    await moveOn(session, { cronId, tick, next }, null);
    return { kind: "fired", outcome };
  }
  if (!(await mayStart(session, hold, { threadId, runId }))) return { kind: "lost" };
  const moved = await session.retrying(() => crons.findOne({ _id: cronId }));
  if (moved !== null) await setFree(session, moved);
  return { kind: "fired", outcome };
}

/**
 * Whether the run of a held entry is the one of its tick; the first that asks decides it.
 * @returns false for one that must never start
 */
export async function mayStart(
  session: Session,
  { cronId, tick, next, name }: RunHold,
  run: { readonly threadId: string; readonly runId: string },
): Promise<boolean> {
  if (await moveOn(session, { cronId, tick, next }, { ...run, name })) return true;
  const cron = await session.retrying(() => session.crons.findOne({ _id: cronId }));
  return cron?.firing?.name === name;
}

/** Repeated after a lost answer it says false although it was done: then `firing` tells. */
async function moveOn(
  session: Session,
  { cronId, tick, next }: Omit<RunHold, "name">,
  firing: CronDocument["firing"],
): Promise<boolean> {
  const { matchedCount } = await session.retrying(() =>
    session.crons.updateOne(
      { _id: cronId, nextRunAt: tick },
      { $set: { nextRunAt: next, nextRunKey: next ?? Number.MAX_SAFE_INTEGER, leaseUntil: 0, firing } },
    ),
  );
  return matchedCount > 0;
}

/** Let the run start that the cron was last moved on for. */
async function setFree(session: Session, { _id, firing }: CronDocument): Promise<void> {
  if (firing === null) return;
  const { threadId, runId, name } = firing;
  await changeThread(session, { threadId }, (thread): Decision<void> => {
    const at = thread?.queue.findIndex((entry) => entry.runId === runId && entry.hold?.name === name) ?? -1;
    const entry = thread?.queue[at];
    if (thread === null || entry === undefined) return { kind: "leave", result: undefined };
    return { kind: "change", change: { queue: thread.queue.with(at, freed(entry)) }, result: undefined };
  });
  await session.retrying(() => session.crons.updateOne({ _id, "firing.name": name }, { $set: { firing: null } }));
}

export function freed(held: QueueEntry): QueueEntry {
  const { hold: _, ...entry } = held;
  return entry;
}

async function holdOf(session: Session, threadId: string, runId: string): Promise<RunHold | null> {
  const thread = await session.retrying(() => session.threads.findOne({ _id: threadId }, { projection: { queue: 1 } }));
  return thread?.queue.find((entry) => entry.runId === runId)?.hold ?? null;
}
