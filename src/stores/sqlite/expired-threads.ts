import type { ExpiredThreadStore, PrunableThread } from "../../core/expired-threads.js";
import type { Session } from "./session.js";
import { deleteThread, threadById } from "./thread-rows.js";

/** Of one strategy, longest expired first; parameters: strategy, now, limit. */
const expired = (columns: string): string => `SELECT ${columns} FROM threads
  WHERE ttl_ms IS NOT NULL AND pruned_at IS NOT updated_at AND ttl_strategy = ? AND updated_at + ttl_ms <= ? AND status <> 'busy'
  ORDER BY updated_at + ttl_ms LIMIT ?`;

/** Expired threads in SQLite. */
export function createSqliteExpiredThreads(session: Session): ExpiredThreadStore {
  const { clock } = session;
  return {
    async remove({ limit }) {
      const find = (most: number): readonly { readonly id: number }[] =>
        session.sql<{ id: number }>(expired("id")).all("delete", clock.now(), most);
      // Nothing to do is the rule, and must not take the write lock.
      if ((await session.read(() => find(1))).length === 0) return 0;
      return session.write(() => {
        const found = find(limit);
        for (const { id } of found) {
          const row = threadById(session, id);
          if (row === undefined) continue;
          session
            .sql("INSERT OR IGNORE INTO thread_removals (thread_id, removed_at) VALUES (?, ?)")
            .run(row.thread_id, clock.now());
          deleteThread(session, row);
        }
        return found.length;
      });
    },

    removed: ({ limit }) =>
      session.read(() =>
        session
          .sql<{ thread: string }>("SELECT thread_id AS thread FROM thread_removals ORDER BY removed_at LIMIT ?")
          .all(limit)
          .map((row) => row.thread),
      ),

    forget: ({ threadIds }) =>
      session.write(() => {
        for (const threadId of threadIds) session.sql("DELETE FROM thread_removals WHERE thread_id = ?").run(threadId);
      }),

    toPrune: ({ limit }) =>
      session.read(() =>
        session
          .sql<PrunableThread>(expired('thread_id AS "threadId", updated_at AS "updatedAt"'))
          .all("keep_latest", clock.now(), limit)
          .map(({ threadId, updatedAt }) => ({ threadId, updatedAt })),
      ),

    async pruned({ threadId, updatedAt }) {
      await session.write(() =>
        session
          .sql("UPDATE threads SET pruned_at = updated_at WHERE thread_id = ? AND updated_at = ?")
          .run(threadId, updatedAt),
      );
    },
  };
}
