import { isHeddleError } from "../core/errors.js";
import type { PostgresDatabase } from "../databases/postgres/open.js";
import { type Batch, storeBatch } from "./postgres-batch.js";
import { leaseLost } from "./postgres-lease.js";
import { ListValue, type StoredValue } from "./postgres-blobs.js";
import type { KnownLists } from "./postgres-lists.js";
import { type Put, storeCheckpoint } from "./postgres-put.js";
import { type PutWrites, storeWrites } from "./postgres-writes.js";

/** Operations of more bytes travel alone: they would hold up the others. */
const MAX_BATCHED_BYTES = 64 * 1024;
/** Bytes and operations of one batch. */
const MAX_BATCH_BYTES = 1024 * 1024;
const MAX_BATCH = 500;
/** Operations that are under way alone. */
const MAX_ALONE = 4;
/** Newest checkpoints that are remembered to need no alias. */
const MAX_PLAIN = 10_000;

type Operation = (
  { readonly kind: "put"; readonly put: Put } | { readonly kind: "writes"; readonly put: PutWrites }
) & {
  readonly bytes: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
};

/**
 * Group commit of checkpoints: what runs want to store while a statement is under way is the next statement. Operations of one
 * thread are stored in the order of the calls.
 */
export class CheckpointGathering {
  readonly #database: PostgresDatabase;
  #waiting: Operation[] = [];
  /** Threads that something is under way of. */
  readonly #busy = new Set<string>();
  #alone = 0;
  #batching = false;
  #scheduled = false;
  /** By thread and namespace: the newest checkpoint that was put here, if neither it nor an ancestor of it here needed an alias. */
  readonly #plain = new Map<string, string>();

  readonly #lists: KnownLists;

  /** @param lists told of what is stored */
  constructor(database: PostgresDatabase, lists: KnownLists) {
    this.#database = database;
    this.#lists = lists;
  }

  /** @throws HeddleError `LEASE_LOST` */
  put(put: Put): Promise<void> {
    let bytes = put.metadata.length + put.checkpoint.length;
    for (const value of put.fresh.values()) bytes += bytesOf(value);
    return this.#add((end) => ({ kind: "put", put, bytes, ...end }));
  }

  /** @throws HeddleError `LEASE_LOST` */
  putWrites(put: PutWrites): Promise<void> {
    let bytes = 0;
    for (const { blob } of put.writes.values()) bytes += blob?.length ?? 0;
    return this.#add((end) => ({ kind: "writes", put, bytes, ...end }));
  }

  #add(operation: (end: Pick<Operation, "resolve" | "reject">) => Operation): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push(operation({ resolve, reject }));
      if (this.#scheduled) return;
      this.#scheduled = true;
      // The checkpoint of a run's input and the one after it come within one turn.
      setImmediate(() => {
        this.#scheduled = false;
        this.#start();
      });
    });
  }

  /** Start what can be: one batch at a time, and beside it what has to travel alone. */
  #start(): void {
    const batch: Operation[] = [];
    const keys = new Set<string>();
    const batched = new Set<string>();
    const held = new Set<string>();
    const left: Operation[] = [];
    let bytes = 0;
    for (const operation of this.#waiting) {
      const { threadId } = operation.put;
      const isBlocked = this.#busy.has(threadId) || held.has(threadId);
      const isAlone =
        operation.bytes > MAX_BATCHED_BYTES || !this.#isPlain(operation, keys) || bringsContent(operation);
      if (!isBlocked && isAlone && !batched.has(threadId) && this.#alone < MAX_ALONE) {
        void this.#runAlone(operation);
        continue;
      }
      const fits = !this.#batching && batch.length < MAX_BATCH && bytes < MAX_BATCH_BYTES;
      if (isBlocked || isAlone || !fits || !addKeys(keys, operation)) {
        held.add(threadId);
        left.push(operation);
        continue;
      }
      bytes += operation.bytes;
      batch.push(operation);
      batched.add(threadId);
    }
    this.#waiting = left;
    if (batch.length > 0) void this.#runBatch(batch);
  }

  /**
   * Its parent needed no alias, so that it needs none unless a new version of it is taken; the statement sees that.
   * @param keys of the batch so far
   */
  #isPlain({ kind, put }: Operation, keys: ReadonlySet<string>): boolean {
    if (kind === "writes") return true;
    if (put.parentId === undefined) return put.silent.length === 0;
    return this.#plain.get(keyOf(put)) === put.parentId || keys.has(checkpointKey(put, put.parentId));
  }

  async #runBatch(operations: readonly Operation[]): Promise<void> {
    this.#batching = true;
    const threads = new Set(operations.map(({ put }) => put.threadId));
    for (const threadId of threads) this.#busy.add(threadId);
    try {
      await this.#storeTogether(operations);
    } finally {
      for (const threadId of threads) this.#busy.delete(threadId);
      this.#batching = false;
      this.#start();
    }
  }

  async #runAlone(operation: Operation): Promise<void> {
    const { threadId } = operation.put;
    this.#busy.add(threadId);
    this.#alone += 1;
    await this.#storeAlone(operation);
    this.#alone -= 1;
    this.#busy.delete(threadId);
    this.#start();
  }

  async #storeTogether(operations: readonly Operation[]): Promise<void> {
    const [first] = operations;
    if (operations.length === 1 && first !== undefined) return this.#storeAlone(first);
    const batch: Batch = {
      puts: operations.flatMap((operation) => (operation.kind === "put" ? operation.put : [])),
      writes: operations.flatMap((operation) => (operation.kind === "writes" ? operation.put : [])),
    };
    let result;
    try {
      result = await storeBatch(this.#database, batch);
    } catch (error) {
      // One after the other they would each wait as long for a database that is away.
      if (isHeddleError(error) && error.code === "STORAGE_UNAVAILABLE") {
        for (const operation of operations) operation.reject(error);
        return;
      }
      // Whose fault it is shows when each is stored by itself.
      for (const operation of operations) await this.#storeAlone(operation);
      return;
    }
    for (const operation of operations) {
      if (!result.held(operation.put)) operation.reject(lost(operation));
      else if (operation.kind === "writes") operation.resolve();
      else if (!result.complete) await this.#storeAlone(operation);
      else {
        this.#remember(operation.put);
        operation.resolve();
      }
    }
  }

  async #storeAlone(operation: Operation): Promise<void> {
    try {
      if (operation.kind === "writes") await storeWrites(this.#database, operation.put);
      else if (await storeCheckpoint(this.#database, operation.put, this.#lists.grown(operation.put)))
        this.#remember(operation.put);
      else {
        this.#plain.delete(keyOf(operation.put));
        // It is stored under other versions than it says.
        this.#lists.forget(operation.put);
      }
      operation.resolve();
    } catch (error) {
      operation.reject(error);
    }
  }

  #remember(put: Put): void {
    this.#lists.stored(put);
    const key = keyOf(put);
    this.#plain.delete(key);
    this.#plain.set(key, put.checkpointId);
    if (this.#plain.size <= MAX_PLAIN) return;
    for (const oldest of this.#plain.keys()) {
      this.#plain.delete(oldest);
      return;
    }
  }
}

/** A batch has no contents, only parts of those that are there. */
function bringsContent({ kind, put }: Operation): boolean {
  if (kind === "writes") return false;
  for (const { shared } of put.fresh.values()) if (shared !== undefined && shared.data !== null) return true;
  return false;
}

/** About: a list is not made for being counted. */
function bytesOf(value: StoredValue): number {
  if (value instanceof ListValue) return value.length;
  return (value.blob?.length ?? 0) + (value.shared?.data?.blob?.length ?? 0);
}

function keyOf(put: Put): string {
  return `${put.threadId}\0${put.checkpointNs}`;
}

function checkpointKey(put: Put, checkpointId: string): string {
  return `c\0${keyOf(put)}\0${checkpointId}`;
}

/** Rows of one statement must differ. @returns false, having added nothing, when one is there already */
function addKeys(keys: Set<string>, { kind, put }: Operation): boolean {
  const own: string[] = [];
  if (kind === "put") {
    const { versions, checkpointId } = put;
    const key = keyOf(put);
    own.push(checkpointKey(put, checkpointId));
    for (const channel of put.fresh.keys()) own.push(`b\0${key}\0${channel}\0${String(versions[channel])}`);
  } else {
    const { threadId, checkpointNs, checkpointId, taskId } = put;
    for (const index of put.writes.keys()) {
      own.push(`w\0${threadId}\0${checkpointNs}\0${checkpointId}\0${taskId}\0${index}`);
    }
  }
  if (own.some((key) => keys.has(key))) return false;
  for (const key of own) keys.add(key);
  return true;
}

function lost({ kind, put }: Operation): unknown {
  return leaseLost(put.lease, kind === "put" ? "its checkpoint was" : "its writes were");
}
