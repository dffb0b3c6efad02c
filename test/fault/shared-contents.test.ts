import type { BaseCheckpointSaver } from "@langchain/langgraph-checkpoint";
import { afterAll, beforeAll, expect, it } from "vitest";
import { openPostgresCheckpointer } from "../../src/checkpointers/postgres.js";
import type { Checkpointer } from "../../src/core/checkpointer.js";
import { openPostgres, type PostgresDatabase } from "../../src/databases/postgres/open.js";
import { createDatabase } from "../support/postgres.js";

const ROUNDS = 15;
const COPIES = 4;

let database: PostgresDatabase;
let drop: () => Promise<void>;
const savers: Checkpointer[] = [];

beforeAll(async () => {
  const created = await createDatabase();
  drop = created.drop;
  database = await openPostgres(created.uri, { cwd: "." });
  for (let at = 0; at < 3; at += 1) {
    savers.push(await openPostgresCheckpointer(created.uri, { cwd: ".", compressCheckpoints: true }));
  }
});
afterAll(async () => {
  for (const saver of savers) await saver.close();
  await database.close();
  await drop();
});

const idOf = (step: number): string => `1f000000-0000-6000-8000-${String(step).padStart(12, "0")}`;

/** A step of a growing list. */
async function put(checkpointer: Checkpointer, threadId: string, step: number): Promise<void> {
  const list = Array.from(
    { length: step * 3 },
    (_, at) => `${at} of a list whose versions begin alike, ${"again ".repeat(20)}`,
  );
  await (checkpointer.saver as BaseCheckpointSaver).put(
    { configurable: { thread_id: threadId, checkpoint_ns: "", ...(step > 1 && { checkpoint_id: idOf(step - 1) }) } },
    { v: 4, id: idOf(step), ts: "", channel_values: { list }, channel_versions: { list: step }, versions_seen: {} },
    { source: "loop", step, parents: {} },
    { list: step },
  );
}

async function lengths(checkpointer: Checkpointer, threadId: string): Promise<readonly number[]> {
  const found: number[] = [];
  const saver = checkpointer.saver as BaseCheckpointSaver;
  for await (const tuple of saver.list({ configurable: { thread_id: threadId } })) {
    found.push((tuple.checkpoint.channel_values["list"] as unknown[]).length);
  }
  return found;
}

async function dangling(): Promise<readonly unknown[]> {
  return database.query({
    name: "",
    text: `SELECT heddle_content FROM checkpoint_blobs
      WHERE heddle_content IS NOT NULL AND heddle_content NOT IN (SELECT content FROM heddle_checkpoint_contents)`,
  });
}

it("contents are there as long as somebody has them, whoever copies, deletes, prunes and puts at the same time", async () => {
  const [one, two, three] = savers as [Checkpointer, Checkpointer, Checkpointer];
  for (let round = 0; round < ROUNDS; round += 1) {
    const from = `round ${round}`;
    for (let step = 1; step <= 8; step += 1) await put(one, from, step);
    const copy = (at: number): string => `${from}, copy ${at}`;
    const results = await Promise.allSettled([
      ...Array.from({ length: COPIES }, (_, at) => two.copyThread({ fromThreadId: from, toThreadId: copy(at) })),
      two.deleteThread(from),
      three.prune({ threadId: copy(0), keep: { kind: "latest" }, dryRun: false }),
      three.deleteThread(copy(1)),
      // With a part of a content that may be gone by now.
      put(one, from, 9),
    ]);
    expect(results.filter(({ status }) => status === "rejected")).toEqual([]);
    for (let at = 0; at < COPIES; at += 1) {
      const found = await lengths(three, copy(at));
      // All of what there was at one time, or what the prune left, or nothing.
      expect([0, 1, 8, 9]).toContain(found.length);
      const all = [27, 24, 21, 18, 15, 12, 9, 6, 3];
      const start = all.indexOf(found[0] ?? 27);
      expect(found).toEqual(all.slice(start, start + found.length));
    }
    // Put before the deletion, or after it.
    expect(["", "27"]).toContain((await lengths(three, from)).join());
    expect(await dangling()).toEqual([]);
    for (const threadId of [from, ...Array.from({ length: COPIES }, (_, at) => copy(at))]) {
      await one.deleteThread(threadId);
    }
    const [left] = await database.query({ name: "", text: "SELECT count(*) AS n FROM heddle_checkpoint_contents" });
    expect(left).toEqual({ n: 0 });
  }
});
