import type { BaseCheckpointSaver } from "@langchain/langgraph-checkpoint";
import { randomUUID } from "node:crypto";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openPostgresCheckpointer } from "../../../src/checkpointers/postgres.js";
import { LEASE_KEY, type Checkpointer } from "../../../src/core/checkpointer.js";
import type { RunLease } from "../../../src/core/run.js";
import { createStoreRegistry, type OpenedStore } from "../../../src/stores/registry.js";
import { chainOf, listOf, threadConfig } from "../../../src/testing/checkpointer/fixture.js";
import { createDatabase } from "../../support/postgres.js";

let database: Awaited<ReturnType<typeof createDatabase>>;
let pool: pg.Pool;
let store: OpenedStore;
let checkpointer: Checkpointer;
let saver: BaseCheckpointSaver;

beforeAll(async () => {
  database = await createDatabase();
  const context = { cwd: ".", shared: new Map<string, unknown>() };
  pool = new pg.Pool({ connectionString: database.uri });
  store = await createStoreRegistry().open(database.uri, context);
  checkpointer = await openPostgresCheckpointer(database.uri, context);
  saver = checkpointer.saver as BaseCheckpointSaver;
});
afterAll(async () => {
  await checkpointer.close();
  await store.items.close();
  await store.metadata.close();
  await pool.end();
  await database.drop();
});

/** A run that this worker has claimed. */
async function claimedRun(threadId: string): Promise<RunLease> {
  const outcome = await store.metadata.runs.create({
    draft: {
      runId: randomUUID(),
      threadId,
      assistantId: randomUUID(),
      graphId: "g",
      kwargs: { config: {}, streamModes: ["values"], streamSubgraphs: false, streamResumable: false, durability: "sync", temporary: false }, // prettier-ignore
      multitaskStrategy: "enqueue",
      delayMs: 0,
      assistantMetadata: {},
      metadata: {},
      assistantConfig: {},
      createThread: true,
    },
    claim: { workerId: "this one", leaseMs: 60_000 },
    access: { kind: "all" },
  });
  if (outcome.kind !== "created" || outcome.lease === null) throw new Error(outcome.kind);
  return outcome.lease;
}

const TAKE_OVER = "UPDATE heddle_runs SET lease_token = lease_token + 1 WHERE run_id = $1";

/** Waits until a session waits for a lock in a statement whose first 1,000 characters are like this. */
async function blocked(text: string): Promise<void> {
  for (let tries = 0; tries < 500; tries += 1) {
    const { rowCount } = await pool.query(
      "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE $1",
      [`%${text}%`],
    );
    if (rowCount !== 0) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`nobody waits in "${text}"`);
}

describe("puts that share a database with the run row", () => {
  it("says so, and only when it is this application's", async () => {
    expect(checkpointer.fenced).toBe(true);
    const alone = await openPostgresCheckpointer(database.uri, { cwd: ".", shared: new Map() });
    expect(alone.fenced).toBe(false);
    const chain = chainOf(alone.saver as BaseCheckpointSaver);
    await chain.put({ n: 1 }, { configurable: { [LEASE_KEY]: { runId: randomUUID(), leaseToken: 1 } } });
    await alone.close();
  });

  it("takes those of a run that the store gave, until another worker has it", async () => {
    const chain = chainOf(saver);
    const lease = await claimedRun(chain.threadId);
    await chain.put({ n: 1 }, { configurable: { [LEASE_KEY]: lease } });
    const before = chain.config();
    await store.metadata.runs.release({ lease });
    const [again] = await store.metadata.runs.claim({ workerId: "other", leaseMs: 60_000, limit: 1 });
    expect(again?.lease.runId).toBe(lease.runId);
    await expect(chain.put({ n: 2 }, { configurable: { [LEASE_KEY]: lease } })).rejects.toMatchObject({
      code: "LEASE_LOST",
    });
    const leased = { configurable: { ...before.configurable, [LEASE_KEY]: lease } };
    await expect(saver.putWrites(leased, [["n", 2]], "task")).rejects.toMatchObject({ code: "LEASE_LOST" });
    await chain.put({ n: 3 }, { configurable: { [LEASE_KEY]: again?.lease } });
    const { rows } = await pool.query("SELECT count(*)::int AS n FROM checkpoint_blobs WHERE thread_id = $1", [chain.threadId]); // prettier-ignore
    expect(rows).toEqual([{ n: 2 }]);
  });

  it("refuses those of a lost lease among others that come at the same time", async () => {
    const chains = Array.from({ length: 6 }, () => chainOf(saver));
    const leases = await Promise.all(chains.map((chain) => claimedRun(chain.threadId)));
    for (const lease of leases.slice(0, 2)) await pool.query(TAKE_OVER, [lease.runId]);
    const results = await Promise.allSettled(
      chains.map((chain, index) => chain.put({ n: index }, { configurable: { [LEASE_KEY]: leases[index] } })),
    );
    const ofCode = (result: PromiseSettledResult<unknown>): unknown =>
      result.status === "rejected" ? (result.reason as { readonly code: string }).code : "saved";
    const expected = ["LEASE_LOST", "LEASE_LOST", "saved", "saved", "saved", "saved"];
    expect(results.map(ofCode)).toEqual(expected);
    const written = await Promise.allSettled(
      chains.slice(2).map((chain, index) => {
        const lease = { runId: leases[index + 2]?.runId, leaseToken: index === 0 ? 7 : 1 };
        const config = { configurable: { ...chain.config().configurable, [LEASE_KEY]: lease } };
        return saver.putWrites(config, [["n", index]], "task");
      }),
    );
    expect(written.map(ofCode)).toEqual(["LEASE_LOST", "saved", "saved", "saved"]);
    for (const [index, chain] of chains.entries()) {
      const stored = await listOf(saver, threadConfig(chain.threadId));
      expect(stored.map((tuple) => tuple.checkpoint.channel_values)).toEqual(index < 2 ? [] : [{ n: index }]);
      expect(stored[0]?.pendingWrites ?? []).toHaveLength(index > 2 ? 1 : 0);
    }
    const { rows } = await pool.query("SELECT count(*)::int AS n FROM checkpoint_blobs WHERE thread_id = ANY ($1)", [chains.slice(0, 2).map(({ threadId }) => threadId)]); // prettier-ignore
    expect(rows).toEqual([{ n: 0 }]);
  });

  it.each(["put", "putWrites"] as const)(
    "%s waits for a takeover that is being committed, and then refuses",
    async (what) => {
      const chain = chainOf(saver);
      const lease = await claimedRun(chain.threadId);
      const configurable = { [LEASE_KEY]: lease };
      await chain.put({ n: 1 }, { configurable });
      const thief = await pool.connect();
      try {
        await thief.query("BEGIN");
        await thief.query(TAKE_OVER, [lease.runId]);
        const leased = { configurable: { ...chain.config().configurable, ...configurable } };
        const late = what === "put" ? chain.put({ n: 2 }, { configurable }) : saver.putWrites(leased, [["n", 2]], "t");
        const outcome = late.then(
          () => "saved",
          (error: { readonly code: string }) => error.code,
        );
        await blocked(what === "put" ? "INSERT INTO checkpoint_blobs" : "INSERT INTO checkpoint_writes");
        await thief.query("COMMIT");
        expect(await outcome).toBe("LEASE_LOST");
      } finally {
        thief.release();
      }
      const [only, ...more] = await listOf(saver, threadConfig(chain.threadId));
      expect([only?.checkpoint.channel_values, only?.pendingWrites, more]).toEqual([{ n: 1 }, [], []]);
    },
  );

  it("lets no takeover slip in between its check and its write", async () => {
    const chain = chainOf(saver);
    const lease = await claimedRun(chain.threadId);
    await chain.put({ n: 1 });
    // The put stops in the middle: its value is being inserted by somebody who will give up.
    const blocker = await pool.connect();
    const thief = await pool.connect();
    try {
      await blocker.query("BEGIN");
      await blocker.query("INSERT INTO checkpoint_blobs VALUES ($1, '', 'n', '2', 'json', '\\x32')", [chain.threadId]);
      const put = chain.put({ n: 2 }, { configurable: { [LEASE_KEY]: lease } });
      await blocked("INSERT INTO checkpoint_blobs AS b");
      const order: string[] = [];
      const takeover = thief.query(TAKE_OVER, [lease.runId]).then(() => void order.push("taken over"));
      await blocked("UPDATE heddle_runs ");
      await blocker.query("ROLLBACK");
      await Promise.all([put.then(() => void order.push("put")), takeover]);
      expect(order.toSorted()).toEqual(["put", "taken over"]);
    } finally {
      blocker.release();
      thief.release();
    }
    await expect(chain.put({ n: 3 }, { configurable: { [LEASE_KEY]: lease } })).rejects.toMatchObject({
      code: "LEASE_LOST",
    });
    expect((await listOf(saver, threadConfig(chain.threadId)))[0]?.checkpoint.channel_values).toEqual({ n: 2 });
  });
});
