import { ALL_ROWS } from "../core/auth.js";
import type { Clock } from "../core/clock.js";
import type { Dispatcher } from "../core/dispatcher.js";
import type { EventLog } from "../core/event-log.js";
import type { Logger } from "../core/logger.js";
import type { MetadataStore } from "../core/metadata-store.js";
import type { Presence } from "../core/presence.js";
import { retry } from "../core/retry.js";
import { lastEvent } from "../core/run-event.js";
import { retryDelayMs } from "../core/run-lifecycle.js";
import type { RunRef } from "../core/run.js";

/** How often to ask the storage which workers are gone, at most. */
export const PRESENCE_LOOK_MS = 250;
/** So many workers ask that often; more of them share the asking, since one that finds somebody gone tells all. */
const ASKING_WORKERS = 4;
/** At least so often, also when there is nobody to ask after: somebody may have come. */
const PRESENCE_LOOK_MAX_MS = 2_000;

/** Pause of one worker between two looks at who is gone, by how many others there are. */
export function presencePauseMs(others: number | null): number {
  if (others === null) return PRESENCE_LOOK_MS;
  if (others === 0) return PRESENCE_LOOK_MAX_MS;
  const shared = PRESENCE_LOOK_MS * Math.max(1, (others + 1) / ASKING_WORKERS);
  return Math.min(shared, PRESENCE_LOOK_MAX_MS);
}

/** Takes runs back from workers that are gone, and ends those that were started too often. */
export interface Reaper {
  /** By expired leases, and by what is known of processes. @returns threads that may have work now */
  reap(): Promise<readonly string[]>;
  /**
   * As {@link Reaper.reap}, but only when the storage says that a worker is gone. Called every {@link PRESENCE_LOOK_MS}; asks as
   * often as {@link presencePauseMs} says.
   */
  reapGone(): Promise<readonly string[]>;
  /** Show that this worker lives, where the storage can tell others. A failure is logged; the next look tries again. */
  join(): Promise<void>;
  /** Leave, after readers of failed runs were told. */
  stop(): Promise<void>;
}

const NOBODY: ReadonlySet<string> = new Set();

export function createReaper(
  deps: {
    readonly store: MetadataStore;
    readonly eventLog: EventLog;
    readonly dispatcher: Dispatcher;
    readonly clock: Clock;
    readonly logger: Logger;
  },
  options: {
    readonly workerId: string;
    readonly maxAttempts: number;
    /** Whether the process that holds a lease may still be alive; see worker-identity. */
    readonly mayBeAlive: (workerId: string) => boolean;
    /** Somebody waits for the end of this process. */
    readonly isHurried: () => boolean;
  },
): Reaper {
  const { store, eventLog, dispatcher, logger } = deps;
  const presence: Presence | null = store.presence;
  const publishing = new Set<Promise<void>>();
  let joined = false;
  let lookedAt = Number.NEGATIVE_INFINITY;
  /** Not in step with other workers. */
  let jitter = 1;

  const retrying = <T>(call: () => Promise<T>): Promise<T> => retry(deps, call, options.isHurried);

  const reap = async (gone: ReadonlySet<string>): Promise<readonly string[]> => {
    const { requeued, failed } = await store.runs.reapExpired({
      maxAttempts: options.maxAttempts,
      isAlive: (workerId) => workerId === options.workerId || (!gone.has(workerId) && options.mayBeAlive(workerId)),
      retryDelayMs,
    });
    for (const run of failed) {
      const published = publishFailure(run).finally(() => publishing.delete(published));
      publishing.add(published);
    }
    if (requeued.length > 0) logger.warn({ runs: requeued.length }, "took back runs whose worker is gone");
    const threads = [...new Set([...requeued, ...failed].map((run) => run.threadId))];
    // Every process may have a free slot for them.
    for (const threadId of threads) dispatcher.announce(threadId);
    return threads;
  };

  /** Nobody executes it any more, so nobody else tells its readers. */
  const publishFailure = async (ref: RunRef): Promise<void> => {
    try {
      const run = await retrying(() => store.runs.get({ ...ref, access: ALL_ROWS }));
      // Its creator may have died before the log knew of it.
      await retrying(() => eventLog.begin(ref, { resumable: run?.kwargs.streamResumable ?? false }));
      await retrying(() => eventLog.seal(ref, [lastEvent(ref.runId, run)]));
    } catch (error) {
      logger.error({ err: error, ...ref }, "the end of a lost run could not be published");
    }
  };

  return {
    reap: () => reap(NOBODY),
    async reapGone() {
      if (presence === null) return [];
      const pauseMs = presencePauseMs(presence.others);
      if (pauseMs > PRESENCE_LOOK_MS && deps.clock.now() - lookedAt < pauseMs * jitter) return [];
      if (!joined) await presence.join(options.workerId);
      joined = true;
      const gone = await presence.gone();
      lookedAt = deps.clock.now();
      jitter = 0.75 + Math.random() / 2;
      return gone.size === 0 ? [] : reap(gone);
    },
    async join() {
      try {
        await presence?.join(options.workerId);
        joined = true;
      } catch (error) {
        logger.warn({ err: error }, "other processes can't be told yet that this one lives; its leases speak for it");
      }
    },
    async stop() {
      await Promise.all(publishing);
      await presence?.close();
    },
  };
}
