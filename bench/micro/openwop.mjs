// An OpenWOP run of 1,000 events over HTTP: how long it takes from its start to its last event, and how long its whole log takes to be
// polled, beside the same graph run by the LangGraph API alone.
//   node bench/micro/openwop.mjs [--events 1000] [--reps 5] [--only memory,sqlite,postgres] [--dist ../../dist], of `npm run build`
// The server is a process of its own; this one asks. Starts a PostgreSQL of its own (bench/lib/pg.mjs).
import { mkdtempSync, rmSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { serveParent, startChild } from "../lib/child-server.mjs";
import { pgDrop, pgFresh, pgPid, pgStart, pgStop } from "../lib/pg.mjs";

const { values: args } = parseArgs({
  options: {
    events: { type: "string", default: "1000" },
    reps: { type: "string", default: "5" },
    only: { type: "string", default: "memory,sqlite,postgres" },
    dist: { type: "string", default: join(import.meta.dirname, "../../dist") },
    serve: { type: "string" },
  },
});
// A node is two events, and the run's start and end are two more.
const [steps, reps] = [(Number(args.events) - 2) / 2, Number(args.reps)];

const importBuilt = (file) => import(pathToFileURL(join(args.dist, file)).href);

async function serve(uri) {
  const { createApp, openwop } = await importBuilt("index.js");
  const { listen } = await importBuilt("node/index.js");
  const { Annotation, StateGraph } = await import("@langchain/langgraph");
  const State = Annotation.Root({ steps: Annotation, done: Annotation });
  const counting = new StateGraph(State)
    .addNode("step", ({ done = 0 }) => ({ done: done + 1 }))
    .addEdge("__start__", "step")
    .addConditionalEdges("step", ({ done, steps: all }) => (done < all ? "step" : "__end__"), ["step", "__end__"])
    .compile();
  const server = await createApp({ graphs: { counting }, storage: uri, env: {}, logLevel: "error", protocols: [openwop()] });
  await serveParent(server, listen);
}

const startServer = (uri) => startChild(import.meta.url, ["--serve", uri, "--dist", args.dist]);

async function ask(url, body) {
  const answer = await fetch(url, {
    ...(body !== undefined && { method: "POST", body: JSON.stringify(body) }),
    headers: { "content-type": "application/json" },
  });
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

const median = (times) => Number(times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)].toFixed(1));

async function measure(uri) {
  const { url, stop } = await startServer(uri);
  const run = [];
  const poll = [];
  const langgraph = [];
  try {
    for (let rep = 0; rep < reps; rep += 1) {
      let began = performance.now();
      const body = { workflowId: "counting", inputs: { steps, done: 0 }, configurable: { recursionLimit: 1_000 } };
      const { runId } = await ask(`${url}/openwop/v1/runs`, body);
      for (let after = 0, isComplete = false; !isComplete; ) {
        const { events, isComplete: ended } = await ask(`${url}/openwop/v1/runs/${runId}/events/poll?lastSequence=${after}`);
        after = events.at(-1)?.sequence ?? after;
        isComplete = ended;
      }
      run.push(performance.now() - began);
      began = performance.now();
      const { events } = await ask(`${url}/openwop/v1/runs/${runId}/events/poll`);
      poll.push(performance.now() - began);
      if (events.length !== 2 * steps + 2) throw new Error(`${events.length} events`);
      began = performance.now();
      const { thread_id: threadId } = await ask(`${url}/threads`, {});
      const config = { recursion_limit: 1_000 };
      await ask(`${url}/threads/${threadId}/runs/wait`, { assistant_id: "counting", input: { steps, done: 0 }, config });
      langgraph.push(performance.now() - began);
    }
  } finally {
    await stop();
  }
  return { runMs: median(run), eventsPerSecond: Math.round((2 * steps + 2) / (median(run) / 1_000)), pollAllMs: median(poll), langgraphRunMs: median(langgraph) };
}

if (args.serve === undefined) {
  console.log(JSON.stringify({ events: 2 * steps + 2, reps, load: loadavg().map((one) => Number(one.toFixed(1))) }));
  const only = new Set(args.only.split(","));
  if (only.has("memory")) console.log("memory", JSON.stringify(await measure("memory:")));
  if (only.has("sqlite")) {
    const dir = mkdtempSync(join(tmpdir(), "heddle-bench-"));
    console.log("sqlite", JSON.stringify(await measure(`sqlite:${join(dir, "heddle.db")}`)));
    rmSync(dir, { recursive: true, force: true });
  }
  if (only.has("postgres")) {
    const isOwn = !pgPid();
    if (isOwn) pgStart();
    const uri = pgFresh();
    try {
      console.log("postgres", JSON.stringify(await measure(uri)));
    } finally {
      pgDrop(uri);
      if (isOwn) pgStop();
    }
  }
} else await serve(args.serve);
