import type { Cipher } from "./cipher.js";
import type { StoreClock } from "./clock.js";
import { HeddleError } from "./errors.js";
import type { Logger } from "./logger.js";

/** What a driver gets when it is opened. */
export interface DriverContext {
  /** Root for relative file paths in a URI. */
  readonly cwd: string;
  /**
   * What the drivers of one application share, by key: an open SQLite file, a pool. The composition root makes one map
   * per application and hands it to every driver; without it each driver opens its own.
   */
  readonly shared?: Map<string, unknown>;
  /**
   * Time of a store. Default: the database's own, where it has one (Postgres, MongoDB), else the process's. Tests pass a fake
   * one, and every driver goes by it.
   */
  readonly clock?: StoreClock;
  /** Connections that one pool holds at most. Default 10. For databases with pools. */
  readonly maxConnections?: number;
  /** Another address of the same Postgres without PgBouncer in between, for LISTEN and session locks. Default: the URI. */
  readonly directUri?: string;
  /**
   * Encryption at rest: event logs and checkpointers seal what they store. (What metadata stores and item stores hold is sealed before
   * it reaches them.) Absent: nothing is encrypted, and what is found encrypted is refused.
   */
  readonly cipher?: Cipher;
  /** Vectors of items (`store.index`): item stores keep and compare those of so many dimensions. Absent: they keep none. */
  readonly vectors?: { readonly dims: number };
  /**
   * Whether checkpoints are compressed and share what they have in common (docs/guides/checkpoint-storage.md). What is stored is read either way.
   * Default: true in SQLite, false in Postgres, where other programs may read the tables; others don't offer it.
   */
  readonly compressCheckpoints?: boolean;
  /** Told of lost and regained connections. Default: nobody. */
  readonly logger?: Pick<Logger, "info" | "warn">;
}

/**
 * How a URI becomes a thing: `schemes` without the colon (`sqlite`), `requires` the optional npm packages that it
 * imports when it is opened.
 */
export interface Driver<T, C extends DriverContext = DriverContext> {
  readonly schemes: readonly string[];
  readonly requires: readonly string[];
  open(uri: string, context: C): Promise<T>;
}

/** Drivers by URI scheme. An instance, never a module's state. */
export interface DriverRegistry<T, C extends DriverContext = DriverContext> {
  /**
   * Add a driver for its schemes.
   * @throws HeddleError `CONFIG_INVALID` when a scheme is taken and `override` is not set.
   */
  register(driver: Driver<T, C>, options?: { readonly override?: boolean }): void;
  /** Known schemes, sorted. */
  schemes(): readonly string[];
  /**
   * Open what a URI names.
   * @throws HeddleError `CONFIG_INVALID` when `uri` has no scheme, `SCHEME_UNKNOWN` (lists the known ones),
   * `DEPENDENCY_MISSING` (names the install command), or what the driver throws.
   */
  open(uri: string, context: C): Promise<T>;
}

/**
 * A registry of drivers.
 * @param params.kind what is opened, for messages: `storage`, `checkpointer`
 * @param params.drivers registered in order; two for one scheme throw
 */
export function createDriverRegistry<T, C extends DriverContext = DriverContext>(params: {
  readonly kind: string;
  readonly drivers?: readonly Driver<T, C>[];
}): DriverRegistry<T, C> {
  const { kind } = params;
  const byScheme = new Map<string, Driver<T, C>>();
  const registry: DriverRegistry<T, C> = {
    register(driver, options) {
      for (const scheme of driver.schemes) {
        if (byScheme.has(scheme.toLowerCase()) && options?.override !== true) {
          throw new HeddleError("CONFIG_INVALID", {
            message: `A ${kind} driver for "${scheme}:" is already registered. Pass { override: true } to replace it.`,
            details: { scheme },
          });
        }
      }
      for (const scheme of driver.schemes) byScheme.set(scheme.toLowerCase(), driver);
    },
    schemes: () => [...byScheme.keys()].sort(),
    async open(uri, context) {
      const known = registry
        .schemes()
        .map((name) => `${name}:`)
        .join(", ");
      const scheme = schemeOf(uri);
      if (scheme === null) {
        throw new HeddleError("CONFIG_INVALID", {
          message: `The ${kind} URI has no scheme. It must start with one of: ${known}`,
        });
      }
      const driver = byScheme.get(scheme);
      if (driver === undefined) {
        throw new HeddleError("SCHEME_UNKNOWN", {
          message: `No ${kind} driver is registered for "${scheme}:". Known schemes: ${known}`,
          details: { scheme, known: registry.schemes() },
        });
      }
      try {
        return await driver.open(uri, context);
      } catch (error) {
        throw missingDependency(error, driver, scheme, kind) ?? error;
      }
    },
  };
  for (const driver of params.drivers ?? []) registry.register(driver);
  return registry;
}

/** The scheme of a URI in lower case, without the colon; `null` when there is none. */
export function schemeOf(uri: string): string | null {
  return /^([a-z][a-z0-9+.-]*):/i.exec(uri)?.[1]?.toLowerCase() ?? null;
}

/** A failed import of one of the driver's optional packages as one sentence with the way out. */
function missingDependency(
  error: unknown,
  driver: { readonly requires: readonly string[] },
  scheme: string,
  kind: string,
): HeddleError | null {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (!(error instanceof Error) || (code !== "ERR_MODULE_NOT_FOUND" && code !== "MODULE_NOT_FOUND")) return null;
  const missing = driver.requires.filter((name) => mentionsPackage(error.message, name));
  if (missing.length === 0) return null;
  return new HeddleError("DEPENDENCY_MISSING", {
    message: `The ${kind} "${scheme}:" needs packages that are not installed: run \`npm install ${driver.requires.join(" ")}\`.`,
    details: { packages: missing },
    cause: error,
  });
}

function mentionsPackage(message: string, name: string): boolean {
  return message.includes(`'${name}'`) || message.includes(`'${name}/`) || message.includes(`node_modules/${name}/`);
}
