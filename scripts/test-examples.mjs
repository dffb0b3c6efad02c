/**
 * Install each folder of `examples/` from the packed package, as a user would, start it, and use it with the SDK.
 *
 *     node scripts/test-examples.mjs [name…]    all by default
 *
 * With REPORTS set to a folder, the counts are written there as `examples.json`.
 */
import { spawn, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "@langchain/langgraph-sdk";

const root = join(import.meta.dirname, "..");
const START_MS = 60_000;
const CANCEL_MS = 5_000;

/** Under which path each example serves Heddle. */
const basePaths = { express: "/agent", fastify: "/agent", next: "/api" };

function run(command, args, cwd) {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, encoding: "utf8" });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} failed in ${cwd}:\n${stdout}${stderr}`);
  return stdout;
}

function install(name, work, tarball) {
  const dir = join(work, name);
  cpSync(join(root, "examples", name), dir, {
    recursive: true,
    filter: (path) => !/[\\/](node_modules|\.next|\.heddle)$/.test(path),
  });
  const manifest = join(dir, "package.json");
  writeFileSync(manifest, readFileSync(manifest, "utf8").replace("file:../..", `file:${tarball}`));
  run("npm", ["install", "--no-audit", "--no-fund", "--no-package-lock"], dir);
  if (JSON.parse(readFileSync(manifest, "utf8")).scripts.build) run("npm", ["run", "build"], dir);
  return dir;
}

/** @returns the URL that the example prints, and how to stop it */
async function start(name, dir) {
  const child = spawn("npm", ["start"], {
    cwd: dir,
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      PORT: "0",
      STORAGE: "memory:",
      NEXT_TELEMETRY_DISABLED: "1",
    },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true, // a group of its own: npm, and what npm started
  });
  const exited = new Promise((resolve) => child.once("exit", resolve));
  let output = "";
  const url = await new Promise((resolve, reject) => {
    const fail = (why) => reject(new Error(`${name} ${why}:\n${output}`));
    const timer = setTimeout(() => fail(`printed no URL within ${START_MS} ms`), START_MS);
    child.once("exit", (code) => fail(`ended with ${code}`));
    const read = (chunk) => {
      output += chunk;
      const found = /http:\/\/(?:127\.0\.0\.1|localhost):(\d+)/.exec(output);
      if (found === null || found[1] === "0") return;
      clearTimeout(timer);
      resolve(`http://127.0.0.1:${found[1]}${basePaths[name]}`);
    };
    child.stdout.on("data", read);
    child.stderr.on("data", read);
  }).catch(async (error) => {
    await stop();
    throw error;
  });
  function stop() {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    } catch {
      // It ended by itself.
    }
    return exited;
  }
  return { url, stop };
}

const checks = {
  async "streams a run"(client) {
    const { thread_id } = await client.threads.create();
    const values = [];
    for await (const { event, data } of client.runs.stream(thread_id, "countdown", { input: { from: 3 } })) {
      if (event === "values") values.push(data.from);
    }
    if (values.join() !== "3,2,1,0") throw new Error(`expected 3,2,1,0, got ${values.join()}`);
  },
  async "streams while the graph runs, not afterwards"(client) {
    const { thread_id } = await client.threads.create();
    const times = [];
    for await (const { event } of client.runs.stream(thread_id, "countdown", { input: { from: 5 } })) {
      if (event === "values") times.push(performance.now());
    }
    const spread = times.at(-1) - times[0];
    if (!(spread > 250)) throw new Error(`all values came within ${Math.round(spread)} ms`);
  },
  async "a client that leaves cancels its run"(client) {
    const { thread_id } = await client.threads.create();
    let runId;
    const leaving = new AbortController();
    const options = {
      input: { from: 1000 },
      config: { recursion_limit: 2000 },
      onDisconnect: "cancel",
      signal: leaving.signal,
    };
    try {
      for await (const { event, data } of client.runs.stream(thread_id, "countdown", options)) {
        if (event === "metadata") runId = data.run_id;
        if (event === "values") leaving.abort();
      }
    } catch (error) {
      if (!leaving.signal.aborted) throw error;
    }
    const deadline = performance.now() + CANCEL_MS;
    for (;;) {
      const { status } = await client.runs.get(thread_id, runId);
      if (status === "interrupted") return;
      if (performance.now() > deadline) throw new Error(`the run is still ${status} after ${CANCEL_MS} ms`);
      await sleep(20);
    }
  },
  async "errors name the field"(client) {
    const { thread_id } = await client.threads.create();
    const error = await client.runs
      .create(thread_id, "countdown", { durability: "sometimes" })
      .catch((caught) => caught);
    if (!/422.*durability/s.test(String(error))) throw new Error(`expected a 422 that names durability, got ${error}`);
  },
};

const counts = { numPassedTests: 0, numFailedTests: 0 };
function report(name, error) {
  counts[error === undefined ? "numPassedTests" : "numFailedTests"] += 1;
  console.log(error === undefined ? `✓ ${name}` : `✗ ${name}\n${error.stack}`);
}

async function testExample(name, work, tarball) {
  let server;
  try {
    server = await start(name, install(name, work, tarball));
  } catch (error) {
    report(`${name}: installs and starts`, error);
    return;
  }
  const client = new Client({ apiUrl: server.url, callerOptions: { maxRetries: 0 } });
  for (const [what, check] of Object.entries(checks)) {
    await check(client).then(
      () => report(`${name}: ${what}`),
      (error) => report(`${name}: ${what}`, error),
    );
  }
  await server.stop();
}

run(process.execPath, ["scripts/build.mjs", "--if-stale"], root);
const work = mkdtempSync(join(tmpdir(), "heddle-examples-"));
try {
  const [{ filename }] = JSON.parse(
    run("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", work], root),
  );
  const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(basePaths);
  for (const name of names) await testExample(name, work, join(work, filename));
} finally {
  rmSync(work, { recursive: true, force: true });
}
if (process.env.REPORTS) {
  mkdirSync(process.env.REPORTS, { recursive: true });
  writeFileSync(join(process.env.REPORTS, "examples.json"), JSON.stringify(counts));
}
console.log(`examples: ${counts.numPassedTests} passed, ${counts.numFailedTests} failed`);
process.exitCode = counts.numFailedTests === 0 ? 0 : 1;
