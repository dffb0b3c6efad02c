import type { Database, Statement } from "better-sqlite3";
import type { Clock } from "../core/clock.js";
import type { DriverContext } from "../core/driver.js";
import type { RestlessLog } from "../core/event-log.js";
import { asJsonText } from "../core/json.js";
import type { RunEvent, RunEventKind } from "../core/run-event.js";
import type { RunRef } from "../core/run.js";
import { HeddleError } from "../core/errors.js";
import { migrate } from "../databases/sqlite/migrate.js";
import { type SqliteDatabase, openSqlite } from "../databases/sqlite/open.js";
import type { EventStorage, LogHead, LogWrite } from "./event-storage.js";
import { eventBytes } from "./run-buffer.js";
import { EVENT_MIGRATIONS, INSERT_ROWS, SQL, insertEvents } from "./sqlite-event-statements.js";

const KINDS: readonly RunEventKind[] = ["token", "state", "control"];

/** Changed logs that are named at once. */
const MAX_CHANGED = 1_000;

/** Rows deleted in one go, so that the event loop turns in between. */
const PURGE_ROWS = 5_000;

interface HeadRow {
  readonly log_id: number;
  readonly next_seq: number;
  readonly bytes: number;
  readonly resumable: number;
  readonly lasting: number;
  readonly sealed_at: number | null;
  readonly expires_at: number | null;
  readonly lease_token: number;
  readonly tokens_evicted_to: number;
  readonly states_evicted_to: number;
}

interface EventRow {
  readonly seq: number;
  readonly kind: number;
  readonly event: string;
  readonly data: string;
  readonly bytes: number;
}

interface RefRow {
  readonly run_id: string;
  readonly thread_id: string;
}

interface RestlessRow extends RefRow {
  readonly lease_token: number;
}

interface ExpiredRow extends RefRow {
  /** All of it but its events. */
  readonly stays: 0 | 1;
}

/**
 * Events in SQLite. An event's row id is its log's number and its sequence number in one integer: appends go to the end
 * of a clustered table without any index, reads are one range. Writes are synchronous, one transaction per flush.
 * @param uri as for `openSqlite`
 */
export async function openSqliteEventStorage(
  uri: string,
  context: DriverContext & { readonly clock: Clock },
): Promise<EventStorage> {
  const opened = await openSqlite(uri, context);
  try {
    migrate(opened.db, "events", EVENT_MIGRATIONS);
    return reporting(new SqliteEventStorage(opened, context.clock), opened.path);
  } catch (error) {
    opened.close();
    throw error;
  }
}

class SqliteEventStorage implements EventStorage {
  readonly disposable = false;
  /** Another process on the same file is possible and rare: its logs are looked at now and then. */
  readonly watch = null;
  readonly #opened: SqliteDatabase;
  readonly #clock: Clock;
  readonly #head: Statement<[string, string], HeadRow>;
  readonly #make: Statement<unknown[], number>;
  readonly #grow: Statement<unknown[]>;
  readonly #change: Statement<[], number>;
  readonly #changes: Statement<[], number>;
  readonly #insertOne: Statement<unknown[]>;
  readonly #insertMany: Statement<unknown[]>;
  readonly #read: Statement<[number, number, number, number], EventRow>;
  readonly #write: (writes: readonly LogWrite[]) => readonly RunRef[];

  constructor(opened: SqliteDatabase, clock: Clock) {
    const { db } = opened;
    this.#opened = opened;
    this.#clock = clock;
    this.#head = db.prepare(SQL.head);
    this.#make = db.prepare<unknown[], number>(SQL.make).pluck();
    this.#grow = db.prepare(SQL.grow);
    this.#change = db.prepare<[], number>(SQL.change).pluck();
    this.#changes = db.prepare<[], number>(SQL.changes).pluck();
    this.#insertOne = db.prepare(insertEvents(1));
    this.#insertMany = db.prepare(insertEvents(INSERT_ROWS));
    this.#read = db.prepare(SQL.read);
    this.#write = immediate(db, (writes: readonly LogWrite[]) => {
      const changed = writes.some(({ lasting }) => lasting) ? (this.#change.get() ?? 0) : 0;
      return writes.filter((write) => !this.#writeLog(write, changed)).map(({ run }) => run);
    });
  }

  async changed(since: string | null): Promise<{ readonly runs: readonly RunRef[] | null; readonly until: string }> {
    const until = String(this.#changes.get() ?? 0);
    if (since === null || since === until) return { runs: [], until };
    const changed = this.#opened.db.prepare<unknown[], RefRow>(SQL.changed).all(Number(since), MAX_CHANGED + 1);
    return { runs: changed.length > MAX_CHANGED ? null : changed.map(toRef), until };
  }

  async head(run: RunRef): Promise<LogHead | null> {
    const row = this.#head.get(run.runId, run.threadId);
    if (row === undefined) return null;
    return {
      nextSeq: row.next_seq,
      bytes: row.bytes,
      resumable: row.resumable === 1,
      sealed: row.sealed_at !== null,
      lasting: row.lasting === 1,
      resting: row.lasting === 1 && row.expires_at !== null,
      leaseToken: row.lease_token,
      evicted: { tokensTo: row.tokens_evicted_to, statesTo: row.states_evicted_to },
    };
  }

  heads(runs: readonly RunRef[]): Promise<readonly (LogHead | null)[]> {
    return Promise.all(runs.map((run) => this.head(run)));
  }

  write(writes: readonly LogWrite[]): readonly RunRef[] {
    return this.#write(writes);
  }

  async read(params: {
    readonly run: RunRef;
    readonly fromSeq: number;
    readonly beforeSeq: number;
    readonly maxBytes: number;
  }): Promise<readonly RunEvent[]> {
    const log = this.#head.get(params.run.runId, params.run.threadId);
    if (log === undefined) return [];
    const events: RunEvent[] = [];
    let room = params.maxBytes;
    for (const row of this.#read.iterate(log.log_id, params.fromSeq, log.log_id, params.beforeSeq)) {
      events.push({ seq: row.seq, event: row.event, data: asJsonText(row.data), kind: KINDS[row.kind] ?? "control" });
      room -= row.bytes;
      if (room <= 0) break;
    }
    return events;
  }

  async evict(params: {
    readonly run: RunRef;
    readonly kind: "token" | "state";
    readonly beforeSeq: number;
    readonly bytes: number;
  }): Promise<{ readonly freedBytes: number; readonly evictedToSeq: number }> {
    const { db } = this.#opened;
    return immediate(db, () => {
      const log = this.#head.get(params.run.runId, params.run.threadId);
      const nothing = { freedBytes: 0, evictedToSeq: -1 };
      if (log === undefined) return nothing;
      const id = log.log_id;
      const kind = KINDS.indexOf(params.kind);
      const newest =
        params.kind === "state" ? (db.prepare<unknown[], number>(SQL.newest).pluck().get(kind, id, id) ?? -1) : -1;
      let freedBytes = 0;
      let evictedToSeq = -1;
      const oldest = db.prepare<unknown[], { seq: number; bytes: number }>(SQL.oldest);
      for (const row of oldest.iterate(id, id, params.beforeSeq, kind)) {
        if (freedBytes >= params.bytes || row.seq === newest) break;
        freedBytes += row.bytes;
        evictedToSeq = row.seq;
      }
      if (evictedToSeq < 0) return nothing;
      db.prepare(SQL.evict).run(id, id, evictedToSeq, kind);
      const tokensTo = params.kind === "token" ? evictedToSeq : -1;
      const statesTo = params.kind === "state" ? evictedToSeq : -1;
      db.prepare(SQL.evicted).run(freedBytes, tokensTo, statesTo, id);
      return { freedBytes, evictedToSeq };
    })();
  }

  async keep(run: RunRef, ms: number): Promise<void> {
    this.#opened.db.prepare(SQL.keep).run({ ms, runId: run.runId, threadId: run.threadId });
  }

  async delete(run: RunRef): Promise<void> {
    this.#opened.db.prepare(SQL.abandonRun).run(run.runId, run.threadId);
    await this.#purge();
  }

  async deleteThread(threadId: string): Promise<void> {
    this.#opened.db.prepare(SQL.abandonThread).run(threadId);
    await this.#purge();
  }

  async deleteExpired(limit: number): Promise<readonly RunRef[]> {
    const { db } = this.#opened;
    const rows = immediate(db, () => {
      const expired = db.prepare<unknown[], ExpiredRow>(SQL.expired).all(this.#clock.now(), limit);
      const abandon = db.prepare(SQL.abandonRun);
      for (const { run_id: runId, thread_id: threadId, stays } of expired) {
        const logId = this.#head.get(runId, threadId)?.log_id;
        abandon.run(runId, threadId);
        if (stays === 1) db.prepare(SQL.empty).run({ runId, threadId, logId });
      }
      return expired;
    })();
    await this.#purge();
    return rows.map(toRef);
  }

  async unsealed(limit: number, skip = 0): Promise<readonly RunRef[]> {
    return this.#opened.db.prepare<unknown[], RefRow>(SQL.unsealed).all(limit, skip).map(toRef);
  }

  async restless(limit: number, skip = 0): Promise<readonly RestlessLog[]> {
    const rows = this.#opened.db.prepare<unknown[], RestlessRow>(SQL.restless).all(limit, skip);
    return rows.map((row) => ({ runId: row.run_id, threadId: row.thread_id, leaseToken: row.lease_token }));
  }

  async lasting(limit: number, after: string | null): Promise<readonly RunRef[]> {
    return this.#opened.db
      .prepare<unknown[], RefRow>(SQL.lasting)
      .all(after ?? "", limit)
      .map(toRef);
  }

  async close(): Promise<void> {
    this.#opened.close();
  }

  /** @returns false when it is refused. */
  #writeLog(write: LogWrite, changed: number): boolean {
    const { run, evicted, leaseToken, storedSeq, nextSeq, sealForMs } = write;
    const head = this.#head.get(run.runId, run.threadId);
    if (head === undefined) {
      if (storedSeq !== null) return false;
    } else if (head.lease_token > leaseToken || head.sealed_at !== null || head.next_seq < (storedSeq ?? 0)) {
      return false;
    }
    const now = sealForMs === null ? null : this.#clock.now();
    const { tokensTo, statesTo } = evicted;
    let logId: number | undefined;
    if (head === undefined) {
      const expiresAt = sealForMs === null || now === null ? null : now + sealForMs;
      const { runId, threadId } = run;
      const [resumable, lasting] = [write.resumable ? 1 : 0, write.lasting ? 1 : 0];
      const numbers = [nextSeq, write.bytes, leaseToken, tokensTo, statesTo];
      logId = this.#make.get([
        runId,
        threadId,
        resumable,
        lasting,
        ...numbers,
        write.lasting ? null : now,
        expiresAt,
        write.lasting ? changed : 0,
      ]);
    } else {
      logId = head.log_id;
      const isNew = (event: RunEvent): boolean => event.seq >= head.next_seq;
      const bytes = write.events.every(isNew) ? write.bytes : bytesOf(write.events.filter(isNew));
      this.#grow.run({ nextSeq, bytes, leaseToken, tokensTo, statesTo, sealedAt: now, sealForMs, changed, logId });
    }
    const whole = write.events.length - (write.events.length % INSERT_ROWS);
    for (let start = 0; start < whole; start += INSERT_ROWS) {
      this.#insertMany.run(rowsOf(logId, write.events, start, start + INSERT_ROWS));
    }
    for (let start = whole; start < write.events.length; start += 1) {
      this.#insertOne.run(rowsOf(logId, write.events, start, start + 1));
    }
    return true;
  }

  /** Delete the events of abandoned logs, then the logs. After a crash in between, the next call goes on. */
  async #purge(): Promise<void> {
    const { db } = this.#opened;
    const abandoned = db.prepare<unknown[], number>(SQL.abandoned).pluck();
    const purge = db.prepare(SQL.purge);
    const forget = db.prepare(SQL.forget);
    const step = immediate(db, () => {
      let rows = 0;
      for (const logId of abandoned.all()) {
        const { changes } = purge.run(logId, logId, PURGE_ROWS - rows);
        rows += changes;
        if (rows >= PURGE_ROWS) return true;
        forget.run(logId);
      }
      return false;
    });
    while (db.open && step()) await new Promise((resolve) => setImmediate(resolve));
  }
}

function bytesOf(events: readonly RunEvent[]): number {
  return events.reduce((sum, event) => sum + eventBytes(event), 0);
}

function rowsOf(logId: number | undefined, events: readonly RunEvent[], from: number, to: number): unknown[] {
  const values: unknown[] = [];
  for (let i = from; i < to; i += 1) {
    const event = events[i] as RunEvent;
    values.push(logId, event.seq, KINDS.indexOf(event.kind), eventBytes(event), event.event, event.data);
  }
  return values;
}

/** The storage, with errors that say who speaks. */
function reporting(storage: EventStorage, path: string): EventStorage {
  const call = async <R>(work: () => Promise<R>): Promise<R> => {
    try {
      return await work();
    } catch (error) {
      throw unavailable(path, error);
    }
  };
  const { disposable, watch, changed } = storage;
  return {
    disposable,
    watch,
    ...(changed !== undefined && { changed: (since) => call(() => changed.call(storage, since)) }),
    head: (run) => call(() => storage.head(run)),
    heads: (runs) => call(() => storage.heads(runs)),
    write(writes) {
      try {
        return storage.write(writes);
      } catch (error) {
        throw unavailable(path, error);
      }
    },
    read: (params) => call(() => storage.read(params)),
    evict: (params) => call(() => storage.evict(params)),
    keep: (run, ms) => call(() => storage.keep(run, ms)),
    delete: (run) => call(() => storage.delete(run)),
    deleteThread: (threadId) => call(() => storage.deleteThread(threadId)),
    deleteExpired: (limit) => call(() => storage.deleteExpired(limit)),
    unsealed: (limit, skip) => call(() => storage.unsealed(limit, skip)),
    restless: (limit, skip) => call(() => storage.restless(limit, skip)),
    lasting: (limit, after) => call(() => storage.lasting(limit, after)),
    close: () => call(() => storage.close()),
  };
}

/** What SQLite throws, with who speaks. */
function unavailable(path: string, error: unknown): HeddleError {
  return new HeddleError("STORAGE_UNAVAILABLE", {
    message: `The event log in ${path} failed: ${error instanceof Error ? error.message : String(error)}`,
    details: { path },
    cause: error,
  });
}

/** A transaction that takes the write lock first: it never fails half way for another writer. */
function immediate<A extends unknown[], R>(db: Database, work: (...args: A) => R): (...args: A) => R {
  const transaction = db.transaction(work);
  return (...args: A) => transaction.immediate(...args);
}

function toRef(row: RefRow): RunRef {
  return { runId: row.run_id, threadId: row.thread_id };
}
