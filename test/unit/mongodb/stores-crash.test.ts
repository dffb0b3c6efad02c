import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { MetadataStore } from "../../../src/core/metadata-store.js";
import { openMongo, type MongoDatabase } from "../../../src/databases/mongodb/open.js";
import { collectionsOf } from "../../../src/stores/mongodb/collections.js";
import { createMongoMetadataStore } from "../../../src/stores/mongodb/index.js";
import { FORGOTTEN_MS } from "../../../src/stores/mongodb/repair.js";
import { fakeClock } from "../../../src/testing/fake-clock.js";
import { ALL, CLAIM, LEASE_MS } from "../../../src/testing/stores/suite.js";
import { createMongoDatabase, hasMongo } from "../../support/mongodb.js";
import { crashingDatabase } from "./crashing-database.js";
import { type Scenario, SCENARIOS, type Stage } from "./crash-scenarios.js";

/** More writes than any operation has. */
const MAX_WRITES = 20;

/** What clients see of the rows of a stage; a crash must leave either all or nothing of an operation. */
async function viewOf(store: MetadataStore, { threadId, assistantId, runIds }: Stage): Promise<unknown> {
  const thread = await store.threads.get({ threadId, access: ALL });
  const runs = await store.runs.list({ threadId, limit: 100, offset: 0, access: ALL });
  const parts = new Map(Object.entries(runIds).map(([part, runId]) => [runId, part]));
  const states = await Promise.all(
    runs.map(async ({ runId, status, attempt }) => {
      const explained = await store.runs.explain({ runId, access: ALL });
      expect(explained?.run.status).toBe(status);
      return [
        parts.get(runId),
        status,
        attempt,
        explained?.cancelRequested,
        explained?.ahead,
        explained?.holder !== null,
      ];
    }),
  );
  const isBusy = runs.some(({ status }) => status === "pending" || status === "running");
  expect(thread?.status === "busy").toBe(isBusy);
  expect(runs.filter(({ status }) => status === "running").length).toBeLessThanOrEqual(1);
  const versions = await store.assistants.versions({ assistantId, limit: 9, offset: 0, access: ALL });
  return {
    thread: thread && [thread.status, thread.values?.length, thread.interrupts?.length, thread.error !== null],
    runs: states.sort((a, b) => (String(a) < String(b) ? -1 : 1)),
    versions: versions.map(({ name, version }) => [name === "renamed", version]),
  };
}

describe.skipIf(!hasMongo())("a process that dies after any of its writes", () => {
  const clock = fakeClock();
  let database: MongoDatabase;
  let store: MetadataStore;
  let drop: () => Promise<void>;

  beforeAll(async () => {
    const created = await createMongoDatabase();
    drop = created.drop;
    database = await openMongo(created.uri, { cwd: "/", clock });
    store = await createMongoMetadataStore(database, { clock });
  });

  afterAll(async () => {
    await store.close();
    await drop();
  });

  /** Whatever is in flight is taken over, executed and ended; then nothing half done is left. */
  const cleanUp = async ({ threadId }: Stage): Promise<void> => {
    clock.advance(LEASE_MS + 10);
    await store.runs.reapExpired({ maxAttempts: 3 });
    for (let claims = await store.runs.claim({ ...CLAIM, limit: 100 }); claims.length > 0;) {
      for (const { lease, cancel } of claims) {
        const outcome =
          cancel === "rollback" ? ({ kind: "rolled-back" } as const) : ({ kind: "ended", status: "success" } as const);
        const finished = await store.runs.finish({ lease, outcome, threadPatch: {}, hasNext: false });
        expect(finished.accepted).toBe(true);
      }
      claims = await store.runs.claim({ ...CLAIM, limit: 100 });
    }
    expect((await store.threads.get({ threadId, access: ALL }))?.status).not.toBe("busy");
    const left = await store.runs.list({ limit: 100, offset: 0, status: ["pending", "running"], access: ALL });
    expect(left).toEqual([]);
    clock.advance(FORGOTTEN_MS + 1);
    await store.runs.reapExpired({ maxAttempts: 3 });
    const { runs, threads, blobs } = collectionsOf(database.db);
    const uids = (await threads.find().toArray()).map(({ uid }) => uid);
    expect(await runs.countDocuments({ status: "inflight" })).toBe(0);
    expect(await runs.countDocuments({ thread: { $nin: uids } })).toBe(0);
    expect(await threads.countDocuments({ "ended.updatedAt": { $exists: true } })).toBe(0);
    const named = (await threads.find().toArray()).flatMap(({ values, interrupts, error }) =>
      [values, interrupts, error].flatMap((stored) => (stored !== null && "blob" in stored ? [stored.blob] : [])),
    );
    const stored = (await blobs.find({}, { projection: { _id: 1 } }).toArray()).map(({ _id }) => _id);
    expect(stored.sort()).toEqual(named.sort());
    // The next scenario starts with an empty database.
    for (const { _id } of await threads.find().toArray()) await store.threads.delete({ threadId: _id, access: ALL });
  };

  const play = async (scenario: Scenario, writes: number) => {
    const dying = crashingDatabase(database);
    const victim = await createMongoMetadataStore({ ...dying.database, close: async () => {} }, { clock });
    const stage = await scenario.prepare(store, clock);
    const before = await viewOf(store, stage);
    dying.dieAfter(writes);
    await scenario.act(victim, stage).catch((error: unknown) => {
      if (!dying.isDead()) throw error;
    });
    await victim.close();
    const after = await viewOf(store, stage);
    return { stage, before, after, isDead: dying.isDead(), writes: dying.writes() };
  };

  it.each(SCENARIOS)("$title", { timeout: 60_000 }, async (scenario) => {
    const whole = await play(scenario, Infinity);
    await cleanUp(whole.stage);
    expect(whole.isDead).toBe(false);
    const outcomes: unknown[] = [];
    for (let writes = 1; writes <= MAX_WRITES; writes += 1) {
      const { stage, before, after, isDead } = await play(scenario, writes);
      if (scenario.isStepwise === true) await scenario.act(store, stage);
      const seen = scenario.isStepwise === true ? await viewOf(store, stage) : after;
      const legal = scenario.isStepwise === true ? [whole.after] : [before, whole.after];
      expect(legal, `killed after write ${writes}`).toContainEqual(seen);
      outcomes.push(after);
      await cleanUp(stage);
      if (!isDead) break;
    }
    // The last one was not killed any more, so every write has been tried.
    expect(outcomes.length).toBeLessThan(MAX_WRITES);
    expect(outcomes.at(-1)).toEqual(whole.after);
  });
});
