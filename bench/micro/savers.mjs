// Heddle's savers against the stock MemorySaver, in one process, interleaved.
//   node bench/micro/savers.mjs [--reps 5] [--scale 1] [--only echo,chain10,…]
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { AIMessage, HumanMessage } from "@langchain/core/messages";
import { MemorySaver } from "@langchain/langgraph";
import { importSources, root } from "../lib/sources.mjs";

const { values: args } = parseArgs({
  options: { reps: { type: "string", default: "5" }, scale: { type: "string", default: "1" }, only: { type: "string" } },
});
const heddle = await importSources("savers", ["checkpointers/memory.ts", "checkpointers/sqlite.ts"]);
const dir = mkdtempSync(join(tmpdir(), "heddle-bench-"));
const sqlite = await heddle.openSqliteCheckpointer(`sqlite:${join(dir, "bench.db")}`, { cwd: dir });
const savers = {
  stock: new MemorySaver(),
  memory: heddle.createMemoryCheckpointer().saver,
  sqlite: sqlite.saver,
};
const graphs = {};
for (const name of ["echo", "chain10", "bigstate"]) {
  const { builder } = await import(pathToFileURL(join(root, "bench/graphs", `${name}.mjs`)));
  graphs[name] = Object.fromEntries(Object.entries(savers).map(([key, saver]) => [key, builder.compile({ checkpointer: saver })]));
}
graphs.echo.none = (await import(pathToFileURL(join(root, "bench/graphs/echo.mjs")))).builder.compile();
graphs.chain10.none = (await import(pathToFileURL(join(root, "bench/graphs/chain10.mjs")))).builder.compile();

const config = (threadId = randomUUID()) => ({ configurable: { thread_id: threadId } });
const human = (text) => ({ messages: [{ role: "user", content: text }] });
const count = (n) => Math.max(1, Math.round(n * Number(args.scale)));

/** CPU µs and wall µs of one call, over `n` calls. */
async function measure(n, fn) {
  const cpu = process.cpuUsage();
  const start = performance.now();
  for (let i = 0; i < n; i++) await fn(i);
  const used = process.cpuUsage(cpu);
  return { wall: ((performance.now() - start) * 1000) / n, cpu: (used.user + used.system) / n };
}

const messages = (n) =>
  Array.from({ length: n }, (_, i) =>
    i % 2
      ? new AIMessage({ id: randomUUID(), content: `answer number ${i}`, tool_calls: [], usage_metadata: { input_tokens: 5, output_tokens: 7, total_tokens: 12 } })
      : new HumanMessage({ id: randomUUID(), content: `question number ${i}` }),
  );
let clock = 0;
const checkpoint = (values, versions) => ({
  v: 4,
  id: `1f000000-0000-6000-8000-${String((clock += 1)).padStart(12, "0")}`,
  ts: new Date().toISOString(),
  channel_values: values,
  channel_versions: versions,
  versions_seen: { __input__: {}, __start__: { __start__: 1 }, agent: { "branch:to:agent": 2 } },
});
const metadata = { source: "loop", step: 1, parents: {}, run_id: randomUUID(), thread_id: randomUUID(), graph_id: "agent" };
const writes = (n) => [["messages", messages(n)], ["branch:to:agent", null]];

const cases = {
  echo: [600, (key) => () => graphs.echo[key].invoke(human("hi"), config())],
  chain10: [120, (key) => () => graphs.chain10[key].invoke({ n: 0 }, config())],
  async longthread(key) {
    if (key === "none") return null;
    const thread = config();
    for (let i = 0; i < count(180); i++) await graphs.echo[key].invoke(human("hi"), thread);
    return measure(20, () => graphs.echo[key].invoke(human("hi"), thread));
  },
  async bigstate(key) {
    if (key === "none") return null;
    const thread = config();
    await graphs.bigstate[key].invoke({ seed: true }, thread);
    return measure(count(20), () => graphs.bigstate[key].invoke({ seed: false, ...human("more") }, thread));
  },
  async history1000(key) {
    if (key === "none") return null;
    const thread = config();
    for (let i = 0; i < 84; i++) await graphs.chain10[key].invoke({ n: 0 }, thread);
    return measure(3, async () => {
      let n = 0;
      for await (const _ of savers[key].list(thread, { limit: 1000 })) n++;
      if (n !== 1000) throw new Error(`${n} checkpoints`);
    });
  },
};
for (const size of [2, 50]) {
  cases[`put.${size}msg`] = async (key) => {
    if (key === "none") return null;
    const list = messages(size);
    return measure(count(500), (i) => savers[key].put(config(`put-${key}-${i % 50}`), checkpoint({ messages: list }, { messages: i + 1 }), metadata, { messages: i + 1 }));
  };
  cases[`getTuple.${size}msg`] = async (key) => {
    if (key === "none") return null;
    const thread = config();
    const { configurable } = await savers[key].put(thread, checkpoint({ messages: messages(size) }, { messages: 1 }), metadata, { messages: 1 });
    await savers[key].putWrites({ configurable }, writes(1), randomUUID(), "~__pregel_pull, agent");
    return measure(count(500), () => savers[key].getTuple(thread));
  };
}
cases["putWrites.1msg"] = async (key) => {
  if (key === "none") return null;
  const targets = [];
  for (let i = 0; i < count(500); i++) targets.push(await savers[key].put(config(), checkpoint({}, {}), metadata, {}));
  const value = writes(1);
  return measure(targets.length, (i) => savers[key].putWrites(targets[i], value, randomUUID(), "~__pregel_pull, agent"));
};

const keys = ["none", ...Object.keys(savers)];
const chosen = args.only?.split(",") ?? Object.keys(cases);
const median = (list) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)];
console.log("µs per call, median of", args.reps, "(CPU µs); ratio = CPU against stock; node", process.version);
for (const name of chosen) {
  const entry = cases[name];
  const run = Array.isArray(entry) ? (key) => measure(count(entry[0]), entry[1](key)) : entry;
  const samples = Object.fromEntries(keys.map((key) => [key, []]));
  for (let rep = -1; rep < Number(args.reps); rep++) {
    for (const key of keys) {
      const sample = await run(key);
      if (rep >= 0 && sample !== null) samples[key].push(sample);
    }
  }
  const cpu = (key) => median(samples[key].map((s) => s.cpu));
  const cells = keys
    .filter((key) => samples[key].length > 0)
    .map((key) => `${key} ${median(samples[key].map((s) => s.wall)).toFixed(0)} (${cpu(key).toFixed(0)}) ×${(cpu(key) / cpu("stock")).toFixed(2)}`);
  console.log(name.padEnd(16), cells.join("   "));
}
await sqlite.close();
rmSync(dir, { recursive: true, force: true });
