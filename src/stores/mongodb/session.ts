import type { EpochMs } from "../../core/json.js";
import type { MongoDatabase } from "../../databases/mongodb/open.js";
import { type Collections, collectionsOf } from "./collections.js";
import { createLeaseThreads, type LeaseThreads } from "./lease-threads.js";
import { createOutbox, type Outbox } from "./outbox.js";
import type { Sweeps } from "./repair.js";

/** One open store: its collections, its time, what it has still to write. */
export interface Session extends Collections {
  readonly database: MongoDatabase;
  now(): EpochMs;
  /** Repeat while the server is away; only for what may be done twice. */
  retrying<T>(work: () => Promise<T>): Promise<T>;
  /** Take turns within this process, so that only other processes make a change start over. */
  inTurn<T>(key: string, work: () => Promise<T>): Promise<T>;
  readonly outbox: Outbox;
  readonly leases: LeaseThreads;
  /** How far the sweeps of repair.ts have come. */
  readonly sweeps: Sweeps;
}

export function createSession(database: MongoDatabase): Session {
  const collections = collectionsOf(database.db);
  const turns = new Map<string, Promise<unknown>>();
  return {
    ...collections,
    database,
    now: () => database.serverNow(),
    retrying: (work) => database.retrying(work),
    async inTurn(key, work) {
      const before = turns.get(key);
      const turn = before === undefined ? work() : before.then(work, work);
      turns.set(key, turn);
      try {
        return await turn;
      } finally {
        if (turns.get(key) === turn) turns.delete(key);
      }
    },
    outbox: createOutbox(database, collections),
    leases: createLeaseThreads(),
    sweeps: { runs: { after: null }, blobs: { after: null }, contents: { after: null }, dueAt: 0 },
  };
}
