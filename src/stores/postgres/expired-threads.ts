import type { ExpiredThreadStore } from "../../core/expired-threads.js";
import type { Statement } from "../../databases/postgres/open.js";
import { fromText, toText } from "../../databases/postgres/storable.js";
import type { Session } from "./session.js";

/** Repeated after a lost answer it removes the next ones: whoever asks takes what there is from `heddle_thread_removals`. */
const REMOVE: Statement = {
  name: "heddle_remove_expired_threads",
  idempotent: true,
  text: "SELECT heddle_remove_expired_threads($1, $2) AS removed",
};
const REMOVED: Statement = {
  name: "heddle_removed_threads",
  idempotent: true,
  text: "SELECT thread_id FROM heddle_thread_removals ORDER BY removed_at LIMIT $1",
};
const FORGET: Statement = {
  name: "heddle_forget_removed_threads",
  idempotent: true,
  text: "DELETE FROM heddle_thread_removals WHERE thread_id = ANY ($1::text[])",
};
const TO_PRUNE: Statement = {
  name: "heddle_threads_to_prune",
  idempotent: true,
  text: `SELECT thread_id, updated_at FROM heddle_threads
    WHERE ttl_ms IS NOT NULL AND pruned_at IS DISTINCT FROM updated_at AND ttl_strategy = 'keep_latest'
      AND updated_at + ttl_ms <= (SELECT heddle_now($1)) AND status <> 'busy'
    ORDER BY updated_at + ttl_ms LIMIT $2`,
};
const PRUNED: Statement = {
  name: "heddle_thread_pruned",
  idempotent: true,
  text: "UPDATE heddle_threads SET pruned_at = updated_at WHERE thread_id = $1 AND updated_at = $2",
};

/** Expired threads in Postgres. */
export function createPostgresExpiredThreads(session: Session): ExpiredThreadStore {
  return {
    async remove({ limit }) {
      const [row] = await session.query<{ readonly removed: number }>(REMOVE, [session.now(), limit]);
      return row?.removed ?? 0;
    },
    async removed({ limit }) {
      const rows = await session.query<{ readonly thread_id: string }>(REMOVED, [limit]);
      return rows.map((row) => fromText(row.thread_id));
    },
    async forget({ threadIds }) {
      await session.query(FORGET, [threadIds.map(toText)]);
    },
    async toPrune({ limit }) {
      type Columns = { readonly thread_id: string; readonly updated_at: number };
      const rows = await session.query<Columns>(TO_PRUNE, [session.now(), limit]);
      return rows.map((row) => ({ threadId: fromText(row.thread_id), updatedAt: row.updated_at }));
    },
    async pruned({ threadId, updatedAt }) {
      await session.query(PRUNED, [toText(threadId), updatedAt]);
    },
  };
}
