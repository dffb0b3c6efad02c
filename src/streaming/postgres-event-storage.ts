import type { StoreClock } from "../core/clock.js";
import type { DriverContext } from "../core/driver.js";
import type { RestlessLog } from "../core/event-log.js";
import { asJsonText } from "../core/json.js";
import type { RunEvent, RunEventKind } from "../core/run-event.js";
import type { RunRef } from "../core/run.js";
import { migrate } from "../databases/postgres/migrate.js";
import { openPostgres, type PostgresDatabase } from "../databases/postgres/open.js";
import { fromText, toText } from "../databases/postgres/storable.js";
import type { EventStorage, LogHead, LogWatch, LogWrite, LookedAt } from "./event-storage.js";
import { PostgresEventHints } from "./postgres-event-hints.js";
import { EVENT_MIGRATIONS, SEPARATOR, SQL } from "./postgres-event-statements.js";
import { eventBytes } from "./run-buffer.js";

/** What is made during each of them is asked for with the next look. */
const MAX_TRIES = 5;

const KINDS: readonly RunEventKind[] = ["token", "state", "control"];

/** The tables of this storage, for `migrate`. */
export const EVENT_COMPONENT = { name: "events", migrations: EVENT_MIGRATIONS } as const;

interface HeadRow {
  readonly next_seq: number;
  readonly bytes: number;
  readonly resumable: boolean;
  readonly sealed: boolean;
  readonly lasting: boolean;
  readonly resting: boolean;
  readonly lease_token: number;
  readonly tokens_evicted_to: number;
  readonly states_evicted_to: number;
  readonly [column: string]: unknown;
}

interface EventRow {
  readonly seq: number;
  readonly kind: number;
  readonly event: string;
  readonly data: string;
  readonly [column: string]: unknown;
}

interface LookRow extends HeadRow {
  readonly place: number;
  readonly seq: number;
  /** Of a head: null. */
  readonly kind: number | null;
  readonly event: string;
  readonly data: string;
}

interface RefRow {
  readonly run_id: string;
  readonly thread_id: string;
  readonly [column: string]: unknown;
}

/**
 * Events in Postgres: one statement writes what all logs of a process lack, one NOTIFY after it tells the others.
 * @param uri as for `openPostgres`
 * @throws HeddleError `STORAGE_UNAVAILABLE`
 */
export async function openPostgresEventStorage(uri: string, context: DriverContext): Promise<EventStorage> {
  const database = await openPostgres(uri, context);
  try {
    await migrate(database, [EVENT_COMPONENT]);
    const hints = new PostgresEventHints(database, (error) =>
      context.logger?.warn(
        { err: error, database: database.name },
        "Other processes could not be told of events; they will look later",
      ),
    );
    await hints.listen();
    return new PostgresEventStorage(database, hints, context.clock ?? null);
  } catch (error) {
    await database.close();
    throw error;
  }
}

class PostgresEventStorage implements EventStorage {
  readonly disposable = false;
  readonly tellsOfReaders = true;
  readonly #database: PostgresDatabase;
  readonly #hints: PostgresEventHints;
  readonly #clock: StoreClock | null;

  constructor(database: PostgresDatabase, hints: PostgresEventHints, clock: StoreClock | null) {
    this.#database = database;
    this.#hints = hints;
    this.#clock = clock;
  }

  watch(listener: Parameters<NonNullable<EventStorage["watch"]>>[0]): LogWatch {
    return this.#hints.watch(listener);
  }

  async head(run: RunRef): Promise<LogHead | null> {
    const [head] = await this.heads([run]);
    return head ?? null;
  }

  heads(runs: readonly RunRef[]): Promise<readonly (LogHead | null)[]> {
    return this.#followed(
      runs,
      () => this.#heads(runs),
      (head) => head !== null,
    );
  }

  async #heads(runs: readonly RunRef[]): Promise<readonly (LogHead | null)[]> {
    const rows = await this.#database.query<HeadRow & RefRow>(SQL.heads, [runs.map(({ runId }) => runId)]);
    const byRun = new Map(rows.map((row) => [row.run_id, row]));
    return runs.map(({ runId, threadId }) => {
      const row = byRun.get(runId);
      return row?.thread_id === threadId ? headOf(row) : null;
    });
  }

  async write(writes: readonly LogWrite[]): Promise<readonly RunRef[]> {
    const places: number[] = [];
    const events: RunEvent[] = [];
    writes.forEach((write, index) => {
      for (const event of write.events) {
        places.push(index + 1);
        events.push(event);
      }
    });
    const rows = await this.#database.query<RefRow & { refused: boolean }>(SQL.write, [
      this.#now(),
      writes.map(({ run }) => run.runId),
      writes.map(({ run }) => run.threadId),
      writes.map(({ resumable }) => resumable),
      writes.map(({ leaseToken }) => leaseToken),
      writes.map(({ storedSeq }) => storedSeq),
      writes.map(({ nextSeq }) => nextSeq),
      writes.map(({ bytes }) => bytes),
      writes.map(({ evicted }) => evicted.tokensTo),
      writes.map(({ evicted }) => evicted.statesTo),
      writes.map(({ sealForMs }) => (sealForMs === null ? null : Math.ceil(sealForMs))),
      writes.map(({ lasting }) => lasting),
      places,
      events.map(({ seq }) => seq),
      events.map(({ kind }) => KINDS.indexOf(kind)),
      events.map(eventBytes),
      events.map(({ event }) => toText(event)),
      events.map(dataText).join(SEPARATOR),
    ]);
    const followed = rows.filter((row) => !row.refused);
    if (followed.length > 0) this.#hints.grew(followed.map(toRef));
    return rows.filter((row) => row.refused).map(toRef);
  }

  async read(params: {
    readonly run: RunRef;
    readonly fromSeq: number;
    readonly beforeSeq: number;
    readonly maxBytes: number;
  }): Promise<readonly RunEvent[]> {
    const { run, fromSeq, beforeSeq, maxBytes } = params;
    if (beforeSeq <= fromSeq) return [];
    const values = [run.runId, run.threadId, fromSeq, beforeSeq, maxBytes];
    const rows = await this.#database.query<EventRow>(SQL.read, values);
    return rows.map(eventOf);
  }

  look(...question: Parameters<NonNullable<EventStorage["look"]>>): Promise<readonly LookedAt[]> {
    const runs = question[0].map(({ run }) => run);
    return this.#followed(
      runs,
      () => this.#look(...question),
      ({ head }) => head !== null,
    );
  }

  async #look(...[asked, maxBytes]: Parameters<NonNullable<EventStorage["look"]>>): Promise<readonly LookedAt[]> {
    const rows = await this.#database.query<LookRow>(SQL.look, [
      asked.map(({ run }) => run.runId),
      asked.map(({ run }) => run.threadId),
      asked.map(({ fromSeq }) => fromSeq),
      maxBytes,
    ]);
    const looked = asked.map((): { head: LogHead | null; readonly events: RunEvent[] } => ({ head: null, events: [] }));
    for (const row of rows) {
      const log = looked[row.place - 1];
      if (log === undefined) continue;
      const { kind, seq, event, data } = row;
      if (kind === null) log.head = headOf(row);
      else log.events.push(eventOf({ seq, kind, event, data }));
    }
    for (const { events } of looked) events.sort((a, b) => a.seq - b.seq);
    return looked;
  }

  async evict(params: {
    readonly run: RunRef;
    readonly kind: "token" | "state";
    readonly beforeSeq: number;
    readonly bytes: number;
  }): Promise<{ readonly freedBytes: number; readonly evictedToSeq: number }> {
    const { run, kind, beforeSeq, bytes } = params;
    const values = [run.runId, run.threadId, KINDS.indexOf(kind), beforeSeq, Math.ceil(bytes)];
    const [row] = await this.#database.query<{ freed: number; last: number }>(SQL.evict, values);
    return { freedBytes: row?.freed ?? 0, evictedToSeq: row?.last ?? -1 };
  }

  async keep(run: RunRef, ms: number): Promise<void> {
    await this.#database.query(SQL.keep, [run.runId, run.threadId, Math.ceil(ms)]);
  }

  delete(run: RunRef): Promise<void> {
    return this.#delete(run.threadId, run.runId);
  }

  deleteThread(threadId: string): Promise<void> {
    return this.#delete(threadId, null);
  }

  async deleteExpired(limit: number): Promise<readonly RunRef[]> {
    const rows = await this.#database.query<RefRow>(SQL.deleteExpired, [this.#now(), limit]);
    const runs = rows.map(toRef);
    if (runs.length > 0) this.#hints.send(runs);
    return runs;
  }

  async unsealed(limit: number, skip = 0): Promise<readonly RunRef[]> {
    return (await this.#database.query<RefRow>(SQL.unsealed, [limit, skip])).map(toRef);
  }

  async restless(limit: number, skip = 0): Promise<readonly RestlessLog[]> {
    const rows = await this.#database.query<RefRow & { readonly lease_token: number }>(SQL.restless, [limit, skip]);
    return rows.map((row) => ({ runId: row.run_id, threadId: row.thread_id, leaseToken: row.lease_token }));
  }

  async lasting(limit: number, after: string | null): Promise<readonly RunRef[]> {
    return (await this.#database.query<RefRow>(SQL.lasting, [limit, after ?? ""])).map(toRef);
  }

  async close(): Promise<void> {
    await this.#hints.close();
    await this.#database.close();
  }

  /**
   * Read, having asked the writers of logs that are followed here for notifications. A log that was made between the two
   * does not know of its readers: then both are repeated.
   */
  async #followed<T>(
    runs: readonly RunRef[],
    read: () => Promise<readonly T[]>,
    isThere: (found: T) => boolean,
  ): Promise<readonly T[]> {
    for (let tries = 1; ; tries += 1) {
      await this.#follow(runs);
      const found = await read();
      const there = runs.filter((_, index) => isThere(found[index] as T));
      if (tries === MAX_TRIES || this.#hints.unasked(there).length === 0) return found;
    }
  }

  /** Without being asked, writers send no notifications. */
  async #follow(runs: readonly RunRef[]): Promise<void> {
    const unasked = this.#hints.unasked(runs);
    if (unasked.length === 0) return;
    const rows = await this.#database.query<{ run_id: string }>(SQL.follow, [unasked]);
    this.#hints.asked(rows.map((row) => row.run_id));
  }

  async #delete(threadId: string, runId: string | null): Promise<void> {
    const gone = await this.#database.transaction(async (client) => {
      const logs = await client.query<{ log_id: number; run_id: string }>(SQL.deleteLogs, [threadId, runId]);
      if (logs.length > 0) await client.query(SQL.deleteEvents, [logs.map((log) => log.log_id)]);
      return logs;
    });
    if (gone.length > 0) this.#hints.send(gone.map((log) => ({ runId: log.run_id })));
  }

  /** For statements: `null` is the database's own time. */
  #now(): number | null {
    return this.#clock?.now() ?? null;
  }
}

/** JSON text has neither half surrogate pairs nor control characters; whatever comes must not be cut in two. */
function dataText({ data }: RunEvent): string {
  const text = data.isWellFormed() ? data : toText(data);
  return text.includes(SEPARATOR) ? text.replaceAll(SEPARATOR, String.raw`\u0002`) : text;
}

function eventOf({ seq, kind, event, data }: EventRow): RunEvent {
  return { seq, event: fromText(event), data: asJsonText(fromText(data)), kind: KINDS[kind] ?? "control" };
}

function headOf(row: HeadRow): LogHead {
  return {
    nextSeq: row.next_seq,
    bytes: row.bytes,
    resumable: row.resumable,
    sealed: row.sealed,
    lasting: row.lasting,
    resting: row.resting,
    leaseToken: row.lease_token,
    evicted: { tokensTo: row.tokens_evicted_to, statesTo: row.states_evicted_to },
  };
}

function toRef(row: RefRow): RunRef {
  return { runId: row.run_id, threadId: row.thread_id };
}
