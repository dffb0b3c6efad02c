import { randomUUID } from "node:crypto";
import type { Caller } from "../../core/auth.js";
import { HeddleError } from "../../core/errors.js";
import type { JsonText } from "../../core/json.js";
import type { Logger } from "../../core/logger.js";
import { ownerOf } from "../../core/owner.js";
import type { RecordStore, StoredRecord } from "../../core/record.js";
import { MAX_REPLAY_CHARS } from "./limits.js";
import {
  checkpointKey,
  checkpointsOf,
  parseCheckpointId,
  stepKey,
  threadIdOf,
  workflowKey,
  type WorkflowRef,
} from "./places.js";
import { newestCheckpoint } from "./saving.js";
import { type Checkpoint, checkpointOf, workflowOf, type WorkflowValue } from "./stored.js";
import { scopeOf, type Webhooks } from "./webhooks.js";
import { encodeCheckpoint, encodeReplay, encodeResumed, type ReplayRequest } from "./wire.js";
import type { WorkflowThreads } from "./workflow-thread.js";

/** Checkpoints that a replay reads at first, and at most at once: of large ones as many as have {@link PAGE_CHARS}. */
const FIRST_PAGE = 8;
const MAX_PAGE = 50;
const PAGE_CHARS = 8 * 1024 * 1024;

export interface ReadingDeps {
  readonly records: RecordStore;
  readonly threads: WorkflowThreads;
  readonly webhooks: Webhooks;
  readonly logger: Logger;
}

/** @returns the answer. @throws HeddleError `NOT_FOUND`, also for one that has expired, or that the caller must not see */
export async function getCheckpoint(
  deps: ReadingDeps,
  caller: Caller,
  id: string,
): Promise<{ readonly text: JsonText; readonly etag: string }> {
  const missing = new HeddleError("NOT_FOUND", { message: `Checkpoint ${id} not found` });
  const parsed = parseCheckpointId(id);
  const ref = { owner: ownerOf(caller), workflowId: parsed?.workflowId ?? id };
  if ((await readableWorkflow(deps, caller, ref)) === null || parsed === null) throw missing;
  const found = await deps.records.get(checkpointKey(ref, parsed.step));
  if (found === null) throw missing;
  const checkpoint = checkpointOf(found);
  return { text: encodeCheckpoint(checkpoint), etag: checkpoint.etag };
}

/** The checkpoint that was saved last, of those that live; tells `workflow.resumed`. @throws HeddleError `NOT_FOUND` */
export async function resumeWorkflow(deps: ReadingDeps, caller: Caller, workflowId: string): Promise<JsonText> {
  const { records, webhooks, logger } = deps;
  const missing = new HeddleError("NOT_FOUND", { message: `Workflow ${workflowId} not found` });
  const ref = { owner: ownerOf(caller), workflowId };
  const workflow = await readableWorkflow(deps, caller, ref);
  const latest = workflow === null ? null : await newestCheckpoint(records, ref);
  if (workflow === null || latest === null) throw missing;
  const { step } = latest;
  const { total, thread: threadId } = workflow.value;
  const event = { event: "workflow.resumed", ...ref, scope: scopeOf(caller), step, threadId } as const;
  try {
    await webhooks.tell({ ...event, mark: randomUUID() });
  } catch (error) {
    logger.warn({ err: error, workflowId }, "a webhook is not told that a workflow was resumed");
  }
  return encodeResumed({ workflowId, latest, total, startedAt: await startOf(records, ref, workflow.record) });
}

/** Live checkpoints in the order in which they were saved; none of a workflow that nobody knows. */
export async function replayWorkflow(
  deps: ReadingDeps,
  caller: Caller,
  workflowId: string,
  request: ReplayRequest,
): Promise<JsonText> {
  const { records } = deps;
  const ref = { owner: ownerOf(caller), workflowId };
  if ((await readableWorkflow(deps, caller, ref)) === null) return encodeReplay(workflowId, [], false);
  const texts: JsonText[] = [];
  let chars = 0;
  for await (const checkpoint of inOrder(records, ref, request)) {
    const text = encodeCheckpoint(checkpoint, {});
    chars += text.length;
    const isFull = texts.length >= request.limit || (texts.length > 0 && chars > MAX_REPLAY_CHARS);
    if (isFull) return encodeReplay(workflowId, texts, true);
    texts.push(text);
  }
  return encodeReplay(workflowId, texts, false);
}

/** A little at a time, so that who has enough reads no more. One that expires meanwhile moves the others up. */
async function* inOrder(
  records: RecordStore,
  ref: WorkflowRef,
  { fromStep, toStep, limit }: ReplayRequest,
): AsyncGenerator<Checkpoint, void> {
  const query = {
    ...checkpointsOf(ref),
    ...(fromStep !== undefined && { fromKey: stepKey(fromStep) }),
    ...(toStep !== undefined && { toKey: stepKey(toStep) }),
    ...({ order: "created", direction: "asc" } as const),
  };
  let size = Math.min(limit + 1, FIRST_PAGE);
  for (let [offset, last] = [0, 0]; ;) {
    const page = await records.list({ ...query, limit: size, offset });
    const [first] = page;
    // It begins with the last one of the page before; when that is not there, what follows has moved up past it.
    if (offset > 0 && (first === undefined || checkpointOf(first).seq > last)) {
      offset = Math.max(0, offset - size + 1);
      continue;
    }
    const known = last;
    for (const record of page) {
      const checkpoint = checkpointOf(record);
      if (checkpoint.seq <= known) continue;
      last = checkpoint.seq;
      yield checkpoint;
    }
    if (page.length < size) return;
    offset += size - 1;
    size = nextPageSize(size, page);
  }
}

/** Two at least: the first one is known already. */
function nextPageSize(size: number, page: readonly StoredRecord[]): number {
  const chars = page.reduce((sum, { value }) => sum + value.length, 0);
  return Math.max(2, Math.min(2 * size, MAX_PAGE, Math.floor((PAGE_CHARS * page.length) / chars)));
}

interface Workflow {
  readonly record: StoredRecord;
  readonly value: WorkflowValue;
}

/** @returns null for one that nobody has saved, whose thread is gone, or that is hidden */
async function readableWorkflow(
  { records, threads }: ReadingDeps,
  caller: Caller,
  ref: WorkflowRef,
): Promise<Workflow | null> {
  const record = isName(ref.workflowId) ? await records.get(workflowKey(ref)) : null;
  const value = record === null ? null : workflowOf(record);
  // Asked of what is missing as well: who may do nothing of the kind learns nothing.
  const isReadable = await threads.isReadable(caller, value?.thread ?? threadIdOf(ref));
  return record !== null && value !== null && isReadable ? { record, value } : null;
}

/** When its first checkpoint was saved, which may have expired since. */
async function startOf(records: RecordStore, ref: WorkflowRef, workflow: StoredRecord): Promise<number> {
  const page = { order: "created", direction: "asc", limit: 1, offset: 0 } as const;
  const [oldest] = await records.list({ ...checkpointsOf(ref), ...page });
  return oldest !== undefined && checkpointOf(oldest).parentAt === 0 ? oldest.createdAt : workflow.createdAt;
}

/** Whether a workflow can be called so at all: what storages cannot keep was never saved. */
function isName(workflowId: string): boolean {
  return workflowId !== "" && workflowId.length <= 256 && workflowId.isWellFormed() && !workflowId.includes("\0");
}
