import { accessSync, constants, existsSync, statfsSync, statSync } from "node:fs";
import { dirname } from "node:path";
import type { DriverContext } from "../core/driver.js";
import { errorText, type Finding, ok, pingFinding, problem, schemaFinding, warning } from "./findings.js";
import { inspectSchema, type KeptParts } from "./schema-versions.js";

const LOW_SPACE_BYTES = 200 * 1024 * 1024;

/** Look into a SQLite storage. Makes no file and changes none. */
export async function* diagnoseSqlite(
  uri: string,
  context: DriverContext,
  parts: KeptParts,
): AsyncGenerator<Finding, void, void> {
  const [{ MEMORY, sqlitePath }, { lookIntoSqlite, openSqlite }] = await Promise.all([
    import("../databases/sqlite/uri.js"),
    import("../databases/sqlite/open.js"),
  ]);
  const path = sqlitePath(uri, context.cwd);
  if (path === MEMORY) {
    yield warning("file", "the database is in memory", "Give it a file, so that a restart keeps threads and runs.");
    return;
  }
  yield fileFinding(path);
  if (!existsSync(path)) return;
  const facts = await lookIntoSqlite(uri, context.cwd, (db) => ({
    version: String(db.prepare("SELECT sqlite_version()").pluck().get()),
    journal: String(db.pragma("journal_mode", { simple: true })),
  }));
  yield ok("version", `SQLite ${facts?.version ?? "?"}`);
  yield facts?.journal === "wal"
    ? ok("journal", "write-ahead log")
    : warning(
        "journal",
        `journal mode ${facts?.journal ?? "?"}`,
        "The next start switches to the write-ahead log. If it stays, the file system has no shared memory: use a local disk.",
      );
  yield schemaFinding(await inspectSchema({ uri, context, parts }));
  const database = await openSqlite(uri, context);
  try {
    // Takes the write lock and gives it back: another process may hold it, or the disk may be read-only.
    database.db.exec("BEGIN IMMEDIATE; ROLLBACK");
    yield ok("writing", "the write lock can be had");
    const ping = database.db.prepare("SELECT 1");
    yield await pingFinding(async () => ping.get());
  } catch (error) {
    const way = "Stop the process that holds the file, or make it writable. One SQLite file is for one server.";
    yield problem("writing", errorText(error), way);
  } finally {
    database.close();
  }
}

function fileFinding(path: string): Finding {
  const folder = nearestFolder(path);
  try {
    accessSync(existsSync(path) ? path : folder, constants.R_OK | constants.W_OK);
  } catch (error) {
    return problem("file", `${path} can't be written: ${errorText(error)}`, "Give this user the right to write there.");
  }
  const { bavail, bsize } = statfsSync(folder);
  const size = existsSync(path) ? `${megabytes(statSync(path).size)}, ` : "does not exist yet, ";
  const detail = `${path}: ${size}${megabytes(bavail * bsize)} free on its disk`;
  return bavail * bsize < LOW_SPACE_BYTES
    ? warning("file", detail, "Free some space: a full disk fails every run.")
    : ok("file", detail);
}

function nearestFolder(path: string): string {
  const folder = dirname(path);
  return existsSync(folder) || folder === dirname(folder) ? folder : nearestFolder(folder);
}

function megabytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}
