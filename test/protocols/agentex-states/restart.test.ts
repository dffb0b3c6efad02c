import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { createApp } from "../../../src/app.js";
import { agentexStates } from "../../../src/protocols/agentex-states/index.js";
import * as graphs from "../../fixtures/graphs/index.js";
import { createStorage, startServer, until } from "../../support/server.js";
import { agentexClient, PROTOCOL_STORAGES } from "./client.js";

const checkpoint = { checkpoint_id: "1f0", checkpoint: { channel_versions: { a: "1" } } };
const blob = { channel: "a", version: "1", type: "msgpack", blob: "xwWTAA==" };
const write = { task_id: "t", idx: 0, channel: "a", type: "msgpack", blob: "xwWTAA==" };

describe.each(PROTOCOL_STORAGES.filter((storage) => storage !== "memory"))("a restart on %s", (storage) => {
  it("loses no state, no checkpoint and no write", async () => {
    const { uri, drop } = await createStorage(storage);
    const open = () =>
      createApp({ graphs: { ...graphs }, storage: uri, logLevel: "error", env: {}, protocols: [agentexStates()] });
    const threadId = randomUUID();
    const ask = async (server: Awaited<ReturnType<typeof open>>, method: string, path: string, body?: object) => {
      const init = { method, ...(body !== undefined && { body: JSON.stringify(body) }) };
      const response = await server.app.request(`/agentex${path}`, init);
      const text = await response.text();
      return (text === "" ? null : JSON.parse(text)) as Readonly<Record<string, unknown>>;
    };
    const reads = async (server: Awaited<ReturnType<typeof open>>, id: unknown) => [
      await ask(server, "GET", `/states/${String(id)}`),
      await ask(server, "GET", "/states?order_by=created_at"),
      await ask(server, "POST", "/checkpoints/get-tuple", { thread_id: threadId }),
    ];
    try {
      const before = await open();
      const { id } = await ask(before, "POST", "/states", { task_id: "t", agent_id: "a", state: { n: 1 } });
      await ask(before, "POST", "/states", { task_id: "t", agent_id: "b", state: { n: 2 } });
      await ask(before, "PUT", `/states/${String(id)}`, { state: { n: 3 } });
      await ask(before, "POST", "/checkpoints/put", { thread_id: threadId, ...checkpoint, blobs: [blob] });
      await ask(before, "POST", "/checkpoints/put-writes", { thread_id: threadId, ...checkpoint, writes: [write] });
      const seen = await reads(before, id);
      expect(seen).toMatchObject([{ state: { n: 3 } }, [{}, {}], { blobs: [blob], pending_writes: [write] }]);
      await before.close();
      const after = await open();
      expect(await reads(after, id)).toEqual(seen);
      await after.close();
    } finally {
      await drop();
    }
  }, 60_000);
});

describe.each(PROTOCOL_STORAGES)("what belongs to a thread on %s", (storage) => {
  it("goes when the thread is deleted, and when its time is over", async () => {
    const server = await startServer(storage, {
      protocols: [agentexStates()],
      threads: { ttl: { sweepIntervalMinutes: 0.01 } },
    });
    try {
      const agentex = agentexClient(`${server.url}/agentex`);
      const free = await agentex.create(randomUUID(), { kept: true });
      const status = async (id: string) => (await agentex.send("GET", `/states/${id}`)).status;
      const { thread_id: deleted } = await server.client.threads.create();
      const ofDeleted = await agentex.create(deleted, {});
      const other = await agentex.create(deleted.toUpperCase(), {}, "another");
      await server.client.threads.delete(deleted);
      expect(await Promise.all([ofDeleted, other].map(({ id }) => status(id)))).toEqual([404, 404]);
      expect(await agentex.list({ task_id: deleted })).toEqual([]);

      const { thread_id: expiring } = await server.client.threads.create({ ttl: 0.01 });
      const ofExpiring = await agentex.create(expiring, {});
      await agentex.checkpoints("put", { thread_id: expiring, ...checkpoint });
      await until(async () => (await status(ofExpiring.id)) === 404, "the state to go with its thread");
      const tuple = () => agentex.checkpoints("get-tuple", { thread_id: expiring });
      await until(async () => (await tuple()).body === null, "its checkpoints to go as well");
      expect(await status(free.id)).toBe(200);
    } finally {
      await server.close();
    }
  }, 60_000);
});
