import { Annotation, START, StateGraph } from "@langchain/langgraph";
import pg, { type Pool } from "pg";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createApp, type HeddleServer } from "../../src/app.js";
import type { AppOptions } from "../../src/config/options.js";
import { createCheckpointerRegistry } from "../../src/checkpointers/registry.js";
import type { DriverContext } from "../../src/core/driver.js";
import { openPostgres } from "../../src/databases/postgres/open.js";
import { createStoreRegistry } from "../../src/stores/registry.js";
import { createDispatcherRegistry } from "../../src/streaming/dispatchers.js";
import { createEventLogRegistry } from "../../src/streaming/registry.js";
import { inParallel } from "../soak/measure.js";
import { createDatabase } from "../support/postgres.js";
import { until } from "../support/server.js";
import { reportFault } from "./cluster.js";

const STREAMS = 500;
/** How long is looked, and how often. */
const SAMPLES = 150;
const SAMPLE_EVERY_MS = 20;

let database: Awaited<ReturnType<typeof createDatabase>>;
let admin: pg.Client;
const closers: (() => Promise<void>)[] = [];

beforeAll(async () => {
  database = await createDatabase();
  admin = new pg.Client({ connectionString: database.uri, application_name: "the one who asks" });
  await admin.connect();
});
afterAll(async () => {
  await Promise.all(closers.map((close) => close()));
  await admin.end();
  await database.drop();
});

/** A server on the database, with the pool that all its parts share. */
async function open(options: Partial<AppOptions>): Promise<{ readonly server: HeddleServer; readonly pool: Pool }> {
  let pool: Pool | undefined;
  // A scheme of the test's own, through which all parts are the real ones.
  const real = <T, C>(registry: { open(uri: string, context: C): Promise<T> }) => [
    { schemes: ["watched"], requires: [], open: (_: string, context: C) => registry.open(database.uri, context) },
  ];
  const stores = createStoreRegistry();
  const server = await createApp({
    storage: "watched:it",
    allowEphemeral: true,
    logLevel: "error",
    env: {},
    ...options,
    drivers: {
      stores: real({
        async open(uri: string, context: DriverContext) {
          const own = await openPostgres(uri, context);
          closers.push(() => own.close());
          pool = own.pool;
          return stores.open(uri, context);
        },
      }),
      checkpointers: real(createCheckpointerRegistry()),
      eventLogs: real(createEventLogRegistry()),
      dispatchers: real(createDispatcherRegistry()),
    },
  });
  closers.push(() => server.close());
  if (pool === undefined) throw new Error("the storage was not opened");
  return { server, pool };
}

async function ask(server: HeddleServer, method: string, path: string, body?: object): Promise<Response> {
  const text = body === undefined ? {} : { body: JSON.stringify(body) };
  const response = await server.fetch(new Request(`http://heddle${path}`, { method, ...text }));
  expect(response.status).toBe(200);
  return response;
}

/** Statements under way, and transactions that are open, of anybody but the one who asks. */
async function busyConnections(): Promise<number> {
  const { rows } = await admin.query<{ n: number }>(
    `SELECT count(*)::int AS n FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'heddle' AND state <> 'idle'`,
  );
  return rows[0]?.n ?? -1;
}

it("500 idle streams leave every pool idle, and each gets its end", { timeout: 120_000 }, async () => {
  let release: () => void = () => undefined;
  const released = new Promise<void>((resolve) => (release = resolve));
  let waiting = 0;
  const gate = new StateGraph(Annotation.Root({ passed: Annotation<boolean> }))
    .addNode("wait", async () => {
      waiting += 1;
      await released;
      return { passed: true };
    })
    .addEdge(START, "wait")
    .compile();
  const graphs = { gate };
  const api = await open({ graphs, role: "api" });
  const worker = await open({ graphs, role: "worker", worker: { concurrency: STREAMS } });
  await worker.server.start();

  let joined = 0;
  const ends: Promise<string>[] = [];
  await inParallel(STREAMS, 10, async () => {
    const thread = (await (await ask(api.server, "POST", "/threads", {})).json()) as { thread_id: string };
    const runs = `/threads/${thread.thread_id}/runs`;
    const body = { assistant_id: "gate", input: {}, stream_mode: ["values"], stream_resumable: true };
    const run = (await (await ask(api.server, "POST", runs, body)).json()) as { run_id: string };
    const stream = await ask(api.server, "GET", `${runs}/${run.run_id}/stream`);
    const read = async (): Promise<string> => {
      let text = "";
      for await (const chunk of stream.body ?? []) {
        if (text === "") joined += 1;
        text += Buffer.from(chunk).toString("utf8");
      }
      return text;
    };
    ends.push(read());
  });
  await until(async () => waiting === STREAMS && joined === STREAMS, "all runs to wait and all streams to have begun");
  const isIdle = (pool: Pool): boolean => pool.idleCount === pool.totalCount && pool.waitingCount === 0;
  await until(async () => isIdle(api.pool) && isIdle(worker.pool), "idle pools");

  // Every statement of ours takes a connection from a pool.
  let taken = 0;
  const count = (): void => void (taken += 1);
  for (const pool of [api.pool, worker.pool]) pool.on("acquire", count);
  const startedAt = performance.now();
  let queued = 0;
  let busy = 0;
  let busyInARow = 0;
  let longestRow = 0;
  for (let sample = 0; sample < SAMPLES; sample += 1) {
    const arePoolsIdle = isIdle(api.pool) && isIdle(worker.pool);
    queued = Math.max(queued, api.pool.waitingCount, worker.pool.waitingCount);
    const isQuiet = arePoolsIdle && (await busyConnections()) === 0;
    busy += isQuiet ? 0 : 1;
    busyInARow = isQuiet ? 0 : busyInARow + 1;
    longestRow = Math.max(longestRow, busyInARow);
    await new Promise((resolve) => setTimeout(resolve, SAMPLE_EVERY_MS));
  }
  const perSecond = taken / ((performance.now() - startedAt) / 1_000);
  reportFault("500 idle streams", {
    "busy samples": `${busy} of ${SAMPLES}`,
    "longest in a row": longestRow,
    "statements/s": Math.round(perSecond),
    connections: `${api.pool.totalCount} + ${worker.pool.totalCount}`,
  });
  expect(queued).toBe(0);
  // What is left are short statements for all together: leases, presence, expired logs, looks at logs and rows, because notices
  // may be lost (services/run-endings). No connection is kept.
  expect(busy).toBeLessThan(SAMPLES / 5);
  expect(longestRow).toBeLessThan(6);
  expect(perSecond).toBeLessThan(12);

  release();
  const texts = await Promise.all(ends);
  // Those that got another end, with what they got.
  const isEnded = (text: string): boolean => /event: end\n(?:.*\n)?data: .*"success"/.test(text);
  expect(texts.filter((text) => !isEnded(text)).slice(0, 2)).toEqual([]);
  expect(texts.filter((text) => text.includes('"passed":true'))).toHaveLength(STREAMS);
});
