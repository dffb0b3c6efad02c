import type { Db } from "mongodb";
import { randomUUID } from "node:crypto";
import { HeddleError } from "../../core/errors.js";
import type { EpochMs } from "../../core/json.js";
import { isDuplicateKey } from "./failures.js";
import type { MongoDatabase } from "./open.js";

const COLLECTION = "heddle_migrations";
const LOCK_ID = "lock";
/** A process that dies with the lock keeps others waiting this long. */
const LOCK_MS = 30_000;
const PAUSE_MS = 50;
const MAX_WAIT_MS = 60_000;

/** One component's collections and indexes: index + 1 is the version. Only ever append to `migrations`. */
export interface Component {
  /** `metadata`, `items`, `events`, `checkpoints` */
  readonly name: string;
  /** Each may be run twice: there are no transactions, and a crash may come between it and its version. */
  readonly migrations: readonly ((db: Db) => Promise<void>)[];
}

interface VersionDocument {
  readonly _id: string;
  readonly version: number;
  readonly appliedAt: EpochMs;
}

interface LockDocument {
  readonly _id: typeof LOCK_ID;
  readonly holder: string;
  readonly expiresAt: EpochMs;
}

/**
 * Bring components up to date under a lock document: processes that start together apply each migration once.
 * @throws HeddleError `STORAGE_UNAVAILABLE` when the database is newer than these lists, or when a migration fails
 */
export async function migrate(database: MongoDatabase, components: readonly Component[]): Promise<void> {
  const isCurrent = (versions: ReadonlyMap<string, number>): boolean =>
    components.every(({ name, migrations }) => versions.get(name) === migrations.length);
  if (isCurrent(await storedVersions(database))) return;
  await locked(database, async () => {
    const versions = await storedVersions(database);
    for (const component of components) await upgrade(database, component, versions.get(component.name) ?? 0);
  });
}

/** Versions of the components that the database has. Empty when Heddle never used it. */
export async function storedVersions(database: MongoDatabase): Promise<ReadonlyMap<string, number>> {
  const versions = database.db.collection<VersionDocument>(COLLECTION);
  const found = await database.retrying(() => versions.find({ _id: { $ne: LOCK_ID } }).toArray());
  return new Map(found.map(({ _id, version }) => [_id, version]));
}

async function upgrade(database: MongoDatabase, component: Component, current: number): Promise<void> {
  const { name, migrations } = component;
  if (current > migrations.length) {
    throw new HeddleError("STORAGE_UNAVAILABLE", {
      message:
        `${database.name} was written by a newer Heddle: its "${name}" collections have version ${current}, this one knows ` +
        `${migrations.length}. Upgrade heddle, or use another database.`,
      details: { component: name, found: current, supported: migrations.length },
    });
  }
  for (const [index, apply] of migrations.slice(current).entries()) {
    const version = current + index + 1;
    try {
      await database.retrying(() => apply(database.db));
    } catch (error) {
      throw new HeddleError("STORAGE_UNAVAILABLE", {
        message: `Migration ${version} of "${name}" failed in ${database.name}: ${error instanceof Error ? error.message : String(error)}`,
        details: { component: name, version },
        cause: error,
      });
    }
    await database.retrying(() =>
      database.db
        .collection<VersionDocument>(COLLECTION)
        .updateOne({ _id: name }, { $set: { version, appliedAt: database.serverNow() } }, { upsert: true }),
    );
  }
}

/** Run `work` while holding the lock document. Time is the server's own, also in tests: a fake clock never frees a lock. */
async function locked(database: MongoDatabase, work: () => Promise<void>): Promise<void> {
  const locks = database.db.collection<LockDocument>(COLLECTION);
  const holder = randomUUID();
  const deadline = performance.now() + MAX_WAIT_MS;
  while (!(await tryLock(database, holder))) {
    if (performance.now() >= deadline) {
      throw new HeddleError("STORAGE_UNAVAILABLE", {
        message:
          `${database.name} is being migrated by another process for more than ${MAX_WAIT_MS / 1000} s. If none is running, delete the ` +
          `document {_id: "${LOCK_ID}"} of "${COLLECTION}".`,
      });
    }
    await new Promise((resolve) => void setTimeout(resolve, PAUSE_MS));
  }
  try {
    await work();
  } finally {
    await database.retrying(() => locks.deleteOne({ _id: LOCK_ID, holder })).catch(() => undefined);
  }
}

async function tryLock(database: MongoDatabase, holder: string): Promise<boolean> {
  const locks = database.db.collection<LockDocument>(COLLECTION);
  const { serverMs } = await database.measureClock();
  try {
    // With an upsert, a lock that somebody holds is a duplicate key.
    await database.retrying(() =>
      locks.updateOne(
        { _id: LOCK_ID, $or: [{ expiresAt: { $lt: serverMs } }, { holder }] },
        { $set: { holder, expiresAt: serverMs + LOCK_MS } },
        { upsert: true },
      ),
    );
    return true;
  } catch (error) {
    if (isDuplicateKey(error)) return false;
    throw error;
  }
}
