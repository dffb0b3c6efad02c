import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { startBalancer } from "../../support/balancer.js";
import { createDatabase } from "../../support/postgres.js";
import { listening } from "../../support/served-process.js";
import { startTcpProxy, type TcpProxy } from "../../support/tcp-proxy.js";

/** Milliseconds between two tokens: long enough to do something in the middle of a message. */
const TOKEN_DELAY_MS = 15;

/** What the page talks to. */
export interface Servers {
  /** Through the network that `network` breaks. */
  readonly url: string;
  readonly network: TcpProxy;
  close(): Promise<void>;
}

/** `heddle serve` in the example's folder, on a free port. */
async function startServe(storage: string): Promise<{ readonly url: string; stop(): Promise<void> }> {
  const folder = process.env["CHAT_EXAMPLE"] as string;
  const child = spawn(process.execPath, ["node_modules/heddle/dist/cli/main.js", "serve"], {
    cwd: folder,
    env: {
      PATH: process.env["PATH"],
      HOME: process.env["HOME"],
      PORT: "0",
      DATABASE_URI: storage,
      CHAT_TOKEN_DELAY_MS: String(TOKEN_DELAY_MS),
    },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "exit");
  const stop = async (): Promise<void> => {
    child.kill("SIGKILL");
    await ended;
  };
  try {
    return { url: await listening(child), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Opens one thing after the other; when one fails, those before it are closed. */
async function assemble(
  open: (opened: (close: () => Promise<unknown>) => void) => Promise<Omit<Servers, "close">>,
): Promise<Servers> {
  const closers: (() => Promise<unknown>)[] = [];
  const close = async (): Promise<void> => {
    for (const closer of closers.splice(0).toReversed()) await closer();
  };
  try {
    return { ...(await open((closer) => void closers.push(closer))), close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Through a network that can be broken. */
async function behindNetwork(url: string): Promise<TcpProxy> {
  return startTcpProxy({ port: Number(new URL(url).port) });
}

/** One process on SQLite. */
export function serveSqlite(): Promise<Servers> {
  return assemble(async (opened) => {
    const folder = await mkdtemp(path.join(tmpdir(), "heddle-browser-"));
    opened(() => rm(folder, { recursive: true }));
    const server = await startServe(`sqlite:${path.join(folder, "chat.db")}`);
    opened(() => server.stop());
    const network = await behindNetwork(server.url);
    opened(() => network.close());
    return { url: `http://127.0.0.1:${network.port}`, network };
  });
}

/** Two processes on one Postgres; each request goes to the next one. */
export function servePostgresTwice(): Promise<Servers> {
  return assemble(async (opened) => {
    const database = await createDatabase();
    opened(() => database.drop());
    const start = async (): Promise<string> => {
      const server = await startServe(database.uri);
      opened(() => server.stop());
      return server.url;
    };
    const started = await Promise.allSettled([start(), start()]);
    const urls = started.map((one) => {
      if (one.status === "rejected") throw one.reason;
      return one.value;
    });
    const balancer = await startBalancer(urls);
    opened(() => balancer.close());
    const network = await behindNetwork(balancer.url);
    opened(() => network.close());
    return { url: `http://127.0.0.1:${network.port}`, network };
  });
}
