import { afterAll, beforeAll, expect, it } from "vitest";
import type { MetadataStore } from "../../../src/core/metadata-store.js";
import { openPostgres, type PostgresDatabase } from "../../../src/databases/postgres/open.js";
import { createPostgresMetadataStore } from "../../../src/stores/postgres/index.js";
import { ALL, newAssistant, newRun, Rows } from "../../../src/testing/stores/suite.js";
import { createDatabase } from "../../support/postgres.js";

let store: MetadataStore;
let database: PostgresDatabase;
let rows: Rows;
let drop: () => Promise<void>;

beforeAll(async () => {
  const made = await createDatabase();
  drop = () => made.drop();
  database = await openPostgres(made.uri, { cwd: "/" });
  store = await createPostgresMetadataStore(await openPostgres(made.uri, { cwd: "/" }));
  rows = new Rows(store);
});

afterAll(async () => {
  await store.close();
  await database.close();
  await drop();
});

const leaseUntil = async (runId: string): Promise<number> => {
  const text = "SELECT lease_until FROM heddle_runs WHERE run_id = $1";
  const [row] = await database.query<{ lease_until: number }>({ name: "", text }, [runId]);
  return row?.lease_until ?? 0;
};

const until = async (probe: () => Promise<boolean>): Promise<void> => {
  for (let tries = 0; tries < 300; tries += 1) {
    if (await probe()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error("in vain");
};

it("a large checkpoint that is being written costs neither its own run the lease nor the others", async () => {
  const slow = await rows.leased(rows.id(), { createThread: true });
  const other = await rows.leased(rows.id(), { createThread: true });
  const leases = [slow.lease, other.lease];
  const before = await leaseUntil(other.run.runId);
  await database.transaction(async (client) => {
    // What a put does for as long as it takes.
    const text = "SELECT 1 FROM heddle_runs WHERE run_id = $1 FOR SHARE";
    await client.query({ name: "", text }, [slow.run.runId]);
    const beat = store.runs.heartbeat({ leases, leaseMs: 600_000 });
    const late = new Promise((resolve) => setTimeout(resolve, 3_000, "late"));
    expect(await Promise.race([beat, late])).toEqual({ lost: [], cancelRequested: [] });
    expect(await leaseUntil(other.run.runId)).toBeGreaterThan(before + 400_000);
    expect(await leaseUntil(slow.run.runId)).toBeLessThan(before + 400_000);
  });
  // As soon as the row is free, without another heartbeat.
  await until(async () => (await leaseUntil(slow.run.runId)) > before + 400_000);
  for (const lease of leases) expect(await rows.finish(lease)).toBe(true);
  expect((await store.runs.heartbeat({ leases, leaseMs: 1_000 })).lost).toEqual(leases.map(({ runId }) => runId));
});

it("whoever is cut off in the middle of a transaction keeps his locks for some seconds only", async () => {
  const shown = await database.transaction((client) =>
    client.query({ name: "", text: "SELECT current_setting('idle_in_transaction_session_timeout') AS value" }),
  );
  expect(shown).toEqual([{ value: "10s" }]);
  // The connection goes back as it was.
  const after = await database.query({
    name: "",
    text: "SELECT current_setting('idle_in_transaction_session_timeout') AS value",
  });
  expect(after).toEqual([{ value: "0" }]);
});

it("a run that is created while its assistant is deleted leaves its thread in step", { timeout: 30_000 }, async () => {
  const deleteAmongCreations = async (assistantId: string): Promise<void> => {
    await store.assistants.create({ draft: newAssistant(1, { assistantId }), access: ALL });
    const create = (): Promise<unknown> => {
      const draft = newRun(0, rows.id(), { runId: rows.id(), assistantId, createThread: true });
      return store.runs.create({ draft, access: ALL });
    };
    const before = Array.from({ length: 6 }, create);
    const deleted = store.assistants.delete({ assistantId, access: ALL });
    await Promise.all([...before, deleted, ...Array.from({ length: 6 }, create)]);
  };
  for (let round = 0; round < 40; round += 1) await deleteAmongCreations(rows.id());
  const stuck = await database.query({
    name: "",
    text: `SELECT thread_id FROM heddle_threads t WHERE head_run_id IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM heddle_runs r WHERE r.run_id = t.head_run_id)`,
  });
  expect(stuck).toEqual([]);
});
