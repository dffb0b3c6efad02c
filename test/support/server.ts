import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "@langchain/langgraph-sdk";
import type { AppOptions } from "../../src/config/options.js";
import { createApp } from "../../src/app.js";
import { listen } from "../../src/node/listen.js";
import * as graphs from "../fixtures/graphs/index.js";

/** The storages that every wire test runs on. */
export const STORAGES = ["memory", "sqlite"] as const;
export type StorageName = (typeof STORAGES)[number];

export interface TestServer {
  readonly url: string;
  readonly client: Client;
  close(): Promise<void>;
}

/** A server with the fixture graphs on a free port of 127.0.0.1, its data in a folder of its own. */
export async function startServer(storage: StorageName, options: Partial<AppOptions> = {}): Promise<TestServer> {
  const dir = mkdtempSync(join(tmpdir(), "heddle-test-"));
  const server = await createApp({
    graphs: { ...graphs },
    storage: storage === "memory" ? "memory:" : `sqlite:${join(dir, "heddle.db")}`,
    logLevel: "error",
    env: {},
    ...options,
  });
  const listening = await listen(server, { port: 0, host: "127.0.0.1" });
  return {
    url: listening.url,
    client: new Client({ apiUrl: listening.url, callerOptions: { maxRetries: 0 } }),
    async close() {
      await listening.close();
      await server.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
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

/** Poll `probe` until it is true, at most five seconds. */
export async function until(probe: () => Promise<boolean>, what: string): Promise<void> {
  for (let i = 0; i < 500; i++) {
    if (await probe()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`waited too long for: ${what}`);
}
