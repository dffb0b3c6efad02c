import type { EpochMs } from "./json.js";

/**
 * Threads whose time to live is over, by the store's clock. One with a run in flight never is.
 *
 * Their rows go first and in one step with their runs, so that nobody sees half of one; meanwhile their ids are taken: a thread of
 * the same id cannot be made (`THREAD_BUSY`) until what else there was of the old one is gone too, also after a crash in between.
 */
export interface ExpiredThreadStore {
  /**
   * Remove the rows of expired threads of strategy `delete` with all their runs, longest expired first, and note their ids.
   * @returns how many; fewer than `limit`: there are no more for now
   */
  remove(params: { readonly limit: number }): Promise<number>;
  /** Ids that {@link remove} noted, longest ago first: their checkpoints and events are still to be removed. */
  removed(params: { readonly limit: number }): Promise<readonly string[]>;
  /** Free ids: nothing is left of their threads. */
  forget(params: { readonly threadIds: readonly string[] }): Promise<void>;
  /** Expired threads of strategy `keep_latest` whose checkpoints are still to be pruned, longest expired first. */
  toPrune(params: { readonly limit: number }): Promise<readonly PrunableThread[]>;
  /** It was pruned as it was at `updatedAt`: nothing is left to do until it has been active again. */
  pruned(thread: PrunableThread): Promise<void>;
}

export interface PrunableThread {
  readonly threadId: string;
  readonly updatedAt: EpochMs;
}
