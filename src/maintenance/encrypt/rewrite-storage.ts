import { schemeOf, type DriverContext } from "../../core/driver.js";
import type { Cipher } from "../../core/cipher.js";
import { HeddleError } from "../../core/errors.js";
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
  readonly onProgress?: (name: string, done: number) => void;
}

export interface RewriteResult {
  readonly counts: readonly RewriteCount[];
  /** What is not rewritten here, and why. */
  readonly left: readonly string[];
}

interface Opened {
  readonly cells: readonly CellTable[];
  readonly left: readonly string[];
  /** After everything was rewritten, here or by a call that was killed. */
  finish(): Promise<void>;
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
  const opened = await open(options, createResealer(cipher, target));
  try {
    const counts: RewriteCount[] = [];
    for (const table of opened.cells) {
      const onPage = (done: number): void => onProgress?.(table.name, done);
      const first = await rewriteTable(table, { isDryRun, onPage });
      let [wanted, rewritten] = [first.wanted, first.rewritten];
      for (let pass = 1; pass < MAX_PASSES && !isDryRun && rewritten < wanted; pass += 1) {
        const again = await rewriteTable(table, { isDryRun, onPage });
        wanted = rewritten + again.wanted;
        rewritten += again.rewritten;
      }
      counts.push({ ...first, wanted, rewritten });
    }
    // Also when nothing was left to rewrite: whoever did it may have been killed before this.
    if (!isDryRun) await opened.finish();
    return { counts, left: opened.left };
  } finally {
    await opened.close();
  }
}

async function open({ uri, context, parts }: RewriteOptions, resealer: Resealer): Promise<Opened> {
  const keeps = { storage: parts !== "checkpoints", checkpoints: parts !== "storage" };
  switch (schemeOf(uri)) {
    case "sqlite": {
      const [{ openSqlite }, { sqliteCells }] = await Promise.all([
        import("../../databases/sqlite/open.js"),
        import("./sqlite-cells.js"),
      ]);
      const { db, close } = await openSqlite(uri, context);
      return {
        cells: sqliteCells(db, resealer, keeps),
        left: [],
        // What was overwritten stays in free pages and in the write-ahead log.
        async finish() {
          db.exec("VACUUM");
          db.pragma("wal_checkpoint(TRUNCATE)");
        },
        close: async () => close(),
      };
    }
    case "postgres":
    case "postgresql": {
      const [{ openPostgres }, { postgresCells }] = await Promise.all([
        import("../../databases/postgres/open.js"),
        import("./postgres-cells.js"),
      ]);
      const database = await openPostgres(uri, context);
      return {
        cells: await postgresCells(database, resealer, keeps),
        left: ["Overwritten rows stay in the files of Postgres until VACUUM, and in its write-ahead log and backups."],
        finish: async () => {},
        close: () => database.close(),
      };
    }
    case "mongodb":
    case "mongodb+srv": {
      const [{ openMongo }, { mongoCells }] = await Promise.all([
        import("../../databases/mongodb/open.js"),
        import("./mongodb-cells.js"),
      ]);
      const database = await openMongo(uri, context);
      return {
        cells: await mongoCells(database, resealer, keeps),
        left: keeps.storage
          ? [
              "Event logs in MongoDB are left as they are: they expire (streaming.eventLogTtlMs after their run). Keep older keys until then.",
            ]
          : [],
        finish: async () => {},
        close: () => database.close(),
      };
    }
    default:
      throw new HeddleError("UNSUPPORTED_OPTION", {
        message: `Values in "${schemeOf(uri) ?? ""}:" cannot be rewritten. Copy the storage into sqlite:, postgres: or mongodb: instead (heddle copy).`,
      });
  }
}
