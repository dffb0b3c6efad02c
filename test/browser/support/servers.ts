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
  const url = await listening(child);
  return {
    url,
    async stop() {
      child.kill("SIGKILL");
      await ended;
    },
  };
}

const portOf = (url: string): number => Number(new URL(url).port);

/** One process on SQLite. */
export async function serveSqlite(): Promise<Servers> {
  const folder = await mkdtemp(path.join(tmpdir(), "heddle-browser-"));
  const server = await startServe(`sqlite:${path.join(folder, "chat.db")}`);
  const network = await startTcpProxy({ port: portOf(server.url) });
  return {
    url: `http://127.0.0.1:${network.port}`,
    network,
    async close() {
      await network.close();
      await server.stop();
      await rm(folder, { recursive: true });
    },
  };
}

/** Two processes on one Postgres; each request goes to the next one. */
export async function servePostgresTwice(): Promise<Servers> {
  const database = await createDatabase();
  const servers = await Promise.all([startServe(database.uri), startServe(database.uri)]);
  const balancer = await startBalancer(servers.map(({ url }) => url));
  const network = await startTcpProxy({ port: portOf(balancer.url) });
  return {
    url: `http://127.0.0.1:${network.port}`,
    network,
    async close() {
      await network.close();
      await balancer.close();
      await Promise.all(servers.map((server) => server.stop()));
      await database.drop();
    },
  };
}
