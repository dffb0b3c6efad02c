import pg from "pg";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { openPostgres } from "../../../src/databases/postgres/open.js";
import { openPostgresEventStorage } from "../../../src/streaming/postgres-event-storage.js";
import { StoredEventLog } from "../../../src/streaming/stored-event-log.js";
import { drain, mustOpen, newEvents, newRun, range, seqsOf } from "../../../src/testing/event-log/fixture.js";
import { fakeClock } from "../../../src/testing/fake-clock.js";
import { createDatabase } from "../../support/postgres.js";

let database: Awaited<ReturnType<typeof createDatabase>>;
const closers: (() => Promise<void>)[] = [];
beforeAll(async () => {
  database = await createDatabase();
});
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});
afterAll(() => database.drop());

/** One process; its clock stands still, so that what comes, comes by hints. */
async function openProcess(options: { readonly maxConnections?: number } = {}) {
  const [shared, clock] = [new Map<string, unknown>(), fakeClock()];
  const context = { cwd: ".", shared, ...options };
  const storage = await openPostgresEventStorage(database.uri, context);
  const opened = await openPostgres(database.uri, context);
  const warnings: object[] = [];
  const log = new StoredEventLog({ storage, clock, logger: { warn: (fields) => void warnings.push(fields) } });
  closers.push(
    () => log.close(),
    () => opened.close(),
  );
  return { log, storage, clock, pool: opened.pool, warnings };
}

async function query(text: string, values: readonly unknown[] = []): Promise<readonly Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: database.uri });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text, [...values])).rows;
  } finally {
    await client.end();
  }
}

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 10));

describe("event log in Postgres", () => {
  it("500 streams that wait leave the pool idle, and hold no timer each", async () => {
    const writer = await openProcess();
    const reader = await openProcess({ maxConnections: 3 });
    const runs = range(0, 500).map(() => newRun());
    for (const run of runs) await writer.log.begin(run, { leaseToken: 1 });
    await Promise.all(runs.map((run) => writer.log.flush(run)));
    const cursors = await Promise.all(runs.map((run) => mustOpen(reader.log, run, "start")));
    const reads = cursors.map((cursor) => cursor.next());
    // What the writer told of its logs before has been looked at.
    const isBusy = (): boolean =>
      reader.pool.waitingCount > 0 || reader.pool.idleCount < reader.pool.totalCount || reader.pool.totalCount < 3;
    for (let tries = 0; tries < 200 && isBusy(); tries += 1) await pause();
    const { totalCount, idleCount, waitingCount } = reader.pool;
    expect({ totalCount, idleCount, waitingCount }).toEqual({ totalCount: 3, idleCount: 3, waitingCount: 0 });
    expect(reader.clock.pendingTimers).toBeLessThanOrEqual(2);

    // More runs than one message can name.
    for (const run of runs) writer.log.append(run, newEvents(1));
    // The writer learns with this write that others read.
    writer.clock.advance(50);
    for (const read of await Promise.all(reads)) expect(seqsOf(read)).toEqual([0]);
  });

  it("goes on after its listening connection was lost, with what was written meanwhile", async () => {
    const [writer, reader] = [await openProcess(), await openProcess()];
    const run = newRun();
    await writer.log.begin(run, { leaseToken: 1 });
    await writer.log.flush(run);
    const cursor = await mustOpen(reader.log, run, "start");
    for (let from = 0; from < 9; from += 3) {
      const read = drain(cursor, 3);
      await query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'heddle-listen'");
      writer.log.append(run, newEvents(3, "state", from));
      if (from === 0) writer.clock.advance(50);
      expect((await read).seqs).toEqual(range(from, from + 3));
    }
  });

  it("tells the writer of a reader that comes while the log is being made", async () => {
    const [writer, reader] = [await openProcess(), await openProcess()];
    const watch = reader.storage.watch?.({ onGrown: () => {}, onRead: () => {}, onMissed: () => {} });
    const seen: string[] = [];
    for (let round = 0; round < 40; round += 1) {
      const runs = range(0, 10).map(() => newRun());
      for (const run of runs) watch?.add(run);
      const made = runs.map(async (run) => {
        await writer.log.begin(run, { leaseToken: 1 });
        await writer.log.flush(run);
      });
      const found = runs.map(async (run) => {
        const head = await reader.storage.head(run);
        if (head !== null) seen.push(run.runId);
      });
      await Promise.all([...made, ...found]);
    }
    expect(seen.length).toBeGreaterThan(0);
    const unaware = await query("SELECT run_id FROM heddle_event_logs WHERE NOT followed AND run_id = ANY ($1)", [
      seen,
    ]);
    expect(unaware).toEqual([]);
  });

  it("asks nothing when a message is not for it, or its own", async () => {
    const { log, storage, clock } = await openProcess();
    const run = newRun();
    let hints = 0;
    const [watching, watched] = [await openPostgresEventStorage(database.uri, { cwd: "." }), newRun()];
    closers.push(() => watching.close());
    const watch = watching.watch?.({ onGrown: () => (hints += 1), onRead: () => 0, onMissed: () => (hints += 1) });
    watch?.add(watched);
    await log.begin(run, { leaseToken: 1 });
    await log.flush(run);
    const cursor = await mustOpen(log, run, "now");
    const read = cursor.next();
    for (const payload of ["", "{", "7", "[1,2]", `["${run.runId}"]`, '{"a":1}']) {
      await query("SELECT pg_notify('heddle_events', $1)", [payload]);
    }
    await storage.keep(run, 1_000);
    expect(clock.pendingTimers).toBeGreaterThan(0);
    expect(hints).toBe(0);
    await query("SELECT pg_notify('heddle_events', $1)", [JSON.stringify(["somebody", watched.runId])]);
    for (let tries = 0; tries < 200 && hints === 0; tries += 1) await pause();
    expect(hints).toBe(1);
    log.append(run, newEvents(1));
    expect(seqsOf(await read)).toEqual([0]);
  });

  it("processes that start together make the tables once", async () => {
    const fresh = await createDatabase();
    try {
      const storages = await Promise.all(range(0, 4).map(() => openPostgresEventStorage(fresh.uri, { cwd: "." })));
      const run = newRun();
      expect(await Promise.all(storages.map((storage) => storage.head(run)))).toEqual([null, null, null, null]);
      for (const storage of storages) await storage.close();
    } finally {
      await fresh.drop();
    }
  });

  it("leaves no event of a log that is deleted while it is written", async () => {
    const [writer, other] = [await openProcess(), await openProcess()];
    const runs = range(0, 10).map(() => newRun());
    for (const run of runs) await writer.log.begin(run, { leaseToken: 1 });
    await Promise.all(runs.map((run) => writer.log.flush(run)));
    let isOver = false;
    const writing = (async () => {
      for (let from = 0; !isOver; from += 5) {
        for (const run of runs) writer.log.append(run, newEvents(5, "token", from));
        await Promise.all(runs.map((run) => writer.log.flush(run)));
      }
    })();
    for (const run of runs) {
      await pause();
      await other.log.drop(run);
    }
    isOver = true;
    await writing;
    const ids = runs.map(({ runId }) => runId);
    expect(await query("SELECT run_id FROM heddle_event_logs WHERE run_id = ANY ($1)", [ids])).toEqual([]);
    const orphans = await query(
      "SELECT count(*)::int AS count FROM heddle_events WHERE log_id NOT IN (SELECT log_id FROM heddle_event_logs)",
    );
    expect(orphans).toEqual([{ count: 0 }]);
  });

  it("goes by the database's time when nobody passes another", async () => {
    const { log } = await openProcess();
    const run = newRun();
    await log.begin(run, { leaseToken: 1, resumable: true });
    await log.seal(run);
    const [row] = await query(
      "SELECT expires_at - sealed_at AS life, abs(sealed_at - extract(epoch FROM now()) * 1000) < 60000 AS now FROM heddle_event_logs WHERE run_id = $1",
      [run.runId],
    );
    expect(row).toEqual({ life: "120000", now: true });
  });
});
