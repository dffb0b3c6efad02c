import type { AnyBulkWriteOperation } from "mongodb";
import { inBulks } from "../../databases/mongodb/bulk.js";
import type { MongoDatabase } from "../../databases/mongodb/open.js";
import type { Collections } from "./collections.js";
import { deliveryOfEnd } from "./delivery-contents.js";
import { insertOnce } from "./insert-once.js";
import type { EndedEntry, RunDocument, ThreadDocument } from "./documents.js";

/** How long ends are gathered before they are written in one go. */
const GATHER_MS = 10;
const MAX_GATHERED = 200;

/** Ended runs of one thread that its document names. */
export interface EndedRuns {
  readonly threadId: string;
  readonly ended: readonly EndedEntry[];
}

/**
 * Writes to the documents of runs what their threads have decided, and then strikes it off there. Nobody waits for it: until
 * then everyone reads it from the thread, and after a crash {@link RunStore.reapExpired} does it.
 */
export interface Outbox {
  add(runs: EndedRuns): void;
  /** Write what was added so far. */
  flush(): Promise<void>;
  /** Write these now. */
  settle(batch: readonly EndedRuns[]): Promise<void>;
  /** Writes what is left, as far as the server answers. */
  close(): Promise<void>;
}

export function createOutbox(database: MongoDatabase, { runs, threads, deliveries }: Collections): Outbox {
  let gathered: EndedRuns[] = [];
  let timer: NodeJS.Timeout | undefined;
  let flushing: Promise<void> = Promise.resolve();

  const settle = async (batch: readonly EndedRuns[]): Promise<void> => {
    const told = batch.flatMap(({ threadId, ended }) => ended.flatMap((entry) => deliveryOfEnd(threadId, entry)));
    for (const delivery of told) await database.retrying(() => insertOnce(deliveries, delivery));
    const writes = batch.flatMap(({ ended }) => ended.map(runWrite));
    if (writes.length === 0) return;
    for (const bulk of inBulks(writes)) {
      await database.retrying(() => runs.bulkWrite([...bulk], { ordered: false }));
    }
    const strikes = batch.map(({ threadId, ended }): AnyBulkWriteOperation<ThreadDocument> => ({
      // Not by condition: FerretDB 1.24 takes the operand of `$pull` for the element itself.
      updateOne: { filter: { _id: threadId }, update: { $pullAll: { ended: [...ended] } } },
    }));
    for (const bulk of inBulks(strikes)) {
      await database.retrying(() => threads.bulkWrite([...bulk], { ordered: false }));
    }
  };

  const flush = (): Promise<void> => {
    clearTimeout(timer);
    timer = undefined;
    flushing = flushing.then(async () => {
      const batch = gathered;
      gathered = [];
      // What fails is still in the threads' documents.
      if (batch.length > 0) await settle(batch).catch(() => undefined);
    });
    return flushing;
  };

  return {
    add(ended) {
      if (ended.ended.length === 0) return;
      gathered.push(ended);
      if (gathered.length >= MAX_GATHERED) void flush();
      else timer ??= setTimeout(() => void flush(), GATHER_MS).unref();
    },
    flush,
    settle,
    close: flush,
  };
}

/** A run ends once, so writing it twice is writing it once. */
function runWrite(entry: EndedEntry): AnyBulkWriteOperation<RunDocument> {
  const { runId, end, webhook: _, ...ended } = entry;
  if (end === "deleted") return { deleteOne: { filter: { _id: runId } } };
  return {
    updateOne: {
      filter: { _id: runId },
      update: { $set: { status: end, ...ended }, $unset: { delayedUntil: "" } },
    },
  };
}
