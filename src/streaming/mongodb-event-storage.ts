import type { Filter, FindOptions } from "mongodb";
import type { DriverContext } from "../core/driver.js";
import type { RestlessLog } from "../core/event-log.js";
import type { RunEvent } from "../core/run-event.js";
import type { RunRef } from "../core/run.js";
import { migrate } from "../databases/mongodb/migrate.js";
import { openMongo, type MongoDatabase } from "../databases/mongodb/open.js";
import type { EventStorage, LogHead, LogWrite, LookedAt } from "./event-storage.js";
import {
  EVENTS,
  eventCollections,
  eventsOf,
  type Batch,
  type EventCollections,
  type HeadDocument,
  type HeadWithoutTail,
} from "./mongodb-event-documents.js";
import { evict } from "./mongodb-event-evict.js";
import { empty, findHead, findHeads, findWholeHead, purge, spill } from "./mongodb-event-logs.js";
import { writeLogs } from "./mongodb-event-write.js";

type RefDocument = Pick<HeadDocument, "_id" | "threadId" | "leaseToken">;

/** Events that a head keeps, more or less. */
const TAIL_BYTES = 16 * 1024;
/** Logs whose tails are counted: far more than one process executes runs. */
const MAX_COUNTED = 10_000;
/** Logs that one sweep claims at the same time. */
const CLAIMED_AT_ONCE = 20;
/** Batches in one answer: a batch is some 16 kB. */
const READ_BATCHES = 16;

/**
 * Events in MongoDB, without transactions: a log's numbers and its newest events are one document, which one update changes
 * with everything that fences it, so that a share is written whole or not at all. Older events are moved into documents of
 * their own, packed. There are no change streams: the log looks at heads by itself.
 * @param uri as for `openMongo`
 * @param context.clock of tests; by default time is the server's
 */
export async function openMongoEventStorage(uri: string, context: DriverContext): Promise<EventStorage> {
  const database = await openMongo(uri, context);
  try {
    await migrate(database, [EVENTS]);
    return new MongoEventStorage(database);
  } catch (error) {
    await database.close();
    throw error;
  }
}

class MongoEventStorage implements EventStorage {
  readonly disposable = false;
  readonly watch = null;
  readonly #database: MongoDatabase;
  readonly #collections: EventCollections;
  /** Bytes that this process has put into tails since it moved them. */
  readonly #tailBytes = new Map<string, number>();
  /** Under way here, by run: whoever reads meanwhile would find half of it done, and tell of two gaps. */
  readonly #evictions = new Map<string, Promise<unknown>>();

  constructor(database: MongoDatabase) {
    this.#database = database;
    this.#collections = eventCollections(database.db);
  }

  async head(run: RunRef): Promise<LogHead | null> {
    const head = await this.#retrying(() => findHead(this.#collections, run));
    return head === null || head.deleted === true ? null : toLogHead(head);
  }

  async heads(runs: readonly RunRef[]): Promise<readonly (LogHead | null)[]> {
    if (runs.length === 0) return [];
    const ids = runs.map(({ runId }) => runId);
    const found = await this.#retrying(() => findHeads(this.#collections, ids));
    const byId = new Map(found.map((head) => [head._id, head]));
    return runs.map(({ runId, threadId }) => {
      const head = byId.get(runId);
      return head?.threadId === threadId ? toLogHead(head) : null;
    });
  }

  async write(writes: readonly LogWrite[]): Promise<readonly RunRef[]> {
    const { serverNow } = this.#database;
    // The log itself tries again.
    const refused = await this.#database.retrying(() => writeLogs(this.#collections, serverNow, writes), { waitMs: 0 });
    const full = writes.filter((write) => !refused.includes(write) && this.#isFull(write));
    // It is written; that its tail is still long is no failure.
    await Promise.allSettled(full.map(({ run }) => this.#spill(run)));
    return refused.map(({ run }) => run);
  }

  async look(
    asked: readonly { readonly run: RunRef; readonly fromSeq: number | null }[],
    maxBytes: number,
  ): Promise<readonly LookedAt[]> {
    if (asked.length === 0) return [];
    await Promise.all(asked.map(({ run }) => this.#evicted(run)));
    return this.#retrying(async () => {
      const ids = asked.map(({ run }) => run.runId);
      const found = await this.#collections.heads.find({ _id: { $in: ids } }).toArray();
      const byId = new Map(found.map((head) => [head._id, head]));
      return Promise.all(
        asked.map(async ({ run, fromSeq }): Promise<LookedAt> => {
          const head = byId.get(run.runId);
          if (head === undefined || head.threadId !== run.threadId || head.deleted === true) return NOT_THERE;
          const events =
            fromSeq === null ? [] : await this.#eventsOf(head, { fromSeq, beforeSeq: head.nextSeq, maxBytes });
          return { head: toLogHead(head), events };
        }),
      );
    });
  }

  async read(params: {
    readonly run: RunRef;
    readonly fromSeq: number;
    readonly beforeSeq: number;
    readonly maxBytes: number;
  }): Promise<readonly RunEvent[]> {
    await this.#evicted(params.run);
    return this.#retrying(async () => {
      const head = await findWholeHead(this.#collections, params.run);
      return head === null ? [] : this.#eventsOf(head, params);
    });
  }

  async evict(params: {
    readonly run: RunRef;
    readonly kind: "token" | "state";
    readonly beforeSeq: number;
    readonly bytes: number;
  }): Promise<{ readonly freedBytes: number; readonly evictedToSeq: number }> {
    const { runId } = params.run;
    // Not repeated: freed bytes would be taken off twice.
    const eviction = this.#database.retrying(() => evict(this.#collections, params), { idempotent: false });
    this.#evictions.set(runId, eviction);
    try {
      return await eviction;
    } finally {
      if (this.#evictions.get(runId) === eviction) this.#evictions.delete(runId);
    }
  }

  async keep(run: RunRef, ms: number): Promise<void> {
    const { heads } = this.#collections;
    const { runId: _id, threadId } = run;
    await this.#retrying(async () => {
      const pending = await heads.updateOne(
        { _id, threadId, sealedAt: null, lasting: { $exists: false } },
        { $max: { keepMs: ms } },
      );
      if (pending.matchedCount === 1) return;
      const head = await findHead(this.#collections, run);
      if (head === null || head.sealedAt === null || head.deleted === true) return;
      const expiresAt = head.sealedAt + ms;
      await heads.updateOne({ _id, logId: head.logId, expiresAt: { $lt: expiresAt, $gt: 0 } }, { $set: { expiresAt } });
    });
  }

  async delete(run: RunRef): Promise<void> {
    await this.#drop({ _id: run.runId, threadId: run.threadId });
    this.#tailBytes.delete(run.runId);
  }

  async deleteThread(threadId: string): Promise<void> {
    await this.#drop({ threadId });
  }

  async deleteExpired(limit: number): Promise<readonly RunRef[]> {
    const { heads } = this.#collections;
    const now = this.#database.serverNow();
    const expiring = await this.#retrying(() =>
      heads
        .find({ expiresAt: { $ne: null, $lte: now } })
        .sort({ expiresAt: 1 })
        .limit(limit)
        .project<HeadWithoutTail>({ tail: 0 })
        .toArray(),
    );
    const claimed: HeadWithoutTail[] = [];
    const emptied: HeadWithoutTail[] = [];
    for (let start = 0; start < expiring.length; start += CLAIMED_AT_ONCE) {
      await Promise.all(
        expiring.slice(start, start + CLAIMED_AT_ONCE).map(async (head) => {
          // A crash left it when it was half forgotten.
          if (head.deleted === true) return;
          const { _id, logId, expiresAt, nextSeq } = head;
          if (head.lasting === true && nextSeq > 0) {
            if (await this.#database.retrying(() => empty(this.#collections, head))) emptied.push(head);
            return;
          }
          const claim = await heads.updateOne({ _id, logId, expiresAt, sealedAt: head.sealedAt }, { $set: DROPPED });
          if (claim.modifiedCount === 1) claimed.push(head);
        }),
      );
    }
    const abandoned = expiring.filter((head) => head.deleted === true);
    await this.#retrying(() => purge(this.#collections, [...abandoned, ...claimed]));
    return [...claimed, ...emptied].map(toRef);
  }

  async unsealed(limit: number, skip = 0): Promise<readonly RunRef[]> {
    const unsealed = { sealedAt: null, lasting: { $exists: false } };
    return (await this.#page(unsealed, { sort: { createdAt: 1 }, skip, limit })).map(toRef);
  }

  async restless(limit: number, skip = 0): Promise<readonly RestlessLog[]> {
    const found = await this.#page({ lasting: true, expiresAt: null }, { sort: { _id: 1 }, skip, limit });
    return found.map(({ _id, threadId, leaseToken }) => ({ runId: _id, threadId, leaseToken }));
  }

  async lasting(limit: number, after: string | null): Promise<readonly RunRef[]> {
    const lasting: Filter<HeadDocument> = {
      lasting: true,
      nextSeq: { $gt: 0 },
      sealedAt: null,
      _id: { $gt: after ?? "" },
    };
    return (await this.#page(lasting, { sort: { _id: 1 }, limit })).map(toRef);
  }

  async close(): Promise<void> {
    await this.#database.close();
  }

  /** Of heads, what says whose they are. */
  #page(filter: Filter<HeadDocument>, options: Pick<FindOptions, "sort" | "skip" | "limit">): Promise<RefDocument[]> {
    const projection = { _id: 1, threadId: 1, leaseToken: 1 };
    return this.#retrying(() =>
      this.#collections.heads.find<RefDocument>(filter, { ...options, projection }).toArray(),
    );
  }

  #retrying<T>(work: () => Promise<T>): Promise<T> {
    return this.#database.retrying(work);
  }

  /** Resolves when no eviction of the run is under way here. */
  async #evicted({ runId }: RunRef): Promise<void> {
    for (let eviction = this.#evictions.get(runId); eviction !== undefined; eviction = this.#evictions.get(runId)) {
      await eviction.catch(() => undefined);
      // The log asks for one kind of events after the other.
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async #eventsOf(
    head: HeadDocument,
    range: { readonly fromSeq: number; readonly beforeSeq: number; readonly maxBytes: number },
  ): Promise<readonly RunEvent[]> {
    const { beforeSeq } = range;
    const events: RunEvent[] = [];
    let { fromSeq, maxBytes: room } = range;
    for await (const batch of this.#batches(head, fromSeq, beforeSeq)) {
      if (batch.last < fromSeq || batch.first >= beforeSeq) continue;
      for (const event of await eventsOf(this.#collections, batch)) {
        if (event.seq < fromSeq || event.seq >= beforeSeq) continue;
        events.push(event);
        fromSeq = event.seq + 1;
        room -= Buffer.byteLength(event.data);
        if (room <= 0) return events;
      }
    }
    return events;
  }

  /** Events from a number on, in order; some may come twice. */
  async *#batches(head: HeadDocument, fromSeq: number, beforeSeq: number): AsyncGenerator<Batch> {
    if (fromSeq < head.spilledSeq) {
      const { batches } = this.#collections;
      const { logId } = head;
      const stored = batches.find({ logId, last: { $gte: fromSeq }, first: { $lt: beforeSeq } }).sort({ last: 1 });
      yield* stored.batchSize(READ_BATCHES);
    }
    yield* head.tail;
  }

  #isFull({ run, bytes, sealForMs }: LogWrite): boolean {
    const tailBytes = (this.#tailBytes.get(run.runId) ?? 0) + bytes;
    if (sealForMs !== null || tailBytes >= TAIL_BYTES) this.#tailBytes.delete(run.runId);
    else this.#tailBytes.set(run.runId, tailBytes);
    if (this.#tailBytes.size > MAX_COUNTED) this.#tailBytes.clear();
    return tailBytes >= TAIL_BYTES;
  }

  async #spill(run: RunRef): Promise<void> {
    const head = await findWholeHead(this.#collections, run);
    if (head !== null) await spill(this.#collections, head);
  }

  /** Nobody sees them from here on; then forget them. */
  async #drop(which: { readonly _id?: string; readonly threadId: string }): Promise<void> {
    const { heads } = this.#collections;
    await this.#retrying(async () => {
      const { matchedCount } = await heads.updateMany(which, { $set: DROPPED });
      if (matchedCount === 0) return;
      const dropped = heads.find({ ...which, deleted: true }).project<HeadWithoutTail>({ _id: 1, logId: 1 });
      await purge(this.#collections, await dropped.toArray());
    });
  }
}

/** Nobody writes to a sealed log, and the sweep finds what has expired. */
const DROPPED = { deleted: true, sealedAt: 0, expiresAt: 0 } as const;

const NOT_THERE: LookedAt = { head: null, events: [] };

function toLogHead(head: HeadWithoutTail): LogHead {
  const { nextSeq, bytes, resumable, leaseToken, tokensTo, statesTo } = head;
  const lasting = head.lasting === true;
  return {
    nextSeq,
    bytes,
    resumable,
    sealed: head.sealedAt !== null,
    lasting,
    resting: lasting && head.expiresAt !== null,
    leaseToken,
    evicted: { tokensTo, statesTo },
  };
}

function toRef({ _id, threadId }: Pick<HeadDocument, "_id" | "threadId">): RunRef {
  return { runId: _id, threadId };
}
