import { ALL_ROWS } from "./auth.js";
import type { MetadataStore } from "./metadata-store.js";
import type { PrunableThread } from "./expired-threads.js";

/**
 * Whether nothing has happened to a thread since it was read: no run began, waits or ended, and nobody changed it. For
 * `Checkpointer.prune`: what it leaves is what the thread had then.
 * @param seen as it was read
 */
export async function isStillIdle(store: Pick<MetadataStore, "threads">, seen: PrunableThread): Promise<boolean> {
  const thread = await store.threads.get({ threadId: seen.threadId, access: ALL_ROWS });
  return thread !== null && thread.status !== "busy" && thread.updatedAt === seen.updatedAt;
}
