import {
  emptyCheckpoint,
  uuid6,
  type BaseCheckpointSaver,
  type Checkpoint,
  type CheckpointTuple,
} from "@langchain/langgraph-checkpoint";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openPostgresCheckpointer } from "../../../src/checkpointers/postgres.js";
import type { Checkpointer } from "../../../src/core/checkpointer.js";
import { openPostgres } from "../../../src/databases/postgres/open.js";
import { createDatabase } from "../../support/postgres.js";
import { startTcpProxy } from "../../support/tcp-proxy.js";

let database: Awaited<ReturnType<typeof createDatabase>>;
let client: pg.Client;
let checkpointer: Checkpointer;
let saver: BaseCheckpointSaver;
beforeAll(async () => {
  database = await createDatabase();
  checkpointer = await openPostgresCheckpointer(database.uri, { cwd: ".", shared: new Map() });
  saver = checkpointer.saver as BaseCheckpointSaver;
  client = new pg.Client({ connectionString: database.uri });
  await client.connect();
});
afterAll(async () => {
  await client.end();
  await checkpointer.close();
  await database.drop();
});

const metadata = { source: "loop", step: 0, parents: {} } as const;
const configOf = (threadId: string, checkpointId?: string) => ({
  configurable: {
    thread_id: threadId,
    checkpoint_ns: "",
    ...(checkpointId === undefined ? {} : { checkpoint_id: checkpointId }),
  },
});
let clock = 0;
function checkpointOf(values: Readonly<Record<string, unknown>>, version: number): Checkpoint {
  const versions = Object.fromEntries(Object.keys(values).map((channel) => [channel, version]));
  return { ...emptyCheckpoint(), id: uuid6((clock += 1)), channel_values: { ...values }, channel_versions: versions };
}
async function valuesOf(threadId: string, checkpointId?: string): Promise<unknown> {
  return (await saver.getTuple(configOf(threadId, checkpointId)))?.checkpoint.channel_values;
}

describe("checkpoints that are gathered into one statement", () => {
  it("stores many runs' checkpoints and writes, each thread in the order of its calls", async () => {
    const threads = Array.from({ length: 50 }, () => crypto.randomUUID());
    const before = await commits();
    const calls = threads.flatMap((threadId) => {
      const [first, second] = [checkpointOf({ n: 1, text: threadId }, 1), checkpointOf({ n: 2, text: threadId }, 2)];
      return [
        saver.put(configOf(threadId), first, metadata, first.channel_versions),
        saver.putWrites(configOf(threadId, first.id), [["n", 2]], "task"),
        saver.put(configOf(threadId, first.id), second, metadata, second.channel_versions),
      ];
    });
    await Promise.all(calls);
    expect((await commits()) - before).toBeLessThan(threads.length);
    for (const threadId of threads) {
      expect(await valuesOf(threadId)).toEqual({ n: 2, text: threadId });
      const tuples: CheckpointTuple[] = [];
      for await (const tuple of saver.list(configOf(threadId))) tuples.push(tuple);
      expect(tuples.map((tuple) => tuple.pendingWrites?.length)).toEqual([0, 1]);
      expect(tuples[0]?.parentConfig?.configurable?.["checkpoint_id"]).toBe(tuples[1]?.checkpoint.id);
    }
  });

  it("gives forks of one batch, and of a checkpoint put before, their own values at equal versions", async () => {
    const threadId = crypto.randomUUID();
    const root = checkpointOf({ n: "root" }, 1);
    await saver.put(configOf(threadId), root, metadata, root.channel_versions);
    const forks = Array.from({ length: 5 }, (_, index) => checkpointOf({ n: `fork ${index}` }, 2));
    const bystanders = Array.from({ length: 5 }, () => ({
      threadId: crypto.randomUUID(),
      own: checkpointOf({ n: 7 }, 1),
    }));
    await Promise.all([
      ...forks.map((fork) => saver.put(configOf(threadId, root.id), fork, metadata, fork.channel_versions)),
      ...bystanders.map(({ threadId: id, own }) => saver.put(configOf(id), own, metadata, own.channel_versions)),
    ]);
    const children = forks.map((fork) => {
      return { ...checkpointOf({ n: fork.channel_values["n"] }, 2), channel_versions: fork.channel_versions };
    });
    await Promise.all(
      children.map((child, index) => saver.put(configOf(threadId, forks[index]?.id), child, metadata, {})),
    );
    for (const [index, fork] of forks.entries()) {
      expect(await valuesOf(threadId, fork.id)).toEqual({ n: `fork ${index}` });
      expect(await valuesOf(threadId, children[index]?.id)).toEqual({ n: `fork ${index}` });
    }
    for (const { threadId: id } of bystanders) expect(await valuesOf(id)).toEqual({ n: 7 });
  });

  it("does not let one that cannot be stored take the others with it", async () => {
    const [good, bad] = [crypto.randomUUID(), crypto.randomUUID()];
    const own = checkpointOf({ n: 1 }, 1);
    const results = await Promise.allSettled([
      saver.put(configOf(good), own, metadata, own.channel_versions),
      // Longer than an index takes.
      saver.putWrites(configOf(bad, "x".repeat(100_000) + Math.random()), [["n", 1]], noise(20_000)),
      saver.putWrites(configOf(good, own.id), [["n", 2]], "task"),
    ]);
    expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    expect((await saver.getTuple(configOf(good)))?.pendingWrites).toEqual([["task", "n", 2]]);
  });

  it("tells all of them at once that the database stays away", async () => {
    const proxy = await startTcpProxy({ port: Number(new URL(database.uri).port) });
    const uri = new URL(database.uri);
    uri.port = String(proxy.port);
    const context = { cwd: ".", shared: new Map() };
    const pool = await openPostgres(uri.href, context, { waitMs: 100, queryTimeoutMs: 5_000 });
    const away = await openPostgresCheckpointer(uri.href, context);
    proxy.cut();
    const results = await Promise.allSettled(
      Array.from({ length: 20 }, () => {
        const own = checkpointOf({ n: 1 }, 1);
        return (away.saver as BaseCheckpointSaver).put(
          configOf(crypto.randomUUID()),
          own,
          metadata,
          own.channel_versions,
        );
      }),
    );
    const reasons = new Set(
      results.map((result) => (result.status === "rejected" ? (result.reason as unknown) : null)),
    );
    expect([...reasons]).toEqual([expect.objectContaining({ code: "STORAGE_UNAVAILABLE" })]);
    await away.close();
    await pool.close();
    await proxy.close();
  });

  it("takes large values beside small ones", async () => {
    const large = Array.from({ length: 10 }, (_, index) => checkpointOf({ text: String(index).repeat(200_000) }, 1));
    const small = Array.from({ length: 10 }, (_, index) => checkpointOf({ text: String(index) }, 1));
    const puts = [...large, ...small].map((own) => ({ threadId: crypto.randomUUID(), own }));
    await Promise.all(
      puts.map(({ threadId, own }) => saver.put(configOf(threadId), own, metadata, own.channel_versions)),
    );
    for (const { threadId, own } of puts) expect(await valuesOf(threadId)).toEqual(own.channel_values);
  });

  it("stores what was given at the time of the call", async () => {
    const threadId = crypto.randomUUID();
    const own = checkpointOf({ list: [1] }, 1);
    const versions = { ...own.channel_versions };
    const stored = saver.put(configOf(threadId), own, metadata, versions);
    (own.channel_values["list"] as number[]).push(2);
    own.channel_versions["list"] = 9;
    own.versions_seen["node"] = { list: 9 };
    await stored;
    const tuple = await saver.getTuple(configOf(threadId));
    expect(tuple?.checkpoint).toMatchObject({
      channel_values: { list: [1] },
      channel_versions: { list: 1 },
      versions_seen: {},
    });
  });
});

/** Text that does not compress. */
function noise(length: number): string {
  return Array.from({ length: Math.ceil(length / 36) }, () => crypto.randomUUID()).join("");
}

async function commits(): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, 20));
  const { rows } = await client.query<{ n: string }>(
    "SELECT count(*) AS n FROM (SELECT DISTINCT xmin::text FROM checkpoints) AS t",
  );
  return Number(rows[0]?.n);
}
