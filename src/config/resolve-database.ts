import { schemeOf } from "../core/driver.js";
import type { EnvSettings } from "./env.js";
import type { Manifest } from "./langgraph-json-schema.js";
import type { AppOptions, DatabaseOptions, Role } from "./options.js";
import type { ConfigProblem } from "./problem.js";
import type { StorageLocation } from "./resolved-config.js";
import type { SettingPicker } from "./setting-picker.js";
import { isEphemeralUri } from "./split-brain.js";

interface Sources {
  readonly pick: SettingPicker["pick"];
  readonly options: AppOptions;
  readonly env: EnvSettings;
  readonly storage: StorageLocation;
  readonly problems: ConfigProblem[];
  readonly warnings: string[];
}

const isPostgres = (scheme: string): boolean => scheme === "postgres" || scheme === "postgresql";

/** Storages that one process has for itself. */
const isOneProcess = ({ scheme }: StorageLocation): boolean => scheme === "memory" || scheme === "sqlite";

/** Where event logs and notifications of several processes go; `null`: where the storage points. */
export function resolveRedis({ pick, options, env, storage, problems, warnings }: Sources): string | null {
  const uri = pick<string | null>("redis", { option: options.redis, environment: env.redis, default: null });
  if (uri === null) return null;
  const scheme = schemeOf(uri);
  if (scheme !== "redis" && scheme !== "rediss") {
    const field = options.redis === undefined ? "REDIS_URI" : "redis";
    problems.push({
      code: "CONFIG_INVALID",
      field,
      message: "must be a URI: redis://host:6379, or rediss:// with TLS.",
    });
  }
  if (isOneProcess(storage)) {
    warnings.push(
      `redis: the storage ${storage.scheme}: is one process's own, so Redis only holds its event logs; several processes need postgres: or mongodb:`,
    );
  }
  return uri;
}

/** How databases are reached. */
export function resolveDatabase({
  pick,
  options,
  env,
  manifest,
  storage,
  problems,
  warnings,
}: Sources & { readonly manifest: Manifest }): DatabaseOptions {
  const { database } = options;
  const compressCheckpoints = pick<boolean | undefined>("database.compressCheckpoints", {
    option: database?.compressCheckpoints,
    environment: env.compressCheckpoints,
    "langgraph.json": manifest.checkpointer?.compress,
    default: undefined,
  });
  const maxConnections = pick<number | undefined>("database.maxConnections", {
    option: database?.maxConnections,
    environment: env.maxConnections,
    default: undefined,
  });
  const directUri = pick<string | undefined>("database.directUri", {
    option: database?.directUri,
    environment: env.directUri,
    default: undefined,
  });
  if (directUri !== undefined) {
    const field = database?.directUri === undefined ? "POSTGRES_DIRECT_URI" : "database.directUri";
    if (!isPostgres(schemeOf(directUri) ?? "")) {
      const message = "must be a URI: postgres://host:5432/database, the storage's without PgBouncer in between.";
      problems.push({ code: "CONFIG_INVALID", field, message });
    } else if (!isPostgres(storage.scheme)) {
      warnings.push(`${field} is not used: the storage is no Postgres`);
    }
  }
  return {
    ...(maxConnections !== undefined && { maxConnections }),
    ...(compressCheckpoints !== undefined && { compressCheckpoints }),
    ...(directUri !== undefined && isPostgres(storage.scheme) && { directUri }),
  };
}

/** Processes with different roles meet in their storage. */
export function checkRole(params: {
  readonly role: Role;
  readonly storage: StorageLocation;
  readonly problems: ConfigProblem[];
  readonly warnings: string[];
}): void {
  const { role, storage, problems, warnings } = params;
  if (role === "all") return;
  if (isEphemeralUri(storage.uri)) {
    const message = `must be "all" with a storage in memory, which no other process can reach. Give \`storage\` a database.`;
    problems.push({ code: "CONFIG_INVALID", field: "role", message });
  } else if (isOneProcess(storage)) {
    warnings.push(`role ${role}: several processes on one SQLite file hold each other up; use postgres: or mongodb:`);
  }
}
