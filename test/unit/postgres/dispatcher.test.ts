import { afterAll, beforeAll, expect, it } from "vitest";
import pg from "pg";
import type { Dispatcher } from "../../../src/core/dispatcher.js";
import { systemClock } from "../../../src/runtime/system-clock.js";
import { openPostgresDispatcher } from "../../../src/streaming/postgres-dispatcher.js";
import { createDatabase, startPostgres, type TestPostgres } from "../../support/postgres.js";

let server: TestPostgres;
beforeAll(async () => {
  server = await startPostgres();
});
afterAll(() => server.close());

async function open(uri: string, errors: unknown[] = [], concurrency = 4): Promise<Dispatcher> {
  const logger = {
    info: () => undefined,
    warn: () => undefined,
    error: (fields: object) => errors.push(fields),
  };
  return openPostgresDispatcher(uri, { cwd: "/", clock: systemClock, logger, concurrency });
}

async function until(what: () => boolean): Promise<void> {
  const deadline = performance.now() + 15_000;
  while (!what()) {
    if (performance.now() > deadline) throw new Error(`not in time: ${String(what)}`);
    await new Promise((resolve) => void setTimeout(resolve, 10));
  }
}

it("a restart of the server: whoever listens is told to look at everything, and hears again; nothing throws", async () => {
  const errors: unknown[] = [];
  const [announcer, worker] = [await open(server.uri, errors), await open(server.uri, errors)];
  try {
    const heard = new Set<string | null>();
    const local = new Set<string | null>();
    worker.onWork((threadId) => void heard.add(threadId));
    announcer.onWork((threadId) => void local.add(threadId));
    await server.stop();
    for (let n = 0; n < 50; n += 1) {
      announcer.announce(`away ${n}`);
      announcer.signal({ runId: `away ${n}`, threadId: "t" }, "interrupt");
    }
    await until(() => local.size === 50);
    expect(heard.size).toBe(0);
    await server.start();
    await until(() => heard.has(null));
    announcer.announce("after");
    await until(() => heard.has("after"));
    expect(errors).toEqual([]);
  } finally {
    await Promise.all([announcer.close(), worker.close()]);
  }
});

it("closes in bounded time while the server is stopped", async () => {
  const dispatcher = await open(server.uri);
  await server.stop();
  try {
    dispatcher.announce("t");
    dispatcher.signal({ runId: "r", threadId: "t" }, "rollback");
    const closingAt = performance.now();
    await dispatcher.close();
    expect(performance.now() - closingAt).toBeLessThan(4_000);
  } finally {
    await server.start();
  }
});

it("hears what it understands: others may send to its channels, and names may be longer than a notification", async () => {
  const { uri, drop } = await createDatabase();
  const errors: unknown[] = [];
  const [announcer, worker] = [await open(uri, errors), await open(uri, errors)];
  const client = new pg.Client({ connectionString: uri });
  await client.connect();
  try {
    const heard: unknown[] = [];
    worker.onWork((threadId) => void heard.push(threadId));
    worker.onSignal((run, action) => heard.push([run, action]));
    for (const payload of ["", "nonsense", "{}", "[1]", '["x","t","r","explode"]', '["x","t"]']) {
      await client.query("SELECT pg_notify('heddle_signal', $1)", [payload]);
    }
    for (const payload of ["", "null", "7"]) await client.query("SELECT pg_notify('heddle_work', $1)", [payload]);
    announcer.announce("x".repeat(8_000));
    announcer.signal({ runId: "r", threadId: "x".repeat(8_000) }, "interrupt");
    announcer.announce("ä".repeat(3_000));
    announcer.announce("last");
    await until(() => heard.includes("last"));
    expect(heard).toEqual(["ä".repeat(3_000), "last"]);
    expect(errors).toEqual([]);
  } finally {
    await client.end();
    await Promise.all([announcer.close(), worker.close()]);
    await drop();
  }
});

it("a process that takes no work is not woken for it, and still hears cancels", async () => {
  const { uri, drop } = await createDatabase();
  const [announcer, api] = [await open(uri), await open(uri, [], 0)];
  try {
    const heard: unknown[] = [];
    api.onWork((threadId) => void heard.push(threadId));
    api.onSignal(({ runId }) => heard.push(runId));
    announcer.announce("t");
    await new Promise((resolve) => setImmediate(resolve));
    announcer.signal({ runId: "r", threadId: "t" }, "interrupt");
    await until(() => heard.includes("r"));
    expect(heard).toEqual(["r"]);
  } finally {
    await Promise.all([announcer.close(), api.close()]);
    await drop();
  }
});

it("a thousand announcements of one turn are few notifications", async () => {
  const { uri, drop } = await createDatabase();
  const announcer = await open(uri);
  const client = new pg.Client({ connectionString: uri });
  await client.connect();
  try {
    const payloads: string[] = [];
    client.on("notification", ({ payload }) => void payloads.push(payload ?? ""));
    await client.query("LISTEN heddle_work");
    const threads = Array.from({ length: 1_000 }, () => crypto.randomUUID());
    for (const threadId of [...threads, ...threads]) announcer.announce(threadId);
    const heard = (): string[] => payloads.flatMap((payload) => (JSON.parse(payload) as string[]).slice(1));
    await until(() => heard().length >= 1_000);
    expect(new Set(heard())).toEqual(new Set(threads));
    expect(heard()).toHaveLength(1_000);
    expect(payloads.length).toBeLessThan(10);
  } finally {
    await client.end();
    await announcer.close();
    await drop();
  }
});
