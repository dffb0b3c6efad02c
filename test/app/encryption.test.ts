import { Annotation, END, interrupt, type LangGraphRunnableConfig, START, StateGraph } from "@langchain/langgraph";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createApp, type CreateAppOptions, type HeddleServer } from "../../src/app.js";
import { newKey } from "../support/cipher.js";
import { createMongoDatabase, hasMongo } from "../support/mongodb.js";
import { postgresSchemas } from "../support/postgres-schemas.js";
import { rawFiles, rawMongo, rawPostgres, rawRedis } from "../support/raw-storage.js";
import { hasRedis, openTestRedis, type TestRedis } from "../support/redis.js";

const secret = (of: string): string => `hush-${of}-hush`;
const SECRETS = [
  "input",
  "state",
  "event",
  "item",
  "context",
  "config",
  "interrupt",
  "answer",
  "error",
  "assistant",
].map(secret);

const State = Annotation.Root({
  note: Annotation<string>(),
  reply: Annotation<string>(),
  answer: Annotation<string>(),
});

/** Writes secrets wherever a graph can. */
const diary = new StateGraph(State)
  .addNode("write", async (state, config: LangGraphRunnableConfig) => {
    await config.store?.put(["people", "ann"], "diary", { kind: "note", text: secret("item") });
    config.writer?.({ token: secret("event") });
    if (state.note === "fail") throw new Error(secret("error"));
    return { reply: secret("state") };
  })
  .addNode("ask", async () => ({ answer: String(interrupt(secret("interrupt"))) }))
  .addEdge(START, "write")
  .addEdge("write", "ask")
  .addEdge("ask", END);

interface Storage {
  readonly options: Pick<CreateAppOptions, "storage" | "redis" | "cwd">;
  dump(): Promise<string>;
  close(): Promise<void> | void;
}

const schemas = postgresSchemas();
let redis: TestRedis | undefined;
const folder = (): { readonly cwd: string; remove(): void } => {
  const cwd = mkdtempSync(join(tmpdir(), "heddle-encryption-"));
  return { cwd, remove: () => rmSync(cwd, { recursive: true, force: true }) };
};

const STORAGES: Record<string, () => Promise<Storage>> = {
  async SQLite() {
    const { cwd, remove } = folder();
    return { options: { storage: "sqlite:./heddle.db", cwd }, dump: async () => rawFiles(cwd), close: remove };
  },
  async Postgres() {
    const { uri, drop } = await schemas.create();
    return { options: { storage: uri }, dump: () => rawPostgres(uri), close: drop };
  },
  ...(hasMongo() && {
    async MongoDB() {
      const { uri, drop } = await createMongoDatabase();
      return { options: { storage: uri }, dump: () => rawMongo(uri), close: drop };
    },
  }),
  ...(hasRedis() && {
    async "SQLite and Redis"() {
      const { cwd, remove } = folder();
      const { uri } = (redis ??= await openTestRedis());
      const dump = async (): Promise<string> => `${rawFiles(cwd)}\n${await rawRedis(uri)}`;
      return { options: { storage: "sqlite:./heddle.db", redis: uri, cwd }, dump, close: remove };
    },
  }),
};

afterAll(async () => redis?.close());

const open = (storage: Storage, options: Partial<CreateAppOptions>): Promise<HeddleServer> =>
  createApp({ graphs: { diary }, logLevel: "silent", env: {}, ...storage.options, ...options });

async function call(server: HeddleServer, method: string, path: string, body?: object): Promise<string> {
  const init = { method, headers: { "content-type": "application/json" }, ...(body && { body: JSON.stringify(body) }) };
  const response = await server.fetch(new Request(`http://localhost${path}`, init));
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return text;
}

const MODES = ["values", "updates", "custom", "debug", "checkpoints", "tasks"];

/** Runs that fail, wait for an answer, get one; a copy of their thread. @returns what a client reads back */
async function use(server: HeddleServer): Promise<{ readonly threadId: string; readonly read: string }> {
  const created = await call(server, "POST", "/assistants", {
    graph_id: "diary",
    context: { about: secret("assistant") },
  });
  const { assistant_id: assistantId } = JSON.parse(created) as { assistant_id: string };
  const { thread_id: threadId } = JSON.parse(await call(server, "POST", "/threads", {})) as { thread_id: string };
  const stream = (body: object) =>
    call(server, "POST", `/threads/${threadId}/runs/stream`, {
      assistant_id: assistantId,
      stream_mode: MODES,
      stream_resumable: true,
      ...body,
    });
  const streams = [
    await stream({ input: { note: "fail" }, context: { token: secret("context") } }),
    await stream({ input: { note: secret("input") }, config: { configurable: { password: secret("config") } } }),
    await stream({ command: { resume: secret("answer") } }),
  ];
  const copied = JSON.parse(await call(server, "POST", `/threads/${threadId}/copy`)) as { thread_id: string };
  const read = await Promise.all([
    call(server, "GET", `/threads/${threadId}`),
    call(server, "GET", `/threads/${threadId}/state`),
    call(server, "POST", `/threads/${threadId}/history`, { limit: 100 }),
    call(server, "GET", `/threads/${threadId}/runs`),
    call(server, "POST", "/threads/search", {}),
    call(server, "POST", `/threads/${copied.thread_id}/history`, { limit: 100 }),
    call(server, "GET", `/assistants/${assistantId}`),
    call(server, "POST", "/store/items/search", { namespace_prefix: ["people"] }),
  ]);
  return { threadId, read: [...streams, ...read].join("\n") };
}

const secretsIn = (text: string): readonly string[] => SECRETS.filter((each) => text.includes(each));

for (const [name, make] of Object.entries(STORAGES)) {
  describe(name, () => {
    let storage: Storage;
    const keys = newKey("k1");
    beforeAll(async () => {
      storage = await make();
    });
    afterAll(() => storage.close());

    it("has no secret in the database, while a client reads them all", { timeout: 180_000 }, async () => {
      const server = await open(storage, { encryption: { keys } });
      try {
        const { read } = await use(server);
        expect(secretsIn(read)).toEqual(SECRETS);
        expect(secretsIn(await storage.dump())).toEqual([]);
      } finally {
        await server.close();
      }
      expect(secretsIn(await storage.dump())).toEqual([]);
    });

    it("is opened by the keys that it needs, and refused at the start without them", { timeout: 180_000 }, async () => {
      const rotated = await open(storage, { encryption: { keys: [newKey("k2"), keys] } });
      try {
        expect(await call(rotated, "POST", "/threads/search", {})).toContain(secret("answer"));
      } finally {
        await rotated.close();
      }
      await expect(open(storage, {})).rejects.toMatchObject({ code: "DECRYPTION_FAILED" });
      await expect(open(storage, { encryption: { keys: newKey("k3") } })).rejects.toMatchObject({
        code: "DECRYPTION_FAILED",
        details: { keyId: "k1" },
      });
      const namesake = open(storage, { encryption: { keys: newKey("k1") } });
      await expect(namesake).rejects.toMatchObject({ code: "DECRYPTION_FAILED", details: { keyId: "k1" } });
    });
  });
}

it("finds the secrets where nothing is encrypted: the search can find something", async () => {
  const storage = await (STORAGES["SQLite"] as () => Promise<Storage>)();
  const server = await open(storage, {});
  try {
    await use(server);
    expect(secretsIn(await storage.dump())).toEqual(SECRETS);
  } finally {
    await server.close();
    await storage.close();
  }
});

it("reads what was stored before the encryption, unless it is strict", async () => {
  const storage = await (STORAGES["SQLite"] as () => Promise<Storage>)();
  const clear = await open(storage, {});
  const { threadId } = await use(clear);
  await clear.close();
  const keys = newKey("k1");
  const mixed = await open(storage, { encryption: { keys } });
  expect(await call(mixed, "GET", `/threads/${threadId}/state`)).toContain(secret("answer"));
  await mixed.close();
  const strict = open(storage, { encryption: { keys, strict: true } });
  await expect(strict).rejects.toMatchObject({ code: "DECRYPTION_FAILED", message: /strict/ });
  await storage.close();
});
