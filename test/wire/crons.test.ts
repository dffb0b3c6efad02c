import type { Client } from "@langchain/langgraph-sdk";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { TestServer } from "../support/server.js";
import { STORAGES, startServer, statusOf } from "../support/server.js";

/** Comes while no test runs. */
const YEARLY = "0 0 1 1 *";
type Created = Awaited<ReturnType<Client["crons"]["create"]>>;

/** The SDK's types are behind its server here: a cron comes back whole (docs/wire/langgraph-api.md §2.2). */
interface WholeCron extends Created {
  readonly timezone: string | null;
  readonly enabled: boolean;
  readonly on_run_completed: string;
}

describe.each(STORAGES)("crons by the JS SDK on %s", (storage) => {
  let server: TestServer;
  beforeAll(async () => void (server = await startServer(storage)));
  afterAll(() => server.close());

  const ask = async (method: string, path: string, body?: object) => {
    const init = { method, headers: { "content-type": "application/json" } };
    const response = await fetch(`${server.url}${path}`, { ...init, ...(body && { body: JSON.stringify(body) }) });
    return { status: response.status, headers: response.headers, body: (await response.json()) as unknown };
  };

  it("creates, gets, changes and deletes", async () => {
    const { crons } = server.client;
    const cron = (await crons.create("echo", {
      schedule: "30 8 * * MON-FRI",
      timezone: "Europe/Berlin",
      input: { messages: [{ role: "human", content: "hi" }] },
      config: { configurable: { tone: "dry" } },
      context: { user: "ann" },
      metadata: { team: "red", kept: 1 },
      endTime: "2099-01-01T00:00:00Z",
      interruptBefore: "*",
      streamMode: ["values", "updates"],
      durability: "exit",
    })) as WholeCron;
    expect(cron).toMatchObject({
      schedule: "30 8 * * MON-FRI",
      timezone: "Europe/Berlin",
      end_time: "2099-01-01T00:00:00.000Z",
      enabled: true,
      on_run_completed: "delete",
      thread_id: null,
      user_id: null,
      metadata: { team: "red", kept: 1 },
      payload: {
        assistant_id: cron.assistant_id,
        input: { messages: [{ role: "human", content: "hi" }] },
        config: { configurable: { tone: "dry" } },
        context: { user: "ann" },
        interrupt_before: "*",
        stream_mode: ["values", "updates"],
        durability: "exit",
      },
    });
    expect(new Date(cron.next_run_date).getTime()).toBeGreaterThan(Date.now());
    expect((await ask("GET", `/runs/crons/${cron.cron_id}`)).body).toEqual(cron);

    const changed = (await crons.update(cron.cron_id, {
      schedule: YEARLY,
      timezone: "UTC",
      metadata: { team: "blue" },
      input: { messages: [] },
      onRunCompleted: "keep",
    })) as unknown as WholeCron;
    expect(changed).toMatchObject({
      cron_id: cron.cron_id,
      schedule: YEARLY,
      timezone: "UTC",
      on_run_completed: "keep",
      end_time: "2099-01-01T00:00:00.000Z",
      metadata: { team: "blue", kept: 1 },
      payload: { input: { messages: [] }, context: { user: "ann" }, interrupt_before: "*", durability: "exit" },
    });
    expect(changed.next_run_date).toMatch(/^\d{4}-01-01T00:00:00\.000Z$/);

    const off = (await crons.update(cron.cron_id, { enabled: false })) as unknown as WholeCron;
    expect(off).toMatchObject({ enabled: false, next_run_date: null, schedule: YEARLY });
    const endless = await ask("PATCH", `/runs/crons/${cron.cron_id}`, { end_time: null, enabled: true, context: null });
    expect(endless.body).toMatchObject({ end_time: null, enabled: true, next_run_date: changed.next_run_date });
    expect((endless.body as WholeCron).payload).not.toHaveProperty("context");

    await crons.delete(cron.cron_id);
    expect((await ask("GET", `/runs/crons/${cron.cron_id}`)).status).toBe(404);
    expect(await statusOf(crons.delete(cron.cron_id))).toBe(404);
    expect(await statusOf(crons.update(cron.cron_id, { enabled: true }))).toBe(404);
  });

  it("creates for a thread, whose deletion takes it along", async () => {
    const { crons, threads } = server.client;
    const { thread_id: threadId } = await threads.create();
    const cron = await crons.createForThread(threadId, "echo", { schedule: YEARLY, metadata: { of: threadId } });
    expect(cron).toMatchObject({ thread_id: threadId, payload: { multitask_strategy: "enqueue" } });
    expect(await crons.count({ threadId })).toBe(1);
    await threads.delete(threadId);
    expect(await crons.count({ threadId })).toBe(0);
    expect(await statusOf(crons.createForThread(threadId, "echo", { schedule: YEARLY }))).toBe(404);
  });

  it("searches, counts and pages with headers", async () => {
    const { crons } = server.client;
    const tag = crypto.randomUUID();
    const ids: string[] = [];
    for (const [n, minute] of [30, 10, 20].entries()) {
      const schedule = `${minute} 0 1 1 *`;
      const cron = await crons.create("echo", { schedule, metadata: { tag, n }, enabled: n !== 2 });
      ids.push(cron.cron_id);
    }
    const found = async (query: object) =>
      (await crons.search({ metadata: { tag }, ...query })).map(({ cron_id: id }) => ids.indexOf(id));
    expect(await found({})).toEqual([2, 1, 0]);
    expect(await found({ sortBy: "created_at", sortOrder: "asc" })).toEqual([0, 1, 2]);
    expect(await found({ sortBy: "next_run_date", sortOrder: "asc" })).toEqual([1, 0, 2]);
    expect(await found({ enabled: true })).toEqual([1, 0]);
    expect(await found({ metadata: { tag, n: 1 } })).toEqual([1]);
    expect(await found({ assistantId: "echo", limit: 1, offset: 1 })).toEqual([1]);
    expect(await found({ assistantId: crypto.randomUUID() })).toEqual([]);
    expect(await crons.count({ metadata: { tag } })).toBe(3);
    const [picked] = await crons.search({ metadata: { tag, n: 0 }, select: ["cron_id", "schedule"] });
    expect(picked).toEqual({ cron_id: ids[0], schedule: "30 0 1 1 *" });
    const page = await ask("POST", "/runs/crons/search", { metadata: { tag }, limit: 2 });
    expect(page.headers.get("x-pagination-total")).toBe("3");
    expect(page.headers.get("x-pagination-next")).toBe("2");
  });

  it("refuses what cannot come, and names the field", async () => {
    const cases = [
      [{ schedule: "* * * * * *" }, /^schedule: /],
      [{ schedule: "never" }, /^schedule: /],
      [{ schedule: "0 0 31 2 *" }, /^schedule: .*never comes/],
      [{}, /^schedule: is required/],
      [{ schedule: YEARLY, timezone: "Mars/Phobos" }, /^timezone: /],
      [{ schedule: YEARLY, end_time: "2001-01-01T00:00:00Z" }, /^end_time: must be in the future/],
      [{ schedule: YEARLY, end_time: "soon" }, /^end_time: /],
      [{ schedule: YEARLY, multitask_strategy: "later" }, /^multitask_strategy: /],
    ] as const;
    for (const [body, message] of cases) {
      const refused = await ask("POST", "/runs/crons", { assistant_id: "echo", ...body });
      expect({ sent: body, ...refused, headers: null }).toMatchObject({
        status: 422,
        body: { detail: expect.stringMatching(message) },
      });
    }
    const unknown = await ask("POST", "/runs/crons", { assistant_id: "nobody", schedule: YEARLY });
    expect(unknown.status).toBe(404);
    expect((await ask("GET", "/runs/crons/no-uuid")).status).toBe(422);
    const { thread_id: threadId } = await server.client.threads.create();
    const deleting = { assistant_id: "echo", schedule: YEARLY, on_run_completed: "delete" };
    expect((await ask("POST", `/threads/${threadId}/runs/crons`, deleting)).status).toBe(422);
  });

  it("says so in /info", async () => {
    expect((await ask("GET", "/info")).body).toMatchObject({ flags: { crons: true } });
  });
});
