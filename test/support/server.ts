import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "@langchain/langgraph-sdk";
import type { AppOptions } from "../../src/config/options.js";
import { createApp } from "../../src/app.js";
import { listen } from "../../src/node/listen.js";
import * as graphs from "../fixtures/graphs/index.js";
import { startBalancer } from "./balancer.js";
import { createMongoDatabase } from "./mongodb.js";
import { createDatabase } from "./postgres.js";
import { startProcess } from "./served-process.js";

/** Storages that need nothing but the process. */
export const LOCAL_STORAGES = ["memory", "sqlite"] as const;

/**
 * The storages that every wire test runs on; `two processes` share one Postgres behind a proxy that hands each request to
 * the next one. MongoDB only where a server could be had, which the global set-up says.
 */
export const STORAGES: readonly StorageName[] = [
  ...LOCAL_STORAGES,
  "postgres",
  ...(process.env["MONGODB_TEST_URI"] === undefined ? [] : (["mongodb"] as const)),
  "two processes",
];
export type StorageName = (typeof LOCAL_STORAGES)[number] | "postgres" | "mongodb" | "two processes";

export interface TestServer {
  readonly url: string;
  readonly client: Client;
  close(): Promise<void>;
}

/** A place for the data of one test server, and how to be rid of it. */
export async function createStorage(storage: StorageName): Promise<{ readonly uri: string; drop(): Promise<void> }> {
  switch (storage) {
    case "memory":
      return { uri: "memory:", drop: async () => {} };
    case "sqlite": {
      const dir = mkdtempSync(join(tmpdir(), "heddle-test-"));
      return {
        uri: `sqlite:${join(dir, "heddle.db")}`,
        drop: async () => rmSync(dir, { recursive: true, force: true }),
      };
    }
    case "postgres":
    case "two processes":
      return createDatabase();
    case "mongodb":
      return createMongoDatabase();
    default:
      throw new Error(`no storage ${String(storage satisfies never)}`);
  }
}

/** Servers with the fixture graphs on free ports of 127.0.0.1, their data in a place of its own. */
export async function startServer(storage: StorageName, options: Partial<AppOptions> = {}): Promise<TestServer> {
  const { uri, drop } = await createStorage(storage);
  const closers: (() => Promise<void>)[] = [drop];
  const close = async (): Promise<void> => {
    for (const closer of closers.splice(0).toReversed()) await closer();
  };
  const startHere = async (): Promise<string> => {
    const server = await createApp({ graphs: { ...graphs }, storage: uri, logLevel: "error", env: {}, ...options });
    closers.push(() => server.close());
    const listening = await listen(server, { port: 0, host: "127.0.0.1" });
    closers.push(() => listening.close());
    return listening.url;
  };
  const startElsewhere = async (): Promise<string> => {
    const server = await startProcess({ graphs: "fixtures", options: { storage: uri } });
    closers.push(async () => void (await server.kill("SIGTERM")));
    return server.url;
  };
  const startAll = async (): Promise<string> => {
    if (storage !== "two processes") return startHere();
    // What cannot be handed to another process (graphs made by a test) is served twice by this one.
    const startOne = Object.keys(options).length === 0 ? startElsewhere : startHere;
    const urls = [await startOne(), await startOne()];
    const balancer = await startBalancer(urls);
    closers.push(() => balancer.close());
    return balancer.url;
  };
  try {
    const url = await startAll();
    return { url, client: new Client({ apiUrl: url, callerOptions: { maxRetries: 0 } }), close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** All of a stream, as arrays of `{event, data}`. */
export async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const chunk of stream) all.push(chunk);
  return all;
}

/** The HTTP status that an SDK call was refused with. */
export async function statusOf(call: Promise<unknown>): Promise<number> {
  try {
    await call;
  } catch (error) {
    const status = (error as { status?: number }).status;
    if (status !== undefined) return status;
    throw error;
  }
  return 200;
}

/** Poll `probe` until it is true, at most twenty seconds. */
export async function until(probe: () => Promise<boolean>, what: string): Promise<void> {
  for (let i = 0; i < 2_000; i++) {
    if (await probe()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`waited too long for: ${what}`);
}
