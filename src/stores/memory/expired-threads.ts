import type { ExpiredThreadStore } from "../../core/expired-threads.js";
import { expiresAt, type TtlStrategy } from "../../core/thread.js";
import type { ThreadRow } from "./rows.js";
import type { Tables } from "./tables.js";

/** Expired threads in memory. */
export function createMemoryExpiredThreads(tables: Tables): ExpiredThreadStore {
  const expired = (strategy: TtlStrategy, limit: number): readonly ThreadRow[] => {
    const now = tables.clock.now();
    const found: ThreadRow[] = [];
    for (const row of tables.expiring) {
      if (found.length >= limit || (expiresAt(row) ?? 0) > now) break;
      if (row.ttl?.strategy === strategy && row.status !== "busy") found.push(row);
    }
    return found;
  };

  return {
    async remove({ limit }) {
      const rows = expired("delete", limit);
      for (const row of rows) {
        tables.removals.add(row.threadId);
        tables.removeThread(row);
      }
      return rows.length;
    },

    removed: async ({ limit }) => [...tables.removals].slice(0, limit),

    async forget({ threadIds }) {
      for (const threadId of threadIds) tables.removals.delete(threadId);
    },

    toPrune: async ({ limit }) =>
      expired("keep_latest", limit).map(({ threadId, updatedAt }) => ({ threadId, updatedAt })),

    async pruned({ threadId, updatedAt }) {
      const row = tables.threads.get(threadId);
      if (row?.updatedAt === updatedAt) tables.changeThread(row, { prunedAt: updatedAt });
    },
  };
}
