import { randomUUID } from "node:crypto";
import type { Clock } from "../../core/clock.js";
import type { Logger } from "../../core/logger.js";
import type { RecordStore, StoredRecord } from "../../core/record.js";
import { disownThreadRecords } from "../../core/thread-records.js";
import {
  checkpointKey,
  checkpointsOf,
  dueKey,
  recordsOf,
  SPACES,
  threadIdOf,
  workflowKey,
  type WorkflowRef,
} from "./places.js";
import { type Checkpoint, checkpointOf, dueOf, valueOf, workflowOf, type WorkflowValue } from "./stored.js";
import type { Webhooks } from "./webhooks.js";
import type { WorkflowThreads } from "./workflow-thread.js";

/** So long a save has for its thread and webhooks before somebody else does it for it. */
export const SETTLE_WITHIN_MS = 10_000;
/** What failed is tried again after so long. */
const AGAIN_MS = 10_000;
/** What has expired by the storage's clock is looked at when it has, and not a moment before. */
const AFTER_MS = 5;
/** Checkpoints of a megabyte that are read at once. */
const PER_PAGE = 10;
const PER_ROUND = 50;
/** A removal whose process has died is taken over after so long. */
const REMOVAL_MS = 10_000;

export interface SettlingDeps {
  readonly records: RecordStore;
  readonly threads: WorkflowThreads;
  readonly webhooks: Webhooks;
  readonly clock: Clock;
  readonly logger: Logger;
}

interface Due {
  readonly workflow: WorkflowValue;
  /** The record that says so, as it was written: whoever has written it since has taken over. */
  readonly due: StoredRecord;
  readonly from: number;
  /** All that there is to settle, where that is known. */
  readonly only?: Checkpoint;
  /** When to look at the workflow next. */
  readonly wakeInMs: number;
}

/**
 * What follows a save, and an expiry. Of each workflow there is a record that expires when the workflow is to be looked at: 10 s after a
 * save whose process has died, and when a checkpoint expires. To make it anew under version 0 is to take the workflow for that long, which
 * one process can do.
 */
export class Settling {
  readonly #deps: SettlingDeps;

  constructor(deps: SettlingDeps) {
    this.#deps = deps;
  }

  /** Right after a save: what fails here is done later, and the save stands. */
  async settleNow(ref: WorkflowRef, due: Due): Promise<void> {
    try {
      await this.#settle(ref, due);
    } catch (error) {
      this.#deps.logger.warn(
        { err: error, workflowId: ref.workflowId },
        "a saved checkpoint is not on its thread yet, or its webhooks are not told; this is tried again",
      );
    }
  }

  /** Look at all workflows that are due. @returns how many */
  async sweep(): Promise<number> {
    const { records, logger } = this.#deps;
    let done = 0;
    for (;;) {
      const expired = await records.expired({ space: SPACES.due, limit: PER_ROUND });
      const before = done;
      for (const record of expired) {
        const ref = { owner: record.owner, workflowId: record.collection };
        try {
          if (await this.#take(ref, record)) done += 1;
        } catch (error) {
          logger.error({ err: error, workflowId: ref.workflowId }, "a workflow could not be looked at; tried again");
        }
      }
      // Those that failed stay first in the list: without any other there is nothing more to do now.
      if (expired.length < PER_ROUND || done === before) return done;
    }
  }

  /**
   * Remove what is kept of a workflow whose thread is gone.
   * @param found its record; whoever has written it since keeps all there is. `null`: there was none, but something may be left
   */
  async forget(ref: WorkflowRef, found: StoredRecord | null): Promise<void> {
    const marked = await this.#mark(ref, found);
    if (marked !== null) await this.#clear(ref, marked);
  }

  /**
   * Remove a workflow of which nothing lives, and tell. Only one who has marked its record does it; who finds the mark waits for that
   * one, or takes over when it has taken too long.
   */
  async remove(ref: WorkflowRef, found: StoredRecord): Promise<void> {
    if (workflowOf(found).removal === undefined || (await this.#isLeft(ref, found))) await this.#remove(ref, found);
  }

  async #remove(ref: WorkflowRef, found: StoredRecord): Promise<void> {
    const { records, threads, webhooks } = this.#deps;
    const marked = await this.#mark(ref, found);
    if (marked === null) return;
    const { thread, step, scope, seq } = workflowOf(found);
    const mark = `${found.createdAt}:${seq}`;
    // A thread that somebody has deleted took the workflow with it.
    if (await threads.exists(thread)) {
      await webhooks.tell({ event: "workflow.expired", ...ref, scope, step, mark, threadId: null });
    }
    const still = await records.get(workflowKey(ref));
    if (still?.version !== marked.version) return;
    // The mark has to outlive the thread: who saves meanwhile would save to one that goes.
    await disownThreadRecords(records, thread, recordsOf(ref));
    await threads.remove(thread);
    await this.#clear(ref, marked);
  }

  /** Nobody saves to a marked workflow. @returns null when somebody has written it since */
  async #mark(ref: WorkflowRef, found: StoredRecord | null): Promise<StoredRecord | null> {
    const workflow = found === null ? blankWorkflow(ref) : workflowOf(found);
    const marked = await this.#deps.records.write({
      ...workflowKey(ref),
      expected: found?.version ?? 0,
      value: valueOf({ ...workflow, removal: randomUUID() }),
    });
    return marked.kind === "written" ? marked.record : null;
  }

  /** The mark goes last: what somebody saves from then on stays. */
  async #clear(ref: WorkflowRef, marked: StoredRecord): Promise<void> {
    const { records } = this.#deps;
    await records.removeCollection(checkpointsOf(ref));
    await records.remove(dueKey(ref));
    await records.remove({ ...workflowKey(ref), expected: marked.version });
  }

  /** @returns whether it is ours to look at */
  async #take(ref: WorkflowRef, record: StoredRecord): Promise<boolean> {
    const { records } = this.#deps;
    const { from } = dueOf(record);
    const taken = await records.write({
      ...dueKey(ref),
      expected: 0,
      ttlMs: AGAIN_MS,
      value: valueOf({ from }),
    });
    if (taken.kind === "conflict") return false;
    const found = await records.get(workflowKey(ref));
    const workflow = found === null ? null : workflowOf(found);
    const ageMs = taken.record.updatedAt - (found?.updatedAt ?? -Infinity);
    // Somebody is at it, and would have its records taken away.
    if (workflow?.removal !== undefined && ageMs < REMOVAL_MS) return true;
    if (found === null || workflow === null || !(await this.#deps.threads.exists(workflow.thread))) {
      await this.forget(ref, found);
      return true;
    }
    const [oldest] = await this.#live(ref, "asc", 1);
    if (oldest === undefined) {
      if (workflow.removal !== undefined || !isUnderWay(workflow, ageMs)) await this.#remove(ref, found);
      return true;
    }
    const wakeInMs = (oldest.expiresAt ?? Infinity) - taken.record.createdAt;
    await this.#settle(ref, { workflow, due: taken.record, from: from ?? workflow.seq + 1, wakeInMs });
    await this.#deps.threads.forgetBefore(workflow.thread, oldest);
    return true;
  }

  async #settle(ref: WorkflowRef, { workflow, due, from, only, wakeInMs }: Due): Promise<void> {
    const { records, threads, webhooks } = this.#deps;
    const { thread: threadId } = workflow;
    for await (const checkpoint of only === undefined ? this.#since(ref, from) : [only]) {
      const { step, scope, seq, at } = checkpoint;
      if (!(await threads.write(threadId, checkpoint, seq === workflow.seq))) return this.#forgetSaved(ref, workflow);
      await webhooks.tell({ event: "checkpoint.saved", ...ref, scope, step, mark: `${at}:${seq}`, threadId });
    }
    // A conflict is somebody else's save or look, which goes on from there.
    await records.write({
      ...dueKey(ref),
      expected: due.version,
      value: valueOf({ from: null }),
      ttlMs: Math.max(0, wakeInMs) + AFTER_MS,
    });
  }

  /** Its thread went while it was saved. What somebody has saved since is theirs to look after. */
  async #forgetSaved(ref: WorkflowRef, { at }: WorkflowValue): Promise<void> {
    const found = await this.#deps.records.get(workflowKey(ref));
    if (found !== null && workflowOf(found).at === at) await this.forget(ref, found);
  }

  /**
   * Live checkpoints from a save on, in the order in which they were saved. There may be many, where threads could not be written for long:
   * only their steps are kept while the first of them is looked for.
   */
  async *#since(ref: WorkflowRef, from: number): AsyncGenerator<Checkpoint, void> {
    const steps: number[] = [];
    for (let offset = 0; ; offset += PER_PAGE) {
      const page = await this.#live(ref, "desc", PER_PAGE, offset);
      const wanted = page.filter(({ seq }) => seq >= from);
      steps.push(...wanted.map(({ step }) => step));
      if (wanted.length < page.length || page.length < PER_PAGE) break;
    }
    for (const step of steps.toReversed()) {
      const found = await this.#deps.records.get(checkpointKey(ref, step));
      // What has expired meanwhile is not there.
      if (found !== null) yield checkpointOf(found);
    }
  }

  async #live(ref: WorkflowRef, direction: "asc" | "desc", limit: number, offset = 0): Promise<readonly Checkpoint[]> {
    const page = { order: "created", direction, limit, offset } as const;
    return (await this.#deps.records.list({ ...checkpointsOf(ref), ...page })).map(checkpointOf);
  }

  /** Waits a moment for whoever removes it. @returns whether that one has left it */
  async #isLeft(ref: WorkflowRef, found: StoredRecord): Promise<boolean> {
    const { records, clock } = this.#deps;
    for (const until = clock.now() + REMOVAL_MS; clock.now() < until;) {
      const now = await records.get(workflowKey(ref));
      if (now?.version !== found.version) return false;
      await new Promise<void>((resolve) => void clock.setTimer(resolve, 20));
    }
    return true;
  }
}

/**
 * Whether a workflow without any checkpoint may be one that is being saved to: where a storage has no step of several records, the
 * workflow's is there first. No checkpoint of its last save can have expired yet, and its process has not had its time.
 * @param ageMs since its record was written
 */
export function isUnderWay({ ttlMs }: WorkflowValue, ageMs: number): boolean {
  return ageMs < Math.min(ttlMs, SETTLE_WITHIN_MS);
}

function blankWorkflow(ref: WorkflowRef): WorkflowValue {
  return { thread: threadIdOf(ref), seq: 0, at: 0, total: 0, settled: 0, step: 0, scope: "", ttlMs: 0 };
}
