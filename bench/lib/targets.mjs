// What can be measured: how each server is started, in a fresh folder, on a given port.
// A new server is one entry that returns { args, env } (node arguments) or { cmd, args }.
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, openSync, closeSync, readFileSync, symlinkSync, cpSync, existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { officialArgs } from "../servers/official.mjs";
import { askAs, serverEnv } from "./credentials.mjs";
import { pgStart, pgFresh, pgDrop } from "./pg.mjs";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..");
const graphs = JSON.parse(readFileSync(join(ROOT, "graphs/langgraph.json"), "utf8")).graphs;

/** A project folder of its own, so that every start of the official server has a fresh .langgraph_api. */
function projectDir(dir) {
  if (existsSync(join(dir, "node_modules"))) return dir; // a restart
  cpSync(join(ROOT, "graphs"), dir, { recursive: true });
  symlinkSync(join(ROOT, "node_modules"), join(dir, "node_modules"));
  return dir;
}
const official = (over = {}) => (ctx) => ({
  cwd: projectDir(ctx.dir),
  args: officialArgs({ port: ctx.port, cwd: ctx.dir, graphs, nodeArgs: ctx.nodeArgs, ...over }),
  env: { NODE_ENV: "development", LANGGRAPH_API_URL: `http://127.0.0.1:${ctx.port}`, LOG_LEVEL: over.log ?? "error" },
});
const script = (file, env) => (ctx) => ({
  args: [...(ctx.nodeArgs ?? []), join(ROOT, "servers", file)],
  env: { PORT: String(ctx.port), ...(typeof env === "function" ? env(ctx) : env) },
});
const pgUrl = (ctx) => {
  pgStart();
  return (ctx.pg ??= pgFresh());
};

// Heddle, from the built checkout that PROJECT_DIR names: this repository by default.
const heddle = (storage, { config = "langgraph.json", asks = null, env = {} } = {}) => (ctx) => {
  const PROJECT = resolve(process.env.PROJECT_DIR ?? join(ROOT, ".."));
  if (!existsSync(join(PROJECT, "dist"))) throw new Error(`${PROJECT} is not built: npm run build`);
  const { bin } = JSON.parse(readFileSync(join(PROJECT, "package.json"), "utf8"));
  const uri = typeof storage === "function" ? storage(ctx) : storage;
  return {
    cwd: projectDir(ctx.dir),
    args: [...(ctx.nodeArgs ?? []), join(PROJECT, typeof bin === "string" ? bin : bin.heddle), "serve",
      "--config", join(ctx.dir, config), "--host", "127.0.0.1", "--port", String(ctx.port), "--storage", uri],
    env: { LOG_LEVEL: "error", ...env, ...(asks !== null && { ...serverEnv(), BENCH_HEDDLE: PROJECT }) },
    asks,
  };
};

function encryption() {
  return { HEDDLE_ENCRYPTION_KEY: `bench:${randomBytes(32).toString("base64")}` };
}

export const targets = {
  "heddle-mem": heddle("memory:"),
  "heddle-sqlite": heddle((c) => `sqlite:${join(c.dir, "heddle.db")}`),
  "heddle-pg": heddle(pgUrl),
  // the same with the SDK's Auth: who asks is looked up, every row has and needs an owner
  "heddle-mem-auth": heddle("memory:", { config: "langgraph-auth.json" }),
  // without code: an API key, a token; and encrypted at rest, as far as a storage in memory is
  "heddle-mem-apikey": heddle("memory:", { config: "langgraph-auth-key.json", asks: "key" }),
  "heddle-mem-jwt": heddle("memory:", { config: "langgraph-auth-jwt.json", asks: "jwt" }),
  "heddle-mem-encrypted": heddle("memory:", { env: encryption() }),
  "heddle-sqlite-encrypted": heddle((c) => `sqlite:${join(c.dir, "heddle.db")}`, { env: encryption() }),
  "heddle-pg-auth": heddle(pgUrl, { config: "langgraph-auth.json" }),
  // official JS server, storage in memory plus a JSON file; logs as in `langgraphjs dev` / silenced
  official: official({ log: "debug" }),
  "official-quiet": official({ log: "error" }),
  "official-j100": official({ log: "error", nJobs: 100 }),
  // pure-graph 3.3.3
  "pure-mem": script("pure.mjs", {}),
  "pure-sqlite": script("pure.mjs", (c) => ({ SQLITE_DATABASE_URI: join(c.dir, "lg.db"), CHECKPOINT_TYPE: "sqlite" })),
  "pure-pg": script("pure.mjs", (c) => ({ DATABASE_URL: pgUrl(c), DATABASE_INIT: "true" })),
  // limits
  "floor-const": script("floor.mjs", { MODE: "const" }),
  "floor-const-hono": script("floor.mjs", { MODE: "const", SSE: "hono" }),
  "floor-none": script("floor.mjs", { MODE: "graph", SAVER: "none" }),
  "floor-mem": script("floor.mjs", { MODE: "graph", SAVER: "memory" }),
  "floor-mem-exit": script("floor.mjs", { MODE: "graph", SAVER: "memory", DURABILITY: "exit" }),
  // what a careful server can reach: node-server 2, body and SSE on the raw socket with coalesced writes,
  // newest checkpoint kept in memory, no RunTree for every call (see lib/tune.mjs, lib/hotsaver.mjs)
  "floor-tuned": script("floor.mjs", { MODE: "graph", SAVER: "hot", SSE: "batch", TUNE: "runtree" }),
  "floor-mem-hono": script("floor.mjs", { MODE: "graph", SAVER: "memory", SSE: "hono" }),
  "floor-sqlite": script("floor.mjs", (c) => ({ MODE: "graph", SAVER: "sqlite", SQLITE_PATH: join(c.dir, "lg.db") })),
  "floor-pg": script("floor.mjs", (c) => ({ MODE: "graph", SAVER: "postgres", PG_URL: pgUrl(c) })),
  "floor-pg-exit": script("floor.mjs", (c) => ({ MODE: "graph", SAVER: "postgres", DURABILITY: "exit", PG_URL: pgUrl(c) })),
};

let nextPort = 21000 + (process.pid % 1000) * 10; // below the ephemeral range

/** Start a target; resolves when it answers GET /ok. stop() kills only what this started. */
export async function start(name, { dir, nodeArgs, port, pg, keepDir, signal = "SIGKILL", maxMs = 60_000, env: extraEnv } = {}) {
  const ctx = { name, port: port ?? nextPort++, dir: dir ?? mkdtempSync(join(tmpdir(), `bench-${name}-`)), nodeArgs, pg };
  if (!targets[name]) throw new Error(`no target ${name}; there are: ${Object.keys(targets).join(", ")}`);
  const spec = targets[name](ctx);
  askAs(spec.asks ?? null);
  const log = join(ctx.dir, "server.log");
  const fd = openSync(log, "a");
  const t0 = performance.now();
  const child = spawn(spec.cmd ?? process.env.BENCH_NODE ?? process.execPath, spec.args, {
    cwd: spec.cwd ?? ROOT,
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...spec.env, ...extraEnv },
    stdio: ["ignore", fd, fd],
    detached: true,
  });
  closeSync(fd);
  let exited = false;
  child.on("exit", () => (exited = true));
  const url = `http://127.0.0.1:${ctx.port}`;
  for (;;) {
    if (exited) throw new Error(`${name} ended at start: ${readFileSync(log, "utf8").slice(-2000)}`);
    if (performance.now() - t0 > maxMs) {
      try { process.kill(-child.pid, "SIGKILL"); } catch {}
      throw new Error(`${name} not up in ${maxMs} ms`);
    }
    try {
      const r = await fetch(url + "/ok", { signal: AbortSignal.timeout(1000) });
      await r.text();
      if (r.status === 200) break;
    } catch {}
    await new Promise((r) => setTimeout(r, 10));
  }
  const startMs = performance.now() - t0;
  const kill = async (sig) => {
    if (!exited) {
      try { process.kill(-child.pid, sig); } catch {}
      for (let i = 0; i < 500 && !exited; i++) await new Promise((r) => setTimeout(r, 10));
      if (!exited) try { process.kill(-child.pid, "SIGKILL"); } catch {}
    }
  };
  return {
    name, url, pid: child.pid, dir: ctx.dir, port: ctx.port, pg: ctx.pg, startMs, log, kill,
    async stop() {
      await kill(signal);
      if (ctx.pg) try { pgDrop(ctx.pg); } catch {}
      if (!keepDir) rmSync(ctx.dir, { recursive: true, force: true });
    },
  };
}
