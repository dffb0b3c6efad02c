import { existsSync } from "node:fs";
import { join } from "node:path";
import { secretsOf } from "../config/describe.js";
import { MANIFEST_NAME } from "../config/langgraph-json.js";
import type { DatabaseOptions } from "../config/options.js";
import { resolveConfig } from "../config/resolve.js";
import type { StorageLocation } from "../config/resolved-config.js";
import type { CipherSettings } from "../core/cipher.js";
import type { DriverContext } from "../core/driver.js";
import type { KeptParts } from "../maintenance/schema-versions.js";

/** What a command that works on a storage alone is told. */
export interface StorageFlags {
  readonly config?: string;
  readonly storage?: string;
  readonly checkpointer?: string;
  readonly redis?: string;
}

/** Where a server keeps its data, without its graphs. */
export interface StorageSettings {
  readonly storage: StorageLocation;
  /** `null`: in the storage. */
  readonly checkpointer: StorageLocation | null;
  readonly redis: string | null;
  readonly database: DatabaseOptions;
  /** `null`: nothing is encrypted. */
  readonly encryption: CipherSettings | null;
  /** Values that must not be printed. */
  readonly secrets: readonly string[];
}

/**
 * The storage that `heddle serve` would open here: by flag, environment, `langgraph.json` (its `env`) or default. Without a
 * `langgraph.json` flags and environment decide: who looks after a database need not have the graphs.
 * @throws HeddleError as `resolveConfig`
 */
export async function storageSettings(flags: StorageFlags): Promise<StorageSettings> {
  const { config: path, storage, checkpointer, redis } = flags;
  const hasManifest = path !== undefined || existsSync(join(process.cwd(), MANIFEST_NAME));
  const given = {
    ...(storage !== undefined && { storage }),
    ...(checkpointer !== undefined && { checkpointer }),
    ...(redis !== undefined && { redis }),
    // What it looks after is there, whether a server would take both together or not.
    allowEphemeral: true,
  };
  const config = await resolveConfig(
    hasManifest
      ? { options: given, flags: path === undefined ? {} : { config: path } }
      : // A configuration names at least one graph; none is loaded.
        { options: { ...given, graphs: { none: {} } } },
  );
  return {
    storage: config.storage,
    checkpointer: config.checkpointer.kind === "uri" ? config.checkpointer : null,
    redis: config.redis,
    database: config.database,
    encryption: config.encryption,
    secrets: secretsOf(config),
  };
}

/** One database of a server, and what it keeps there. */
export interface StoragePart {
  readonly title: "storage" | "checkpointer";
  readonly uri: string;
  readonly context: DriverContext;
  readonly parts: KeptParts;
}

/** The storage, and the checkpointer where it is elsewhere: each as a server opens it. */
export function storageParts({ storage, checkpointer, database }: StorageSettings): readonly StoragePart[] {
  const context = { cwd: storage.cwd, ...database };
  if (checkpointer === null) return [{ title: "storage", uri: storage.uri, context, parts: "all" }];
  // Of another database it would be the wrong address.
  const { directUri: _, ...others } = database;
  return [
    { title: "storage", uri: storage.uri, context, parts: "storage" },
    {
      title: "checkpointer",
      uri: checkpointer.uri,
      context: { cwd: checkpointer.cwd, ...others },
      parts: "checkpoints",
    },
  ];
}
