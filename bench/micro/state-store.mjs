// The State Store over HTTP: rates of set, compare-and-set and get, and how long a change takes from the request of its set to who follows it.
//   node bench/micro/state-store.mjs [--seconds 5] [--connections 16] [--followers 100] [--only memory,sqlite,postgres]
//   [--dist ../../dist], of `npm run build`
// The server is a process of its own; this one asks. Starts a PostgreSQL of its own (bench/lib/pg.mjs).
import { mkdtempSync, rmSync } from "node:fs";
import { Agent, request } from "node:http";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { serveParent, startChild } from "../lib/child-server.mjs";
import { pgDrop, pgFresh, pgPid, pgStart, pgStop } from "../lib/pg.mjs";

const { values: args } = parseArgs({
  options: {
    seconds: { type: "string", default: "5" },
    connections: { type: "string", default: "16" },
    followers: { type: "string", default: "100" },
    only: { type: "string", default: "memory,sqlite,postgres" },
    dist: { type: "string", default: join(import.meta.dirname, "../../dist") },
    serve: { type: "string" },
  },
});
const [seconds, connections, followers] = [Number(args.seconds), Number(args.connections), Number(args.followers)];
const VALUE = { status: "review", step: 3, by: "ann@example.com", note: "x".repeat(200) };

const importBuilt = (file) => import(pathToFileURL(join(args.dist, file)).href);

async function serve(uri) {
  const { createApp, stateStore } = await importBuilt("index.js");
  const { listen } = await importBuilt("node/index.js");
  // A server without graphs is none.
  const { MessagesAnnotation, StateGraph } = await import("@langchain/langgraph");
  const idle = new StateGraph(MessagesAnnotation).addNode("idle", () => ({})).addEdge("__start__", "idle").compile();
  const server = await createApp({ graphs: { idle }, storage: uri, env: {}, logLevel: "error", protocols: [stateStore()] });
  await serveParent(server, listen);
}

async function startServer(uri) {
  const { url, stop } = await startChild(import.meta.url, ["--serve", uri, "--dist", args.dist]);
  return { url: new URL(`${url}/state-store`), stop };
}

const agent = new Agent({ keepAlive: true, maxSockets: connections });

function ask({ hostname, port, pathname }, method, path, body) {
  const text = body === undefined ? undefined : JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const headers = text === undefined ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(text) };
    const asked = request({ hostname, port, method, path: pathname + path, agent, headers }, (answer) => {
      let received = "";
      answer.setEncoding("utf8").on("data", (chunk) => (received += chunk));
      answer.on("end", () => {
        if (answer.statusCode === 200) resolve(JSON.parse(received));
        else reject(new Error(`${method} ${path}: ${answer.statusCode} ${received}`));
      });
    });
    asked.on("error", reject);
    asked.end(text);
  });
}

/** @param work called again and again on each connection, with its number and that of the call */
async function rate(work) {
  const until = performance.now() + seconds * 1_000;
  const taken = [];
  const connection = async (n) => {
    for (let i = 0; performance.now() < until; i += 1) {
      const start = performance.now();
      await work(n, i);
      taken.push(performance.now() - start);
    }
  };
  await Promise.all(Array.from({ length: connections }, (_, n) => connection(n)));
  return { perSecond: Math.round(taken.length / seconds), ...percentiles(taken) };
}

function percentiles(taken) {
  taken.sort((a, b) => a - b);
  const at = (part) => Number(taken[Math.min(taken.length - 1, Math.ceil(part * taken.length) - 1)].toFixed(2));
  return { p50: at(0.5), p99: at(0.99) };
}

/** Calls `onChange` with each change. @returns when the server follows the value */
function follow({ hostname, port, pathname }, path, onChange) {
  return new Promise((resolve, reject) => {
    const asked = request({ hostname, port, path: `${pathname}${path}/stream`, agent: false }, (answer) => {
      let rest = "";
      answer.setEncoding("utf8").on("data", (chunk) => {
        const frames = (rest + chunk).split("\n\n");
        rest = frames.pop();
        for (const frame of frames) {
          const data = /^data: (.*)$/m.exec(frame)?.[1];
          if (data !== undefined) onChange(JSON.parse(data), performance.now());
        }
      });
      answer.on("error", () => {});
      resolve(() => asked.destroy());
    });
    asked.on("error", reject).end();
  });
}

/** From before the request of a set to the change at each of `count` followers, one set after the other. */
async function latency(at, from, count, sets = Math.max(20, 400 / count)) {
  const path = `/v1/state/latency/k${count}`;
  const taken = [];
  let start = 0;
  let waiting = 0;
  let done = () => {};
  const onChange = (_, now) => {
    taken.push(now - start);
    waiting -= 1;
    if (waiting === 0) done();
  };
  const stops = await Promise.all(Array.from({ length: count }, () => follow(at, path, onChange)));
  for (let n = 0; n < sets; n += 1) {
    const all = new Promise((resolve) => (done = resolve));
    waiting = count;
    start = performance.now();
    await ask(from, "POST", path, { value: { ...VALUE, n } });
    await all;
  }
  for (const stop of stops) stop();
  return percentiles(taken.slice(2 * count));
}

/** Changes that arrive in a second at one follower of a value that all connections set. */
async function followed(at) {
  let changes = 0;
  const stop = await follow(at, "/v1/state/followed/k", () => (changes += 1));
  const sets = await rate((n, i) => ask(at, "POST", "/v1/state/followed/k", { value: { n, i } }));
  const expected = sets.perSecond * seconds;
  const limit = performance.now() + 10_000;
  while (changes < expected - seconds && performance.now() < limit) await new Promise((resolve) => setTimeout(resolve, 10));
  stop();
  return { setsPerSecond: sets.perSecond, changesSeen: changes, ofSets: expected };
}

async function measure(name, uri, { processes }) {
  const one = await startServer(uri);
  const other = processes === 2 ? await startServer(uri) : null;
  try {
    const path = (n, i) => `/v1/state/w${n}/k${i % 100}`;
    const fill = async (n) => {
      for (let i = 0; i < 100; i += 1) await ask(one.url, "POST", path(n, i), { value: VALUE });
    };
    await Promise.all(Array.from({ length: connections }, (_, n) => fill(n)));
    const set = await rate((n, i) => ask(one.url, "POST", path(n, i), { value: VALUE }));
    const get = await rate((n, i) => ask(one.url, "GET", path(n, i)));
    const versions = new Map();
    const compareAndSet = await rate(async (n) => {
      const { version } = await ask(one.url, "POST", `/v1/state/cas/k${n}/version`, { value: VALUE, version: versions.get(n) ?? 0 });
      versions.set(n, version);
    });
    console.log(name, JSON.stringify({ set, get, compareAndSet }));
    console.log(name, "latency, 1 follower", JSON.stringify(await latency(one.url, one.url, 1)));
    console.log(name, `latency, ${followers} followers`, JSON.stringify(await latency(one.url, one.url, followers)));
    if (other !== null) console.log(name, "latency, set at another process", JSON.stringify(await latency(one.url, other.url, 1, 30)));
    console.log(name, "one value, all connections", JSON.stringify(await followed(one.url)));
  } finally {
    await other?.stop();
    await one.stop();
  }
}

async function main() {
  console.log(`${connections} connections, ${seconds} s each, load ${loadavg()[0].toFixed(1)}`);
  const only = args.only.split(",");
  if (only.includes("memory")) await measure("memory", "memory:", { processes: 1 });
  if (only.includes("sqlite")) {
    const dir = mkdtempSync(join(tmpdir(), "heddle-bench-"));
    await measure("sqlite", `sqlite:${join(dir, "heddle.db")}`, { processes: 2 });
    rmSync(dir, { recursive: true, force: true });
  }
  if (only.includes("postgres")) {
    const isOwn = !pgPid();
    if (isOwn) pgStart();
    const uri = pgFresh();
    try {
      await measure("postgres", uri, { processes: 2 });
    } finally {
      pgDrop(uri);
      if (isOwn) pgStop();
    }
  }
  agent.destroy();
}

if (args.serve === undefined) await main();
else await serve(args.serve);
