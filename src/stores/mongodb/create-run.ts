import { randomUUID } from "node:crypto";
import type { AccessFilter } from "../../core/auth.js";
import { type EpochMs, toJsonText } from "../../core/json.js";
import type { ClaimRequest, CreateRunOutcome, NewRun, SupersededRun } from "../../core/metadata-store.js";
import { decideMultitask } from "../../core/multitask.js";
import type { CancelAction } from "../../core/run.js";
import { isDuplicateKey } from "../../databases/mongodb/failures.js";
import { kwargsText } from "../../core/kwargs-text.js";
import { runMetadata, strongerCancel, withRunIds } from "../run-rules.js";
import { withDeliveries } from "./delivery-contents.js";
import type { EndedEntry, QueueEntry, RunDocument, RunHold, RunningEntry, ThreadDocument } from "./documents.js";
import { cancelledLater, endedEntry, enqueued, started } from "./queue.js";
import { leaseText, parseObject, placeOf, runOf, showsMetadata } from "./rows.js";
import type { Session } from "./session.js";
import { changeThread, type Decision, headOf, newThread, type ThreadChange } from "./thread-change.js";

/** A run's document is written again when this much time has passed: a sweep may have taken it for a forgotten one. */
const WRITTEN_FOR_MS = 60_000;

/**
 * `runs.create` of the MongoDB store: first the run's document, which nobody sees, then the thread's, which makes it count.
 */
export async function createRun(
  session: Session,
  params: {
    readonly draft: NewRun;
    readonly claim?: ClaimRequest;
    readonly access: AccessFilter;
    /** Of a cron: the run is held (fire-cron.ts), and never claimed here. */
    readonly forTick?: Omit<RunHold, "name">;
  },
): Promise<CreateRunOutcome> {
  const { draft, claim, access, forTick } = params;
  const { threadId } = draft;
  const kwargs = kwargsText(draft.kwargs);
  const config = toJsonText(draft.assistantConfig);
  let createdAt: EpochMs | null = null;
  let written: { readonly metadata: string; readonly thread: string; readonly atMs: number } | null = null;

  const outcome = await changeThread(session, { threadId }, async (existing): Promise<Decision<CreateRunOutcome>> => {
    if (existing === null ? !draft.createThread : !showsMetadata(access, existing.metadata)) {
      return { kind: "leave", result: { kind: "no-thread" } };
    }
    const repeated = existing === null ? null : await earlierCall(session, existing, draft, claim);
    if (repeated !== null) return { kind: "leave", result: repeated };
    const inflight = existing === null ? 0 : existing.queue.length + (existing.running === null ? 0 : 1);
    const decision = decideMultitask(draft.multitaskStrategy, inflight);
    if (decision.kind === "refuse") {
      const ids = [existing?.running?.runId, ...(existing?.queue.map(({ runId }) => runId) ?? [])];
      const refs = ids.filter((runId) => runId !== undefined).map((runId) => ({ runId, threadId }));
      return { kind: "leave", result: { kind: "busy", inflight: refs } };
    }

    const now = session.now();
    // However often it starts over, the run keeps its place among those that came at the same time.
    createdAt ??= now;
    const threadMetadata = withRunIds(existing === null ? draft.metadata : parseObject(existing.metadata), draft);
    const metadata = toJsonText(threadMetadata);
    const thread =
      existing ??
      newThread({ threadId, metadata, config, temporary: draft.kwargs.temporary, ttl: draft.threadTtl, now });
    const cleared = supersede(thread, decision.cancelInflight, now);
    const ended = await withDeliveries(session, thread, cleared.ended);
    const entry = pendingEntry(draft, createdAt, forTick);
    const isFree = thread.running === null && cleared.queue.length === 0;
    const running = claim !== undefined && isFree && draft.delayMs === 0 ? started(entry, claim, now) : null;

    const document = runDocument(draft, {
      thread: thread.uid,
      entry,
      kwargs,
      metadata: toJsonText(runMetadata(threadMetadata, draft)),
    });
    if (
      written === null ||
      written.metadata !== document.metadata ||
      written.thread !== document.thread ||
      performance.now() - written.atMs > WRITTEN_FOR_MS
    ) {
      const former = await putRun(session, document);
      if (former !== null) return { kind: "leave", result: createdBefore(former) };
      written = { metadata: document.metadata, thread: document.thread, atMs: performance.now() };
    }

    const result: CreateRunOutcome = {
      kind: "created",
      run: runOf(document, placeOf({ running, queue: [entry], ended: [] }, document) ?? never(), draft.kwargs),
      lease: running === null ? null : { runId: draft.runId, leaseToken: running.leaseToken },
      superseded: cleared.superseded,
      watched: draft.watched === true || thread.watched === true,
    };
    const queue = running === null ? enqueued(cleared.queue, entry) : cleared.queue;
    if (existing === null) {
      const inserted: ThreadDocument = {
        ...thread,
        running,
        queue,
        head: headOf(running, queue),
        status: "busy",
        ...(draft.watched === true && { watched: true }),
      };
      return { kind: "insert", thread: inserted, result };
    }
    const change: ThreadChange = {
      ...(running === null ? {} : { running }),
      ...(cleared.cancelRunning === null ? {} : { cancelRunning: cleared.cancelRunning }),
      queue,
      ended,
      updatedAt: now,
      config,
      ...(metadata === existing.metadata ? {} : { metadata }),
      ...(draft.kwargs.temporary ? {} : { temporary: false }),
      ...(draft.watched === true && { watched: true }),
    };
    return { kind: "change", change, result };
  });
  if (outcome.kind === "created" && outcome.lease !== null) {
    session.leases.remember(leaseText(outcome.lease), threadId);
  }
  // A refusal after a first attempt leaves nothing behind.
  if (outcome.kind !== "created" && written !== null) {
    await session.retrying(() => session.runs.deleteOne({ _id: draft.runId, status: "inflight" }));
  }
  return outcome;
}

/** @param forTick the run is held */
function pendingEntry(
  { runId, delayMs, kwargs: { temporary, webhook } }: NewRun,
  createdAt: EpochMs,
  forTick: Omit<RunHold, "name"> | undefined,
): QueueEntry {
  return {
    runId,
    dueAt: createdAt + delayMs,
    updatedAt: createdAt,
    attempt: 0,
    leaseToken: 0,
    cancel: null,
    temporary,
    retryAt: null,
    ...(forTick !== undefined && { hold: { ...forTick, name: randomUUID() } }),
    ...(webhook !== undefined && { webhook: webhook.host }),
  };
}

/** The same call was made before, and its caller did not hear that it was carried out. */
async function earlierCall(
  session: Session,
  thread: ThreadDocument,
  { runId }: NewRun,
  claim: ClaimRequest | undefined,
): Promise<CreateRunOutcome | null> {
  const isKnown = [thread.running, ...thread.queue, ...thread.ended].some((entry) => entry?.runId === runId);
  if (!isKnown) return null;
  const document = await session.retrying(() => session.runs.findOne({ _id: runId, thread: thread.uid }));
  const place = document === null ? null : placeOf(thread, document);
  if (document === null || place === null) return null;
  const isMine = thread.running?.runId === runId && thread.running.workerId === claim?.workerId;
  return {
    kind: "created",
    run: runOf(document, place),
    lease: isMine ? { runId, leaseToken: place.leaseToken } : null,
    superseded: [],
    watched: thread.watched === true,
  };
}

function createdBefore(document: RunDocument): CreateRunOutcome {
  const place = placeOf({ running: null, queue: [], ended: [] }, document) ?? never();
  return { kind: "created", run: runOf(document, place), lease: null, superseded: [], watched: false };
}

interface Cleared {
  readonly queue: readonly QueueEntry[];
  readonly cancelRunning: CancelAction | null;
  readonly ended: readonly EndedEntry[];
  readonly superseded: readonly SupersededRun[];
}

/** What the multitask strategy leaves of the runs in flight. */
function supersede(thread: ThreadDocument, action: CancelAction | null, now: number): Cleared {
  const { running, queue } = thread;
  if (action === null) return { queue, cancelRunning: null, ended: [], superseded: [] };
  const reported = (entry: QueueEntry | RunningEntry, was: SupersededRun["was"]): SupersededRun => ({
    runId: entry.runId,
    threadId: thread._id,
    temporary: entry.temporary,
    action: was === "running" ? strongerCancel(entry.cancel, action) : action,
    was,
  });
  // A pending run that a worker has held before may have left checkpoints: the next worker undoes or keeps them.
  const isHeld = (entry: QueueEntry): boolean => entry.leaseToken > 0;
  const dropped = queue.filter((entry) => !isHeld(entry));
  return {
    queue: queue.filter(isHeld).map((entry) => cancelledLater(entry, action)),
    cancelRunning: running === null ? null : strongerCancel(running.cancel, action),
    ended: dropped.map((entry) => endedEntry(entry, { end: action === "rollback" ? "deleted" : "interrupted", now })),
    superseded: [
      ...(running === null ? [] : [reported(running, "running")]),
      ...queue.map((entry) => reported(entry, isHeld(entry) ? "running" : "pending")),
    ],
  };
}

function runDocument(
  draft: NewRun,
  made: {
    readonly thread: string;
    readonly entry: QueueEntry;
    readonly kwargs: string;
    readonly metadata: string;
  },
): RunDocument {
  const { dueAt, updatedAt: createdAt } = made.entry;
  return {
    _id: draft.runId,
    thread: made.thread,
    threadId: draft.threadId,
    assistantId: draft.assistantId,
    graphId: draft.graphId,
    createdAt,
    updatedAt: createdAt,
    dueAt,
    ...(draft.delayMs > 0 ? { delayedUntil: dueAt } : {}),
    status: "inflight",
    metadata: made.metadata,
    kwargs: made.kwargs,
    multitaskStrategy: draft.multitaskStrategy,
    temporary: draft.kwargs.temporary,
    attempt: 0,
    leaseToken: 0,
    error: null,
  };
}

/**
 * Insert, or replace what an attempt before has left.
 * @returns the document of a run that has already ended
 */
async function putRun(session: Session, document: RunDocument): Promise<RunDocument | null> {
  const { runs } = session;
  return session.retrying(async () => {
    try {
      await runs.insertOne(document);
      return null;
    } catch (error) {
      if (!isDuplicateKey(error)) throw error;
      const { matchedCount } = await runs.replaceOne({ _id: document._id, status: "inflight" }, document);
      return matchedCount > 0 ? null : runs.findOne({ _id: document._id });
    }
  });
}

function never(): never {
  throw new TypeError("a run that was just made has no place");
}
