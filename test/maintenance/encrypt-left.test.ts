import Sqlite from "better-sqlite3";
import { MongoClient } from "mongodb";
import { join } from "node:path";
import pg from "pg";
import { afterAll, expect, it } from "vitest";
import { PLACES } from "../../src/encryption/sealed-rows.js";
import { sealJson } from "../../src/core/cipher.js";
import { type RewriteOptions, rewriteStorage } from "../../src/maintenance/encrypt/rewrite-storage.js";
import { cipherOf, newKey } from "../support/cipher.js";
import { call, secret, SECRETS, secretsIn, use } from "../support/diary.js";
import { openDiary, type Storage, STORAGES } from "../support/encrypted-storages.js";

const open: Storage[] = [];
afterAll(async () => {
  for (const storage of open) await storage.close();
});

const [k1, k2] = [newKey("k1"), newKey("k2")];

async function clearStorage(kind: string) {
  const storage = await STORAGES[kind]?.();
  if (storage === undefined) throw new Error(`no ${kind}`);
  open.push(storage);
  const server = await openDiary(storage, {});
  const { threadId } = await use(server);
  await server.close();
  const uri = storage.options.storage ?? "";
  const rewrite = (options: Partial<RewriteOptions> = {}) =>
    rewriteStorage({
      uri,
      context: { cwd: storage.options.cwd ?? "." },
      parts: "all",
      cipher: cipherOf(k1),
      target: "active",
      isDryRun: false,
      ...options,
    });
  return { storage, uri, threadId, rewrite };
}

const of = ({ counts }: Awaited<ReturnType<typeof rewriteStorage>>, name: string) =>
  counts.find((count) => count.name === name);

it("Postgres: seals short values that LangGraph for Python keeps inside checkpoints, and counts what it serialized itself", async () => {
  const { storage, uri, threadId, rewrite } = await clearStorage("Postgres");
  const history = async (keys?: readonly string[]) => {
    const server = await openDiary(storage, keys === undefined ? {} : { encryption: { keys } });
    const text = await call(server, "POST", `/threads/${threadId}/history`, { limit: 100 });
    await server.close();
    return JSON.parse(text) as unknown;
  };
  const before = await history();
  const client = new pg.Client({ connectionString: uri });
  await client.connect();
  // As langgraph-checkpoint-postgres 3 has them.
  const inlined =
    await client.query(`UPDATE checkpoints c SET checkpoint = jsonb_set(checkpoint, '{channel_values}', v.values || '{"__start__x": "kept"}')
    FROM (SELECT c.thread_id, c.checkpoint_ns, c.checkpoint_id, jsonb_object_agg(b.channel, convert_from(b.blob, 'UTF8')::jsonb) AS values
      FROM checkpoints c JOIN checkpoint_blobs b ON b.thread_id = c.thread_id AND b.checkpoint_ns = c.checkpoint_ns
        AND b.version = c.checkpoint->'channel_versions'->>b.channel
      WHERE b.channel IN ('note', 'reply') AND b.type = 'json' GROUP BY 1, 2, 3) v
    WHERE (c.thread_id, c.checkpoint_ns, c.checkpoint_id) = (v.thread_id, v.checkpoint_ns, v.checkpoint_id)`);
  expect(inlined.rowCount).toBeGreaterThan(3);
  await client.query("DELETE FROM checkpoint_blobs WHERE channel IN ('note', 'reply')");
  await client.query(
    `INSERT INTO checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
     VALUES ('python', '', 'a', '1', 'msgpack', '\\x01'), ('python', '', 'b', '1', 'null', ''), ('python', '', 'c', '1', 'empty', NULL)`,
  );
  expect(await history()).toEqual(before);

  const dry = await rewrite({ isDryRun: true });
  expect(of(dry, "checkpoints: values inside")).toMatchObject({ wanted: inlined.rowCount, rewritten: 0 });
  const done = await rewrite();
  expect(of(done, "checkpoints: values inside")).toMatchObject({ rewritten: inlined.rowCount, foreign: 0 });
  expect(of(done, "checkpoints: values")).toMatchObject({ foreign: 1 });
  expect(secretsIn(await storage.dump())).toEqual([]);
  // What has no version is nobody's but Python's: it stays, and is told of.
  expect(await storage.dump()).toContain("__start__x");
  expect(of(await rewrite(), "checkpoints: values inside")).toMatchObject({ wanted: 0, foreign: inlined.rowCount });
  expect(await history([k1])).toEqual(before);
  await rewrite({ cipher: cipherOf([k2, k1]) });
  expect(await history([k2])).toEqual(before);
  await client.end();
}, 120_000);

it("MongoDB: what is too large once it is encrypted stays, is named, and keeps nothing else", async () => {
  if (STORAGES["MongoDB"] === undefined) {
    if (process.env["CI"] !== undefined) throw new Error("no MongoDB");
    console.warn("skipped: no MongoDB");
    return;
  }
  const { storage, uri, rewrite } = await clearStorage("MongoDB");
  const client = await MongoClient.connect(uri);
  const items = client.db().collection<{ _id: string; value: string }>("heddle_items");
  const [item] = await items.find().toArray();
  if (item === undefined) throw new Error("no item");
  const large = JSON.stringify({ text: "x".repeat(13 * 2 ** 20) });
  const _id = `${item._id} large`;
  await items.insertOne({ ...item, _id, key: "large", value: large } as never);
  const { counts } = await rewrite();
  const { refused, refusedNames, wanted, rewritten } = counts.find(({ name }) => name === "items") ?? {};
  expect({ refused, refusedNames }).toEqual({ refused: 1, refusedNames: [`heddle_items ${_id}`] });
  expect(rewritten).toBe(wanted);
  expect(rewritten).toBeGreaterThan(0);
  expect((await items.findOne({ _id }))?.value).toBe(large);
  await items.deleteOne({ _id });
  await client.close();
  const dump = (await storage.dump()).split("\n").filter((line) => !line.startsWith("heddle_event"));
  expect(secretsIn(dump.join("\n"))).toEqual([]);
}, 180_000);

it("SQLite: a database that others keep busy is rewritten, and what lingers is said", async () => {
  const { storage, rewrite } = await clearStorage("SQLite");
  const other = new Sqlite(join(storage.options.cwd ?? ".", "heddle.db"));
  other.exec("BEGIN");
  other.prepare("SELECT count(*) FROM threads").get();
  const { counts, unfinished } = await rewrite();
  expect(counts.reduce((sum, { wanted, rewritten }) => sum + wanted - rewritten, 0)).toBe(0);
  expect(unfinished).toMatch(/keep the database busy[^]*Run this again/);
  expect(secretsIn(await storage.dump())).not.toEqual([]);
  other.exec("COMMIT");
  other.close();
  expect((await rewrite()).unfinished).toBeNull();
  expect(secretsIn(await storage.dump())).toEqual([]);
}, 120_000);

function lieToSqlite(storage: Storage, lie: string): number {
  const db = new Sqlite(join(storage.options.cwd ?? ".", "heddle.db"));
  const { changes } = db.prepare("UPDATE thread_states SET state_values = ? WHERE state_values IS NOT NULL").run(lie);
  db.close();
  return changes;
}

async function lieToPostgres(uri: string, lie: string): Promise<number | null> {
  const client = new pg.Client({ connectionString: uri });
  await client.connect();
  const set = "UPDATE heddle_threads SET state_values = $1 WHERE state_values IS NOT NULL";
  const { rowCount } = await client.query(set, [lie]);
  await client.end();
  return rowCount;
}

it.each(["SQLite", "Postgres"])(
  "%s: opens also what names the active key, when it is to be verified",
  async (kind) => {
    const { storage, uri, rewrite } = await clearStorage(kind);
    await rewrite();
    const verified = await rewrite({ isDryRun: true, verifies: true });
    expect(verified.counts.reduce((sum, { unreadable }) => sum + unreadable, 0)).toBe(0);
    // Another key under the same id.
    const lie = JSON.stringify(sealJson(cipherOf(newKey("k1")), { a: 1 }, PLACES.thread("x", "values")));
    expect(await (kind === "SQLite" ? lieToSqlite(storage, lie) : lieToPostgres(uri, lie))).toBe(2);
    const believed = await rewrite({ isDryRun: true });
    expect(believed.counts.reduce((sum, { unreadable, wanted }) => sum + unreadable + wanted, 0)).toBe(0);
    expect(of(await rewrite({ isDryRun: true, verifies: true }), "threads: values")).toMatchObject({
      unreadable: 2,
      firstError: expect.stringContaining('"k1"') as string,
    });
    // Each kind of value is among what is opened.
    const strangers = await rewrite({ isDryRun: true, verifies: true, cipher: cipherOf(newKey("k1")) });
    for (const { name, found } of strangers.counts) expect([name, found]).toEqual([name, {}]);
    expect(strangers.counts.filter(({ unreadable }) => unreadable > 0).length).toBeGreaterThan(8);
    expect(SECRETS).toContain(secret("item"));
  },
  120_000,
);
