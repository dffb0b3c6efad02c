import { Annotation, END, START, StateGraph } from "@langchain/langgraph";
import { afterAll, describe, expect, it } from "vitest";
import { createApp, type CreateAppOptions, type HeddleServer } from "../../src/app.js";
import { rewriteStorage } from "../../src/maintenance/encrypt/rewrite-storage.js";
import { cipherOf, newKey } from "../support/cipher.js";
import { call } from "../support/diary.js";
import { type Storage, STORAGES } from "../support/encrypted-storages.js";

/* What users write may look like what Heddle stores for a sealed value. */

const open: Storage[] = [];
afterAll(async () => {
  for (const storage of open) await storage.close();
});

const State = Annotation.Root({ note: Annotation<object>(), $heddle: Annotation<string>() });
const mimic = new StateGraph(State)
  .addNode("write", async ({ $heddle }, config) => {
    config.writer?.({ $heddle });
    return { note: { $heddle } };
  })
  .addEdge(START, "write")
  .addEdge("write", END);

const serve = (storage: Storage, options: Partial<CreateAppOptions> = {}): Promise<HeddleServer> =>
  createApp({ graphs: { mimic }, logLevel: "silent", env: {}, ...storage.options, ...options });

async function write(server: HeddleServer, $heddle: string): Promise<{ readonly threadId: string; streamed: string }> {
  const lookalike = { $heddle };
  const { thread_id: threadId } = JSON.parse(await call(server, "POST", "/threads", {})) as { thread_id: string };
  const streamed = await call(server, "POST", `/threads/${threadId}/runs/stream`, {
    assistant_id: "mimic",
    input: lookalike,
    context: lookalike,
    metadata: lookalike,
    config: { configurable: { other: "x" } },
    stream_mode: ["values", "custom"],
  });
  await call(server, "PUT", "/store/items", { namespace: ["a"], key: "k", value: lookalike });
  return { threadId, streamed };
}

async function read(server: HeddleServer, threadId: string): Promise<unknown> {
  const texts = [
    await call(server, "GET", `/threads/${threadId}`),
    await call(server, "POST", "/threads/search", {}),
    await call(server, "POST", `/threads/${threadId}/history`, { limit: 100 }),
    await call(server, "GET", `/threads/${threadId}/runs`),
    await call(server, "POST", "/store/items/search", { namespace_prefix: ["a"] }),
  ];
  return texts.map((text) => JSON.parse(text) as unknown);
}

for (const name of ["SQLite", "Postgres", "MongoDB"]) {
  const make = STORAGES[name];
  describe.skipIf(make === undefined)(`users' own {"$heddle": …}: ${name}`, () => {
    it("are read back, encrypted or not, after a restart and after rewrites", { timeout: 120_000 }, async () => {
      const storage = await (make as () => Promise<Storage>)();
      open.push(storage);
      const clear = await serve(storage);
      const { threadId, streamed } = await write(clear, "mine");
      expect(streamed).toContain('data: {"$heddle":"mine"}');
      const before = await read(clear, threadId);
      expect(JSON.stringify(before).split('"$heddle":"mine"').length).toBeGreaterThan(8);
      await clear.close();

      const again = await serve(storage);
      expect(await read(again, threadId)).toEqual(before);
      await again.close();

      const key = newKey("k1");
      const mixed = await serve(storage, { encryption: { keys: key } });
      expect(await read(mixed, threadId)).toEqual(before);
      await mixed.close();

      const cipher = cipherOf(key);
      const options = { uri: storage.options.storage ?? "", context: { cwd: storage.options.cwd ?? "." }, cipher };
      const rewrite = (target: "active" | "clear") =>
        rewriteStorage({ ...options, parts: "all", target, isDryRun: false });
      const { counts } = await rewrite("active");
      expect(counts.filter(({ unreadable }) => unreadable > 0)).toEqual([]);
      const strict = await serve(storage, { encryption: { keys: key, strict: true } });
      expect(await read(strict, threadId)).toEqual(before);
      // Sealed, even what looks like a sealed value down to its first letters stays the user's.
      const forged = cipher.sealText("nothing", ["nowhere"]);
      const other = await write(strict, forged);
      expect(other.streamed).toContain(`data: {"$heddle":"${forged}"}`);
      const readBack = await read(strict, other.threadId);
      expect(JSON.stringify(readBack).split(forged).length).toBeGreaterThan(8);
      await strict.close();
      const restarted = await serve(storage, { encryption: { keys: key, strict: true } });
      expect(await read(restarted, other.threadId)).toEqual(readBack);
      await restarted.close();
    });
  });
}

it("do not keep a server without keys from starting again, even when they look like sealed values", async () => {
  const storage = await (STORAGES["SQLite"] as () => Promise<Storage>)();
  open.push(storage);
  const forged = cipherOf(newKey("k1")).sealText("nothing", ["nowhere"]);
  const server = await serve(storage);
  await write(server, forged);
  // Without a configuration of its own, as a sealed run has none.
  await call(server, "POST", "/runs/wait", { assistant_id: "mimic", input: { $heddle: forged } });
  await server.close();
  const again = await serve(storage);
  expect(await call(again, "POST", "/threads/search", {})).toContain(forged);
  await again.close();
});
