import type { AccessFilter } from "../core/auth.js";
import type { Clock, Timer } from "../core/clock.js";
import type { Logger } from "../core/logger.js";
import type { MetadataStore } from "../core/metadata-store.js";
import { lookAgainMs } from "./look-again.js";

/**
 * Threads that somebody follows in this process although they are not there yet: streams may be opened before the thread
 * exists (docs/wire/langgraph-api.md §4.1). Runs that this process creates on them are watched from their creation; a thread
 * that another process creates is watched from the next look on, at most five seconds later.
 */
export interface FollowedThreads {
  /** Somebody here waits for the thread to be made. */
  has(threadId: string): boolean;
  /**
   * Watch the thread, now or once it is there.
   * @returns whether it is there, and the end of waiting for it
   */
  watch(params: {
    readonly threadId: string;
    readonly access: AccessFilter;
  }): Promise<{ readonly exists: boolean; readonly stop: () => void }>;
}

export function createFollowedThreads(deps: {
  readonly store: Pick<MetadataStore, "threads">;
  readonly clock: Clock;
  readonly logger: Logger;
}): FollowedThreads {
  const { store, clock, logger } = deps;
  /** By thread: how many wait for it. */
  const waiting = new Map<string, number>();

  /** Somebody waits from here on; `lookAgain` when the thread is not there yet. */
  const wait = (params: { readonly threadId: string; readonly access: AccessFilter }) => {
    let timer: Timer | null = null;
    let stopped = false;
    let looks = 0;
    const { threadId } = params;
    waiting.set(threadId, (waiting.get(threadId) ?? 0) + 1);
    const stop = (): void => {
      if (stopped) return;
      stopped = true;
      timer?.cancel();
      const others = (waiting.get(threadId) ?? 1) - 1;
      if (others === 0) waiting.delete(threadId);
      else waiting.set(threadId, others);
    };
    const look = async (): Promise<void> => {
      try {
        if (await store.threads.watch(params)) stop();
      } catch (error) {
        logger.warn({ err: error, threadId }, "a thread could not be watched; trying again");
      }
      if (!stopped) lookAgain();
    };
    const lookAgain = (): void => {
      const delayMs = lookAgainMs(looks);
      looks += 1;
      timer = clock.setTimer(() => void look(), delayMs);
    };
    return { stop, lookAgain };
  };

  return {
    has: (threadId) => waiting.has(threadId),
    async watch(params) {
      // Before the store is asked: a run that makes the thread meanwhile has to know.
      const { stop, lookAgain } = wait(params);
      try {
        const exists = await store.threads.watch(params);
        if (exists) stop();
        else lookAgain();
        return { exists, stop };
      } catch (error) {
        stop();
        throw error;
      }
    },
  };
}
