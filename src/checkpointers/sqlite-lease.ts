import type { Statement } from "better-sqlite3";
import { HeddleError } from "../core/errors.js";
import type { RunLease } from "../core/run.js";
import type { SqliteDatabase } from "../databases/sqlite/open.js";

type LeaseStatement = Statement<[runId: string], { readonly lease_token: number; readonly status: string }>;

/**
 * Refuses puts of a lost lease where the metadata store's `runs` table is in the same database. Called inside the put's
 * transaction, so that nothing comes between check and write. Where this application's other drivers don't use the
 * database, or it has no such table, everything is allowed: the run row lives elsewhere.
 */
export class LeaseGuard {
  readonly #database: SqliteDatabase;
  #select: LeaseStatement | null | undefined;

  constructor(database: SqliteDatabase) {
    this.#database = database;
  }

  /** @throws HeddleError `LEASE_LOST` */
  assertHeld(lease: RunLease | undefined): void {
    if (lease === undefined) return;
    const select = this.#statement();
    if (select === null) return;
    const row = select.get(lease.runId);
    if (row?.status === "running" && row.lease_token === lease.leaseToken) return;
    throw new HeddleError("LEASE_LOST", {
      message: `This worker no longer holds run ${lease.runId}: its checkpoint was not saved.`,
      details: { runId: lease.runId },
    });
  }

  /** Whether the run row is here. */
  isFenced(): boolean {
    return this.#statement() !== null;
  }

  #statement(): LeaseStatement | null {
    if (this.#select === undefined) this.#select = this.#prepare();
    return this.#select;
  }

  /** `null`, for good, when the run row is elsewhere: all stores are opened before the first run starts. */
  #prepare(): LeaseStatement | null {
    // A table alone proves nothing: the file may have been a metadata store's in former times.
    if (!this.#database.isShared()) return null;
    const { db } = this.#database;
    const columns = db.pragma("table_info(runs)") as readonly { readonly name: string }[];
    const names = new Set(columns.map(({ name }) => name));
    if (!["run_id", "lease_token", "status"].every((name) => names.has(name))) return null;
    return db.prepare("SELECT lease_token, status FROM runs WHERE run_id = ?");
  }
}
