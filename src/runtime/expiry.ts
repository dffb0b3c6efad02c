import type { Clock } from "../core/clock.js";
import type { ItemStore } from "../core/item-store.js";
import type { EpochMs } from "../core/json.js";
import type { MetadataStore } from "../core/metadata-store.js";
import type { RecordKey } from "../core/record.js";
import { createPeriodic, type Periodic } from "./periodic.js";
import { createThreadExpiry, type Lease, type ThreadExpiryDeps } from "./thread-expiry.js";

/** A process that dies over a sweep keeps others from the next one so long. */
const LEASE_MS = 15_000;
const ITEMS_PER_ROUND = 100;
const RECORDS_PER_ROUND = 100;
/** Between two rounds, so that whatever waits has its turn. */
const PAUSE_MS = 5;
const JITTER = 0.2;

export interface ExpiryDeps extends ThreadExpiryDeps {
  readonly store: Pick<MetadataStore, "chores" | "expiredThreads" | "deliveries" | "records" | "threads">;
  readonly items: Pick<ItemStore, "sweepExpired">;
  readonly clock: Clock;
  /** Told of records that have expired and were removed by this process. Default nobody is. */
  readonly onExpired?: (keys: readonly RecordKey[]) => void;
}

export interface ExpiryOptions {
  readonly workerId: string;
  /** How often expired threads are looked for, and how many of them each time. */
  readonly threads: { readonly everyMs: number; readonly limit: number };
  readonly items: { readonly everyMs: number };
  /** How often; records of the spaces `except` are left to whoever tells of them first. */
  readonly records: { readonly everyMs: number; readonly except: readonly string[] };
}

/**
 * Removes or prunes threads, items and records whose time to live is over: in small rounds with pauses between, one process at a time, which
 * a lease decides. What a crash leaves of a thread that was being removed is nothing that anybody sees, and goes first next time.
 */
export interface Expiry {
  start(): void;
  /** Nothing new begins. @returns when what is under way has ended */
  stop(): Promise<void>;
  /** One sweep of threads now. @returns how many were removed or pruned; 0 where another process sweeps */
  sweepThreads(): Promise<number>;
  /** One sweep of items now. @returns how many were removed */
  sweepItems(): Promise<number>;
  /** One sweep of records now. @returns how many were removed */
  sweepRecords(): Promise<number>;
}

export function createExpiry(deps: ExpiryDeps, options: ExpiryOptions): Expiry {
  const { store, items, logger, clock } = deps;
  let periodic: Periodic | null = null;
  let stopping = false;

  const pause = (): Promise<void> => new Promise((resolve) => void clock.setTimer(resolve, PAUSE_MS));

  /** @returns null while another process sweeps, or has done so lately */
  const lease = async (name: string): Promise<Lease | null> => {
    const claim = (leaseMs: number): Promise<boolean> =>
      store.chores.claim({ name, leaseMs, workerId: options.workerId });
    if (!(await claim(LEASE_MS))) return null;
    let heldSince: EpochMs = clock.now();
    return {
      async holds() {
        if (stopping) return false;
        // A process that slept wakes up to somebody else's sweep.
        if (clock.now() - heldSince < LEASE_MS / 2) return true;
        heldSince = clock.now();
        return claim(LEASE_MS);
      },
      // The others need not sweep before it is time again.
      rest: async (everyMs) => void (await claim(stopping ? 0 : Math.floor(everyMs * (1 - JITTER)))),
    };
  };

  const sweep = async (name: string, everyMs: number, work: (held: Lease) => Promise<number>): Promise<number> => {
    const held = await lease(name);
    if (held === null) return 0;
    const done = await work(held);
    if (await held.holds()) await held.rest(everyMs);
    else if (stopping) await held.rest(0);
    return done;
  };

  const { removeThreads, pruneThreads } = createThreadExpiry(deps, pause);

  const expiry: Expiry = {
    start() {
      if (periodic !== null) return;
      stopping = false;
      periodic = createPeriodic({ clock, logger });
      const jitter = { jitter: JITTER };
      const { threads, items: ofItems, records } = options;
      periodic.every(
        threads.everyMs,
        "sweeping expired threads",
        async () => void (await expiry.sweepThreads()),
        jitter,
      );
      periodic.every(ofItems.everyMs, "sweeping expired items", async () => void (await expiry.sweepItems()), jitter);
      periodic.every(
        records.everyMs,
        "sweeping expired records",
        async () => void (await expiry.sweepRecords()),
        jitter,
      );
    },
    async stop() {
      stopping = true;
      await periodic?.stop();
      periodic = null;
    },
    sweepThreads: () =>
      sweep("expired threads", options.threads.everyMs, async (held) => {
        const removed = await removeThreads(held, options.threads.limit);
        return removed + (await pruneThreads(held, options.threads.limit - removed));
      }),
    sweepItems: () =>
      sweep("expired items", options.items.everyMs, async (held) => {
        let done = 0;
        while (await held.holds()) {
          const removed = await items.sweepExpired({ limit: ITEMS_PER_ROUND });
          done += removed;
          if (removed < ITEMS_PER_ROUND) break;
          await pause();
        }
        return done;
      }),
    sweepRecords: () =>
      sweep("expired records", options.records.everyMs, async (held) => {
        let done = 0;
        while (await held.holds()) {
          const { except } = options.records;
          const removed = await store.records.sweepExpired({ limit: RECORDS_PER_ROUND, except });
          done += removed.length;
          if (removed.length > 0) deps.onExpired?.(removed);
          if (removed.length < RECORDS_PER_ROUND) break;
          await pause();
        }
        return done;
      }),
  };
  return expiry;
}
