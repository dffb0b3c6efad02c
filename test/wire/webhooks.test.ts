import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openReceiver, type Receiver, until } from "../webhooks/receiver.js";
import type { TestServer } from "../support/server.js";
import { STORAGES, startServer } from "../support/server.js";

const WEBHOOKS = { url: { requireHttps: false, disableLoopback: false } };
const INPUT = { messages: [{ role: "human", content: "hi" }] };

describe.each(STORAGES)("webhooks by the JS SDK on %s", (storage) => {
  let server: TestServer;
  let told: Receiver;
  beforeAll(async () => {
    told = await openReceiver();
    server = await startServer(storage, { webhooks: WEBHOOKS });
  });
  afterAll(async () => {
    await server.close();
    await told.close();
  });

  /** What came to a path of its own. */
  const at = (name: string) => {
    const path = `/${name}`;
    const got = () => told.received.filter((one) => one.path === path);
    return { webhook: `${told.url}${path}`, got };
  };

  it("of runs that are created, waited for and streamed, on a thread and without one", async () => {
    const { runs, threads } = server.client;
    const { thread_id: threadId } = await threads.create();
    const { webhook, got } = at("all");
    const created = await runs.create(threadId, "echo", { input: INPUT, webhook });
    await runs.join(threadId, created.run_id);
    await runs.wait(threadId, "echo", { input: INPUT, webhook });
    for await (const _ of runs.stream(threadId, "echo", { input: INPUT, webhook }));
    await runs.create(null, "echo", { input: INPUT, webhook });
    await runs.wait(null, "echo", { input: INPUT, webhook });
    for await (const _ of runs.stream(null, "echo", { input: INPUT, webhook }));
    await runs.createBatch([{ assistantId: "echo", input: INPUT, webhook }]);
    await until(() => got().length >= 7);
    expect(got().map(({ body }) => body["status"])).toEqual(Array.from({ length: 7 }, () => "success"));
    expect(new Set(got().map(({ headers }) => headers["webhook-id"])).size).toBe(7);
    for (const { body } of got()) {
      const { messages } = body["values"] as { readonly messages: readonly object[] };
      expect(messages.slice(-2)).toMatchObject([{ type: "human" }, { type: "ai" }]);
    }
    const first = got().find(({ body }) => body["run_id"] === created.run_id);
    expect(first?.body).toMatchObject({ thread_id: threadId, kwargs: { webhook } });
    expect((await runs.get(threadId, created.run_id)).status).toBe("success");
  }, 60_000);

  it("of one that fails, and one that another one overtakes before it starts", async () => {
    const { runs, threads } = server.client;
    const { thread_id: threadId } = await threads.create();
    const { webhook, got } = at("others");
    await runs.wait(threadId, "failing", { input: {}, webhook, raiseError: false });
    const later = await runs.create(threadId, "echo", { input: INPUT, webhook, afterSeconds: 3_600 });
    await runs.wait(threadId, "echo", { input: INPUT, multitaskStrategy: "interrupt" });
    await until(() => got().length >= 2);
    const statuses = Object.fromEntries(got().map(({ body }) => [body["status"], body]));
    expect(statuses["error"]).toMatchObject({ error: { message: expect.any(String) as string } });
    expect(statuses["interrupted"]).toMatchObject({ run_id: later.run_id, run_started_at: null });
  }, 60_000);
});
