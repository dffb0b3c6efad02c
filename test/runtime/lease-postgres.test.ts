import { execFileSync } from "node:child_process";
import { afterAll, beforeAll, expect, it } from "vitest";
import { ALL_ROWS } from "../../src/core/auth.js";
import type { ClaimedRun } from "../../src/core/run.js";
import { createLeaseThread, NO_LEASE_THREAD, type LeaseThread } from "../../src/runtime/lease-thread.js";
import { createStoreRegistry, type OpenedStore } from "../../src/stores/registry.js";
import { createDatabase } from "../support/postgres.js";

const LEASE_MS = 600;
let database: Awaited<ReturnType<typeof createDatabase>>;
let opened: OpenedStore;

beforeAll(async () => {
  database = await createDatabase();
  opened = await createStoreRegistry([]).open(database.uri, { cwd: "/" });
});
afterAll(async () => {
  await opened.metadata.close();
  await opened.items.close();
  await database.drop();
});

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

async function claimedRun(id: number): Promise<ClaimedRun> {
  const { runs, assistants } = opened.metadata;
  const assistantId = "0198a0c0-0000-7000-8000-00000000000a";
  const draft = { graphId: "busy", name: "", description: null, config: {}, context: {}, metadata: {} };
  await assistants.create({ draft: { ...draft, assistantId }, access: ALL_ROWS });
  const uuid = (kind: string) => `0198a0c0-0000-7000-8000-${kind}${String(id).padStart(11, "0")}`;
  const created = await runs.create({
    draft: {
      runId: uuid("1"),
      threadId: uuid("2"),
      assistantId,
      graphId: "busy",
      kwargs: {
        config: {},
        streamModes: ["values"],
        streamSubgraphs: false,
        streamResumable: false,
        durability: "async",
        temporary: false,
      },
      multitaskStrategy: "enqueue",
      delayMs: 0,
      assistantMetadata: {},
      metadata: {},
      assistantConfig: {},
      createThread: true,
    },
    claim: { workerId: "worker-1", leaseMs: LEASE_MS },
    access: ALL_ROWS,
  });
  if (created.kind !== "created" || created.lease === null) throw new Error(created.kind);
  return { run: created.run, lease: created.lease, cancel: null, watched: false };
}

/** Looks at a lease from another process: how long it holds, in ms; negative when anybody may take it. */
const LOOK = `
  const [uri, runId, waitMs] = process.argv.slice(1);
  const { Client } = require("pg");
  setTimeout(async () => {
    const client = new Client({ connectionString: uri });
    await client.connect();
    const { rows } = await client.query(
      "SELECT lease_until - EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS left FROM heddle_runs WHERE run_id = $1",
      [runId],
    );
    process.stdout.write(String(rows[0].left));
    await client.end();
  }, Number(waitMs));
`;

/** How long the lease holds after this process's main loop has stood still for `blockedMs`, as a busy graph makes it. */
async function leftAfterBlock(thread: LeaseThread, claimed: ClaimedRun, blockedMs: number): Promise<number> {
  thread.hold(claimed.lease);
  await thread.ready();
  const left = execFileSync(process.execPath, ["-e", LOOK, database.uri, claimed.run.runId, String(blockedMs)]);
  thread.drop(claimed.lease);
  return Number(String(left));
}

async function openThread(maxBlockedMs: number): Promise<LeaseThread> {
  const renewal = opened.metadata.leaseRenewal;
  if (renewal === null) throw new Error("Postgres has a lease renewer");
  return createLeaseThread({ renewal, leaseMs: LEASE_MS, maxBlockedMs, logger: silent });
}

it("keeps the lease of a graph that blocks the main loop for four times as long", async () => {
  const thread = await openThread(60_000);
  try {
    expect(await leftAfterBlock(thread, await claimedRun(1), 4 * LEASE_MS)).toBeGreaterThan(0);
  } finally {
    await thread.stop();
  }
});

it("gives up the lease of a main loop that has not turned for `maxBlockedMs`", async () => {
  const thread = await openThread(200);
  try {
    expect(await leftAfterBlock(thread, await claimedRun(2), 4 * LEASE_MS)).toBeLessThan(0);
  } finally {
    await thread.stop();
  }
});

it("without the thread the lease would be lost", async () => {
  expect(await leftAfterBlock(NO_LEASE_THREAD, await claimedRun(3), 2 * LEASE_MS)).toBeLessThan(0);
});
