// Receivers that are dead must not slow runs: waiting for runs while so many webhooks are tried in vain, and with none.
//   node bench/micro/webhooks.mjs [--deliveries 10000] [--runs 400] [--rounds 5]
// Each delivery has a host of its own; half of them refuse connections, half take them and never answer (a slot is held for the whole
// time-out). They come to be as any do: by runs that end, put into a
// SQLite file through the store; the other file has the same runs without webhooks. Rounds with and without alternate, each in a process of its own; what it
// compares are ratios of the same machine at the same time. CPU is that of the serving process: also what the dead ones cost it.
// Builds what it needs of src with esbuild first.
import { execFile } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { cpus, loadavg, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs, promisify } from "node:util";
import { Annotation, END, START, StateGraph } from "@langchain/langgraph";
import { build } from "esbuild";

const { values: args } = parseArgs({
  options: {
    deliveries: { type: "string", default: "10000" },
    runs: { type: "string", default: "400" },
    rounds: { type: "string", default: "5" },
    round: { type: "string" },
  },
});
const [count, runs, rounds] = [Number(args.deliveries), Number(args.runs), Number(args.rounds)];
const self = fileURLToPath(import.meta.url);
const root = join(dirname(self), "../..");
const outdir = join(root, "node_modules/.cache/heddle-bench/webhooks/dist/src");

async function compile() {
  mkdirSync(outdir, { recursive: true });
  // Where a server looks for its version.
  cpSync(join(root, "package.json"), join(outdir, "../../package.json"));
  await build({
    entryPoints: ["app", "config/resolve", "stores/registry", "testing/stores/suite"].map((name) => join(root, `src/${name}.ts`)),
    outdir,
    outExtension: { ".js": ".mjs" },
    bundle: true,
    splitting: true,
    packages: "external",
    platform: "node",
    format: "esm",
    logLevel: "error",
  });
}
const load = (name) => import(pathToFileURL(join(outdir, `${name}.mjs`)).href);
const quantile = (sorted, q) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))];
const median = (values) => quantile([...values].sort((a, b) => a - b), 0.5);

/** Takes connections and says nothing. */
async function openSilent() {
  const server = createServer((socket) => {
    socket.on("error", () => {});
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { port: server.address().port };
}

/** Runs that end before they start. @param port of who is silent; `null`: they have no webhook */
async function fill(cwd, port) {
  const { newRun, ALL, uuid, KWARGS } = await load("testing/stores/suite");
  const { createStoreRegistry } = await load("stores/registry");
  mkdirSync(cwd);
  const { metadata, items } = await createStoreRegistry().open("sqlite:./bench.db", { cwd });
  for (let n = 0; n < count; n += 1) {
    const threadId = uuid(0x10_0000 + n);
    const host = `dead-${n}.example:${n % 2 === 0 ? port : 1}`;
    const kwargs = port === null ? KWARGS : { ...KWARGS, webhook: { host, url: `http://${host}/in` } };
    const draft = newRun(0x20_0000 + n, threadId, { delayMs: 3_600_000, createThread: true, kwargs });
    await metadata.runs.create({ draft, access: ALL });
    await metadata.runs.requestCancel({ runId: draft.runId, threadId, action: "interrupt", access: ALL });
  }
  const { total } = await metadata.deliveries.list({ limit: 1, offset: 0 });
  if (total !== (port === null ? 0 : count)) throw new Error(`${total} deliveries`);
  await items.close();
  await metadata.close();
}

/** In a process of its own: one server. */
async function serve(cwd) {
  const [{ openApp }, { resolveConfig }] = [await load("app"), await load("config/resolve")];
  const echo = new StateGraph(Annotation.Root({ n: Annotation() }))
    .addNode("one", ({ n }) => ({ n: n + 1 }))
    .addEdge(START, "one")
    .addEdge("one", END)
    .compile();
  // Ten seconds by default: half a second turns the slots over often enough to be seen within a round.
  const webhooks = { timeoutMs: 500, url: { requireHttps: false, disableLoopback: false } };
  const options = { env: {}, cwd, graphs: { echo }, storage: "sqlite:./bench.db", webhooks };
  const logger = { debug() {}, info() {}, warn() {}, error: (fields, text) => console.error(text, fields) };
  let attempts = 0;
  const resolveHost = async () => {
    attempts += 1;
    return [{ address: "127.0.0.1", family: 4 }];
  };
  const app = await openApp(await resolveConfig({ options }), { logger, resolveHost });
  const call = async (path, body) => {
    const init = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
    return (await app.fetch(new Request(`http://localhost${path}`, init))).json();
  };
  const { thread_id: threadId } = await call("/threads", {});
  const wait = () => call(`/threads/${threadId}/runs/wait`, { assistant_id: "echo", input: { n: 1 } });
  for (let n = 0; n < 50; n += 1) await wait();
  const took = [];
  const [cpu, before] = [process.cpuUsage(), attempts];
  for (let n = 0; n < runs; n += 1) {
    const started = performance.now();
    const { n: answer } = await wait();
    if (answer !== 2) throw new Error("a run went wrong");
    took.push(performance.now() - started);
  }
  const { user, system } = process.cpuUsage(cpu);
  took.sort((a, b) => a - b);
  const figures = { p50: quantile(took, 0.5), p99: quantile(took, 0.99), cpu: (user + system) / 1_000 / runs };
  console.log(JSON.stringify({ ...figures, attempts: attempts - before }));
  process.exit(0);
}

async function compare() {
  await compile();
  const folder = mkdtempSync(join(tmpdir(), "heddle-webhooks-"));
  try {
    const silent = await openSilent();
    const seeds = { none: join(folder, "none"), dead: join(folder, "dead") };
    await fill(seeds.none, null);
    await fill(seeds.dead, silent.port);
    const got = { none: [], dead: [] };
    for (let n = 0; n < rounds * 2; n += 1) {
      // none dead, dead none, …: what drifts falls on both.
      const name = (n + Math.floor(n / 2)) % 2 === 0 ? "none" : "dead";
      const cwd = join(folder, "round");
      cpSync(seeds[name], cwd, { recursive: true });
      const figures = await served(cwd);
      rmSync(cwd, { recursive: true });
      got[name].push(figures);
      const { p50, p99, cpu, attempts } = figures;
      console.log(`${name}  p50 ${p50.toFixed(2)} ms  p99 ${p99.toFixed(2)} ms  cpu ${cpu.toFixed(2)} ms/run  ${attempts} attempts`);
    }
    for (const name of ["p50", "p99", "cpu"]) {
      const ratios = got.dead.map((figures, n) => figures[name] / got.none[n][name]);
      console.log(`${name}: dead/none ${median(ratios).toFixed(2)} (${ratios.map((ratio) => ratio.toFixed(2)).join(" ")})`);
    }
    console.log(`${count} deliveries, ${runs} runs a round, ${cpus().length} cores, load ${loadavg()[0].toFixed(1)}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Not synchronously: the silent receiver is of this process. */
async function served(cwd) {
  const { stdout } = await promisify(execFile)(process.execPath, [self, "--runs", args.runs, "--round", cwd]);
  return JSON.parse(stdout);
}

await (args.round === undefined ? compare() : serve(args.round));
process.exit(0);
