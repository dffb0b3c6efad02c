import { MongoClient } from "mongodb";
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";

/** A FerretDB of the tests. */
export interface TestMongo {
  /** Without a database. */
  readonly uri: string;
  /** End its process; `start` brings it back on the same port with the same data. */
  stop(signal?: NodeJS.Signals): Promise<void>;
  start(): Promise<void>;
  /** End it for good and delete its files. */
  close(): Promise<void>;
}

/** The first build downloads and compiles. */
const BUILD_MS = 10 * 60_000;
const START_MS = 20_000;

/**
 * The server of all test files: `MONGODB_TEST_URI` if set, else a FerretDB, which is built when it was not yet (once, 90 s, if Go is
 * there). Sets `MONGODB_TEST_URI`, and prints which server it is, or that there is none.
 * @returns ends the server
 */
export async function provideMongo(): Promise<() => Promise<void>> {
  const given = process.env["MONGODB_TEST_URI"];
  const server = given === undefined ? await tryStart() : null;
  const uri = given ?? server?.uri;
  if (uri !== undefined) {
    process.env["MONGODB_TEST_URI"] = uri;
    console.warn(
      `MongoDB tests run on ${server === null ? "" : "FerretDB 1.24 (SQLite), "}${await describeServer(uri)}`,
    );
  }
  return async () => server?.close();
}

async function tryStart(): Promise<TestMongo | null> {
  let reason = "Go is not installed, so FerretDB cannot be built.";
  try {
    const server = await startOwnMongo();
    if (server !== null) return server;
  } catch (error) {
    reason = `FerretDB could not be started: ${String(error)}`;
  }
  console.warn(`MongoDB tests: NOT RUN. ${reason} Set MONGODB_TEST_URI to run them on a server of yours.`);
  return null;
}

/**
 * Whether there is a server to test on. Skip if not, which {@link provideMongo} has said aloud.
 * @throws Error when there is none and `CI` is set
 */
export function hasMongo(): boolean {
  if (process.env["MONGODB_TEST_URI"] !== undefined) return true;
  if (process.env["CI"] !== undefined)
    throw new Error("There is no MongoDB to test on, see the first lines of this run");
  return false;
}

/** A fresh, empty database on the tests' server. */
export async function createMongoDatabase(): Promise<{
  readonly uri: string;
  readonly name: string;
  drop(): Promise<void>;
}> {
  const server = process.env["MONGODB_TEST_URI"];
  if (server === undefined)
    throw new Error("The tests' global set-up has not started MongoDB: run them with `npm test`");
  const name = `heddle_${randomUUID().replaceAll("-", "").slice(0, 16)}`;
  const uri = server.replace(/^(mongodb(?:\+srv)?:\/\/[^/?]+)\/?[^?]*/, `$1/${name}`);
  return {
    uri,
    name,
    async drop() {
      const client = new MongoClient(uri);
      try {
        await client.db().dropDatabase();
      } finally {
        await client.close();
      }
    },
  };
}

/** A FerretDB of one's own, to be stopped and started; `null` when it cannot be built here. */
export async function startOwnMongo(): Promise<TestMongo | null> {
  const binary = await ferretBinary();
  return binary === null ? null : startFerret(binary);
}

async function ferretBinary(): Promise<string | null> {
  const script = join(import.meta.dirname, "../../scripts/ferretdb.mjs");
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [script], { timeout: BUILD_MS });
    return stdout.trim();
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === 3) return null;
    throw error;
  }
}

async function startFerret(binary: string): Promise<TestMongo> {
  const directory = await mkdtemp(join(tmpdir(), "heddle-ferretdb-"));
  let running = await launch(binary, ["-directory", directory]);
  const { uri } = running;
  const stop = async (signal: NodeJS.Signals = "SIGTERM"): Promise<void> => {
    const { child } = running;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill(signal);
    await ended;
  };
  return {
    uri,
    stop,
    async start() {
      running = await launch(binary, ["-directory", directory, "-listen", new URL(uri).host]);
    },
    async close() {
      await stop("SIGKILL");
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function launch(binary: string, args: readonly string[]): Promise<{ child: ChildProcess; uri: string }> {
  // It ends with this process: its standard input is closed then.
  const child = spawn(binary, args, { stdio: ["pipe", "pipe", "pipe"] });
  let errors = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (errors = (errors + text).slice(-2_000)));
  const lines = createInterface({ input: child.stdout });
  const first = await Promise.race([
    once(lines, "line", { signal: AbortSignal.timeout(START_MS) }).then(([line]) => String(line)),
    once(child, "exit").then(() => null),
  ]).catch((error: unknown) => {
    child.kill("SIGKILL");
    throw error;
  });
  if (first === null) throw new Error(`FerretDB ended at once: ${errors}`);
  child.unref();
  return { child, uri: first };
}

async function describeServer(uri: string): Promise<string> {
  const client = new MongoClient(uri, { serverSelectionTimeoutMS: START_MS });
  try {
    const { version } = await client.db().admin().buildInfo();
    return `server that says it is MongoDB ${String(version)}`;
  } finally {
    await client.close();
  }
}
