import { toJsonText } from "../../core/json.js";
import type { ThreadStore } from "../../core/metadata-store.js";
import type { Thread } from "../../core/thread.js";
import { startTimeSlice } from "../time-slice.js";
import { parseObject, threadOf } from "./rows.js";
import { guarded, type Session } from "./session.js";
import {
  changeThread,
  deleteThread,
  findThread,
  insertThread,
  settleThread,
  showsMetadata,
  stateOf,
  threadById,
  visibleThread,
} from "./thread-rows.js";
import { countThreads, searchThreads } from "./thread-search.js";

/** Threads in SQLite. */
export function createSqliteThreads(session: Session): ThreadStore {
  const readPage = async (ids: readonly number[], withState: boolean): Promise<readonly Thread[]> => {
    const slice = startTimeSlice();
    const rows: Thread[] = [];
    for (const id of ids) {
      const row = guarded(() => threadById(session, id));
      if (row !== undefined) rows.push(threadOf(row, withState ? guarded(() => stateOf(session, id)) : undefined));
      if (slice.isOver()) await slice.next();
    }
    return rows;
  };

  return {
    async create({ threadId, metadata, config, ttl, access }) {
      const texts = { metadata: toJsonText(metadata), config: toJsonText(config ?? {}) };
      return session.write(() => {
        const existing = findThread(session, threadId);
        if (existing !== undefined) {
          const visible = showsMetadata(access, existing.metadata);
          return { kind: "exists", thread: visible ? threadOf(existing, stateOf(session, existing.id)) : null };
        }
        const row = insertThread(session, { threadId, ...texts, temporary: false, ttl });
        return { kind: "created", thread: threadOf(row) };
      });
    },

    get: ({ threadId, access }) =>
      session.read(() => {
        const row = visibleThread(session, threadId, access);
        return row === null ? null : threadOf(row, stateOf(session, row.id));
      }),

    update: ({ threadId, metadata, ttl, access }) =>
      session.write(() => {
        const row = visibleThread(session, threadId, access);
        if (row === null) return null;
        const changed = changeThread(session, row, {
          updatedAt: session.clock.now(),
          ...(metadata === undefined ? {} : { metadata: toJsonText({ ...parseObject(row.metadata), ...metadata }) }),
          ...(ttl === undefined ? {} : { ttl }),
        });
        return threadOf(changed, stateOf(session, row.id));
      }),

    async watch({ threadId, access }) {
      // What is watched already must not take the write lock.
      const found = await session.read(() => visibleThread(session, threadId, access));
      if (found === null || found.watched === 1) return found !== null;
      return session.write(() => {
        const row = visibleThread(session, threadId, access);
        if (row !== null) changeThread(session, row, { watched: true });
        return row !== null;
      });
    },

    delete: ({ threadId, access }) =>
      session.write(() => {
        const row = visibleThread(session, threadId, access);
        if (row === null) return null;
        const thread = threadOf(row, stateOf(session, row.id));
        deleteThread(session, row);
        return thread;
      }),

    async search({ limit, offset, sortBy, sortOrder, withState, ...query }) {
      const { ids, total } = await searchThreads(session, query, { limit, offset, sortBy, sortOrder });
      return { rows: await readPage(ids, withState), total };
    },

    count: (query) => countThreads(session, query),

    patchState: ({ threadId, patch, hasNext, metadata }) =>
      session.write(() => {
        const row = findThread(session, threadId);
        if (row === undefined) return null;
        const settled =
          row.status === "busy"
            ? row
            : settleThread(session, row, {
                status: hasNext ? "interrupted" : "idle",
                patch,
                ...(metadata === undefined
                  ? {}
                  : { metadata: toJsonText({ ...parseObject(row.metadata), ...metadata }) }),
              });
        return threadOf(settled, stateOf(session, row.id));
      }),
  };
}
