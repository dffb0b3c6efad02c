import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { agentexStates } from "../../../src/protocols/agentex-states/index.js";
import { bearer, ownersAuth } from "../../support/owners-auth.js";
import type { TestServer } from "../../support/server.js";
import { startServer } from "../../support/server.js";
import { type Agentex, agentexClient, PROTOCOL_STORAGES } from "./client.js";

/** Bytes that no JavaScript serializer made: MessagePack of an object that only Python knows. */
const msgpack = Buffer.from([0xc7, 0x05, 0x00, 0x93, 0xa1, 0x78, 0xff, 0x00, 0x80]).toString("base64");

const blob = (channel: string, version: string, bytes = msgpack) => ({
  channel,
  version,
  type: "msgpack",
  blob: bytes,
});

/** Ids of checkpoints sort by time. */
const id = (n: number): string => `1f0a0000-0000-6000-8000-${String(n).padStart(12, "0")}`;

function put(threadId: string, n: number, more: Record<string, unknown> = {}) {
  return {
    thread_id: threadId,
    checkpoint_ns: "",
    checkpoint_id: id(n),
    parent_checkpoint_id: n === 0 ? null : id(n - 1),
    checkpoint: { v: 4, id: id(n), channel_values: { step: n }, channel_versions: { messages: `${n}.5` } },
    metadata: { source: "loop", step: n },
    blobs: [blob("messages", `${n}.5`)],
    ...more,
  };
}

/** Channels with a version each. */
const names = (count: number) => Array.from({ length: count }, (_, n) => [`c${n}`, "1"] as const);

const write = (taskId: string, idx: number, text: string, channel = "messages") => ({
  task_id: taskId,
  idx,
  channel,
  type: "msgpack",
  task_path: "~__pregel_pull",
  blob: Buffer.from(text).toString("base64"),
});

interface Tuple {
  readonly checkpoint_id: string;
  readonly checkpoint_ns: string;
  readonly blobs: readonly unknown[];
  readonly pending_writes: readonly { readonly task_id: string; readonly idx: number; readonly blob: string }[];
}

describe.each(PROTOCOL_STORAGES)("checkpoints of Python graphs on %s", (storage) => {
  let server: TestServer;
  let agentex: Agentex;
  const tuple = async (body: object): Promise<Tuple> => {
    const { status, body: found } = await agentex.checkpoints("get-tuple", body);
    expect(status).toBe(200);
    return found as Tuple;
  };
  const listed = async (body: object): Promise<readonly string[]> => {
    const { status, body: rows } = await agentex.checkpoints("list", body);
    expect(status).toBe(200);
    return (rows as readonly Tuple[]).map(({ checkpoint_id: found }) => found);
  };

  beforeAll(async () => {
    server = await startServer(storage, { protocols: [agentexStates()] });
    agentex = agentexClient(`${server.url}/agentex`);
  }, 60_000);
  afterAll(() => server.close());

  it("answers null for what is not there, and 204 to its deletion", async () => {
    const body = { thread_id: randomUUID() };
    expect(await agentex.checkpoints("get-tuple", body)).toMatchObject({ status: 200, body: null });
    expect(await agentex.checkpoints("get-tuple", { ...body, checkpoint_id: id(1) })).toMatchObject({ body: null });
    expect(await agentex.checkpoints("list", body)).toMatchObject({ status: 200, body: [] });
    expect(await agentex.checkpoints("delete-thread", body)).toMatchObject({ status: 204, body: null });
  });

  it("gives back what was put, byte for byte", async () => {
    const threadId = randomUUID();
    const every = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)).toString("base64");
    const sent = put(threadId, 1, {
      checkpoint: {
        v: 4,
        channel_values: { done: false, name: "ünï \u{1F600}" },
        channel_versions: { messages: "1.5", files: 2, empty: "3", "a\u001fb": "4" },
      },
      blobs: [
        blob("messages", "1.5"),
        { ...blob("files", "2", every), version: 2 },
        { channel: "empty", version: "3", type: "empty", blob: null },
        { ...blob("a\u001fb", "4", ""), type: "null" },
      ],
    });
    expect(await agentex.checkpoints("put", sent)).toMatchObject({
      status: 200,
      body: { thread_id: threadId, checkpoint_ns: "", checkpoint_id: id(1) },
    });
    expect(await tuple({ thread_id: threadId })).toEqual({
      thread_id: threadId,
      checkpoint_ns: "",
      checkpoint_id: id(1),
      parent_checkpoint_id: id(0),
      checkpoint: sent.checkpoint,
      metadata: sent.metadata,
      blobs: expect.arrayContaining([
        blob("messages", "1.5"),
        blob("files", "2", every),
        { ...blob("a\u001fb", "4", ""), type: "null" },
      ]) as unknown,
      pending_writes: [],
    });
  });

  it("keeps the numbers that Python wrote", async () => {
    const threadId = randomUUID();
    const checkpoint = '{"v":4,"channel_values":{"score":1.0,"big":12345678901234567890},"channel_versions":{}}';
    const text = `{"thread_id":"${threadId}","checkpoint_id":"${id(1)}","checkpoint":${checkpoint},"metadata":{"t":2.0}}`;
    expect((await agentex.send("POST", "/checkpoints/put", text)).status).toBe(200);
    const raw = await fetch(`${server.url}/agentex/checkpoints/get-tuple`, {
      method: "POST",
      body: JSON.stringify({ thread_id: threadId }),
    });
    expect(await raw.text()).toContain(`"checkpoint":${checkpoint},"metadata":{"t":2.0}`);
  });

  it("finds the newest one of a namespace, or the one that is named", async () => {
    const threadId = randomUUID();
    for (const n of [0, 2, 1]) await agentex.checkpoints("put", put(threadId, n));
    await agentex.checkpoints("put", put(threadId, 7, { checkpoint_ns: "child:a|b" }));
    expect((await tuple({ thread_id: threadId })).checkpoint_id).toBe(id(2));
    expect((await tuple({ thread_id: threadId, checkpoint_ns: "child:a|b" })).checkpoint_id).toBe(id(7));
    expect((await tuple({ thread_id: threadId, checkpoint_id: id(0) })).blobs).toEqual([blob("messages", "0.5")]);
    expect(await tuple({ thread_id: threadId, checkpoint_id: id(7) })).toBeNull();
    expect(await tuple({ thread_id: threadId, checkpoint_ns: "child" })).toBeNull();
  });

  it("finds blobs of earlier checkpoints by their versions", async () => {
    const threadId = randomUUID();
    await agentex.checkpoints("put", put(threadId, 1));
    const versions = { channel_values: {}, channel_versions: { messages: "1.5", other: "9" } };
    await agentex.checkpoints("put", put(threadId, 2, { checkpoint: versions, blobs: [] }));
    expect((await tuple({ thread_id: threadId })).blobs).toEqual([blob("messages", "1.5")]);
    // Of a version that is there the first one stays, and a repetition changes nothing.
    const other = Buffer.from("other").toString("base64");
    const again = put(threadId, 1, {
      blobs: [blob("new", "1"), blob("messages", "1.5", other)],
      metadata: { step: 9 },
    });
    expect((await agentex.checkpoints("put", again)).status).toBe(200);
    expect(await tuple({ thread_id: threadId, checkpoint_id: id(1) })).toMatchObject({
      blobs: [blob("messages", "1.5")],
      metadata: { step: 9 },
    });
  });

  it("lists newest first, before one, by namespace and by metadata", async () => {
    const threadId = randomUUID();
    for (let n = 0; n < 6; n += 1) {
      await agentex.checkpoints("put", put(threadId, n, { checkpoint_ns: n === 5 ? "child" : "" }));
    }
    const base = { thread_id: threadId };
    expect(await listed(base)).toEqual([5, 4, 3, 2, 1, 0].map(id));
    expect(await listed({ ...base, limit: 2 })).toEqual([5, 4].map(id));
    expect(await listed({ ...base, before_checkpoint_id: id(3) })).toEqual([2, 1, 0].map(id));
    expect(await listed({ ...base, checkpoint_ns: "" })).toEqual([4, 3, 2, 1, 0].map(id));
    expect(await listed({ ...base, checkpoint_ns: "child" })).toEqual([id(5)]);
    expect(await listed({ ...base, filter_metadata: { step: 2 } })).toEqual([id(2)]);
    expect(await listed({ ...base, filter_metadata: { source: "loop" }, limit: 3 })).toEqual([5, 4, 3].map(id));
    expect(await listed({ ...base, filter_metadata: { source: "none" } })).toEqual([]);
    const { body } = await agentex.checkpoints("list", { ...base, limit: 1 });
    expect(body).toEqual([
      {
        ...base,
        checkpoint_ns: "child",
        checkpoint_id: id(5),
        parent_checkpoint_id: id(4),
        checkpoint: put(threadId, 5).checkpoint,
        metadata: put(threadId, 5).metadata,
      },
    ]);
  });

  it("lists more than it reads at once, without repeating or losing one", async () => {
    const threadId = randomUUID();
    for (let n = 0; n < 120; n += 1) await agentex.checkpoints("put", put(threadId, n, { blobs: [] }));
    const all = Array.from({ length: 120 }, (_, n) => id(119 - n));
    expect(await listed({ thread_id: threadId, limit: 1000 })).toEqual(all);
    expect(await listed({ thread_id: threadId })).toEqual(all.slice(0, 100));
    expect(await listed({ thread_id: threadId, limit: 1000, filter_metadata: { source: "loop" } })).toEqual(all);
  });

  it("keeps a task's writes in order; upsert replaces them, and without it the first stay", async () => {
    const threadId = randomUUID();
    await agentex.checkpoints("put", put(threadId, 1));
    const at = { thread_id: threadId, checkpoint_ns: "", checkpoint_id: id(1) };
    const sent = async (writes: readonly object[], upsert?: boolean) => {
      const answer = await agentex.checkpoints("put-writes", {
        ...at,
        writes,
        ...(upsert !== undefined && { upsert }),
      });
      expect(answer).toMatchObject({ status: 204, body: null });
    };
    const kept = async () =>
      (await tuple({ thread_id: threadId })).pending_writes.map(({ task_id: task, idx, blob: text }) => [
        task,
        idx,
        Buffer.from(text, "base64").toString(),
      ]);
    await sent([write("b", 1, "b1"), write("b", 0, "b0")]);
    await sent([write("a", 0, "a0"), write("a", -3, "stopped", "__interrupt__")], true);
    await sent([write("b", 0, "again"), write("b", 2, "b2")], false);
    expect(await kept()).toEqual([
      ["a", -3, "stopped"],
      ["a", 0, "a0"],
      ["b", 0, "b0"],
      ["b", 1, "b1"],
      ["b", 2, "b2"],
    ]);
    await sent([write("b", 1, "new")], true);
    expect((await kept()).slice(2)).toEqual([
      ["b", 0, "b0"],
      ["b", 1, "new"],
      ["b", 2, "b2"],
    ]);
    await sent([]);
    expect((await tuple({ thread_id: threadId })).pending_writes[0]).toEqual(
      write("a", -3, "stopped", "__interrupt__"),
    );
    // Of other checkpoints and namespaces, also where one's name begins as the other's does.
    await agentex.checkpoints("put", put(threadId, 1, { checkpoint_ns: "n" }));
    expect((await tuple({ thread_id: threadId, checkpoint_ns: "n" })).pending_writes).toEqual([]);
  });

  it("keeps all writes of tasks that write at once", async () => {
    const threadId = randomUUID();
    await agentex.checkpoints("put", put(threadId, 1));
    const at = { thread_id: threadId, checkpoint_id: id(1) };
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, n) =>
        agentex.checkpoints("put-writes", { ...at, writes: [write("same", n, `w${n}`), write(`task-${n}`, 0, "own")] }),
      ),
    );
    expect(answers.every(({ status }) => status === 204)).toBe(true);
    const { pending_writes: writes } = await tuple({ thread_id: threadId });
    expect(writes.filter(({ task_id: task }) => task === "same").map(({ idx }) => idx)).toEqual([
      0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11,
    ]);
    expect(writes).toHaveLength(24);
  });

  it("deletes all of a thread, and nothing of others", async () => {
    const [gone, kept] = [randomUUID(), randomUUID()];
    for (const threadId of [gone, kept]) {
      await agentex.checkpoints("put", put(threadId, 1));
      await agentex.checkpoints("put-writes", {
        thread_id: threadId,
        checkpoint_id: id(1),
        writes: [write("t", 0, "w")],
      });
    }
    expect((await agentex.checkpoints("delete-thread", { thread_id: gone })).status).toBe(204);
    expect(await tuple({ thread_id: gone })).toBeNull();
    // Nor do blobs and writes come back with a checkpoint of the same id.
    await agentex.checkpoints("put", put(gone, 1, { blobs: [] }));
    expect(await tuple({ thread_id: gone })).toMatchObject({ blobs: [], pending_writes: [] });
    expect(await tuple({ thread_id: kept })).toMatchObject({ blobs: [blob("messages", "1.5")], pending_writes: [{}] });
  });

  it("refuses with 422 what it cannot keep, and names the field", async () => {
    const threadId = randomUUID();
    const at = { thread_id: threadId, checkpoint_id: id(1) };
    const cases: readonly (readonly [operation: string, body: unknown, field: string])[] = [
      ["get-tuple", {}, "thread_id"],
      ["get-tuple", { thread_id: 7 }, "thread_id"],
      ["get-tuple", { thread_id: "" }, "thread_id"],
      ["get-tuple", { thread_id: "t", checkpoint_ns: "a\u001fb" }, "checkpoint_ns"],
      ["put", { ...at }, "checkpoint"],
      ["put", { ...at, checkpoint: [] }, "checkpoint"],
      ["put", { ...at, checkpoint: {}, checkpoint_id: "x".repeat(101) }, "checkpoint_id"],
      ["put", { ...at, checkpoint: {}, blobs: [blob("a", "1", "not base64!")] }, "blobs[0].blob"],
      ["put", { ...at, checkpoint: {}, blobs: [{ channel: "a", version: "1", type: "msgpack" }] }, "blobs[0].blob"],
      ["put", { ...at, checkpoint: { channel_versions: Object.fromEntries(names(10_001)) } }, "channel_versions"],
      ["put-writes", { ...at, writes: [{ task_id: "t", idx: 0.5, channel: "c", blob: "" }] }, "writes[0].idx"],
      ["put-writes", { ...at, writes: "none" }, "writes"],
      ["list", { thread_id: "t", limit: 0 }, "limit"],
      ["list", { thread_id: "t", limit: 1001 }, "limit"],
      ["list", { thread_id: "t", filter_metadata: [] }, "filter_metadata"],
      ["list", {}, "thread_id"],
      ["delete-thread", [], "object"],
    ];
    for (const [operation, body, field] of cases) {
      expect(await agentex.send("POST", `/checkpoints/${operation}`, body)).toMatchObject({
        status: 422,
        body: { status_code: 10_422, message: expect.stringContaining(field) as string, data: null },
      });
    }
    expect(await tuple({ thread_id: threadId })).toBeNull();
  });

  it("refuses with 413 what is too large for one piece", async () => {
    const bytes = Buffer.alloc(8 * 1024 * 1024, 7).toString("base64");
    const tooLarge = put(randomUUID(), 1, { blobs: [blob("messages", "1", bytes)] });
    expect(await agentex.checkpoints("put", tooLarge)).toMatchObject({
      status: 413,
      body: { code: 413, message: expect.stringContaining("blobs[0].blob") as string },
    });
    const fits = Buffer.alloc(7 * 1024 * 1024, 7).toString("base64");
    const threadId = randomUUID();
    expect(
      (await agentex.checkpoints("put", put(threadId, 1, { blobs: [blob("messages", "1.5", fits)] }))).status,
    ).toBe(200);
    expect((await tuple({ thread_id: threadId })).blobs).toEqual([blob("messages", "1.5", fits)]);
  });

  it("leaves a thread of the same id readable for LangGraph clients, and goes with it", async () => {
    const { thread_id: threadId } = await server.client.threads.create();
    await agentex.checkpoints("put", put(threadId, 1));
    expect(await server.client.threads.getState(threadId)).toMatchObject({ values: {}, next: [], checkpoint: null });
    expect(await server.client.threads.getHistory(threadId)).toEqual([]);
    const messages = [{ role: "user", content: "hello" }];
    expect(await server.client.runs.wait(threadId, "echo", { input: { messages } })).toHaveProperty("messages");
    expect((await server.client.threads.getHistory(threadId)).length).toBeGreaterThan(0);
    expect((await tuple({ thread_id: threadId })).checkpoint_id).toBe(id(1));
    await server.client.threads.delete(threadId);
    expect(await tuple({ thread_id: threadId })).toBeNull();
  });
});

describe.each(PROTOCOL_STORAGES)("checkpoints of two users on %s", (storage) => {
  it("are kept apart, and those of another's thread can't be reached", async () => {
    const server = await startServer(storage, { protocols: [agentexStates()], auth: ownersAuth() });
    try {
      const [ann, bob] = ["ann", "bob"].map((name) => agentexClient(`${server.url}/agentex`, bearer(name))) as [
        Agentex,
        Agentex,
      ];
      const free = randomUUID();
      await ann.checkpoints("put", put(free, 1));
      expect(await bob.checkpoints("get-tuple", { thread_id: free })).toMatchObject({ status: 200, body: null });
      expect(await bob.checkpoints("list", { thread_id: free })).toMatchObject({ status: 200, body: [] });
      await bob.checkpoints("put", put(free, 2));
      expect((await bob.checkpoints("delete-thread", { thread_id: free })).status).toBe(204);
      expect(await ann.checkpoints("get-tuple", { thread_id: free })).toMatchObject({ body: { checkpoint_id: id(1) } });

      const made = await fetch(`${server.url}/threads`, { method: "POST", headers: bearer("ann"), body: "{}" });
      const { thread_id: owned } = (await made.json()) as { readonly thread_id: string };
      await ann.checkpoints("put", put(owned, 1));
      const writes = { thread_id: owned, checkpoint_id: id(1), writes: [write("t", 0, "w")] };
      for (const [operation, body] of [
        ["put", put(owned, 2)],
        ["put-writes", writes],
      ] as const) {
        expect(await bob.checkpoints(operation, body)).toMatchObject({
          status: 404,
          body: { message: `Item with id '${owned}' does not exist.`, code: 404, data: null },
        });
      }
      // As of a thread that is not there.
      expect(await bob.checkpoints("get-tuple", { thread_id: owned })).toMatchObject({ status: 200, body: null });
      expect(await bob.checkpoints("list", { thread_id: owned })).toMatchObject({ status: 200, body: [] });
      expect(await bob.checkpoints("delete-thread", { thread_id: owned })).toMatchObject({ status: 204 });
      expect(await ann.checkpoints("get-tuple", { thread_id: owned })).toMatchObject({ body: { pending_writes: [] } });
    } finally {
      await server.close();
    }
  }, 60_000);
});
