import { schemeOf, type DriverContext } from "../../core/driver.js";
import type { Cipher } from "../../core/cipher.js";
import { HeddleError } from "../../core/errors.js";
import type { SqliteDatabase } from "../../databases/sqlite/open.js";
import { createResealer, type Resealer, type ResealTarget } from "../../encryption/reseal.js";
import { type CellTable, type RewriteCount, rewriteTable } from "./cells.js";
import type { KeptParts } from "../schema-versions.js";

export interface RewriteOptions {
  readonly uri: string;
  readonly context: DriverContext;
  /** What the database keeps. */
  readonly parts: KeptParts;
  /** Not strict. */
  readonly cipher: Cipher;
  readonly target: ResealTarget;
  /** Count, and change nothing. */
  readonly isDryRun: boolean;
  /** Open also what is under the active key already. Default false: its key id is believed. */
  readonly verifies?: boolean;
  readonly onProgress?: (name: string, done: number) => void;
}

export interface RewriteResult {
  readonly counts: readonly RewriteCount[];
  /** What is not rewritten here, and why. */
  readonly left: readonly string[];
  /** What could not be done in the end, and what to do; `null`: nothing. */
  readonly unfinished: string | null;
}

interface Opened {
  readonly cells: readonly CellTable[];
  readonly left: readonly string[];
  /** After everything was rewritten, here or by a call that was killed. @returns what could not be done */
  finish(): Promise<string | null>;
  close(): Promise<void>;
}

/** Values that others changed meanwhile are looked at again. */
const MAX_PASSES = 3;

/**
 * Bring all values of one database under the active key, or make them clear. Servers may be at work, and the process may be killed at any
 * point: the next call finds what is left.
 * @throws HeddleError `UNSUPPORTED_OPTION` for a database whose values cannot be replaced one by one
 */
export async function rewriteStorage(options: RewriteOptions): Promise<RewriteResult> {
  const { cipher, target, isDryRun, onProgress } = options;
  const opened = await open(options, createResealer(cipher, target, options.verifies));
  try {
    const counts: RewriteCount[] = [];
    for (const table of opened.cells) {
      const onPage = (done: number): void => onProgress?.(table.name, done);
      const first = await rewriteTable(table, { isDryRun, onPage });
      let [wanted, rewritten] = [first.wanted, first.rewritten];
      let last = first;
      for (let pass = 1; pass < MAX_PASSES && !isDryRun && rewritten < wanted; pass += 1) {
        const again = await rewriteTable(table, { isDryRun, onPage });
        wanted = rewritten + again.wanted;
        rewritten += again.rewritten;
        last = again;
      }
      const { refused, refusedNames } = last;
      counts.push({ ...first, wanted, rewritten, refused, refusedNames });
    }
    // Also when nothing was left to rewrite: whoever did it may have been killed before this.
    const unfinished = isDryRun ? null : await opened.finish();
    return { counts, left: opened.left, unfinished };
  } finally {
    await opened.close();
  }
}

/** Of the vacuum: each waits for others' transactions itself, for SQLite's busy timeout. */
const VACUUM_TRIES = 3;
const VACUUM_PAUSE_MS = 250;

/** What was overwritten stays in free pages and in the write-ahead log. @returns that it does, when others keep the file busy */
async function forgetOverwritten(db: SqliteDatabase["db"]): Promise<string | null> {
  for (let tried = 1; ; tried += 1) {
    try {
      db.exec("VACUUM");
      const [log] = db.pragma("wal_checkpoint(TRUNCATE)") as readonly { readonly busy: number }[];
      if (log?.busy === 0) return null;
    } catch (error) {
      const isBusy = error instanceof Error && "code" in error && String(error.code).startsWith("SQLITE_BUSY");
      if (!isBusy) throw error;
    }
    if (tried === VACUUM_TRIES) {
      return "All values are rewritten, but other processes keep the database busy: what was overwritten may still be in free pages of the file and in its write-ahead log. Run this again when they are idle, or stopped.";
    }
    await new Promise((resolve) => void setTimeout(resolve, VACUUM_PAUSE_MS));
  }
}

async function open({ uri, context, parts }: RewriteOptions, resealer: Resealer): Promise<Opened> {
  const keeps = { storage: parts !== "checkpoints", checkpoints: parts !== "storage" };
  const forgetsVectors = keeps.storage && resealer.target === "active";
  switch (schemeOf(uri)) {
    case "sqlite": {
      const [{ openSqlite }, { sqliteCells }, { forgetSqliteVectors }] = await Promise.all([
        import("../../databases/sqlite/open.js"),
        import("./sqlite-cells.js"),
        import("./clear-vectors.js"),
      ]);
      const { db, close } = await openSqlite(uri, context);
      return {
        cells: sqliteCells(db, resealer, keeps),
        left: [],
        async finish() {
          if (forgetsVectors) forgetSqliteVectors(db);
          return forgetOverwritten(db);
        },
        close: async () => close(),
      };
    }
    case "postgres":
    case "postgresql": {
      const [{ openPostgres }, { postgresCells }, { forgetPostgresVectors }] = await Promise.all([
        import("../../databases/postgres/open.js"),
        import("./postgres-cells.js"),
        import("./clear-vectors.js"),
      ]);
      const database = await openPostgres(uri, context);
      return {
        cells: await postgresCells(database, resealer, keeps),
        left: ["Overwritten rows stay in the files of Postgres until VACUUM, and in its write-ahead log and backups."],
        async finish() {
          if (forgetsVectors) await forgetPostgresVectors(database);
          return null;
        },
        close: () => database.close(),
      };
    }
    case "mongodb":
    case "mongodb+srv": {
      const [{ openMongo }, { mongoCells }, { forgetMongoVectors }] = await Promise.all([
        import("../../databases/mongodb/open.js"),
        import("./mongodb-cells.js"),
        import("./clear-vectors.js"),
      ]);
      const database = await openMongo(uri, context);
      return {
        cells: await mongoCells(database, resealer, keeps),
        left: keeps.storage
          ? [
              "Event logs in MongoDB are left as they are: they expire (streaming.eventLogTtlMs after their run). Keep older keys until then.",
            ]
          : [],
        async finish() {
          if (forgetsVectors) await forgetMongoVectors(database);
          return null;
        },
        close: () => database.close(),
      };
    }
    default:
      throw new HeddleError("UNSUPPORTED_OPTION", {
        message: `Values in "${schemeOf(uri) ?? ""}:" cannot be rewritten. Copy the storage into sqlite:, postgres: or mongodb: instead (heddle copy).`,
      });
  }
}
