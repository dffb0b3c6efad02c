import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { migrate as migratePostgres } from "../../../src/databases/postgres/migrate.js";
import { openPostgres } from "../../../src/databases/postgres/open.js";
import { migrate as migrateSqlite } from "../../../src/databases/sqlite/migrate.js";
import { openSqlite } from "../../../src/databases/sqlite/open.js";
import { COMPONENTS } from "../../../src/stores/postgres/migrations.js";
import { createStoreRegistry } from "../../../src/stores/registry.js";
import { METADATA_MIGRATIONS } from "../../../src/stores/sqlite/migrations.js";
import type { EventStorage } from "../../../src/streaming/event-storage.js";
import { EVENT_COMPONENT, openPostgresEventStorage } from "../../../src/streaming/postgres-event-storage.js";
import { EVENT_MIGRATIONS } from "../../../src/streaming/sqlite-event-statements.js";
import { openSqliteEventStorage } from "../../../src/streaming/sqlite-event-storage.js";
import { fakeClock } from "../../../src/testing/fake-clock.js";
import { ALL, CLAIM, Rows, uuid } from "../../../src/testing/stores/suite.js";
import { eventAt, writeOf } from "../../contract/event-storage-cases.js";
import { createDatabase } from "../../support/postgres.js";

/** Of the versions before threads were watched. */
const THREAD = uuid(1);
const OLD_RUN = { runId: uuid(2), threadId: THREAD };
const THREAD_LOG = { runId: THREAD, threadId: THREAD };

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

async function oldSqlite(): Promise<{ readonly uri: string; readonly cwd: string }> {
  const cwd = await mkdtemp(join(tmpdir(), "heddle-upgrade-"));
  closers.push(() => rm(cwd, { recursive: true, force: true }));
  const uri = "sqlite:./heddle.db";
  const { db, close } = await openSqlite(uri, { cwd });
  migrateSqlite(db, "metadata", METADATA_MIGRATIONS.slice(0, 2));
  migrateSqlite(db, "events", EVENT_MIGRATIONS.slice(0, 2));
  db.exec(`
    INSERT INTO threads (thread_id, created_at, updated_at, state_updated_at, status, settled_status, metadata, config, temporary)
      VALUES ('${THREAD}', 1, 2, 3, 'idle', 'idle', '{"a":1}', '{}', 0);
    INSERT INTO event_logs (run_id, thread_id, resumable, next_seq, bytes, tokens_evicted_to, states_evicted_to, lease_token)
      VALUES ('${OLD_RUN.runId}', '${THREAD}', 1, 1, 70, -1, -1, 1);
    INSERT INTO run_events (event_key, kind, bytes, event, data) VALUES (1 << 32, 1, 70, 'values', '"e0"')`);
  close();
  return { uri, cwd };
}

async function oldPostgres(): Promise<{ readonly uri: string; readonly cwd: string }> {
  const { uri, drop } = await createDatabase();
  closers.push(drop);
  const database = await openPostgres(uri, { cwd: "/" });
  const first = ({ name, migrations }: { readonly name: string; readonly migrations: readonly string[] }) => {
    return { name, migrations: migrations.slice(0, 1) };
  };
  await migratePostgres(database, [...COMPONENTS, EVENT_COMPONENT].map(first));
  await database.query({
    name: "",
    text: `
      INSERT INTO heddle_threads (thread_id, updated_at, state_updated_at, status, settled_status, temporary)
        VALUES ('${THREAD}', 2, 3, 'idle', 'idle', false);
      INSERT INTO heddle_thread_metadata (thread_id, created_at, metadata, config) VALUES ('${THREAD}', 1, '{"a": 1}', '{}');
      INSERT INTO heddle_event_logs (run_id, thread_id, resumable, next_seq, bytes, lease_token, followed, tokens_evicted_to,
        states_evicted_to) VALUES ('${OLD_RUN.runId}', '${THREAD}', true, 1, 70, 1, false, -1, -1);
      INSERT INTO heddle_events (log_id, seq, kind, bytes, event, data) SELECT log_id, 0, 1, 70, 'values', '"e0"' FROM heddle_event_logs`,
  });
  await database.close();
  return { uri, cwd: "/" };
}

describe.each([
  ["SQLite", oldSqlite, openSqliteEventStorage],
  ["Postgres", oldPostgres, openPostgresEventStorage],
] as const)("a %s database from before threads were watched", (_, make, openEvents) => {
  it("keeps its threads, which nobody watches yet", async () => {
    const { uri, cwd } = await make();
    const { metadata, items } = await createStoreRegistry().open(uri, { cwd, clock: fakeClock() });
    closers.push(async () => {
      await items.close();
      await metadata.close();
    });
    const rows = new Rows(metadata);
    expect(await metadata.threads.get({ threadId: THREAD, access: ALL })).toMatchObject({ metadata: { a: 1 } });
    expect(await metadata.transfer?.read({ kind: "threads", after: null, limit: 1 })).toMatchObject([
      { key: THREAD, value: { watched: false, updatedAt: 2 } },
    ]);
    const first = await rows.create(THREAD, {}, CLAIM);
    expect(first).toMatchObject({ kind: "created", watched: false });
    expect(await metadata.threads.watch({ threadId: THREAD, access: ALL })).toBe(true);
    if (first.kind === "created" && first.lease !== null) await rows.finish(first.lease);
    expect(await rows.create(THREAD, {}, CLAIM)).toMatchObject({ kind: "created", watched: true });
  });

  it("keeps its logs, and takes those of threads", async () => {
    const { uri, cwd } = await make();
    const storage: EventStorage = await openEvents(uri, { cwd, clock: fakeClock() });
    closers.push(() => storage.close());
    expect(await storage.head(OLD_RUN)).toMatchObject({ nextSeq: 1, lasting: false, resting: false, leaseToken: 1 });
    expect(await storage.unsealed(10)).toEqual([OLD_RUN]);
    expect(await storage.restless(10)).toEqual([]);
    const leaseToken = 2 ** 52;
    const thread = writeOf(THREAD_LOG, { lasting: true, leaseToken, events: [eventAt(0)] });
    const more = writeOf(OLD_RUN, { events: [eventAt(1)], sealForMs: 1_000 });
    expect(await storage.write([thread, more])).toEqual([]);
    const read = { fromSeq: 0, beforeSeq: 10, maxBytes: 1e6 };
    expect(await storage.read({ run: OLD_RUN, ...read })).toEqual([eventAt(0), eventAt(1)]);
    expect(await storage.head(THREAD_LOG)).toMatchObject({ nextSeq: 1, lasting: true, leaseToken });
    expect(await storage.unsealed(10)).toEqual([]);
    expect(await storage.restless(10)).toEqual([{ ...THREAD_LOG, leaseToken }]);
  });
});
