import { AIMessage, HumanMessage } from "@langchain/core/messages";
import { END, MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import type { BaseCheckpointSaver } from "@langchain/langgraph-checkpoint";
import { PostgresSaver } from "@langchain/langgraph-checkpoint-postgres";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openPostgresCheckpointer } from "../../src/checkpointers/postgres.js";
import { openSqliteCheckpointer } from "../../src/checkpointers/sqlite.js";
import { digestThread, transferThread } from "../../src/checkpointers/transfer.js";
import type { Checkpointer } from "../../src/core/checkpointer.js";
import type { DriverContext } from "../../src/core/driver.js";
import { openPostgres } from "../../src/databases/postgres/open.js";
import { openSqlite } from "../../src/databases/sqlite/open.js";
import { rewriteStorage } from "../../src/maintenance/encrypt/rewrite-storage.js";
import { recompressStorage, type CompressionTarget } from "../../src/maintenance/recompress.js";
import { cipherOf, newKey } from "../support/cipher.js";
import { createDatabase } from "../support/postgres.js";

interface Place {
  readonly uri: string;
  readonly cwd: string;
  /** Values and writes that are compressed, and contents that are shared. */
  packed(): Promise<number>;
  drop(): Promise<void>;
}

const HEAD = "0048444c02";

async function sqlitePlace(): Promise<Place> {
  const cwd = await mkdtemp(join(tmpdir(), "heddle-compressed-"));
  const uri = "sqlite:./test.db";
  return {
    uri,
    cwd,
    async packed() {
      const { db, close } = await openSqlite(uri, { cwd });
      const of = (table: string): string =>
        `(SELECT count(*) FROM ${table} WHERE typeof(data) = 'blob' AND hex(substr(data, 1, 5)) = upper('${HEAD}'))`;
      const row = db
        .prepare<[], number>(
          `SELECT ${of("heddle_checkpoint_blobs")} + ${of("heddle_checkpoint_writes")}
             + (SELECT count(*) FROM heddle_checkpoint_contents)`,
        )
        .pluck()
        .get();
      close();
      return row ?? 0;
    },
    drop: () => rm(cwd, { recursive: true }),
  };
}

async function postgresPlace(): Promise<Place> {
  const { uri, drop } = await createDatabase();
  return {
    uri,
    cwd: ".",
    async packed() {
      const database = await openPostgres(uri, { cwd: "." });
      const [row] = await database.query<{ sum: number }>({
        name: "",
        text: `SELECT (SELECT count(*) FROM checkpoint_blobs WHERE type = 'heddle.packed' OR heddle_content IS NOT NULL)
          + (SELECT count(*) FROM checkpoint_writes WHERE type = 'heddle.packed')
          + (SELECT count(*) FROM heddle_checkpoint_contents) AS sum`,
      });
      await database.close();
      return row?.sum ?? 0;
    },
    drop,
  };
}

const open = (place: Place, context: Omit<DriverContext, "cwd"> = {}): Promise<Checkpointer> =>
  (place.uri.startsWith("sqlite") ? openSqliteCheckpointer : openPostgresCheckpointer)(place.uri, {
    cwd: place.cwd,
    ...context,
  });

const THREADS = ["chat", "copy", "copy of copy"] as const;

/** Conversations with long messages and a document, one copied twice. */
async function fill(place: Place, context: Omit<DriverContext, "cwd">): Promise<void> {
  const checkpointer = await open(place, context);
  const graph = new StateGraph(MessagesAnnotation)
    .addNode("answer", ({ messages }) => ({
      messages: [new AIMessage({ id: `ai${messages.length}`, content: `answer ${"with many words ".repeat(100)}` })],
    }))
    .addEdge(START, "answer")
    .addEdge("answer", END)
    .compile({ checkpointer: checkpointer.saver as BaseCheckpointSaver });
  for (let turn = 0; turn < 12; turn += 1) {
    const messages = [new HumanMessage({ id: `h${turn}`, content: `${turn} ${"question ".repeat(40)}` })];
    await graph.invoke({ messages }, { configurable: { thread_id: "chat" } });
  }
  await checkpointer.copyThread({ fromThreadId: "chat", toThreadId: "copy" });
  await checkpointer.copyThread({ fromThreadId: "copy", toThreadId: "copy of copy" });
  await checkpointer.close();
}

async function digests(place: Place, context: Omit<DriverContext, "cwd"> = {}): Promise<readonly string[]> {
  const checkpointer = await open(place, context);
  const found: string[] = [];
  for (const threadId of THREADS) found.push(await digestThread(checkpointer, threadId));
  await checkpointer.close();
  return found;
}

const recompress = (place: Place, target: CompressionTarget, context: Partial<DriverContext> = {}) =>
  recompressStorage({ uri: place.uri, context: { cwd: place.cwd, ...context }, target });

describe.each([
  ["sqlite", sqlitePlace],
  ["postgres", postgresPlace],
] as const)("compressed checkpoints in %s", (_, placeOf) => {
  it("become stock ones and compressed ones again, and stay the same", async () => {
    const place = await placeOf();
    await fill(place, { compressCheckpoints: true });
    const before = await digests(place);
    expect(await place.packed()).toBeGreaterThan(0);
    const done = await recompress(place, "stock");
    expect(done.values).toBeGreaterThan(30);
    expect([await digests(place), await place.packed()]).toEqual([before, 0]);
    expect(await recompress(place, "stock")).toEqual({ values: 0, writes: 0 });
    await recompress(place, "compressed");
    expect(await place.packed()).toBeGreaterThan(30);
    expect(await recompress(place, "compressed")).toEqual({ values: 0, writes: 0 });
    // A server without compression goes on with them.
    expect(await digests(place, { compressCheckpoints: false })).toEqual(before);
    await place.drop();
  });

  it("are gone on with where a decompression was killed", async () => {
    const place = await placeOf();
    await fill(place, { compressCheckpoints: true });
    const before = await digests(place);
    const killed = recompressStorage({
      uri: place.uri,
      context: { cwd: place.cwd },
      target: "stock",
      onProgress: () => {
        throw new Error("killed");
      },
    });
    await expect(killed).rejects.toThrow("killed");
    expect(await digests(place)).toEqual(before);
    await recompress(place, "stock");
    expect([await digests(place), await place.packed()]).toEqual([before, 0]);
    await place.drop();
  });

  it("are sealed, opened, copied and decompressed like others", async () => {
    const place = await placeOf();
    await fill(place, { compressCheckpoints: true });
    const before = await digests(place);
    const key = newKey("test");
    const cipher = cipherOf(key);
    const context = { cwd: place.cwd };
    const options = { uri: place.uri, context, parts: "checkpoints", cipher, isDryRun: false } as const;
    await rewriteStorage({ ...options, target: "active" });
    await expect(digests(place)).rejects.toMatchObject({ code: "DECRYPTION_FAILED" });
    const strict = { cipher: cipherOf(key, { strict: true }) };
    const sealed = await open(place, strict);
    await sealed.copyThread({ fromThreadId: "chat", toThreadId: "copy" });
    await sealed.close();
    expect(await digests(place, strict)).toEqual(before);
    await recompress(place, "stock", strict);
    expect(await recompress(place, "stock", strict)).toEqual({ values: 0, writes: 0 });
    expect(await digests(place, strict)).toEqual(before);
    await recompress(place, "compressed", strict);
    expect(await recompress(place, "compressed", strict)).toEqual({ values: 0, writes: 0 });
    expect(await digests(place, strict)).toEqual(before);
    await rewriteStorage({ ...options, target: "clear" });
    expect(await digests(place)).toEqual(before);
    await recompress(place, "stock");
    expect([await digests(place), await place.packed()]).toEqual([before, 0]);
    await place.drop();
  });

  it("are carried over to a storage of the other form, twice as well as once", async () => {
    const [from, to] = [await placeOf(), await placeOf()];
    await fill(from, { compressCheckpoints: false });
    const before = await digests(from);
    const [source, target] = [await open(from), await open(to, { compressCheckpoints: true })];
    const bytes: number[] = [];
    for (let time = 0; time < 2; time += 1) {
      for (const threadId of THREADS) await transferThread({ from: source, to: target, threadId });
      bytes.push((await target.storage?.("chat"))?.totalBytes ?? 0);
    }
    expect(bytes[1]).toBeLessThanOrEqual(bytes[0] ?? 0);
    expect(bytes[0]).toBeLessThan(((await source.storage?.("chat"))?.totalBytes ?? 0) * 0.8);
    await source.close();
    await target.close();
    expect(await digests(to)).toEqual(before);
    expect(await to.packed()).toBeGreaterThan(0);
    await from.drop();
    await to.drop();
  });

  it("take a thread's bytes once, however often it is copied", async () => {
    const place = await placeOf();
    await fill(place, { compressCheckpoints: true });
    const checkpointer = await open(place, { compressCheckpoints: true });
    const storage = await checkpointer.storage?.("chat");
    expect(await checkpointer.storage?.("copy of copy")).toEqual(storage);
    await checkpointer.deleteThread("chat");
    await checkpointer.deleteThread("copy");
    expect(await checkpointer.storage?.("copy of copy")).toEqual(storage);
    expect((await checkpointer.prune({ threadId: "copy of copy", keep: { kind: "latest" }, dryRun: false }))?.checkpoints).toBeGreaterThan(30); // prettier-ignore
    await checkpointer.deleteThread("copy of copy");
    await checkpointer.close();
    expect(await place.packed()).toBe(0);
    await place.drop();
  });
});

it("decompressed checkpoints are read by LangGraph's own PostgresSaver", async () => {
  const place = await postgresPlace();
  await fill(place, { compressCheckpoints: true });
  await recompress(place, "stock");
  const ours = await open(place);
  const stock = PostgresSaver.fromConnString(place.uri);
  try {
    const config = { configurable: { thread_id: "copy" } };
    const [mine, theirs] = [await (ours.saver as BaseCheckpointSaver).getTuple(config), await stock.getTuple(config)];
    expect(theirs?.checkpoint.channel_values).toEqual(mine?.checkpoint.channel_values);
    expect(theirs?.checkpoint.channel_values["messages"]).toHaveLength(24);
  } finally {
    await stock.end();
    await ours.close();
    await place.drop();
  }
});
