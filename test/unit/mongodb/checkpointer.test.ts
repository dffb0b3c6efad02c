import { MongoDBSaver } from "@langchain/langgraph-checkpoint-mongodb";
import type { BaseCheckpointSaver, Checkpoint, CheckpointMetadata } from "@langchain/langgraph-checkpoint";
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openMongoCheckpointer, type MongoCheckpointer } from "../../../src/checkpointers/mongodb.js";
import { HeddleMongoSaver } from "../../../src/checkpointers/mongodb-saver.js";
import { openMongo, type MongoDatabase } from "../../../src/databases/mongodb/open.js";
import { createMongoDatabase, hasMongo } from "../../support/mongodb.js";

const MB = 1024 * 1024;
const metadata = { source: "loop", step: 0, parents: {} } as CheckpointMetadata;

function checkpointOf(id: string, values: Record<string, unknown>): Checkpoint {
  const versions = Object.fromEntries(Object.keys(values).map((channel) => [channel, 1]));
  const ts = new Date(0).toISOString();
  return { v: 4, id, ts, channel_values: values, channel_versions: versions, versions_seen: {} };
}

const at = (threadId: string, checkpointId?: string) => ({
  configurable: { thread_id: threadId, checkpoint_ns: "", ...(checkpointId && { checkpoint_id: checkpointId }) },
});

const put = (saver: BaseCheckpointSaver, threadId: string, id: string, values: Record<string, unknown>) =>
  saver.put(at(threadId), checkpointOf(id, values), metadata, {});

describe.skipIf(!hasMongo())("the MongoDB checkpointer", () => {
  let uri = "";
  let drop = async (): Promise<void> => {};
  let database: MongoDatabase;
  let checkpointer: MongoCheckpointer;
  let saver: BaseCheckpointSaver;
  let stock: MongoDBSaver;
  beforeAll(async () => {
    ({ uri, drop } = await createMongoDatabase());
    database = await openMongo(uri, { cwd: "." });
    stock = new MongoDBSaver({ client: database.client, dbName: database.db.databaseName });
    // A database that LangGraph's saver has used already.
    await stock.setup();
    checkpointer = await openMongoCheckpointer(uri, { cwd: "." });
    saver = checkpointer.saver as BaseCheckpointSaver;
  });
  afterAll(async () => {
    await checkpointer.close();
    await database.close();
    await drop();
  });

  it("reads what LangGraph's own saver wrote, and the other way round", async () => {
    const bytes = new Uint8Array([0, 255, 7]);
    for (const [writer, reader] of [
      [stock, saver],
      [saver, stock],
    ] as const) {
      const threadId = randomUUID();
      await put(writer, threadId, "1", { a: [1], text: "ä\u0000" });
      await writer.putWrites(at(threadId, "1"), [["b", { x: 1 }]], "task");
      await writer.put(
        at(threadId, "1"),
        checkpointOf("2", { a: [2] }),
        { ...metadata, step: 1, user: "ada" } as never,
        {},
      );
      const tuple = await reader.getTuple(at(threadId, "1"));
      expect(tuple?.checkpoint.channel_values).toEqual({ a: [1], text: "ä\u0000" });
      expect(tuple?.pendingWrites).toEqual([["task", "b", { x: 1 }]]);
      const latest = await reader.getTuple(at(threadId));
      expect(latest?.parentConfig).toEqual(at(threadId, "1"));
      const found = [];
      for await (const each of reader.list(at(threadId), { filter: { user: "ada" } })) found.push(each.checkpoint.id);
      expect(found).toEqual(["2"]);
    }
    const threadId = randomUUID();
    await put(stock, threadId, "1", {});
    await stock.putWrites(at(threadId, "1"), [["file", bytes]], "task");
    expect((await saver.getTuple(at(threadId)))?.pendingWrites).toStrictEqual([["task", "file", bytes]]);
    // A task that goes on here keeps what it wrote there.
    await saver.putWrites(at(threadId, "1"), [["file", "again"]], "task");
    expect((await saver.getTuple(at(threadId)))?.pendingWrites).toStrictEqual([["task", "file", bytes]]);
  });

  it("leaves one document when a put is carried out many times at once", async () => {
    const threadId = randomUUID();
    await Promise.all(Array.from({ length: 8 }, () => put(saver, threadId, "1", { a: 1 })));
    await Promise.all(Array.from({ length: 8 }, () => saver.putWrites(at(threadId, "1"), [["a", 1]], "task")));
    expect(await database.db.collection("checkpoints").countDocuments({ thread_id: threadId })).toBe(1);
    expect(await database.db.collection("checkpoint_writes").countDocuments({ thread_id: threadId })).toBe(1);
  });

  it("writes more at once than one command holds", async () => {
    const threadId = randomUUID();
    await put(saver, threadId, "1", {});
    const writes = Array.from({ length: 130 }, (_, index): [string, unknown] => [`c${index}`, index]);
    await saver.putWrites(at(threadId, "1"), writes, "task");
    expect((await saver.getTuple(at(threadId)))?.pendingWrites).toEqual(writes.map(([c, v]) => ["task", c, v]));
    const copy = randomUUID();
    await checkpointer.copyThread({ fromThreadId: threadId, toThreadId: copy });
    expect((await saver.getTuple(at(copy)))?.pendingWrites).toHaveLength(130);
  });

  it("names threads in order, page by page", async () => {
    const own = await createMongoDatabase();
    const other = await openMongoCheckpointer(own.uri, { cwd: "." });
    const names = ["c", "a", "b", "ab", "ä"];
    for (const name of [...names, ...names]) await put(other.saver as BaseCheckpointSaver, name, randomUUID(), {});
    expect(await other.threadIds({ after: null, limit: 3 })).toEqual(["a", "ab", "b"]);
    expect(await other.threadIds({ after: "b", limit: 3 })).toEqual(["c", "ä"]);
    expect(await other.threadIds({ after: "ä", limit: 3 })).toEqual([]);
    await other.close();
    await own.drop();
  });

  describe("a state that does not fit into a document", () => {
    const small = () => new HeddleMongoSaver(database, { maxDocumentBytes: 10_000 });

    it("is refused before it is written, by the names of its largest channels", async () => {
      const threadId = randomUUID();
      await put(small(), threadId, "1", { kept: "x".repeat(5_000) });
      const values = { a: "x".repeat(3_000), messages: "x".repeat(9_000), b: 1, files: new Uint8Array(4_000) };
      const error = await put(small(), threadId, "2", values).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({
        code: "STATE_TOO_LARGE",
        message: expect.stringMatching(
          /^The state of thread .* has \d+ bytes, .* Largest channels: "messages" 9002 bytes, "files" \d+ bytes, "a" 3002 bytes, "b" 1 bytes\. /,
        ),
        details: {
          limitBytes: 10_000,
          channels: [
            { name: "messages", bytes: 9_002 },
            { name: "files", bytes: expect.any(Number) },
            { name: "a", bytes: 3_002 },
            { name: "b", bytes: 1 },
          ],
        },
      });
      const { sizeBytes } = (error as { details: { sizeBytes: number } }).details;
      expect(sizeBytes).toBeGreaterThan(16_000);
      expect((await saver.getTuple(at(threadId)))?.checkpoint.id).toBe("1");
      await put(small(), threadId, "3", { ...values, messages: "", files: null });
      expect((await saver.getTuple(at(threadId)))?.checkpoint.id).toBe("3");
    });

    it("is refused as a task's write, too", async () => {
      const threadId = randomUUID();
      await put(small(), threadId, "1", {});
      const writes: [string, unknown][] = [["small", 1], ["large", "x".repeat(20_000)]]; // prettier-ignore
      await expect(small().putWrites(at(threadId, "1"), writes, "task")).rejects.toMatchObject({
        code: "STATE_TOO_LARGE",
        details: { channels: [{ name: "large", bytes: 20_002 }] },
      });
      expect((await saver.getTuple(at(threadId)))?.pendingWrites).toEqual([]);
    });

    it("is one over MongoDB's own limit by default; one just below is kept", { timeout: 60_000 }, async () => {
      const threadId = randomUUID();
      const fitting = { big: "x".repeat(15.9 * MB) };
      await put(saver, threadId, "1", fitting);
      const error = await put(saver, threadId, "2", { ...fitting, more: "y".repeat(MB) }).catch(
        (thrown: unknown) => thrown,
      );
      expect(error).toMatchObject({
        code: "STATE_TOO_LARGE",
        message: expect.stringContaining(
          'has 16.9 MB, and MongoDB keeps at most 16.0 MB in one document. Largest channels: "big" 15.9 MB',
        ),
      });
      const tuple = await saver.getTuple(at(threadId));
      expect(tuple?.checkpoint.id).toBe("1");
      expect(tuple?.checkpoint.channel_values["big"]).toHaveLength(Math.floor(15.9 * MB));
      await saver.deleteThread(threadId);
    });
  });
});
