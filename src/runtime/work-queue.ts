import type { WorkOutcome } from "../core/dispatcher.js";
import type { Logger } from "../core/logger.js";
import type { ClaimedRun } from "../core/run.js";

/** Finds work for free slots. Whatever the number of announcements, one claim is under way at a time. */
export interface WorkQueue {
  /** There may be work anywhere. */
  look(): void;
  /**
   * There may be work in this thread. Settles when what this process took of it has ended and nothing is left, when nothing
   * was there for it, or, with `"no-slot"`, when none was free.
   */
  lookAfter(threadId: string): Promise<WorkOutcome>;
  /** A slot is free again. */
  onFree(): void;
  /**
   * A run of this process has ended.
   * @param mayHaveNext its thread may have another one
   */
  onEnd(threadId: string, mayHaveNext: boolean): void;
  /** Nobody is to wait for a thread any more. @returns when the claim under way has ended */
  stop(): Promise<void>;
}

/** Who waits for a thread to be looked after. */
function createWaiters() {
  const waiters = new Map<string, PromiseWithResolvers<WorkOutcome>>();
  const settle = (threadId: string, outcome: WorkOutcome): void => {
    waiters.get(threadId)?.resolve(outcome);
    waiters.delete(threadId);
  };
  return {
    settle,
    wait(threadId: string): Promise<WorkOutcome> {
      const waiter = waiters.get(threadId) ?? Promise.withResolvers<WorkOutcome>();
      waiters.set(threadId, waiter);
      return waiter.promise;
    },
    settleAll(outcome: WorkOutcome): void {
      for (const threadId of waiters.keys()) settle(threadId, outcome);
    },
  };
}

export function createWorkQueue(params: {
  /** Slots that may be filled now; 0 also when this process takes no work (any more). */
  readonly free: () => number;
  /** Whether a run of the thread is executed here. */
  readonly runsHere: (threadId: string) => boolean;
  /** Claim into reserved slots, and start what was claimed. */
  readonly claim: (request: { readonly limit: number; readonly threadId?: string }) => Promise<readonly ClaimedRun[]>;
  readonly logger: Logger;
}): WorkQueue {
  const { free, runsHere, claim, logger } = params;
  /** The queue may hold due work that no claim has looked for yet. */
  let anywhere = true;
  /** Threads that no claim has looked at yet. */
  const wanted = new Set<string>();
  const { wait, settle, settleAll } = createWaiters();
  /** Announced while one of their runs was executed here: its end looks again. */
  const askedAgain = new Set<string>();
  let pumping: Promise<void> | null = null;

  /** Work is left, and this process can't take it now: the next free slot looks for it, if no other process is faster. */
  const leaveWanted = (): void => {
    if (wanted.size === 0) return;
    anywhere = true;
    for (const threadId of wanted) settle(threadId, "no-slot");
    wanted.clear();
  };

  const pumpOnce = async (): Promise<void> => {
    const threads = [...wanted];
    const everywhere = anywhere;
    const [only] = threads;
    // No more than was announced: other processes were told as well, and may have free slots.
    const limit = everywhere ? free() : Math.min(free(), threads.length);
    wanted.clear();
    anywhere = false;
    let claimed: readonly ClaimedRun[];
    try {
      claimed = await claim(
        everywhere || threads.length > 1 || only === undefined ? { limit } : { limit, threadId: only },
      );
    } catch (error) {
      anywhere = true;
      for (const threadId of threads) settle(threadId, "no-slot");
      throw error;
    }
    const isDrained = claimed.length < limit || (!everywhere && threads.length === 1);
    if (!isDrained && everywhere) anywhere = true;
    for (const threadId of threads) {
      if (runsHere(threadId)) continue;
      if (isDrained) settle(threadId, undefined);
      else wanted.add(threadId);
    }
  };

  const pump = async (): Promise<void> => {
    while ((anywhere || wanted.size > 0) && free() > 0) await pumpOnce();
    leaveWanted();
  };

  const wake = (): void => {
    if (pumping !== null) return;
    if (free() <= 0) {
      leaveWanted();
      return;
    }
    let failed = false;
    pumping = pump()
      .catch((error: unknown) => {
        failed = true;
        leaveWanted();
        logger.error({ err: error }, "claiming runs failed");
      })
      .finally(() => {
        pumping = null;
        // What came while the last claim was under way. After a failure the next poll tries again.
        if (!failed && (anywhere || wanted.size > 0) && free() > 0) wake();
      });
  };

  return {
    look() {
      anywhere = true;
      wake();
    },
    lookAfter(threadId) {
      const looked = wait(threadId);
      if (runsHere(threadId)) askedAgain.add(threadId);
      else {
        wanted.add(threadId);
        wake();
      }
      return looked;
    },
    onFree() {
      if (anywhere) wake();
    },
    onEnd(threadId, mayHaveNext) {
      if (askedAgain.delete(threadId) || mayHaveNext) {
        wanted.add(threadId);
        wake();
      } else {
        settle(threadId, undefined);
        if (anywhere) wake();
      }
    },
    async stop() {
      wanted.clear();
      settleAll("no-slot");
      await pumping;
    },
  };
}
