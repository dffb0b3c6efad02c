import { ALL_ROWS } from "../core/auth.js";
import type { StoreClock } from "../core/clock.js";
import type { CronStore } from "../core/cron.js";
import { delegating } from "../core/delegating.js";
import { HeddleError } from "../core/errors.js";
import type { EpochMs } from "../core/json.js";
import type { QueueLimits } from "../core/limits.js";
import type { MetadataStore, RunStore } from "../core/metadata-store.js";
import type { RunRef } from "../core/run.js";

/** After so many runs of counted callers those that wait no longer are forgotten, whoever's they are. */
const SWEEP_EVERY = 1_000;
/** Runs that are looked up at once. */
const LOOKED_UP = 8;
/** A worker may take one at any time. */
const RETRY_AFTER_MS = 1_000;

/**
 * A store that refuses runs when too many wait already. Per thread it is the store's own count, plus what this process is just creating:
 * several processes may each let one more in at the same moment. Per caller it is this process's count of the runs that it took in;
 * the store is asked which of them still wait when there are as many as there may be.
 * @param callerOf under which name the run at hand is counted; `null`: it is not
 */
export function withQueueLimits(
  store: MetadataStore,
  limits: QueueLimits,
  callerOf: () => string | null,
  clock: StoreClock,
): MetadataStore {
  const perThread = limits.perThread === null ? null : new ThreadQueues(store.runs, limits.perThread);
  const perCaller = limits.perCaller === null ? null : new CallerQueues(store.runs, limits.perCaller, clock);
  const create: RunStore["create"] = async (params) => {
    const { draft, access } = params;
    const key = callerOf();
    // Other strategies end what waits, or refuse the run on their own.
    const leaveThread =
      draft.multitaskStrategy === "enqueue" ? await perThread?.enter(draft.threadId, access) : undefined;
    try {
      const leaveCaller = key === null ? undefined : await perCaller?.enter(key);
      let queued: RunRef | null = null;
      try {
        const outcome = await store.runs.create(params);
        if (outcome.kind === "created" && outcome.lease === null) queued = outcome.run;
        return outcome;
      } finally {
        leaveCaller?.(queued);
      }
    } finally {
      leaveThread?.();
    }
  };
  // A tick has no request whose caller could be counted.
  const fire: CronStore["fire"] = async (params) => {
    const { draft, access } = params;
    const leave = draft.multitaskStrategy === "enqueue" ? await perThread?.enter(draft.threadId, access) : undefined;
    try {
      return await store.crons.fire(params);
    } finally {
      leave?.();
    }
  };
  return delegating(store, {
    runs: delegating(store.runs, { create }),
    crons: delegating(store.crons, { fire }),
  });
}

class ThreadQueues {
  readonly #runs: RunStore;
  readonly #max: number;
  readonly #entering = new Map<string, number>();

  constructor(runs: RunStore, max: number) {
    this.#runs = runs;
    this.#max = max;
  }

  /** @param access a hidden thread has no runs: the store refuses it, as it does a missing one */
  async enter(threadId: string, access: Parameters<RunStore["list"]>[0]["access"]): Promise<() => void> {
    const entering = this.#entering.get(threadId) ?? 0;
    this.#entering.set(threadId, entering + 1);
    const leave = (): void => {
      const left = (this.#entering.get(threadId) ?? 1) - 1;
      if (left > 0) this.#entering.set(threadId, left);
      else this.#entering.delete(threadId);
    };
    try {
      const status = ["pending"] as const;
      const waiting = await this.#runs.list({ threadId, status: [...status], limit: this.#max, offset: 0, access });
      if (waiting.length + entering >= this.#max) {
        throw tooMany(`Too many runs of this thread are waiting: at most ${this.#max} (limits.queuedRunsPerThread)`);
      }
      return leave;
    } catch (error) {
      leave();
      throw error;
    }
  }
}

interface CallerQueue {
  entering: number;
  readonly waiting: Map<string, RunRef>;
  /** The look-up under way: those that come meanwhile wait for it. */
  lookUp: Promise<void> | null;
  /** When one found no free place: until then there is none. */
  fullUntil: EpochMs;
}

const newQueue = (): CallerQueue => ({ entering: 0, waiting: new Map(), lookUp: null, fullUntil: 0 });

class CallerQueues {
  readonly #runs: RunStore;
  readonly #max: number;
  readonly #byCaller = new Map<string, CallerQueue>();
  readonly #clock: StoreClock;
  #untilSweep = SWEEP_EVERY;

  constructor(runs: RunStore, max: number, clock: StoreClock) {
    this.#runs = runs;
    this.#max = max;
    this.#clock = clock;
  }

  /** @returns to be called with the run that waits now, if one does */
  async enter(key: string): Promise<(queued: RunRef | null) => void> {
    const queue = this.#byCaller.get(key) ?? newQueue();
    this.#byCaller.set(key, queue);
    // Counted before anything is awaited: those that come at once must not all pass.
    queue.entering += 1;
    try {
      if (queue.waiting.size + queue.entering > this.#max) await this.#lookUp(queue);
      if (queue.waiting.size + queue.entering > this.#max) {
        throw tooMany(`Too many of your runs are waiting: at most ${this.#max} (limits.queuedRunsPerCaller)`);
      }
    } catch (error) {
      queue.entering -= 1;
      this.#forgetEmpty(key, queue);
      throw error;
    }
    return (queued) => {
      queue.entering -= 1;
      if (queued !== null) queue.waiting.set(queued.runId, { runId: queued.runId, threadId: queued.threadId });
      this.#forgetEmpty(key, queue);
      this.#sweepAtTimes();
    };
  }

  #forgetEmpty(key: string, queue: CallerQueue): void {
    if (queue.entering > 0 || queue.waiting.size > 0) return;
    // One that came back since then has another.
    if (this.#byCaller.get(key) === queue) this.#byCaller.delete(key);
  }

  /** Which runs wait still. Each look-up costs the store a read per run: whoever is refused again and again must not cause one each time. */
  async #lookUp(queue: CallerQueue): Promise<void> {
    if (queue.lookUp === null && isWithin(queue.fullUntil - this.#clock.now())) return;
    queue.lookUp ??= this.#forgetStarted(queue)
      .then(() => {
        if (queue.waiting.size >= this.#max) queue.fullUntil = this.#clock.now() + RETRY_AFTER_MS;
      })
      .finally(() => {
        queue.lookUp = null;
      });
    await queue.lookUp;
  }

  async #forgetStarted(queue: CallerQueue): Promise<void> {
    const refs = [...queue.waiting.values()];
    for (let start = 0; start < refs.length; start += LOOKED_UP) {
      const some = refs.slice(start, start + LOOKED_UP);
      const runs = await Promise.all(some.map((ref) => this.#runs.get({ ...ref, access: ALL_ROWS })));
      some.forEach(({ runId }, i) => {
        if (runs[i]?.status !== "pending") queue.waiting.delete(runId);
      });
    }
  }

  #sweepAtTimes(): void {
    this.#untilSweep -= 1;
    if (this.#untilSweep > 0) return;
    this.#untilSweep = SWEEP_EVERY;
    void this.#sweep();
  }

  async #sweep(): Promise<void> {
    for (const [key, queue] of this.#byCaller) {
      // A storage that is away now is asked the next time.
      await this.#forgetStarted(queue).catch(() => {});
      this.#forgetEmpty(key, queue);
    }
  }
}

function tooMany(message: string): HeddleError {
  return new HeddleError("LIMIT_REACHED", { message, details: { retryAfterMs: RETRY_AFTER_MS } });
}

/** Of a time that is still to come; a clock that was set back makes it no longer. */
function isWithin(leftMs: number): boolean {
  return leftMs > 0 && leftMs <= RETRY_AFTER_MS;
}
