import { schemeOf, type DriverContext } from "../core/driver.js";
import { HeddleError, isHeddleError } from "../core/errors.js";
import { errorText, type Finding, problem, warning } from "./findings.js";
import type { KeptParts } from "./schema-versions.js";

/**
 * Look into one database that a server would use: yields what it finds as it finds it, and never throws. Changes nothing.
 * @param params.parts what the database keeps. Default all
 */
export async function* diagnose(params: {
  readonly uri: string;
  readonly context: DriverContext;
  readonly parts?: KeptParts;
}): AsyncGenerator<Finding, void, void> {
  try {
    yield* await open(params.uri, params.context, params.parts ?? "all");
  } catch (error) {
    yield problem("connection", errorText(error), wayOut(error));
  }
}

async function open(uri: string, context: DriverContext, parts: KeptParts): Promise<AsyncIterable<Finding>> {
  const scheme = schemeOf(uri);
  switch (scheme) {
    case "sqlite":
      return (await import("./diagnose-sqlite.js")).diagnoseSqlite(uri, context, parts);
    case "postgres":
    case "postgresql":
      return (await import("./diagnose-postgres.js")).diagnosePostgres(uri, context, parts);
    case "mongodb":
    case "mongodb+srv":
      return (await import("./diagnose-mongodb.js")).diagnoseMongo(uri, context, parts);
    case "redis":
    case "rediss":
      return (await import("./diagnose-redis.js")).diagnoseRedis(uri, context);
    case "memory":
      return memory();
    default:
      throw new HeddleError("SCHEME_UNKNOWN", { message: `Heddle does not know "${scheme ?? uri}:".` });
  }
}

async function* memory(): AsyncGenerator<Finding, void, void> {
  yield warning("durability", "a restart forgets everything", "Use sqlite:, postgres: or mongodb: to keep it.");
}

const PACKAGES: readonly (readonly [scheme: RegExp, name: string])[] = [
  [/'pg'/, "pg"],
  [/'mongodb'/, "mongodb"],
  [/'ioredis'/, "ioredis bullmq"],
  [/'better-sqlite3'/, "better-sqlite3"],
];

function wayOut(error: unknown): string {
  const missing = PACKAGES.find(
    ([pattern]) =>
      error instanceof Error && "code" in error && error.code === "ERR_MODULE_NOT_FOUND" && pattern.test(error.message),
  );
  if (missing !== undefined) return `Run \`npm install ${missing[1]}\`.`;
  if (isHeddleError(error) && error.code === "CONFIG_INVALID") return "Correct the URI.";
  if (isHeddleError(error) && error.code === "SCHEME_UNKNOWN") {
    return "Use sqlite:, postgres:, mongodb: or memory:, and redis: beside them.";
  }
  return "Check that the server runs, that this machine reaches its port, and user and password.";
}
