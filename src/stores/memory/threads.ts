import { planFilter } from "../../core/filter-terms.js";
import { copyJson, parseJsonText } from "../../core/json.js";
import { jsonContains } from "../../core/metadata-filter.js";
import type { ThreadQuery, ThreadStore } from "../../core/metadata-store.js";
import { FEW_ROWS, type RowQuery } from "./indexed-rows.js";
import type { ThreadRow } from "./rows.js";
import { threadOf } from "./rows.js";
import type { Tables } from "./tables.js";

/** Threads in memory. */
export function createMemoryThreads(tables: Tables): ThreadStore {
  const { threads, threadIndex, clock } = tables;

  return {
    async create({ threadId, metadata, config, ttl, access }) {
      if (threads.has(threadId)) {
        const existing = tables.visibleThread(threadId, access);
        return { kind: "exists", thread: existing === null ? null : threadOf(existing) };
      }
      const row = tables.addThread({
        threadId,
        metadata: copyJson(metadata),
        config: copyJson(config ?? {}),
        temporary: false,
        ttl,
      });
      return { kind: "created", thread: threadOf(row) };
    },

    async get({ threadId, access }) {
      const row = tables.visibleThread(threadId, access);
      return row === null ? null : threadOf(row);
    },

    async update({ threadId, metadata, ttl, access }) {
      const row = tables.visibleThread(threadId, access);
      if (row === null) return null;
      tables.changeThread(row, {
        updatedAt: clock.now(),
        ...(metadata === undefined ? {} : { metadata: { ...row.metadata, ...copyJson(metadata) } }),
        ...(ttl === undefined ? {} : { ttl }),
      });
      return threadOf(row);
    },

    async watch({ threadId, access }) {
      const row = tables.visibleThread(threadId, access);
      if (row !== null) row.watched = true;
      return row !== null;
    },

    async delete({ threadId, access }) {
      const row = tables.visibleThread(threadId, access);
      if (row === null) return null;
      const thread = threadOf(row);
      tables.removeThread(row);
      return thread;
    },

    async search({ limit, offset, sortBy, sortOrder, withState, ...query }) {
      const page = { limit, offset, sortBy, sortOrder };
      const { rows, total } = await threadIndex.search(plan(query, tables), page);
      return { rows: rows.map((row) => threadOf(row, withState)), total };
    },

    count: async (query) => threadIndex.count(plan(query, tables)),

    async patchState({ threadId, patch, hasNext, metadata }) {
      const row = threads.get(threadId);
      if (row === undefined) return null;
      if (row.running === null && row.pending.length === 0) {
        tables.settleThread(row, {
          status: hasNext ? "interrupted" : "idle",
          patch,
          ...(metadata === undefined ? {} : { metadata: { ...row.metadata, ...copyJson(metadata) } }),
        });
      }
      return threadOf(row);
    },
  };
}

function plan({ ids, status, metadata, values, access }: ThreadQuery, tables: Tables): RowQuery<ThreadRow> {
  const { terms, residual } = planFilter({ ...(metadata === undefined ? {} : { metadata }), access });
  const conditions: ((row: ThreadRow) => boolean)[] = [];
  if (status !== undefined) conditions.push((row) => row.status === status);
  if (residual !== null) conditions.push((row) => residual(row.metadata));
  // Last: parsing a state is the most expensive question.
  if (values !== undefined) {
    conditions.push((row) => row.values !== null && jsonContains(parseJsonText(row.values), values));
  }
  const statusAlone = status !== undefined && conditions.length === 1 && terms.length === 0 && ids === undefined;
  const few = candidates(tables, ids, status);
  return {
    terms,
    residual: conditions.length === 0 ? null : (row) => conditions.every((holds) => holds(row)),
    ...(few === null ? {} : { candidates: few }),
    ...(statusAlone ? { total: tables.statusCount(status) } : {}),
  };
}

function candidates(tables: Tables, ids: ThreadQuery["ids"], status: ThreadQuery["status"]): Set<ThreadRow> | null {
  if (ids !== undefined) return new Set(ids.map((id) => tables.threads.get(id)).filter((row) => row !== undefined));
  if (status === undefined || tables.statusCount(status) > FEW_ROWS) return null;
  return new Set(tables.withStatus(status));
}
