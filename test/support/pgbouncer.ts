import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "./free-port.js";

/** A PgBouncer of the tests, with `pool_mode = transaction`. */
export interface TestPgBouncer {
  /** Of the database behind it. */
  readonly uri: string;
  /** Such as `1.18.0`. */
  readonly version: string;
  /** Whether it carries statements that are prepared by name: 1.21 and newer, with `max_prepared_statements`. */
  readonly carriesPrepared: boolean;
  close(): Promise<void>;
}

/** Debian's place, which is not on everybody's PATH. */
const BINARY = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer", "/usr/local/bin/pgbouncer"].find((path) =>
  existsSync(path),
);

/** Whether there is one. Without, tests are skipped with a warning; in CI that is a failure. */
export function hasPgBouncer(): boolean {
  if (BINARY !== undefined) return true;
  const message = "Tests behind PgBouncer need /usr/sbin/pgbouncer (Debian: apt-get install pgbouncer)";
  if (process.env["CI"] !== undefined) throw new Error(message);
  console.warn(`SKIPPED: ${message}`);
  return false;
}

/**
 * Start one on a free port of 127.0.0.1.
 * @param uri of the database behind it @param options.poolSize connections to it that all clients share
 */
export async function startPgBouncer(uri: string, options: { readonly poolSize: number }): Promise<TestPgBouncer> {
  const binary = BINARY ?? "pgbouncer";
  const version = /PgBouncer (\S+)/.exec(execFileSync(binary, ["--version"], { encoding: "utf8" }))?.[1] ?? "0.0";
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const carriesPrepared = major > 1 || minor >= 21;
  const { hostname, port, username, password, pathname } = new URL(uri);
  const listenPort = await freePort();
  const folder = await mkdtemp(join(tmpdir(), "heddle-pgbouncer-"));
  const config = [
    "[databases]",
    `* = host=${hostname} port=${port} user=${username} password=${password}`,
    "[pgbouncer]",
    `listen_addr = 127.0.0.1\nlisten_port = ${listenPort}\nunix_socket_dir =`,
    "pool_mode = transaction\nauth_type = any",
    `default_pool_size = ${options.poolSize}\nmax_client_conn = 200`,
    // Whoever comes next gets the connection that was returned longest ago: nobody keeps his by luck.
    "server_round_robin = 1",
    ...(carriesPrepared ? ["max_prepared_statements = 100"] : []),
  ];
  const file = join(folder, "pgbouncer.ini");
  await writeFile(file, config.join("\n"));
  // As root it refuses to run, and whom it becomes must be able to read its file.
  await chmod(folder, 0o755);
  const asNobody = process.getuid?.() === 0 ? ["-u", "nobody"] : [];
  const child = spawn(binary, [...asNobody, file], { stdio: ["ignore", "ignore", "pipe"] });
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (log = (log + text).slice(-2_000)));
  const ended = once(child, "exit");
  const stop = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
    await ended;
    await rm(folder, { recursive: true, force: true });
  };
  if (!(await listens(listenPort, child))) {
    await stop();
    throw new Error(`PgBouncer did not start:\n${log}`);
  }
  return {
    uri: `postgres://${username}:${password}@127.0.0.1:${listenPort}${pathname}`,
    version,
    carriesPrepared,
    close: stop,
  };
}

async function listens(port: number, child: ChildProcess): Promise<boolean> {
  for (let tries = 0; tries < 500 && child.exitCode === null; tries += 1) {
    const socket = connect(port, "127.0.0.1");
    const isOpen = await new Promise<boolean>((resolve) => {
      socket.once("connect", () => resolve(true));
      socket.once("error", () => resolve(false));
    });
    socket.destroy();
    if (isOpen) return true;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return false;
}
