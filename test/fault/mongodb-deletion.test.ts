import { Annotation, END, START, StateGraph } from "@langchain/langgraph";
import { MongoClient } from "mongodb";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { createApp, type HeddleServer } from "../../src/app.js";
import { createMongoDatabase, hasMongo } from "../support/mongodb.js";
import { until } from "../webhooks/receiver.js";

const ROUNDS = 12;
const STEPS = 40;

const Steps = Annotation.Root({
  n: Annotation<number>({ reducer: (_, next) => next, default: () => 0 }),
  log: Annotation<string[]>({ reducer: (a, b) => a.concat(b), default: () => [] }),
});
let steps = 0;
/** Writes a checkpoint, and writes of two tasks, with each of its steps. */
const walk = new StateGraph(Steps)
  .addNode("left", async (state) => {
    steps += 1;
    await new Promise((resolve) => setTimeout(resolve, 2));
    return { n: state.n + 1, log: [`left ${state.n}`] };
  })
  .addNode("right", () => ({ log: ["right"] }))
  .addEdge(START, "left")
  .addEdge(START, "right")
  .addConditionalEdges("left", (state) => (state.n < STEPS ? ["left", "right"] : END))
  .compile();

describe.runIf(hasMongo())("MongoDB, where a thread's rows are not removed in one step", () => {
  let database: Awaited<ReturnType<typeof createMongoDatabase>>;
  let client: MongoClient;
  const opened: HeddleServer[] = [];
  beforeAll(async () => {
    database = await createMongoDatabase();
    client = new MongoClient(database.uri);
  });
  afterEach(async () => {
    for (const server of opened.splice(0)) await server.close();
  });
  afterAll(async () => {
    await client.close();
    await database.drop();
  });

  async function open(role: "api" | "all"): Promise<HeddleServer> {
    const server = await createApp({ graphs: { walk }, storage: database.uri, role, logLevel: "silent", env: {} });
    opened.push(server);
    await server.start();
    return server;
  }
  const ask = async (server: HeddleServer, method: string, path: string, body?: object): Promise<Response> =>
    server.app.request(path, { method, ...(body !== undefined && { body: JSON.stringify(body) }) });

  /** Collections that still have something of a thread. */
  async function leftOf(threadId: string): Promise<readonly string[]> {
    const collections = await client.db().listCollections().toArray();
    const found = await Promise.all(
      collections.map(async ({ name }) => {
        const documents = await client.db().collection(name).find().toArray();
        return JSON.stringify(documents).includes(threadId) ? [name] : [];
      }),
    );
    return found.flat();
  }

  /** Delete a thread once its run has made so many steps; then make it anew. */
  async function deleteAt(step: number, worker: HeddleServer, deleter: HeddleServer): Promise<void> {
    const created = (await (await ask(worker, "POST", "/threads", {})).json()) as { thread_id: string };
    const { thread_id: threadId } = created;
    const before = steps;
    const body = { assistant_id: "walk", input: {}, config: { recursion_limit: 200 }, durability: "sync" };
    const run = (await (await ask(worker, "POST", `/threads/${threadId}/runs`, body)).json()) as { run_id: string };
    await until(() => steps >= before + step);
    expect((await ask(deleter, "DELETE", `/threads/${threadId}`)).status).toBe(200);
    expect((await ask(worker, "GET", `/threads/${threadId}/runs/${run.run_id}`)).status).toBe(404);
    await until(async () => (await leftOf(threadId)).length === 0);
    // The id is free, and a new thread of it begins with nothing.
    expect((await ask(deleter, "POST", "/threads", { thread_id: threadId })).status).toBe(200);
    expect(await (await ask(worker, "GET", `/threads/${threadId}/history`)).json()).toEqual([]);
    expect((await ask(worker, "DELETE", `/threads/${threadId}`)).status).toBe(200);
  }

  it.each([["the same process"], ["another process, which nobody hears"]])(
    "a thread that is deleted by %s while its run writes checkpoints leaves none of them, and no writes",
    async (who) => {
      const worker = await open("all");
      const deleter = who.startsWith("another") ? await open("api") : worker;
      for (let round = 0; round < ROUNDS; round += 1) await deleteAt(1 + round * 2, worker, deleter);
      expect(steps).toBeGreaterThan(ROUNDS);
    },
    120_000,
  );
});
