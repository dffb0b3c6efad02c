import { HeddleError } from "../../core/errors.js";

/**
 * The URI as `pg` takes it.
 * @throws HeddleError `CONFIG_INVALID` when it is none
 */
export function postgresUri(uri: string): string {
  if (/^postgres(ql)?:\/\/\S+$/i.test(uri)) return uri;
  throw new HeddleError("CONFIG_INVALID", {
    message: 'A Postgres URI looks like "postgres://user:password@host:5432/database".',
  });
}

/** `host:port/database`, without user and password. */
export function describePostgresUri(uri: string): string {
  try {
    const { host, pathname } = new URL(uri);
    return `${host || "localhost"}${pathname}`;
  } catch {
    return "postgres";
  }
}
