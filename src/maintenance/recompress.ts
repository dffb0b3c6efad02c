import { schemeOf, type DriverContext } from "../core/driver.js";
import { HeddleError } from "../core/errors.js";

/** What checkpoints become: as this Heddle compresses and shares them, or as the stock savers have them. */
export type CompressionTarget = "compressed" | "stock";

/** What was rewritten. */
export interface RecompressCount {
  readonly values: number;
  readonly writes: number;
}

export interface RecompressOptions {
  readonly uri: string;
  /** With its cipher where values are sealed: they are opened, and sealed again. */
  readonly context: DriverContext;
  readonly target: CompressionTarget;
  /** Told how many values, or pending writes (`name`), were looked at. */
  readonly onProgress?: (name: string, done: number) => void;
}

/**
 * Rewrite all checkpoints of one database. Servers may be at work: what they write meanwhile is as their own setting says, so change that
 * first. Killed at any point, the next call goes on with what is left; what is read stays the same all the time.
 * @throws HeddleError `UNSUPPORTED_OPTION` for a database whose checkpoints are not compressed; `DECRYPTION_FAILED`
 */
export async function recompressStorage(options: RecompressOptions): Promise<RecompressCount> {
  const { uri, context, target, onProgress = () => undefined } = options;
  switch (schemeOf(uri)) {
    case "sqlite": {
      const { recompressSqlite } = await import("../checkpointers/sqlite-recompress.js");
      return recompressSqlite(uri, context, target, onProgress);
    }
    case "postgres":
    case "postgresql": {
      const { recompressPostgres } = await import("../checkpointers/postgres-recompress.js");
      return recompressPostgres(uri, context, target, onProgress);
    }
    default:
      throw new HeddleError("UNSUPPORTED_OPTION", {
        message: `Checkpoints in "${schemeOf(uri) ?? ""}:" are never compressed: only those in sqlite: and postgres: are.`,
      });
  }
}
