/**
 * How long `GET /ok` takes while expired threads are swept: `node sweep.mjs [--storage sqlite:FILE|postgres://…] [--threads 100000]
 * [--rate 100] [--turns 1]`. Each thread has a run, two checkpoints with a state of about 2 kB, and pending writes. One process serves and
 * sweeps, this one asks at a steady rate, first without a sweep. Postgres: a database of its own that may be filled.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const dist = (path) => import(new URL(`../dist/${path}`, import.meta.url).href);

async function serve({ storage, limit }) {
  const { createApp } = await dist("index.js");
  const { listen } = await dist("node/index.js");
  const { echo } = await import("./graphs/graphs.mjs").catch(() => ({ echo: null }));
  const server = await createApp({
    graphs: { echo: echo ?? (await plainGraph()) },
    storage,
    env: {},
    logLevel: "error",
    threads: { ttl: { sweepIntervalMinutes: 0.1, sweepLimit: limit } },
  });
  const { url } = await listen(server, { port: 0, host: "127.0.0.1" });
  process.send({ url });
  process.once("message", () => void server.start());
}

async function plainGraph() {
  const { StateGraph, Annotation, START } = await import("@langchain/langgraph");
  const State = Annotation.Root({ text: Annotation() });
  return new StateGraph(State)
    .addNode("say", () => ({ text: "said" }))
    .addEdge(START, "say")
    .compile();
}

async function main() {
  const { values } = parseArgs({
    options: {
      storage: { type: "string" },
      threads: { type: "string", default: "100000" },
      rate: { type: "string", default: "100" },
      seconds: { type: "string", default: "10" },
    },
  });
  const dir = mkdtempSync(join(tmpdir(), "heddle-sweep-"));
  const storage = values.storage ?? `sqlite:${join(dir, "heddle.db")}`;
  const threads = Number(values.threads);
  const store = await openStore(storage);
  const seededIn = await timed(() => seed(store, storage, threads));
  console.log(`seeded ${threads} expired threads in ${(seededIn / 1000).toFixed(0)} s`);
  const child = fork(fileURLToPath(import.meta.url), ["serve", JSON.stringify({ storage, limit: threads })]);
  const [{ url }] = await once(child, "message");
  const idle = await ask(url, Number(values.rate), () => false, Number(values.seconds) * 1000);
  report("without a sweep", idle);
  // The first request has started it: sweeps come every six seconds.
  child.send("start");
  let left = threads;
  const watch = setInterval(() => void remaining(store).then((n) => (left = n)), 500);
  const from = performance.now();
  const sweeping = await ask(url, Number(values.rate), () => left === 0, 30 * 60_000);
  clearInterval(watch);
  report("while they are swept", sweeping);
  const seconds = (performance.now() - from) / 1000;
  console.log(`all gone after ${seconds.toFixed(0)} s: ${(threads / seconds).toFixed(0)} threads/s`);
  child.kill("SIGKILL");
  await store.close();
  rmSync(dir, { recursive: true, force: true });
  process.exit(0);
}

async function openStore(storage) {
  const clock = { now: () => Date.now() };
  if (storage.startsWith("sqlite:")) {
    const { openSqlite } = await dist("databases/sqlite/open.js");
    const { createSqliteMetadataStore } = await dist("stores/sqlite/index.js");
    return createSqliteMetadataStore(await openSqlite(storage, { cwd: "." }), clock);
  }
  const { openPostgres } = await dist("databases/postgres/open.js");
  const { createPostgresMetadataStore } = await dist("stores/postgres/index.js");
  return createPostgresMetadataStore(await openPostgres(storage, { cwd: "." }));
}

const ACCESS = { kind: "all" };
const remaining = async (store) =>
  (await store.threads.count({ access: ACCESS })) + (await store.expiredThreads.removed({ limit: 1 })).length;

async function seed(store, storage, threads) {
  const kind = storage.startsWith("sqlite:") ? "sqlite" : "postgres";
  const module = await dist(`checkpointers/${kind}.js`);
  const open = kind === "sqlite" ? module.openSqliteCheckpointer : module.openPostgresCheckpointer;
  const checkpointer = await open(storage, { cwd: "." });
  const at = Date.now() - 86_400_000;
  const idOf = (n) => `00000000-0000-7000-8000-${n.toString(16).padStart(12, "0")}`;
  const text = "what was said and answered, ".repeat(70);
  for (let start = 0; start < threads; start += 500) {
    const ids = Array.from({ length: Math.min(500, threads - start) }, (_, n) => idOf(start + n));
    const rows = ids.map((threadId) => ({
      key: threadId,
      value: {
        threadId, createdAt: at, updatedAt: at, stateUpdatedAt: at, metadata: { graph_id: "echo" }, config: {},
        settledStatus: "idle", values: { text }, interrupts: {}, error: null, temporary: false, watched: false,
        ttl: { strategy: "delete", ttlMs: 3_600_000 },
      },
    })); // prettier-ignore
    await store.transfer.write({ kind: "threads", rows });
    const runs = ids.map((threadId) => ({
      key: threadId.replace("00000000", "10000000"),
      value: {
        runId: threadId.replace("00000000", "10000000"), threadId, assistantId: idOf(0xa), graphId: "echo", createdAt: at,
        updatedAt: at, dueAt: at, status: "success", metadata: {}, multitaskStrategy: "enqueue", attempt: 1, error: null,
        leaseToken: 1, cancelRequested: null,
        kwargs: { config: {}, streamModes: ["values"], streamSubgraphs: false, streamResumable: false, durability: "async", temporary: false },
      },
    })); // prettier-ignore
    await store.transfer.write({ kind: "runs", rows: runs });
    await Promise.all(ids.map((threadId) => seedCheckpoints(checkpointer.saver, threadId, text)));
  }
  await checkpointer.close();
}

async function seedCheckpoints(saver, threadId, text) {
  let config = { configurable: { thread_id: threadId, checkpoint_ns: "" } };
  for (const step of [0, 1]) {
    const checkpoint = {
      v: 4, id: `1f000000-0000-6000-8000-00000000000${step}`, ts: new Date(0).toISOString(), channel_values: { text: `${text}${step}` },
      channel_versions: { text: step + 1 }, versions_seen: {},
    }; // prettier-ignore
    config = await saver.put(config, checkpoint, { source: "loop", step, parents: {} }, { text: step + 1 });
    await saver.putWrites(config, [["text", "written"]], "task");
  }
}

/** Ask at a steady rate, whether or not answers come, until `isDone` or for so long. @returns milliseconds each took */
async function ask(url, rate, isDone, forMs) {
  const took = [];
  const open = new Set();
  const from = performance.now();
  for (let n = 0; performance.now() - from < forMs && !isDone(); n += 1) {
    const due = from + (n * 1000) / rate;
    const wait = due - performance.now();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    const request = fetch(`${url}/ok`)
      .then((answer) => answer.text())
      .then(() => took.push(performance.now() - due))
      .finally(() => open.delete(request));
    open.add(request);
  }
  await Promise.all(open);
  return took;
}

function report(what, took) {
  const sorted = took.toSorted((a, b) => a - b);
  const at = (part) => (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0).toFixed(1);
  console.log(`/ok ${what}: ${took.length} requests, p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, max ${at(1)} ms`);
}

async function timed(work) {
  const from = performance.now();
  await work();
  return performance.now() - from;
}

if (process.argv[2] === "serve") await serve(JSON.parse(process.argv[3]));
else await main();
