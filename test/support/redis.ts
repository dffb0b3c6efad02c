import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { accessSync, constants } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { Redis } from "ioredis";
import { freePort } from "./free-port.js";

/** A Redis server of the tests. */
export interface TestRedis {
  readonly uri: string;
  /** The URI with a key prefix of its own. */
  uniqueUri(): string;
  /** A plain connection, to look at and to break things. Ended by `close`. */
  readonly admin: Redis;
  flush(): Promise<void>;
  /** Stop it, without saving; `start` brings an empty one back on the same port. */
  stop(): Promise<void>;
  start(): Promise<void>;
  /** SIGSTOP: it keeps its connections and answers nothing. Undone by `resume`. */
  pause(): void;
  resume(): void;
  /** Stop it for good and delete its files. */
  close(): Promise<void>;
}

/**
 * Whether the tests have a Redis: `REDIS_TEST_URI`, or `redis-server` on PATH. Without one the tests are skipped with a warning;
 * in CI that is a failure.
 */
export function hasRedis(): boolean {
  if (process.env["REDIS_TEST_URI"] !== undefined || findServer() !== null) return true;
  const message = "Redis tests need redis-server on PATH (Debian: apt-get install redis-server) or REDIS_TEST_URI";
  if (process.env["CI"] !== undefined) throw new Error(message);
  console.warn(`SKIPPED: ${message}`);
  return false;
}

/** Whether the tests can start a server of their own, to stop and flush it. Skips like {@link hasRedis}. */
export function hasRedisServer(): boolean {
  if (findServer() !== null) return true;
  const message = "Tests that stop Redis need redis-server on PATH (Debian: apt-get install redis-server)";
  if (process.env["CI"] !== undefined) throw new Error(message);
  console.warn(`SKIPPED: ${message}`);
  return false;
}

/** The tests' Redis: the one that `REDIS_TEST_URI` names, which can't be stopped, or a server of one's own. */
export async function openTestRedis(): Promise<TestRedis> {
  const uri = process.env["REDIS_TEST_URI"];
  return uri === undefined ? startRedis() : existing(uri);
}

/** Start a server of one's own in a temporary folder, on a free port of 127.0.0.1. */
export async function startRedis(): Promise<TestRedis> {
  const folder = await mkdtemp(join(tmpdir(), "heddle-redis-"));
  const port = await freePort();
  const uri = `redis://127.0.0.1:${port}`;
  const admin = adminOf(uri);
  let child: ChildProcess | null = null;
  const start = async (): Promise<void> => {
    const flags = { bind: "127.0.0.1", port, dir: folder, appendonly: "no", "enable-debug-command": "yes" };
    const args = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, String(value)]);
    child = spawn(findServer() ?? "redis-server", [...args, "--save", ""], { stdio: "ignore" });
    await answering(admin);
  };
  const stop = async (): Promise<void> => {
    const running = child;
    child = null;
    if (running === null || running.exitCode !== null || running.signalCode !== null) return;
    const ended = once(running, "exit");
    running.kill("SIGKILL");
    await ended;
  };
  await start();
  return {
    uri,
    uniqueUri: () => withPrefix(uri),
    admin,
    flush: async () => void (await admin.flushall()),
    stop,
    start,
    pause: () => void child?.kill("SIGSTOP"),
    resume: () => void child?.kill("SIGCONT"),
    async close() {
      admin.disconnect();
      await stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function existing(uri: string): TestRedis {
  const admin = adminOf(uri);
  const refuse = (): never => {
    throw new Error("REDIS_TEST_URI names a server that is not the tests' own: it is neither stopped nor flushed");
  };
  return {
    uri,
    uniqueUri: () => withPrefix(uri),
    admin,
    flush: refuse,
    stop: refuse,
    start: refuse,
    pause: refuse,
    resume: refuse,
    close: async () => admin.disconnect(),
  };
}

function adminOf(uri: string): Redis {
  const admin = new Redis(uri, { lazyConnect: true, retryStrategy: () => 20, maxRetriesPerRequest: null });
  admin.on("error", () => undefined);
  return admin;
}

async function answering(admin: Redis): Promise<void> {
  const deadline = Date.now() + 10_000;
  for (;;) {
    try {
      if (admin.status === "wait") await admin.connect();
      await admin.ping();
      return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((resolve) => void setTimeout(resolve, 20));
    }
  }
}

function withPrefix(uri: string): string {
  const url = new URL(uri);
  url.searchParams.set("prefix", `test-${randomUUID()}`);
  return url.href;
}

function findServer(): string | null {
  for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
    const path = join(folder, "redis-server");
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not in this folder.
    }
  }
  return null;
}
