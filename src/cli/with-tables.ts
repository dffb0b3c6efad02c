import { redactUri } from "../config/redact.js";
import { HeddleError } from "../core/errors.js";
import type { OpenTables } from "../maintenance/open-tables.js";
import { printError, printLines } from "./report.js";
import { type StorageFlags, storageSettings } from "./storage-settings.js";

/** Flags of commands that show or change rows of a storage. */
export interface TablesFlags extends StorageFlags {
  /** One JSON document on standard output. */
  readonly json?: boolean;
}

/**
 * Open the storage that the flags name, print the lines that `work` gives, and close it.
 * @param params.instead what to do where the storage ends with this command
 * @param params.work told of the storage, and where it is, without secrets
 * @returns the exit code
 */
export async function withTables(
  flags: TablesFlags,
  params: {
    readonly instead: string;
    readonly work: (tables: OpenTables, place: string) => Promise<readonly string[]>;
  },
): Promise<number> {
  let secrets: readonly string[] = [];
  try {
    const settings = await storageSettings(flags);
    secrets = settings.secrets;
    const { storage, database } = settings;
    const { openTables } = await import("../maintenance/open-tables.js");
    const tables = await openTables(storage.uri, { cwd: storage.cwd, ...database });
    const place = redactUri(storage.uri);
    try {
      if (!tables.durable) {
        throw new HeddleError("CONFIG_INVALID", {
          message: `${place} ends with this command: name the storage of your server with --storage, or ${params.instead}.`,
        });
      }
      printLines(await params.work(tables, place));
    } finally {
      await tables.close();
    }
    return 0;
  } catch (error) {
    printError(error, secrets);
    return 1;
  }
}
