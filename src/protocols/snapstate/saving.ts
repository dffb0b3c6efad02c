import type { Caller } from "../../core/auth.js";
import type { Clock } from "../../core/clock.js";
import { HeddleError } from "../../core/errors.js";
import { ownerOf } from "../../core/owner.js";
import type { RecordStore, StoredRecord } from "../../core/record.js";
import { noteThreadRecords } from "../../core/thread-records.js";
import { diffStates } from "./diff.js";
import { etagOf, matchesEtag } from "./etag.js";
import { checkpointKey, checkpointsOf, dueKey, recordsOf, workflowKey, type WorkflowRef } from "./places.js";
import { isUnderWay, SETTLE_WITHIN_MS, type Settling } from "./settling.js";
import {
  type Checkpoint,
  checkpointOf,
  type CheckpointValue,
  dueOf,
  valueOf,
  workflowOf,
  type WorkflowValue,
} from "./stored.js";
import type { Turns } from "./turns.js";
import { scopeOf } from "./webhooks.js";
import type { SaveRequest } from "./wire.js";
import type { WorkflowThreads } from "./workflow-thread.js";

export type SaveOutcome =
  | { readonly kind: "saved"; readonly checkpoint: Checkpoint }
  /** `If-Match` named what is there: nothing was written. */
  | { readonly kind: "unchanged"; readonly checkpoint: Checkpoint }
  /** The step is there already. */
  | { readonly kind: "exists"; readonly checkpoint: Checkpoint };

/** Saves of one workflow by several processes take turns; each attempt is one that another process did not have. */
const ATTEMPTS = 200;
const PAUSE_MS = 5;
/** So many attempts, some half a second, wait for the save before, which another process has begun. */
const WAITING_ATTEMPTS = 30;

export interface SavingDeps {
  readonly records: RecordStore;
  readonly threads: WorkflowThreads;
  readonly settling: Settling;
  /** Of workflows, within this process. */
  readonly turns: Turns;
  readonly clock: Clock;
}

/**
 * Save a checkpoint. What decides is the one step in which its record is made under its step, and the workflow's counted up: whoever
 * comes second to either looks again. Thread and webhooks follow, at once or, after a crash, by {@link Settling}.
 * @throws HeddleError `NOT_FOUND` when the workflow's thread is hidden from the caller; `THREAD_EXISTS`; what authorization throws
 */
export async function saveCheckpoint(deps: SavingDeps, caller: Caller, request: SaveRequest): Promise<SaveOutcome> {
  const ref = { owner: ownerOf(caller), workflowId: request.workflowId };
  return deps.turns.run(`${ref.owner}\0${ref.workflowId}`, async () => {
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const outcome = await attemptSave(deps, caller, { ref, request, attempt });
      if (outcome !== null) return outcome;
      await pause(deps.clock, Math.random() * PAUSE_MS * Math.min(attempt, 10));
    }
    throw new HeddleError("STORAGE_UNAVAILABLE", { message: "The workflow is saved to by too many requests at once." });
  });
}

/** @returns null when somebody else was faster, or something had to be cleared away first: try again */
async function attemptSave(
  deps: SavingDeps,
  caller: Caller,
  { ref, request, attempt }: { readonly ref: WorkflowRef; readonly request: SaveRequest; readonly attempt: number },
): Promise<SaveOutcome | null> {
  const { records, settling } = deps;
  const found = await records.get(workflowKey(ref));
  const workflow = found === null ? null : workflowOf(found);
  if (found !== null && workflow?.removal !== undefined) {
    await settling.remove(ref, found);
    return null;
  }
  const threadId = await readyThread(deps, caller, ref, found);
  if (threadId === null) return null;
  const [existing, previous] = await Promise.all([
    records.get(checkpointKey(ref, request.step)),
    newestCheckpoint(records, ref),
  ]);
  const mayCome = workflow !== null && isUnderWay(workflow, deps.clock.now() - (found?.updatedAt ?? 0));
  if (found !== null && previous === null) {
    // Where nothing comes any more all it had has expired, and what comes now is a new workflow.
    if (!mayCome) await settling.remove(ref, found);
    return null;
  }
  if (existing !== null) {
    const checkpoint = checkpointOf(existing);
    const isMatch = request.ifMatch !== null && matchesEtag(request.ifMatch, checkpoint.etag);
    return { kind: isMatch ? "unchanged" : "exists", checkpoint };
  }
  // The one before may still be on its way, and this one is compared with it. Its process may have died as well.
  if (mayCome && previous?.seq !== workflow.seq && attempt < WAITING_ATTEMPTS) return null;
  return writeCheckpoint(deps, { caller, ref, request, found, threadId, previous });
}

/** @returns null when the thread is gone: then so is what was kept of the workflow. @throws HeddleError `NOT_FOUND` */
async function readyThread(
  { records, threads, settling }: SavingDeps,
  caller: Caller,
  ref: WorkflowRef,
  found: StoredRecord | null,
): Promise<string | null> {
  if (found === null) {
    const threadId = await threads.open(caller, ref);
    await noteThreadRecords(records, threadId, recordsOf(ref));
    return threadId;
  }
  const { thread } = workflowOf(found);
  const state = await threads.touch(caller, thread);
  if (state === "hidden") throw new HeddleError("NOT_FOUND", { message: `Workflow ${ref.workflowId} not found` });
  if (state === "ready") return thread;
  await settling.forget(ref, found);
  return null;
}

export async function newestCheckpoint(records: RecordStore, ref: WorkflowRef): Promise<Checkpoint | null> {
  const page = { order: "created", direction: "desc", limit: 1, offset: 0 } as const;
  const [newest] = await records.list({ ...checkpointsOf(ref), ...page });
  return newest === undefined ? null : checkpointOf(newest);
}

interface Write {
  readonly caller: Caller;
  readonly ref: WorkflowRef;
  readonly request: SaveRequest;
  readonly found: StoredRecord | null;
  readonly threadId: string;
  readonly previous: Checkpoint | null;
}

async function writeCheckpoint(deps: SavingDeps, write: Write): Promise<SaveOutcome | null> {
  const { records, settling } = deps;
  const { ref, request, found, threadId } = write;
  const workflow = found === null ? null : workflowOf(found);
  const dueFound = await records.get(dueKey(ref));
  const due = dueFound === null ? null : dueOf(dueFound);
  const checkpoint = newValue(deps.clock, write, workflow);
  // What is missing has come due a moment ago, and may not have been looked at.
  const from = due === null ? (workflow?.settled ?? 0) + 1 : (due.from ?? checkpoint.seq);
  const next: WorkflowValue = {
    thread: threadId,
    seq: checkpoint.seq,
    at: checkpoint.at,
    total: (workflow?.total ?? 0) + 1,
    settled: from - 1,
    step: checkpoint.step,
    scope: checkpoint.scope,
    ttlMs: request.ttlMs,
  };
  // In this order: where the storage has no such step and the process dies, the first ones alone are a number that was left out.
  const outcome = await records.writeAll([
    { ...workflowKey(ref), expected: found?.version ?? 0, value: valueOf(next) },
    { ...dueKey(ref), value: valueOf({ from }), ttlMs: SETTLE_WITHIN_MS },
    {
      ...checkpointKey(ref, request.step),
      expected: 0,
      disposable: true,
      ttlMs: request.ttlMs,
      value: valueOf(checkpoint),
    },
  ]);
  if (outcome.kind === "conflict") return null;
  const [, dueWritten, written] = outcome.records;
  if (dueWritten === undefined || written === undefined) throw new Error("a write of several records gave fewer back");
  const saved = checkpointOf(written);
  const wakeAt = Math.min(saved.expiresAt ?? Infinity, nextLook(found, dueFound) ?? saved.createdAt);
  await settling.settleNow(ref, {
    workflow: next,
    due: dueWritten,
    from,
    wakeInMs: wakeAt - saved.createdAt,
    ...(from === saved.seq && { only: saved }),
  });
  return { kind: "saved", checkpoint: saved };
}

/**
 * When the workflow was to be looked at next, for the expiry of what was saved before.
 * @returns `null`: nobody knows, because somebody else is at it, or it was to be looked at a moment ago
 */
function nextLook(workflow: StoredRecord | null, due: StoredRecord | null): number | null {
  if (workflow === null) return Infinity;
  return due === null || dueOf(due).from !== null ? null : (due.expiresAt ?? Infinity);
}

function newValue(
  clock: Clock,
  { caller, ref, request, previous }: Write,
  workflow: WorkflowValue | null,
): CheckpointValue {
  const { workflowId } = ref;
  const { step, state, label, metadata, size, text } = request;
  const [seq, parentAt] = [(workflow?.seq ?? 0) + 1, workflow?.at ?? 0];
  return {
    workflowId,
    step,
    seq,
    parentAt,
    label,
    metadata,
    state,
    size,
    at: Math.max(clock.now() * 1e3, parentAt + 1),
    etag: etagOf(text),
    diff: diffStates(previous?.state ?? null, state),
    scope: scopeOf(caller),
  };
}

function pause(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => void clock.setTimer(resolve, ms));
}
